//! HubSpot's contacts through the API: read whole, kept in step, and written.

use reqwest::Method;
use rollout_test_apps::hubspot::{Config, PrivateApp, RateLimits, Simulator};
use serde_json::json;

use crate::api_writes::path;
use crate::fixtures::{HostUnderTest, until};
use crate::hubspot_stage::{assert_shows, connect_synced, hubspot, original, said, setup, shown};

#[tokio::test]
async fn every_contact_is_what_the_app_has() {
    let app = hubspot(450);
    let host = HostUnderTest::start(setup(&app).set("sync.poll_interval", "1h")).await;
    let account = connect_synced(&host.client("hubspot")).await;
    let people = shown(&account).await;
    assert_shows(&people, &app);
    let fields = account.get("/api/credentials").await.ok();
    assert!(
        fields.to_string().contains("HubSpot account 62515"),
        "{fields}"
    );

    // One owner is one id, wherever it stands.
    let contacts = app.contacts();
    let mut owners = std::collections::BTreeMap::new();
    for contact in &contacts {
        let owner = &contact["properties"]["hubspot_owner_id"];
        let Some(owner) = owner.as_str() else {
            continue;
        };
        let person = &people[contact["id"].as_str().unwrap()];
        let known = owners.entry(owner).or_insert(&person["assignedUserId"]);
        assert_eq!(*known, &person["assignedUserId"]);
    }
    assert_eq!(owners.len(), 7);
    let found = account.all("people", "email=c7@home.example").await;
    assert_eq!(found.len(), 1);

    // The first pass lists; it does not search.
    let requests = app.requests();
    let searches = requests
        .iter()
        .filter(|one| one.path.ends_with("/search"))
        .count();
    assert_eq!(searches, 0);
}

#[tokio::test]
async fn what_changes_in_the_app_is_followed() {
    let app = hubspot(230);
    let host = HostUnderTest::start(setup(&app).set("sync.poll_interval", "200ms")).await;
    let account = connect_synced(&host.client("hubspot")).await;
    let ids: Vec<String> = shown(&account).await.into_keys().collect();
    let (changed, primary, merged) = (&ids[3], &ids[10], &ids[20]);
    assert!(app.update(
        changed,
        json!({"firstname": "Changed", "phone": "", "city": "Salem"})
    ));
    assert!(app.merge(primary, merged));
    // More than a page of a search, at one moment.
    let moment = "2031-05-06T07:08:09.100Z";
    let burst = json!({"firstname": "Burst", "createdate": moment, "lastmodifieddate": moment});
    let made: Vec<String> = (0..350).map(|_| app.insert(burst.clone())).collect();
    let people = until("the changes are there", async || {
        let people = shown(&account).await;
        let there = people.get(changed)?["firstName"] == "Changed"
            && !people.contains_key(merged)
            && made.iter().all(|id| people.contains_key(id));
        there.then_some(people)
    })
    .await;
    assert_shows(&people, &app);
}

