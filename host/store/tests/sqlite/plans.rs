//! How lists are read.

use rollout_store::{ListQuery, Narrow, Place};
use serde_json::json;

use crate::it::fixture::Fixture;

/// Every kind of list leads to its rows by an index and needs no sorting of
/// what it passes; otherwise a large account makes every reader wait.
#[tokio::test]
async fn lists_are_read_by_index() {
    let fixture = Fixture::new().await;
    let people = (0..200).map(|n| {
        let email = format!("p{n}@x.org");
        fixture.person(&n.to_string(), json!({"emails": [{"value": email}]}))
    });
    fixture.land(people.collect()).await;
    fixture.finish_first_pass().await;
    let mut database = fixture.place.connection().await;
    let email = Narrow {
        field: "emails".to_owned(),
        values: vec!["p77@x.org".to_owned()],
    };
    let queries = [
        ("all", fixture.query()),
        (
            "after",
            ListQuery {
                after: Some(Place {
                    seq: 100,
                    value: None,
                }),
                ..fixture.query()
            },
        ),
        (
            "email",
            ListQuery {
                filters: vec![email],
                ..fixture.query()
            },
        ),
    ];
    for (name, query) in queries {
        let sql = format!(
            "EXPLAIN QUERY PLAN {}",
            fixture.store.list_sql(&query).unwrap()
        );
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut database)
            .await
            .unwrap();
        let steps: Vec<&str> = plan.iter().map(|step| step.3.as_str()).collect();
        assert!(
            steps.iter().any(|step| step.starts_with("SEARCH")),
            "{name}: {steps:#?}"
        );
        assert!(
            !steps
                .iter()
                .any(|step| step.starts_with("SCAN rollout_people")),
            "{name}: {steps:#?}"
        );
    }
}
