//! The OpenAPI document.

use std::collections::BTreeSet;

use rollout_catalog::Category;
use rollout_catalog::openapi::openapi;
use serde_json::Value;

use crate::catalog;

fn document() -> Value {
    openapi(&catalog(), Category::Crm, "https://crm.example.com/api")
}

/// Shows every object in the document.
fn objects<'a>(value: &'a Value, see: &mut dyn FnMut(&'a serde_json::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            see(members);
            members.values().for_each(|member| objects(member, see));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, see)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut seen = 0;
    objects(&document, &mut |object| {
        if let Some(Value::String(reference)) = object.get("$ref") {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
            seen += 1;
        }
    });
    assert!(seen > 100, "{seen}");
}

#[test]
fn operation_ids_are_unique_and_read_well() {
    let document = document();
    let mut ids = Vec::new();
    objects(&document, &mut |object| {
        ids.extend(object.get("operationId").and_then(Value::as_str));
    });
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    for id in [
        "listPeople",
        "getPerson",
        "createPerson",
        "updatePerson",
        "deletePerson",
        "tagsApplyPerson",
        "listNotes",
        "listEvents",
        "readFeed",
    ] {
        assert!(ids.contains(&id), "{id}");
    }
}

#[test]
fn every_entity_has_its_paths() {
    let document = document();
    let methods = |path: &str| -> Vec<String> {
        let path = document["paths"]
            .get(path)
            .unwrap_or_else(|| panic!("{path}"));
        path.as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters")
            .cloned()
            .collect()
    };
    for entity in catalog().entities_of(Category::Crm) {
        assert_eq!(methods(&format!("/{}", entity.path)), ["get", "post"]);
        let few = entity.name == "emailMessages";
        let expected: &[_] = if few {
            &["get"]
        } else {
            &["get", "put", "delete"]
        };
        assert_eq!(methods(&format!("/{}/{{id}}", entity.path)), expected);
        for operation in &entity.operations {
            let found = methods(&format!("/{}/{{id}}/{}", entity.path, operation.path));
            assert!(
                found.contains(&operation.method.to_lowercase()),
                "{}",
                operation.name
            );
        }
    }
}

#[test]
fn parameters_filters_and_answers_are_described() {
    let document = document();
    let list = &document["paths"]["/people"]["get"];
    let named: Vec<&str> = list["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| {
            parameter["name"]
                .as_str()
                .or(parameter["$ref"].as_str())
                .unwrap()
        })
        .map(|name| name.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "next",
            "offset",
            "limit",
            "ids",
            "updatedSince",
            "tags",
            "email",
            "phone",
            "allowPartial"
        ]
    );
    let page = &list["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(
        page["properties"]["people"]["items"]["$ref"],
        "#/components/schemas/Person"
    );
    assert_eq!(page["required"], serde_json::json!(["_metadata", "people"]));
    let put = &document["paths"]["/people/{id}"]["put"];
    assert!(
        put["parameters"]
            .to_string()
            .contains(r#""name":"mergeTags","in":"query""#)
    );
    for status in [
        "200", "400", "401", "403", "404", "405", "409", "413", "415", "422", "429", "502", "503",
        "504",
    ] {
        assert!(put["responses"].get(status).is_some(), "{status}");
    }
    assert!(
        document["paths"]["/people"]["post"]["responses"]
            .get("201")
            .is_some()
    );
}

#[test]
fn keys_and_the_feed_are_described() {
    let document = document();
    let feed = &document["paths"]["/events-feed"]["get"];
    let page = &feed["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(page["$ref"], "#/components/schemas/FeedPage");
    let parameters = &document["components"]["parameters"];
    for (parameter, name) in
        feed["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .zip(["after", "limit", "includeInitialSync"])
    {
        let known = parameter["$ref"].as_str().unwrap().rsplit('/').next();
        assert_eq!(parameters[known.unwrap()]["name"], name);
    }
    let key = "#/components/parameters/idempotencyKey";
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let takes = operation["parameters"].to_string().contains(key);
            let writes = matches!(method.as_str(), "post" | "put" | "delete");
            assert_eq!(takes, writes, "{method} {path}");
            if writes {
                for status in ["409", "422"] {
                    assert!(
                        operation["responses"].get(status).is_some(),
                        "{method} {path}"
                    );
                }
            }
        }
    }
    let conflict = &document["components"]["responses"]["409"];
    assert!(conflict["headers"].get("Retry-After").is_some());
}

