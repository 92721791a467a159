//! The connector against a fake app. The answers in `fixtures` are written after the
//! app's documentation; replace them by real ones, without the names in them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use rollout_connector::testing::{FakeApp, Reply, assert_items, assert_manifest};
use serde_json::{Value, json};

use super::*;

const CONTACTS: &str = "GET https://api.tinycrm.example/v2/contacts";

/// Reads an entity from its first page to its last; two calls at most.
fn all(entity: &str, cursor: Cursor) -> (Vec<Item>, Cursor) {
    let first = TinyCrm::changes(entity, Scope::Incremental, cursor, 2).unwrap();
    if first.done {
        return (first.items, first.next);
    }
    let last = TinyCrm::changes(entity, Scope::Incremental, first.next, 2).unwrap();
    assert!(last.done);
    ([first.items, last.items].concat(), last.next)
}

#[test]
fn the_manifest_is_right() {
    assert_manifest::<TinyCrm>();
    let manifest: Value = serde_json::from_str(&TinyCrm::describe()).unwrap();
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn an_account_is_known_by_its_id() {
    let app = FakeApp::of::<TinyCrm>()
        .on(
            "GET https://api.tinycrm.example/v2/me",
            Reply::fixture(200, "fixtures/me.json"),
        )
        .start();
    let account = TinyCrm::probe().unwrap();
    assert_eq!(account, Account::new(4711, "Lovelace & Co"));
    assert!(app.requests()[0].authenticate);
}

#[test]
fn a_refused_key_is_said_to_be_refused() {
    let _app = FakeApp::of::<TinyCrm>()
        .answer(|_| Some(Reply::json(401, r#"{"message": "unknown key"}"#)))
        .start();
    assert_eq!(
        TinyCrm::probe(),
        Err(Error::Unauthorized("unknown key".into()))
    );
}

#[test]
fn people_are_read_page_by_page() {
    let app = FakeApp::of::<TinyCrm>()
        .on(CONTACTS, Reply::fixture(200, "fixtures/contacts-1.json"))
        .on(CONTACTS, Reply::fixture(200, "fixtures/contacts-2.json"))
        .start();
    let (people, _) = all("people", Cursor::START);
    assert_items("people", &people);
    assert_eq!(
        app.requests()[1].query_value("cursor").as_deref(),
        Some("c2luY2UgOA")
    );

    let bodies: Vec<Value> = people.iter().map(Item::document).collect();
    assert_eq!(
        bodies[0],
        json!({
            "firstName": "Ada",
            "lastName": "Lovelace",
            "assignedUserId": "1",
            "emails": [{ "value": "ada@example.com", "type": "work" }],
            "phones": [{ "value": "+44 20 7946 0958" }],
            "tags": ["Buyer"],
            "created": "2026-02-27T07:30:00Z",
            "updated": "2026-03-01T09:00:00Z"
        })
    );
    assert_eq!(bodies[1]["assignedUserId"], Value::Null);
    assert_eq!(bodies[2]["lastName"], "Müller-Šimić");
}

#[test]
fn the_next_pass_asks_for_changes_only() {
    let app = FakeApp::of::<TinyCrm>()
        .answer(|_| {
            let page = Reply::json(200, r#"{"data": [], "next": null}"#);
            Some(page.header("date", "Sun, 01 Mar 2026 09:03:00 GMT"))
        })
        .start();
    let (_, cursor) = all("people", Cursor::START);
    all("people", cursor);
    let since: Vec<_> = app
        .requests()
        .iter()
        .map(|request| request.query_value("updated_since"))
        .collect();
    assert_eq!(since, [None, Some("2026-03-01T09:00:00Z".to_owned())]);
}

#[test]
fn users_are_read() {
    let _app = FakeApp::of::<TinyCrm>()
        .on(
            "GET https://api.tinycrm.example/v2/staff",
            Reply::fixture(200, "fixtures/staff.json"),
        )
        .start();
    let (users, _) = all("users", Cursor::START);
    assert_items("users", &users);
    assert_eq!(users[1].document()["email"], "caroline@tinycrm.example");
}

#[test]
fn records_that_are_not_there_are_absent() {
    let _app = FakeApp::of::<TinyCrm>()
        .on(
            "GET https://api.tinycrm.example/v2/contacts/10",
            Reply::fixture(200, "fixtures/contact.json"),
        )
        .answer(|_| Some(Reply::empty(404)))
        .start();
    let people = TinyCrm::get("people", &["10".into(), "11".into()]).unwrap();
    assert_eq!(people.len(), 1);
    assert_items("people", &people);
}

#[test]
fn what_is_written_is_said_in_the_apps_words() {
    let app = FakeApp::of::<TinyCrm>()
        .answer(|_| Some(Reply::fixture(200, "fixtures/contact.json")))
        .start();
    let write = Write::of(json!({
        "firstName": "Grace",
        "assignedUserId": "2",
        "emails": [{ "value": "grace@example.com", "type": "home" }]
    }));
    let Written::Item(made) = TinyCrm::create("people", write).unwrap() else {
        unreachable!("the app answers with the record");
    };
    assert_eq!(made.id, "10");
    TinyCrm::update("people", "10", Write::of(json!({ "assignedUserId": null }))).unwrap();

    assert_eq!(
        app.sent(),
        [
            "POST https://api.tinycrm.example/v2/contacts",
            "PATCH https://api.tinycrm.example/v2/contacts/10",
        ]
    );
    assert_eq!(
        app.requests()[0].json_body(),
        json!({
            "first": "Grace",
            "owner_id": 2,
            "emails": [{ "address": "grace@example.com", "kind": "home" }]
        })
    );
    assert_eq!(app.requests()[1].json_body(), json!({ "owner_id": null }));
}

#[test]
fn complaints_point_at_the_callers_field() {
    let _app = FakeApp::of::<TinyCrm>()
        .answer(|_| {
            let body = r#"{"field": "emails.0.address", "message": "is no address"}"#;
            Some(Reply::json(422, body))
        })
        .start();
    let write = || Write::of(json!({ "emails": [{ "value": "nobody" }] }));
    assert_eq!(
        TinyCrm::create("people", write()),
        Err(Error::invalid("/emails/0/value", "is no address"))
    );
    let stranger = Write::of(json!({ "assignedUserId": "x" }));
    assert_eq!(
        TinyCrm::update("people", "10", stranger),
        Err(Error::invalid("/assignedUserId", "`x` is no id of the app"))
    );
}
