//! Opening a database again: with the same, a larger and a smaller catalogue,
//! and with one that is too new.

use rollout_catalog::{Catalog, Category};
use rollout_store::{EnvStore, ListQuery, StoreError};
use serde_json::json;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::fixture::{Fixture, PEOPLE, catalog_of, list};

async fn raw(fixture: &Fixture) -> SqlitePool {
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(fixture.path()))
        .await
        .unwrap()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let fixture = Fixture::new().await;
    fixture
        .land(vec![
            fixture.person("1", json!({"name": "Ann", "tags": ["a"]})),
        ])
        .await;
    let before = fixture.list(&fixture.query()).await;
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.list(&fixture.query()).await, before);
    assert_eq!(fixture.narrowed(&[("tags", &["a"])]).await.1, 1);
    assert_eq!(
        fixture.store.all_credentials().await.unwrap(),
        std::slice::from_ref(&fixture.credential)
    );
    assert_eq!(
        fixture
            .store
            .sync_rows(&fixture.credential.id)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn new_fields_become_columns_that_old_rows_show_the_default_of() {
    let fixture = Fixture::new().await;
    fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    fixture.store.close().await;
    let larger = PEOPLE.replace(
        r#""created":"#,
        r#""nick": { "type": "string" }, "langs": { "type": "array", "items": { "type": "string" } },
           "home": { "type": "object", "properties": { "city": { "type": "string" } } },
           "score": { "type": "number" }, "vip": { "type": "boolean" }, "since": { "type": "string", "format": "date-time" },
           "note": { "type": ["string", "null"] },
           "created":"#,
    );
    let catalog = catalog_of(&larger);
    let store = EnvStore::open(&fixture.path(), &catalog).await.unwrap();
    let people = catalog.entity(Category::Crm, "people").unwrap();
    let query = ListQuery::new(&fixture.credential.id, people, 10);
    let (_, rows) = list(&store, &query).await;
    let expected = json!({"name": "Ann", "nick": "", "langs": [], "home": {}, "score": 0, "vip": false,
        "since": "1970-01-01T00:00:00Z", "note": null});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&rows[0][field], value, "{field}");
    }
    store.close().await;
    // The program before it goes on working beside it.
    let store = EnvStore::open(&fixture.path(), &catalog_of(PEOPLE))
        .await
        .unwrap();
    let (_, rows) = list(&store, &fixture.query()).await;
    assert_eq!(rows[0]["name"], "Ann");
    assert!(rows[0].get("nick").is_none());
}

#[tokio::test]
async fn a_row_of_a_newer_catalogue_is_not_rewritten() {
    let fixture = Fixture::new().await;
    fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    let pool = raw(&fixture).await;
    let newer = sqlx::query("UPDATE rollout_people SET host_catalog = $1");
    newer
        .bind(i64::from(Catalog::VERSION) + 1)
        .execute(&pool)
        .await
        .unwrap();
    let outcome = fixture
        .land(vec![fixture.person("1", json!({"name": "Anne"}))])
        .await;
    assert_eq!(outcome.stale, ["1"]);
    assert_eq!(fixture.list(&fixture.query()).await.1[0]["name"], "Ann");
}

#[tokio::test]
async fn a_database_that_needs_a_newer_program_is_refused() {
    let fixture = Fixture::new().await;
    let pool = raw(&fixture).await;
    let floor = "INSERT INTO host_meta (key, value) VALUES ('schema_floor', 1000)";
    sqlx::query(floor).execute(&pool).await.unwrap();
    pool.close().await;
    fixture.store.close().await;
    let refused = EnvStore::open(&fixture.path(), &fixture.catalog).await;
    assert!(
        matches!(refused, Err(StoreError::TooOld { floor: 1000, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dev.sqlite");
    std::fs::write(
        &path,
        "not a database, but long enough to be taken for one. ".repeat(200),
    )
    .unwrap();
    let refused = EnvStore::open(&path, &catalog_of(PEOPLE)).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt(_))),
        "{refused:?}"
    );
    let refused = EnvStore::open(
        &directory.path().join("no/such/dir.sqlite"),
        &catalog_of(PEOPLE),
    )
    .await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_embedded_catalogue_has_its_tables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dev.sqlite");
    let catalog = Catalog::embedded().unwrap();
    EnvStore::open(&path, &catalog).await.unwrap().close().await;
    EnvStore::open(&path, &catalog).await.unwrap().close().await;
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path))
        .await
        .unwrap();
    for table in catalog.tables() {
        let names = sqlx::query("SELECT name FROM pragma_table_info($1)").bind(&table.name);
        let names: Vec<String> = names
            .fetch_all(&pool)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        for column in &table.columns {
            assert!(
                names.contains(&column.name),
                "{}.{}",
                table.name,
                column.name
            );
        }
    }
}
