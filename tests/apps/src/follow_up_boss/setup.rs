//! How every account is set up at first.

use serde_json::{Value, json};

use super::data::{Dataset, agent};
use super::moments;
use super::records::{Kind, STAGES};

/// 2025-01-01T12:00:00Z.
const SET_UP: i64 = 1_735_732_800;

/// Adds what an account has before it has people.
pub(super) fn furnish(dataset: &mut Dataset) {
    custom_fields(dataset);
    let last = STAGES.len();
    for (place, (name, id)) in (1..).zip(STAGES) {
        dataset.add(
            Kind::Stages,
            json!({
                "id": id, "name": name, "orderWeight": place * 1000,
                "isProtected": place == 1 || place == last, "peopleCount": 0,
            }),
        );
    }
    for (id, name) in (1..).zip(["Listing appointment", "Buyer consultation", "Showing"]) {
        add_choice(dataset, Kind::AppointmentTypes, id, name);
    }
    for (id, name) in (1..).zip(["Met", "No show", "Rescheduled"]) {
        add_choice(dataset, Kind::AppointmentOutcomes, id, name);
    }
    for (id, timeframe) in (1..).zip(["0-3 Months", "3-6 Months", "6-12 Months", "12+ Months"]) {
        let record = json!({ "id": id, "timeframe": timeframe });
        dataset.add(Kind::Timeframes, record);
    }
    for (id, name, users, leaders) in [
        (1, "Northside team", json!([1, 2]), json!([2])),
        (2, "Lakefront team", json!([2, 3]), json!([])),
    ] {
        let record = json!({ "id": id, "name": name, "userIds": users, "leaderIds": leaders });
        dataset.add(Kind::Teams, record);
    }
    for (id, name, criteria, about) in [
        (1, "All people", "", Value::Null),
        (
            2,
            "Buyers",
            "tags=Buyer",
            "Everybody who wants to buy".into(),
        ),
        (3, "New leads", "stage=Lead", Value::Null),
    ] {
        dataset.add(
            Kind::SmartLists,
            json!({
                "id": id, "created": moments::iso(SET_UP), "name": name, "isFub2": id > 1,
                "description": about, "defaultSmartListId": (id == 1).then_some("all"),
                "_criteria": criteria,
            }),
        );
    }
    let pond = json!({ "id": 1, "name": "Website leads", "userId": 1, "userIds": [1, 2, 3] });
    dataset.add(Kind::Ponds, pond);
    let members: Vec<Value> = (1..=3)
        .map(|id| {
            let name = agent(id);
            let (first, last) = name.split_once(' ').unwrap_or((name, ""));
            let role = if id == 3 { "Agent" } else { "Broker" };
            json!({ "id": id, "name": name, "firstName": first, "lastName": last, "role": role })
        })
        .collect();
    dataset.add(
        Kind::Groups,
        json!({
            "id": 1, "name": "All agents", "type": "Agent", "distribution": "round-robin",
            "defaultUserId": 1, "defaultPondId": null, "defaultGroupId": null,
            "claimWindow": 1800, "hideName": 0, "hideSource": 0, "nextRoundRobinUser": null,
            "isPrimary": true, "users": members,
        }),
    );
    pipelines(dataset);
}

fn add_choice(dataset: &mut Dataset, kind: Kind, id: u64, name: &str) {
    let record = json!({ "id": id, "name": name, "orderWeight": id * 1000 });
    dataset.add(kind, record);
}

fn custom_fields(dataset: &mut Dataset) {
    for (id, label, kind, choices) in [
        (1, "Birthday", "date", json!([])),
        (2, "Preferred Area", "text", json!([])),
        (3, "Loan Amount", "number", json!([])),
        (4, "Close Date", "date", json!([])),
        (5, "Spouse Name", "text", json!([])),
        (6, "Notes For Agent", "text", json!([])),
        (
            7,
            "Financing",
            "dropdown",
            json!(["Cash", "Loan", "Unknown"]),
        ),
    ] {
        dataset.add(
            Kind::CustomFields,
            json!({
                "id": id, "label": label, "name": format!("custom{}", label.replace(' ', "")),
                "type": kind, "choices": choices, "isRecurring": label == "Birthday",
                "orderWeight": id * 1000, "hideIfEmpty": false, "readOnly": false,
            }),
        );
    }
    for (id, label, kind, choices) in [
        (1, "Lost Date", "date", json!([])),
        (2, "Title Company", "text", json!([])),
        (3, "Deal Type", "dropdown", json!(["Residential", "Land"])),
    ] {
        dataset.add(
            Kind::DealCustomFields,
            json!({
                "id": id, "label": label, "name": format!("custom{}", label.replace(' ', "")),
                "type": kind, "choices": choices, "orderWeight": id * 1000,
                "hideIfEmpty": false, "readOnly": false,
            }),
        );
    }
}

/// Two pipelines. The stages of both are numbered together, and not like the
/// stages of people.
fn pipelines(dataset: &mut Dataset) {
    let stages = [
        (1, "Offer", false),
        (1, "Under contract", false),
        (1, "Closed", true),
        (2, "Listed", false),
        (2, "Pending", false),
        (2, "Sold", true),
    ];
    for (id, name) in (1_u64..).zip(["Buyers", "Sellers"]) {
        let own = (14_u64..)
            .zip(stages)
            .filter(|(_, (pipeline, ..))| *pipeline == id);
        let stages: Vec<Value> = (1..)
            .zip(own)
            .map(|(place, (stage, (_, name, closed)))| {
                json!({
                    "id": stage, "name": name, "color": "#819cff", "description": "",
                    "orderWeight": place * 1000, "closedStage": closed,
                })
            })
            .collect();
        dataset.add(
            Kind::Pipelines,
            json!({
                "id": id, "name": name, "description": format!("Deals of {}", name.to_lowercase()),
                "orderWeight": id * 1000, "stages": stages,
            }),
        );
    }
}
