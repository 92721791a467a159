//! Following `next` while records come, change and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollout_store::{ListQuery, Narrow};
use serde_json::json;

use super::fixture::{Fixture, upstream_id};

#[tokio::test]
async fn pages_join_without_gap_or_repetition() {
    let fixture = Fixture::new().await;
    let people = (0..95).map(|n| fixture.person(&n.to_string(), json!({"tags": ["a"]})));
    fixture.land(people.collect()).await;
    for filters in [
        vec![],
        vec![Narrow {
            field: "tags".to_owned(),
            values: vec!["a".to_owned()],
        }],
    ] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let query = ListQuery {
                after,
                limit: 10,
                filters: filters.clone(),
                ..fixture.query()
            };
            let (list, rows) = fixture.list(&query).await;
            assert_eq!(list.total, 95);
            seen.extend(rows.iter().map(upstream_id));
            after = list.next;
            if after.is_none() {
                break;
            }
            assert_eq!(rows.len(), 10);
        }
        let expected: Vec<String> = (0..95).rev().map(|n: i32| n.to_string()).collect();
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn offsets_count_from_the_newest_and_next_beats_them() {
    let fixture = Fixture::new().await;
    let people = (0..30).map(|n| fixture.person(&n.to_string(), json!({})));
    fixture.land(people.collect()).await;
    let query = ListQuery {
        offset: 25,
        limit: 3,
        ..fixture.query()
    };
    let (list, rows) = fixture.list(&query).await;
    assert_eq!(
        rows.iter().map(upstream_id).collect::<Vec<_>>(),
        ["4", "3", "2"]
    );
    let (list, rows) = fixture
        .list(&ListQuery {
            after: list.next,
            ..query.clone()
        })
        .await;
    assert_eq!(rows.iter().map(upstream_id).collect::<Vec<_>>(), ["1", "0"]);
    assert_eq!((list.next, list.total), (None, 30));
    let (list, rows) = fixture
        .list(&ListQuery {
            offset: 30,
            ..query
        })
        .await;
    assert_eq!((rows.len(), list.next, list.total), (0, None, 30));
}

#[tokio::test]
async fn a_reader_meets_every_lasting_record_once_while_others_change() {
    let fixture = Fixture::new().await;
    let person = |n: usize, name: &str| fixture.person(&n.to_string(), json!({"name": name}));
    fixture
        .land((0..100).map(|n| person(n, "first")).collect())
        .await;
    let mut seen = Vec::new();
    let mut after = None;
    let mut round = 0;
    loop {
        let query = ListQuery {
            after,
            limit: 7,
            ..fixture.query()
        };
        let (list, rows) = fixture.list(&query).await;
        seen.extend(rows.iter().map(upstream_id));
        after = list.next;
        if after.is_none() {
            break;
        }
        round += 1;
        // New records, changes on both sides of the reader, deletions of every
        // tenth, one of which comes back.
        fixture
            .land(
                (0..5)
                    .map(|n| person(1000 + round * 5 + n, "new"))
                    .collect(),
            )
            .await;
        fixture
            .land(
                (0..100)
                    .step_by(3)
                    .filter(|n| n % 10 != 0)
                    .map(|n| person(n, &format!("round {round}")))
                    .collect(),
            )
            .await;
        let gone = ((round * 10) % 100).to_string();
        fixture.remove(&[&gone]).await;
        if round == 2 {
            fixture.land(vec![person(10, "back")]).await;
        }
    }
    let lasting: Vec<String> = (0..100)
        .filter(|n| n % 10 != 0)
        .map(|n: usize| n.to_string())
        .collect();
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "a record was met twice");
    for id in &lasting {
        assert!(distinct.contains(id), "{id} was not met");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_whole_pages_while_a_writer_lands() {
    let fixture = Arc::new(Fixture::new().await);
    let writer = Arc::clone(&fixture);
    // A task of its own: a transaction on SQLite doesn't wait for anybody.
    let writing = tokio::spawn(async move {
        for start in 0..20 {
            let people = (0..50).map(|n| writer.person(&(start * 50 + n).to_string(), json!({})));
            writer.land(people.collect()).await;
        }
    });
    let reading = async {
        let mut reads = 0;
        loop {
            let (list, rows) = fixture
                .list(&ListQuery {
                    limit: 1000,
                    ..fixture.query()
                })
                .await;
            assert_eq!(list.total % 50, 0);
            assert_eq!(rows.len() as i64, list.total);
            reads += 1;
            if list.total == 1000 {
                return reads;
            }
            tokio::task::yield_now().await;
        }
    };
    let (written, reads) = tokio::join!(writing, reading);
    written.unwrap();
    assert!(reads > 1);
}
