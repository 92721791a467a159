//! Writes: through the connector to the app, and in the store on return.

use futures_util::future::join_all;
use rollout_test_apps::follow_up_boss::{Dataset, Fault, Hold};
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Client, PATIENCE, Shared, Stage, within};

/// Accounts of the shared stage: each test that writes has one to itself.
const ACCOUNTS: u64 = 13;
const NEVER: &str = "00000000-0000-8000-8000-000000000000";

static STAGE: Shared = Shared::new();

async fn stage() -> &'static Stage {
    STAGE
        .get(|| Stage::with_accounts(Dataset::demo(), ACCOUNTS, |setup| setup))
        .await
}

/// An account at the app, and the same connected.
struct Account {
    app: &'static rollout_test_apps::follow_up_boss::Account,
    client: Client,
}

impl Account {
    async fn number(id: u64) -> Self {
        let (client, app) = stage().await.account(id).await;
        Self { app, client }
    }

    async fn create(&self, entity: &str, body: Value) -> Value {
        self.client
            .post(&format!("/crm/api/{entity}"), body)
            .await
            .with(201)
    }

    async fn put(&self, record: &Value, entity: &str, body: Value) -> Value {
        self.client.put(&path(entity, record), body).await.ok()
    }

    /// The first person of the account, ours and theirs.
    async fn somebody(&self) -> (Value, u64) {
        let people = self.client.all("people", "").await;
        let id = original(&people[0], "people");
        (people[0].clone(), id)
    }

    /// One column of a record in SQL, as text.
    async fn column(&self, entity: &str, record: &Value, column: &str) -> Option<String> {
        let id = record["id"].as_str().unwrap();
        let sql =
            format!("SELECT CAST(\"{column}\" AS TEXT) FROM rollout_{entity} WHERE id = '{id}'");
        stage().await.host.sql().await.value(&sql).await
    }
}

pub(crate) fn path(entity: &str, record: &Value) -> String {
    format!("/crm/api/{entity}/{}", record["id"].as_str().unwrap())
}

pub(crate) fn original(record: &Value, resource: &str) -> u64 {
    record["originalIds"][resource]
        .as_u64()
        .unwrap_or_else(|| panic!("{record}"))
}

pub(crate) fn ada() -> Value {
    json!({"firstName": "Ada", "lastName": "Lovelace"})
}

