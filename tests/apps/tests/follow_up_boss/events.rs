use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Kind, Simulator};
use serde_json::{Value, json};

use super::{Api, unlimited};

fn inquiry(email: &str) -> Value {
    json!({
        "source": "MyAwesomeWebsite.com", "system": "Rollout", "type": "Inquiry",
        "message": "Is it available?",
        "person": {
            "firstName": "Jo", "emails": [{"value": email}], "tags": ["Hot"],
            "customSpouseName": "Max",
        },
        "property": {"street": "1 Low Rd", "code": "98579", "price": 449000, "bedrooms": 3},
        "campaign": {"source": "google"}, "occurredAt": "2024-03-01T10:00:00Z",
    })
}

#[tokio::test]
async fn an_event_answers_with_a_new_person() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let answer = api.post("/events", inquiry("jo@example.com")).await;
    assert_eq!(answer.status, 201);
    let person = answer.json();
    assert_eq!(
        (
            &person["id"],
            &person["source"],
            &person["tags"],
            &person["stage"]
        ),
        (
            &json!(13),
            &json!("MyAwesomeWebsite.com"),
            &json!(["Hot"]),
            &json!("Lead")
        )
    );
    assert_eq!(simulator.person(13).unwrap()["customSpouseName"], "Max");
    let events = api.get("/events?personId=13").await.json();
    let event = &events["events"][0];
    assert_eq!(
        (&event["type"], &event["message"], &event["occurred"]),
        (
            &json!("Property Inquiry"),
            &json!("Is it available?"),
            &json!("2024-03-01T10:00:00Z")
        )
    );
    assert_eq!(
        (&event["property"]["price"], &event["property"]["forRent"]),
        (&json!("449000"), &json!(0))
    );
    let path = format!("/events/{}", event["id"]);
    assert_eq!(api.get(&path).await.json(), *event);
    assert_eq!(api.put(&path, json!({})).await.status, 405);
    assert_eq!(api.delete(&path).await.status, 405);
}

#[tokio::test]
async fn an_event_updates_the_person_it_matches() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let before = simulator.person(4).unwrap();
    let mut body = inquiry("Diego.Fuentes@example.com");
    body["person"]["phones"] = json!([{"value": "555-777-0001"}]);
    body["person"]["assignedUserId"] = json!(3);
    body["person"]["stage"] = json!("Nurture");
    let answer = api.post("/events", body).await;
    assert_eq!(answer.status, 200);
    let person = answer.json();
    assert_eq!(person["id"], 4);
    assert_eq!(person["tags"], json!(["Buyer", "Hot"]));
    assert_eq!(person["phones"].as_array().unwrap().len(), 2);
    for kept in ["firstName", "stage", "assignedUserId", "source", "emails"] {
        assert_eq!(person[kept], before[kept], "{kept}");
    }
    assert_ne!(person["updated"], before["updated"]);

    let by_id = json!({"type": "Viewed Page", "person": {"id": 5}, "pageTitle": "Home"});
    assert_eq!(api.post("/events", by_id).await.json()["id"], 5);
    let unknown = json!({"type": "Viewed Page", "person": {"id": 99}});
    assert_eq!(api.post("/events", unknown).await.status, 404);
}

#[tokio::test]
async fn events_of_archived_sources_are_ignored() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    simulator.archive_source("MyAwesomeWebsite.com");
    let ignored = api.post("/events", inquiry("jo@example.com")).await;
    assert_eq!((ignored.status, ignored.text.as_str()), (204, ""));
    assert_eq!(simulator.people().len(), 12);
    assert_eq!(simulator.all(Kind::Events).len(), 8);
    let mut other = inquiry("jo@example.com");
    other["source"] = json!("Zillow");
    assert_eq!(api.post("/events", other).await.status, 201);
}

#[tokio::test]
async fn bad_events_are_refused() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (pointer, value, said) in [
        ("/type", json!("Nap"), "Invalid value for field 'type'."),
        ("/type", json!(null), "Missing required field 'type'"),
        ("/person", json!(null), "Missing required field 'person'"),
        (
            "/property/code",
            json!(98579),
            "Invalid value for field 'property.code'.",
        ),
        (
            "/occurredAt",
            json!("once"),
            "Invalid value for field 'occurredAt'.",
        ),
        (
            "/person",
            json!({"nickname": "x"}),
            "Invalid fields in the request body: nickname.",
        ),
        (
            "/property",
            json!({"zip": "1"}),
            "Invalid fields in the request body: property.zip.",
        ),
    ] {
        let mut body = inquiry("jo@example.com");
        *body.pointer_mut(pointer).unwrap() = value;
        let answer = api.post("/events", body).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, said));
    }
    assert_eq!(simulator.people().len(), 12);
    assert_eq!(simulator.all(Kind::Events).len(), 8);
}

#[tokio::test]
async fn events_are_listed_by_next_and_filtered() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let (ids, pages) = api.walk("/events?limit=3").await;
    assert_eq!((ids, pages), (vec![8, 7, 6, 5, 4, 3, 2, 1], 3));
    for (query, expected) in [
        ("type=Registration,Visited%20Website", vec![1, 4, 6]),
        ("hasProperty=true", vec![2, 5, 7]),
        ("propertyAddress=115%20high", vec![5]),
        ("personId=12", vec![7, 8]),
    ] {
        let answer = api.get(&format!("/events?sort=id&{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
    }
}

#[tokio::test]
async fn taking_events_in_is_not_limited_and_outlives_the_account() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let api = Api::new(&simulator);
    let get = api.get("/events").await;
    assert_eq!(get.header("x-ratelimit-context"), Some("events"));
    assert_eq!(get.header("x-ratelimit-limit"), Some("10"));
    let post = api.post("/events", inquiry("jo@example.com")).await;
    assert_eq!((post.status, post.header("x-ratelimit-limit")), (201, None));

    let account = AccountConfig::new(Dataset::demo())
        .key("fka_old", 1)
        .expired();
    let simulator = Simulator::start(Config::of(account)).unwrap();
    let api = Api::with_key(&simulator, "fka_old");
    assert_eq!(api.get("/events").await.status, 403);
    assert_eq!(
        api.post("/events", inquiry("jo@example.com")).await.status,
        201
    );
}
