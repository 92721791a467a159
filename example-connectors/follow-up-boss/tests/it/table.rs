//! `mapping.md` says the truth: every row is tried out.

use std::collections::BTreeSet;

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Entities, Error, Manifest, Write};
use serde_json::{Map, Value, json};

use crate::API;
use crate::records::read;

const TABLE: &str = include_str!("../../mapping.md");

struct Row {
    entity: String,
    field: String,
    theirs: String,
    reading: String,
    writing: String,
}

fn rows() -> Vec<Row> {
    let mut entity = String::new();
    let mut rows = Vec::new();
    for line in TABLE.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            entity = name.to_owned();
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let [field, theirs, reading, writing, _] = cells[..]
            && line.starts_with('|')
            && field != "field"
            && field != "---"
        {
            rows.push(Row {
                entity: entity.clone(),
                field: field.to_owned(),
                theirs: theirs.to_owned(),
                reading: reading.to_owned(),
                writing: writing.to_owned(),
            });
        }
    }
    rows
}

fn catalogue(entity: &str) -> Value {
    let path = format!(
        "{}/../../wit/entities/crm/{entity}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_field_of_the_catalogue_has_a_row() {
    for entity in ["people", "users", "notes", "tasks"] {
        let schema = catalogue(entity);
        let fields: BTreeSet<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, field)| field["x-host"] != json!(true))
            .map(|(name, _)| name.as_str())
            .collect();
        let rows = rows();
        let listed: BTreeSet<&str> = rows
            .iter()
            .filter(|row| row.entity == entity)
            .map(|row| row.field.as_str())
            .collect();
        assert_eq!(listed, fields, "{entity}");
    }
}

/// What the app may send for a rule, and what is then in the record.
fn probes(rule: &str) -> Vec<(Value, Value)> {
    match rule {
        "text" => vec![
            (json!("x y"), json!("x y")),
            (json!(""), json!("")),
            (json!(5), json!("5")),
            (json!(null), Value::Null),
            (json!({"a": 1}), Value::Null),
        ],
        "id" => vec![
            (json!(7), json!("7")),
            (json!("7"), json!("7")),
            (json!(0), Value::Null),
            (json!(""), Value::Null),
            (json!(null), Value::Null),
            (json!([7]), Value::Null),
        ],
        "moment" => vec![
            (json!("2025-07-02T15:19:21Z"), json!("2025-07-02T15:19:21Z")),
            (json!("2025-07-02 15:19:21"), json!("2025-07-02T15:19:21Z")),
            (json!("2025-07-02"), json!("2025-07-02")),
            (json!("soon"), Value::Null),
            (json!(null), Value::Null),
        ],
        "flag" => vec![
            (json!(0), json!(false)),
            (json!(1), json!(true)),
            (json!(true), json!(true)),
            (json!(null), Value::Null),
            (json!("perhaps"), Value::Null),
        ],
        "number" => vec![
            (json!(449_000), json!(449_000)),
            (json!(0.5), json!(0.5)),
            (json!("12"), json!(12)),
            (json!(null), Value::Null),
            (json!("12 apples"), Value::Null),
        ],
        "texts" => vec![
            (json!(["a", {"name": "b"}, null]), json!(["a", "b"])),
            (json!(null), json!([])),
        ],
        "contacts" => vec![
            (
                json!([{"value": "a", "type": "home", "isPrimary": 1, "other": 2}]),
                json!([{"value": "a", "type": "home", "isPrimary": true}]),
            ),
            (json!(null), json!([])),
        ],
        "addresses" => vec![
            (
                json!([{"city": "Austin", "code": 78701, "other": 2}]),
                json!([{"city": "Austin", "code": "78701"}]),
            ),
            (json!(null), json!([])),
        ],
        "special" => vec![],
        rule => panic!("unknown rule {rule}"),
    }
}

#[test]
fn every_row_reads_as_it_says() {
    let mut tried = 0;
    for row in rows().iter().filter(|row| row.reading != "-") {
        for (sent, expected) in probes(&row.reading) {
            let record = Value::from(Map::from_iter([
                ("id".to_owned(), json!(1)),
                (row.theirs.clone(), sent.clone()),
            ]));
            let document = read(&row.entity, &[&record.to_string()])[0].document();
            assert_eq!(
                document[&row.field], expected,
                "{}.{} of {sent}",
                row.entity, row.field
            );
            tried += 1;
        }
    }
    assert!(tried > 100);
}

/// A value that the catalogue accepts for a field, and the app's body for it.
fn sample(row: &Row) -> (Value, Value) {
    let own = |value: Value| (value.clone(), json!({ row.theirs.as_str(): value }));
    match (row.reading.as_str(), row.field.as_str()) {
        (_, "stageId") => (json!("2"), json!({"stage": "Lead"})),
        (_, "dueDateTime") => (
            json!("2026-03-01T10:00:00Z"),
            json!({"dueDateTime": "2026-03-01T10:00:00Z"}),
        ),
        ("id", _) => (json!("7"), json!({ row.theirs.as_str(): 7 })),
        ("number", _) => own(json!(7.5)),
        ("flag", _) => own(json!(true)),
        ("texts", _) => own(json!(["a"])),
        ("contacts", _) => (
            json!([{"value": "a", "isPrimary": true}]),
            json!({ row.theirs.as_str(): [{"value": "a"}] }),
        ),
        ("addresses", _) => own(json!([{"city": "Austin"}])),
        _ => own(json!("x")),
    }
}

#[test]
fn every_row_writes_as_it_says() {
    let manifest: Value = serde_json::from_str(&FollowUpBoss::describe()).unwrap();
    let rows = rows();
    for row in rows.iter().filter(|row| row.entity != "users") {
        let writable = manifest["entities"][&row.entity]["writable"]
            .as_array()
            .unwrap();
        assert_eq!(
            writable.contains(&json!(row.field)),
            row.writing != "-",
            "{} in the manifest",
            row.field
        );

        let app = FakeApp::new()
            .on(
                &format!("GET {API}/stages"),
                Reply::json(
                    200,
                    r#"{"stages": [{"id": 1, "name": "Other"}, {"id": 2, "name": "Lead"}]}"#,
                ),
            )
            .on(
                &format!("PUT {API}/{}/1", row.entity),
                Reply::json(200, r#"{"id": 1}"#),
            )
            .on(
                &format!("GET {API}/{}", row.entity),
                Reply::json(200, format!(r#"{{"{}": []}}"#, row.entity)),
            )
            .start();
        let (ours, body) = sample(row);
        let written = FollowUpBoss::update(
            &row.entity,
            "1",
            Write::of(json!({ row.field.as_str(): ours })),
        );
        if row.writing == "-" {
            let Err(Error::InvalidInput(issues)) = written else {
                panic!("{} was written", row.field);
            };
            assert_eq!(issues[0].pointer, format!("/{}", row.field));
            assert!(app.sent().is_empty());
        } else {
            written.unwrap();
            let requests = app.requests();
            let put = requests
                .iter()
                .find(|request| request.method == "PUT")
                .unwrap();
            assert_eq!(put.json_body(), body, "{}", row.field);
        }
    }
}
