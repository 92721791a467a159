//! Reading single records.

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Entities, Error};
use serde_json::{Value, json};

use crate::API;

fn ids(ids: impl IntoIterator<Item = u64>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

#[test]
fn people_are_read_by_the_hundred_with_the_trash() {
    let app = FakeApp::new()
        .answer(|request| {
            let wanted = request.query_value("id")?;
            let people: Vec<Value> = wanted
                .split(',')
                .map(|id| id.parse::<u64>().unwrap())
                .filter(|id| *id != 3)
                .map(|id| json!({"id": id, "stage": if id == 2 { "Trash" } else { "Lead" }}))
                .collect();
            Some(Reply::json(200, json!({"people": people})))
        })
        .start();
    let items = FollowUpBoss::get("people", &ids(1..=250)).unwrap();
    // 3 is unknown, 2 is deleted.
    assert_eq!(items.len(), 249);
    assert!(items[1].deleted && !items[2].deleted);
    let requests = app.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.query_value("includeTrash").as_deref(), Some("true"));
        assert_eq!(request.query_value("fields").as_deref(), Some("allFields"));
        assert_eq!(request.query_value("limit").as_deref(), Some("100"));
    }
}

#[test]
fn a_single_note_is_read_by_its_path() {
    let app = FakeApp::new()
        .on(
            &format!("GET {API}/notes/5"),
            Reply::json(200, r#"{"id": 5, "body": "x"}"#),
        )
        .on(
            &format!("GET {API}/notes/6"),
            Reply::json(404, r#"{"errorMessage": "Note not found."}"#),
        )
        .start();
    assert_eq!(
        FollowUpBoss::get("notes", &ids([5])).unwrap()[0].document(),
        json!({"body": "x"})
    );
    // Restricted notes are "not found" too, so this is no proof of deletion.
    assert!(FollowUpBoss::get("notes", &ids([6])).unwrap().is_empty());
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn records_that_were_not_asked_for_are_dropped() {
    let page = json!({"tasks": [{"id": 1}, {"id": 2}, {"id": 3}]});
    let app = FakeApp::new()
        .on(&format!("GET {API}/tasks"), Reply::json(200, page))
        .start();
    let items = FollowUpBoss::get("tasks", &ids([1, 3])).unwrap();
    assert_eq!(
        items
            .iter()
            .map(|item| item.id.as_str())
            .collect::<Vec<_>>(),
        ["1", "3"]
    );
    assert_eq!(app.requests()[0].query_value("ids").as_deref(), Some("1,3"));
}

#[test]
fn the_list_is_found_whatever_its_key_is_called() {
    for page in [
        json!({"_metadata": {}, "People": [{"id": 1}]}),
        json!({"_metadata": {"tags": ["x"]}, "persons": [{"id": 1}]}),
        json!({"people": [{"id": 1}], "_metadata": {}}),
    ] {
        let _app = FakeApp::new()
            .on(&format!("GET {API}/people"), Reply::json(200, &page))
            .start();
        assert_eq!(
            FollowUpBoss::get("people", &ids([1])).unwrap().len(),
            1,
            "{page}"
        );
    }
}

#[test]
fn one_failing_batch_fails_the_call() {
    let route = format!("GET {API}/people");
    let _app = FakeApp::new()
        .on(&route, Reply::json(200, r#"{"people": []}"#))
        .on(&route, Reply::json(500, "oops"))
        .start();
    assert!(matches!(
        FollowUpBoss::get("people", &ids(1..=150)),
        Err(Error::Upstream(_))
    ));
    assert!(FollowUpBoss::get("people", &[]).unwrap().is_empty());
}
