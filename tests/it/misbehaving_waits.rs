//! An app that misbehaves, called by a connector: it costs the connector its time, and
//! nobody else's.

use std::time::{Duration, Instant};

use crate::fixtures::within;
use crate::misbehaving_stage::{PLANTED, attempts, connect, of, outcome, stage};

const APP: &str = "https://app.followupboss.com";

#[tokio::test]
async fn each_answer_that_never_ends_is_ended() {
    let cases = [
        ("/silent", "the app did not answer in time"),
        ("/half-a-head", "the app did not answer in time"),
        ("/drip", "the app did not answer in time"),
        ("/endless-body", "the app's answer is larger than"),
        ("/endless-head", "no connection to the app"),
        ("/bomb", "the app's answer is larger than"),
        ("/cut", "no connection to the app"),
        // Shown as they are, and followed by nobody.
        ("/inside", "answered 307"),
        ("/elsewhere", "answered 307"),
    ];
    let urls: Vec<String> = cases
        .iter()
        .map(|(path, _)| format!("{APP}{path}"))
        .collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let came = attempts("visits", &urls).await;
    assert_eq!(came.len(), cases.len());
    for (path, expected) in cases {
        let came = of(&came, &format!("{APP}{path}"));
        assert!(came.contains(expected), "{path}: {came}");
    }
}

#[tokio::test]
async fn whoever_waits_for_it_holds_nobody_up() {
    let stage = stage().await;
    let good = stage.host.client("patient").connect_synced(PLANTED).await;
    let url = format!("{APP}/drip");
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let client = stage.host.client(&format!("waits-{number}"));
            let url = &url;
            async move {
                let account = connect(&client, "visit", &[url]).await;
                outcome(&account).await
            }
        })
        .collect();
    let waiting = futures_util::future::join_all(waiting);
    let ended = within(Duration::from_secs(30), "the calls end", waiting);
    let reads = async {
        let mut slowest = Duration::ZERO;
        loop {
            let asked = Instant::now();
            good.get("/crm/api/people?limit=5").await.ok();
            slowest = slowest.max(asked.elapsed());
            assert!(slowest < Duration::from_secs(2), "a read took {slowest:?}");
        }
    };
    let ended = tokio::select! {
        ended = ended => ended,
        () = reads => unreachable!("it reads on"),
    };
    for shown in ended {
        let error = shown["error"].as_str().unwrap_or_default();
        assert!(error.contains("the app did not answer in time"), "{shown}");
    }
}
