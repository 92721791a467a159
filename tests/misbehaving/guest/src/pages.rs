//! Pages that would never end, are too large, or hold what is no record.

use rollout_connector::entities::crm::Person;
use rollout_connector::{Cursor, Error, Item, Page};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

pub(crate) fn cursor_stands_still() -> Result<Page, Error> {
    Page::more(vec![person("1")], &"here")
}

pub(crate) fn cursor_missing() -> Result<Page, Error> {
    Page::more(vec![person("1")], &())
}

pub(crate) fn cursor_huge() -> Result<Page, Error> {
    Page::more(vec![person("1")], &"x".repeat(1 << 20))
}

pub(crate) fn cursor_not_json() -> Result<Page, Error> {
    Page::more(vec![person("1")], &NotJson)
}

/// The cursor goes on, and the records are always the same.
pub(crate) fn same_page(cursor: &Cursor) -> Result<Page, Error> {
    let number: u64 = cursor.read()?.unwrap_or(0);
    Page::more(vec![person("1"), person("2")], &(number + 1))
}

/// The cursor goes on, and there are never any records.
pub(crate) fn empty_pages(cursor: &Cursor) -> Result<Page, Error> {
    let number: u64 = cursor.read()?.unwrap_or(0);
    Page::more(Vec::new(), &(number + 1))
}

pub(crate) fn too_many_items() -> Result<Page, Error> {
    Page::last((0..20_000).map(Item::new).collect(), &())
}

pub(crate) fn million_items() -> Result<Page, Error> {
    Page::last((0..1_000_000).map(Item::new).collect(), &())
}

/// Bodies that are not what the catalogue says, among two that are.
pub(crate) fn documents() -> Result<Page, Error> {
    let deep = format!("{{\"customDeep\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let large = format!("{{\"lastName\":\"{}\"}}", "x".repeat(3 << 20));
    let bodies = [
        ("object-for-text", r#"{"lastName":{"a":1}}"#),
        ("text-for-list", r#"{"tags":"Buyer"}"#),
        ("boolean-for-reference", r#"{"assignedUserId":true}"#),
        ("not-json", "{\"lastName\":"),
        ("empty", ""),
        ("list", "[]"),
        ("trailing", "{} {}"),
        ("deep", &deep),
        ("large", &large),
    ];
    let mut items = vec![person("first")];
    items.extend(bodies.map(|(id, body)| Item {
        body: body.to_owned(),
        ..Item::new(id)
    }));
    items.push(person(""));
    items.push(person(&"long-".repeat(200)));
    items.push(Item {
        native: Some("no JSON".to_owned()),
        ..person("native")
    });
    items.push(person("last"));
    Page::last(items, &())
}

fn person(id: &str) -> Item {
    Item::new(id).body(&Person {
        last_name: Some("Good".into()),
        ..Person::default()
    })
}

/// Is written as text that is not JSON: as raw values are, without their check.
struct NotJson;

impl Serialize for NotJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const RAW: &str = "$serde_json::private::RawValue";
        let mut raw = serializer.serialize_struct(RAW, 1)?;
        raw.serialize_field(RAW, "{not JSON")?;
        raw.end()
    }
}
