//! Who has an account: its owner, and those it is shared with; and what stays of a
//! deleted one.

use std::time::Instant;

use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Client, HostUnderTest, Setup, app, database, until};

const PEOPLE: &str = "/crm/api/people";

fn consumers(account: &Client) -> String {
    format!("/api/credentials/{}/consumers", account.credential())
}

fn delete(account: &Client) -> String {
    format!("/api/credentials?credentialId={}", account.credential())
}

async fn ids(client: &Client) -> Vec<String> {
    let listed = client.get("/api/credentials").await.ok();
    let ids = listed.as_array().unwrap().iter();
    ids.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn refused(account: &Client) {
    account.get(PEOPLE).await.refused(403, "invalid_credential");
    let path = format!("/api/credentials/{}", account.credential());
    account.get(&path).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_shared_account_is_used_by_others_and_stays_its_owners() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(Setup::against(&app)).await;
    host.rollout_ok(&["env", "set", "dev", "--include-data", "on"]);
    let admin = host.admin();
    let alice = host.client("alice").connect_synced(API_KEY).await;
    // As odd as keys may be.
    let key = "Zoë / 1' OR '1'='1";
    let zoe = host.client(key).of(alice.credential());
    refused(&zoe).await;
    let path = consumers(&alice);
    for client in [&alice, &zoe] {
        let body = json!({ "consumerKey": key });
        client.post(&path, body).await.refused(403, "forbidden");
        client.get(&path).await.refused(403, "forbidden");
    }
    for (body, pointer) in [
        (json!({}), "/consumerKey"),
        (json!({"consumerKey": ""}), "/consumerKey"),
        (json!({"consumerKey": 1}), "/consumerKey"),
        (json!({"consumerKey": "x".repeat(513)}), "/consumerKey"),
        (json!({"consumerKey": "x", "role": "reader"}), "/role"),
    ] {
        admin
            .post(&path, body)
            .await
            .refused_at("invalid_body", pointer);
    }
    for _ in 0..2 {
        let shared = admin.post(&path, json!({ "consumerKey": key })).await.ok();
        assert_eq!(shared, json!({"consumerKey": key, "owner": false}));
    }
    let owner = json!({"consumerKey": "alice", "owner": true});
    let shared = admin.post(&path, json!({"consumerKey": "alice"})).await;
    assert_eq!(shared.ok(), owner);
    let listed = admin.get(&path).await.ok();
    assert_eq!(listed, json!([owner, {"consumerKey": key, "owner": false}]));

    // It is listed, read and written.
    assert_eq!(ids(&zoe).await, [alice.credential()]);
    let person = json!({"firstName": "Ada", "lastName": "Byron"});
    let made = zoe.post(PEOPLE, person).await.with(201);
    let made = format!("{PEOPLE}/{}", made["id"].as_str().unwrap());
    alice.get(&made).await.ok();
    // What it is connected with is the owner's.
    let one = format!("/api/credentials/{}", alice.credential());
    let body = json!({"label": "mine now"});
    zoe.put(&one, body).await.refused(403, "forbidden");
    let current = json!({"currentData": {"apiKey": API_KEY}});
    let request = zoe.request(reqwest::Method::PATCH, &one).json(&current);
    let answer = until("the host knows that it is allowed", async || {
        let request = request.try_clone().unwrap();
        let answer = crate::fixtures::Answer::to(request).await;
        (!answer.text.contains("include_data_off")).then_some(answer)
    })
    .await;
    answer.refused(403, "forbidden");
    for path in [one.clone(), "/api/credentials".to_owned()] {
        let shown = zoe.get(&format!("{path}?includeData=true")).await;
        shown.ok();
        assert!(!shown.text.contains(API_KEY), "{}", shown.text);
    }
    // Connecting the same account himself makes one of his own, and takes nothing away.
    let own = host.client(key).connect(API_KEY).await;
    assert_ne!(own.credential(), alice.credential());
    assert_eq!(ids(&zoe).await.len(), 2);
    assert_eq!(own.delete(&delete(&own)).await.status, 204);

    // He gives it back; it is still there.
    assert_eq!(zoe.delete(&delete(&alice)).await.status, 204);
    refused(&zoe).await;
    alice.get(&made).await.ok();
    admin.post(&path, json!({ "consumerKey": key })).await.ok();
    zoe.get(PEOPLE).await.ok();

    // It is taken from him.
    let encoded = "Zo%C3%AB%20%2F%201%27%20OR%20%271%27%3D%271";
    let of_zoe = format!("{path}/{encoded}");
    alice.delete(&of_zoe).await.refused(403, "forbidden");
    assert_eq!(admin.delete(&of_zoe).await.status, 204);
    refused(&zoe).await;
    admin.delete(&of_zoe).await.refused(404, "not_found");
    let of_alice = format!("{path}/alice");
    admin.delete(&of_alice).await.refused(409, "conflict");
    admin.post(&path, json!({ "consumerKey": key })).await.ok();

    // What its owner deletes is gone for all.
    assert_eq!(alice.delete(&delete(&alice)).await.status, 204);
    refused(&zoe).await;
    assert_eq!(ids(&zoe).await, [""; 0]);
}

#[tokio::test]
async fn sharing_and_its_end_are_known_to_all_hosts() {
    let app = app(Dataset::demo());
    let config = Setup::against(&app).on(&database());
    let one = HostUnderTest::start(config.clone()).await;
    let other = one.beside(config).await;
    let alice = one.client("alice").connect_synced(API_KEY).await;
    let path = consumers(&alice);
    let there = other.client("zoe").of(alice.credential());
    one.admin()
        .post(&path, json!({"consumerKey": "zoe"}))
        .await
        .ok();
    until("the other host serves it", async || {
        (there.get(PEOPLE).await.status == 200).then_some(())
    })
    .await;
    let unshared = one.admin().delete(&format!("{path}/zoe")).await;
    assert_eq!(unshared.status, 204);
    let asked = Instant::now();
    until("the other host refuses it", async || {
        let answer = there.get(PEOPLE).await;
        (answer.status != 200).then(|| answer.refused(403, "invalid_credential"))
    })
    .await;
    println!("unshared: refused elsewhere after {:?}", asked.elapsed());
    assert_eq!(ids(&there).await, [""; 0]);
}

#[tokio::test]
async fn a_deleted_account_is_refused_by_all_hosts_soon() {
    let app = app(Dataset::demo());
    let config = Setup::against(&app).on(&database());
    let one = HostUnderTest::start(config.clone()).await;
    let other = one.beside(config).await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let here = one.client("alice").connect_with(API_KEY, json!({})).await;
        let there = other.client("alice").of(here.credential());
        until("the other host knows it", async || {
            let answer = there.get(PEOPLE).await;
            (answer.status != 403).then_some(())
        })
        .await;
        assert_eq!(here.delete(&delete(&here)).await.status, 204);
        let deleted = Instant::now();
        until("the other host refuses it", async || {
            let answer = there.get(PEOPLE).await;
            (answer.status == 403).then(|| answer.refused(403, "invalid_credential"))
        })
        .await;
        took.push(deleted.elapsed());
    }
    took.sort();
    println!(
        "deleted: refused elsewhere after {:?} (median), {:?} (longest of {})",
        took[took.len() / 2],
        took[took.len() - 1],
        took.len()
    );
}

