//! Clients' bodies: each is taken, or refused with the place of each fault.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rollout_catalog::{Catalog, Category, Entity};
use serde_json::Value;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

fuzz_target!(|given: (u8, &str)| {
    let (which, text) = given;
    let Ok(mut body) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let entities: Vec<_> = CATALOG.entities_of(Category::Crm).collect();
    let entity: &Entity = entities[usize::from(which) % entities.len()];
    for checked in [entity.check_create(&body), entity.check_update(&body)] {
        match checked {
            Ok(()) => assert!(body.is_object()),
            Err(issues) => {
                assert!(!issues.is_empty());
                let pointed = issues.iter().map(|issue| &issue.pointer);
                assert!(
                    pointed
                        .into_iter()
                        .all(|one| one.is_empty() || one.starts_with('/'))
                );
            }
        }
    }
    let _ = entity.sort(text);
    // Twice is once.
    entity.normalise_times(&mut body);
    let once = body.clone();
    entity.normalise_times(&mut body);
    assert_eq!(once, body);
});
