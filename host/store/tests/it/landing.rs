//! What landing a page does to rows, counts, tombstones and ids.

use rollout_store::{
    Cursor, Outcome, Page, Quarantined, Reference, Schedule, StoreError, SyncPhase, SyncStatus,
    record_id,
};
use serde_json::{Value, json};

use super::fixture::{Fixture, NOW, delete_one, land_one, new_credential, schedule};

async fn only(fixture: &Fixture) -> Value {
    let (list, mut rows) = fixture.list(&fixture.query()).await;
    assert_eq!(list.total, 1);
    rows.remove(0)
}

#[tokio::test]
async fn created_updated_unchanged_and_silent_are_told_apart() {
    let fixture = Fixture::new().await;
    let id = record_id(&fixture.credential, "people", "1");
    let body = json!({"name": "Ann", "price": 1.5});

    let outcome = fixture.land(vec![fixture.person("1", body.clone())]).await;
    assert_eq!(
        outcome,
        Outcome {
            created: vec![id.clone()],
            records: 1,
            ..Default::default()
        }
    );
    let first = only(&fixture).await;
    assert_eq!(first["rolloutUpdated"], "2025-07-02T15:19:21Z");

    let outcome = fixture.land(vec![fixture.person("1", body.clone())]).await;
    assert_eq!(
        outcome,
        Outcome {
            unchanged: 1,
            records: 1,
            ..Default::default()
        }
    );

    let mut page = fixture.page().await;
    page.now = NOW + 60_000;
    page.records = vec![fixture.person_with_original("1", body, r#"{"people":{"seen":2}}"#)];
    let outcome = fixture.store.land(page).await.unwrap();
    assert_eq!(
        outcome,
        Outcome {
            silent: 1,
            records: 1,
            ..Default::default()
        }
    );
    let silent = only(&fixture).await;
    assert_eq!(silent["original"], json!({"people": {"seen": 2}}));
    assert_eq!(silent["rolloutUpdated"], first["rolloutUpdated"]);

    let mut page = fixture.page().await;
    page.now = NOW + 60_000;
    page.records = vec![fixture.person("1", json!({"name": "Anne", "price": 1.5, "customA": [1]}))];
    let outcome = fixture.store.land(page).await.unwrap();
    assert_eq!(
        outcome,
        Outcome {
            updated: vec![id],
            records: 1,
            ..Default::default()
        }
    );
    let updated = only(&fixture).await;
    assert_eq!(updated["name"], "Anne");
    assert_eq!(updated["customA"], json!([1]));
    assert_eq!(updated["rolloutUpdated"], "2025-07-02T15:20:21Z");
}

#[tokio::test]
async fn of_duplicates_in_a_page_the_last_counts() {
    let fixture = Fixture::new().await;
    let people = [("1", "a"), ("2", "b"), ("1", "c"), ("1", "d")];
    let people = people.map(|(id, name)| fixture.person(id, json!({"name": name})));
    let outcome = fixture.land(people.to_vec()).await;
    assert_eq!((outcome.created.len(), outcome.records), (2, 2));
    let (_, rows) = fixture.list(&fixture.query()).await;
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["d", "b"]);
}

#[tokio::test]
async fn an_older_page_neither_overwrites_nor_revives() {
    let fixture = Fixture::new().await;
    let mut older = fixture.page().await;
    let mut older_deletion = fixture.page().await;
    let person = |id: &str, name: &str| fixture.person(id, json!({"name": name}));
    fixture
        .land(vec![
            person("1", "new"),
            person("2", "gone"),
            person("3", "same"),
        ])
        .await;
    fixture.remove(&["2", "never-was"]).await;

    older.records = vec![
        person("1", "old"),
        person("2", "old"),
        person("3", "same"),
        person("never-was", "old"),
    ];
    let outcome = fixture.store.land(older).await.unwrap();
    assert_eq!(outcome.stale, ["1", "2", "never-was"]);
    assert_eq!((outcome.unchanged, outcome.records), (1, 2));

    older_deletion.deleted = vec!["1".to_owned()];
    let outcome = fixture.store.land(older_deletion).await.unwrap();
    assert_eq!(
        (outcome.deleted.len(), outcome.stale),
        (0, vec!["1".to_owned()])
    );
    let (_, rows) = fixture.list(&fixture.query()).await;
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["same", "new"]);
}

#[tokio::test]
async fn a_deleted_record_comes_back_under_its_id_as_created() {
    let fixture = Fixture::new().await;
    let id = record_id(&fixture.credential, "people", "1");
    fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    let outcome = fixture.remove(&["1"]).await;
    assert_eq!((outcome.deleted, outcome.records), (vec![id.clone()], 0));
    assert_eq!(fixture.remove(&["1"]).await.deleted, Vec::<String>::new());
    let outcome = fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    assert_eq!((outcome.created, outcome.records), (vec![id.clone()], 1));
    // Its tombstone is gone: the next older page is compared with the row.
    assert_eq!(only(&fixture).await["id"], id.as_str());
}

