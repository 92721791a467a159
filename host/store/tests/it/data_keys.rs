//! Data keys, and secrets that are sealed anew while others use them.

use std::collections::BTreeMap;

use rollout_store::{
    AppKeys, AppSetting, Control, Databases, Migrate, NewEnvironment, Records, SealedIn,
    SealedSecret, SettingKind,
};

use super::fixture::Fixture;
use crate::only::Place;

/// A sealed text of a key, as far as the store sees it.
fn sealed(key: char, secret: &str) -> String {
    format!("rv1.{}.{secret}", key.to_string().repeat(16))
}

fn prefix(key: char) -> String {
    sealed(key, "")
}

#[tokio::test]
async fn one_key_seals_whoever_enters_it() {
    let fixture = Fixture::new().await;
    let keys = || fixture.store.data_keys();
    let first = futures_util::future::join_all((0..4).map(|n| {
        let keys = keys();
        async move { keys.enter_first(&n.to_string(), "wrapped").await }
    }));
    assert!(first.await.iter().all(Result::is_ok));
    let all = keys().all().await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(all[0].seals && all[0].rotation.is_empty());

    keys().enter_next("next", "wrapped", "r1").await.unwrap();
    // The same rotation again, after it was cut off.
    keys().enter_next("again", "wrapped", "r1").await.unwrap();
    let all = keys().all().await.unwrap();
    let sealing: Vec<_> = all.iter().filter(|key| key.seals).collect();
    assert_eq!((all.len(), sealing.len()), (2, 1));
    assert_eq!(
        (sealing[0].id.as_str(), sealing[0].rotation.as_str()),
        ("next", "r1")
    );

    assert!(keys().rewrap(sealing[0], "anew").await.unwrap());
    assert!(!keys().rewrap(sealing[0], "too late").await.unwrap());
    let all = keys().all().await.unwrap();
    assert!(
        all.iter()
            .any(|key| key.id == "next" && key.wrapped == "anew")
    );
}

#[tokio::test]
async fn secrets_are_replaced_unless_they_changed() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let mut credentials = vec![fixture.credential.id.clone()];
    for n in 0..6 {
        credentials.push(fixture.connect(&format!("more-{n}")).await.id);
    }
    for id in &credentials {
        let slots = ["b", "a", "c'\"{"].map(|slot| (slot.to_owned(), sealed('1', slot)));
        store.put_secrets(id, &BTreeMap::from(slots)).await.unwrap();
    }
    let total = credentials.len() * 3;
    // In pages, each secret once, whatever the size of a page.
    for size in [1, 2, 5, 100] {
        let mut met = Vec::new();
        let mut after = (String::new(), String::new());
        loop {
            let behind = (after.0.as_str(), after.1.as_str());
            let page = store
                .secrets_unlike(&prefix('2'), behind, size)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            after = (last.credential_id.clone(), last.slot.clone());
            met.extend(page);
        }
        assert_eq!(met.len(), total, "pages of {size}");
        assert!(met.is_sorted_by_key(|one| (one.credential_id.clone(), one.slot.clone())));
    }
    let all = store
        .secrets_unlike(&prefix('2'), ("", ""), 100)
        .await
        .unwrap();
    // One changes meanwhile, and one account goes.
    let changed = BTreeMap::from([("a".to_owned(), sealed('1', "changed"))]);
    store.put_secrets(&credentials[0], &changed).await.unwrap();
    store
        .revoke_credential(&credentials[1], Records::Erase)
        .await
        .unwrap();
    let seen = store.changes_upto().await.unwrap();
    let anew = |one: &SealedSecret| (one.clone(), sealed('2', &one.slot));
    let batch: Vec<_> = all.iter().map(anew).collect();
    let replaced = store.replace_sealed(&batch).await.unwrap();
    assert_eq!(replaced, total as u64 - 4);
    assert_eq!(store.replace_sealed(&batch).await.unwrap(), 0);
    assert_eq!(store.replace_sealed(&[]).await.unwrap(), 0);
    // What they say is the same: nobody has to read them again.
    assert_eq!(store.changes_upto().await.unwrap(), seen);

    let left = store
        .secrets_unlike(&prefix('2'), ("", ""), 100)
        .await
        .unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].sealed, sealed('1', "changed"));
    let (one, two) = ("1".repeat(16), "2".repeat(16));
    let counted = store.secrets_by_key().await.unwrap();
    assert_eq!(counted, BTreeMap::from([(one, 1), (two, total as i64 - 4)]));
    assert!(store.secrets(&credentials[1]).await.unwrap().is_empty());
}

#[tokio::test]
async fn texts_of_the_control_database_are_replaced_unless_they_changed() {
    let place = Place::new().await;
    let control = Control::open(&Databases::default(), &place.location(), Migrate::Run)
        .await
        .unwrap();
    for name in ["dev", "other"] {
        let new = NewEnvironment {
            name: name.to_owned(),
            client_id: name.to_owned(),
            client_secret_sealed: "first".to_owned(),
            database_url_sealed: Some("url".to_owned()),
            app_keys: AppKeys::Canonical,
            held: false,
        };
        control.create_environment(new).await.unwrap();
        for (slot, kind) in [("a", SettingKind::Slot), ("b", SettingKind::Field)] {
            let setting = AppSetting {
                name: slot.to_owned(),
                kind,
                value: "value".to_owned(),
            };
            control
                .put_app_settings(name, "acme", &[setting])
                .await
                .unwrap();
        }
    }
    control
        .rotate_secret("dev", "second", i64::MAX)
        .await
        .unwrap();
    let places = [
        (SealedIn::ClientSecret, "second"),
        (SealedIn::OldSecret, "first"),
        (SealedIn::DatabaseUrl, "url"),
        (SealedIn::Setting("acme", "a"), "value"),
    ];
    for (place, before) in places {
        let replace = |before: &'static str, after: &'static str| {
            control.replace_sealed("dev", place, before, after)
        };
        assert!(!replace("other", "new").await.unwrap(), "{place:?}");
        assert!(replace(before, "new").await.unwrap(), "{place:?}");
        assert!(!replace(before, "newer").await.unwrap(), "{place:?}");
    }
    // A field is no secret, and nobody else's is touched.
    let field = SealedIn::Setting("acme", "b");
    assert!(
        !control
            .replace_sealed("dev", field, "value", "new")
            .await
            .unwrap()
    );
    let dev = control.environment("dev").await.unwrap().unwrap();
    assert_eq!(dev.client_secret_sealed, "new");
    assert_eq!(dev.old_secret, Some(("new".to_owned(), i64::MAX)));
    assert_eq!(dev.database_url_sealed.as_deref(), Some("new"));
    let other = control.environment("other").await.unwrap().unwrap();
    assert_eq!(other.client_secret_sealed, "first");

    assert_eq!(control.key_version().await.unwrap(), 0);
    for version in 1..=12 {
        control.announce_keys().await.unwrap();
        assert_eq!(control.key_version().await.unwrap(), version);
    }
    assert_eq!(control.key_rotation().await.unwrap(), None);
    control.begin_key_rotation("r1").await.unwrap();
    assert!(control.begin_key_rotation("r2").await.is_err());
    assert_eq!(control.key_rotation().await.unwrap().as_deref(), Some("r1"));
    control.end_key_rotation().await.unwrap();
    assert_eq!(control.key_rotation().await.unwrap(), None);
}
