//! A connector's records: each is refused, or its cells are what a database takes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rollout_catalog::{Catalog, Category, Cell, Entity, References};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

struct Ids;

impl References for Ids {
    fn id(&mut self, entity: &str, upstream: &str) -> String {
        assert!(!upstream.is_empty());
        format!("{entity}-of-ours")
    }
}

fuzz_target!(|given: (u8, &str)| {
    let (which, body) = given;
    let entities: Vec<_> = CATALOG.entities_of(Category::Crm).collect();
    let entity: &Entity = entities[usize::from(which) % entities.len()];
    if let Ok(landed) = entity.land(body, &mut Ids) {
        assert_eq!(landed.cells.len(), entity.columns().len());
        for cell in &landed.cells {
            if let Cell::Number(number) = cell {
                assert!(number.is_finite());
            }
            let mut json = String::new();
            cell.push_json(&mut json);
            serde_json::from_str::<serde_json::Value>(&json).expect(&json);
            // No database stores it.
            assert!(!json.contains('\0') && !json.contains("\\u0000"), "{json}");
        }
    }
});