#[tokio::test]
async fn cursor_counts_and_schedule_become_true_with_the_page() {
    let mut fixture = Fixture::new().await;
    let mut page = fixture.page().await;
    page.records = vec![fixture.person("1", json!({"name": "Ann"}))];
    page.cursor = Cursor::At("page-2".to_owned());
    page.total = Some(250);
    page.lenient = 3;
    let bad = |id: &str| Quarantined {
        upstream_id: id.to_owned(),
        reason: "/id: expected text".to_owned(),
    };
    page.quarantined = vec![bad("8"), bad("9")];
    let schedule = Schedule {
        status: SyncStatus::Done,
        phase: SyncPhase::Incremental,
        next_at: Some(NOW + 1),
        attempts: 0,
        error: None,
        first_done_at: Some(NOW),
    };
    page.schedule = Some(schedule.clone());
    fixture.store.land(page).await.unwrap();
    let sync = fixture.sync_row().await;
    assert_eq!(sync.schedule, schedule);
    assert_eq!(sync.cursor.as_deref(), Some("page-2"));
    assert_eq!(
        (sync.records, sync.total, sync.quarantined, sync.lenient),
        (1, Some(250), 2, 3)
    );

    // The job was given back with the page.
    fixture.claim().await;

    // A record that can be read again leaves the quarantine; a page that says
    // nothing about cursor and schedule leaves them.
    fixture
        .land(vec![fixture.person("9", json!({"name": "Zoe"}))])
        .await;
    let sync = fixture.sync_row().await;
    assert_eq!(
        (sync.records, sync.quarantined, sync.cursor.as_deref()),
        (2, 1, Some("page-2"))
    );
    let aside = fixture
        .store
        .quarantine(&fixture.credential.id, "people", 10)
        .await
        .unwrap();
    assert_eq!(aside, [bad("8")]);
}

#[tokio::test]
async fn nothing_lands_for_what_is_not_synced() {
    let fixture = Fixture::new().await;
    let elsewhere = new_credential("acme", "gone");
    let mut page = Page::new(&elsewhere, "people", 1, NOW);
    page.records = vec![fixture.person("1", json!({"name": "Ann"}))];
    assert!(matches!(
        fixture.store.land(page).await,
        Err(StoreError::NotFound(_))
    ));
    let unknown = Page::new(&fixture.credential, "planets", 1, NOW);
    assert!(matches!(
        fixture.store.land(unknown).await,
        Err(StoreError::Unknown(_))
    ));
    assert_eq!(fixture.list(&fixture.query()).await.0.total, 0);
}

#[tokio::test]
async fn references_are_known_before_and_after_their_records() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let user = record_id(&fixture.credential, "users", "7");
    let mut page = fixture.page().await;
    page.records = vec![fixture.person("1", json!({"name": "Ann", "ownerId": 7}))];
    let reference = |id: &str, entity: &str, upstream: &str| Reference {
        id: id.to_owned(),
        entity: entity.to_owned(),
        upstream_id: upstream.to_owned(),
    };
    let pond = record_id(&fixture.credential, "ponds", "p");
    page.references = vec![
        reference(&user, "users", "7"),
        reference(&pond, "ponds", "p"),
    ];
    store.land(page).await.unwrap();
    assert_eq!(only(&fixture).await["ownerId"], user.as_str());

    let person = record_id(&fixture.credential, "people", "1");
    let known = async |entity: &str, id: &str| {
        let ids = [id.to_owned(), "no-such-id".to_owned()];
        store
            .upstream_ids(&fixture.credential.id, entity, &ids)
            .await
            .unwrap()
            .remove(id)
    };
    assert_eq!(known("users", &user).await.as_deref(), Some("7"));
    assert_eq!(known("ponds", &pond).await.as_deref(), Some("p"));
    assert_eq!(known("people", &person).await.as_deref(), Some("1"));
    assert_eq!(known("users", &person).await, None);
    fixture.remove(&["1"]).await;
    assert_eq!(known("people", &person).await.as_deref(), Some("1"));
    let other = fixture.connect("account-2").await;
    let foreign = store
        .upstream_ids(&other.id, "users", &[user])
        .await
        .unwrap();
    assert!(foreign.is_empty());
}

#[tokio::test]
async fn one_record_wins_over_pages_asked_for_before() {
    let fixture = Fixture::new().await;
    let mut page = fixture.page().await;
    page.records = vec![fixture.person("1", json!({"name": "from the page"}))];
    let write = async || {
        let person = fixture.person("1", json!({"name": "written"}));
        land_one(&fixture.store, &fixture.credential, person).await
    };
    let id = record_id(&fixture.credential, "people", "1");
    assert_eq!(write().await.created, [id.as_str()]);
    let again = write().await;
    assert_eq!((again.unchanged, again.created.len()), (1, 0));
    assert!(again.updated.is_empty());
    assert_eq!(fixture.store.land(page).await.unwrap().stale, ["1"]);
    let text = fixture
        .store
        .get_json(&fixture.credential.id, fixture.people(), &id)
        .await
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&text.unwrap()).unwrap()["name"],
        "written"
    );

    let deleted = delete_one(&fixture.store, &fixture.credential, "1").await;
    assert_eq!(deleted.deleted, [id.as_str()]);
    let text = fixture
        .store
        .get_json(&fixture.credential.id, fixture.people(), &id)
        .await
        .unwrap();
    assert_eq!(text, None);
}