#[test]
fn schemas_say_what_is_served_and_what_is_taken() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let person = &schemas["Person"];
    assert!(person["properties"].get("rating").is_none());
    assert_eq!(person["properties"]["id"]["readOnly"], true);
    assert!(
        person["required"]
            .as_array()
            .unwrap()
            .contains(&"originalIds".into())
    );
    let create = &schemas["PersonCreate"];
    assert_eq!(
        create["required"],
        serde_json::json!(["firstName", "lastName"])
    );
    assert!(
        create["properties"].get("id").is_none() && create["properties"].get("rating").is_some()
    );
    assert_eq!(
        schemas["NoteCreate"]["properties"]["personId"]["type"],
        serde_json::json!(["string"])
    );
    assert_eq!(
        schemas["PersonUpdate"]["properties"]["stage"]["type"],
        serde_json::json!(["string", "null"])
    );
    assert!(schemas["PersonUpdate"].get("required").is_none());
}

#[test]
fn nothing_of_the_host_s_own_keywords_shows() {
    let text = document().to_string();
    for keyword in [
        "x-create",
        "x-update",
        "x-host",
        "x-filter",
        "x-reference",
        "x-merge",
        "x-only",
        "writeOnly",
        "$defs",
    ] {
        assert!(!text.contains(keyword), "{keyword}");
    }
}

#[test]
fn records_that_come_in_kinds_are_a_union_with_a_discriminator() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (name, body) in [("CustomField", false), ("CustomFieldCreate", true)] {
        let union = &schemas[name];
        assert!(union.get("type").is_none() && union.get("properties").is_none());
        assert_eq!(union["discriminator"]["propertyName"], "type");
        let mapping = union["discriminator"]["mapping"].as_object().unwrap();
        assert_eq!(union["oneOf"].as_array().unwrap().len(), 4);
        for (kind, own) in [
            ("text", None),
            ("date", Some("isRecurring")),
            ("number", None),
            ("dropdown", Some("choices")),
        ] {
            let pointer = mapping[kind].as_str().unwrap();
            assert!(union["oneOf"].to_string().contains(pointer));
            let schema = document.pointer(&pointer[1..]).unwrap();
            let type_schema = serde_json::json!({ "type": "string", "enum": [kind] });
            assert_eq!(schema["properties"]["type"], type_schema, "{pointer}");
            for field in ["isRecurring", "choices"] {
                let has = own == Some(field);
                let required = schema["required"].as_array().unwrap();
                assert_eq!(
                    schema["properties"].get(field).is_some(),
                    has,
                    "{pointer} {field}"
                );
                assert_eq!(required.contains(&field.into()), has, "{pointer} {field}");
            }
            assert_eq!(schema["properties"].get("id").is_none(), body);
        }
    }
    let update = &schemas["CustomFieldUpdate"];
    assert_eq!(update["required"], serde_json::json!(["label", "name"]));
    assert!(update["properties"].get("type").is_none());
    assert!(update["properties"].get("choices").is_some() && update.get("oneOf").is_none());
}

#[test]
fn what_other_hosts_do_not_have_is_said() {
    let document = document();
    let described = |name: &str| {
        let tags = document["tags"].as_array().unwrap();
        let tag = tags.iter().find(|tag| tag["name"] == name).unwrap();
        tag["description"]
            .as_str()
            .unwrap()
            .contains("not in the original API")
    };
    assert!(described("deals") && described("relationships"));
    assert!(!described("people") && !described("smart-lists"));
    let tags = document["tags"].as_array().unwrap();
    let names: BTreeSet<_> = tags.iter().map(|tag| tag["name"].as_str()).collect();
    assert_eq!(names.len(), tags.len());
}
