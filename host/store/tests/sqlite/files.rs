//! Files that are none, and what lies beside them.

use rollout_store::{Databases, EnvStore, Location, Migrate, Result, StoreError};
use serde_json::json;

use crate::it::fixture::{Fixture, OWNER, PEOPLE, catalog_of};

async fn open(location: &Location) -> Result<EnvStore> {
    let databases = Databases::default();
    let catalog = catalog_of(PEOPLE);
    EnvStore::open(&databases, location, OWNER, &catalog, Migrate::Run).await
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dev.sqlite");
    let text = "not a database, but long enough to be taken for one. ".repeat(200);
    std::fs::write(&path, text).unwrap();
    let refused = open(&Location::File(path)).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt(_))),
        "{refused:?}"
    );
    let nowhere = directory.path().join("no/such/dir.sqlite");
    let refused = open(&Location::File(nowhere)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}

/// Closing copies the log into the file, so that the file alone is a backup.
#[tokio::test]
async fn a_closed_database_is_one_file() {
    let fixture = Fixture::new().await;
    fixture.land(vec![fixture.person("1", json!({}))]).await;
    let Location::File(path) = fixture.place.location() else {
        panic!("a file")
    };
    let log = path.with_extension("sqlite-wal");
    assert!(log.exists());
    fixture.store.close().await;
    assert!(path.exists() && !log.exists());
}
