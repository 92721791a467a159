//! The API over Postgres: the same journey, and the same answers to the letter, as
//! over SQLite.

use std::collections::BTreeMap;

use rollout_test_apps::follow_up_boss::{Dataset, Kind};
use serde_json::{Value, json};

use crate::api_writes::{ada, original, path};
use crate::fixtures::{
    API_KEY, Client, HostUnderTest, Setup, Shared, Stage, app, assert_gapless, database, key_of,
    on_postgres, resource_ids,
};
use crate::sync_oracle::Shown;

const ENTITIES: [&str; 4] = ["users", "people", "notes", "tasks"];
/// Accounts of the shared stage: each test that writes has one to itself.
const ACCOUNTS: u64 = 4;

static STAGE: Shared = Shared::new();

async fn stage() -> &'static Stage {
    STAGE
        .get(|| Stage::with_accounts(odd(), ACCOUNTS, |setup| setup.on(&database())))
        .await
}

/// What years of imports leave, and what databases stumble over.
fn odd() -> Dataset {
    let person = |id: u64, fields: Value| {
        let mut person = json!({
            "id": id, "created": "2031-01-02T03:04:05Z", "updated": "2031-01-02T03:04:05Z",
            "firstName": "Odd", "lastName": id.to_string(), "name": format!("Odd {id}"),
            "stage": "Lead", "tags": [], "emails": [], "phones": [],
        });
        for (name, value) in fields.as_object().unwrap() {
            person[name] = value.clone();
        }
        person
    };
    let people = [
        json!({"firstName": "👩‍👩‍👧🏽 \u{1f3e1}", "lastName": "Noe\u{308}l \u{202e}x", "tags": ["🔥", "a,b", "'", "\"", "\\"]}),
        json!({"firstName": "nul\u{0}l", "lastName": "\u{0}", "name": "nul\u{0}l \u{0}", "tags": ["t\u{0}g", "\u{1}\u{1f}\u{7f}"]}),
        json!({"firstName": "'; DROP TABLE rollout_people;--", "lastName": "\"quoted\" \\ $1 {tag} %s"}),
        json!({"price": 1e300, "customLoanAmount": -1e300}),
        json!({"price": 9_007_199_254_740_993_u64, "customLoanAmount": 0.1}),
        json!({"price": 5e-324, "customLoanAmount": 18_446_744_073_709_551_615_u64}),
        json!({"price": -0.0, "customLoanAmount": 100.0}),
        json!({"price": 0.30000000000000004, "customLoanAmount": 1_234_567_890_123_456.7}),
        json!({"lastActivity": "2025-07-02T15:19:21.123Z"}),
        json!({"lastActivity": "2025-07-02T15:19:21.000Z"}),
        json!({"lastActivity": "2025-07-02T17:19:21.120456+02:00"}),
        json!({"lastActivity": "2025-07-02T15:19:21Z"}),
        json!({"lastActivity": "0001-01-01T00:00:00Z"}),
        json!({"lastActivity": "9999-12-31T23:59:59Z"}),
        json!({"lastActivity": "no date"}),
        json!({"lastActivity": null, "price": null, "tags": null, "emails": null}),
        json!({"emails": [{"value": "odd@example.com", "x": {"deep": [1, 2.50, null, "\u{0}"]}}]}),
        json!({"customPreferredArea": {"nested": {"b": 1, "a": [true, null, 1e2]}}, "customCloseDate": "2020-02-29"}),
        json!({"background": "x".repeat(100_000)}),
    ];
    let mut dataset = Dataset::messy(31, 150);
    for (id, fields) in (100_000..).zip(people) {
        dataset = dataset.with(Kind::People, person(id, fields));
    }
    for (id, due) in (100_000..).zip([
        json!("2025-07-02T15:19:21.5Z"),
        json!("2025-07-02T15:19:21.000Z"),
        json!("2025-07-02T10:19:21-05:00"),
        json!("2025-07-02"),
        json!(null),
    ]) {
        let task = json!({
            "id": id, "created": "2031-01-02T03:04:05Z", "updated": "2031-01-02T03:04:05Z",
            "personId": 100_000, "name": "due", "type": "Call", "isCompleted": 0,
            "assignedUserId": 1, "dueDate": due, "dueDateTime": due,
        });
        dataset = dataset.with(Kind::Tasks, task);
    }
    dataset
}

