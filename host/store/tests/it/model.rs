//! Random histories of pages against a model that keeps everything in a map.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rollout_store::{Page, StoreError, record_id};
use serde_json::{Value, json};

use super::fixture::{Fixture, NOW, upstream_id};
use crate::only::Place;

/// One page, drawn some draws before it lands.
#[derive(Clone, Debug)]
struct Step {
    /// How many stamps ago it was asked for.
    age: usize,
    /// Upstream id, version of the fields, version of `original`.
    records: Vec<(u8, u8, u8)>,
    deleted: Vec<u8>,
    /// It is the sync's, not a write through the API.
    synced: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let record = (0..12u8, 0..3u8, 0..2u8);
    (
        prop_oneof![4 => Just(0usize), 1 => 0..4usize],
        vec(record, 0..8),
        vec(0..12u8, 0..3),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(age, records, deleted, synced)| Step {
            age,
            records,
            deleted,
            synced,
        })
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    fields: u8,
    original: u8,
    stamp: i64,
    told_at: i64,
    landed: usize,
}

#[derive(Default)]
struct Model {
    rows: BTreeMap<u8, Row>,
    tombstones: BTreeMap<u8, i64>,
    landed: usize,
}

#[derive(Debug, Default, PartialEq)]
struct Expected {
    created: BTreeSet<u8>,
    updated: BTreeSet<u8>,
    deleted: BTreeSet<u8>,
    stale: BTreeSet<u8>,
    silent: usize,
    unchanged: usize,
}

impl Model {
    fn land(&mut self, step: &Step, stamp: i64, now: i64) -> Expected {
        let mut expected = Expected::default();
        let mut last: Vec<(u8, u8, u8)> = Vec::new();
        for record in &step.records {
            last.retain(|known| known.0 != record.0);
            last.push(*record);
        }
        for (id, fields, original) in last {
            match self.rows.get_mut(&id) {
                Some(row) if (row.fields, row.original) == (fields, original) => {
                    expected.unchanged += 1
                }
                Some(row) if row.stamp > stamp => {
                    expected.stale.insert(id);
                }
                Some(row) => {
                    if row.fields == fields {
                        expected.silent += 1;
                    } else {
                        expected.updated.insert(id);
                        row.told_at = now;
                    }
                    (row.fields, row.original, row.stamp) = (fields, original, stamp);
                }
                None if self.tombstones.get(&id).is_some_and(|gone| *gone > stamp) => {
                    expected.stale.insert(id);
                }
                None => {
                    self.tombstones.remove(&id);
                    self.landed += 1;
                    let landed = self.landed;
                    self.rows.insert(
                        id,
                        Row {
                            fields,
                            original,
                            stamp,
                            told_at: now,
                            landed,
                        },
                    );
                    expected.created.insert(id);
                }
            }
        }
        for id in &step.deleted {
            if self.rows.get(id).is_some_and(|row| row.stamp > stamp) {
                expected.stale.insert(*id);
                continue;
            }
            if self.rows.remove(id).is_some() {
                expected.deleted.insert(*id);
            }
            let gone = self.tombstones.entry(*id).or_insert(stamp);
            *gone = stamp.max(*gone);
        }
        expected
    }

    fn list(&self) -> Vec<(String, u8, u8)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.landed));
        rows.into_iter()
            .map(|(id, row)| (id.to_string(), row.fields, row.original))
            .collect()
    }
}

fn body(fields: u8) -> Value {
    json!({"name": format!("v{fields}"), "tags": [format!("t{fields}")]})
}

async fn run(fixture: &Fixture, steps: Vec<Step>) -> Result<(), StoreError> {
    let mut model = Model::default();
    let mut stamps = vec![fixture.store.next_stamp().await?; 4];
    for (at, step) in steps.iter().enumerate() {
        stamps.push(fixture.store.next_stamp().await?);
        let stamp = stamps[stamps.len() - 1 - step.age];
        let now = NOW + 1000 * at as i64;
        let mut page = Page::new(&fixture.credential, "people", stamp, now);
        page.lease = fixture.lease.as_ref().filter(|_| step.synced);
        page.records = (step.records.iter())
            .map(|(id, fields, original)| {
                let original = json!({"version": original}).to_string();
                fixture.person_with_original(&id.to_string(), body(*fields), &original)
            })
            .collect();
        page.deleted = step.deleted.iter().map(u8::to_string).collect();
        let outcome = fixture.store.land(page).await?;
        let expected = model.land(step, stamp, now);
        let ids = |ids: &BTreeSet<u8>| -> BTreeSet<String> {
            ids.iter()
                .map(|id| record_id(&fixture.credential, "people", &id.to_string()))
                .collect()
        };
        assert_eq!(
            BTreeSet::from_iter(outcome.created),
            ids(&expected.created),
            "created"
        );
        assert_eq!(
            BTreeSet::from_iter(outcome.updated),
            ids(&expected.updated),
            "updated"
        );
        assert_eq!(
            BTreeSet::from_iter(outcome.deleted),
            ids(&expected.deleted),
            "deleted"
        );
        let stale: BTreeSet<u8> = outcome.stale.iter().map(|id| id.parse().unwrap()).collect();
        assert_eq!(stale, expected.stale, "stale");
        assert_eq!(
            (outcome.silent, outcome.unchanged),
            (expected.silent, expected.unchanged)
        );
        assert_eq!(outcome.records, model.rows.len() as i64, "counter");
    }
    let (list, rows) = fixture.list(&fixture.query()).await;
    assert_eq!(list.total, model.rows.len() as i64);
    let listed: Vec<_> = (rows.iter())
        .map(|row| {
            let name = row["name"].as_str().unwrap();
            let fields: u8 = name.trim_start_matches('v').parse().unwrap();
            (
                upstream_id(row),
                fields,
                row["original"]["version"].as_u64().unwrap() as u8,
            )
        })
        .collect();
    assert_eq!(listed, model.list());
    for row in &rows {
        let told_at = model.rows[&upstream_id(row).parse::<u8>().unwrap()].told_at;
        let seconds = 21 + (told_at - NOW) / 1000;
        let time = format!(
            "2025-07-02T15:{:02}:{:02}Z",
            19 + seconds / 60,
            seconds % 60
        );
        assert_eq!(row["rolloutUpdated"], time.as_str());
    }
    for fields in 0..3u8 {
        let mut expected: Vec<String> = (model.list().into_iter())
            .filter(|(_, version, _)| *version == fields)
            .map(|(id, ..)| id)
            .collect();
        expected.sort();
        let tag = format!("t{fields}");
        let found = fixture.narrowed(&[("tags", &[tag.as_str()])]).await;
        assert_eq!(found, (expected.clone(), expected.len() as i64));
    }
    Ok(())
}

/// Each history is another account's, so that one database serves for all.
#[test]
fn landing_follows_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let fixture = RefCell::new(runtime.block_on(Fixture::new()));
    let config = ProptestConfig {
        cases: Place::CASES,
        failure_persistence: None,
        ..Default::default()
    };
    let histories = Cell::new(1);
    TestRunner::new(config)
        .run(&vec(step(), 1..25), |steps| {
            histories.update(|count| count + 1);
            let mut fixture = fixture.borrow_mut();
            runtime.block_on(async {
                fixture
                    .start_over(&format!("account-{}", histories.get()))
                    .await;
                run(&fixture, steps).await.unwrap();
            });
            Ok(())
        })
        .unwrap();
}
