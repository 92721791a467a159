//! The catalogue as a whole, and what is refused when somebody edits the entity files.

use rollout_catalog::{Catalog, CatalogError, Category, EntityFile, Kind, Verb};

use crate::{catalog, cell, file, land, made_of};

#[test]
fn entities_are_found_by_category_path_and_name() {
    let catalog = catalog();
    assert!(
        catalog
            .categories()
            .any(|category| category == Category::Crm)
    );
    let people = catalog.entity(Category::Crm, "people").unwrap();
    assert_eq!(
        (
            people.table.as_str(),
            people.collection.as_str(),
            people.core
        ),
        ("rollout_people", "people", true)
    );
    assert_eq!(
        catalog.by_name("notes").unwrap().flag.as_deref(),
        Some("notes")
    );
    assert!(catalog.entity(Category::Calendar, "people").is_none());
    let order: Vec<_> = catalog
        .entities_of(Category::Crm)
        .map(|entity| entity.order)
        .collect();
    assert!(order.is_sorted());
    assert_eq!(people.fields.first().unwrap().name, "id");
    assert_eq!(people.field("firstName").unwrap().key, r#""firstName":"#);
}

#[test]
fn flags_are_those_of_the_catalogue_and_the_documented_ones() {
    let catalog = catalog();
    let flags: Vec<_> = catalog.flags().collect();
    assert!(flags.is_sorted());
    for flag in [
        "notes",
        "tasks",
        "textMessages",
        "offices",
        "borrowers",
        "properties",
        "timeframes",
    ] {
        assert!(flags.contains(&flag), "{flag}");
    }
    assert!(!flags.contains(&"people") && !flags.contains(&"users"));
}

#[test]
fn tables_hold_what_is_served_and_nothing_else() {
    let catalog = catalog();
    let people = catalog
        .tables()
        .iter()
        .find(|table| table.name == "rollout_people")
        .unwrap();
    let names: Vec<_> = people
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names.first(), Some(&"id"));
    assert_eq!(names.last(), Some(&"customFields"));
    for stored in [
        "originalIds",
        "original",
        "rolloutUpdated",
        "emails",
        "updated",
    ] {
        assert!(names.contains(&stored), "{stored}");
    }
    assert!(!names.contains(&"rating"));
    let kind = |name: &str| {
        people
            .columns
            .iter()
            .find(|column| column.name == name)
            .unwrap()
            .kind
    };
    assert_eq!(kind("updated"), Kind::DateTime);
    assert_eq!(kind("averagePrice"), Kind::Number);
    assert_eq!(kind("original"), Kind::Json);
}

const HEAD: &str = r#""collection": "things", "order": 1"#;

fn of(files: &[(&str, &str, &str)]) -> Result<Catalog, CatalogError> {
    Catalog::of(files.iter().map(|(category, name, text)| EntityFile {
        category,
        name,
        text,
    }))
}