/// Everything of an account, with the app's ids in place of ours.
struct Account {
    records: BTreeMap<&'static str, Vec<Value>>,
    /// Ours to `entity:theirs`.
    ids: BTreeMap<String, String>,
}

impl Account {
    async fn read(client: &Client, limit: usize) -> Self {
        let mut records = BTreeMap::new();
        let mut ids = BTreeMap::new();
        for entity in ENTITIES {
            let all = client.all(entity, &format!("limit={limit}")).await;
            for record in &all {
                let id = record["id"].as_str().unwrap().to_owned();
                ids.insert(id, format!("{entity}:{}", original(record, entity)));
            }
            records.insert(entity, all);
        }
        Self { records, ids }
    }

    /// A value as any host would have it.
    fn told(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match self.ids.get(text) {
                Some(theirs) => theirs.as_str().into(),
                // Of a record that is not synced.
                None if is_id(text) => "nobody".into(),
                None => text.as_str().into(),
            },
            Value::Array(items) => items.iter().map(|item| self.told(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "rolloutCreated" | "rolloutUpdated"))
                .map(|(name, value)| (name.clone(), self.told(value)))
                .collect(),
            other => other.clone(),
        }
    }

    /// Our id of the app's record.
    fn ours(&self, theirs: &str) -> &str {
        let found = self.ids.iter().find(|(_, known)| *known == theirs);
        found.unwrap_or_else(|| panic!("{theirs}")).0
    }
}

fn is_id(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12]
        && text
            .chars()
            .all(|one| one == '-' || one.is_ascii_hexdigit())
}

#[tokio::test]
async fn both_databases_give_the_same_answers() {
    let stage = stage().await;
    let setup = Setup::against(&stage.app).set("sync.poll_interval", "1h");
    let files = HostUnderTest::start(setup).await;
    let lite = files.client("equal").connect_synced(API_KEY).await;
    let post = stage.host.client("equal").connect_synced(API_KEY).await;
    // In pages of different sizes: that makes no difference either.
    let (ours, theirs) = (
        Account::read(&lite, 1000).await,
        Account::read(&post, 37).await,
    );
    for entity in ENTITIES {
        let (ours_all, theirs_all) = (&ours.records[entity], &theirs.records[entity]);
        assert!(!ours_all.is_empty(), "{entity}");
        for (one, other) in ours_all.iter().zip(theirs_all) {
            assert_eq!(ours.told(one), theirs.told(other), "SQLite, then Postgres");
            // Field by field in the same order too.
            let names = |record: &Value| -> Vec<String> {
                record.as_object().unwrap().keys().cloned().collect()
            };
            assert_eq!(names(one), names(other));
        }
        assert_eq!(ours_all.len(), theirs_all.len(), "{entity}");
        let record = &theirs_all[theirs_all.len() / 2];
        assert_eq!(&post.get(&path(entity, record)).await.ok(), record);
    }
    // The oracle has another opinion of where to look, and comes to the same.
    Shown::read(&post).await.people.contains_key(&100_000);

    // Filters find the same.
    let person = "people:100000";
    for (entity, query) in [
        ("people", "email=shared@example.com"),
        ("people", "email=odd@example.com"),
        ("people", "email=Odd@example.com"),
        ("people", "tags=Buyer"),
        ("people", "tags=Buyer,%F0%9F%94%A5"),
        ("people", "tags=%27"),
        ("people", "tags=%22"),
        ("people", "tags=t%EF%BF%BDg"),
        ("people", "phone=5550100"),
        ("people", "tags=Zillow&limit=3&offset=2"),
        ("people", "limit=5&offset=160"),
        ("people", "ids="),
        ("tasks", "personId="),
        ("notes", "personId=nobody"),
    ] {
        let found = async |client: &Client, account: &Account| {
            let page = client.get(&format!("/crm/api/{entity}?{query}")).await.ok();
            (
                account.told(&page[entity]),
                page["_metadata"]["total"].clone(),
            )
        };
        let (one, other) = (found(&lite, &ours).await, found(&post, &theirs).await);
        assert_eq!(one, other, "{query}");
    }
    for (client, account) in [(&lite, &ours), (&post, &theirs)] {
        let tasks = format!("/crm/api/tasks?personId={}", account.ours(person));
        assert_eq!(client.get(&tasks).await.ok()["_metadata"]["total"], 5);
        let several = format!(
            "/crm/api/people?ids={},{}",
            account.ours(person),
            account.ours("people:100003")
        );
        assert_eq!(client.get(&several).await.ok()["_metadata"]["total"], 2);
    }
}

