//! Whole records, hand-written and messy, with what becomes of them.

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply, assert_items};
use rollout_connector::{Cursor, Entities, Item, Scope};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::API;
use crate::manifest::manifest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    why: String,
    record: Box<RawValue>,
    id: Option<String>,
    updated_at: Option<u64>,
    #[serde(default)]
    expected: Value,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    skipped: bool,
}

/// Reads a page of these records.
pub(crate) fn read(entity: &str, records: &[&str]) -> Vec<Item> {
    let (path, scope) = where_from(entity);
    // The app's keys are small letters for several paths.
    let key = path.to_lowercase();
    let page = format!(
        r#"{{"_metadata":{{"collection":"{key}"}},"{key}":[{}]}}"#,
        records.join(",")
    );
    let _app = FakeApp::new()
        .on(&format!("GET {API}/{path}"), Reply::json(200, page))
        .start();
    let page = FollowUpBoss::changes(entity, scope, Cursor::START, 500).unwrap();
    assert_items(entity, &page.items);
    page.items
}

/// The app's path for an entity, and the scope in which all of it is listed.
pub(crate) fn where_from(entity: &str) -> (String, Scope) {
    let offer = &manifest()["entities"][entity];
    let scope = match offer["listing"].as_str() {
        Some("parent") => Scope::Parents(vec!["7".into()]),
        _ => Scope::Full,
    };
    (offer["resource"].as_str().unwrap().to_owned(), scope)
}

fn check(entity: &str, fixture: &str) -> usize {
    let cases: Vec<Case> = serde_json::from_str(fixture).unwrap();
    let records: Vec<&str> = cases.iter().map(|case| case.record.get()).collect();
    let mut items = read(entity, &records).into_iter();
    for case in cases.iter().filter(|case| !case.skipped) {
        let item = items.next().expect(&case.why);
        assert_eq!(Some(&item.id), case.id.as_ref(), "{}", case.why);
        assert_eq!(
            item.native.as_deref(),
            Some(case.record.get()),
            "{}",
            case.why
        );
        assert_eq!(
            item.updated_at,
            case.updated_at.or(item.updated_at),
            "{}",
            case.why
        );
        assert_eq!(item.deleted, case.deleted, "{}", case.why);
        if !case.deleted {
            assert_eq!(item.document(), case.expected, "{}", case.why);
        }
    }
    assert_eq!(items.next(), None);
    cases.len()
}

#[test]
fn people_are_mapped() {
    assert!(check("people", include_str!("../fixtures/people.json")) >= 39);
}

#[test]
fn all_entities_are_mapped() {
    for entity in manifest()["entities"].as_object().unwrap().keys() {
        let fixture = format!(
            "{}/tests/fixtures/{entity}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let cases = std::fs::read_to_string(fixture).expect(entity);
        assert!(check(entity, &cases) >= 3, "{entity}");
    }
}

#[test]
fn half_an_emoji_costs_that_character_only() {
    let items = read(
        "people",
        &[
            r#"{"id":1,"name":"cut \ud83d","customX":"\ude00"}"#,
            r#"{"id":2,"name":"\ud83d\ude00"}"#,
        ],
    );
    assert_eq!(
        items[0].document(),
        json!({"name": "cut \u{fffd}", "customX": "\u{fffd}"})
    );
    assert_eq!(
        items[0].native.as_deref(),
        Some(r#"{"id":1,"name":"cut \ufffd","customX":"\ufffd"}"#)
    );
    assert_eq!(items[1].document(), json!({"name": "😀"}));
}
