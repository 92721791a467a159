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
