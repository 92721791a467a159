//! The control database.

use std::collections::HashMap;

use rollout_store::{
    AppKeys, AppSetting, Control, Databases, Migrate, NewEnvironment, SettingKind, StoreError,
};

use crate::only::Place;

async fn open(place: &Place) -> Control {
    Control::open(&Databases::default(), &place.location(), Migrate::Run)
        .await
        .unwrap()
}

fn environment(name: &str, client_id: &str) -> NewEnvironment {
    NewEnvironment {
        name: name.to_owned(),
        client_id: client_id.to_owned(),
        client_secret_sealed: "sealed".to_owned(),
        database_url_sealed: Some("sealed-url".to_owned()),
        app_keys: AppKeys::Plain,
        held: true,
    }
}

#[tokio::test]
async fn environments_are_found_by_name_and_client_after_a_restart() {
    let place = Place::new().await;
    let control = open(&place).await;
    assert!(control.environments().await.unwrap().is_empty());
    control
        .create_environment(environment("dev", "client-1"))
        .await
        .unwrap();
    for taken in [
        environment("dev", "client-2"),
        environment("other", "client-1"),
    ] {
        let refused = control.create_environment(taken).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict(_))),
            "{refused:?}"
        );
    }
    control.close().await;

    let control = open(&place).await;
    let found = control
        .environment_of_client("client-1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.name.as_str(), found.app_keys),
        ("dev", AppKeys::Plain)
    );
    assert!(found.created_at > 1_700_000_000_000);
    assert!(found.held);
    assert_eq!(found.database_url_sealed.as_deref(), Some("sealed-url"));
    assert!(control.environment("other").await.unwrap().is_none());
    assert_eq!(control.environments().await.unwrap().len(), 1);
}

#[tokio::test]
async fn settings_belong_to_one_connector_of_one_environment() {
    let place = Place::new().await;
    let control = open(&place).await;
    let setting = |name: &str, kind, value: &str| AppSetting {
        name: name.to_owned(),
        kind,
        value: value.to_owned(),
    };
    let id = setting("client_id", SettingKind::Field, "abc");
    let secret = setting("client_secret", SettingKind::Slot, "sealed-1");
    control
        .put_app_settings("dev", "acme", &[id.clone(), secret])
        .await
        .unwrap();
    let renewed = setting("client_secret", SettingKind::Slot, "sealed-2");
    control
        .put_app_settings("dev", "acme", std::slice::from_ref(&renewed))
        .await
        .unwrap();
    let other = setting("client_id", SettingKind::Field, "def");
    for (environment, connector) in [("dev", "other"), ("production", "acme")] {
        let settings = std::slice::from_ref(&other);
        control
            .put_app_settings(environment, connector, settings)
            .await
            .unwrap();
    }
    let of = |connector: &str, setting: &AppSetting| (connector.to_owned(), setting.clone());
    let expected = HashMap::from([
        (
            "dev".to_owned(),
            vec![of("acme", &id), of("acme", &renewed), of("other", &other)],
        ),
        ("production".to_owned(), vec![of("acme", &other)]),
    ]);
    assert_eq!(control.app_settings().await.unwrap(), expected);
}

#[tokio::test]
async fn an_environment_comes_back_with_its_settings() {
    let place = Place::new().await;
    let control = open(&place).await;
    let dev = control
        .create_environment(environment("dev", "client-1"))
        .await
        .unwrap();
    let setting = AppSetting {
        name: "client_id".to_owned(),
        kind: SettingKind::Field,
        value: "abc".to_owned(),
    };
    let settings = [("acme".to_owned(), setting)];
    let taken = control.restore_environment(&dev, &settings).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    assert!(control.app_settings().await.unwrap().is_empty());
    control.delete_environment(&dev).await.unwrap();
    control.restore_environment(&dev, &settings).await.unwrap();
    let expected = HashMap::from([("dev".to_owned(), settings.to_vec())]);
    assert_eq!(control.app_settings().await.unwrap(), expected);
    let back = control.environment("dev").await.unwrap().unwrap();
    assert_eq!((back.created_at, back.held), (dev.created_at, true));
    // Secrets are handed out only after somebody said so.
    assert!(!back.include_data);
    for (on, changes) in [(true, true), (true, false), (false, true)] {
        let changed = control.set_include_data("dev", on).await.unwrap();
        assert_eq!(changed, changes);
        let now = control.environment("dev").await.unwrap().unwrap();
        assert_eq!(now.include_data, on);
    }
    assert!(!control.set_include_data("nobody", true).await.unwrap());
}
