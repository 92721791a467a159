//! People as contacts.

use hubspot::HubSpot;
use rollout_connector::http::Failure;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Entities, Error, Upstream, Write, Written};
use serde_json::{Value, json};

use crate::CONTACTS;

/// The properties that go over to create, and to update.
fn sent(body: &Value) -> (Value, Value) {
    let app = FakeApp::of::<HubSpot>()
        .on(
            &format!("POST {CONTACTS}"),
            Reply::json(201, json!({"id": "9", "properties": {}})),
        )
        .on(
            &format!("PATCH {CONTACTS}/9"),
            Reply::json(200, json!({"id": "9", "properties": {}})),
        )
        .start();
    // The app's answers have a part of the properties only.
    let id = Ok(Written::Id("9".into()));
    assert_eq!(HubSpot::create("people", Write::of(body.clone())), id);
    assert_eq!(HubSpot::update("people", "9", Write::of(body.clone())), id);
    let bodies: Vec<Value> = app
        .requests()
        .iter()
        .map(|request| request.json_body()["properties"].clone())
        .collect();
    (bodies[0].clone(), bodies[1].clone())
}

#[test]
fn a_person_goes_over_in_the_apps_terms() {
    let (created, updated) = sent(&json!({
        "firstName": "Ada", "lastName": null, "assignedUserId": "7", "stage": "lead", "birthday": null,
        "jobTitle": "Analyst", "companyName": "Engines",
        "emails": [{"value": "second@x.example", "type": "work"}, {"value": " first@x.example ", "isPrimary": true}, {"value": "third@x.example"}],
        "phones": [{"value": "1", "type": "Mobile"}, {"value": "2", "type": "home"}],
        "addresses": [{"type": "home", "street": "S", "city": "C", "code": "97201", "country": null}],
    }));
    let all = json!({
        "firstname": "Ada", "lastname": "", "hubspot_owner_id": "7", "lifecyclestage": "lead", "date_of_birth": "",
        "jobtitle": "Analyst", "company": "Engines",
        "email": "first@x.example", "hs_additional_emails": "second@x.example;third@x.example",
        "phone": "2", "mobilephone": "1",
        "address": "S", "city": "C", "state": "", "zip": "97201", "country": "",
    });
    assert_eq!(updated, all);
    // What is new needs no empty properties.
    let full = all.as_object().unwrap().iter();
    let full: Value = full
        .filter(|(_, value)| **value != "")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    assert_eq!(created, full);
}

#[test]
fn lists_are_replaced_as_a_whole() {
    let empty = json!({"emails": [], "phones": null, "addresses": []});
    let (created, updated) = sent(&empty);
    assert_eq!(created, json!({}));
    assert_eq!(
        updated,
        json!({
            "email": "", "hs_additional_emails": "", "phone": "", "mobilephone": "",
            "address": "", "city": "", "state": "", "zip": "", "country": "",
        })
    );
    let (_, updated) =
        sent(&json!({"emails": [{"value": "a@x.example"}], "phones": [{"value": "1"}]}));
    assert_eq!(
        updated,
        json!({"email": "a@x.example", "hs_additional_emails": "", "phone": "1", "mobilephone": ""})
    );
}

#[test]
fn everything_wrong_is_said_at_once_and_nothing_is_sent() {
    let app = FakeApp::new().start();
    let body = json!({
        "firstName": 7, "emails": [{"type": "home"}, {"value": "a;b"}], "tags": ["Buyer"],
        "phones": [{"value": "1"}, {"value": "2"}, {"value": "3", "type": "mobile"}, {"value": "4", "type": "mobile"}],
        "addresses": [{"city": 5}, {"city": "Second"}], "customX": "y",
    });
    for refused in [
        HubSpot::create("people", Write::of(body.clone())),
        HubSpot::update("people", "1", Write::of(body.clone())),
    ] {
        let Err(Error::InvalidInput(issues)) = refused else {
            panic!("{refused:?}");
        };
        let mut pointers: Vec<&str> = issues.iter().map(|issue| issue.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            [
                "/addresses/0/city",
                "/addresses/1",
                "/customX",
                "/emails/0/value",
                "/emails/1/value",
                "/firstName",
                "/phones/1",
                "/phones/3",
                "/tags",
            ]
        );
    }
    let list = HubSpot::create("people", Write::of(json!({"emails": "a@x.example"})));
    assert!(matches!(list, Err(Error::InvalidInput(_))));
    assert!(app.requests().is_empty());
}

#[test]
fn a_creation_whose_outcome_is_unknown_may_have_been_applied() {
    for reply in [
        Reply::failure(Failure::Timeout),
        Reply::json(502, ""),
        Reply::json(201, "<html>"),
        Reply::json(201, json!({"properties": {}})),
    ] {
        let _app = FakeApp::of::<HubSpot>()
            .on(&format!("POST {CONTACTS}"), reply.clone())
            .start();
        let created = HubSpot::create("people", Write::of(json!({"firstName": "Ada"})));
        let Err(Error::Upstream(Upstream {
            maybe_applied: true,
            ..
        })) = created
        else {
            panic!("{reply:?}: {created:?}");
        };
    }
}

#[test]
fn a_contact_is_archived() {
    let app = FakeApp::of::<HubSpot>()
        .on(&format!("DELETE {CONTACTS}/512"), Reply::empty(204))
        .start();
    assert_eq!(HubSpot::delete("people", "512", "key"), Ok(()));
    assert_eq!(app.sent(), [format!("DELETE {CONTACTS}/512")]);
}
