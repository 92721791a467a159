//! What each guest imports and exports, and says of itself.

use std::sync::Arc;

use rollout_catalog::{Catalog, Manifest};
use rollout_sandbox::{CallError, Component, Error, Interface, LoadError};
use wit_component::DecodedWasm;

use crate::app::App;
use crate::guests::guests;
use crate::refused;

/// Guest, its exports, its imports: all of the contract's package, and all of the C
/// guest, which has no WASI beneath it.
const GOLDEN: [(&str, &str, &str); 4] = [
    (
        "everything",
        "actions auth entities forms hooks login manifest triggers",
        "app credential http log state types",
    ),
    ("minimal", "auth entities manifest", "types"),
    (
        "c",
        "auth entities manifest",
        "app credential http log state types",
    ),
    ("revealing", "auth manifest", "secrets types"),
];

/// The interfaces in a component, sorted: its exports and its imports.
fn interfaces(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(bytes).unwrap() else {
        panic!("not a component");
    };
    let names = |keys: Vec<&wit_parser::WorldKey>| {
        let mut names: Vec<_> = keys
            .into_iter()
            .map(|key| resolve.name_world_key(key))
            .collect();
        names.sort();
        names
    };
    let world = &resolve.worlds[world];
    (
        names(world.exports.keys().collect()),
        names(world.imports.keys().collect()),
    )
}

#[tokio::test]
async fn each_guest_has_the_interfaces_of_the_golden_list() {
    let guests = guests().await;
    for (guest, (name, exports, imports)) in guests.all().into_iter().zip(GOLDEN) {
        assert_eq!(guest.name, name);
        let full = |names: &str| -> Vec<String> {
            let full = |name| format!("rollout:connector/{name}@0.1.0");
            names.split(' ').map(full).collect()
        };
        let (exported, mut imported) = interfaces(&guest.bytes);
        assert_eq!(exported, full(exports), "{name}");
        if name != "c" {
            imported.retain(|import| import.starts_with("rollout:"));
        }
        assert_eq!(imported, full(imports), "{name}");
        for interface in Interface::ALL {
            let there = exports.split(' ').any(|name| name == interface.as_str());
            assert_eq!(
                guest.component.has(*interface),
                there,
                "{name}: {interface:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_contract_is_exported_as_a_whole_by_one_guest() {
    let everything = &guests().await.everything;
    for interface in Interface::ALL {
        assert!(everything.component.has(*interface), "{interface:?}");
    }
}

#[tokio::test]
async fn each_manifest_is_good_and_describes_what_is_exported() {
    let catalog = Catalog::embedded().unwrap();
    for guest in guests().await.all() {
        let manifest = Manifest::parse(guest.component.description(), &catalog)
            .unwrap_or_else(|error| panic!("{}: {error}", guest.name));
        let exports = |name: &str| {
            let mut known = Interface::ALL.iter();
            known.any(|interface| interface.as_str() == name && guest.component.has(*interface))
        };
        assert_eq!(manifest.check_exports(exports), Ok(()), "{}", guest.name);
    }
}

#[tokio::test]
async fn what_a_guest_lacks_is_missing() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    for guest in [&guests.minimal, &guests.c] {
        let caller = guests.call(guest, &app);
        let subject = rollout_sandbox::forms::Subject::Action("send".into());
        for (interface, answer) in [
            ("login", caller.sign_in("{}").await.map(drop)),
            ("hooks", caller.unsubscribe("{}").await),
            (
                "triggers",
                caller
                    .poll("t", "{}", rollout_sandbox::PollMode::Live, None)
                    .await
                    .map(drop),
            ),
            ("actions", caller.execute("a", "{}", "k").await.map(drop)),
            ("forms", caller.input_schema(&subject, "{}").await.map(drop)),
        ] {
            assert!(
                matches!(answer, Err(CallError::Missing(missing)) if missing == interface),
                "{}: {interface}: {answer:?}",
                guest.name
            );
        }
    }
}

#[tokio::test]
async fn secrets_are_shown_only_to_whom_they_were_granted() {
    let guests = guests().await;
    let bytes = guests.revealing.bytes.clone();
    let Err(error) = Component::load(&guests.sandbox, bytes).await else {
        panic!("loaded without a grant");
    };
    assert!(
        matches!(&error, LoadError::NotGranted(name) if name == "rollout:connector/secrets@0.1.0")
    );
    assert!(
        error
            .to_string()
            .contains("rollout:connector/secrets@0.1.0"),
        "{error}"
    );

    // Granted when it was loaded, and by the call's host.
    let app = App::default().reveals("password", "hunter2");
    let account = guests.call(&guests.revealing, &Arc::new(app)).probe().await;
    assert_eq!(account.unwrap().label, "hunter2");

    // Not by the call's host.
    let answer = guests
        .call(&guests.revealing, &Arc::new(App::default()))
        .probe()
        .await;
    match refused(answer) {
        Error::Forbidden(reason) => assert!(reason.contains("password"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
