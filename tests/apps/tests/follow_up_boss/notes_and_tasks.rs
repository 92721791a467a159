use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::json;

use super::{Api, unlimited};

#[tokio::test]
async fn notes_are_written_read_and_erased() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let created = api
        .post(
            "/notes",
            json!({"personId": 1, "subject": "S", "body": "<p>B</p>", "isHtml": true}),
        )
        .await;
    assert_eq!(created.status, 201);
    let note = created.json();
    assert_eq!(note["createdBy"], "Tom Minch");
    assert_eq!(
        (&note["createdById"], &note["isHtml"]),
        (&json!(1), &json!(true))
    );
    let path = format!("/notes/{}", note["id"]);
    assert_eq!(api.get(&path).await.json(), note);
    let person = api.get("/people/1").await.json();
    assert_eq!(person["lastActivity"], note["created"]);
    assert!(person["updated"].as_str() < note["created"].as_str());

    let changed = api.put(&path, json!({"body": "new"})).await;
    assert_eq!(
        (changed.status, &changed.json()["body"]),
        (200, &json!("new"))
    );
    assert_eq!(changed.json()["subject"], "S");
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
    let next = api.post("/notes", json!({"personId": 1})).await.json();
    assert!(
        next["id"].as_u64() > note["id"].as_u64(),
        "ids are not used again"
    );
}

#[tokio::test]
async fn notes_are_listed_by_person_and_author() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    assert_eq!(api.get("/notes?personId=6").await.ids(), [7, 6]);
    assert_eq!(api.get("/notes?createdById=1").await.ids(), [6, 3]);
    let id = simulator.add_note(6, "by the test");
    assert_eq!(api.get("/notes?personId=6&limit=1").await.ids(), [id]);
    assert!(simulator.restrict_note(id));
    assert_eq!(api.get(&format!("/notes/{id}")).await.status, 404);
    assert_eq!(api.get("/notes?personId=6").await.ids(), [7, 6]);
    assert!(simulator.note(id).is_some());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (path, body, message) in [
        (
            "/notes",
            json!({"body": "x"}),
            "Missing required field 'personId'",
        ),
        (
            "/notes",
            json!({"personId": null}),
            "Missing required field 'personId'",
        ),
        (
            "/tasks",
            json!({"personId": 1}),
            "Missing required field 'assignedUserId'",
        ),
        (
            "/notes",
            json!({"personId": 1, "text": 1}),
            "Invalid fields in the request body: text.",
        ),
        (
            "/tasks",
            json!({"personId": 1, "assignedUserId": 1, "type": "Nap"}),
            "Invalid value for field 'type'.",
        ),
        (
            "/tasks",
            json!({"personId": 1, "assignedUserId": 1, "dueDate": "1/2/2025"}),
            "Invalid value for field 'dueDate'.",
        ),
    ] {
        let answer = api.post(path, body).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, message));
    }
    assert_eq!(
        api.post("/notes", json!({"personId": 999})).await.status,
        404
    );
}

#[tokio::test]
async fn tasks_have_their_capital_a() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let body = json!({
        "personId": 5, "assignedTo": "Ana Souza", "name": "Ring", "type": "Call",
        "dueDate": "2026-01-31", "dueDateTime": "2026-01-31T09:00:00-08:00",
        "remindSecondsBefore": 600,
    });
    let created = api.post("/tasks", body).await;
    assert_eq!(created.status, 201);
    let task = created.json();
    assert_eq!(
        (&task["AssignedTo"], &task["assignedUserId"]),
        (&json!("Ana Souza"), &json!(2))
    );
    assert_eq!(task.get("assignedTo"), None);
    assert_eq!(task["person"], json!({"id": 5, "name": "Hannah Cole"}));
    assert_eq!(task["dueDateTime"], "2026-01-31T17:00:00Z");
    assert_eq!(
        (&task["isCompleted"], &task["completed"]),
        (&json!(0), &json!(null))
    );
    let path = format!("/tasks/{}", task["id"]);
    let done = api
        .put(&path, json!({"isCompleted": true, "assignedUserId": 3}))
        .await
        .json();
    assert_eq!(
        (&done["isCompleted"], &done["AssignedTo"]),
        (&json!(1), &json!("Kenji Sato"))
    );
    assert!(done["completed"].is_string());
    assert_eq!(simulator.task(task["id"].as_u64().unwrap()).unwrap(), done);
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
}

#[tokio::test]
async fn tasks_are_filtered() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (query, expected) in [
        ("personId=3", vec![3]),
        ("assignedUserId=1", vec![3, 6]),
        ("assignedTo=tom%20minch", vec![3, 6]),
        ("isCompleted=true", vec![2, 5]),
        ("isCompleted=0&idLessThan=4", vec![1, 3]),
        ("type=Call,Text", vec![1, 6]),
        ("name=SHOWING", vec![4]),
    ] {
        let answer = api.get(&format!("/tasks?sort=id&{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
    }
    assert_eq!(api.get("/tasks?isCompleted=maybe").await.status, 400);
    let nobody = api
        .post("/tasks", json!({"personId": 0, "assignedUserId": 1}))
        .await
        .json();
    assert_eq!(
        (&nobody["personId"], &nobody["person"]),
        (&json!(0), &json!(null))
    );
}
