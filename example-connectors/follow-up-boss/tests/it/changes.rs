//! Reading everything once and then what changed: nothing is ever missed.

use std::collections::BTreeSet;
use std::rc::Rc;

use follow_up_boss::FollowUpBoss;
use rollout_connector::http::Failure;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Cursor, Entities, Error, Page, Scope, time};
use serde_json::json;

use crate::API;
use crate::list::{List, START, serve};

/// Reads until the pass is over: the ids in their order, and the cursor.
fn pass(scope: &Scope, mut cursor: Cursor, limit: u32) -> (Vec<u64>, Cursor) {
    let mut ids = Vec::new();
    for _ in 0..10_000 {
        let page = FollowUpBoss::changes("people", scope.clone(), cursor, limit).unwrap();
        ids.extend(
            page.items
                .iter()
                .map(|item| item.id.parse::<u64>().unwrap()),
        );
        cursor = page.next;
        if page.done {
            return (ids, cursor);
        }
    }
    panic!("the pass does not end");
}

fn first(limit: u32) -> Page {
    FollowUpBoss::changes("people", Scope::Incremental, Cursor::START, limit).unwrap()
}

#[test]
fn the_first_pass_is_oldest_first_and_complete() {
    let list = List::shared((1..=1234).map(|id| (id, 5000 - id)), 10_000);
    let app = serve(&list);
    let (ids, cursor) = pass(&Scope::Incremental, Cursor::START, 500);
    assert_eq!(ids, (1..=1234).collect::<Vec<_>>());
    // One question for the newest change, and pages of 100.
    assert_eq!(app.take_requests().len(), 1 + 13);

    // Nothing changed: one request, no records, the same cursor.
    let (ids, again) = pass(&Scope::Incremental, cursor.clone(), 500);
    assert_eq!((ids.len(), &again), (0, &cursor));
    assert_eq!(
        app.sent(),
        [format!(
            "GET {API}/people?fields=allFields&includeTrash=true&sort=-updated&limit=100&updatedAfter=2024-03-01T01%3A23%3A19Z"
        )]
    );
}

#[test]
fn a_page_holds_what_the_host_asks_for_and_the_total() {
    let list = List::shared((1..=1234).map(|id| (id, id)), 10_000);
    let _app = serve(&list);
    let page = first(500);
    assert_eq!(
        (page.items.len(), page.total, page.done),
        (500, Some(1234), false)
    );
    let page = FollowUpBoss::changes("people", Scope::Incremental, page.next, 500).unwrap();
    assert_eq!((page.items.len(), page.total), (500, Some(1234)));
    assert_eq!(first(30).items.len(), 30);
}

#[test]
fn a_call_repeated_with_its_cursor_goes_on_from_the_same_place() {
    let list = List::shared((1..=300).map(|id| (id, id)), 10_000);
    let _app = serve(&list);
    let cursor = first(100).next;
    let again =
        || FollowUpBoss::changes("people", Scope::Incremental, cursor.clone(), 100).unwrap();
    assert_eq!(again(), again());
}

#[test]
fn an_empty_account_is_read_at_once_and_again() {
    let list = List::shared([], 10_000);
    let _app = serve(&list);
    let (ids, cursor) = pass(&Scope::Incremental, Cursor::START, 500);
    assert!(ids.is_empty());
    list.borrow_mut().updated.insert(1, 10_001);
    assert_eq!(pass(&Scope::Incremental, cursor, 500).0, [1]);
}

#[test]
fn changes_while_sweeping_are_read_in_the_next_pass() {
    let list = List::shared((1..=1000).map(|id| (id, id)), 2000);
    list.borrow_mut().meanwhile = Some(|list, answered| {
        // Every page: somebody changes a record already read, one still to
        // come, and a new one appears.
        list.now += 1;
        let now = list.now;
        list.updated.insert(answered, now);
        list.updated.insert(1000 - answered, now);
        list.updated.insert(1000 + answered, now);
    });
    let _app = serve(&list);
    let (ids, cursor) = pass(&Scope::Incremental, Cursor::START, 100);
    let known: BTreeSet<u64> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len());
    assert!((1..=1000).all(|id| known.contains(&id)));

    list.borrow_mut().meanwhile = None;
    let changed: BTreeSet<u64> = pass(&Scope::Incremental, cursor, 100)
        .0
        .into_iter()
        .collect();
    let expected: BTreeSet<u64> = list
        .borrow()
        .updated
        .iter()
        .filter(|(_, updated)| **updated > 2000)
        .map(|(id, _)| *id)
        .collect();
    assert!(expected.len() > 30);
    assert!(expected.is_subset(&changed));
}

