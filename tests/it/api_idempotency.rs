//! `Idempotency-Key`, and what becomes of writes whose answer is lost: nothing is
//! done twice, and nobody is told something that turns out otherwise.

use std::time::Duration;

use reqwest::Method;
use rollout_test_apps::follow_up_boss::{Account, Dataset, Fault, Hold, Simulator};
use serde_json::{Value, json};

use crate::api_writes::{ada, original, path};
use crate::fixtures::{
    API_KEY, Answer, Client, HostUnderTest, IDEMPOTENCY_KEY, PATIENCE, Setup, Shared, Stage, app,
    resource_ids, until, within,
};

const PEOPLE: &str = "/crm/api/people";

static STAGE: Shared = Shared::new();

/// Accounts of the shared stage: each test has one or two to itself.
async fn account(id: u64) -> (Client, &'static Account) {
    let stage = STAGE
        .get(|| Stage::with_accounts(Dataset::demo(), 7, |setup| setup))
        .await;
    stage.account(id).await
}

/// A host that soon concludes that what is not there did not happen.
async fn hasty(app: &Simulator) -> HostUnderTest {
    let setup = Setup::against(app)
        .set("sync.poll_interval", "1h")
        .set("work.settle_patience", "1s");
    HostUnderTest::start(setup).await
}

impl Client {
    /// Asks again with a key until the write is settled.
    async fn settled(&self, method: Method, path: &str, key: &str, body: &Value) -> Answer {
        until("the write is settled", async || {
            let answer = self.keyed(method.clone(), path, key, body).await;
            if answer.status == 409 {
                in_progress(&answer);
                return None;
            }
            Some(answer)
        })
        .await
    }
}

#[track_caller]
fn in_progress(answer: &Answer) {
    answer.refused(409, "write_in_progress");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[track_caller]
fn maybe_applied(answer: &Answer) {
    let body = answer.refused(502, "maybe_applied");
    assert_eq!(body["maybe_applied"], true, "{body}");
}

fn named(name: &str) -> Value {
    json!({"firstName": name, "lastName": "Lovelace", "emails": [{"value": format!("{name}@example.com")}]})
}

/// People of a first name at the app.
fn at_the_app(app: &Account, name: &str) -> Vec<Value> {
    let mut people = app.people();
    people.retain(|person| person["firstName"] == name);
    people
}

/// How often the app was asked for something that is no list.
fn asked(app: &Simulator, method: &str, path: &str) -> usize {
    let requests = app.requests();
    let asked = requests
        .iter()
        .filter(|one| one.method == method && one.path.starts_with(path));
    asked.count()
}

#[tokio::test]
async fn the_same_request_is_done_once_and_answered_alike() {
    let (account, app) = account(2).await;
    let body = named("Once");
    let first = account.keyed(Method::POST, PEOPLE, "create", &body).await;
    let record = first.with(201);
    for _ in 0..3 {
        let again = account.keyed(Method::POST, PEOPLE, "create", &body).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    // Members in another order, and spaces, are another text and the same body;
    // either way it is not done twice.
    assert_eq!(at_the_app(app, "Once").len(), 1);

    let here = path("people", &record);
    let change = json!({"lastName": "King"});
    let changed = account.keyed(Method::PUT, &here, "update", &change).await;
    assert_eq!(changed.ok()["lastName"], "King");
    account.put(&here, json!({"lastName": "Byron"})).await.ok();
    let again = account.keyed(Method::PUT, &here, "update", &change).await;
    assert_eq!(again.text, changed.text);
    assert_eq!(account.get(&here).await.ok()["lastName"], "Byron");
    // What the first request came to, though the record is another one by now.
    let again = account.keyed(Method::POST, PEOPLE, "create", &body).await;
    assert_eq!(again.text, first.text);

    let tags = json!({"tags": ["a"]});
    let apply = format!("{here}/tags/apply");
    for _ in 0..2 {
        let done = account.keyed(Method::POST, &apply, "apply", &tags).await;
        assert_eq!(done.ok(), json!([]));
    }
    let delete = format!("{here}/tags/delete");
    account
        .keyed(Method::POST, &delete, "off", &tags)
        .await
        .ok();
    account
        .keyed(Method::POST, &apply, "apply", &tags)
        .await
        .ok();
    assert_eq!(account.get(&here).await.ok()["tags"], json!([]));

    for _ in 0..3 {
        let gone = account
            .keyed(Method::DELETE, &here, "gone", &Value::Null)
            .await;
        assert_eq!(gone.ok(), json!([]));
    }
    let other = account
        .keyed(Method::DELETE, &here, "gone-2", &Value::Null)
        .await;
    other.refused(404, "not_found");

    // One event for each thing that was done.
    let names = ["peopleCreated", "peopleUpdated", "peopleDeleted"];
    let events = account.events_until(&names, 6).await;
    let told: Vec<&str> = events
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "peopleCreated",
            "peopleUpdated",
            "peopleUpdated",
            "peopleUpdated",
            "peopleUpdated",
            "peopleDeleted",
        ]
    );
}