#[tokio::test]
async fn contacts_are_written() {
    let app = hubspot(5);
    let host = HostUnderTest::start(setup(&app).set("sync.poll_interval", "1h")).await;
    let account = connect_synced(&host.client("hubspot")).await;
    let contact = |id: &str| {
        let contacts = app.contacts();
        let contact = contacts.iter().find(|contact| contact["id"] == id);
        contact.map(|contact| contact["properties"].clone())
    };
    let body = json!({
        "firstName": "Ada", "lastName": "Lovelace", "jobTitle": "Analyst", "companyName": "Engines",
        "birthday": "1815-12-10", "stage": "lead", "tags": ["Buyer"],
        "emails": [{"value": "ada@work.example"}, {"value": "ada@example.com", "isPrimary": true}],
        "phones": [{"value": "1", "type": "mobile"}, {"value": "2"}],
        "addresses": [{"street": "12 St James's Square", "city": "London"}],
    });
    let created = account.post("/crm/api/people", body).await;
    let person = created.with(201);
    assert_eq!(created.header("x-rollout-ignored-fields"), Some("tags"));
    assert_eq!(
        said(&person["emails"]),
        json!([{"value": "ada@example.com", "isPrimary": true}, {"value": "ada@work.example", "isPrimary": false}])
    );
    let id = original(&person);
    let there = contact(&id).unwrap();
    assert_eq!(there["hs_additional_emails"], "ada@work.example");
    assert_eq!(
        (&there["phone"], &there["mobilephone"], &there["city"]),
        (&json!("2"), &json!("1"), &json!("London"))
    );
    assert_shows(&shown(&account).await, &app);

    let here = path("people", &person);
    let body = json!({"jobTitle": "Countess", "phones": [], "stage": "customer"});
    let changed = account.put(&here, body).await.ok();
    // What was not written is still there.
    assert_eq!(
        (
            &changed["firstName"],
            &changed["jobTitle"],
            &changed["stage"]
        ),
        (&json!("Ada"), &json!("Countess"), &json!("customer"))
    );
    assert_eq!(changed["phones"], json!([]));
    assert!(contact(&id).unwrap().get("phone").is_none());
    assert_shows(&shown(&account).await, &app);

    // The app refuses: at the field, and for an email that another has.
    let body =
        json!({"emails": [{"value": "ada@example.com"}, {"value": "nobody", "isPrimary": true}]});
    let refused = account.put(&here, body).await;
    let message = refused.refused_at("invalid_body", "/emails/1/value");
    assert!(message.contains("nobody"), "{message}");
    let two = json!({"phones": [{"value": "1"}, {"value": "2"}]});
    let refused = account.put(&here, two).await;
    refused.refused_at("invalid_body", "/phones/1");
    let twin =
        json!({"firstName": "B", "lastName": "C", "emails": [{"value": "ada@work.example"}]});
    let refused = account.post("/crm/api/people", twin).await;
    let refused = refused.refused(409, "conflict");
    let message = refused["errorMessage"].as_str().unwrap();
    assert!(message.contains(&format!("Existing ID: {id}")), "{message}");

    let tags = account
        .post(&format!("{here}/tags/apply"), json!({"tags": ["Buyer"]}))
        .await;
    assert!(tags.status >= 400, "{}", tags.text);

    account.delete(&here).await.ok();
    assert!(contact(&id).is_none());
    account.get(&here).await.refused(404, "not_found");
    assert_shows(&shown(&account).await, &app);
}

#[tokio::test]
async fn what_the_app_did_though_its_answer_was_lost_is_found() {
    let app = hubspot(3);
    let setup = setup(&app)
        .set("sync.poll_interval", "1h")
        .set("work.settle_patience", "1s");
    let host = HostUnderTest::start(setup).await;
    let account = connect_synced(&host.client("hubspot")).await;
    let body =
        json!({"firstName": "Ada", "lastName": "King", "emails": [{"value": "ada@example.com"}]});
    app.lose_next(502);
    let people = "/crm/api/people";
    let first = account.keyed(Method::POST, people, "once", &body).await;
    first.refused(502, "maybe_applied");
    let person = until("the write is settled", async || {
        let again = account.keyed(Method::POST, people, "once", &body).await;
        (again.status != 409).then_some(again)
    })
    .await
    .with(201);
    assert_eq!(app.contacts().len(), 4);
    assert_eq!(
        app.contacts().last().unwrap()["id"],
        json!(original(&person))
    );
    assert_shows(&shown(&account).await, &app);
}

#[tokio::test]
async fn a_bad_token_and_one_without_its_scopes_are_refused() {
    let narrow = PrivateApp::new("pat-na1-narrow-0123456789abcdef", &["oauth"]);
    let config = Config::default().limits(RateLimits::off());
    let app = Simulator::start(config.private_app(narrow.clone())).unwrap();
    let host = HostUnderTest::start(setup(&app)).await;
    let client = host.client("hubspot");
    for (token, said) in [
        ("pat-na1-wrong-0123456789abcdef", ""),
        (narrow.token.as_str(), "crm.objects.contacts.read"),
    ] {
        let body = json!({"appKey": "hubspot", "userInputs": {"apiKey": token}});
        let refused = client.post("/api/credentials", body).await;
        assert!((400..500).contains(&refused.status), "{}", refused.text);
        assert!(refused.text.contains(said), "{}", refused.text);
    }
    let none = client.get("/api/credentials").await.ok();
    assert!(!none.to_string().contains("hubspot"), "{none}");
}
