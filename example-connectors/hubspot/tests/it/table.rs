//! `mapping.md` says the truth: every row is tried out.

use std::collections::BTreeSet;

use hubspot::HubSpot;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Entities, Error, Write};
use serde_json::{Map, Value, json};

use crate::CONTACTS;
use crate::manifest::manifest;
use crate::reading::read;

const TABLE: &str = include_str!("../../mapping.md");

struct Row {
    field: &'static str,
    theirs: Vec<&'static str>,
    reading: &'static str,
    writing: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| "));
    let rows = lines.filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [field, theirs, reading, writing, _] = cells[..] else {
            panic!("{line}");
        };
        let theirs = theirs.split(", ").filter(|name| *name != "-").collect();
        (!["field", "---"].contains(&field)).then_some(Row {
            field,
            theirs,
            reading,
            writing,
        })
    });
    rows.collect()
}

#[test]
fn every_field_of_the_catalogue_has_a_row() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../wit/entities/crm/people.json"
    );
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let fields = schema["properties"].as_object().unwrap().iter();
    let fields: BTreeSet<&str> = fields
        .filter(|(_, field)| field["x-host"] != json!(true))
        .map(|(name, _)| name.as_str())
        .collect();
    let rows = rows();
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.field).collect();
    assert_eq!(listed, fields);
}

/// What the app may send for a rule, and what is then in the record.
fn probes(rule: &str) -> Vec<(Value, Value)> {
    match rule {
        "text" => vec![
            (json!("x y"), json!("x y")),
            (json!(""), Value::Null),
            (json!(5), json!("5")),
            (Value::Null, Value::Null),
            (json!({"a": 1}), Value::Null),
        ],
        "id" => vec![
            (json!("7"), json!("7")),
            (json!(7), json!("7")),
            (json!(""), Value::Null),
            (Value::Null, Value::Null),
        ],
        "moment" => vec![
            (
                json!("2025-07-02T15:19:21.000Z"),
                json!("2025-07-02T15:19:21Z"),
            ),
            (json!("1751469561000"), json!("2025-07-02T15:19:21Z")),
            (json!(1_751_469_561_000_u64), json!("2025-07-02T15:19:21Z")),
            (json!("soon"), Value::Null),
            (Value::Null, Value::Null),
        ],
        rule => panic!("unknown rule {rule}"),
    }
}

/// The one value that each special rule makes of its properties.
fn special(field: &str) -> (Value, Value) {
    match field {
        "name" => (
            json!({"firstname": "Ada", "lastname": "King"}),
            json!("Ada King"),
        ),
        "addresses" => (
            json!({"address": "S", "city": "C", "state": "T", "zip": "Z", "country": "L"}),
            json!([{"street": "S", "city": "C", "state": "T", "code": "Z", "country": "L"}]),
        ),
        "emails" => (
            json!({"email": "a@x.example", "hs_additional_emails": "b@x.example"}),
            json!([{"value": "a@x.example", "isPrimary": true}, {"value": "b@x.example", "isPrimary": false}]),
        ),
        "phones" => (
            json!({"phone": "1", "mobilephone": "2"}),
            json!([{"value": "1", "isPrimary": true}, {"value": "2", "type": "mobile", "isPrimary": false}]),
        ),
        field => panic!("{field} has no special rule"),
    }
}

fn document(properties: &Value) -> Value {
    read(&[json!({"id": "1", "properties": properties})])[0].document()
}

#[test]
fn every_row_reads_as_it_says() {
    let mut tried = 0;
    for row in rows().iter().filter(|row| row.reading != "-") {
        if row.reading == "special" {
            let (properties, expected) = special(row.field);
            for property in &row.theirs {
                assert!(properties.get(property).is_some(), "{property}");
            }
            assert_eq!(document(&properties)[row.field], expected, "{}", row.field);
            tried += 1;
            continue;
        }
        for (sent, expected) in probes(row.reading) {
            let properties = Map::from_iter([(row.theirs[0].to_owned(), sent.clone())]);
            let document = document(&properties.into());
            assert_eq!(document[row.field], expected, "{} of {sent}", row.field);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn every_row_writes_as_it_says() {
    let writable = manifest()["entities"]["people"]["writable"].clone();
    for row in &rows() {
        let named = writable.as_array().unwrap().contains(&json!(row.field));
        assert_eq!(named, row.writing != "-", "{} in the manifest", row.field);
        let app = FakeApp::of::<HubSpot>()
            .on(
                &format!("PATCH {CONTACTS}/1"),
                Reply::json(200, json!({"id": "1"})),
            )
            .start();
        // What is read of some properties writes the same properties.
        let (ours, theirs) = match row.writing {
            "special" => {
                let (properties, value) = special(row.field);
                (value, properties)
            }
            "yes" => (json!("7"), json!({ row.theirs[0]: "7" })),
            _ => (json!("x"), Value::Null),
        };
        let written = HubSpot::update("people", "1", Write::of(json!({ row.field: ours })));
        if row.writing == "-" {
            let Err(Error::InvalidInput(issues)) = written else {
                panic!("{} was written", row.field);
            };
            assert_eq!(issues[0].pointer, format!("/{}", row.field));
            assert!(app.requests().is_empty());
        } else {
            written.unwrap();
            assert_eq!(
                app.requests()[0].json_body()["properties"],
                theirs,
                "{}",
                row.field
            );
        }
    }
}