#[tokio::test]
async fn a_person_is_created_changed_and_deleted_at_the_app_and_here() {
    let account = Account::number(2).await;
    let users = account.client.all("users", "").await;
    let agent = users
        .iter()
        .find(|user| original(user, "users") == 3)
        .unwrap();
    let before = account.client.get("/crm/api/people").await.ok()["_metadata"]["total"].clone();
    let person = account
        .create(
            "people",
            json!({
                "firstName": "Ada", "lastName": "Lovelace", "stage": "Lead",
                "assignedUserId": agent["id"],
                "emails": [{"value": "ada@example.com", "type": "work"}, {"value": "a@example.com", "isPrimary": true}],
                "phones": [{"value": "555-777-0001", "type": "mobile"}],
                "addresses": [{"street": "1 Engine Way", "city": "London", "country": "GB"}],
                "tags": ["Buyer", "Math"], "averagePrice": 250000,
                "customPreferredArea": "Lakefront",
            }),
        )
        .await;
    let id = original(&person, "people");
    let theirs = account.app.person(id).expect("the app has it");
    assert_eq!(theirs["firstName"], "Ada");
    assert_eq!(theirs["assignedUserId"], 3);
    assert_eq!(theirs["tags"], json!(["Buyer", "Math"]));
    assert_eq!(theirs["price"], 250_000);
    assert_eq!(theirs["customPreferredArea"], "Lakefront");
    assert_eq!(theirs["emails"][0]["value"], "a@example.com");

    // The answer, the list, the record and SQL agree.
    assert_eq!(person["name"], "Ada Lovelace");
    assert_eq!(person["assignedUserId"], agent["id"]);
    assert_eq!(person["customPreferredArea"], "Lakefront");
    assert_eq!(person["emails"][0]["isPrimary"], true);
    assert_eq!(
        account.client.get(&path("people", &person)).await.ok(),
        person
    );
    let page = account
        .client
        .get("/crm/api/people?email=ada@example.com")
        .await
        .ok();
    assert_eq!(page["people"], json!([person]));
    let page = account
        .client
        .get("/crm/api/people?phone=5557770001&tags=Math")
        .await
        .ok();
    assert_eq!(page["_metadata"]["total"], 1);
    let page = account.client.get("/crm/api/people?limit=1").await.ok();
    assert_eq!(page["people"][0], person, "newest first");
    assert_eq!(page["_metadata"]["total"], before.as_u64().unwrap() + 1);
    assert_eq!(
        account
            .column("people", &person, "firstName")
            .await
            .as_deref(),
        Some("Ada")
    );
    assert_eq!(
        account
            .column("people", &person, "assignedUserId")
            .await
            .as_deref(),
        agent["id"].as_str()
    );
    let custom = account
        .column("people", &person, "customFields")
        .await
        .unwrap();
    assert!(custom.contains("Lakefront"), "{custom}");

    // What is sent is changed; what is not, stays.
    let changed = account
        .put(
            &person,
            "people",
            json!({"lastName": "King", "customPreferredArea": "Northside"}),
        )
        .await;
    assert_eq!(changed["id"], person["id"]);
    assert_eq!(
        (&changed["firstName"], &changed["lastName"]),
        (&json!("Ada"), &json!("King"))
    );
    assert_eq!(changed["tags"], person["tags"]);
    assert_eq!(changed["customPreferredArea"], "Northside");
    assert_eq!(account.app.person(id).unwrap()["lastName"], "King");
    assert_eq!(
        account
            .column("people", &person, "lastName")
            .await
            .as_deref(),
        Some("King")
    );
    assert_eq!(
        account.client.get(&path("people", &person)).await.ok(),
        changed
    );

    let deleted = account.client.delete(&path("people", &person)).await.ok();
    assert_eq!(deleted, json!([]));
    assert_eq!(account.app.person(id).unwrap()["stage"], "Trash");
    account
        .client
        .get(&path("people", &person))
        .await
        .refused(404, "not_found");
    account
        .client
        .delete(&path("people", &person))
        .await
        .refused(404, "not_found");
    account
        .client
        .put(&path("people", &person), ada())
        .await
        .refused(404, "not_found");
    let page = account
        .client
        .get("/crm/api/people?email=ada@example.com")
        .await
        .ok();
    assert_eq!(page["people"], json!([]));
    let total = account.client.get("/crm/api/people").await.ok()["_metadata"]["total"].clone();
    assert_eq!(total, before);
}