#[tokio::test]
async fn another_request_under_the_key_is_refused() {
    let (account, app) = account(3).await;
    let record = account
        .keyed(Method::POST, PEOPLE, "k", &named("First"))
        .await;
    let record = record.with(201);
    let here = path("people", &record);
    let before = app.people_count();
    for (method, path, body) in [
        (Method::POST, PEOPLE.to_owned(), named("Second")),
        (
            Method::POST,
            "/crm/api/tasks".to_owned(),
            json!({"personId": record["id"], "name": "x"}),
        ),
        (Method::PUT, here.clone(), named("First")),
        (
            Method::PUT,
            format!("{here}?mergeTags=true"),
            json!({"tags": ["a"]}),
        ),
        (
            Method::POST,
            format!("{here}/tags/apply"),
            json!({"tags": ["a"]}),
        ),
        (Method::DELETE, here.clone(), Value::Null),
    ] {
        let answer = account.keyed(method, &path, "k", &body).await;
        answer.refused(422, "idempotency_key_reused");
    }
    assert_eq!(app.people_count(), before);
    assert_eq!(account.get(&here).await.ok(), record);
    // With and without `mergeTags` are two requests.
    let tags = json!({"tags": ["a"]});
    account.keyed(Method::PUT, &here, "tags", &tags).await.ok();
    account
        .keyed(
            Method::PUT,
            &format!("{here}?mergeTags=true"),
            "tags",
            &tags,
        )
        .await
        .refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let (account, app) = account(4).await;
    let before = app.people_count();
    let long = "k".repeat(256);
    for keys in [
        vec![""],
        vec!["   "],
        vec![long.as_str()],
        vec!["a", "b"],
        vec!["a", "a"],
        vec!["schlüssel"],
    ] {
        let mut request = account.request(Method::POST, PEOPLE).json(&ada());
        for key in &keys {
            request = request.header(IDEMPOTENCY_KEY, *key);
        }
        let answer = Answer::to(request).await;
        answer.refused(400, "invalid_request");
        assert!(
            answer.text.contains(IDEMPOTENCY_KEY),
            "{keys:?}: {}",
            answer.text
        );
    }
    assert_eq!(app.people_count(), before);
    let longest = "k".repeat(255);
    account
        .keyed(Method::POST, PEOPLE, &longest, &ada())
        .await
        .with(201);
    // Reads don't look at it.
    account
        .keyed(Method::GET, PEOPLE, "", &Value::Null)
        .await
        .ok();
}

#[tokio::test]
async fn keys_belong_to_their_credential() {
    let ((one, _), (other, app)) = (account(5).await, account(6).await);
    let first = one
        .keyed(Method::POST, PEOPLE, "shared", &named("Mine"))
        .await;
    let second = other
        .keyed(Method::POST, PEOPLE, "shared", &named("Yours"))
        .await;
    assert_ne!(first.with(201)["id"], second.with(201)["id"]);
    assert_eq!(at_the_app(app, "Yours").len(), 1);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let app = app(Dataset::demo());
    let host = hasty(&app).await;
    let account = host.client("refused").connect_synced(API_KEY).await;
    // By the app.
    for status in [400, 403, 409, 429] {
        app.fail_next_at("/v1/people", 1, Fault::Status(status));
        let key = format!("app-{status}");
        let name = format!("Mended{status}");
        let refused = account
            .keyed(Method::POST, PEOPLE, &key, &named(&name))
            .await;
        assert_eq!(refused.status, status, "{}", refused.text);
        let mended = account
            .keyed(Method::POST, PEOPLE, &key, &named(&name))
            .await;
        mended.with(201);
        assert_eq!(at_the_app(&app, &name).len(), 1);
    }
    // By this host.
    let wrong = json!({"firstName": 7});
    let refused = account.keyed(Method::POST, PEOPLE, "host", &wrong).await;
    refused.refused(400, "invalid_body");
    let mended = account
        .keyed(Method::POST, PEOPLE, "host", &named("Mended"))
        .await;
    mended.with(201);
    let nobody = format!("{PEOPLE}/00000000-0000-8000-8000-000000000000");
    let refused = account.keyed(Method::PUT, &nobody, "nobody", &ada()).await;
    refused.refused(404, "not_found");
    let other = account
        .keyed(Method::POST, PEOPLE, "nobody", &named("Body"))
        .await;
    other.with(201);
}