#[test]
fn entities_of_one_name_share_a_table_and_a_record() {
    let crm = file(
        HEAD,
        r#""a": { "type": ["string", "null"] },
           "address": { "type": "object", "properties": { "city": { "type": ["string", "null"] } } }"#,
        true,
    );
    let los = file(
        r#""collection": "things", "order": 5, "core": true"#,
        r#""b": { "type": "number" }, "a": { "type": "string" },
           "address": { "type": "object", "properties": { "county": { "type": ["string", "null"] } } }"#,
        false,
    );
    let catalog = of(&[("crm", "things", &crm), ("los", "things", &los)]).unwrap();
    let [table] = catalog.tables() else {
        panic!("one table")
    };
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.nullable))
        .collect();
    assert_eq!(
        columns,
        [
            ("a", false),
            ("address", false),
            ("b", false),
            ("customFields", true)
        ]
    );

    let joint = catalog.by_name("things").unwrap();
    assert_eq!(joint.categories, [Category::Crm, Category::Los]);
    assert!(joint.core);
    let landed = land(joint, r#"{"b":1,"address":{"county":"Kent"},"customX":1}"#).unwrap();
    let text = |column| {
        let mut out = String::new();
        cell(joint, &landed, column).push_json(&mut out);
        out
    };
    assert_eq!(
        [text("a"), text("b"), text("address")],
        ["\"\"", "1", r#"{"city":null,"county":"Kent"}"#]
    );

    let own = catalog.entity(Category::Los, "things").unwrap();
    assert_eq!(own.categories, [Category::Los]);
    assert!(!own.custom_fields && joint.custom_fields);
}

#[test]
fn a_column_has_one_kind() {
    let crm = file(HEAD, r#""price": { "type": "number" }"#, false);
    let tms = file(HEAD, r#""price": { "type": "string" }"#, false);
    assert_eq!(
        of(&[("crm", "things", &crm), ("tms", "things", &tms)])
            .unwrap_err()
            .to_string(),
        "wit/entities/tms/things.json: /properties/price: is text, but the table rollout_things has it as a number"
    );
}

#[test]
fn tables_are_named_in_snake_case_and_verbs_may_be_few() {
    let field = r#""a": { "type": "string" }"#;
    let texts = file(
        r#""collection": "textmessages", "order": 1, "verbs": ["list", "get"]"#,
        field,
        false,
    );
    let lists = file(r#""collection": "smart-lists", "order": 2"#, field, false);
    let catalog = of(&[
        ("crm", "textMessages", &texts),
        ("crm", "smart-lists", &lists),
    ])
    .unwrap();
    let names: Vec<_> = catalog
        .tables()
        .iter()
        .map(|table| table.name.as_str())
        .collect();
    assert_eq!(names, ["rollout_smart_lists", "rollout_text_messages"]);
    assert_eq!(
        catalog.by_name("textMessages").unwrap().verbs,
        [Verb::List, Verb::Get]
    );
    assert_eq!(catalog.by_name("smart-lists").unwrap().verbs, Verb::ALL);
}

#[test]
fn mistakes_in_the_files_are_named() {
    let message = |properties: &str| {
        let text = file(HEAD, properties, true);
        of(&[("crm", "things", &text)])
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    for (properties, expected) in [
        (
            r#""a": { "type": "string", "x-hots": true }"#,
            "/properties/a: unknown field `x-hots`",
        ),
        (r#""a": { "type": "text" }"#, "/properties/a: "),
        (
            r#""a": { "type": "string", "format": "email" }"#,
            "/properties/a: `format` is email",
        ),
        (
            r#""a": { "type": "string", "items": {} }"#,
            "/properties/a: `items` does not go with this type",
        ),
        (
            r#""a": { "type": "number", "x-reference": "people" }"#,
            "/properties/a: `x-reference` does not go with",
        ),
        (
            r##""a": { "$ref": "#/$defs/address", "x-host": true }"##,
            "/properties/a: `$ref` is #/$defs/address",
        ),
        (
            r#""a": { "type": "string", "x-host": true, "x-update": true }"#,
            "/properties/a: x-host goes with none",
        ),
        (
            r#""a": { "type": "string", "writeOnly": true }"#,
            "/properties/a: a writeOnly field needs",
        ),
        (
            r#""a": { "type": "string", "x-create": "always" }"#,
            "/properties/a: unknown variant `always`",
        ),
        (
            r#""a": { "type": "string", "x-filter": { "param": "limit", "match": "equals" } }"#,
            "/properties/a: x-filter: every list has",
        ),
        (
            r#""a": { "type": "string", "x-filter": { "param": "a", "match": "any-item" } }"#,
            "/properties/a: x-filter: `match` does not",
        ),
        (
            r#""a": { "type": "string", "x-update": true, "x-merge": "m" }"#,
            "/properties/a: x-merge is for lists",
        ),
        (
            r#""a": { "type": "object", "required": ["y"], "properties": { "x": {} } }"#,
            "/properties/a: `required` names `y`",
        ),
        (
            r#""a": { "type": "array", "items": { "type": "string", "x-update": true } }"#,
            "/properties/a: x-host, x-create",
        ),
        (
            r#""a": { "type": "string" }, "A": { "type": "string" }"#,
            "/properties/A: differs from another field only in",
        ),
        (
            r#""customFields": { "type": "string" }"#,
            "/properties/customFields: this name is taken",
        ),
        (
            r#""a": { "type": "string", "x-update": "optional" }"#,
            "/properties/a: `x-update` is true or",
        ),
        (
            r#""a": { "type": "string", "x-only": { "b": ["x"], "c": ["y"] } }"#,
            "/properties/a: x-only names one field",
        ),
        (
            r#""a": { "type": "string", "x-only": { "b": ["x"] } }"#,
            "/properties/a: x-only: names no text field with an `enum`",
        ),
        (
            r#""b": { "type": "string", "x-create": "required" }, "a": { "type": "string", "x-only": { "b": ["x"] } }"#,
            "/properties/a: x-only: has a value that is not in the `enum`",
        ),
        (
            r#""b": { "type": "string", "enum": ["x"] }, "a": { "type": "string", "x-only": { "b": ["x"] } }"#,
            "/properties/a: x-only: the field that it names must be required",
        ),
        (
            r#""b": { "type": "string", "enum": ["x"], "x-create": "required" },
               "c": { "type": "string", "enum": ["y"], "x-create": "required" },
               "a": { "type": "string", "x-only": { "b": ["x"] } }, "d": { "type": "string", "x-only": { "c": ["y"] } }"#,
            "/properties/d: x-only: an entity's kinds are told apart by one field",
        ),
        (
            r#""a": { "type": "string", "writeOnly": true, "x-update": true, "x-only": { "b": ["x"] } }"#,
            "/properties/a: x-only is for fields that connectors send",
        ),
    ] {
        let found = message(properties);
        let expected = format!("wit/entities/crm/things.json: {expected}");
        assert!(
            found.starts_with(&expected),
            "{found}\n instead of {expected}"
        );
    }
    let things = file(HEAD, r#""a": { "type": "string" }"#, false);
    let elsewhere = of(&[("shop", "things", &things)]).unwrap_err().to_string();
    assert!(
        elsewhere.starts_with("wit/entities/shop/things.json: `shop` is not a category"),
        "{elsewhere}"
    );
    let twice = of(&[
        ("crm", "things", &things),
        (
            "crm",
            "others",
            &things.replace(
                HEAD,
                r#""collection": "others", "order": 1, "path": "things""#,
            ),
        ),
    ]);
    assert!(twice.unwrap_err().to_string().contains("has the same path"));
}

/// The keywords that `wit/entities/README.md` explains. The code refuses all others; this test is here so that a new
/// one is written down too.
#[test]
fn only_documented_keywords_are_used() {
    let readme = include_str!("../../../../wit/entities/README.md");
    fn check(schema: &serde_json::Value, readme: &str, of: &str) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let documented =
                readme.contains(&format!("`{keyword}`")) || ["$ref"].contains(&keyword.as_str());
            assert!(documented, "{of}: {keyword}");
            match keyword.as_str() {
                "properties" => value
                    .as_object()
                    .unwrap()
                    .values()
                    .for_each(|part| check(part, readme, of)),
                "items" => check(value, readme, of),
                _ => {}
            }
        }
    }
    for entity in catalog().entities() {
        for field in &entity.fields {
            check(
                &field.schema,
                readme,
                &format!("{}.{}", entity.name, field.name),
            );
        }
        for operation in &entity.operations {
            check(
                &operation.input,
                readme,
                &format!("{} {}", entity.name, operation.name),
            );
        }
    }
}

#[test]
fn an_operation_may_have_a_method_and_a_path_of_its_own() {
    let text = file(HEAD, r#""a": { "type": "string" }"#, false).replacen(
        r#""properties""#,
        r#""x-operations": { "people/remove": { "description": "Takes people off.", "method": "DELETE", "path": "people",
             "input": { "type": "object", "required": ["personIds"], "properties": {
               "personIds": { "type": "array", "items": { "type": "string", "x-reference": "people" } } } } } },
           "properties""#,
        1,
    );
    let catalog = of(&[("crm", "things", &text)]).unwrap();
    let things = catalog.by_name("things").unwrap();
    let remove = things.operation("people/remove").unwrap();
    assert_eq!(
        (remove.method.as_str(), remove.path.as_str()),
        ("DELETE", "people")
    );
    let mut body = serde_json::json!({ "personIds": ["a"] });
    assert_eq!(
        remove.map_references(&mut body, |entity, id| Some(format!("{entity}/{id}"))),
        []
    );
    assert_eq!(body, serde_json::json!({ "personIds": ["people/a"] }));
    // An entity without any has none.
    assert!(
        made_of(r#""a": { "type": "string" }"#, false)
            .operations
            .is_empty()
    );
}
