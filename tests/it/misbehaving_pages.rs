//! Pages that break the contract, and records that break their schema.

use futures_util::future::join_all;

use crate::misbehaving_stage::{connect, outcome, stage};

#[tokio::test]
async fn pages_that_would_never_end_are_refused() {
    let client = stage().await.host.client("pages");
    let cases = [
        (
            "cursor-stands-still",
            "its cursor is the one that it was asked with",
        ),
        (
            "cursor-missing",
            "it is not the last one, and has no cursor",
        ),
        ("cursor-not-json", "its cursor is not JSON"),
        ("same-page", "it repeats the page before it"),
        ("empty-pages", "it repeats the page before it"),
    ];
    join_all(cases.map(|(mode, reason)| {
        let client = client.clone();
        async move {
            let account = connect(&client, mode, &[]).await;
            let ended = outcome(&account).await;
            let error = ended["error"].as_str().unwrap_or_default();
            assert!(
                error.starts_with("the connector's page breaks the contract: "),
                "{mode}: {ended}"
            );
            assert!(error.contains(reason), "{mode}: {ended}");
        }
    }))
    .await;
}

#[tokio::test]
async fn records_against_their_schema_are_set_aside_and_the_others_land() {
    let stage = stage().await;
    let account = connect(&stage.host.client("documents"), "documents", &[]).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["status"], "done", "{ended}");
    assert_eq!(ended["quarantined"], 12, "{ended}");
    let people = account.all("people", "").await;
    let mut ids: Vec<&str> = people
        .iter()
        .map(|person| person["originalIds"]["people"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["first", "last"]);

    let log = stage.host.log();
    let own: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(account.credential()) && line.contains("set aside"))
        .collect();
    assert!(!own.is_empty() && own.len() < 12, "{own:#?}");
    assert!(
        own[0].contains("misbehaving") && own[0].contains("object-for-text"),
        "{own:#?}"
    );
}
