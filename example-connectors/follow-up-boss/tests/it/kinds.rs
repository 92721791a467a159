//! Lists that are read in other ways than by `updated`.

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Cursor, Entities, Error, Page, Request, Scope};
use serde_json::{Value, json};

use crate::API;

fn read(entity: &str, scope: Scope, cursor: Cursor) -> Page {
    FollowUpBoss::changes(entity, scope, cursor, 500).unwrap()
}

fn ids(page: &Page) -> Vec<u64> {
    page.items
        .iter()
        .map(|item| item.id.parse().unwrap())
        .collect()
}

/// A list of these ids by rising id, as the app pages it by `idGreaterThan` and
/// `next`.
fn by_id(key: &str, ids: &[u64], request: &Request) -> Reply {
    let number = |name: &str| request.query_value(name).map(|text| text.parse().unwrap());
    assert_eq!(request.query_value("sort").as_deref(), Some("id"));
    let since = number("next").or(number("idGreaterThan")).unwrap_or(0);
    let rest: Vec<u64> = ids.iter().copied().filter(|id| *id > since).collect();
    let page: Vec<Value> = rest.iter().take(100).map(|id| json!({"id": id})).collect();
    let mut metadata = json!({"total": ids.len()});
    if let (Some(_), Some(last)) = (rest.get(100), rest.get(99)) {
        metadata["next"] = last.to_string().into();
    }
    Reply::json(200, json!({"_metadata": metadata, key: page}))
}

#[test]
fn events_are_read_once_and_then_the_new_ones() {
    let known: Vec<u64> = (1..=250).collect();
    let app = FakeApp::new()
        .answer(move |request| Some(by_id("events", &known, request)))
        .start();
    let page = read("events", Scope::Incremental, Cursor::START);
    assert_eq!((ids(&page), page.done), ((1..=250).collect(), true));
    drop(app);

    let grown: Vec<u64> = (1..=252).collect();
    let app = FakeApp::new()
        .answer(move |request| Some(by_id("events", &grown, request)))
        .start();
    let page = read("events", Scope::Incremental, page.next);
    assert_eq!((ids(&page), page.done), (vec![251, 252], true));
    let page = read("events", Scope::Incremental, page.next);
    assert_eq!((ids(&page), page.done), (vec![], true));
    assert_eq!(
        app.sent()[1],
        format!("GET {API}/events?sort=id&limit=100&idGreaterThan=252")
    );
    assert_eq!(ids(&read("events", Scope::Full, Cursor::START)).len(), 252);
}

#[test]
fn a_first_pass_over_events_goes_on_after_a_failure() {
    let known: Vec<u64> = (1..=250).collect();
    let app = FakeApp::new()
        .answer(move |request| match request.query_value("next") {
            Some(next) if next == "200" => Some(Reply::json(503, "busy")),
            _ => Some(by_id("events", &known, request)),
        })
        .start();
    let page = read("events", Scope::Incremental, Cursor::START);
    assert_eq!((ids(&page).len(), page.done), (200, false));
    drop(app);
    let known: Vec<u64> = (1..=250).collect();
    let _app = FakeApp::new()
        .answer(move |request| Some(by_id("events", &known, request)))
        .start();
    let page = read("events", Scope::Incremental, page.next);
    assert_eq!((ids(&page), page.done), ((201..=250).collect(), true));
    assert!(ids(&read("events", Scope::Incremental, page.next)).is_empty());
}

#[test]
fn deals_are_read_as_a_whole_every_time_with_the_deleted_and_archived_ones() {
    let route = format!("GET {API}/deals");
    let deals = json!({"_metadata": {"total": 2}, "deals": [
        {"id": 1, "status": "Archived"}, {"id": 2, "status": "Deleted"},
    ]});
    let app = FakeApp::new().on(&route, Reply::json(200, deals)).start();
    let mut cursor = Cursor::START;
    for _ in 0..2 {
        let page = read("deals", Scope::Incremental, cursor);
        let deleted: Vec<bool> = page.items.iter().map(|item| item.deleted).collect();
        assert_eq!((deleted, page.done), (vec![false, true], true));
        cursor = page.next;
    }
    let line = format!("{route}?includeDeleted=1&includeArchived=1&sort=id&limit=100");
    assert_eq!(app.sent(), [line.clone(), line]);
}

