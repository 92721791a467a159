//! Installed connectors: versions, and who uses which.

use rollout_store::{Control, Databases, Migrate, NewConnector, StoreError, Use};

use crate::only::Place;

async fn open(place: &Place) -> Control {
    let databases = Databases::default();
    let control = Control::open(&databases, &place.location(), Migrate::Run).await;
    control.unwrap()
}

fn connector(version: &str, bytes: &[u8]) -> NewConnector {
    NewConnector {
        key: "tiny-crm".to_owned(),
        version: version.to_owned(),
        // As good as any name that goes with the bytes.
        sha256: format!("hash of {bytes:?}"),
        bytes: bytes.to_vec(),
    }
}

/// Environment, version and the version before of every line.
async fn uses(control: &Control) -> Vec<(Option<String>, String, Option<String>)> {
    let all = control.connector_uses().await.unwrap();
    let line = |one: Use| (one.environment, one.version, one.before);
    all.into_iter().map(line).collect()
}

fn line(
    environment: Option<&str>,
    version: &str,
    before: Option<&str>,
) -> (Option<String>, String, Option<String>) {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    (owned(environment), version.to_owned(), owned(before))
}

#[tokio::test]
async fn versions_lie_side_by_side_and_are_used_where_it_is_said() {
    let place = Place::new().await;
    let control = open(&place).await;
    let (first, second) = (connector("1.0.0", b"one"), connector("1.1.0", b"two"));
    control.install_connector(&first, &[None]).await.unwrap();
    // Again, the same: nothing new.
    control.install_connector(&first, &[None]).await.unwrap();
    assert_eq!(uses(&control).await, [line(None, "1.0.0", None)]);
    control
        .install_connector(&second, &[Some("test"), Some("dev")])
        .await
        .unwrap();
    let expected = [
        line(None, "1.0.0", None),
        line(Some("dev"), "1.1.0", None),
        line(Some("test"), "1.1.0", None),
    ];
    assert_eq!(uses(&control).await, expected);
    control.close().await;

    let control = open(&place).await;
    let installed = control.installed_connectors().await.unwrap();
    assert_eq!(installed.len(), 2);
    assert!(installed.iter().all(|one| one.installed_at > 0));
    let bytes = control.component(&second.sha256).await.unwrap();
    assert_eq!(bytes.as_deref(), Some(&b"two"[..]));
    assert_eq!(control.component("unknown").await.unwrap(), None);
    for one in control.connector_uses().await.unwrap() {
        let which = if one.version == "1.0.0" {
            &first
        } else {
            &second
        };
        assert_eq!(one.sha256, which.sha256);
    }
}

#[tokio::test]
async fn a_version_never_changes_its_bytes() {
    let place = Place::new().await;
    let control = open(&place).await;
    let first = connector("1.0.0", b"one");
    control.install_connector(&first, &[None]).await.unwrap();
    let other = connector("1.0.0", b"another");
    let refused = control.install_connector(&other, &[Some("dev")]).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    // Nothing of it stays.
    assert_eq!(uses(&control).await, [line(None, "1.0.0", None)]);
    assert_eq!(control.component(&other.sha256).await.unwrap(), None);
}

#[tokio::test]
async fn one_goes_back_to_the_version_before() {
    let place = Place::new().await;
    let control = open(&place).await;
    for (version, bytes) in [("1.0.0", b"1"), ("1.1.0", b"2"), ("2.0.0", b"3")] {
        let new = connector(version, bytes);
        control.install_connector(&new, &[None]).await.unwrap();
    }
    assert_eq!(uses(&control).await, [line(None, "2.0.0", Some("1.1.0"))]);
    let back = control.roll_back_connector(None, "tiny-crm").await.unwrap();
    assert_eq!(back.as_deref(), Some("1.1.0"));
    // Back again: where one came from.
    let back = control.roll_back_connector(None, "tiny-crm").await.unwrap();
    assert_eq!(back.as_deref(), Some("2.0.0"));

    let dev = Some("dev");
    control
        .use_connector(&[dev], "tiny-crm", "1.0.0")
        .await
        .unwrap();
    assert_eq!(
        uses(&control).await,
        [line(None, "2.0.0", Some("1.1.0")), line(dev, "1.0.0", None)]
    );
    // Without a version before, it does as all do.
    let back = control.roll_back_connector(dev, "tiny-crm").await.unwrap();
    assert_eq!(back, None);
    assert_eq!(uses(&control).await.len(), 1);
    for (environment, key, version) in [(dev, "tiny-crm", "3.0.0"), (None, "other", "1.0.0")] {
        let missing = control.use_connector(&[environment], key, version).await;
        assert!(matches!(missing, Err(StoreError::NotFound(_))));
    }
    for (environment, key) in [(dev, "tiny-crm"), (None, "other")] {
        let nothing = control.roll_back_connector(environment, key).await;
        assert!(matches!(nothing, Err(StoreError::NotFound(_))));
    }

    assert_eq!(control.remove_connector("tiny-crm").await.unwrap(), 3);
    assert_eq!(control.remove_connector("tiny-crm").await.unwrap(), 0);
    assert!(uses(&control).await.is_empty());
    assert_eq!(control.component("hash of [49]").await.unwrap(), None);
}

#[tokio::test]
async fn grants_and_acts_are_written_down() {
    let place = Place::new().await;
    let control = open(&place).await;
    assert!(control.set_grant("a", "raw-secrets", true).await.unwrap());
    assert!(!control.set_grant("a", "raw-secrets", true).await.unwrap());
    let granted = control.grants().await.unwrap();
    assert_eq!(granted, [("a".to_owned(), "raw-secrets".to_owned())]);
    assert!(control.set_grant("a", "raw-secrets", false).await.unwrap());
    assert!(control.grants().await.unwrap().is_empty());
    for act in ["first", "second"] {
        control.note_act(act).await.unwrap();
    }
    let acts = control.acts().await.unwrap();
    assert_eq!(
        acts.iter().map(|one| one.act.as_str()).collect::<Vec<_>>(),
        ["first", "second"]
    );
    assert!(acts.iter().all(|one| one.at > 1_700_000_000_000));
}
