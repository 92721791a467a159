//! Manifests: whatever a component says of itself, it is refused in words or can be
//! enforced as it stands.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rollout_catalog::{Catalog, Manifest};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

fuzz_target!(|text: &str| {
    match Manifest::parse(text, &CATALOG) {
        Err(refused) => assert!(!refused.faults.is_empty() && !refused.to_string().contains('\n')),
        Ok(manifest) => {
            assert!(!manifest.plans.is_empty());
            for host in &manifest.hosts {
                // Nobody who fills a field in chooses whose host it is.
                let literal = host.as_str().rsplit('.').take(2);
                assert!(literal.into_iter().all(|label| !label.contains(['{', '*'])));
            }
            for binding in &manifest.bindings {
                assert!(!binding.host.is_wildcard() && manifest.slots.contains_key(&binding.slot));
            }
            let may = manifest.permissions(true);
            assert!(may.iter().all(|one| one.covers(one)));
        }
    }
});
