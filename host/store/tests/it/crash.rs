//! Interruptions: a killed process, a dropped call.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rollout_catalog::Catalog;
use rollout_store::{
    Credential, Cursor, Databases, EnvStore, ListQuery, Location, Migrate, Narrow, Page, Record,
    ReferenceIds, SYNC,
};
use serde_json::json;

use super::fixture::{Fixture, LONG, NOW, OWNER, PEOPLE, WORKER, catalog_of, list, person};

/// Where the database of [`land_until_killed`] is.
const CHILD: &str = "ROLLOUT_STORE_TEST_DATABASE";
const PER_PAGE: i64 = 40;

/// Run by [`a_killed_process_leaves_whole_pages`] in a process of its own:
/// lands page after page until it is killed. Does nothing otherwise.
#[tokio::test]
async fn land_until_killed() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let (databases, location) = (Databases::default(), Location::parse(&url).unwrap());
    let catalog = catalog_of(PEOPLE);
    let store = EnvStore::open(&databases, &location, OWNER, &catalog, Migrate::Check).await;
    let store = store.unwrap();
    let credential = store.all_credentials().await.unwrap().remove(0);
    let leases = store.claim_jobs(SYNC, "child", 1, LONG).await.unwrap();
    for n in 0i64.. {
        let stamp = store.next_stamp().await.unwrap();
        let mut page = Page::new(&credential, "people", stamp, NOW);
        page.lease = leases.first();
        page.records = (0..PER_PAGE)
            .map(|at| {
                let id = (n * PER_PAGE + at).to_string();
                let body = json!({"tags": ["all", n.to_string()]});
                person(&catalog, &credential, &id, body)
            })
            .collect();
        page.deleted = vec![((n - 1) * PER_PAGE).to_string()];
        page.cursor = Cursor::At(n.to_string());
        store.land(page).await.unwrap();
        println!("landed {n}");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_whole_pages() {
    for round in 0..3 {
        let fixture = Fixture::new().await;
        let job = fixture.lease.as_ref().unwrap();
        fixture.store.release_lease(job).await.unwrap();
        fixture.store.close().await;

        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "it::crash::land_until_killed", "--nocapture"])
            .env(CHILD, fixture.place.location().url())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = lines
            .by_ref()
            .map_while(Result::ok)
            .filter(|line| line.contains("landed"))
            .nth(5 + 10 * round);
        let acknowledged: i64 = seen.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        std::thread::sleep(Duration::from_millis(3 * round as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        fixture.place.alone().await;

        let fixture = fixture.reopen().await;
        let sync = fixture.sync_row().await;
        let cursor: i64 = sync.cursor.unwrap().parse().unwrap();
        assert!(cursor >= acknowledged, "{cursor} < {acknowledged}");
        // Every page but the last lost its first record to the next.
        let expected = (cursor + 1) * PER_PAGE - cursor;
        assert_eq!(sync.records, expected);
        // Also by a tag, whose keys were gathered by a process that is gone.
        let tag = Narrow {
            field: "tags".to_owned(),
            values: vec!["all".to_owned()],
        };
        for filters in [vec![], vec![tag]] {
            let mut query = ListQuery {
                filters,
                limit: 1000,
                ..fixture.query()
            };
            let mut count = 0;
            loop {
                let (page, rows) = list(&fixture.store, &query).await;
                count += rows.len() as i64;
                assert_eq!(page.total, expected);
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
            assert_eq!(count, expected);
        }
        // What the killed process had is had by the next.
        assert_eq!(fixture.store.release_all_leases().await.unwrap(), 1);
        let again = fixture.store.claim_jobs(SYNC, WORKER, 1, LONG).await;
        assert_eq!(again.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    fixture.land(vec![fixture.person("0", json!({}))]).await;
    let mut whole = 1;
    for wait in 0..30 {
        let mut page = fixture.page().await;
        page.records = (0..500)
            .map(|n| fixture.person(&format!("{wait}-{n}"), json!({"tags": ["all"]})))
            .collect();
        let landing = fixture.store.land(page);
        if tokio::time::timeout(Duration::from_micros(500 * wait), landing)
            .await
            .is_ok()
        {
            whole += 500;
        }
        // The commit may have happened although nobody waited for the answer;
        // another writer gets his turn when that is settled.
        fixture
            .store
            .reset_cursor(&fixture.credential.id, "users")
            .await
            .unwrap();
        let records = fixture.sync_row().await.records;
        assert!(
            records == whole || records == whole + 500,
            "{records} after {whole}"
        );
        whole = records;
        let (list, _) = fixture
            .list(&ListQuery {
                limit: 1,
                ..fixture.query()
            })
            .await;
        assert_eq!(list.total, records);
    }
    let (_, tagged) = fixture.narrowed(&[("tags", &["all"])]).await;
    assert_eq!(tagged, (whole - 1).min(10_000));
}

/// Users can't be looked for by anything, so a restart finds no keys to make up.
#[tokio::test]
async fn a_first_pass_over_an_entity_without_keys_goes_on_after_a_restart() {
    let fixture = Fixture::new().await;
    let people = fixture.lease.as_ref().unwrap();
    let later = rollout_store::now() + LONG;
    fixture.store.job_again(people, later).await.unwrap();
    let claimed = fixture.store.claim_jobs(SYNC, WORKER, 1, LONG).await;
    let users = claimed.unwrap().remove(0);
    assert_eq!(
        users.sync(),
        Some((fixture.credential.id.as_str(), "users"))
    );
    let page = async |fixture: &Fixture, id: &str| {
        let stamp = fixture.store.next_stamp().await.unwrap();
        let mut page = Page::new(&fixture.credential, "users", stamp, NOW);
        page.lease = Some(&users);
        page.records = vec![record_of(
            &fixture.catalog,
            &fixture.credential,
            "users",
            id,
        )];
        fixture.store.land(page).await.unwrap().created.len()
    };
    assert_eq!(page(&fixture, "1").await, 1);
    let fixture = fixture.reopen().await;
    assert_eq!(page(&fixture, "2").await, 1);
}

fn record_of(catalog: &Catalog, credential: &Credential, entity: &str, id: &str) -> Record {
    let known = catalog.by_name(entity).unwrap();
    let body = json!({"name": id});
    let landed = known
        .land(&body.to_string(), &mut ReferenceIds::new(credential))
        .unwrap();
    Record {
        upstream_id: id.to_owned(),
        cells: landed.cells,
        original_ids: json!({entity: id}).to_string(),
        original: json!({entity: body}).to_string(),
    }
}
