//! A host that is killed or stopped in the middle of a first sync goes on where it
//! was, and ends with exactly what the app has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout_test_apps::follow_up_boss::{Dataset, Fault, Simulator};

use crate::fixtures::{API_KEY, Client, HostUnderTest, Setup, app, lists, until};
use crate::sync_oracle::Shown;

const PEOPLE: usize = 5000;
/// People of the account whose sync is stopped once.
const STOPPED: usize = 1500;
const PAGE: usize = 50;
const KILLS: usize = 10;
/// How long the app takes for an answer: a hundred of them take longer than all
/// the times until the kills together, so every kill hits the sync.
const PAUSE: Duration = Duration::from_millis(40);
const LONGEST: u64 = 300;

fn setup(app: &Simulator) -> Setup {
    Setup::against(app)
        .set("sync.page_records", PAGE as i64)
        .set("sync.retry_first", "50ms")
}

#[tokio::test]
async fn killed_at_random_it_loses_and_repeats_nothing() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = since.as_nanos() as u64;
    println!("seed {seed}");
    let mut dice = seed;
    let app = app(Dataset::bulk(PEOPLE as u64));
    app.fail_next(1_000_000, Fault::Delay(PAUSE));
    let mut host = HostUnderTest::start(setup(&app)).await;
    let credential = host
        .client("killed")
        .connect(API_KEY)
        .await
        .credential()
        .to_owned();
    let path = format!("/api/credentials/{credential}");
    let mut records = 0;
    for kill in 0..KILLS {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let moment = Duration::from_millis((dice >> 33) % LONGEST);
        tokio::time::sleep(moment).await;
        let shown = host.client("killed").get(&path).await.ok();
        assert_ne!(
            shown["sync"]["status"], "done",
            "kill {kill}, seed {seed}: {shown}"
        );
        let people = &shown["sync"]["entities"]["people"]["records"];
        let people = people.as_i64().unwrap_or(0);
        assert!(
            people >= records,
            "kill {kill}, seed {seed}: {people} after {records}"
        );
        records = people;
        host.kill();
        host.restart().await;
    }
    app.clear_faults();
    let account = host.client("killed").of(&credential);
    account.wait_synced(&credential).await;
    assert_whole(&app, &host, &account, PEOPLE).await;

    // A page that was under way is read again, and the request that begins a sync
    // may be, too; what has landed is not.
    let pages = PEOPLE / PAGE;
    let asked = lists(&app);
    assert!(
        asked <= pages + 2 + 4 * KILLS,
        "{asked} lists for {pages} pages, seed {seed}"
    );
}

#[tokio::test]
async fn stopped_in_the_middle_it_drains_and_goes_on() {
    let app = app(Dataset::bulk(STOPPED as u64));
    app.fail_next(1_000_000, Fault::Delay(PAUSE));
    let mut host = HostUnderTest::start(setup(&app)).await;
    let credential = host
        .client("stopped")
        .connect(API_KEY)
        .await
        .credential()
        .to_owned();
    let path = format!("/api/credentials/{credential}");
    until("some pages landed", async || {
        let shown = host.client("stopped").get(&path).await.ok();
        let people = shown["sync"]["entities"]["people"]["records"].as_i64();
        assert_ne!(shown["sync"]["status"], "done");
        (people.unwrap_or(0) >= 500).then_some(())
    })
    .await;
    host.stop();
    let landed = host.sql().await.count("rollout_people").await;
    assert!((500..STOPPED as i64).contains(&landed), "{landed}");
    app.clear_faults();
    app.clear_requests();
    host.restart().await;
    let account = host.client("stopped").of(&credential);
    account.wait_synced(&credential).await;
    assert_whole(&app, &host, &account, STOPPED).await;
    let left = (STOPPED - landed as usize) / PAGE;
    let asked = lists(&app);
    assert!(
        asked <= left + 3,
        "{asked} lists for {left} pages that were left"
    );
    host.stop();
}

/// The host has what the app has, in the API and in the database.
async fn assert_whole(app: &Simulator, host: &HostUnderTest, account: &Client, people: usize) {
    let shown = Shown::read(account).await;
    assert_eq!(shown.people.len(), people);
    shown.assert_equals(app).await;
    let mut sql = host.sql().await;
    assert_eq!(sql.count("rollout_people").await, people as i64);
    let distinct = "SELECT count(DISTINCT \"originalIds\") FROM rollout_people";
    assert_eq!(sql.value::<i64>(distinct).await, people as i64);
    let path = format!("/api/credentials/{}", account.credential());
    let credential = account.get(&path).await.ok();
    assert_eq!(
        credential["sync"]["entities"]["people"]["records"], people,
        "{credential}"
    );
}
