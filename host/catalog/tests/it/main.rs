//! The crate's tests, one file per subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs
)]

mod bodies;
mod catalogue;
mod documented;
mod landing;
mod landing_anything;
mod manifest_automations;
mod manifest_oauth;
mod manifests;
mod openapi_document;
mod sdk;

use std::sync::Arc;

use rollout_catalog::{Cell, Entity, EntityFile, Landed, References, Reject};

pub fn catalog() -> rollout_catalog::Catalog {
    rollout_catalog::Catalog::embedded().unwrap()
}

pub fn entity(name: &str) -> Arc<Entity> {
    Arc::clone(catalog().by_name(name).unwrap())
}

/// An entity of its own for a test, with these properties.
pub fn made_of(properties: &str, custom_fields: bool) -> Arc<Entity> {
    let text = file(
        r#""collection": "things", "order": 1"#,
        properties,
        custom_fields,
    );
    let things = EntityFile {
        category: "crm",
        name: "things",
        text: &text,
    };
    Arc::clone(
        rollout_catalog::Catalog::of([things])
            .unwrap()
            .by_name("things")
            .unwrap(),
    )
}

/// The text of an entity file.
pub fn file(head: &str, properties: &str, custom_fields: bool) -> String {
    format!(
        r#"{{ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Thing", "description": "A thing.",
           "type": "object", "x-entity": {{ {head} }}, "x-custom-fields": {custom_fields},
           "properties": {{ {properties} }} }}"#
    )
}

/// Gives `entity:id`, so that tests see that an id was translated, and for whom.
pub struct Prefixed;

impl References for Prefixed {
    fn id(&mut self, entity: &str, upstream: &str) -> String {
        format!("{entity}:{upstream}")
    }
}

pub fn land(entity: &Entity, body: &str) -> Result<Landed, Reject> {
    entity.land(body, &mut Prefixed)
}

/// The cell of a column.
pub fn cell<'a>(entity: &Entity, landed: &'a Landed, column: &str) -> &'a Cell {
    assert_eq!(entity.columns().len(), landed.cells.len());
    let at = entity
        .columns()
        .iter()
        .position(|known| known.name == column)
        .unwrap();
    &landed.cells[at]
}

/// The only column's cell, as JSON text.
pub fn json_of(entity: &Entity, body: &str) -> Result<String, Reject> {
    let landed = land(entity, body)?;
    let mut out = String::new();
    landed.cells[0].push_json(&mut out);
    Ok(out)
}
