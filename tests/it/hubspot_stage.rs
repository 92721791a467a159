//! A host with HubSpot's connector against a simulated account, and what a contact is
//! as a person.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rollout_test_apps::hubspot::{Config, RateLimits, Simulator};
use serde_json::{Map, Value, json};

use crate::fixtures::{Client, Setup, built};

/// Where the connector believes the app to be.
pub const API_ORIGIN: &str = "https://api.hubapi.com";
/// Where people sign in.
pub const LOGIN_ORIGIN: &str = "https://app.hubspot.com";

/// An account with so many contacts and without rate limits.
pub fn hubspot(contacts: u64) -> Simulator {
    let config = Config::default().contacts(contacts);
    Simulator::start(config.limits(RateLimits::off())).expect("the simulator starts")
}

/// The folder of the connectors.
pub fn connectors() -> PathBuf {
    built().connectors.clone()
}

/// Traffic meant for HubSpot goes to the simulator.
pub fn setup(app: &Simulator) -> Setup {
    let upstream = |origin: &str| format!("dev.upstreams.\"{origin}\"");
    Setup::plain()
        .connectors(connectors())
        .set("dev.enabled", true)
        .set(&upstream(API_ORIGIN), app.url())
        .set(&upstream(LOGIN_ORIGIN), app.url())
        .set("sync.retry_first", "100ms")
        .set("sync.retry_longest", "300ms")
}

/// Connects the account by the token of its private app, and waits for its first sync.
pub async fn connect_synced(client: &Client) -> Client {
    let body = json!({"appKey": "hubspot", "userInputs": {"apiKey": Config::TOKEN}});
    let connected = client.post("/api/credentials", body).await.ok();
    let account = client.of(connected["id"].as_str().unwrap());
    account.wait_synced(account.credential()).await;
    account
}

/// The people that an account shows, by the app's ids.
pub async fn shown(account: &Client) -> BTreeMap<String, Value> {
    let people = account.all("people", "limit=1000").await;
    people
        .into_iter()
        .map(|person| (original(&person), person))
        .collect()
}

/// The app's id of a person.
pub fn original(person: &Value) -> String {
    let id = person["originalIds"]["contacts"].as_str();
    id.unwrap_or_else(|| panic!("{person}")).to_owned()
}

/// Every contact is shown, each field that is mapped is what the app has, and nothing
/// else is there.
pub fn assert_shows(shown: &BTreeMap<String, Value>, app: &Simulator) {
    let contacts = app.contacts();
    assert_eq!(shown.len(), contacts.len());
    for contact in &contacts {
        let id = contact["id"].as_str().unwrap();
        let person = shown.get(id).unwrap_or_else(|| panic!("{id} is missing"));
        let expected = person_of(&contact["properties"]);
        for (field, value) in &expected {
            assert_eq!(&said(&person[field]), value, "{field} of {contact}");
        }
        assert_eq!(
            person["assignedUserId"].is_null(),
            contact["properties"]["hubspot_owner_id"].is_null(),
            "{contact}"
        );
        assert_eq!(person["original"]["contacts"]["id"], contact["id"]);
    }
}

/// A value without the parts of its entries that are null.
pub fn said(value: &Value) -> Value {
    match value {
        Value::Array(entries) => entries.iter().map(said).collect(),
        Value::Object(parts) => {
            let said = parts.iter().filter(|(_, part)| !part.is_null());
            said.map(|(name, part)| (name.clone(), part.clone()))
                .collect()
        }
        value => value.clone(),
    }
}

/// A contact's properties as the fields of a person, without references.
fn person_of(properties: &Value) -> Map<String, Value> {
    let text = |name: &str| properties[name].as_str().map(str::to_owned);
    let mut person = Map::new();
    for (field, property) in [
        ("firstName", "firstname"),
        ("lastName", "lastname"),
        ("stage", "lifecyclestage"),
        ("jobTitle", "jobtitle"),
        ("companyName", "company"),
        ("birthday", "date_of_birth"),
        ("source", "hs_analytics_source"),
        ("systemSource", "hs_object_source_label"),
    ] {
        if let Some(value) = text(property) {
            person.insert(field.into(), value.into());
        }
    }
    for (field, property) in [
        ("created", "createdate"),
        ("updated", "lastmodifieddate"),
        ("lastActivity", "notes_last_updated"),
    ] {
        if let Some(moment) = text(property) {
            // A moment without a fraction is shown without one.
            person.insert(field.into(), moment.replace(".000Z", "Z").into());
        }
    }
    let names = [text("firstname"), text("lastname")];
    let names: Vec<String> = names.into_iter().flatten().collect();
    if !names.is_empty() {
        person.insert("name".into(), names.join(" ").into());
    }
    let further = text("hs_additional_emails").unwrap_or_default();
    let further = further.split(';').filter(|email| !email.is_empty());
    let further = further.map(|email| json!({"value": email, "isPrimary": false}));
    let primary = text("email").map(|email| json!({"value": email, "isPrimary": true}));
    let emails: Vec<Value> = primary.into_iter().chain(further).collect();
    person.insert("emails".into(), emails.into());
    let mut phones = Vec::new();
    if let Some(number) = text("phone") {
        phones.push(json!({"value": number, "isPrimary": true}));
    }
    if let Some(number) = text("mobilephone") {
        phones.push(json!({"value": number, "type": "mobile", "isPrimary": phones.is_empty()}));
    }
    person.insert("phones".into(), phones.into());
    let address: Map<String, Value> = [
        ("street", "address"),
        ("city", "city"),
        ("state", "state"),
        ("code", "zip"),
        ("country", "country"),
    ]
    .into_iter()
    .filter_map(|(part, property)| Some((part.to_owned(), text(property)?.into())))
    .collect();
    let addresses = if address.is_empty() {
        json!([])
    } else {
        json!([address])
    };
    person.insert("addresses".into(), addresses);
    person
}
