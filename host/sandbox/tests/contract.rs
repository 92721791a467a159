//! The contract is read by authors in every language: nothing in it is without
//! a comment.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use wit_parser::{Docs, Resolve, TypeDefKind};

#[test]
fn every_item_of_the_contract_is_documented() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir("../../wit/connector").unwrap();
    let mut bare = Vec::new();
    let mut items = 0;
    let mut look = |path: String, docs: &Docs| {
        items += 1;
        let text = docs.contents.as_deref().unwrap_or("").trim().to_owned();
        if text.len() < 8 {
            bare.push(path);
        }
    };
    let package = &resolve.packages[package];
    look(package.name.to_string(), &package.docs);
    for (name, id) in &package.worlds {
        look(format!("world {name}"), &resolve.worlds[*id].docs);
    }
    for (name, id) in &package.interfaces {
        let interface = &resolve.interfaces[*id];
        look(format!("interface {name}"), &interface.docs);
        for (function, item) in &interface.functions {
            look(format!("{name}.{function}"), &item.docs);
        }
        for (kind, id) in &interface.types {
            let item = &resolve.types[*id];
            // A `use` is documented where it comes from.
            if matches!(item.kind, TypeDefKind::Type(wit_parser::Type::Id(_))) {
                continue;
            }
            look(format!("{name}.{kind}"), &item.docs);
            match &item.kind {
                TypeDefKind::Record(record) => {
                    for field in &record.fields {
                        look(format!("{name}.{kind}.{}", field.name), &field.docs);
                    }
                }
                TypeDefKind::Variant(variant) => {
                    for case in &variant.cases {
                        look(format!("{name}.{kind}.{}", case.name), &case.docs);
                    }
                }
                TypeDefKind::Enum(one_of) => {
                    for case in &one_of.cases {
                        look(format!("{name}.{kind}.{}", case.name), &case.docs);
                    }
                }
                _ => {}
            }
        }
    }
    assert!(items > 120, "only {items} items were found");
    assert!(bare.is_empty(), "without a comment: {bare:#?}");
}

/// Secrets in clear are asked for by name and never by taking a usual world, and
/// `everything` has all else.
#[test]
fn secrets_stand_in_a_world_of_their_own() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir("../../wit/connector").unwrap();
    let package = &resolve.packages[package];
    let names = |world: &str| -> Vec<String> {
        let world = &resolve.worlds[package.worlds[world]];
        let keys = world.imports.keys().chain(world.exports.keys());
        keys.map(|key| resolve.name_world_key(key)).collect()
    };
    let secrets = "rollout:connector/secrets@0.1.0";
    for world in package.worlds.keys() {
        let asks = names(world).iter().any(|name| name == secrets);
        assert_eq!(asks, world == "with-secrets", "{world}");
    }
    let everything = names("everything");
    for interface in package.interfaces.keys().filter(|name| *name != "secrets") {
        let name = format!("rollout:connector/{interface}@0.1.0");
        assert!(everything.contains(&name), "{name}");
    }
}

/// The version is the same in the contract, the host and the manifest's schema.
#[test]
fn the_version_is_one() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir("../../wit/connector").unwrap();
    let version = resolve.packages[package].name.version.clone().unwrap();
    let guest = std::fs::read_to_string("src/guest.rs").unwrap();
    assert!(guest.contains(&format!("VERSION: &str = \"{version}\"")));
    let schema = std::fs::read_to_string("../../wit/manifest.schema.json").unwrap();
    assert!(schema.contains(&format!("\"const\": \"{version}\"")));
}
