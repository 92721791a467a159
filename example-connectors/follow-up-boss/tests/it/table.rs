//! `mapping.md` says the truth: every row is tried out.

use std::collections::BTreeSet;

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Entities, Error, Write};
use serde_json::{Map, Value, json};

use crate::API;
use crate::manifest::manifest;
use crate::records::{read, where_from};

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
    for entity in manifest()["entities"].as_object().unwrap().keys() {
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
            .filter(|row| row.entity == *entity)
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
        "ids" => vec![
            (
                json!([{"id": 7, "name": "x"}, {"id": 0}, {}, {"id": "8"}]),
                json!(["7", "8"]),
            ),
            (json!([]), json!([])),
            (json!(null), Value::Null),
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
    const MOMENT: &str = "2026-03-01T10:00:00Z";
    let own = |value: Value| (value.clone(), json!({ row.theirs.as_str(): value }));
    if let Some(name) = row.writing.strip_prefix("as ") {
        return (json!(["7"]), json!({ name: [7] }));
    }
    match (row.entity.as_str(), row.field.as_str()) {
        ("people", "stageId") => return (json!("2"), json!({"stage": "Lead"})),
        ("appointments", "personId" | "userId") => {
            return (json!("7"), json!({"invitees": [{ row.field.as_str(): 7 }]}));
        }
        ("events", "personId") => return (json!("7"), json!({"person": {"id": 7}})),
        ("events", "occurredAt") => return (json!(MOMENT), json!({ "occurredAt": MOMENT })),
        ("pipelines", "stages") => {
            let stage = |id: Value| json!([{"id": id, "name": "x", "color": "#fff"}]);
            return (stage(json!("3")), json!({"stages": stage(json!(3))}));
        }
        _ => {}
    }
    match (row.reading.as_str(), row.writing.as_str()) {
        (_, "day") => (json!(MOMENT), json!({ row.theirs.as_str(): "2026-03-01" })),
        ("moment", _) => own(json!(MOMENT)),
        ("-", _) if row.field.ends_with("Id") => (json!("7"), json!({ row.theirs.as_str(): 7 })),
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
    let manifest = manifest();
    let mut tried = 0;
    for row in &rows() {
        let offer = &manifest["entities"][&row.entity];
        let verb = |verb: &str| offer["verbs"].as_array().unwrap().contains(&json!(verb));
        let none = Vec::new();
        let writable = offer["writable"].as_array().unwrap_or(&none);
        assert_eq!(
            writable.contains(&json!(row.field)),
            row.writing != "-",
            "{}.{} in the manifest",
            row.entity,
            row.field
        );
        if !verb("create") {
            continue;
        }

        let (path, _) = where_from(&row.entity);
        let stages = r#"{"stages": [{"id": 1, "name": "Other"}, {"id": 2, "name": "Lead"}]}"#;
        let record = || Reply::json(200, r#"{"id": 1}"#);
        let app = FakeApp::new()
            .on(&format!("GET {API}/stages"), Reply::json(200, stages))
            .on(&format!("GET {API}/{path}/1"), record())
            .on(&format!("PUT {API}/{path}/1"), record())
            .on(&format!("POST {API}/{path}"), record())
            .on(
                &format!("GET {API}/{path}"),
                Reply::json(200, format!(r#"{{"{path}": []}}"#)),
            )
            .start();
        let (ours, body) = sample(row);
        let write = Write::of(json!({ row.field.as_str(): ours }));
        let written = match verb("update") {
            true => FollowUpBoss::update(&row.entity, "1", write),
            false => FollowUpBoss::create(&row.entity, write),
        };
        if row.writing == "-" {
            let Err(Error::InvalidInput(issues)) = written else {
                panic!("{}.{} was written", row.entity, row.field);
            };
            assert_eq!(issues[0].pointer, format!("/{}", row.field));
            assert!(app.sent().is_empty());
        } else {
            written.unwrap();
            let requests = app.requests();
            let mut sent = requests.iter().filter(|request| request.writes());
            let sent = sent.next().unwrap().json_body();
            assert_eq!(sent, body, "{}.{}", row.entity, row.field);
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
}