#[tokio::test]
async fn while_it_is_under_way_others_are_told_to_wait() {
    let app = app(Dataset::demo());
    let host = hasty(&app).await;
    let account = host.client("slow").connect_synced(API_KEY).await;
    let hold = Hold::new();
    app.fail_next_at("/v1/people", 1, Fault::Held(hold.clone()));
    let first = tokio::spawn({
        let account = account.clone();
        async move {
            account
                .keyed(Method::POST, PEOPLE, "slow", &named("Slow"))
                .await
        }
    });
    within(PATIENCE, "the app's turn", hold.reached()).await;
    for _ in 0..2 {
        in_progress(
            &account
                .keyed(Method::POST, PEOPLE, "slow", &named("Slow"))
                .await,
        );
        let other = account
            .keyed(Method::POST, PEOPLE, "slow", &named("Other"))
            .await;
        other.refused(422, "idempotency_key_reused");
    }
    hold.release();
    let first = first.await.unwrap();
    first.with(201);
    let again = account
        .keyed(Method::POST, PEOPLE, "slow", &named("Slow"))
        .await;
    assert_eq!((again.status, again.text), (201, first.text));
    assert_eq!(at_the_app(&app, "Slow").len(), 1);

    // Many at once: one is done, and all hear the same of it.
    let many = (0..8).map(|_| account.settled_create("many", "Many"));
    let answers = futures_util::future::join_all(many).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    assert_eq!(at_the_app(&app, "Many").len(), 1);
}

impl Client {
    async fn settled_create(&self, key: &str, name: &str) -> Answer {
        self.settled(Method::POST, PEOPLE, key, &named(name)).await
    }
}