#[test]
fn a_short_list_has_no_tokens_and_is_read_by_offset() {
    let app = FakeApp::new()
        .answer(|request| {
            assert!(request.query_value("sort").is_none());
            let offset = request.query_value("offset");
            let offset: u64 = offset.map_or(0, |offset| offset.parse().unwrap());
            let page: Vec<Value> = (offset..230.min(offset + 100))
                .map(|id| json!({"id": 230 - id}))
                .collect();
            let metadata = json!({"collection": "customfields", "total": 230});
            Some(Reply::json(
                200,
                json!({"_metadata": metadata, "customfields": page}),
            ))
        })
        .start();
    let mut cursor = Cursor::START;
    for scope in [Scope::Incremental, Scope::Incremental, Scope::Full] {
        let page = read("customFields", scope, cursor);
        assert_eq!((ids(&page), page.done), ((1..=230).collect(), true));
        assert_eq!(page.total, Some(230));
        cursor = page.next;
    }
    assert_eq!(app.requests().len(), 9);
}

#[test]
fn a_short_list_with_tokens_is_read_by_them() {
    let route = format!("GET {API}/teams");
    let app = FakeApp::new()
        .on(
            &route,
            Reply::json(
                200,
                json!({"_metadata": {"next": "a"}, "teams": [{"id": 1}]}),
            ),
        )
        .on(
            &route,
            Reply::json(200, json!({"_metadata": {}, "teams": [{"id": 2}]})),
        )
        .start();
    let page = read("teams", Scope::Incremental, Cursor::START);
    assert_eq!((ids(&page), page.done), (vec![1, 2], true));
    assert_eq!(app.sent()[1], format!("{route}?limit=100&next=a"));
}

#[test]
fn a_short_list_that_ignores_offset_is_not_read_for_ever() {
    let page: Vec<Value> = (1..=100).map(|id| json!({"id": id})).collect();
    let app = FakeApp::new()
        .on(
            &format!("GET {API}/stages"),
            Reply::json(200, json!({"stages": page})),
        )
        .start();
    let page = read("stages", Scope::Full, Cursor::START);
    assert!(page.done && ids(&page).contains(&100));
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn a_key_without_the_right_to_a_list_is_forbidden() {
    let refusal = r#"{"errorMessage": "Only the account owner can do this."}"#;
    let _app = FakeApp::new()
        .on(&format!("GET {API}/pipelines"), Reply::json(403, refusal))
        .start();
    let answer = FollowUpBoss::changes("pipelines", Scope::Full, Cursor::START, 500);
    assert!(matches!(answer, Err(Error::Forbidden(_))));
}

#[test]
fn a_list_that_ignores_the_filter_is_noticed_by_its_first_page() {
    // Newest first: calls 3 and 2 are new, all others were known.
    let updated = |id: u64| match id {
        3 => "2024-03-01T12:00:00Z",
        2 => "2024-03-01T11:00:00Z",
        _ => "2024-03-01T00:00:00Z",
    };
    let calls: Vec<Value> = [3, 2]
        .into_iter()
        .chain(4..=101)
        .map(|id| json!({"id": id, "updated": updated(id)}))
        .collect();
    let metadata = json!({"next": "more", "total": 5000});
    let app = FakeApp::new()
        .answer(move |_| {
            let page = json!({"_metadata": metadata, "calls": calls});
            Some(Reply::json(200, page).header("date", "Fri, 01 Mar 2024 23:00:00 GMT"))
        })
        .start();
    let known = Cursor::of_text(r#"{"since":"2024-03-01T00:00:00Z","settled":true}"#.into());
    let page = read("calls", Scope::Incremental, known);
    assert_eq!((ids(&page), page.done), (vec![2, 3], true));
    assert_eq!(app.requests().len(), 1);
    assert!(page.next.text().unwrap().contains("2024-03-01T12:00:00Z"));
}