#[test]
fn thousands_that_share_a_second_are_all_read_whatever_next_stands_for() {
    for offsets in [false, true] {
        let list = List::shared((1..=50).map(|id| (id, id)), 10_000);
        let app = serve(&list);
        let cursor = pass(&Scope::Incremental, Cursor::START, 500).1;

        // A bulk edit; people are dropped from its middle while it is read.
        {
            let mut list = list.borrow_mut();
            list.offsets = offsets;
            list.updated.extend((1..=2321).map(|id| (id, 20_000)));
            list.now = 20_001;
        }
        let (ids, cursor) = pass(&Scope::Incremental, cursor, 500);
        assert_eq!(ids, (1..=2321).collect::<Vec<_>>());

        // Another one in the very same second, seen only now.
        list.borrow_mut().updated.insert(9999, 20_000);
        assert!(
            pass(&Scope::Incremental, cursor.clone(), 500)
                .0
                .contains(&9999)
        );

        // Minutes later nothing can appear there any more; idle polls are cheap.
        list.borrow_mut().now = 20_001 + 600;
        let cursor = pass(&Scope::Incremental, cursor, 500).1;
        app.take_requests();
        let (ids, again) = pass(&Scope::Incremental, cursor.clone(), 500);
        assert_eq!((ids.len(), again, app.requests().len()), (0, cursor, 1));
    }
}

#[test]
fn a_change_that_becomes_visible_late_is_read() {
    let list = List::shared([(1, 1000), (2, 1010)], 1011);
    let _app = serve(&list);
    let cursor = pass(&Scope::Incremental, Cursor::START, 500).1;
    // Made a minute before the newest that was seen.
    list.borrow_mut().updated.insert(3, 950);
    list.borrow_mut().now = 1020;
    assert!(pass(&Scope::Incremental, cursor, 500).0.contains(&3));
}

#[test]
fn changes_come_oldest_change_first() {
    let list = List::shared((1..=5).map(|id| (id, id)), 10_000);
    let _app = serve(&list);
    let cursor = pass(&Scope::Incremental, Cursor::START, 500).1;
    list.borrow_mut()
        .updated
        .extend([(2, 10_050), (5, 10_020), (1, 10_090)]);
    list.borrow_mut().now = 10_100;
    assert_eq!(pass(&Scope::Incremental, cursor, 500).0, [5, 2, 1]);
}

#[test]
fn the_trash_is_read_as_deleted() {
    let list = List::shared((1..=3).map(|id| (id, id)), 10_000);
    let _app = serve(&list);
    let cursor = pass(&Scope::Incremental, Cursor::START, 500).1;
    list.borrow_mut().trashed.insert(2);
    list.borrow_mut().updated.insert(2, 10_500);
    let page = FollowUpBoss::changes("people", Scope::Incremental, cursor, 500).unwrap();
    assert_eq!(page.items.len(), 1);
    assert!(page.items[0].deleted && page.items[0].id == "2");
}

#[test]
fn a_full_pass_reads_everything_by_id_without_a_cursor_at_its_end() {
    let list = List::shared((1..=777).map(|id| (id * 3, 5)), 10_000);
    let app = serve(&list);
    let (ids, cursor) = pass(&Scope::Full, Cursor::START, 250);
    assert_eq!(ids, (1..=777).map(|id| id * 3).collect::<Vec<_>>());
    assert_eq!(cursor, Cursor::START);
    assert!(
        app.sent()
            .iter()
            .all(|line| !line.contains("updatedAfter") && !line.contains("offset"))
    );
}

