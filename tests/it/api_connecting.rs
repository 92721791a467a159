//! Connecting, changing and deleting accounts, and what can be connected.

use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset};
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Client, Keys, Shared, Stage, app_of, until};

/// A second key of the owner.
const SECOND_KEY: &str = "fka_owner_again";
/// A key of an agent in the same account.
const AGENT_KEY: &str = "fka_agent";
/// The key of another account's owner.
const OTHER_KEY: &str = "fka_other_account";

static STAGE: Shared = Shared::new();

async fn stage() -> &'static Stage {
    STAGE
        .get(|| async {
            let first = AccountConfig::new(Dataset::demo())
                .key(API_KEY, 1)
                .key(SECOND_KEY, 1)
                .key(AGENT_KEY, 3);
            let other = AccountConfig::new(Dataset::demo()).id(2).key(OTHER_KEY, 1);
            Stage::set(app_of(Config::of(first).account(other))).await
        })
        .await
}

fn connecting(api_key: &str) -> Value {
    json!({"appKey": "follow-up-boss", "userInputs": {"apiKey": api_key}})
}

/// How many credentials a consumer has in the database.
async fn stored(stage: &Stage, consumer: &str) -> i64 {
    let mut sql = stage.host.sql().await;
    let orphans: i64 = sql
        .value(
            "SELECT count(*) FROM host_credentials c WHERE NOT EXISTS \
             (SELECT 1 FROM host_credential_consumers WHERE credential_id = c.id)",
        )
        .await;
    assert_eq!(orphans, 0, "a credential without a consumer");
    sql.value(&format!(
        "SELECT count(*) FROM host_credential_consumers \
         JOIN host_consumers ON host_consumers.id = consumer_id WHERE key = '{consumer}'"
    ))
    .await
}

