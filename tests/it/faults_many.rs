//! Hosts, databases and disks that fail again and again while people work: nothing
//! that was accepted is lost or done twice, the copy is right, the feed has no gap.
//!
//! The harness itself is `rollout-faults`; with it, `kills 1000` is a longer run of
//! the same. A run begins with the command line that repeats it.

use std::sync::Arc;
use std::time::Duration;

use rollout_faults::{Options, Store, run};

const FAULTS: usize = 30;

async fn play(seed: u64, store: Store, hosts: usize) {
    let options = Options {
        clients: 4,
        accounts: 2,
        people: 60,
        lease: Duration::from_millis(1500),
        pause: Duration::from_millis(800),
        ..Options::new(FAULTS, seed, store).hosts(hosts)
    };
    let say = Arc::new(|line: &str| println!("{line}"));
    let summary = run(&options, say).await.unwrap();
    println!("{summary}");
    assert!(summary.is_clean(), "{summary}");
    assert!(summary.accepted > 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_with_files_that_fails_again_and_again_keeps_every_promise() {
    play(41, Store::Sqlite, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_on_postgres_that_fail_again_and_again_keep_every_promise() {
    play(42, Store::Postgres, 2).await;
}