#[tokio::test]
async fn records_of_a_deleted_account_are_kept_for_sql_if_that_is_asked_for() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(Setup::against(&app)).await;
    let account = host.client("alice").connect_synced(API_KEY).await;
    let count = async |table: &str, column: &str| -> i64 {
        let id = account.credential();
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} = '{id}'");
        host.sql().await.value(&sql).await
    };
    let people = count("rollout_people", "\"credentialId\"").await;
    assert!(people > 0);
    let path = delete(&account);
    let wrong = account.delete(&format!("{path}&keepRecords=maybe")).await;
    wrong.refused(400, "invalid_query");
    let kept = account.delete(&format!("{path}&keepRecords=true")).await;
    assert_eq!((kept.status, kept.text.as_str()), (204, ""));
    refused(&account).await;
    assert_eq!(count("host_secrets", "credential_id").await, 0);
    // A deletion of another one clears away what is to be cleared.
    let other = host.client("bob").connect_synced(API_KEY).await;
    assert_eq!(other.delete(&delete(&other)).await.status, 204);
    until("the other's records are erased", async || {
        let id = other.credential();
        let left = format!("SELECT count(*) FROM rollout_people WHERE \"credentialId\" = '{id}'");
        (host.sql().await.value::<i64>(&left).await == 0).then_some(())
    })
    .await;
    assert_eq!(count("rollout_people", "\"credentialId\"").await, people);
    // Nobody reaches them through the API, whoever asks.
    account.delete(&path).await.refused(404, "not_found");
    let admin = host.admin();
    refused(&admin.of(account.credential())).await;
    let listed = admin.get("/api/credentials").await.ok();
    assert_eq!(listed, Value::Array(Vec::new()));
    // The environment erases them in the end.
    let keep = format!("{path}&keepRecords=true");
    admin.delete(&keep).await.refused(404, "not_found");
    assert_eq!(admin.delete(&path).await.status, 204);
    until("the records are erased", async || {
        (count("rollout_people", "\"credentialId\"").await == 0).then_some(())
    })
    .await;
    admin.delete(&path).await.refused(404, "not_found");
}
