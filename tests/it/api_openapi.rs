//! The served document: whole, and right about itself.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fixtures::{Document, HostUnderTest, Setup};

#[tokio::test]
async fn the_document_is_right_about_itself() {
    let host = HostUnderTest::start(Setup::plain()).await;
    let served = host.stranger().get("/crm/api/openapi.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    let document = Document::of(&host.stranger(), "crm").await;
    let root = &document.whole;
    assert!(root["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document.server(), format!("{}/crm/api", host.url()));
    let schemes = root["components"]["securitySchemes"].as_object().unwrap();
    assert!(schemes.values().any(|one| one["scheme"] == "bearer"));
    assert!(schemes.values().any(|one| {
        let name = one["name"].as_str().unwrap_or_default();
        name.eq_ignore_ascii_case("x-rollout-credential-id")
    }));

    let mut names = BTreeSet::new();
    let mut examples = 0;
    for operation in document.operations() {
        let at = format!("{} {}", operation.method, operation.path);
        let name = operation.spec["operationId"].as_str().expect(&at);
        assert!(names.insert(name), "{name} twice");
        let statuses = operation.statuses();
        assert!(
            statuses.iter().any(|status| status.starts_with('2')),
            "{at}"
        );
        for status in ["400", "401", "403", "414", "429", "431", "500", "503"] {
            assert!(statuses.contains(status), "{at}: {status}");
        }
        let body = &operation.spec["requestBody"];
        let answers = operation.spec["responses"].as_object().unwrap();
        let answers = answers.iter().map(|(status, one)| (status.as_str(), one));
        let bodies = body.is_object().then_some(("body", body));
        for (part, told) in answers.chain(bodies) {
            let at = format!("{at} {part}");
            let told = document.resolved(told);
            let schema = &told["content"]["application/json"]["schema"];
            let shown = document.examples(told);
            assert!(!shown.is_empty(), "{at}: no examples");
            for (name, example) in shown {
                document.fits(schema, &example, &format!("{at} {name}"));
                examples += 1;
            }
        }
        for parameter in document.query(&operation) {
            if let Some(example) = parameter.get("example") {
                document.fits(&parameter["schema"], example, &at);
                examples += 1;
            }
        }
        assert_eq!(body.is_object(), statuses.contains("413"), "{at}");
        assert_eq!(body.is_object(), statuses.contains("415"), "{at}");
        let writes = operation.method != "GET";
        assert_eq!(writes, statuses.contains("422"), "{at}");
        assert_eq!(writes, statuses.contains("504"), "{at}");
    }
    assert!(examples > 1000, "{examples}");
}

/// The document is read by people and by programs that make clients of it.
#[tokio::test]
async fn the_fields_examples_are_the_document_s_too() {
    let host = HostUnderTest::start(Setup::plain()).await;
    let document = Document::of(&host.stranger(), "crm").await;
    let mut seen = 0;
    each_example(
        &document.whole["components"]["schemas"],
        &mut |schema, example| {
            document.fits(schema, example, &schema.to_string());
            seen += 1;
        },
    );
    assert!(seen > 200, "{seen}");
}

fn each_example<'a>(schema: &'a Value, see: &mut dyn FnMut(&'a Value, &'a Value)) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("type") {
                let examples = members.get("examples").and_then(Value::as_array);
                for example in examples.into_iter().flatten() {
                    see(schema, example);
                }
            }
            members
                .values()
                .for_each(|member| each_example(member, see));
        }
        Value::Array(items) => items.iter().for_each(|item| each_example(item, see)),
        _ => {}
    }
}
