//! How long `land` takes for a person of about 1 KB: `cargo run --release -p rollout-catalog --example land`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rollout_catalog::{Catalog, References};

const PERSON: &str = include_str!("person.json");
const ROUNDS: u32 = 20_000;

struct SameId;

impl References for SameId {
    fn id(&mut self, _: &str, upstream: &str) -> String {
        upstream.to_owned()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let catalog = Catalog::embedded()?;
    let people = catalog.by_name("people").ok_or("no people")?;
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(people.land(black_box(PERSON), &mut SameId)?);
        }
        best = best.min(start.elapsed() / ROUNDS);
    }
    let mut parsed = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(serde_json::from_str::<serde_json::Value>(black_box(
                PERSON,
            ))?);
        }
        parsed = parsed.min(start.elapsed() / ROUNDS);
    }
    println!(
        "{} bytes: landed in {best:?}; serde_json::Value alone would take {parsed:?}",
        PERSON.len()
    );
    Ok(())
}
