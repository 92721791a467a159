//! The control database.

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
    assert_eq!(
        control.app_settings("dev", "acme").await.unwrap(),
        [id, renewed]
    );
    assert!(
        control
            .app_settings("production", "acme")
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        control
            .app_settings("dev", "other")
            .await
            .unwrap()
            .is_empty()
    );
}
