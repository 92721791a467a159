//! Everything that the app has beside people, notes and tasks: synced whole, with
//! its references, and kept in step.

use std::collections::BTreeMap;

use rollout_test_apps::follow_up_boss::{Dataset, Kind, Simulator};
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Client, HostUnderTest, Setup, app, until};

/// The entities by path, the app's name for each, and the kind in the app.
const ENTITIES: [(&str, &str, Kind); 14] = [
    ("teams", "teams", Kind::Teams),
    ("stages", "stages", Kind::Stages),
    ("pipelines", "pipelines", Kind::Pipelines),
    ("customFields", "customFields", Kind::CustomFields),
    ("smart-lists", "smartLists", Kind::SmartLists),
    (
        "appointment-types",
        "appointmentTypes",
        Kind::AppointmentTypes,
    ),
    (
        "appointment-outcomes",
        "appointmentOutcomes",
        Kind::AppointmentOutcomes,
    ),
    ("calls", "calls", Kind::Calls),
    ("textMessages", "textMessages", Kind::TextMessages),
    ("emailMessages", "emails", Kind::Emails),
    ("appointments", "appointments", Kind::Appointments),
    ("events", "events", Kind::Events),
    ("deals", "deals", Kind::Deals),
    (
        "relationships",
        "peopleRelationships",
        Kind::PeopleRelationships,
    ),
];

/// Puts something of every kind into the account.
pub(crate) fn furnish(app: &Simulator) -> u64 {
    let account = app.account(1).unwrap();
    let person = account.people()[0]["id"].as_u64().unwrap();
    let pipeline = &account.all(Kind::Pipelines)[0];
    let call = |number: u64| json!({"personId": person, "userId": 1, "phone": "555", "isIncoming": number.is_multiple_of(2), "duration": number});
    for number in 0..230 {
        account.insert(Kind::Calls, call(number));
        let text = json!({"personId": person, "userId": 1, "message": format!("text {number}"), "isIncoming": false});
        account.insert(Kind::TextMessages, text);
        let event = json!({"personId": person, "type": "Viewed Page", "source": "<unspecified>"});
        account.insert(Kind::Events, event);
        let deal = json!({
            "name": format!("Deal {number}"), "status": if number.is_multiple_of(10) { "Deleted" } else { "Active" },
            "pipelineId": pipeline["id"], "stageId": pipeline["stages"][0]["id"], "people": [{"id": person}], "users": [{"id": 1}],
        });
        account.insert(Kind::Deals, deal);
    }
    let email =
        json!({"relatedPeople": [{"personId": person}], "subject": "Hi", "body": "x", "userId": 1});
    account.insert(Kind::Emails, email);
    let appointment = json!({
        "title": "Showing", "start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z", "typeId": 1,
        "invitees": [{"userId": 1, "name": "x"}, {"personId": person, "name": "y"}],
    });
    account.insert(Kind::Appointments, appointment);
    let spouse = json!({"personId": person, "firstName": "Eve", "lastName": "X", "type": "Spouse"});
    account.insert(Kind::PeopleRelationships, spouse);
    person
}

async fn connected(host: &HostUnderTest) -> Client {
    let flags = [
        "calls",
        "textMessages",
        "emailMessages",
        "appointments",
        "events",
    ];
    let flags: Value = flags
        .map(|flag| (flag.to_owned(), json!(true)))
        .into_iter()
        .collect();
    let account = host.client("entities").connect_with(API_KEY, flags).await;
    account.wait_synced(account.credential()).await;
    account
}

/// The ids that an account shows of an entity, by the app's ids.
async fn shown(account: &Client, path: &str, resource: &str) -> BTreeMap<u64, Value> {
    let records = account.all(path, "limit=1000").await;
    records
        .into_iter()
        .map(|record| {
            (
                record["originalIds"][resource].as_u64().expect(path),
                record,
            )
        })
        .collect()
}

#[tokio::test]
async fn every_entity_is_what_the_app_has() {
    let app = app(Dataset::demo());
    let person = furnish(&app);
    let host = HostUnderTest::start(Setup::against(&app)).await;
    let account = connected(&host).await;
    let app = app.account(1).unwrap();
    for (path, resource, kind) in ENTITIES {
        let shown = shown(&account, path, resource).await;
        let there = app.all(kind).into_iter();
        let there: Vec<u64> = there
            .filter(|record| record["status"] != "Deleted")
            .map(|record| record["id"].as_u64().unwrap())
            .collect();
        assert!(!there.is_empty(), "{path}");
        assert_eq!(shown.keys().copied().collect::<Vec<_>>(), there, "{path}");
    }

    // One id for one person, wherever it stands.
    let people = shown(&account, "people", "people").await;
    let id = &people[&person]["id"];
    for (path, resource) in [
        ("calls", "calls"),
        ("textMessages", "textMessages"),
        ("emailMessages", "emails"),
        ("appointments", "appointments"),
        ("relationships", "peopleRelationships"),
    ] {
        let records = shown(&account, path, resource).await;
        assert!(
            records.values().any(|record| record["personId"] == *id),
            "{path}"
        );
        let upstream = id.as_str().unwrap();
        let filtered = account.all(path, &format!("personId={upstream}")).await;
        assert!(!filtered.is_empty(), "{path}");
    }
    let deals = shown(&account, "deals", "deals").await;
    let pipelines = shown(&account, "pipelines", "pipelines").await;
    let deal = deals
        .values()
        .find(|deal| deal["name"] == "Deal 1")
        .unwrap();
    assert_eq!(deal["peopleIds"], json!([id]));
    let (_, pipeline) = pipelines.first_key_value().unwrap();
    assert_eq!(deal["pipelineId"], pipeline["id"]);
    assert_eq!(deal["stageId"], pipeline["stages"][0]["id"]);
    // Kinds of fields have what is theirs.
    for field in shown(&account, "customFields", "customFields")
        .await
        .values()
    {
        let kind = field["type"].as_str().unwrap();
        assert_eq!(
            field.get("choices").is_some(),
            kind == "dropdown",
            "{field}"
        );
        assert_eq!(
            field.get("isRecurring").is_some(),
            kind == "date",
            "{field}"
        );
    }
}

#[tokio::test]
async fn what_changes_in_the_app_is_followed() {
    let app = app(Dataset::demo());
    let person = furnish(&app);
    let host = HostUnderTest::start(Setup::against(&app).set("sync.poll_interval", "200ms")).await;
    let account = connected(&host).await;
    let there = app.account(1).unwrap();
    let call = there.insert(Kind::Calls, json!({"personId": person, "phone": "777"}));
    let event = there.insert(
        Kind::Events,
        json!({"personId": person, "type": "Registration"}),
    );
    let deal = there.all(Kind::Deals).last().unwrap()["id"]
        .as_u64()
        .unwrap();
    there.update(Kind::Deals, deal, json!({"status": "Deleted"}));
    let stage = there.insert(Kind::Stages, json!({"name": "Brand new"}));
    let text = json!({"personId": person, "message": "late", "isIncoming": true});
    let text = there.insert(Kind::TextMessages, text);
    // What a person's texts are is asked again when the person has changed.
    there.update_person(person, json!({"background": "wrote"}));
    until("all of it is seen", async || {
        let has = async |path: &str, id: u64| shown(&account, path, path).await.contains_key(&id);
        let seen = has("calls", call).await
            && has("events", event).await
            && has("stages", stage).await
            && has("textMessages", text).await
            && !has("deals", deal).await;
        seen.then_some(())
    })
    .await;
}