#[tokio::test]
async fn pages_larger_than_any_statement_land_whole() {
    let fixture = Fixture::new().await;
    let people = (0..1733).map(|n| {
        let tags = [format!("t{}", n % 7), "all".to_owned()];
        fixture.person(
            &n.to_string(),
            json!({"name": format!("p{n}"), "tags": tags}),
        )
    });
    let outcome = fixture.land(people.collect()).await;
    assert_eq!((outcome.created.len(), outcome.records), (1733, 1733));
    let (_, total) = fixture.narrowed(&[("tags", &["all"])]).await;
    assert_eq!(total, 1733);
    let (_, total) = fixture.narrowed(&[("tags", &["t1", "t2"])]).await;
    assert_eq!(total, 248 + 248);
}

#[tokio::test]
async fn stamps_never_repeat() {
    let mut fixture = Fixture::new().await;
    let mut last = 0;
    for _ in 0..3 {
        for _ in 0..1500 {
            let stamp = fixture.store.next_stamp().await.unwrap();
            assert!(stamp > last);
            last = stamp;
        }
        fixture = fixture.reopen().await;
    }
}

/// While a first pass runs, keys are gathered; whether they are entered already
/// makes no difference to what filters find.
#[tokio::test]
async fn filters_find_what_a_first_pass_landed_before_and_after_its_keys_are_entered() {
    let mut fixture = Fixture::new().await;
    let person = |fixture: &Fixture, n: usize, version: usize| {
        let emails = [json!({"value": format!("p{n}v{version}@x.org")})];
        fixture.person(
            &n.to_string(),
            json!({"tags": ["all", format!("v{version}")], "emails": emails}),
        )
    };
    let entered = async |fixture: &Fixture| {
        let count = "SELECT COUNT(*) FROM host_keys_rollout_people";
        fixture.place.number(count).await
    };
    let check = async |fixture: &Fixture, versions: [i64; 3]| {
        let [first, second, third] = versions;
        assert_eq!(
            fixture.narrowed(&[("tags", &["all"])]).await.1,
            first + second + third
        );
        assert_eq!(
            fixture.narrowed(&[("tags", &["v1", "v2"])]).await.1,
            first + second
        );
        assert_eq!(fixture.narrowed(&[("tags", &["v3"])]).await.1, third);
        assert_eq!(
            fixture.narrowed(&[("emails", &["p7v1@x.org"])]).await.1,
            i64::from(first > 0)
        );
    };
    fixture
        .land((0..60).map(|n| person(&fixture, n, 1)).collect())
        .await;
    check(&fixture, [60, 0, 0]).await;
    fixture
        .land((30..60).map(|n| person(&fixture, n, 2)).collect())
        .await;
    fixture.remove(&["59"]).await;
    check(&fixture, [30, 29, 0]).await;
    assert_eq!(entered(&fixture).await, 0);

    // Another process finds the rows, not what was gathered.
    fixture = fixture.reopen().await;
    check(&fixture, [30, 29, 0]).await;
    fixture
        .land((60..70).map(|n| person(&fixture, n, 3)).collect())
        .await;
    check(&fixture, [30, 29, 10]).await;
    assert_eq!(entered(&fixture).await, 0);

    fixture.schedule(SyncPhase::Incremental).await;
    check(&fixture, [30, 29, 10]).await;
    assert!(entered(&fixture).await >= 3 * 69);
    fixture
        .land((0..30).map(|n| person(&fixture, n, 3)).collect())
        .await;
    check(&fixture, [0, 29, 40]).await;

    // A later first pass gathers again; only rows that are new to it.
    fixture.schedule(SyncPhase::First).await;
    let before = entered(&fixture).await;
    fixture
        .land((40..80).map(|n| person(&fixture, n, 3)).collect())
        .await;
    check(&fixture, [0, 10, 70]).await;
    assert_eq!(entered(&fixture).await, before + 2 * 19);
    let mut last = fixture.page().await;
    last.schedule = Some(schedule(SyncPhase::Incremental));
    fixture.store.land(last).await.unwrap();
    check(&fixture, [0, 10, 70]).await;
    assert_eq!(entered(&fixture).await, before + 2 * 19 + 3 * 11);
}

#[tokio::test]
async fn many_gathered_keys_are_entered_before_the_first_pass_ends() {
    let fixture = Fixture::new().await;
    for start in (0..4000).step_by(1000) {
        let people = (start..start + 1000).map(|n| {
            let tags: Vec<String> = (0..20).map(|tag| format!("t{n}-{tag}")).collect();
            fixture.person(&n.to_string(), json!({"tags": tags}))
        });
        fixture.land(people.collect()).await;
    }
    for n in ["0", "999", "3100", "3999"] {
        let (found, total) = fixture.narrowed(&[("tags", &[&format!("t{n}-7")])]).await;
        assert_eq!((found, total), (vec![n.to_owned()], 1));
    }
}
