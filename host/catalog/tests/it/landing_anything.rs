//! Whatever a connector sends: reading never panics, what is read is what is stored, and JSON stays JSON.

use std::sync::Arc;

use proptest::prelude::*;
use rollout_catalog::{Cell, Entity, Landed, References};
use serde_json::{Map, Value, json};

use crate::{catalog, entity};

/// Lets ids be as they are, so that a record can be read again.
struct SameId;

impl References for SameId {
    fn id(&mut self, _: &str, upstream: &str) -> String {
        upstream.to_owned()
    }
}

/// The record as it would be served, without what the host adds.
fn served(entity: &Entity, landed: &Landed) -> String {
    let mut record = Map::new();
    for (column, cell) in entity.columns().iter().zip(&landed.cells) {
        let mut text = String::new();
        cell.push_json(&mut text);
        let value: Value = serde_json::from_str(&text).unwrap();
        match value {
            Value::Object(custom) if column.name == "customFields" => record.extend(custom),
            Value::Null if column.name == "customFields" => {}
            Value::Null
                if entity
                    .field(&column.name)
                    .is_some_and(|field| field.only.is_some()) => {}
            value => drop(record.insert(column.name.clone(), value)),
        }
    }
    Value::Object(record).to_string()
}

fn holds(entity: &Entity, body: &str) {
    let Ok(landed) = entity.land(body, &mut SameId) else {
        return;
    };
    assert_eq!(landed.cells.len(), entity.columns().len());
    for (column, cell) in entity.columns().iter().zip(&landed.cells) {
        use rollout_catalog::Kind;
        let fits = match (cell, column.kind) {
            (Cell::Null, _) => column.nullable,
            (Cell::Text(text), Kind::Text | Kind::DateTime) => !text.contains('\0'),
            (Cell::Number(number), Kind::Number) => number.is_finite(),
            (Cell::Integer(_), Kind::Integer) | (Cell::Bool(_), Kind::Boolean) => true,
            (Cell::Json(text), Kind::Json) => {
                !text.contains('\0')
                    && !text.contains("\\u0000")
                    && serde_json::from_str::<Value>(text).is_ok()
            }
            _ => false,
        };
        assert!(fits, "{} holds {cell:?}", column.name);
    }
    let again = entity
        .land(&served(entity, &landed), &mut SameId)
        .expect("what was read once is read again");
    assert_eq!(
        again,
        Landed {
            lenient: 0,
            cells: landed.cells
        },
        "read from {body}"
    );
}

/// Any JSON, with the texts and numbers that are likely to cause trouble.
fn anything() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3.0..3.0).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "0",
            "1",
            "true",
            "12.5",
            "2025-07-02",
            "2025-07-02T15:19:21.5+02:00",
            "\0",
            "\"\\"
        ])
        .prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Keys of nested objects: known ones, and any.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "value",
            "type",
            "isPrimary",
            "id",
            "street",
            "email",
            "customA",
            "x"
        ])
        .prop_map(str::to_owned),
        ".{0,4}",
    ]
}

/// An entity, and a record that has many of its fields, mostly with a value of the right type.
fn record() -> impl Strategy<Value = (Arc<Entity>, Value)> {
    let entities: Vec<_> = catalog().names().cloned().collect();
    prop::sample::select(entities).prop_flat_map(|entity| {
        let names: Vec<String> = entity
            .fields
            .iter()
            .map(|field| field.name.clone())
            .chain(["customA".into(), "customB".into()])
            .collect();
        let value = |entity: &Entity, name: &str| match entity.field(name) {
            Some(field) => prop_oneof![6 => plausible(&field.schema), 1 => anything()].boxed(),
            None => anything().boxed(),
        };
        let fields: Vec<_> = names
            .iter()
            .map(|name| (Just(name.clone()), prop::option::of(value(&entity, name))))
            .collect();
        let record = fields.prop_map(|fields| {
            Value::Object(
                fields
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
                    .collect(),
            )
        });
        (Just(entity.clone()), record)
    })
}

/// A value as the schema has it.
fn plausible(schema: &Value) -> BoxedStrategy<Value> {
    let is = |kind: &str| match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|known| known == kind),
        Some(known) => known == kind,
        None => false,
    };
    let mut value = if is("array") {
        prop::collection::vec(plausible(&schema["items"]), 0..4)
            .prop_map(Value::from)
            .boxed()
    } else if is("object") {
        let members: Vec<_> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, schema)| (Just(name.clone()), prop::option::of(plausible(schema))))
            .collect();
        members
            .prop_shuffle()
            .prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .filter_map(|(name, value)| Some((name, value?)))
                        .collect(),
                )
            })
            .boxed()
    } else if is("boolean") {
        prop_oneof![Just(json!(true)), Just(json!("0")), Just(json!(1))].boxed()
    } else if is("number") {
        any::<f64>().prop_map(Value::from).boxed()
    } else {
        prop_oneof![
            ".{0,12}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from)
        ]
        .boxed()
    };
    if is("null") {
        value = prop_oneof![3 => value, 1 => Just(Value::Null)].boxed();
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_read_from_what_was_read_are_the_same((entity, record) in record()) {
        holds(&entity, &record.to_string());
    }

    #[test]
    fn any_json_is_read_or_refused(value in anything()) {
        holds(&entity("people"), &value.to_string());
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[{}\[\]":,a-f0-9\\. eE+-]{0,60}"#) {
        holds(&entity("people"), &text);
    }

    #[test]
    fn a_record_cut_off_or_changed_anywhere_is_read_or_refused(at in 0..1054usize, byte in " -~") {
        let person = include_str!("../../examples/person.json");
        let people = entity("people");
        holds(&people, &person[..at]);
        holds(&people, &format!("{}{byte}{}", &person[..at], &person[at + 1..]));
    }
}
