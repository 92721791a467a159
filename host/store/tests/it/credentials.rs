//! Consumers and credentials, from connecting to the last row's deletion.

use std::collections::BTreeMap;
use std::time::Duration;

use rollout_store::{
    CredentialChange, CredentialStatus, Expected, ListQuery, NewTokens, Records, StoreError,
    SyncPhase, record_id,
};
use serde_json::json;

use super::fixture::{Fixture, NOW, list, new_credential, schedule};

fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(slot, sealed)| ((*slot).to_owned(), (*sealed).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_consumer_is_made_once() {
    let fixture = Fixture::new().await;
    let again = fixture.store.consumer("alice").await.unwrap();
    assert_eq!(again.id, fixture.consumer);
    assert_eq!(fixture.store.find_consumer("bob").await.unwrap(), None);
    let both = tokio::join!(fixture.store.consumer("bob"), fixture.store.consumer("bob"));
    assert_eq!(both.0.unwrap(), both.1.unwrap());
}

#[tokio::test]
async fn the_same_account_of_the_same_consumer_is_one_credential() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let again = new_credential("acme", "account-1");
    let refused = store
        .insert_credential(&again, &fixture.consumer, &secrets(&[]))
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    let found = store
        .find_by_external(&fixture.consumer, "acme", "account-1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, fixture.credential);

    store
        .put_secrets(&found.id, &secrets(&[("token", "1"), ("session", "2")]))
        .await
        .unwrap();
    let change = CredentialChange {
        label: Some("New".to_owned()),
        status: Some(CredentialStatus::Broken("key revoked".to_owned())),
        ..Default::default()
    };
    let changed = store.update_credential(&found.id, &change).await.unwrap();
    assert_eq!(changed.label.as_deref(), Some("New"));
    assert_eq!(
        changed.status,
        CredentialStatus::Broken("key revoked".to_owned())
    );
    assert_eq!((changed.fields, changed.plan), (found.fields, found.plan));
    assert_eq!(store.secrets(&found.id).await.unwrap().len(), 2);
    let change = CredentialChange {
        fields: Some(json!({"region": "us"})),
        status: Some(CredentialStatus::Ok),
        secrets: Some(secrets(&[("token", "3")])),
        ..Default::default()
    };
    store.update_credential(&found.id, &change).await.unwrap();
    let stored = store.credential(&found.id).await.unwrap().unwrap();
    assert_eq!(
        (stored.fields, stored.status),
        (json!({"region": "us"}), CredentialStatus::Ok)
    );
    assert_eq!(
        store.secrets(&found.id).await.unwrap(),
        secrets(&[("token", "3")])
    );

    let bob = store.consumer("bob").await.unwrap();
    store
        .insert_credential(&again, &bob.id, &secrets(&[]))
        .await
        .unwrap();
    let missing = store.update_credential("no-such-id", &change).await;
    assert!(matches!(missing, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn a_shared_credential_belongs_to_both() {
    let fixture = Fixture::new().await;
    let (store, id) = (&fixture.store, fixture.credential.id.as_str());
    let bob = store.consumer("bob").await.unwrap();
    let owners = async || {
        let loaded = store.load_credentials(Some(&[id.to_owned()])).await;
        loaded.unwrap().remove(0).consumers
    };
    assert_eq!(owners().await, [fixture.consumer.as_str()]);
    store.share_credential(id, &bob.id).await.unwrap();
    store.share_credential(id, &bob.id).await.unwrap();
    let mut both = [fixture.consumer.clone(), bob.id.clone()];
    both.sort();
    assert_eq!(owners().await, both);
    let holders = store.holders(id).await.unwrap();
    let holders: Vec<(&str, bool)> = holders
        .iter()
        .map(|one| (one.key.as_str(), one.shared))
        .collect();
    assert_eq!(holders.len(), 2);
    assert!(!holders[0].1, "whose it is comes first");
    assert_eq!(holders[1], ("bob", true));
    // It is not his: connecting the same account himself makes one of his own.
    let found = store.find_by_external(&bob.id, "acme", "account-1").await;
    assert_eq!(found.unwrap(), None);
    let owner = fixture.consumer.as_str();
    let found = store.find_by_external(owner, "acme", "account-1").await;
    assert_eq!(found.unwrap().unwrap().id, id);
    let found = store.find_by_external(owner, "other", "account-1").await;
    assert_eq!(found.unwrap(), None);
    let kept = store.unshare_credential(id, owner).await;
    assert!(matches!(kept, Err(StoreError::NotFound(_))), "{kept:?}");
    let upto = store.changes_upto().await.unwrap();
    store.unshare_credential(id, &bob.id).await.unwrap();
    assert_eq!(owners().await, [owner]);
    let changes = store.changes_since(upto).await.unwrap();
    assert_eq!(changes.changed, [id], "other processes hear of it");
    let again = store.unshare_credential(id, &bob.id).await;
    assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");
    let nobody = store.share_credential(id, "cons_nobody").await;
    assert!(matches!(nobody, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn deleting_a_credential_leaves_nothing_of_it_and_everything_of_others() {
    let fixture = Fixture::new().await;
    let other = fixture.connect("account-2").await;
    let store = &fixture.store;
    let body =
        json!({"name": "Ann", "ownerId": 1, "tags": ["a"], "emails": [{"value": "a@x.org"}]});
    for credential in [&fixture.credential, &other] {
        for round in 0..3 {
            let mut page = fixture.page().await;
            page.credential = credential;
            page.lease = None;
            page.records = (0..500)
                .map(|n| fixture.person(&format!("{round}-{n}"), body.clone()))
                .collect();
            page.deleted = vec!["0-1".to_owned()];
            page.references = vec![rollout_store::Reference {
                id: record_id(credential, "users", "1"),
                entity: "users".to_owned(),
                upstream_id: "1".to_owned(),
            }];
            store.land(page).await.unwrap();
        }
        store
            .set_state(&credential.id, "k", b"v", Expected::Any)
            .await
            .unwrap();
        store
            .put_secrets(&credential.id, &secrets(&[("token", "1")]))
            .await
            .unwrap();
    }
    fixture.finish_first_pass().await;
    store
        .schedule_sync(&other.id, "people", &schedule(SyncPhase::Incremental), None)
        .await
        .unwrap();
    let before = counts(&fixture, &other.id).await;
    store
        .delete_credential(&fixture.credential.id)
        .await
        .unwrap();
    assert_eq!(counts(&fixture, &fixture.credential.id).await, vec![0; 10]);
    assert_eq!(counts(&fixture, &other.id).await, before);
    assert_eq!(
        store.credential(&fixture.credential.id).await.unwrap(),
        None
    );
    let refused = store.land(fixture.page().await).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    let mut page = fixture.page().await;
    page.lease = None;
    let refused = store.land(page).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound(_))),
        "{refused:?}"
    );
    let query = ListQuery::new(&other.id, fixture.people(), 10);
    assert_eq!(list(store, &query).await.0.total, 1499);
    let again = store.delete_credential(&fixture.credential.id).await;
    assert!(matches!(again, Err(StoreError::NotFound(_))));
    // Its keys are gone too: only the other's are left.
    let keys = "SELECT COUNT(*) FROM host_keys_rollout_people";
    let keys = fixture.place.number(keys).await;
    assert!((2 * 1499..=2 * 1500).contains(&keys), "{keys}");
}

#[tokio::test]
async fn an_interrupted_purge_goes_on_at_start_up() {
    let fixture = Fixture::new().await;
    let people = (0..50).map(|n| fixture.person(&n.to_string(), json!({"name": "Ann"})));
    fixture.land(people.collect()).await;
    fixture
        .place
        .run(
            "INSERT INTO host_purges SELECT id, '', created_at FROM host_credentials; \
             DELETE FROM host_credentials; DELETE FROM host_jobs; DELETE FROM host_lanes",
        )
        .await;
    let fixture = fixture.reopen().await;
    assert_eq!(counts(&fixture, &fixture.credential.id).await[0], 50);
    fixture.store.purge().await.unwrap();
    assert_eq!(counts(&fixture, &fixture.credential.id).await, vec![0; 10]);
}

#[tokio::test]
async fn an_entity_that_is_opted_out_starts_over() {
    let mut fixture = Fixture::new().await;
    fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    fixture
        .store
        .forget_sync(&fixture.credential.id, "people")
        .await
        .unwrap();
    let refused = fixture.store.land(fixture.page().await).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    fixture.lease = None;
    let refused = fixture.store.land(fixture.page().await).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound(_))),
        "{refused:?}"
    );
    assert_eq!(fixture.list(&fixture.query()).await.0.total, 0);
    fixture
        .store
        .plan_sync(&fixture.credential.id, &["people"], NOW)
        .await
        .unwrap();
    fixture.claim().await;
    let outcome = fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    assert_eq!((outcome.created.len(), outcome.records), (1, 1));
}

/// Rows that mention the credential, per table.
async fn counts(fixture: &Fixture, credential_id: &str) -> Vec<i64> {
    let mut counts = Vec::new();
    for (table, column) in [
        ("rollout_people", "\"credentialId\""),
        ("host_credential_consumers", "credential_id"),
        ("host_secrets", "credential_id"),
        ("host_state", "credential_id"),
        ("host_sync", "credential_id"),
        ("host_ids", "credential_id"),
        ("host_tombstones", "credential_id"),
        ("host_purges", "credential_id"),
        ("host_jobs", "lane"),
        ("host_lanes", "lane"),
    ] {
        let count = format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{credential_id}'");
        counts.push(fixture.place.number(&count).await);
    }
    counts
}

#[tokio::test]
async fn kept_records_outlive_their_credential_until_they_are_released() {
    let fixture = Fixture::new().await;
    let (store, id) = (&fixture.store, fixture.credential.id.as_str());
    let body = json!({"name": "Ann", "ownerId": 1, "tags": ["a"]});
    let mut page = fixture.page().await;
    page.records = (0..700)
        .map(|n| fixture.person(&n.to_string(), body.clone()))
        .collect();
    store.land(page).await.unwrap();
    store
        .put_secrets(id, &secrets(&[("token", "1")]))
        .await
        .unwrap();
    store.revoke_credential(id, Records::Keep).await.unwrap();
    // Nothing but the rows is left, whoever clears away.
    store.purge().await.unwrap();
    assert_eq!(store.credential(id).await.unwrap(), None);
    assert_eq!(store.secrets(id).await.unwrap(), secrets(&[]));
    let rows = format!("SELECT COUNT(*) FROM rollout_people WHERE \"credentialId\" = '{id}'");
    assert_eq!(fixture.place.number(&rows).await, 700);

    let never = store
        .release_kept("00000000-0000-7000-8000-000000000000")
        .await;
    assert!(matches!(never, Err(StoreError::NotFound(_))), "{never:?}");
    store.release_kept(id).await.unwrap();
    store.purge().await.unwrap();
    assert_eq!(fixture.place.number(&rows).await, 0);
    let keys = "SELECT COUNT(*) FROM host_keys_rollout_people";
    assert_eq!(fixture.place.number(keys).await, 0);
    let again = store.release_kept(id).await;
    assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");
}

#[tokio::test]
async fn what_was_made_from_replaced_tokens_is_not_stored() {
    let fixture = Fixture::new().await;
    let (store, id) = (&fixture.store, fixture.credential.id.as_str());
    let with = |token: &str, tokens| CredentialChange {
        secrets: Some(secrets(&[("token", token)])),
        tokens,
        ..CredentialChange::default()
    };
    let tokens = Some(NewTokens { life: None });
    // Without tokens there is no number.
    let written = store
        .update_credential_over(id, Some(1), &with("x", tokens))
        .await;
    assert_eq!(written.unwrap(), None);
    let written = store
        .update_credential_over(id, None, &with("1", tokens))
        .await;
    assert!(written.unwrap().is_some());
    let number = store.tokens(id).await.unwrap().unwrap().number;
    // Somebody refreshes: who began before him is too late, who begins after is not.
    let life = Some(Duration::from_secs(60));
    let refreshed = store
        .store_tokens(
            id,
            number,
            NewTokens { life },
            &secrets(&[("token", "2")]),
            None,
        )
        .await;
    assert!(refreshed.unwrap());
    for old in [Some(number), None] {
        let written = store
            .update_credential_over(id, old, &with("x", tokens))
            .await;
        assert_eq!(written.unwrap(), None);
    }
    assert_eq!(store.secrets(id).await.unwrap()["token"], "2");
    let written = store
        .update_credential_over(id, Some(number + 1), &with("3", tokens))
        .await;
    assert!(written.unwrap().is_some());
    assert_eq!(store.secrets(id).await.unwrap()["token"], "3");
    // A refresh that was under way stores nothing any more.
    let late = store
        .store_tokens(
            id,
            number + 1,
            NewTokens { life },
            &secrets(&[("token", "x")]),
            None,
        )
        .await;
    assert!(!late.unwrap());
}