#[test]
fn a_refused_token_is_replaced_by_the_last_id() {
    let list = List::shared((1..=250).map(|id| (id, id)), 10_000);
    let page = {
        let _app = serve(&list);
        first(100)
    };
    let stale = Rc::clone(&list);
    let app = FakeApp::new()
        .answer(move |request| {
            Some(match request.query_value("next").as_deref() {
                Some("since 100") => {
                    Reply::json(400, r#"{"errorMessage": "Invalid value for 'next'."}"#)
                }
                _ => stale.borrow_mut().answer(request),
            })
        })
        .start();
    let (ids, _) = pass(&Scope::Incremental, page.next, 100);
    assert_eq!(ids, (101..=250).collect::<Vec<_>>());
    assert_eq!(
        app.requests()[1].query_value("idGreaterThan").as_deref(),
        Some("100")
    );
}

#[test]
fn what_was_read_before_a_failure_is_kept() {
    let list = List::shared((1..=1000).map(|id| (id, id)), 10_000);
    let served = Rc::clone(&list);
    let app = FakeApp::new()
        .answer(move |request| {
            let mut list = served.borrow_mut();
            match list.answered {
                3 => {
                    list.answered += 1;
                    Some(
                        Reply::json(429, r#"{"errorMessage": "Slow down."}"#)
                            .header("retry-after", "7"),
                    )
                }
                5 => {
                    list.answered += 1;
                    Some(Reply::failure(Failure::Timeout))
                }
                _ => Some(list.answer(request)),
            }
        })
        .start();
    let page = first(500);
    assert_eq!((page.items.len(), page.done), (200, false));
    let page = FollowUpBoss::changes("people", Scope::Incremental, page.next, 500).unwrap();
    assert_eq!(page.items.len(), 100);
    let (ids, _) = pass(&Scope::Incremental, page.next, 500);
    assert_eq!(ids, (301..=1000).collect::<Vec<_>>());
    assert!(app.requests().len() > 10);
}

#[test]
fn failures_without_anything_read_are_errors() {
    let read = |reply: Reply| {
        let _app = FakeApp::new()
            .on(&format!("GET {API}/people"), reply)
            .start();
        FollowUpBoss::changes("people", Scope::Incremental, Cursor::START, 500).unwrap_err()
    };
    assert_eq!(
        read(Reply::json(429, r#"{"errorMessage": "Slow down."}"#).header("Retry-After", "7")),
        Error::RateLimited {
            retry_after_ms: Some(7000),
            message: "Slow down.".into()
        }
    );
    for (reply, retryable) in [
        (Reply::json(503, "<html>"), true),
        (Reply::json(200, "<html>"), true),
        (Reply::json(200, r#"{"people": [{"id": 1}, {"id": "#), true),
        (Reply::json(200, r#"{"_metadata": {}}"#), true),
        (Reply::failure(Failure::Connection("reset".into())), true),
        (Reply::failure(Failure::TooLarge(8 << 20)), false),
        (
            Reply::json(400, r#"{"errorMessage": "Invalid sort field 'updated'."}"#),
            false,
        ),
    ] {
        let error = read(reply.clone());
        let Error::Upstream(upstream) = &error else {
            panic!("{reply:?}: {error}")
        };
        assert_eq!(
            (upstream.retryable, upstream.maybe_applied),
            (retryable, false),
            "{reply:?}"
        );
    }
    assert!(matches!(
        read(Reply::json(401, "{}")),
        Error::Unauthorized(_)
    ));
    assert!(matches!(read(Reply::json(403, "{}")), Error::Forbidden(_)));
    assert_eq!(
        read(Reply::failure(Failure::Budget(Some(900)))),
        Error::RateLimited {
            retry_after_ms: Some(900),
            message: "the host's budget for this app is used up".into()
        }
    );
}

#[test]
fn a_list_that_does_not_go_on_is_an_error_and_no_endless_loop() {
    let stuck = json!({"_metadata": {"next": "same"}, "people": [{"id": 1}]});
    let _app = FakeApp::new()
        .on(&format!("GET {API}/people"), Reply::json(200, stuck))
        .start();
    let result = FollowUpBoss::changes("people", Scope::Full, Cursor::START, 500);
    // The first page is kept; the call after it fails.
    let page = result.unwrap();
    let error = FollowUpBoss::changes("people", Scope::Full, page.next, 500).unwrap_err();
    assert!(matches!(error, Error::Upstream(_)), "{error}");
}

#[test]
fn a_page_of_records_without_ids_does_not_end_the_pass() {
    let route = format!("GET {API}/people");
    let _app = FakeApp::new()
        .on(
            &route,
            Reply::json(
                200,
                json!({"_metadata": {"next": "a"}, "people": [{"name": "x"}]}),
            ),
        )
        .on(
            &route,
            Reply::json(200, json!({"_metadata": {}, "people": [{"id": 5}]})),
        )
        .start();
    assert_eq!(pass(&Scope::Full, Cursor::START, 500).0, [5]);
}

#[test]
fn users_are_listed_by_id_with_the_deleted_ones() {
    let route = format!("GET {API}/users");
    let page = json!({"_metadata": {"total": 2}, "users": [
        {"id": 1, "updated": "2024-03-01T00:00:10Z", "status": "Active"},
        {"id": 2, "updated": "2024-03-01T00:00:00Z", "status": "Deleted"},
    ]});
    let app = FakeApp::new()
        .on(&route, Reply::json(200, page))
        .now_ms(START + 86_400_000)
        .start();
    let page = FollowUpBoss::changes("users", Scope::Incremental, Cursor::START, 500).unwrap();
    assert_eq!(
        page.items
            .iter()
            .map(|item| item.deleted)
            .collect::<Vec<_>>(),
        [false, true]
    );
    assert!(page.done);
    FollowUpBoss::changes("users", Scope::Incremental, page.next, 500).unwrap();
    assert_eq!(
        app.sent(),
        [
            format!("{route}?includeDeleted=true&sort=id&limit=100"),
            format!(
                "{route}?includeDeleted=true&sort=id&limit=100&updatedAfter=2024-03-01T00%3A00%3A10Z"
            ),
        ]
    );
}

#[test]
fn many_users_take_several_pages_and_since_is_never_too_late() {
    let route = format!("GET {API}/users");
    let user =
        |id: u64, second: u64| json!({"id": id, "updated": time::format(START + second * 1000)});
    let app = FakeApp::new()
        .on(
            &route,
            Reply::json(
                200,
                json!({"_metadata": {"next": "a"}, "users": [user(1, 50), user(2, 40)]}),
            ),
        )
        .on(
            &route,
            Reply::json(200, json!({"_metadata": {}, "users": [user(3, 90)]})),
        )
        .on(
            &route,
            Reply::json(200, json!({"_metadata": {}, "users": []})),
        )
        .now_ms(START + 86_400_000)
        .start();
    let page = FollowUpBoss::changes("users", Scope::Incremental, Cursor::START, 500).unwrap();
    assert_eq!(page.items.len(), 3);
    FollowUpBoss::changes("users", Scope::Incremental, page.next, 500).unwrap();
    let requests = app.requests();
    assert_eq!(requests[1].query_value("next").as_deref(), Some("a"));
    // Somebody on the first page may have changed after it was read.
    assert_eq!(
        requests[2].query_value("updatedAfter").as_deref(),
        Some("2024-03-01T00:00:50Z")
    );
}

#[test]
fn other_entities_and_scopes_are_unsupported() {
    let read = |entity, scope| FollowUpBoss::changes(entity, scope, Cursor::START, 1);
    for (entity, scope) in [
        ("lists", Scope::Full),
        ("offices", Scope::Incremental),
        ("notes", Scope::Parents(vec![])),
        ("textMessages", Scope::Full),
        ("emailMessages", Scope::Incremental),
    ] {
        let answer = read(entity, scope);
        assert!(matches!(answer, Err(Error::Unsupported(_))), "{entity}");
    }
}
