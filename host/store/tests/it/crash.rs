//! Interruptions: a killed process, a dropped call.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rollout_store::{Cursor, EnvStore, ListQuery};
use serde_json::json;

use crate::fixture::{Fixture, NOW, PEOPLE, catalog_of, list, new_credential};

const CHILD: &str = "ROLLOUT_STORE_TEST_FILE";
const PER_PAGE: i64 = 40;

/// Run by [`a_killed_process_leaves_whole_pages`] in a process of its own:
/// lands page after page until it is killed. Does nothing otherwise.
#[tokio::test]
async fn land_until_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let store = EnvStore::open(path.as_ref(), &catalog_of(PEOPLE))
        .await
        .unwrap();
    let mut fixture = Fixture::new().await;
    fixture.store = store;
    fixture.credential = fixture.store.all_credentials().await.unwrap().remove(0);
    for n in 0i64.. {
        let mut page = fixture.page().await;
        page.records = (0..PER_PAGE)
            .map(|at| {
                fixture.person(
                    &(n * PER_PAGE + at).to_string(),
                    json!({"tags": ["all", n.to_string()]}),
                )
            })
            .collect();
        page.deleted = vec![((n - 1) * PER_PAGE).to_string()];
        page.cursor = Cursor::At(n.to_string());
        fixture.store.land(page).await.unwrap();
        println!("landed {n}");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_whole_pages() {
    for round in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dev.sqlite");
        let catalog = catalog_of(PEOPLE);
        let store = EnvStore::open(&path, &catalog).await.unwrap();
        let consumer = store.consumer("alice").await.unwrap();
        let credential = new_credential("acme", "account-1");
        store
            .insert_credential(&credential, &consumer.id, &Default::default())
            .await
            .unwrap();
        store
            .plan_sync(&credential.id, &["people"], NOW)
            .await
            .unwrap();
        store.close().await;

        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::land_until_killed", "--nocapture"])
            .env(CHILD, &path)
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

        let store = EnvStore::open(&path, &catalog).await.unwrap();
        let sync = store
            .sync_row(&credential.id, "people")
            .await
            .unwrap()
            .unwrap();
        let cursor: i64 = sync.cursor.unwrap().parse().unwrap();
        assert!(cursor >= acknowledged, "{cursor} < {acknowledged}");
        // Every page but the last lost its first record to the next.
        let expected = (cursor + 1) * PER_PAGE - cursor;
        assert_eq!(sync.records, expected);
        let people = catalog.by_name("people").unwrap();
        let mut query = ListQuery::new(&credential.id, people, 1000);
        let mut count = 0;
        loop {
            let (page, rows) = list(&store, &query).await;
            count += rows.len() as i64;
            assert_eq!(page.total, expected);
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert_eq!(count, expected);
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
        let records = fixture
            .store
            .sync_row(&fixture.credential.id, "people")
            .await
            .unwrap()
            .unwrap()
            .records;
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
