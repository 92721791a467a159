//! Contacts as people.

use hubspot::HubSpot;
use rollout_connector::testing::{FakeApp, Reply, assert_items, fixture};
use rollout_connector::{Cursor, Entities, Item, Scope, time};
use serde_json::{Value, json};

use crate::CONTACTS;

/// What becomes of these records in a list.
pub(crate) fn read(records: &[Value]) -> Vec<Item> {
    let _app = FakeApp::of::<HubSpot>()
        .on(
            &format!("GET {CONTACTS}"),
            Reply::json(200, json!({"results": records})),
        )
        .start();
    HubSpot::changes("people", Scope::Full, Cursor::START, 100)
        .unwrap()
        .items
}

#[test]
fn a_whole_contact_is_a_whole_person() {
    let text = fixture("tests/fixtures/contact.json");
    let record: Value = serde_json::from_str(&text).unwrap();
    let items = read(std::slice::from_ref(&record));
    assert_items("people", &items);
    let item = &items[0];
    assert_eq!(item.id, "512");
    assert_eq!(item.updated_at, time::parse("2026-03-02T08:30:00.250Z"));
    assert_eq!(item.merged_ids, ["77", "78"]);
    let native: Value = serde_json::from_str(item.native.as_ref().unwrap()).unwrap();
    assert_eq!(native, record);
    assert_eq!(
        item.document(),
        json!({
            "name": "Ada Lovelace", "firstName": "Ada", "lastName": "Lovelace",
            "assignedUserId": "7", "stage": "lead",
            "created": "2026-03-01T10:00:00Z", "updated": "2026-03-02T08:30:00.250Z",
            "addresses": [{"street": "12 St James's Square", "city": "Portland", "state": "OR", "code": "97201", "country": "United States"}],
            "emails": [
                {"value": "ada@example.com", "isPrimary": true},
                {"value": "ada@work.example", "isPrimary": false},
                {"value": "lovelace@example.org", "isPrimary": false},
            ],
            "phones": [
                {"value": "(503) 555-0100", "isPrimary": true},
                {"value": "(503) 555-0142", "type": "mobile", "isPrimary": false},
            ],
            "source": "ORGANIC_SEARCH", "systemSource": "INTEGRATION", "birthday": "1985-12-10",
            "lastActivity": "2026-03-02T08:30:00Z", "jobTitle": "Analyst", "companyName": "Analytical Engines",
        })
    );
}

#[test]
fn every_property_that_is_mapped_is_asked_for() {
    let app = FakeApp::of::<HubSpot>()
        .on(
            &format!("GET {CONTACTS}"),
            Reply::json(200, json!({"results": []})),
        )
        .start();
    HubSpot::changes("people", Scope::Full, Cursor::START, 100).unwrap();
    let asked = app.requests()[0].query_value("properties").unwrap();
    let record: Value = serde_json::from_str(&fixture("tests/fixtures/contact.json")).unwrap();
    for property in record["properties"].as_object().unwrap().keys() {
        let known = asked.split(',').any(|one| one == property);
        // Its value is the record's id, too.
        assert!(known || property == "hs_object_id", "{property}");
    }
}

#[test]
fn a_contact_that_says_nothing_is_a_person_without_lists() {
    let properties = json!({"firstname": null, "lastname": "", "email": " ", "phone": null, "hubspot_owner_id": ""});
    let items = read(&[json!({"id": "1", "properties": properties, "archived": false})]);
    let expected = json!({"addresses": [], "emails": [], "phones": []});
    assert_eq!(items[0].document(), expected);
    assert_items("people", &items);
}

#[test]
fn a_mobile_alone_is_the_primary_phone_and_one_name_is_the_whole() {
    let properties = json!({"lastname": "Lovelace", "mobilephone": "555", "hs_additional_emails": ";a@x.example; b@x.example;"});
    let document = read(&[json!({"id": 9, "properties": properties})])[0].document();
    assert_eq!(document["name"], "Lovelace");
    assert_eq!(
        document["phones"],
        json!([{"value": "555", "type": "mobile", "isPrimary": true}])
    );
    assert_eq!(
        document["emails"],
        json!([{"value": "a@x.example", "isPrimary": false}, {"value": "b@x.example", "isPrimary": false}])
    );
}

#[test]
fn archived_contacts_are_deleted_and_odd_ones_do_no_harm() {
    let items = read(&[
        json!({"id": "1", "archived": true, "properties": {"firstname": "Gone"}}),
        json!({"properties": {"firstname": "Nobody"}}),
        json!({"id": "3", "properties": {"firstname": {"a": 1}, "jobtitle": ["x"], "company": "Left"}}),
    ]);
    assert_eq!(items.len(), 2);
    assert!(items[0].deleted && !items[1].deleted);
    let document = items[1].document();
    assert_eq!(document["companyName"], "Left");
    assert!(document.get("firstName").is_none() && document.get("jobTitle").is_none());
}

#[test]
fn records_are_read_by_id_in_batches() {
    let answer = json!({
        "status": "COMPLETE",
        "results": [{"id": "7", "properties": {"firstname": "A"}}, {"id": "1000", "properties": {"firstname": "Survivor"}}],
        "numErrors": 1, "errors": [{"category": "OBJECT_NOT_FOUND", "message": "Could not get some CONTACT objects, they may be deleted or not exist."}],
    });
    let app = FakeApp::of::<HubSpot>()
        .on(
            &format!("POST {CONTACTS}/batch/read"),
            Reply::json(207, answer),
        )
        .start();
    let ids: Vec<String> = (1..=150).map(|id| id.to_string()).collect();
    let items = HubSpot::get("people", &ids).unwrap();
    // What was not asked for, such as what 8 was merged into, is no answer.
    assert!(items.iter().all(|item| item.id == "7"));
    let sizes: Vec<usize> = app
        .requests()
        .iter()
        .map(|request| request.json_body()["inputs"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [100, 50]);
}
