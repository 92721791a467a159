//! Credentials with what belongs to them, many at once.

use std::collections::BTreeMap;

use super::fixture::Fixture;

#[tokio::test]
async fn many_credentials_are_loaded_as_each_alone() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let mut ids = vec![fixture.credential.id.clone()];
    for n in 2..5 {
        let credential = fixture.connect(&format!("account-{n}")).await;
        let secrets = [("token", n), ("session", -n)];
        let secrets = secrets.map(|(slot, sealed)| (slot.to_owned(), sealed.to_string()));
        let secrets = BTreeMap::from(secrets);
        store.put_secrets(&credential.id, &secrets).await.unwrap();
        ids.push(credential.id);
    }
    let bob = store.consumer("bob").await.unwrap();
    store.share_credential(&ids[2], &bob.id).await.unwrap();
    let shared = store.load_credentials(Some(&ids[2..3])).await.unwrap();
    assert_eq!(shared[0].shared, [bob.id]);
    store.forget_sync(&ids[3], "users").await.unwrap();

    let all = store.load_credentials(None).await.unwrap();
    let loaded: Vec<&str> = all.iter().map(|one| one.credential.id.as_str()).collect();
    assert_eq!(loaded, ids);
    for one in &all {
        let id = &one.credential.id;
        let alone = store.load_credentials(Some(std::slice::from_ref(id))).await;
        assert_eq!(alone.unwrap(), std::slice::from_ref(one));
        assert_eq!(
            Some(&one.credential),
            store.credential(id).await.unwrap().as_ref()
        );
        assert_eq!(one.secrets, store.secrets(id).await.unwrap());
        assert_eq!(one.syncs, store.sync_rows(id).await.unwrap());
    }
    let sizes = all
        .iter()
        .map(|one| (one.consumers.len(), one.secrets.len(), one.syncs.len()));
    assert_eq!(
        Vec::from_iter(sizes),
        [(1, 0, 2), (1, 2, 2), (2, 2, 2), (1, 2, 1)]
    );

    // Those that are not there are left out.
    let some = [ids[3].clone(), "nobody".to_owned(), ids[1].clone()];
    let loaded = store.load_credentials(Some(&some)).await.unwrap();
    assert_eq!(loaded, [all[1].clone(), all[3].clone()]);
    assert_eq!(store.load_credentials(Some(&[])).await.unwrap(), []);
    let rows = store.sync_rows_of(&some).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[&ids[1]], &rows[&ids[3]]),
        (&all[1].syncs, &all[3].syncs)
    );
}
