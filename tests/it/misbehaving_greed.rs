//! Connectors that use up what they can, or crash: each call ends within its
//! limits with one line that says why, and nobody else notices.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fixtures::within;
use crate::misbehaving_stage::{PLANTED, connect, outcome, stage, try_connect};

/// Modes, and what the host says of them.
const ENDS: [(&str, &str); 13] = [
    (
        "endless-loop",
        "the connector reached its CPU limit of 500 ms",
    ),
    (
        "endless-wait",
        "the connector reached its time limit of 3000 ms",
    ),
    ("memory", "the connector reached its memory limit of 64 MiB"),
    ("recursion", "the connector crashed: "),
    ("panic", "wasm `unreachable` instruction executed"),
    ("exit", "the connector crashed: Exited with i32 exit status"),
    (
        "cursor-huge",
        "its cursor has 1048578 bytes, and may have 65536",
    ),
    (
        "too-many-items",
        "it has 20000 records, and a page may have 10000",
    ),
    (
        "million-items",
        "the connector reached its memory limit of 64 MiB",
    ),
    ("state-keys", "a credential has at most 64 state keys"),
    ("state-value", "a state value has at most 64 KiB"),
    ("state-flood", "the connector reached its"),
    ("no-such-mode", "there is no mode `no-such-mode`"),
];

#[tokio::test]
async fn each_ends_with_its_reason_while_a_good_account_is_served() {
    let stage = stage().await;
    let good = stage.host.client("good").connect_synced(PLANTED).await;
    let client = stage.host.client("greed");

    let all = join_all(ENDS.map(|(mode, expected)| {
        let client = client.clone();
        async move {
            let account = connect(&client, mode, &[]).await;
            let limit = Duration::from_secs(12);
            let ended = within(limit, mode, outcome(&account)).await;
            let error = ended["error"].as_str().unwrap_or_default();
            assert!(error.contains(expected), "{mode}: {ended}");
            assert!(
                !error.contains('\n') && error.len() < 400,
                "{mode}: {error}"
            );
            assert_ne!(ended["status"], "done", "{mode}: {ended}");
        }
    }));
    let served = async {
        let (mut reads, mut slowest) = (0, Duration::ZERO);
        loop {
            let asked = Instant::now();
            let page = good.get("/crm/api/people?limit=5").await.ok();
            assert_eq!(page["people"].as_array().unwrap().len(), 5);
            slowest = slowest.max(asked.elapsed());
            reads += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            // Answered by `select` once the others are through.
            if reads > 10_000 {
                return slowest;
            }
            assert!(slowest < Duration::from_secs(2), "a read took {slowest:?}");
        }
    };
    tokio::select! {
        _ = all => {}
        slowest = served => panic!("the connectors did not end; slowest read {slowest:?}"),
    }

    let log = stage.host.log();
    for (mode, expected) in ENDS {
        let named = log.lines().any(|line| {
            line.contains("misbehaving")
                && line.contains(expected)
                && line.contains("a sync stopped")
        });
        assert!(named, "{mode}: the log does not name connector and reason");
    }
    assert!(
        log.contains("this connector crashes"),
        "its standard error is not in the log"
    );
    // Writes reach the app as ever.
    let body = serde_json::json!({"firstName": "Still", "lastName": "Served"});
    let created = good.post("/crm/api/people", body).await;
    assert_eq!(created.status, 201, "{}", created.text);
}

#[tokio::test]
async fn while_connecting_the_answer_says_it_in_one_line() {
    let client = stage().await.host.client("probing");
    let cases = [
        (
            "probe-endless-loop",
            "the connector reached its CPU limit of 500 ms",
        ),
        (
            "probe-endless-wait",
            "the connector reached its time limit of 3000 ms",
        ),
        (
            "probe-memory",
            "the connector reached its memory limit of 64 MiB",
        ),
        ("probe-recursion", "the connector crashed"),
        ("probe-panic", "the connector crashed"),
    ];
    join_all(cases.map(|(mode, reason)| {
        let client = client.clone();
        async move {
            let answer = within(
                Duration::from_secs(12),
                mode,
                try_connect(&client, mode, &[]),
            )
            .await;
            answer.refused(502, "connector_failed");
            let log = stage().await.host.log();
            assert!(log.contains(reason), "{mode}: not in the log: {reason}");
        }
    }))
    .await;
    let credentials = client.get("/api/credentials").await.ok();
    assert_eq!(credentials.as_array().unwrap().len(), 0, "{credentials}");
}

#[tokio::test]
async fn floods_of_the_log_are_cut_off() {
    let stage = stage().await;
    let client = stage.host.client("floods");
    // A line is 94 bytes long, or as long as fifteen megabytes; a call may log 256 KiB.
    for (mode, lines) in [
        ("log-flood", 2000..=2789),
        ("stdout-flood", 2000..=2789),
        ("log-line", 0..=0),
    ] {
        let account = connect(&client, mode, &[]).await;
        let ended = outcome(&account).await;
        assert_eq!(ended["status"], "done", "{mode}: {ended}");
        let credential = account.credential();
        let log = stage.host.log();
        let own = || log.lines().filter(|line| line.contains(credential));
        let flood = own().filter(|line| line.contains("flood ")).count();
        assert!(lines.contains(&flood), "{mode}: {flood} lines");
        let cut = own().any(|line| line.contains("log limit of this call reached"));
        assert!(cut, "{mode}: nothing says that lines are missing");
    }
}

#[tokio::test]
async fn a_flood_of_requests_ends_at_the_calls_budget() {
    let stage = stage().await;
    for mode in ["request-flood", "requests-in-a-row"] {
        let account = connect(&stage.host.client(mode), mode, &[]).await;
        let log = crate::fixtures::until("the budget is named", async || {
            let log = stage.host.log();
            let own = |line: &&str| {
                line.contains(account.credential()) && line.contains("a sync stopped")
            };
            log.lines().find(own).map(str::to_owned)
        })
        .await;
        assert!(
            log.contains("the host's budget for this app is used up"),
            "{mode}: {log}"
        );
    }
}
