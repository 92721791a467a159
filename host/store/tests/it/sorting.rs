//! Lists sorted by a field.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rollout_store::{ListQuery, Narrow};
use serde_json::{Value, json};

use super::fixture::{Fixture, upstream_id};

/// The upstream ids of a list, read page by page.
async fn all(fixture: &Fixture, sort: &str, limit: u32, filters: &[Narrow]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let query = ListQuery {
            sort: Some(fixture.people().sort(sort).unwrap()),
            filters: filters.to_vec(),
            after,
            limit,
            ..fixture.query()
        };
        let (list, rows) = fixture.list(&query).await;
        seen.extend(rows.iter().map(upstream_id));
        after = list.next;
        if after.is_none() {
            return seen;
        }
        assert_eq!(rows.len(), usize::try_from(limit).unwrap());
    }
}

/// How two values of a field compare; none is after everything.
fn compare(a: &Value, b: &Value, descending: bool) -> Ordering {
    let by_value = match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => return Ordering::Greater,
        (_, Value::Null) => return Ordering::Less,
        (Value::String(a), Value::String(b)) => {
            // Of times the one without milliseconds is the earlier one.
            let key = |text: &str| {
                let letters: String = text.chars().take(100).collect();
                letters.trim_end_matches('Z').to_ascii_lowercase()
            };
            key(a).cmp(&key(b))
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => a
            .as_f64()
            .unwrap()
            .partial_cmp(&b.as_f64().unwrap())
            .unwrap(),
    };
    if descending {
        by_value.reverse()
    } else {
        by_value
    }
}

#[tokio::test]
async fn every_order_is_that_of_the_values_on_every_page_size() {
    let fixture = Fixture::new().await;
    let long = "x".repeat(150);
    let names = [
        "ada", "Ada", "", "Zoë", "zoe", "Ähre", "ähre", "b'\"%", &long, "10", "9", "🏡",
    ];
    let times = [
        "2025-07-02T15:19:21Z",
        "2025-07-02T15:19:21.042Z",
        "2025-07-02T15:19:22Z",
        "2024-01-01T00:00:00Z",
    ];
    let numbers = [0.1, 0.3, 1e300, -1e-300, 449_000.0, 1.0 / 3.0];
    let bodies: Vec<Value> = (0..60)
        .map(|n: usize| {
            let or_none = |value: Value| if n % 7 == 3 { Value::Null } else { value };
            json!({
                "name": names[n % names.len()],
                "ownerId": null,
                "stage": or_none(json!(names[(n * 5) % names.len()])),
                "price": or_none(json!(numbers[n % numbers.len()])),
                "rank": i64::try_from(n % 4).unwrap() - 2,
                "active": or_none(json!(n.is_multiple_of(2))),
                "created": or_none(json!(times[n % times.len()])),
                "tags": [if n.is_multiple_of(3) { "a" } else { "b" }],
            })
        })
        .collect();
    let people = bodies.iter().enumerate();
    let people = people.map(|(n, body)| fixture.person(&n.to_string(), body.clone()));
    fixture.land(people.collect()).await;
    let tagged = Narrow {
        field: "tags".to_owned(),
        values: vec!["a".to_owned()],
    };
    for field in [
        "name", "stage", "price", "rank", "active", "created", "ownerId",
    ] {
        for (sort, descending) in [(field.to_owned(), false), (format!("-{field}"), true)] {
            for filters in [&[][..], std::slice::from_ref(&tagged)] {
                let mut expected: Vec<usize> = (0..bodies.len())
                    .filter(|n| filters.is_empty() || n % 3 == 0)
                    .rev()
                    .collect();
                // Stable: equal ones stay newest first.
                expected
                    .sort_by(|a, b| compare(&bodies[*a][field], &bodies[*b][field], descending));
                let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
                for limit in [1, 7, 100] {
                    let seen = all(&fixture, &sort, limit, filters).await;
                    assert_eq!(seen, expected, "{sort}, {limit} a page, {filters:?}");
                }
            }
        }
    }
    let offset = ListQuery {
        sort: Some(fixture.people().sort("rank").unwrap()),
        offset: 58,
        ..fixture.query()
    };
    let (list, rows) = fixture.list(&offset).await;
    assert_eq!((list.total, rows.len()), (60, 2));
}

#[tokio::test]
async fn records_that_keep_their_value_are_met_once_while_others_change() {
    let fixture = Fixture::new().await;
    let person = |n: usize, rank: usize| {
        fixture.person(
            &n.to_string(),
            json!({"rank": rank, "name": format!("{n} of {rank}")}),
        )
    };
    fixture
        .land((0..100).map(|n| person(n, n % 5)).collect())
        .await;
    let mut seen = Vec::new();
    let mut after = None;
    let mut round = 0;
    loop {
        let query = ListQuery {
            sort: Some(fixture.people().sort("-rank").unwrap()),
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
        // Every tenth moves about, or is gone; the others change, not in rank.
        let moved = (0..100).step_by(10).map(|n| person(n, (n + round) % 6));
        fixture.land(moved.collect()).await;
        fixture.remove(&[&((round * 10) % 100).to_string()]).await;
        fixture.land(vec![person(1000 + round, round % 5)]).await;
    }
    let lasting = (0..100).filter(|n| n % 10 != 0);
    let met: BTreeSet<&String> = seen.iter().collect();
    for id in lasting {
        let id = id.to_string();
        assert!(met.contains(&id), "{id} was not met");
        assert_eq!(seen.iter().filter(|seen| **seen == id).count(), 1);
    }
}

#[tokio::test]
async fn what_is_no_single_value_is_no_order() {
    let fixture = Fixture::new().await;
    for (text, words) in [
        ("tags", "must be one field"),
        ("nam", "did you mean `name`?"),
        ("-nam", "did you mean `name`?"),
        ("name,rank", "must be one field"),
        ("--name", "must be one field"),
        ("", "must be one field"),
    ] {
        let problem = fixture.people().sort(text).unwrap_err();
        assert!(problem.contains(words), "{text}: {problem}");
    }
}
