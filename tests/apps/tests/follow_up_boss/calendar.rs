use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Kind, Simulator};
use serde_json::json;

use super::{Api, unlimited};

#[tokio::test]
async fn appointments_are_made_moved_and_cancelled() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let body = json!({
        "title": "Tour", "start": "2026-03-01T10:00:00-08:00", "end": "2026-03-01T19:00:00Z",
        "typeId": 3, "allDay": false, "location": "Lake",
        "invitees": [{"userId": 2}, {"personId": 4}, {"name": "Cousin", "email": "c@example.com"}],
    });
    let created = api.post("/appointments?sendInvitation=false", body).await;
    assert_eq!(created.status, 201);
    let made = created.json();
    assert_eq!(made["start"], "2026-03-01T18:00:00Z");
    assert_eq!(
        (&made["type"], &made["outcomeId"], &made["outcome"]),
        (&json!("Showing"), &json!(null), &json!(null))
    );
    assert_eq!(
        (&made["invitees"][0]["name"], &made["invitees"][0]["email"]),
        (&json!("Ana Souza"), &json!("ana@sunrise.example"))
    );
    assert_eq!(
        (
            &made["invitees"][1]["personId"],
            &made["invitees"][1]["email"]
        ),
        (&json!(4), &json!("diego.fuentes@example.com"))
    );
    assert_eq!(made["invitees"][2]["userId"], json!(null));
    let path = format!("/appointments/{}", made["id"]);
    let met = api
        .put(
            &path,
            json!({"outcomeId": 1, "typeId": null, "invitees": []}),
        )
        .await
        .json();
    assert_eq!(
        (&met["outcome"], &met["type"], &met["invitees"]),
        (&json!("Met"), &json!(null), &json!([]))
    );
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
    assert_eq!(api.delete(&path).await.status, 404);
    assert_eq!(api.get("/appointments").await.ids().len(), 5);
    assert_eq!(
        api.get("/appointments?includeDeleted=1").await.ids().len(),
        6
    );
}

#[tokio::test]
async fn appointments_are_refused_without_sense() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let good =
        json!({"title": "T", "start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z"});
    for (field, value, status) in [
        ("title", json!(null), 400),
        ("end", json!("2026-03-01T09:00:00Z"), 400),
        ("start", json!("soon"), 400),
        ("typeId", json!(99), 400),
        ("invitees", json!([{"userId": 99}]), 400),
        ("invitees", json!([{"personId": 99}]), 404),
        ("invitees", json!([{}]), 400),
        ("type", json!("Showing"), 400),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let answer = api.post("/appointments", body).await;
        assert_eq!(answer.status, status, "{field} {value}");
    }
    assert_eq!(api.post("/appointments", good).await.status, 201);
    let bad = json!({"end": "2020-01-01T00:00:00Z"});
    assert_eq!(api.put("/appointments/1", bad).await.status, 400);
}

#[tokio::test]
async fn appointments_are_found_by_people_and_span() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (query, expected) in [
        ("personId=3,5", vec![1, 3]),
        ("userId=2", vec![1, 4]),
        ("typeId=2", vec![3]),
        ("outcomeId=1", vec![2, 4]),
        ("createdById=2", vec![1, 4]),
        (
            "start=2025-05-15T12:00:00Z&end=2025-05-17T12:00:00Z",
            vec![1, 2],
        ),
    ] {
        let answer = api.get(&format!("/appointments?sort=id&{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
    }
    let half = api.get("/appointments?start=2025-05-15").await;
    assert_eq!((half.status, half.error().contains("'end'")), (400, true));
}

#[tokio::test]
async fn types_and_outcomes_belong_to_the_owner_and_are_replaced() {
    let account = AccountConfig::new(Dataset::demo())
        .key("fka_owner", 1)
        .key("fka_admin", 2);
    let simulator = Simulator::start(Config::of(account)).unwrap();
    let api = Api::with_key(&simulator, "fka_owner");
    let admin = Api::with_key(&simulator, "fka_admin");
    let original = api.get("/appointments/2").await.json();
    for (path, collection, id, name, assign) in [
        (
            "/appointmentTypes",
            "appointmenttypes",
            "typeId",
            "type",
            "assignTypeId",
        ),
        (
            "/appointmentOutcomes",
            "appointmentoutcomes",
            "outcomeId",
            "outcome",
            "assignOutcomeId",
        ),
    ] {
        let list = admin.get(path).await.json();
        assert_eq!(list["_metadata"]["collection"], collection);
        assert_eq!(list[collection].as_array().unwrap().len(), 3);
        let body = json!({"name": "Coffee"});
        assert_eq!(admin.post(path, body.clone()).await.status, 403);
        let made = api.post(path, body.clone()).await;
        assert_eq!(
            (made.status, &made.json()["orderWeight"]),
            (201, &json!(4000))
        );
        assert_eq!(api.post(path, body).await.status, 400, "it exists");

        let used = api.get("/appointments/2").await.json();
        let old = format!("{path}/{}", used[id]);
        assert_eq!(api.put(&old, json!({"name": "Renamed"})).await.status, 200);
        let shown = api.get("/appointments/2").await.json();
        assert_eq!(
            (&shown[name], &shown["updated"]),
            (&json!("Renamed"), &used["updated"])
        );

        assert_eq!(api.delete(&old).await.status, 400);
        assert_eq!(api.delete(&format!("{old}?{assign}=77")).await.status, 400);
        let heir = made.json()["id"].clone();
        assert_eq!(
            api.delete(&format!("{old}?{assign}={heir}")).await.status,
            204
        );
        assert_eq!(api.get(&old).await.status, 404);
        let moved = api.get("/appointments/2").await.json();
        assert_eq!((&moved[id], &moved[name]), (&heir, &json!("Coffee")));
        assert_ne!(moved["updated"], original["updated"]);
    }
    assert_eq!(simulator.all(Kind::AppointmentTypes).len(), 3);
}
