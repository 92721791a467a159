//! Opening a database again: with the same, a larger and a smaller catalogue,
//! and with one that is too new.

use rollout_catalog::{Catalog, Category};
use rollout_store::{Control, Databases, EnvStore, ListQuery, Migrate, Result, StoreError};
use serde_json::json;

use super::fixture::{Fixture, OWNER, PEOPLE, catalog_of, list, open};
use crate::only::Place;

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
    let syncs = fixture.store.sync_rows(&fixture.credential.id).await;
    assert_eq!(syncs.unwrap().len(), 2);
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
    let store = open(&fixture.place, &catalog).await.unwrap();
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
    let store = open(&fixture.place, &catalog_of(PEOPLE)).await.unwrap();
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
    let newer = i64::from(Catalog::VERSION) + 1;
    let newer = format!("UPDATE rollout_people SET host_catalog = {newer}");
    fixture.place.run(&newer).await;
    let outcome = fixture
        .land(vec![fixture.person("1", json!({"name": "Anne"}))])
        .await;
    assert_eq!(
        outcome,
        rollout_store::Outcome {
            records: 1,
            ..Default::default()
        }
    );
    assert_eq!(fixture.list(&fixture.query()).await.1[0]["name"], "Ann");
    // The newer program is told to ask for it, and the older one is not.
    let (store, credential) = (&fixture.store, &fixture.credential.id);
    assert_eq!(store.rereads(credential, "people", 10).await.unwrap(), []);
    let known = i64::from(Catalog::VERSION);
    let known = format!("UPDATE host_rereads SET catalog = {known}");
    fixture.place.run(&known).await;
    let noted = store.rereads(credential, "people", 10).await.unwrap();
    assert_eq!(noted[0].1, "1");
    store.reread(&[noted[0].0.clone()]).await.unwrap();
    assert_eq!(store.rereads(credential, "people", 10).await.unwrap(), []);
}

async fn open_as(place: &Place, owner: &str, migrate: Migrate) -> Result<EnvStore> {
    let databases = Databases::default();
    let catalog = catalog_of(PEOPLE);
    EnvStore::open(&databases, &place.location(), owner, &catalog, migrate).await
}

async fn refusal(place: &Place, owner: &str, migrate: Migrate) -> String {
    let refused = open_as(place, owner, migrate)
        .await
        .expect_err("it is refused");
    let said = refused.to_string();
    assert!(!said.contains('\n'), "one line: {said}");
    said
}

#[tokio::test]
async fn a_database_that_needs_a_newer_program_is_refused() {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    let place = &fixture.place;
    // A newer version that keeps this one working beside it.
    place
        .run(
            "UPDATE host_meta SET value = '999' WHERE key = 'schema_version'; \
             UPDATE host_meta SET value = '7.8.9' WHERE key = 'program'",
        )
        .await;
    for migrate in [Migrate::Run, Migrate::Check] {
        open_as(place, OWNER, migrate).await.unwrap().close().await;
    }
    let floor = "INSERT INTO host_meta (key, value) VALUES ('compat_floor', '998')";
    place.run(floor).await;
    for migrate in [Migrate::Run, Migrate::Check] {
        let said = refusal(place, OWNER, migrate).await;
        assert!(
            said.contains("rollout 7.8.9") && said.contains("998"),
            "{said}"
        );
    }
    let refused = open_as(place, OWNER, Migrate::Run).await;
    assert!(matches!(
        refused,
        Err(StoreError::TooOld { floor: 998, .. })
    ));
}

#[tokio::test]
async fn a_database_without_its_steps_is_only_migrated_when_that_is_asked_for() {
    let place = Place::new().await;
    let said = refusal(&place, OWNER, Migrate::Check).await;
    assert!(said.contains("--migrate=run"), "{said}");
    let databases = Databases::default();
    let control = Control::open(&databases, &place.location(), Migrate::Check).await;
    assert!(matches!(
        control,
        Err(StoreError::Unmigrated { done: 0, .. })
    ));
    open_as(&place, OWNER, Migrate::Run)
        .await
        .unwrap()
        .close()
        .await;
    open_as(&place, OWNER, Migrate::Check)
        .await
        .unwrap()
        .close()
        .await;
    // A column is as much a step as a table.
    let larger = catalog_of(&PEOPLE.replace(
        r#""created":"#,
        r#""nick": { "type": "string" }, "created":"#,
    ));
    let refused = EnvStore::open(
        &databases,
        &place.location(),
        OWNER,
        &larger,
        Migrate::Check,
    )
    .await;
    let said = refused.expect_err("a column is missing").to_string();
    assert!(
        said.contains("rollout_people") && said.contains("--migrate=run"),
        "{said}"
    );
}

#[tokio::test]
async fn a_database_belongs_to_one_environment() {
    let place = Place::new().await;
    open_as(&place, "client-1", Migrate::Run)
        .await
        .unwrap()
        .close()
        .await;
    for migrate in [Migrate::Run, Migrate::Check] {
        let said = refusal(&place, "client-2", migrate).await;
        assert!(said.contains("client-1"), "{said}");
    }
    open_as(&place, "client-1", Migrate::Run)
        .await
        .unwrap()
        .close()
        .await;
}

/// Processes that start at the same time find one database, made by one of them.
#[tokio::test]
async fn many_open_a_new_database_at_once() {
    let place = Place::new().await;
    let opening = (0..4).map(|_| open_as(&place, OWNER, Migrate::Run));
    for opened in futures_util::future::join_all(opening).await {
        opened.unwrap().close().await;
    }
}

#[tokio::test]
async fn the_embedded_catalogue_has_its_tables() {
    let place = Place::new().await;
    let catalog = Catalog::embedded().unwrap();
    for _ in 0..2 {
        open(&place, &catalog).await.unwrap().close().await;
    }
    for table in catalog.tables() {
        let names = place.columns(&table.name).await;
        for column in &table.columns {
            let (table, column) = (&table.name, &column.name);
            assert!(names.contains(column), "{table}.{column}");
        }
    }
}
