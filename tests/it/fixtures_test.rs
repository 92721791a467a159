//! The fixtures themselves.

use rollout_test_apps::follow_up_boss::Dataset;

use crate::fixtures::{API_KEY, HostUnderTest, Setup, app};

#[tokio::test]
async fn a_host_is_killed_restarted_and_stopped_on_one_data_directory() {
    let app = app(Dataset::demo());
    let mut host = HostUnderTest::start(Setup::against(&app)).await;
    let account = host.client("fixtures").connect_synced(API_KEY).await;
    let people = account.all("people", "").await;
    assert_eq!(people.len(), app.people_count());

    host.kill();
    host.restart().await;
    let account = host.client("fixtures").of(account.credential());
    assert_eq!(account.all("people", "").await, people);
    assert_eq!(
        host.sql().await.count("rollout_people").await,
        people.len() as i64
    );
    host.stop();
    assert!(host.log().contains("stopped"), "{}", host.log());
}
