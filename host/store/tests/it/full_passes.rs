//! What a full pass met, and what it did not.

use rollout_store::{Cursor, FullEnd, FullPage, Missing, Quarantined, StoreError};
use serde_json::json;

use super::fixture::{Fixture, NOW};

/// The app's ids of what the pass under way did not meet.
async fn missing(fixture: &Fixture) -> Vec<String> {
    let pass = fixture.sync_row().await.full.unwrap().pass;
    let mut walk = Missing::new(&fixture.credential.id, "people", pass);
    let mut all = Vec::new();
    while let Some(ids) = walk.next(&fixture.store).await.unwrap() {
        all.extend(ids);
    }
    all
}

/// Lands people as a page of the full pass under way.
async fn meet(fixture: &Fixture, ids: &[&str], cursor: Cursor) {
    let pass = fixture.sync_row().await.full.unwrap().pass;
    let mut page = fixture.page().await;
    let person = |id: &&str| fixture.person(id, json!({"name": format!("Person {id}")}));
    page.records = ids.iter().map(person).collect();
    page.full = Some(FullPage {
        pass,
        complete: cursor == Cursor::Start,
        cursor,
        careful: false,
        seen: ids.len() as i64,
    });
    fixture.store.land(page).await.unwrap();
}

/// Ten people, and a full pass that has just begun.
async fn begun() -> Fixture {
    let fixture = Fixture::new().await;
    let ids: Vec<String> = (1..=10).map(|id| id.to_string()).collect();
    let person = |id: &String| fixture.person(id, json!({"name": format!("Person {id}")}));
    fixture.land(ids.iter().map(person).collect()).await;
    fixture.finish_first_pass().await;
    let lease = fixture.lease.clone().unwrap();
    fixture.store.begin_full(&lease, NOW).await.unwrap();
    fixture
}

#[tokio::test]
async fn what_no_page_had_is_missing() {
    let fixture = begun().await;
    assert_eq!(missing(&fixture).await.len(), 10);
    let rows = "SELECT MAX(host_stamp) FROM rollout_people";
    let before = fixture.place.number(rows).await;
    // In two pages that overlap, and not in the order of the rows.
    meet(
        &fixture,
        &["1", "2", "3", "9", "7"],
        Cursor::At("{}".to_owned()),
    )
    .await;
    meet(
        &fixture,
        &["3", "4", "2"],
        Cursor::At("{\"a\":1}".to_owned()),
    )
    .await;
    assert_eq!(missing(&fixture).await, ["5", "6", "8", "10"]);
    assert_eq!(
        fixture.place.number(rows).await,
        before,
        "no row was touched"
    );
    let full = fixture.sync_row().await.full.unwrap();
    assert_eq!((full.cursor.as_deref(), full.seen), (Some("{\"a\":1}"), 8));
    assert!(!full.complete);
    // The cursor of the polls is another one.
    assert_eq!(fixture.sync_row().await.cursor, None);

    // What is set aside is there.
    let mut page = fixture.page().await;
    page.quarantined.push(Quarantined {
        upstream_id: "8".to_owned(),
        reason: "odd".to_owned(),
    });
    page.full = Some(FullPage::met(full.pass));
    fixture.store.land(page).await.unwrap();
    assert_eq!(missing(&fixture).await, ["5", "6", "10"]);

    // So is what was written since the pass began, met or not, and what is new.
    fixture
        .land(vec![fixture.person("5", json!({"name": "Written"}))])
        .await;
    fixture.land(vec![fixture.person("11", json!({}))]).await;
    assert_eq!(missing(&fixture).await, ["6", "10"]);
}

#[tokio::test]
async fn what_is_deleted_for_a_pass_is_older_than_what_was_written_since() {
    let fixture = begun().await;
    let pass = fixture.sync_row().await.full.unwrap().pass;
    fixture
        .land(vec![fixture.person("5", json!({"name": "Written"}))])
        .await;
    let mut page = fixture.page().await;
    page.stamp = pass;
    page.deleted = vec!["5".to_owned(), "6".to_owned()];
    let outcome = fixture.store.land(page).await.unwrap();
    assert_eq!(outcome.deleted.len(), 1);
    assert_eq!(outcome.stale, ["5"]);
    // It comes back under its old id.
    let back = fixture.land(vec![fixture.person("6", json!({}))]).await;
    assert_eq!(back.created, outcome.deleted);
}

#[tokio::test]
async fn a_pass_that_ends_leaves_nothing_behind() {
    let mut fixture = begun().await;
    meet(&fixture, &["1", "2"], Cursor::Start).await;
    assert!(fixture.sync_row().await.full.unwrap().complete);
    let lease = fixture.lease.clone().unwrap();
    let doubted = FullEnd::Doubted(8);
    let times = (NOW, Some(NOW + 5), NOW);
    fixture
        .store
        .end_full(&lease, doubted, times)
        .await
        .unwrap();
    let row = fixture.sync_row().await;
    assert_eq!(
        (row.full, row.missing, row.full_at),
        (None, Some(8), Some(NOW + 5))
    );
    assert_eq!(
        fixture.place.number("SELECT COUNT(*) FROM host_met").await,
        0
    );

    // The pass after it takes the doubt away. A page of the one before is refused.
    fixture.claim().await;
    let lease = fixture.lease.clone().unwrap();
    fixture.store.begin_full(&lease, NOW + 5).await.unwrap();
    let mut page = fixture.page().await;
    page.full = Some(FullPage::met(1));
    let refused = fixture.store.land(page).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound(_))),
        "{refused:?}"
    );
    let times = (NOW, None, NOW);
    fixture
        .store
        .end_full(&lease, FullEnd::Applied, times)
        .await
        .unwrap();
    let row = fixture.sync_row().await;
    assert_eq!(
        (row.missing, row.full_at, row.full_done_at),
        (None, None, Some(NOW))
    );
}

#[tokio::test]
async fn nothing_stays_of_a_pass_whose_entity_is_opted_out() {
    let fixture = begun().await;
    meet(&fixture, &["1", "2"], Cursor::At("{}".to_owned())).await;
    fixture
        .store
        .forget_sync(&fixture.credential.id, "people")
        .await
        .unwrap();
    fixture.store.forget_met().await.unwrap();
    for table in ["host_met", "host_full_passes"] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(fixture.place.number(&count).await, 0, "{table}");
    }
}
