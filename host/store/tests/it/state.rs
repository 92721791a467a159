//! Values that connectors keep.

use rollout_store::{Expected, STATE_KEYS_MAX, STATE_VALUE_MAX, StoreError};

use super::fixture::Fixture;

#[tokio::test]
async fn a_value_changes_only_from_the_expected_version() {
    let fixture = Fixture::new().await;
    let (store, id) = (&fixture.store, fixture.credential.id.as_str());
    let conflict = |result| assert!(matches!(result, Err(StoreError::Conflict(_))));
    conflict(store.set_state(id, "k", b"0", Expected::Version(1)).await);
    assert_eq!(
        store
            .set_state(id, "k", b"1", Expected::Absent)
            .await
            .unwrap(),
        1
    );
    conflict(store.set_state(id, "k", b"2", Expected::Absent).await);
    assert_eq!(
        store
            .set_state(id, "k", b"2", Expected::Version(1))
            .await
            .unwrap(),
        2
    );
    conflict(store.set_state(id, "k", b"3", Expected::Version(1)).await);
    assert_eq!(
        store.set_state(id, "k", b"3", Expected::Any).await.unwrap(),
        3
    );
    let value = store.state(id, "k").await.unwrap().unwrap();
    assert_eq!(
        (value.value.as_slice(), value.version),
        (b"3".as_slice(), 3)
    );
    let refused = store.delete_state(id, "k", Expected::Version(2)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    assert!(store.state(id, "k").await.unwrap().is_some());
    assert!(
        store
            .delete_state(id, "k", Expected::Version(3))
            .await
            .unwrap()
    );
    assert!(!store.delete_state(id, "k", Expected::Any).await.unwrap());
    assert_eq!(store.state(id, "k").await.unwrap(), None);
}

#[tokio::test]
async fn of_many_that_compare_and_set_at_once_one_wins() {
    let fixture = Fixture::new().await;
    let attempts = (0..20).map(|n: u8| {
        let (store, id) = (&fixture.store, fixture.credential.id.as_str());
        async move {
            store
                .set_state(id, "lock", &[n], Expected::Absent)
                .await
                .is_ok()
        }
    });
    let won = futures_util::future::join_all(attempts).await;
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
}

#[tokio::test]
async fn a_credential_has_so_many_keys_of_such_a_size() {
    let fixture = Fixture::new().await;
    let (store, id) = (&fixture.store, fixture.credential.id.as_str());
    let limit = |result| assert!(matches!(result, Err(StoreError::Limit(_))));
    for n in 0..STATE_KEYS_MAX {
        let value = vec![7; STATE_VALUE_MAX];
        store
            .set_state(id, &n.to_string(), &value, Expected::Any)
            .await
            .unwrap();
    }
    limit(store.set_state(id, "more", b"", Expected::Any).await);
    limit(
        store
            .set_state(id, "0", &vec![7; STATE_VALUE_MAX + 1], Expected::Any)
            .await,
    );
    limit(
        store
            .set_state(id, &"k".repeat(257), b"", Expected::Any)
            .await,
    );
    store
        .set_state(id, "0", b"smaller", Expected::Any)
        .await
        .unwrap();
    let other = fixture.connect("account-2").await;
    store
        .set_state(&other.id, "more", b"", Expected::Any)
        .await
        .unwrap();
    let gone = store
        .set_state("no-such-credential", "k", b"", Expected::Any)
        .await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))));
}
