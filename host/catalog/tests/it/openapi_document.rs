//! The OpenAPI document.

use std::collections::BTreeSet;

use rollout_catalog::Category;
use rollout_catalog::openapi::{Ask, Refusal, openapi};
use serde_json::{Value, json};

use crate::catalog;

fn document() -> Value {
    openapi(
        &catalog(),
        Category::Crm,
        "https://crm.example.com/api",
        &refusals(),
    )
}

/// Three errors of the many that the server has.
fn refusals() -> [Refusal; 3] {
    let refusal = |code, status, header: &str, to: &[Ask]| Refusal {
        code,
        status,
        cause: "It is so.",
        example: json!({"errorMessage": "No.", "errors": [{"message": "No.", "code": code}]}),
        headers: vec![header.to_owned()],
        to: to.to_vec(),
    };
    let writes = [Ask::Create, Ask::Update, Ask::Delete, Ask::Perform];
    [
        refusal("unauthorized", 401, "www-authenticate", &Ask::ALL),
        refusal("write_in_progress", 409, "retry-after", &writes),
        refusal("conflict", 409, "x-none", &[Ask::Update]),
    ]
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
            "sort",
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
    let statuses = |operation: &Value| -> Vec<String> {
        let responses = operation["responses"].as_object().unwrap();
        responses.keys().cloned().collect()
    };
    assert_eq!(statuses(put), ["200", "202", "401", "409"]);
    assert_eq!(statuses(list), ["200", "401"]);
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
            if method != "parameters" {
                let conflicts = operation["responses"].get("409").is_some();
                assert_eq!(conflicts, writes, "{method} {path}");
            }
        }
    }
}

#[test]
fn errors_are_told_apart_by_their_codes() {
    let document = document();
    let responses = &document["components"]["responses"];
    let codes = |name: &str| -> Vec<String> {
        let content = &responses[name]["content"]["application/json"];
        assert_eq!(content["schema"]["$ref"], "#/components/schemas/Error");
        content["examples"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(codes("Create409"), ["write_in_progress"]);
    assert_eq!(codes("Update409"), ["write_in_progress", "conflict"]);
    assert!(responses.get("List409").is_none());
    let told = responses["Update409"]["description"].as_str().unwrap();
    assert!(told.contains("- `conflict`: It is so."), "{told}");
    // A header that all answers of the status have is promised.
    let wait = |name: &str| responses[name]["headers"]["Retry-After"].clone();
    assert_eq!(wait("Create409")["required"], true);
    assert_eq!(
        wait("Update409")["$ref"],
        "#/components/headers/Retry-After"
    );
    assert_eq!(
        responses["Feed401"]["headers"]["WWW-Authenticate"]["required"],
        true
    );
    assert_eq!(
        responses["Feed401"]["headers"]["X-Request-Id"]["required"],
        true
    );
    let example = &document["components"]["examples"]["conflict"]["value"];
    assert_eq!(example["errors"][0]["code"], "conflict");
}

#[test]
fn example_bodies_are_accepted() {
    let document = document();
    let catalog = catalog();
    let examples = |path: &str, method: &str| -> Vec<Value> {
        let body = &document["paths"][path][method]["requestBody"]["content"]["application/json"];
        let examples = body["examples"].as_object().into_iter().flatten();
        let examples: Vec<Value> = examples.map(|(_, one)| one["value"].clone()).collect();
        assert!(!examples.is_empty(), "{method} {path}");
        examples
    };
    for entity in catalog.entities_of(Category::Crm) {
        let path = format!("/{}", entity.path);
        for body in examples(&path, "post") {
            assert_eq!(entity.check_create(&body), Ok(()), "{path}: {body}");
        }
        let record = format!("{path}/{{id}}");
        if document["paths"][&record]["put"].is_object() {
            for body in examples(&record, "put") {
                assert_eq!(entity.check_update(&body), Ok(()), "{path}: {body}");
            }
        }
        for operation in &entity.operations {
            let path = format!("{record}/{}", operation.path);
            for body in examples(&path, &operation.method.to_lowercase()) {
                assert_eq!(operation.check(&body), Ok(()), "{path}: {body}");
            }
        }
    }
}

#[test]
fn examples_fit_together() {
    let document = document();
    let example = |name: &str, path: &str| {
        let answer = &document["paths"][path]["get"]["responses"]["200"];
        answer["content"]["application/json"]["examples"][name]["value"].clone()
    };
    let person = example("example", "/people/{id}");
    assert_eq!(person["firstName"], "Ada");
    let note = example("example", "/notes/{id}");
    assert_eq!(note["personId"], person["id"]);
    assert_eq!(example("example", "/people")["people"], json!([person]));
    // A record of each kind.
    let fields = example("example", "/customFields");
    let kinds: Vec<_> = fields["customfields"].as_array().unwrap().iter().collect();
    assert_eq!(kinds.len(), 4);
    assert_eq!(&example("date", "/customFields/{id}"), kinds[1]);
    assert!(kinds[1].get("choices").is_none() && kinds[1]["isRecurring"] == false);
    // Filters find the example.
    let list = document["paths"]["/people"]["get"]["parameters"].as_array();
    let filters = list.unwrap().iter();
    let filters: Vec<_> = filters.filter_map(|one| one["example"].as_str()).collect();
    assert_eq!(filters, ["Buyer", "ada@example.com", "(503) 555-0142"]);
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
    // What is not described is refused in bodies, and may come in records.
    let entry = |schema: &Value| schema["properties"]["emails"]["items"].clone();
    for schema in [create, &schemas["PersonUpdate"]] {
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(entry(schema)["additionalProperties"], false);
    }
    assert!(person.get("additionalProperties").is_none());
    assert!(entry(person).get("additionalProperties").is_none());
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