async fn ids(client: &Client) -> Vec<String> {
    let listed = client.get("/api/credentials").await.ok();
    let ids = listed.as_array().unwrap().iter();
    ids.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn one_account_connected_many_times_at_once_is_one_credential() {
    let stage = stage().await;
    let client = stage.host.client("impatient");
    let all = (0..8).map(|_| client.post("/api/credentials", connecting(API_KEY)));
    let answers = futures_util::future::join_all(all).await;
    let mut ids: Vec<String> = answers
        .iter()
        .map(|answer| answer.ok()["id"].as_str().unwrap().to_owned())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(stored(stage, "impatient").await, 1);
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_words_and_leaves_nothing() {
    let stage = stage().await;
    let client = stage.host.client("wrong-key");
    let body = client
        .post("/api/credentials", connecting("fka_not_a_key"))
        .await
        .refused(400, "invalid_credentials");
    let words = body["errorMessage"].as_str().unwrap();
    assert!(words.contains("Follow Up Boss did not accept"), "{words}");
    assert!(!words.contains("fka_not_a_key"), "{words}");
    assert_eq!(stored(stage, "wrong-key").await, 0);
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_pointed_at() {
    let stage = stage().await;
    let client = stage.host.client("bad-inputs");
    let long = "x".repeat(10 * 1024 + 1);
    for (inputs, pointer, word) in [
        (json!({}), "/userInputs/apiKey", "required"),
        (json!({"apiKey": null}), "/userInputs/apiKey", "required"),
        (json!({"apiKey": "  \t"}), "/userInputs/apiKey", "required"),
        (json!({"apiKey": 5}), "/userInputs/apiKey", "text"),
        (json!({"apiKey": ["a"]}), "/userInputs/apiKey", "text"),
        (json!({"apiKey": long}), "/userInputs/apiKey", "longer"),
        (
            json!({"apiKey": "fka\n1"}),
            "/userInputs/apiKey",
            "control character",
        ),
        (
            json!({"apiKey": "fka", "apikey": "x"}),
            "/userInputs/apikey",
            "apiKey",
        ),
        (
            json!({"apiKey": "fka", "a/b~c": "x"}),
            "/userInputs/a~1b~0c",
            "apiKey",
        ),
    ] {
        let body = json!({"appKey": "follow-up-boss", "userInputs": inputs});
        let answer = client.post("/api/credentials", body).await;
        let message = answer.refused_at("invalid_inputs", pointer);
        assert!(message.contains(word), "{inputs}: {message}");
    }
    for (body, pointer) in [
        (json!({"userInputs": {"apiKey": API_KEY}}), "/appKey"),
        (
            json!({"appKey": 3, "userInputs": {"apiKey": API_KEY}}),
            "/appKey",
        ),
        (
            json!({"appKey": "follow-up-boss", "userInputs": []}),
            "/userInputs",
        ),
        (json!({"appKey": "follow-up-boss", "plan": 1}), "/plan"),
        (
            json!({"appKey": "follow-up-boss", "entitiesToSync": "notes"}),
            "/entitiesToSync",
        ),
        (
            json!({"appKey": "follow-up-boss", "userInput": {}}),
            "/userInput",
        ),
        (json!([]), ""),
        (json!("follow-up-boss"), ""),
    ] {
        let answer = client.post("/api/credentials", body).await;
        answer.refused_at("invalid_body", pointer);
    }
    assert_eq!(stored(stage, "bad-inputs").await, 0);
}

#[tokio::test]
async fn unknown_connectors_and_plans_are_named() {
    let client = stage().await.host.client("unknown");
    let mut body = connecting(API_KEY);
    body["appKey"] = json!("salesforce");
    let refused = client.post("/api/credentials", body).await;
    let message = refused.refused(400, "unknown_connector")["errorMessage"].to_string();
    assert!(message.contains("salesforce"), "{message}");

    let mut body = connecting(API_KEY);
    body["plan"] = json!("saml");
    let refused = client.post("/api/credentials", body).await;
    let message = refused.refused(400, "unknown_plan")["errorMessage"].to_string();
    assert!(
        message.contains("saml") && message.contains("api-key"),
        "{message}"
    );
}

#[tokio::test]
async fn app_keys_may_be_spelled_freely_and_are_shown_canonically() {
    let client = stage().await.host.client("spellings");
    let mut seen = Vec::new();
    for spelling in [
        "followupboss",
        "FollowUpBoss",
        "follow_up_boss",
        "follow-up-boss",
    ] {
        let mut body = connecting(API_KEY);
        body["appKey"] = json!(spelling);
        body["plan"] = json!("api-key");
        let shown = client.post("/api/credentials", body).await.ok();
        assert_eq!(shown["appKey"], "follow-up-boss");
        seen.push(shown["id"].clone());
        let listed = client
            .get(&format!("/api/credentials?appKey={spelling}"))
            .await
            .ok();
        assert_eq!(listed[0]["id"], shown["id"], "{spelling}");
    }
    seen.dedup();
    assert_eq!(seen.len(), 1);
    let others = client.get("/api/credentials?appKey=hubspot").await.ok();
    assert_eq!(others, json!([]));
}

#[tokio::test]
async fn white_space_around_a_pasted_key_is_taken_off() {
    let stage = stage().await;
    let client = stage.host.client("white-space");
    let pasted = format!(" \t{API_KEY} \n");
    client
        .post("/api/credentials", connecting(&pasted))
        .await
        .ok();
    assert_eq!(stored(stage, "white-space").await, 1);
}

#[tokio::test]
async fn the_same_account_again_keeps_its_id_and_gets_the_new_secret() {
    let stage = stage().await;
    let client = stage.host.client("again");
    let first = client.connect(API_KEY).await;
    let sealed = async || -> String {
        let id = first.credential();
        let sql = format!("SELECT sealed FROM host_secrets WHERE credential_id = '{id}'");
        stage.host.sql().await.value(&sql).await
    };
    let before = sealed().await;
    assert!(!before.contains(API_KEY));
    client.wait_synced(first.credential()).await;
    let people = first.all("people", "").await;

    let again = client.connect(SECOND_KEY).await;
    assert_eq!(again.credential(), first.credential());
    assert_ne!(sealed().await, before);
    assert_eq!(stored(stage, "again").await, 1);
    // What was synced stays; nothing is read anew.
    assert_eq!(again.all("people", "").await, people);

    // An agent of the account sees something else: a credential of its own.
    let agent = client.connect(AGENT_KEY).await;
    let other = client.connect(OTHER_KEY).await;
    let mut expected = vec![first.credential(), agent.credential(), other.credential()];
    assert_eq!(ids(&client).await, expected);
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(expected.len(), 3);
}

#[tokio::test]
async fn each_consumer_has_a_credential_of_his_own() {
    let stage = stage().await;
    let ours = stage.host.client("mine").connect(API_KEY).await;
    let theirs = stage.host.client("yours").connect(API_KEY).await;
    assert_ne!(ours.credential(), theirs.credential());
    assert_eq!(ids(&stage.host.client("mine")).await, [ours.credential()]);
    assert_eq!(
        ids(&stage.host.client("yours")).await,
        [theirs.credential()]
    );

    // A token of the environment reaches both, and connects for nobody.
    let admin = stage
        .host
        .client_with_token(&stage.host.keys().admin_token());
    let all = ids(&admin).await;
    for one in [&ours, &theirs] {
        assert!(all.iter().any(|id| id == one.credential()));
    }
    let refused = admin.post("/api/credentials", connecting(API_KEY)).await;
    refused.refused(403, "forbidden");
}

#[tokio::test]
async fn entities_are_opted_in_to_by_names_of_the_catalogue() {
    let client = stage().await.host.client("entities");
    let mut body = connecting(API_KEY);
    body["entitiesToSync"] = json!({"notez": true, "calls": true});
    let refused = client.post("/api/credentials", body.clone()).await;
    let message = refused.refused_at("invalid_inputs", "/entitiesToSync/notez");
    assert!(message.contains("notes"), "{message}");
    body["entitiesToSync"] = json!({"notes": "yes"});
    let refused = client.post("/api/credentials", body.clone()).await;
    refused.refused_at("invalid_inputs", "/entitiesToSync/notes");
    assert_eq!(ids(&client).await.len(), 0);

    // The connector has no offices: accepted, and nothing comes of it.
    let flags = json!({"notes": true, "tasks": false, "offices": true, "emailThreads": true});
    body["entitiesToSync"] = flags.clone();
    let shown = client.post("/api/credentials", body).await.ok();
    assert_eq!(shown["entitiesToSync"], flags);
    let synced = client.wait_synced(shown["id"].as_str().unwrap()).await;
    let entities = synced["sync"]["entities"].as_object().unwrap();
    let mut names: Vec<&str> = entities.keys().map(String::as_str).collect();
    names.sort_unstable();
    // Beside these, what nobody has to opt in to.
    for flagged in ["tasks", "calls", "textMessages", "offices", "events"] {
        assert!(!names.contains(&flagged), "{names:?}");
    }
    for synced in ["notes", "people", "users", "stages", "deals"] {
        assert!(names.contains(&synced), "{names:?}");
    }
}

#[tokio::test]
async fn a_credential_shows_how_far_its_sync_is() {
    let stage = stage().await;
    let client = stage.host.client("progress");
    let account = client.connect_synced(API_KEY).await;
    let shown = client
        .get("/api/credentials?includeProfile=true")
        .await
        .ok();
    let shown = &shown[0];
    assert_eq!(shown["id"], account.credential());
    assert_eq!(shown["appKey"], "follow-up-boss");
    assert_eq!(shown["plan"], "api-key");
    assert_eq!(shown["status"], "ok");
    assert_eq!(
        shown["entitiesToSync"],
        json!({"notes": true, "tasks": true})
    );
    let label = shown["label"].as_str().unwrap();
    assert!(label.contains("Sunrise Realty"), "{label}");
    assert_eq!(shown["profile"]["accountName"], label);
    let created = shown["createdAt"].as_str().unwrap();
    assert!(created.ends_with('Z') && created.len() == 20, "{created}");
    assert!(shown.get("data").is_none());

    let sync = &shown["sync"];
    assert_eq!(sync["status"], "done");
    for (entity, records) in [
        ("people", stage.app.people_count()),
        ("users", stage.app.users().len()),
        ("notes", stage.app.notes().len()),
        ("tasks", stage.app.tasks().len()),
    ] {
        let entity = &sync["entities"][entity];
        assert_eq!(entity["records"], records, "{entity}");
        assert!(entity["firstCompletedAt"].is_string(), "{entity}");
    }
    let plain = client.get("/api/credentials").await.ok();
    assert!(plain[0].get("profile").is_none());
    // One alone is shown in the same shape.
    let path = format!("/api/credentials/{}", account.credential());
    assert_eq!(client.get(&path).await.ok()["sync"]["status"], "done");
    client
        .get("/api/credentials?includeProfile=yes")
        .await
        .refused(400, "invalid_query");
}

#[tokio::test]
async fn changed_inputs_are_proven_first_and_stay_with_their_account() {
    let stage = stage().await;
    let client = stage.host.client("changes");
    let account = client.connect(API_KEY).await;
    let id = account.credential().to_owned();
    let path = format!("/api/credentials/{id}");
    let sealed = async || -> String {
        let sql = format!("SELECT sealed FROM host_secrets WHERE credential_id = '{id}'");
        stage.host.sql().await.value(&sql).await
    };
    let before = sealed().await;
    let inputs = |key: &str| json!({"userInputs": {"apiKey": key}});

    let wrong = client.put(&path, inputs("fka_wrong")).await;
    wrong.refused(400, "invalid_credentials");
    for other in [OTHER_KEY, AGENT_KEY] {
        let refused = client.put(&path, inputs(other)).await;
        refused.refused(409, "conflict");
    }
    let unfit = client.put(&path, json!({"userInputs": {}})).await;
    unfit.refused_at("invalid_inputs", "/userInputs/apiKey");
    let unknown = client.put(&path, json!({"labels": "x"})).await;
    unknown.refused_at("invalid_body", "/labels");
    let unknown = client
        .put(&path, json!({"entitiesToSync": {"person": true}}))
        .await;
    unknown.refused_at("invalid_inputs", "/entitiesToSync/person");
    assert_eq!(sealed().await, before);

    client.put(&path, inputs(SECOND_KEY)).await.ok();
    assert_ne!(sealed().await, before);
    let shown = client.put(&path, json!({"label": "Our office"})).await.ok();
    assert_eq!(shown["label"], "Our office");

    // Opting out takes the records away, opting in brings them back.
    client.wait_synced(&id).await;
    assert!(!account.all("notes", "").await.is_empty());
    client
        .put(&path, json!({"entitiesToSync": {"tasks": true}}))
        .await
        .ok();
    account
        .get("/crm/api/notes")
        .await
        .refused(409, "entity_not_synced");
    client
        .put(&path, json!({"entitiesToSync": {"notes": true}}))
        .await
        .ok();
    client.wait_synced(&id).await;
    assert_eq!(
        account.all("notes", "").await.len(),
        stage.app.notes().len()
    );
}

#[tokio::test]
async fn a_deleted_credential_is_gone_with_everything_it_had() {
    let stage = stage().await;
    let client = stage.host.client("deleting");
    let account = client.connect_synced(API_KEY).await;
    let id = account.credential().to_owned();
    let path = format!("/api/credentials?credentialId={id}");

    client
        .delete("/api/credentials")
        .await
        .refused(400, "invalid_query");
    let stranger = stage.host.client("deleting-not-mine");
    stranger.delete(&path).await.refused(404, "not_found");
    account.get("/crm/api/people").await.ok();

    let deleted = client.delete(&path).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    account
        .get("/crm/api/people")
        .await
        .refused(403, "invalid_credential");
    client.delete(&path).await.refused(404, "not_found");
    client
        .get(&format!("/api/credentials/{id}"))
        .await
        .refused(404, "not_found");
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
    assert_eq!(stored(stage, "deleting").await, 0);
    let mut sql = stage.host.sql().await;
    let secrets = format!("SELECT count(*) FROM host_secrets WHERE credential_id = '{id}'");
    assert_eq!(sql.value::<i64>(&secrets).await, 0);
    // Records are erased in the background.
    let rows = format!("SELECT count(*) FROM rollout_people WHERE \"credentialId\" = '{id}'");
    until("the records are erased", async || {
        let left: i64 = stage.host.sql().await.value(&rows).await;
        (left == 0).then_some(())
    })
    .await;

    // The same account again is another credential.
    let again = client.connect(API_KEY).await;
    assert_ne!(again.credential(), id);
}

#[tokio::test]
async fn connectors_are_listed_for_both_generations_of_link() {
    let client = stage().await.host.client("connectors");
    let listed = client.get("/api/connectors").await.ok();
    let connector = &listed["follow-up-boss"];
    assert_eq!(connector["name"], "Follow Up Boss");
    let input = |kind: &str| {
        let mut input = connector["auth"]["userInputsSchema"][0].clone();
        input["type"] = json!(kind);
        input
    };
    // 0.5.1 crashes on `secret`; 0.14.0 shows it as dots.
    assert_eq!(
        connector["auth"],
        json!({"type": "apiToken", "userInputsSchema": [input("textfield")], "name": "API key"})
    );
    assert_eq!(
        connector["authByPlan"],
        json!({"api-key": {
            "type": "apiToken", "userInputsSchema": [input("secret")], "name": "API key",
        }})
    );
    assert_eq!(input("secret")["key"], "apiKey");
    assert_eq!(input("secret")["label"], "API key");
    let help = input("secret")["infoHTML"].as_str().unwrap().to_owned();
    assert!(help.contains("<b>Admin</b>"), "{help}");
    let verbs = |list, get, create, update, delete| json!({"list": list, "get": get, "create": create, "update": update, "delete": delete});
    assert_eq!(
        connector["entities"]["crm"]["people"],
        verbs(true, true, true, true, true)
    );
    assert_eq!(
        connector["entities"]["crm"]["users"],
        verbs(true, true, false, false, false)
    );
    // Every connector has what Link reads.
    for (key, connector) in listed.as_object().unwrap() {
        assert!(connector["name"].is_string(), "{key}");
        assert!(connector["entities"].is_object(), "{key}");
        let plans = connector["authByPlan"].as_object().unwrap();
        assert!(!plans.is_empty(), "{key}");
        for plan in plans.values() {
            assert_eq!(plan["type"], "apiToken", "{key}");
            assert!(plan["userInputsSchema"].is_array(), "{key}");
        }
    }
}

#[tokio::test]
async fn icons_are_public_and_harmless() {
    let stranger = stage().await.host.stranger();
    for key in ["follow-up-boss", "followupboss"] {
        let icon = stranger.get(&format!("/api/connectors/{key}/icon")).await;
        assert_eq!(icon.status, 200);
        assert_eq!(icon.header("content-type"), Some("image/svg+xml"));
        assert_eq!(icon.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(
            icon.header("content-security-policy"),
            Some("default-src 'none'; sandbox")
        );
        assert!(icon.text.starts_with("<svg"), "{}", icon.text);
    }
    stranger
        .get("/api/connectors/nothing/icon")
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn browsers_of_any_origin_may_connect() {
    let stage = stage().await;
    let client = stage.host.stranger();
    let preflight = client
        .request(reqwest::Method::OPTIONS, "/api/credentials")
        .header("Origin", "https://app.customer.example")
        .header("Access-Control-Request-Method", "POST")
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type,x-rollout-user-agent",
        );
    let preflight = crate::fixtures::Answer::to(preflight).await;
    assert!(
        (200..300).contains(&preflight.status),
        "{}",
        preflight.status
    );
    let allowed = preflight
        .header("access-control-allow-headers")
        .unwrap()
        .to_lowercase();
    for header in ["authorization", "content-type", "x-rollout-user-agent"] {
        assert!(allowed.contains(header), "{allowed}");
    }
    assert!(
        preflight
            .header("access-control-allow-credentials")
            .is_none()
    );
    // A refusal can be read, too; else the page shows nothing.
    let refused = client
        .request(reqwest::Method::GET, "/api/credentials")
        .header("Origin", "https://app.customer.example");
    let refused = crate::fixtures::Answer::to(refused).await;
    refused.refused(401, "unauthorized");
    assert!(refused.header("access-control-allow-origin").is_some());
}

#[tokio::test]
async fn an_environment_made_while_serving_is_served_soon_and_separate() {
    let stage = stage().await;
    let keys: Keys = stage.host.create_environment("second");
    let client = stage.host.client_with_token(&keys.token("two-worlds"));
    let made = std::time::Instant::now();
    client.served().await;
    assert!(made.elapsed().as_secs() < 3, "{:?}", made.elapsed());

    let here = stage
        .host
        .client("two-worlds")
        .connect_synced(API_KEY)
        .await;
    let there = client.connect_synced(API_KEY).await;
    assert_ne!(here.credential(), there.credential());
    assert_eq!(ids(&client).await, [there.credential()]);
    // The same consumer key is somebody else there.
    let crossed = client.of(here.credential());
    crossed
        .get("/crm/api/people")
        .await
        .refused(403, "invalid_credential");
    let path = format!("/api/credentials/{}", here.credential());
    client.get(&path).await.refused(404, "not_found");
    let admin = stage.host.client_with_token(&keys.admin_token());
    assert_eq!(ids(&admin).await, [there.credential()]);
    let path = format!("/api/credentials?credentialId={}", here.credential());
    admin.delete(&path).await.refused(404, "not_found");
    // Equal records, but not one id in common.
    let id = |records: Vec<Value>| -> Vec<String> {
        let ids = records
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    let (ours, theirs) = (
        id(here.all("people", "").await),
        id(there.all("people", "").await),
    );
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.iter().all(|one| !theirs.contains(one)));
    let of_ours = format!("/crm/api/people/{}", ours[0]);
    there.get(&of_ours).await.refused(404, "not_found");
    let count = stage
        .host
        .sql_of("second")
        .await
        .count("host_credentials")
        .await;
    assert_eq!(count, 1);
}