#[tokio::test]
async fn notes_and_tasks_are_written_with_references_in_both_languages() {
    let account = Account::number(3).await;
    let (person, person_id) = account.somebody().await;
    let users = account.client.all("users", "").await;
    let broker = users
        .iter()
        .find(|user| original(user, "users") == 2)
        .unwrap();

    let note =
        json!({"personId": person["id"], "subject": "Hi", "body": "<b>x</b>", "isHtml": true});
    let note = account.create("notes", note).await;
    let note_id = original(&note, "notes");
    let theirs = account.app.note(note_id).unwrap();
    assert_eq!(theirs["personId"], person_id);
    assert_eq!(theirs["subject"], "Hi");
    assert_eq!(theirs["isHtml"], true);
    assert_eq!(note["personId"], person["id"]);
    assert_eq!(note["isHtml"], true);
    let found = account
        .client
        .get(&format!(
            "/crm/api/notes?personId={}",
            person["id"].as_str().unwrap()
        ))
        .await
        .ok();
    assert_eq!(found["notes"][0], note);
    let changed = account.put(&note, "notes", json!({"body": "plain"})).await;
    assert_eq!(
        (&changed["subject"], &changed["body"]),
        (&json!("Hi"), &json!("plain"))
    );
    assert_eq!(account.app.note(note_id).unwrap()["body"], "plain");
    assert_eq!(
        account.column("notes", &note, "body").await.as_deref(),
        Some("plain")
    );
    assert_eq!(
        account.client.delete(&path("notes", &note)).await.ok(),
        json!([])
    );
    assert!(account.app.note(note_id).is_none());
    account
        .client
        .get(&path("notes", &note))
        .await
        .refused(404, "not_found");

    let task = json!({
        "personId": person["id"], "name": "Call", "type": "Call",
        "assignedUserId": broker["id"], "dueDateTime": "2026-03-01T10:00:00+02:00",
    });
    let task = account.create("tasks", task).await;
    let task_id = original(&task, "tasks");
    let theirs = account.app.task(task_id).unwrap();
    assert_eq!(
        (&theirs["personId"], &theirs["assignedUserId"]),
        (&json!(person_id), &json!(2))
    );
    assert_eq!(task["assignedUserId"], broker["id"]);
    assert_eq!(task["dueDateTime"], "2026-03-01T08:00:00Z");
    assert_eq!(task["isCompleted"], false);
    let done = account
        .put(
            &task,
            "tasks",
            json!({"isCompleted": true, "dueDateTime": "2026-03-02"}),
        )
        .await;
    assert_eq!(done["isCompleted"], true);
    assert_eq!(done["dueDateTime"], "2026-03-02");
    assert!(truthy(&account.app.task(task_id).unwrap()["isCompleted"]));
    let open = account
        .put(
            &task,
            "tasks",
            json!({"isCompleted": false, "dueDateTime": null}),
        )
        .await;
    assert_eq!(
        (&open["isCompleted"], &open["dueDateTime"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        account.client.delete(&path("tasks", &task)).await.ok(),
        json!([])
    );
    assert!(account.app.task(task_id).is_none());
}

fn truthy(value: &Value) -> bool {
    *value == json!(true) || *value == json!(1)
}

#[tokio::test]
async fn null_clears_and_lists_replace() {
    let account = Account::number(4).await;
    let users = account.client.all("users", "").await;
    let mut body = ada();
    body["assignedUserId"] = users[0]["id"].clone();
    body["averagePrice"] = json!(100);
    body["tags"] = json!(["a", "b"]);
    body["emails"] = json!([{"value": "one@example.com"}, {"value": "two@example.com"}]);
    body["customPreferredArea"] = json!("Suburbs");
    let person = account.create("people", body).await;
    let id = original(&person, "people");

    let nulls = json!({"averagePrice": null, "customPreferredArea": null});
    let cleared = account.put(&person, "people", nulls).await;
    assert_eq!(cleared["averagePrice"], Value::Null);
    assert!(
        cleared
            .get("customPreferredArea")
            .is_none_or(Value::is_null),
        "{cleared}"
    );
    assert_eq!(cleared["tags"], json!(["a", "b"]));
    assert_eq!(cleared["assignedUserId"], users[0]["id"]);
    let lists = json!({"tags": ["c"], "emails": [{"value": "three@example.com"}]});
    let replaced = account.put(&person, "people", lists).await;
    assert_eq!(replaced["tags"], json!(["c"]));
    assert_eq!(replaced["emails"].as_array().unwrap().len(), 1);
    assert_eq!(account.app.person(id).unwrap()["tags"], json!(["c"]));
    for gone in ["one@example.com", "two@example.com"] {
        let page = account
            .client
            .get(&format!("/crm/api/people?email={gone}"))
            .await
            .ok();
        assert_eq!(page["people"], json!([]), "{gone}");
    }
    let emptied = account
        .put(&person, "people", json!({"tags": null, "emails": []}))
        .await;
    assert_eq!(emptied["emails"], json!([]));
    assert_eq!(account.app.person(id).unwrap()["tags"], json!([]));
    // Nothing sent, nothing changed.
    let same = account.put(&person, "people", json!({})).await;
    assert_eq!(
        (&same["firstName"], &same["emails"]),
        (&json!("Ada"), &json!([]))
    );
}

#[tokio::test]
async fn tags_are_merged_applied_and_taken_off() {
    let account = Account::number(5).await;
    let mut body = ada();
    body["tags"] = json!(["one"]);
    let person = account.create("people", body).await;
    let id = original(&person, "people");
    let here = path("people", &person);
    let merged = account
        .client
        .put(&format!("{here}?mergeTags=true"), json!({"tags": ["two"]}))
        .await
        .ok();
    assert_eq!(merged["tags"], json!(["one", "two"]));
    let replaced = account
        .client
        .put(
            &format!("{here}?mergeTags=false"),
            json!({"tags": ["x", "y"]}),
        )
        .await
        .ok();
    assert_eq!(replaced["tags"], json!(["x", "y"]));
    account
        .client
        .put(&format!("{here}?mergeTags=1"), json!({"tags": []}))
        .await
        .refused(400, "invalid_query");

    let done = account
        .client
        .post(&format!("{here}/tags/apply"), json!({"tags": ["z", "x"]}))
        .await
        .ok();
    assert_eq!(done, json!([]));
    let tags = account.client.get(&here).await.ok()["tags"].clone();
    assert_eq!(tags, json!(["x", "y", "z"]));
    let done = account
        .client
        .post(
            &format!("{here}/tags/delete"),
            json!({"tags": ["y", "unknown"]}),
        )
        .await
        .ok();
    assert_eq!(done, json!([]));
    assert_eq!(
        account.client.get(&here).await.ok()["tags"],
        json!(["x", "z"])
    );
    assert_eq!(account.app.person(id).unwrap()["tags"], json!(["x", "z"]));
    assert_eq!(
        account.column("people", &person, "tags").await.as_deref(),
        Some(r#"["x","z"]"#)
    );
    let page = account.client.get("/crm/api/people?tags=z").await.ok();
    assert_eq!(page["people"][0]["id"], person["id"]);

    for (body, pointer) in [
        (json!({}), "/tags"),
        (json!({"tags": "x"}), "/tags"),
        (json!({"tags": [1]}), "/tags/0"),
        (json!({"tags": [], "tag": 1}), "/tag"),
    ] {
        for operation in ["apply", "delete"] {
            let refused = account
                .client
                .post(&format!("{here}/tags/{operation}"), body.clone())
                .await;
            refused.refused_at("invalid_body", pointer);
        }
    }
    assert_eq!(account.app.person(id).unwrap()["tags"], json!(["x", "z"]));
}

#[tokio::test]
async fn tags_applied_and_taken_off_at_once_are_all_done() {
    let account = Account::number(6).await;
    let mut body = ada();
    let old: Vec<String> = (0..10).map(|one| format!("old-{one}")).collect();
    body["tags"] = json!(old);
    let person = account.create("people", body).await;
    let here = path("people", &person);
    let acts = (0..10).flat_map(|one| {
        let (client, here) = (&account.client, &here);
        let act = move |operation: &'static str, tag: String| async move {
            let path = format!("{here}/tags/{operation}");
            client.post(&path, json!({"tags": [tag]})).await.ok()
        };
        [
            act("apply", format!("new-{one}")),
            act("delete", format!("old-{one}")),
        ]
    });
    join_all(acts).await;
    let tags = account.client.get(&here).await.ok()["tags"].clone();
    let mut tags: Vec<&str> = tags
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect();
    tags.sort_unstable();
    let expected: Vec<String> = (0..10).map(|one| format!("new-{one}")).collect();
    assert_eq!(tags, expected);
    let theirs = account.app.person(original(&person, "people")).unwrap();
    assert_eq!(theirs["tags"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_pointed_at_and_change_nothing() {
    let account = Account::number(7).await;
    let (person, _) = account.somebody().await;
    let before = (
        account.app.people(),
        account.app.notes(),
        account.app.tasks(),
    );
    let with = |name: &str, value: Value| {
        let mut body = ada();
        body[name] = value;
        body
    };
    for (entity, body, pointer, word) in [
        ("people", json!({"lastName": "B"}), "/firstName", "required"),
        ("people", json!({}), "/lastName", "required"),
        (
            "people",
            json!({"firstName": null, "lastName": "B"}),
            "/firstName",
            "",
        ),
        ("people", with("firstName", json!(7)), "/firstName", ""),
        (
            "people",
            with("fristName", json!("A")),
            "/fristName",
            "firstName",
        ),
        (
            "people",
            with("FirstName", json!("A")),
            "/FirstName",
            "firstName",
        ),
        ("people", with("id", json!(NEVER)), "/id", ""),
        (
            "people",
            with("created", json!("2025-01-01T00:00:00Z")),
            "/created",
            "",
        ),
        ("people", with("tags", json!("Buyer")), "/tags", ""),
        ("people", with("tags", json!(["a", 1])), "/tags/1", ""),
        (
            "people",
            with("emails", json!([{"type": "home"}])),
            "/emails/0/value",
            "required",
        ),
        (
            "people",
            with("emails", json!([{"value": 1}])),
            "/emails/0/value",
            "",
        ),
        (
            "people",
            with("emails", json!([{"value": "x", "vlaue": "y"}])),
            "/emails/0/vlaue",
            "value",
        ),
        (
            "people",
            with("averagePrice", json!("much")),
            "/averagePrice",
            "",
        ),
        (
            "people",
            with("assignedUserId", json!(NEVER)),
            "/assignedUserId",
            "",
        ),
        (
            "people",
            with("assignedUserId", json!(1)),
            "/assignedUserId",
            "",
        ),
        (
            "people",
            with("assignedUserId", person["id"].clone()),
            "/assignedUserId",
            "",
        ),
        ("notes", json!({"body": "x"}), "/personId", "required"),
        (
            "notes",
            json!({"personId": NEVER, "body": "x"}),
            "/personId",
            "",
        ),
        (
            "notes",
            json!({"personId": "1", "body": "x"}),
            "/personId",
            "",
        ),
        (
            "notes",
            json!({"personId": person["id"], "isHtml": "yes"}),
            "/isHtml",
            "",
        ),
        (
            "tasks",
            json!({"personId": person["id"], "dueDateTime": "tomorrow"}),
            "/dueDateTime",
            "",
        ),
        (
            "tasks",
            json!({"personId": person["id"], "assignedUserId": NEVER}),
            "/assignedUserId",
            "",
        ),
    ] {
        let answer = account
            .client
            .post(&format!("/crm/api/{entity}"), body.clone())
            .await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        let message = answer.refused_at("invalid_body", pointer);
        assert!(message.contains(word), "{body}: {message}");
    }
    let here = path("people", &person);
    for (body, pointer) in [
        (json!({"fristName": "A"}), "/fristName"),
        (json!({"firstName": 7}), "/firstName"),
        (json!({"assignedUserId": NEVER}), "/assignedUserId"),
        (json!({"name": "Whole Name"}), "/name"),
    ] {
        account
            .client
            .put(&here, body)
            .await
            .refused_at("invalid_body", pointer);
    }
    // All complaints at once.
    let body = json!({"firstName": 1, "tags": 2, "nickname": 3});
    let body = account
        .client
        .put(&here, body)
        .await
        .refused(400, "invalid_body");
    assert_eq!(body["errors"].as_array().unwrap().len(), 3, "{body}");
    let after = (
        account.app.people(),
        account.app.notes(),
        account.app.tasks(),
    );
    assert_eq!(before, after);
}

#[tokio::test]
async fn fields_that_the_app_lacks_are_left_out_and_named() {
    let account = Account::number(8).await;
    let mut body = ada();
    body["jobTitle"] = json!("Countess");
    body["birthday"] = json!("1815-12-10");
    let created = account.client.post("/crm/api/people", body).await;
    let person = created.with(201);
    let ignored = created.header("x-rollout-ignored-fields").unwrap();
    let mut ignored: Vec<&str> = ignored.split(", ").collect();
    ignored.sort_unstable();
    assert_eq!(ignored, ["birthday", "jobTitle"]);
    let here = path("people", &person);
    let refused = account
        .client
        .put(&here, json!({"jobTitle": "Countess"}))
        .await;
    let message = refused.refused_at("invalid_body", "/jobTitle");
    assert!(message.contains("Follow Up Boss"), "{message}");
    let changed = account
        .client
        .put(&here, json!({"firstName": "Augusta"}))
        .await;
    assert!(changed.header("x-rollout-ignored-fields").is_none());
}

#[tokio::test]
async fn text_goes_through_unchanged() {
    let account = Account::number(9).await;
    let (person, _) = account.somebody().await;
    for text in [
        "{apiKey} ${apiKey} %apiKey% {{apiKey}} $apiKey %{systemKey}",
        "Zoë 東京 🏡 \u{202e}rtl",
        "line\r\nline\ttab \\ \" / </script>",
        "' OR 1=1; DROP TABLE rollout_people; --",
        "",
    ] {
        let body = json!({"personId": person["id"], "subject": text, "body": text});
        let note = account.create("notes", body).await;
        assert_eq!(note["body"], text);
        let theirs = account.app.note(original(&note, "notes")).unwrap();
        assert_eq!(theirs["body"], text);
        assert_eq!(
            account.column("notes", &note, "body").await.as_deref(),
            Some(text)
        );
        assert!(!note.to_string().contains(API_KEY));
    }
    let tags = json!(["{apiKey}", "$systemKey", "a,b", "é"]);
    let mut body = ada();
    body["tags"] = tags.clone();
    let person = account.create("people", body).await;
    assert_eq!(person["tags"], tags);
}

#[tokio::test]
async fn a_record_that_the_app_no_longer_has_is_not_found() {
    let account = Account::number(10).await;
    let task = account.client.all("tasks", "").await[0].clone();
    account.app.remove(
        rollout_test_apps::follow_up_boss::Kind::Tasks,
        original(&task, "tasks"),
    );
    let answer = account
        .client
        .put(&path("tasks", &task), json!({"name": "x"}))
        .await;
    answer.refused(404, "not_found");
    // Deleting what is gone is done.
    account.client.delete(&path("tasks", &task)).await.ok();
    account
        .client
        .get(&path("tasks", &task))
        .await
        .refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_trashed_while_it_is_written_is_gone() {
    let account = Account::number(13).await;
    let (person, id) = account.somebody().await;
    let path = path("people", &person);
    let hold = Hold::new();
    let place = format!("/v1/people/{id}");
    let stage = stage().await;
    stage.app.fail_next_at(&place, 1, Fault::Held(hold.clone()));
    let put = tokio::spawn({
        let (client, path) = (account.client.clone(), path.clone());
        async move { client.put(&path, json!({"firstName": "Late"})).await }
    });
    within(PATIENCE, "the app's turn", hold.reached()).await;
    // What the app shows of it from now on lies in its trash.
    assert!(account.app.trash_person(id));
    hold.release();
    put.await.unwrap().refused(404, "not_found");
    account.client.get(&path).await.refused(404, "not_found");
    let put = account.client.put(&path, json!({"firstName": "Late"}));
    put.await.refused(404, "not_found");
}