#[tokio::test]
async fn a_messy_account_is_read_whole() {
    let app = app(Dataset::messy(33, 120));
    let host = on_postgres(Setup::against(&app).set("sync.page_records", 25)).await;
    let account = host.client("messy").connect_synced(API_KEY).await;
    Shown::read(&account).await.assert_equals(&app).await;

    // Pages by `next` and by `offset` are the list.
    let whole = account.all("people", "limit=1000").await;
    assert_eq!(account.all("people", "limit=7").await, whole);
    let mut by_offset = Vec::new();
    while by_offset.len() < whole.len() {
        let page = format!("/crm/api/people?limit=11&offset={}", by_offset.len());
        let page = account.get(&page).await.ok();
        assert_eq!(page["_metadata"]["total"], whole.len());
        by_offset.extend(page["people"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(by_offset, whole);
    account
        .get("/crm/api/people?next=garbage")
        .await
        .refused(400, "invalid_cursor");
    account
        .get("/crm/api/people/no-id")
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn records_are_made_changed_and_deleted() {
    let (account, app) = stage().await.account(2).await;
    let users = account.all("users", "").await;
    let person = json!({
        "firstName": "Ada 👩🏽‍🚀", "lastName": "O\"Neil\\ 'x' $1", "stage": "Lead",
        "assignedUserId": users[0]["id"], "averagePrice": 1e300,
        "emails": [{"value": "ada@example.com", "type": "work"}],
        "phones": [{"value": "555-777-0001", "type": "mobile"}],
        "tags": ["Buyer", "a,b", "🔥"], "customPreferredArea": "Lake\"front",
    });
    let person = account.post("/crm/api/people", person).await.with(201);
    assert_eq!(person["firstName"], "Ada 👩🏽‍🚀");
    assert_eq!(person["lastName"], "O\"Neil\\ 'x' $1");
    assert_eq!(person["averagePrice"], 1e300);
    assert_eq!(person["assignedUserId"], users[0]["id"]);
    let here = path("people", &person);
    assert_eq!(account.get(&here).await.ok(), person);
    for query in [
        "email=ada@example.com",
        "phone=5557770001",
        "tags=%F0%9F%94%A5",
    ] {
        let page = account.get(&format!("/crm/api/people?{query}")).await.ok();
        assert_eq!(page["people"], json!([person]), "{query}");
    }
    let newest = account.get("/crm/api/people?limit=1").await.ok();
    assert_eq!(newest["people"][0], person);
    let theirs = app.person(original(&person, "people")).unwrap();
    assert_eq!(theirs["firstName"], "Ada 👩🏽‍🚀");

    let body = json!({"lastName": "King", "averagePrice": null});
    let changed = account.put(&here, body).await.ok();
    assert_eq!(
        (
            &changed["id"],
            &changed["lastName"],
            &changed["averagePrice"]
        ),
        (&person["id"], &json!("King"), &Value::Null)
    );
    let merged = account
        .put(&format!("{here}?mergeTags=true"), json!({"tags": ["new"]}))
        .await
        .ok();
    assert_eq!(merged["tags"], json!(["Buyer", "a,b", "🔥", "new"]));
    for (operation, tags, left) in [
        (
            "apply",
            json!(["x"]),
            json!(["Buyer", "a,b", "🔥", "new", "x"]),
        ),
        ("delete", json!(["a,b", "🔥", "new"]), json!(["Buyer", "x"])),
    ] {
        let operation = format!("{here}/tags/{operation}");
        let done = account.post(&operation, json!({"tags": tags})).await.ok();
        assert_eq!(done, json!([]));
        assert_eq!(account.get(&here).await.ok()["tags"], left);
    }

    // U+0000 is legal JSON, and Postgres has no place for it.
    let note = json!({"personId": person["id"], "subject": "a\u{0}b", "body": "\u{0}"});
    let note = account.post("/crm/api/notes", note).await.with(201);
    assert_eq!(account.get(&path("notes", &note)).await.ok(), note);
    assert_eq!(note["subject"], "a\u{fffd}b");
    for (sent, shown) in [
        ("2026-03-01T10:00:00.250+02:00", "2026-03-01T08:00:00Z"),
        ("2026-03-01T08:00:00.000Z", "2026-03-01T08:00:00Z"),
        ("2026-03-01T08:00:00Z", "2026-03-01T08:00:00Z"),
        ("2026-03-01", "2026-03-01"),
    ] {
        let task = json!({"personId": person["id"], "name": "Call", "dueDateTime": sent});
        let task = account.post("/crm/api/tasks", task).await.with(201);
        assert_eq!(task["dueDateTime"], shown, "{sent}");
        assert_eq!(account.get(&path("tasks", &task)).await.ok(), task);
        let done = json!({"isCompleted": true});
        let done = account.put(&path("tasks", &task), done).await.ok();
        assert_eq!(done["isCompleted"], true);
        account.delete(&path("tasks", &task)).await.ok();
    }
    let of_person = format!("/crm/api/notes?personId={}", person["id"].as_str().unwrap());
    assert_eq!(account.get(&of_person).await.ok()["_metadata"]["total"], 1);

    for (entity, record) in [("notes", &note), ("people", &person)] {
        let deleted = account.delete(&path(entity, record)).await.ok();
        assert_eq!(deleted, json!([]));
        account
            .get(&path(entity, record))
            .await
            .refused(404, "not_found");
        account
            .delete(&path(entity, record))
            .await
            .refused(404, "not_found");
    }
    account
        .post("/crm/api/people", json!({"firstName": 1}))
        .await
        .refused_at("invalid_body", "/firstName");
}

#[tokio::test]
async fn keys_and_events_are_there_too() {
    let stage = stage().await;
    let (account, _) = stage.account(3).await;
    let send = async || {
        account
            .keyed(reqwest::Method::POST, "/crm/api/people", "once", &ada())
            .await
    };
    let first = send().await;
    first.with(201);
    assert_eq!(send().await.text, first.text);
    let record = first.json();
    account.delete(&path("people", &record)).await.ok();
    let events = account
        .events_until(&["peopleCreated", "peopleDeleted"], 2)
        .await;
    let told: Vec<(&str, Vec<&str>)> = events
        .iter()
        .map(|event| (event["event"].as_str().unwrap(), resource_ids(event)))
        .collect();
    let id = record["id"].as_str().unwrap();
    assert_eq!(
        told,
        [("peopleCreated", vec![id]), ("peopleDeleted", vec![id])]
    );
    let admin = stage.host.admin();
    let all = admin
        .events("/api/events-feed", "includeInitialSync=true")
        .await;
    assert_gapless(&all);
}

#[tokio::test]
async fn accounts_are_listed_changed_broken_and_deleted() {
    let stage = stage().await;
    let client = stage.host.client("postgres-accounts");
    client
        .post(
            "/api/credentials",
            json!({"appKey": "follow-up-boss", "userInputs": {"apiKey": "wrong"}}),
        )
        .await
        .refused(400, "invalid_credentials");
    let account = client.connect_synced(&key_of(4)).await;
    let again = client.connect(&key_of(4)).await;
    assert_eq!(again.credential(), account.credential());
    let one = format!("/api/credentials/{}", account.credential());
    let named = client.put(&one, json!({"label": "Büro 🏠"})).await.ok();
    assert_eq!(named["label"], "Büro 🏠");
    let listed = client.get("/api/credentials").await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["label"], "Büro 🏠");
    let foreign = stage
        .host
        .client("postgres-foreigner")
        .of(account.credential());
    foreign
        .get("/crm/api/people")
        .await
        .refused(403, "invalid_credential");
    let gone = client
        .delete(&format!(
            "/api/credentials?credentialId={}",
            account.credential()
        ))
        .await;
    assert_eq!(gone.status, 204);
    account
        .get("/crm/api/people")
        .await
        .refused(403, "invalid_credential");
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
}
