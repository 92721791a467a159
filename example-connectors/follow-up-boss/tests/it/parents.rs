//! What the app lists per person only.

use std::collections::BTreeMap;

use follow_up_boss::FollowUpBoss;
use rollout_connector::http::Failure;
use rollout_connector::testing::{FakeApp, Reply, Running};
use rollout_connector::{Cursor, Entities, Error, Page, Request, Scope};
use serde_json::{Value, json};

use crate::API;

/// Text messages by person: person 3 has 250, 4 has none, 5 is gone, others one.
fn messages(person: u64) -> Vec<u64> {
    match person {
        3 => (1000..1250).rev().collect(),
        4 => Vec::new(),
        person => vec![person],
    }
}

fn answer(request: &Request) -> Reply {
    let query = |name: &str| request.query_value(name);
    let person: u64 = query("personId").unwrap().parse().unwrap();
    if person == 5 {
        return Reply::json(404, r#"{"errorMessage": "Person not found."}"#);
    }
    assert_eq!(query("limit").as_deref(), Some("100"));
    let below = query("idLessThan").map_or(u64::MAX, |id| id.parse().unwrap());
    let mut ids = messages(person);
    ids.retain(|id| *id < below);
    let from = query("next").map_or(0, |next| next.parse::<usize>().unwrap());
    let end = ids.len().min(from + 100);
    let page: Vec<Value> = ids[from..end]
        .iter()
        .map(|id| json!({"id": id, "personId": person}))
        .collect();
    let mut metadata = json!({"collection": "textmessages"});
    if end < ids.len() {
        metadata["next"] = end.to_string().into();
    }
    Reply::json(200, json!({"_metadata": metadata, "textmessages": page}))
}

fn app() -> Running {
    FakeApp::new()
        .answer(|request| Some(answer(request)))
        .start()
}

fn people(ids: impl IntoIterator<Item = u64>) -> Scope {
    Scope::Parents(ids.into_iter().map(|id| id.to_string()).collect())
}

fn read(scope: &Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
    FollowUpBoss::changes("textMessages", scope.clone(), cursor, limit)
}

/// Reads a batch of people to its end: how often each message came, and in how
/// many calls.
fn all(scope: &Scope, limit: u32) -> (BTreeMap<String, usize>, usize) {
    let (mut seen, mut cursor) = (BTreeMap::new(), Cursor::START);
    for call in 1..100 {
        let page = read(scope, cursor, limit).unwrap();
        for item in page.items {
            *seen.entry(item.id).or_default() += 1;
        }
        if page.done {
            assert_eq!(page.next, Cursor::START);
            return (seen, call);
        }
        cursor = page.next;
    }
    panic!("the batch does not end");
}

#[test]
fn every_message_of_every_person_is_read() {
    let scope = people([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let people = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12];
    let expected: Vec<u64> = people.into_iter().flat_map(messages).collect();
    for (limit, calls) in [(10_000, 1..=1), (100, 2..=4), (1, 4..=20)] {
        let _app = app();
        let (seen, called) = all(&scope, limit);
        let found: Vec<u64> = seen.keys().map(|id| id.parse().unwrap()).collect();
        assert_eq!(found.len(), expected.len());
        assert!(expected.iter().all(|id| found.contains(id)));
        assert!(calls.contains(&called), "{called} calls at {limit}");
    }
}

#[test]
fn a_call_repeated_with_its_cursor_goes_on_from_the_same_place() {
    let _app = app();
    let scope = people([2, 3, 6]);
    let first = read(&scope, Cursor::START, 50).unwrap();
    assert!(!first.done);
    let again = || read(&scope, first.next.clone(), 50).unwrap();
    assert_eq!(again(), again());
}

#[test]
fn nobody_is_read_at_once() {
    let app = app();
    let page = read(&people([]), Cursor::START, 50).unwrap();
    assert!(page.done && page.items.is_empty() && app.requests().is_empty());
}

#[test]
fn what_was_read_before_a_failure_is_kept() {
    let app = FakeApp::new()
        .answer(|request| match request.query_value("next") {
            Some(_) => Some(Reply::failure(Failure::Timeout)),
            None => Some(answer(request)),
        })
        .start();
    let scope = people([1, 3, 2]);
    let page = read(&scope, Cursor::START, 500).unwrap();
    assert_eq!((page.items.len(), page.done), (101, false));
    assert!(matches!(
        read(&scope, page.next.clone(), 500),
        Err(Error::Upstream(_))
    ));
    drop(app);
    let _app = self::app();
    let page = read(&scope, page.next, 500).unwrap();
    assert_eq!((page.items.len(), page.done), (151, true));
}

#[test]
fn a_refused_token_is_replaced_by_the_last_id() {
    let scope = people([3, 2]);
    let page = {
        let _app = app();
        read(&scope, Cursor::START, 100).unwrap()
    };
    let app = FakeApp::new()
        .answer(|request| match request.query_value("next").as_deref() {
            // Deep pages are refused, whatever they count from.
            Some("100") if request.query_value("idLessThan").is_none() => Some(Reply::json(
                400,
                r#"{"errorMessage": "Deep pagination disabled."}"#,
            )),
            _ => Some(answer(request)),
        })
        .start();
    let page = read(&scope, page.next, 1000).unwrap();
    assert_eq!((page.items.len(), page.done), (151, true));
    let requests = app.requests();
    assert_eq!(
        requests[1].query_value("idLessThan").as_deref(),
        Some("1150")
    );
    assert_eq!(requests[1].query_value("next"), None);
}

#[test]
fn a_list_that_does_not_go_on_is_an_error_and_no_endless_loop() {
    let stuck = json!({"_metadata": {"next": "same"}, "textmessages": [{"id": 9}]});
    let _app = FakeApp::new()
        .answer(move |_| Some(Reply::json(200, &stuck)))
        .start();
    let page = read(&people([3]), Cursor::START, 500).unwrap();
    let error = read(&people([3]), page.next, 500).unwrap_err();
    assert!(matches!(error, Error::Upstream(_)), "{error}");
}

#[test]
fn a_key_without_the_right_is_forbidden() {
    let refusal = || Reply::json(403, r#"{"errorMessage": "Registered systems only."}"#);
    let _app = FakeApp::new().answer(move |_| Some(refusal())).start();
    assert!(matches!(
        read(&people([1]), Cursor::START, 50),
        Err(Error::Forbidden(_))
    ));
}

#[test]
fn emails_are_asked_for_under_the_apps_name() {
    let route = format!("GET {API}/emails");
    let page = json!({"_metadata": {}, "emails": [{"id": 1, "subject": "Hi"}]});
    let app = FakeApp::new().on(&route, Reply::json(200, page)).start();
    let page = FollowUpBoss::changes("emailMessages", people([7]), Cursor::START, 50).unwrap();
    assert_eq!(page.items[0].document(), json!({"subject": "Hi"}));
    assert_eq!(app.sent(), [format!("{route}?personId=7&limit=100")]);
}
