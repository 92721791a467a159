use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Api, CONTACTS, ids, unlimited};

#[tokio::test]
async fn lists_are_by_id_in_pages_of_a_hundred_at_most() {
    let simulator = unlimited(250);
    let api = Api::new(&simulator);
    assert_eq!(ids(&api.get(CONTACTS).await.ok()).len(), 10);
    for limit in ["0", "101", "x"] {
        let refused = api.get(&format!("{CONTACTS}?limit={limit}")).await;
        assert_eq!(refused.refused(400).0, "VALIDATION_ERROR");
    }
    api.get(&format!("{CONTACTS}?after=x")).await.refused(400);
    let (mut all, mut path) = (Vec::new(), format!("{CONTACTS}?limit=100"));
    loop {
        let page = api.get(&path).await.ok();
        all.extend(ids(&page));
        let Some(after) = page["paging"]["next"]["after"].as_str() else {
            break;
        };
        let after = after.replace('=', "%3D");
        path = format!("{CONTACTS}?limit=100&after={after}");
    }
    let numbers: Vec<u64> = all.iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 250);
    assert!(numbers.is_sorted());
}

#[tokio::test]
async fn only_the_properties_asked_for_are_shown() {
    let simulator = unlimited(0);
    let id = simulator.insert(json!({"firstname": "Ada", "phone": "555"}));
    let api = Api::new(&simulator);
    let names = |record: &Value| -> BTreeSet<String> {
        record["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let usual = api.get(&format!("{CONTACTS}/{id}")).await.ok();
    let expected: BTreeSet<String> = set(&[
        "createdate",
        "email",
        "firstname",
        "hs_object_id",
        "lastmodifieddate",
        "lastname",
    ]);
    assert_eq!(names(&usual), expected);
    assert_eq!(usual["properties"]["lastname"], Value::Null);
    assert_eq!(usual["archived"], false);
    let asked = api
        .get(&format!("{CONTACTS}/{id}?properties=phone,unknown"))
        .await
        .ok();
    let expected: BTreeSet<String> =
        set(&["createdate", "hs_object_id", "lastmodifieddate", "phone"]);
    assert_eq!(names(&asked), expected);
}

#[tokio::test]
async fn a_contact_is_made_changed_and_archived() {
    let simulator = unlimited(0);
    let api = Api::new(&simulator);
    let made = api
        .create(json!({"firstname": "Ada", "email": "ADA@Example.com", "phone": "555"}))
        .await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!(made["properties"]["email"], "ada@example.com");
    assert_eq!(made["properties"]["lifecyclestage"], "lead");
    let one = format!("{CONTACTS}/{}", made["id"].as_str().unwrap());

    let changed = api
        .patch(&one, json!({"phone": "", "jobtitle": "Analyst"}))
        .await
        .ok();
    // A part of the properties only.
    assert!(changed["properties"].get("firstname").is_none());
    let now = api
        .get(&format!("{one}?properties=firstname,phone,jobtitle"))
        .await
        .ok();
    assert_eq!(now["properties"]["phone"], Value::Null);
    assert_eq!(now["properties"]["firstname"], "Ada");
    assert_eq!(
        now["updatedAt"].as_str(),
        now["properties"]["lastmodifieddate"].as_str()
    );
    let by_email = format!("{CONTACTS}/ada@example.com?idProperty=email");
    assert_eq!(api.get(&by_email).await.ok()["id"], made["id"]);

    for _ in 0..2 {
        assert_eq!(api.delete(&one).await.status, 204);
    }
    api.get(&one).await.refused(404);
    api.patch(&one, json!({"phone": "1"})).await.refused(404);
    assert!(ids(&api.get(CONTACTS).await.ok()).is_empty());
    let archived = api.get(&format!("{CONTACTS}?archived=true")).await.ok();
    assert_eq!(ids(&archived).len(), 1);
    assert!(archived["results"][0]["archivedAt"].is_string());
    // Its email is free again.
    let again = api.create(json!({"email": "ada@example.com"})).await;
    assert_eq!(again.status, 201);
}

#[tokio::test]
async fn values_are_checked() {
    let simulator = unlimited(0);
    let api = Api::new(&simulator);
    let wrong = json!({
        "email": "nobody", "hs_additional_emails": "a@x.example;odd", "lifecyclestage": "friend",
        "hubspot_owner_id": "seven", "createdate": "2026-01-01", "favourite": "x", "firstname": "Ada",
    });
    let (category, message) = api.create(wrong).await.refused(400);
    assert_eq!(category, "VALIDATION_ERROR");
    let list = message
        .strip_prefix("Property values were not valid: ")
        .unwrap();
    let list: Vec<Value> = serde_json::from_str(list).unwrap();
    let named: Vec<(&str, &str)> = list
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["error"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            ("createdate", "READ_ONLY_VALUE"),
            ("email", "INVALID_EMAIL"),
            ("favourite", "PROPERTY_DOESNT_EXIST"),
            ("hs_additional_emails", "INVALID_EMAIL"),
            ("hubspot_owner_id", "INVALID_INTEGER"),
            ("lifecyclestage", "INVALID_OPTION"),
        ]
    );
    assert!(simulator.contacts().is_empty());
}

#[tokio::test]
async fn no_two_contacts_share_an_email() {
    let simulator = unlimited(0);
    let api = Api::new(&simulator);
    let first = simulator
        .insert(json!({"email": "a@x.example", "hs_additional_emails": "b@x.example;c@x.example"}));
    let second = simulator.insert(json!({"email": "z@x.example"}));
    let expected = format!("Contact already exists. Existing ID: {first}");
    for email in ["a@x.example", "C@x.example"] {
        let refused = api.create(json!({ "email": email })).await;
        assert_eq!(refused.refused(409), ("CONFLICT".into(), expected.clone()));
        let refused = api
            .patch(&format!("{CONTACTS}/{second}"), json!({ "email": email }))
            .await;
        assert_eq!(refused.refused(409).1, expected);
    }
    // Its own is its own.
    let own = json!({"email": "b@x.example", "hs_additional_emails": "a@x.example"});
    api.patch(&format!("{CONTACTS}/{first}"), own).await.ok();
}

#[tokio::test]
async fn stages_go_forward_or_are_cleared() {
    let simulator = unlimited(0);
    let api = Api::new(&simulator);
    let id = simulator.insert(json!({"lifecyclestage": "customer"}));
    let one = format!("{CONTACTS}/{id}");
    for (sent, there) in [
        ("lead", json!("customer")),
        ("evangelist", json!("evangelist")),
        ("", Value::Null),
        ("lead", json!("lead")),
    ] {
        let changed = api
            .patch(&one, json!({ "lifecyclestage": sent }))
            .await
            .ok();
        assert_eq!(changed["properties"]["lifecyclestage"], there, "{sent}");
    }
}

#[tokio::test]
async fn batches_tell_what_is_missing() {
    let simulator = unlimited(3);
    let api = Api::new(&simulator);
    let there: Vec<String> = simulator
        .contacts()
        .iter()
        .map(|contact| contact["id"].as_str().unwrap().to_owned())
        .collect();
    let read = format!("{CONTACTS}/batch/read");
    let inputs = |ids: &[String]| json!({"properties": ["city"], "inputs": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()});
    let whole = api.post(&read, inputs(&there)).await.ok();
    assert_eq!(ids(&whole).len(), 3);
    assert!(whole.get("errors").is_none());

    assert!(simulator.archive(&there[0]));
    assert!(simulator.merge(&there[1], &there[2]));
    let part = api.post(&read, inputs(&there)).await;
    assert_eq!(part.status, 207);
    // Both that became one are answered with it.
    assert_eq!(ids(&part.json()), [there[1].clone(), there[1].clone()]);
    assert_eq!(
        part.json()["errors"][0]["context"]["ids"],
        json!([there[0]])
    );
    let merged = &simulator.contacts()[0]["properties"]["hs_merged_object_ids"];
    assert_eq!(*merged, format!("{};{}", there[1], there[2]));

    let many: Vec<String> = (0..101).map(|id: u64| id.to_string()).collect();
    api.post(&read, inputs(&many)).await.refused(400);
    let archive = format!("{CONTACTS}/batch/archive");
    assert_eq!(api.post(&archive, inputs(&there)).await.status, 204);
    assert!(simulator.contacts().is_empty());
}