#[tokio::test]
async fn what_the_app_did_though_its_answer_was_lost_is_found() {
    let app = app(Dataset::demo());
    let host = hasty(&app).await;
    let account = host.client("lost").connect_synced(API_KEY).await;
    let mut made = Vec::new();
    for (name, fault) in [
        ("Lost", Fault::Lost),
        ("Truncated", Fault::Truncated),
        ("Failed", Fault::StatusAfter(500)),
        ("Gateway", Fault::StatusAfter(504)),
    ] {
        app.fail_next_at("/v1/people", 1, fault);
        let first = account
            .keyed(Method::POST, PEOPLE, name, &named(name))
            .await;
        maybe_applied(&first);
        let record = account.settled_create(name, name).await.with(201);
        assert_eq!(record["firstName"], name);
        assert_eq!(at_the_app(&app, name).len(), 1);
        assert_eq!(
            original(&record, "people"),
            at_the_app(&app, name)[0]["id"].as_u64().unwrap()
        );
        assert_eq!(account.get(&path("people", &record)).await.ok(), record);
        let again = account
            .keyed(Method::POST, PEOPLE, name, &named(name))
            .await;
        assert_eq!(again.with(201), record);
        let other = account
            .keyed(Method::POST, PEOPLE, name, &named("Other"))
            .await;
        other.refused(422, "idempotency_key_reused");
        made.push(record["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(asked(&app, "POST", "/v1/people"), made.len());
    let events = account.events_until(&["peopleCreated"], made.len()).await;
    let told: Vec<&str> = events.iter().flat_map(resource_ids).collect();
    assert_eq!(told, made);
}

#[tokio::test]
async fn without_a_key_it_is_settled_too() {
    let app = app(Dataset::demo());
    let host = hasty(&app).await;
    let account = host.client("keyless").connect_synced(API_KEY).await;
    app.fail_next_at("/v1/people", 1, Fault::Lost);
    maybe_applied(&account.post(PEOPLE, named("Keyless")).await);
    let events = account.events_until(&["peopleCreated"], 1).await;
    let id = resource_ids(&events[0])[0];
    let record = account.get(&format!("{PEOPLE}/{id}")).await.ok();
    assert_eq!(record["firstName"], "Keyless");
    assert_eq!(at_the_app(&app, "Keyless").len(), 1);
}

#[tokio::test]
async fn what_the_app_never_got_can_be_sent_again() {
    let app = app(Dataset::demo());
    let host = hasty(&app).await;
    let account = host.client("never").connect_synced(API_KEY).await;
    let before = app.people_count();
    for (name, fault) in [("Cut", Fault::Cut), ("Refused", Fault::Status(500))] {
        app.fail_next_at("/v1/people", 1, fault);
        let first = account
            .keyed(Method::POST, PEOPLE, name, &named(name))
            .await;
        maybe_applied(&first);
        assert_eq!(at_the_app(&app, name).len(), 0);
        // Too early to say: it may be on its way.
        in_progress(
            &account
                .keyed(Method::POST, PEOPLE, name, &named(name))
                .await,
        );
        let record = account.settled_create(name, name).await.with(201);
        assert_eq!(record["firstName"], name);
        let again = account
            .keyed(Method::POST, PEOPLE, name, &named(name))
            .await;
        assert_eq!(again.with(201), record);
        assert_eq!(at_the_app(&app, name).len(), 1);
    }
    assert_eq!(app.people_count(), before + 2);
    assert_eq!(account.events_until(&["peopleCreated"], 2).await.len(), 2);
}

/// Changes of one record, each with what it leaves.
const CHANGES: [&str; 4] = ["update", "apply", "off", "delete"];

fn change(of: &str, here: &str) -> (Method, String, Value) {
    match of {
        "update" => (Method::PUT, here.to_owned(), json!({"lastName": "Changed"})),
        "apply" => (
            Method::POST,
            format!("{here}/tags/apply"),
            json!({"tags": ["on"]}),
        ),
        "off" => (
            Method::POST,
            format!("{here}/tags/delete"),
            json!({"tags": ["off"]}),
        ),
        _ => (Method::DELETE, here.to_owned(), Value::Null),
    }
}

/// The change is there, at the app and here, and its answer is the right one.
async fn assert_changed(
    of: &str,
    app: &Simulator,
    account: &Client,
    record: &Value,
    answer: &Answer,
) {
    let theirs = app.person(original(record, "people")).unwrap();
    let here = path("people", record);
    let ours = account.get(&here).await;
    match of {
        "update" => {
            assert_eq!(theirs["lastName"], "Changed", "{of}");
            assert_eq!(answer.ok(), ours.ok(), "{of}");
            assert_eq!(ours.ok()["lastName"], "Changed", "{of}");
        }
        "apply" => {
            assert_eq!(theirs["tags"], json!(["off", "on"]), "{of}");
            assert_eq!(answer.ok(), json!([]), "{of}");
            assert_eq!(ours.ok()["tags"], json!(["off", "on"]), "{of}");
        }
        "off" => {
            assert_eq!(theirs["tags"], json!([]), "{of}");
            assert_eq!(answer.ok(), json!([]), "{of}");
            assert_eq!(ours.ok()["tags"], json!([]), "{of}");
        }
        _ => {
            assert_eq!(theirs["stage"], "Trash", "{of}");
            assert_eq!(answer.ok(), json!([]), "{of}");
            ours.refused(404, "not_found");
        }
    }
}

async fn tagged(account: &Client, name: &str) -> Value {
    let mut body = named(name);
    body["tags"] = json!(["off"]);
    account.post(PEOPLE, body).await.with(201)
}

#[tokio::test]
async fn changes_whose_answer_was_lost_are_settled() {
    let changed = [Fault::Lost, Fault::StatusAfter(500)];
    lose_answers(&changed, &CHANGES, true).await;
    lose_answers(&[Fault::Cut], &["update", "apply", "delete"], false).await;
}

#[tokio::test]
async fn tags_that_the_app_did_not_take_off_are_taken_off_the_next_time() {
    lose_answers(&[Fault::Cut], &["off"], false).await;
}

async fn lose_answers(faults: &[Fault], changes: &[&str], applied: bool) {
    let app = app(Dataset::demo());
    let host = hasty(&app).await;
    let account = host.client("changes").connect_synced(API_KEY).await;
    for fault in faults {
        for &of in changes {
            let record = tagged(&account, "Subject").await;
            let (method, target, body) = change(of, &path("people", &record));
            let key = format!("{of} {fault:?}");
            // The connector may read the record first: only the write goes wrong.
            let place = format!("/v1/people/{}", original(&record, "people"));
            let reads = if matches!(of, "apply" | "off") {
                reads_before_writes(&app, &account, of).await
            } else {
                0
            };
            if reads > 0 {
                app.fail_next_at(&place, reads, Fault::Delay(Duration::ZERO));
            }
            app.fail_next_at(&place, 1, fault.clone());
            let first = account.keyed(method.clone(), &target, &key, &body).await;
            maybe_applied(&first);
            let there = app.person(original(&record, "people")).unwrap();
            let done = there["lastName"] == "Changed"
                || there["stage"] == "Trash"
                || there["tags"] != json!(["off"]);
            assert_eq!(done, applied, "{key}");
            let answer = account.settled(method.clone(), &target, &key, &body).await;
            assert_changed(of, &app, &account, &record, &answer).await;
            let again = account.keyed(method, &target, &key, &body).await;
            assert_eq!(
                (again.status, again.text),
                (answer.status, answer.text),
                "{key}"
            );
        }
    }
}

/// How many requests to the record come before the one that changes it.
async fn reads_before_writes(app: &Simulator, account: &Client, of: &str) -> usize {
    let record = tagged(account, "Probe").await;
    let (method, target, body) = change(of, &path("people", &record));
    let place = format!("/v1/people/{}", original(&record, "people"));
    app.clear_requests();
    account
        .keyed(
            method,
            &target,
            &format!("probe {}", original(&record, "people")),
            &body,
        )
        .await
        .ok();
    let requests = app.requests();
    let mut of_record = requests.iter().filter(|one| one.path == place);
    of_record
        .position(|one| one.method != "GET")
        .expect("a write")
}

#[tokio::test]
async fn a_host_that_is_killed_meanwhile_settles_it_when_it_is_back() {
    let app = app(Dataset::demo());
    let mut host = hasty(&app).await;
    let credential = host.client("killed").connect_synced(API_KEY).await;
    let credential = credential.credential().to_owned();
    let mut kinds = vec!["create"];
    kinds.extend(CHANGES);
    for of in kinds {
        let account = host.client("killed").of(&credential);
        let hold = Hold::new();
        let (record, method, target, body, place) = if of == "create" {
            (
                Value::Null,
                Method::POST,
                PEOPLE.to_owned(),
                named("Killed"),
                "/v1/people".to_owned(),
            )
        } else {
            let record = tagged(&account, "Subject").await;
            let (method, target, body) = change(of, &path("people", &record));
            let place = format!("/v1/people/{}", original(&record, "people"));
            let reads = if matches!(of, "apply" | "off") {
                reads_before_writes(&app, &account, of).await
            } else {
                0
            };
            if reads > 0 {
                app.fail_next_at(&place, reads, Fault::Delay(Duration::ZERO));
            }
            (record, method, target, body, place)
        };
        app.fail_next_at(&place, 1, Fault::Held(hold.clone()));
        let cut_off = tokio::spawn({
            let request = account.keyed_request(method.clone(), &target, of, &body);
            async move { request.send().await.is_err() }
        });
        within(PATIENCE, "the app's turn", hold.reached()).await;
        host.kill();
        hold.release();
        assert!(cut_off.await.unwrap(), "{of}: nobody answered");
        host.restart().await;
        let account = host.client("killed").of(&credential);
        let answer = account.settled(method.clone(), &target, of, &body).await;
        if of == "create" {
            let record = answer.with(201);
            assert_eq!(at_the_app(&app, "Killed").len(), 1);
            assert_eq!(account.get(&path("people", &record)).await.ok(), record);
            let events = account.events_until(&["peopleCreated"], 1).await;
            assert_eq!(resource_ids(&events[0]), [record["id"].as_str().unwrap()]);
        } else {
            assert_changed(of, &app, &account, &record, &answer).await;
        }
        let again = account.keyed(method, &target, of, &body).await;
        assert_eq!(
            (again.status, again.text),
            (answer.status, answer.text),
            "{of}"
        );
    }
    assert_eq!(at_the_app(&app, "Killed").len(), 1);
}
