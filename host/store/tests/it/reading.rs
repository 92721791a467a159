//! What lists and records look like, and what filters find.

use rollout_store::{IDS_MAX, ListQuery, Narrow, StoreError, record_id};
use serde_json::{Value, json};

use super::fixture::{Fixture, upstream_id};

#[tokio::test]
async fn a_record_reads_back_as_it_landed() {
    let fixture = Fixture::new().await;
    let text = "quotes \" backslash \\ line\nfeed tab\t bell\u{7} émoji 🏡 </script> \u{2028}";
    let body = json!({
        "name": text, "stage": null, "ownerId": null, "price": 0.1, "rank": -7, "active": false,
        "fax": "", "tags": [text, ""], "emails": [{"value": text}], "phones": [],
        "created": "2025-07-02T15:19:21.042Z", "customText": text, "customNull": null, "customList": [{"a": 1}],
    });
    fixture.land(vec![fixture.person("1", body.clone())]).await;
    let id = record_id(&fixture.credential, "people", "1");
    let read = fixture
        .store
        .get_json(&fixture.credential.id, fixture.people(), &id)
        .await
        .unwrap()
        .unwrap();
    let expected = json!({
        "id": id, "name": text, "stage": null, "ownerId": null, "price": 0.1, "rank": -7, "active": false,
        "fax": "", "tags": [text, ""], "emails": [{"value": text}], "phones": [],
        "created": "2025-07-02T15:19:21.042Z", "rolloutUpdated": "2025-07-02T15:19:21Z",
        "originalIds": {"people": "1"}, "original": {"people": body},
        "customList": [{"a": 1}], "customNull": null, "customText": text,
    });
    // The order of the fields is the schema's, custom fields last.
    let read: Value = serde_json::from_str(&read).unwrap();
    let names = |record: &Value| {
        record
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let (first, custom) = (names(&read), names(&expected));
    assert_eq!(first[..15], custom[..15]);
    assert_eq!(read, expected);
    let (_, rows) = fixture.list(&fixture.query()).await;
    assert_eq!(rows, [expected]);
}

#[tokio::test]
async fn numbers_read_back_exactly_and_whole_ones_without_fraction() {
    let fixture = Fixture::new().await;
    let numbers = [
        0.0,
        1.0,
        -1.0,
        449_000.0,
        0.1,
        0.1 + 0.2,
        1.0 / 3.0,
        40.712_776_123_456_79,
        1e15,
        9_007_199_254_740_991.0,
        1e16,
        1e300,
        -1e-300,
        f64::MAX,
        f64::MIN_POSITIVE,
        123_456_789.123_456_78,
    ];
    let people = numbers
        .iter()
        .enumerate()
        .map(|(n, number)| fixture.person(&n.to_string(), json!({"price": number})));
    fixture.land(people.collect()).await;
    let mut out = Vec::new();
    fixture
        .store
        .list_json(&fixture.query(), &mut out)
        .await
        .unwrap();
    assert!(
        String::from_utf8(out)
            .unwrap()
            .contains(r#""price":449000,"#)
    );
    let (_, rows) = fixture.list(&fixture.query()).await;
    for (row, number) in rows.iter().zip(numbers.iter().rev()) {
        assert_eq!(row["price"].as_f64(), Some(*number), "{row}");
    }
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let fixture = Fixture::new().await;
    let people = [
        json!({"name": "ann", "stage": "Lead", "rank": 1, "active": true, "fax": "+1 (555) 010-0001",
               "tags": ["buyer", "vip"], "emails": [{"value": "ann@x.org"}, {"value": "ann@work.org"}],
               "phones": [{"value": "(555) 200-0001"}, {"value": "5552000002"}]}),
        json!({"name": "bob", "stage": "Lead", "rank": 2, "active": false, "fax": "none",
               "tags": ["buyer"], "emails": [{"value": "bob@x.org"}], "phones": [{"value": "+1 555 200 0001"}]}),
        json!({"name": "cat", "stage": null, "rank": 2, "tags": null, "emails": [], "phones": [{"value": "ext."}]}),
        json!({"name": "dan", "stage": "it's \"odd\"", "tags": ["a,b", "it's"], "emails": [{"value": "O'Dan@x.org"}]}),
    ];
    let people = people.into_iter().map(|body| {
        let name = body["name"].as_str().unwrap().to_owned();
        fixture.person(&name, body)
    });
    fixture.land(people.collect()).await;
    fixture.finish_first_pass().await;
    type Filters<'a> = &'a [(&'a str, &'a [&'a str])];
    let cases: &[(Filters<'_>, &[&str])] = &[
        (&[("stage", &["Lead"])], &["ann", "bob"]),
        (&[("stage", &["lead"])], &[]),
        (&[("stage", &["it's \"odd\""])], &["dan"]),
        (
            &[("stage", &["Lead", "it's \"odd\""])],
            &["ann", "bob", "dan"],
        ),
        (&[("rank", &["2"])], &["bob", "cat"]),
        (&[("rank", &["two"])], &[]),
        (&[("active", &["true"])], &["ann"]),
        (&[("active", &["false"])], &["bob"]),
        (&[("fax", &["1-555-010-0001"])], &["ann"]),
        (&[("fax", &["555-010-0001"])], &[]),
        (&[("fax", &["none"])], &[]),
        (&[("tags", &["buyer"])], &["ann", "bob"]),
        (&[("tags", &["vip", "it's"])], &["ann", "dan"]),
        (&[("tags", &["buyer", "vip"])], &["ann", "bob"]),
        (&[("tags", &["Buyer"])], &[]),
        (&[("tags", &[])], &[]),
        (&[("emails", &["ann@work.org"])], &["ann"]),
        (&[("emails", &["ANN@work.org"])], &[]),
        (&[("emails", &["O'Dan@x.org"])], &["dan"]),
        (&[("phones", &["555.200.0001"])], &["ann"]),
        (&[("phones", &["15552000001"])], &["bob"]),
        (&[("phones", &["ext."])], &[]),
        (
            &[("tags", &["buyer"]), ("emails", &["bob@x.org"])],
            &["bob"],
        ),
        (&[("tags", &["vip"]), ("emails", &["bob@x.org"])], &[]),
        (&[("stage", &["Lead"]), ("rank", &["2"])], &["bob"]),
        (
            &[
                ("stage", &["Lead"]),
                ("tags", &["vip"]),
                ("phones", &["5552000002"]),
            ],
            &["ann"],
        ),
    ];
    for (filters, expected) in cases {
        let (found, total) = fixture.narrowed(filters).await;
        assert_eq!(found, *expected, "{filters:?}");
        assert_eq!(total, expected.len() as i64, "{filters:?}");
    }
    let query = ListQuery {
        filters: vec![Narrow {
            field: "name".to_owned(),
            values: vec!["ann".to_owned()],
        }],
        ..fixture.query()
    };
    let refused = fixture.store.list_json(&query, &mut Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Unknown(_))));
}

#[tokio::test]
async fn filters_follow_changes() {
    let fixture = Fixture::new().await;
    let with = |email: &str| fixture.person("1", json!({"emails": [{"value": email}]}));
    fixture.land(vec![with("old@x.org")]).await;
    fixture.land(vec![with("new@x.org")]).await;
    assert_eq!(
        fixture.narrowed(&[("emails", &["old@x.org"])]).await,
        (vec![], 0)
    );
    assert_eq!(fixture.narrowed(&[("emails", &["new@x.org"])]).await.1, 1);
    fixture.land(vec![with("old@x.org")]).await;
    assert_eq!(fixture.narrowed(&[("emails", &["old@x.org"])]).await.1, 1);
    fixture.remove(&["1"]).await;
    assert_eq!(
        fixture.narrowed(&[("emails", &["old@x.org"])]).await,
        (vec![], 0)
    );
    fixture.land(vec![with("old@x.org")]).await;
    assert_eq!(fixture.narrowed(&[("emails", &["old@x.org"])]).await.1, 1);
}

#[tokio::test]
async fn a_list_is_narrowed_by_ids() {
    let fixture = Fixture::new().await;
    let stage = |n: usize| if n.is_multiple_of(2) { "even" } else { "odd" };
    let people = (0..20).map(|n| fixture.person(&n.to_string(), json!({"stage": stage(n)})));
    fixture.land(people.collect()).await;
    let other = fixture.connect("account-2").await;
    let id = |n: usize| record_id(&fixture.credential, "people", &n.to_string());
    let ids = vec![
        id(3),
        id(8),
        id(99),
        record_id(&other, "people", "1"),
        "x".to_owned(),
        id(3),
    ];
    let query = ListQuery {
        ids: Some(ids.clone()),
        ..fixture.query()
    };
    let (list, rows) = fixture.list(&query).await;
    assert_eq!(list.total, 2);
    assert_eq!(rows.iter().map(upstream_id).collect::<Vec<_>>(), ["8", "3"]);
    let even = Narrow {
        field: "stage".to_owned(),
        values: vec!["even".to_owned()],
    };
    let query = ListQuery {
        ids: Some(ids),
        filters: vec![even],
        ..fixture.query()
    };
    assert_eq!(fixture.list(&query).await.0.total, 1);
    let query = ListQuery {
        ids: Some(vec![id(1); IDS_MAX + 1]),
        ..fixture.query()
    };
    let refused = fixture.store.list_json(&query, &mut Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Limit(_))));
}

#[tokio::test]
async fn one_account_never_sees_anothers_records() {
    let fixture = Fixture::new().await;
    let other = fixture.connect("account-2").await;
    let body = json!({"stage": "Lead", "tags": ["a"], "emails": [{"value": "a@x.org"}], "phones": [{"value": "1"}]});
    let mut page = fixture.page().await;
    page.credential = &other;
    page.lease = None;
    page.records = vec![fixture.person("1", body)];
    fixture.store.land(page).await.unwrap();
    assert_eq!(fixture.list(&fixture.query()).await.0.total, 0);
    for (field, value) in [
        ("stage", "Lead"),
        ("tags", "a"),
        ("emails", "a@x.org"),
        ("phones", "1"),
    ] {
        assert_eq!(
            fixture.narrowed(&[(field, &[value])]).await,
            (vec![], 0),
            "{field}"
        );
    }
    let id = record_id(&other, "people", "1");
    let ids = ListQuery {
        ids: Some(vec![id.clone()]),
        ..fixture.query()
    };
    assert_eq!(fixture.list(&ids).await.0.total, 0);
    let read = fixture
        .store
        .get_json(&fixture.credential.id, fixture.people(), &id)
        .await
        .unwrap();
    assert_eq!(read, None);
    let read = fixture
        .store
        .get_json(&other.id, fixture.people(), &id)
        .await
        .unwrap();
    assert!(read.is_some_and(|text| text.contains("a@x.org")));
}

#[tokio::test]
async fn filtered_rows_are_counted_up_to_ten_thousand() {
    let fixture = Fixture::new().await;
    for start in (0..10_050).step_by(2010) {
        let people = (start..start + 2010).map(|n| {
            let stage = if n < 10_000 { "old" } else { "new" };
            fixture.person(
                &n.to_string(),
                json!({"stage": stage, "tags": ["all", stage]}),
            )
        });
        fixture.land(people.collect()).await;
    }
    let list = async |field: &str, value: &str| {
        let narrow = Narrow {
            field: field.to_owned(),
            values: vec![value.to_owned()],
        };
        let query = ListQuery {
            filters: vec![narrow],
            limit: 3,
            ..fixture.query()
        };
        let (list, _) = fixture.list(&query).await;
        (list.total, list.total_is_at_least)
    };
    assert_eq!(list("tags", "all").await, (10_000, true));
    assert_eq!(list("tags", "old").await, (10_000, false));
    assert_eq!(list("stage", "old").await, (10_000, false));
    assert_eq!(list("tags", "new").await, (50, false));
    let (all, _) = fixture.list(&fixture.query()).await;
    assert_eq!((all.total, all.total_is_at_least), (10_050, false));
}

#[tokio::test]
async fn rows_are_walked_in_the_order_of_landing() {
    let fixture = Fixture::new().await;
    let people = (0..25).map(|n| fixture.person(&n.to_string(), json!({})));
    fixture.land(people.collect()).await;
    fixture.remove(&["5"]).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let rows = fixture
            .store
            .rows_after(&fixture.credential.id, "people", after, 10)
            .await
            .unwrap();
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        seen.extend(rows.into_iter().map(|(_, upstream_id)| upstream_id));
    }
    let expected: Vec<String> = (0..25)
        .filter(|n| *n != 5)
        .map(|n: i32| n.to_string())
        .collect();
    assert_eq!(seen, expected);
    let nothing: Vec<Value> = fixture
        .list(&ListQuery {
            limit: 0,
            ..fixture.query()
        })
        .await
        .1;
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn what_changed_since_a_second_is_told_apart() {
    let fixture = Fixture::new().await;
    let person = |id: &str, name: &str| fixture.person(id, json!({"name": name}));
    let land = async |people, now| {
        let mut page = fixture.page().await;
        (page.records, page.now) = (people, now);
        fixture.store.land(page).await.unwrap();
    };
    land(
        vec![person("1", "Ada"), person("2", "Ben")],
        1_751_469_561_000,
    )
    .await;
    // Unchanged records keep their time.
    let later = vec![person("1", "Ada"), person("2", "Bea"), person("3", "Cy")];
    land(later, 1_751_469_562_900).await;
    let since = async |second: &str| {
        let mut query = fixture.query();
        query.updated_since = Some(second.to_owned());
        let (list, rows) = fixture.list(&query).await;
        assert_eq!(usize::try_from(list.total).unwrap(), rows.len());
        let ids: Vec<String> = rows.iter().map(upstream_id).collect();
        ids
    };
    assert_eq!(since("2025-07-02T15:19:21Z").await, ["3", "2", "1"]);
    assert_eq!(since("2025-07-02T15:19:22Z").await, ["3", "2"]);
    assert!(since("2025-07-02T15:19:23Z").await.is_empty());
}
