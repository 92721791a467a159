use std::time::Duration;

use rollout_test_apps::hubspot::{Config, RateLimits, Simulator};
use serde_json::{Value, json};

use super::{Api, ids, unlimited};

fn filter(property: &str, operator: &str, value: &str) -> Value {
    json!({"propertyName": property, "operator": operator, "value": value})
}

fn one_group(filters: &[Value]) -> Value {
    json!({"filterGroups": [{ "filters": filters }], "limit": 200})
}

#[tokio::test]
async fn filters_compare_by_the_kind_of_property() {
    let simulator = unlimited(0);
    let api = Api::new(&simulator);
    let names = ["ann", "Bob", "", "zoe"];
    let made: Vec<String> = names
        .iter()
        .zip(["9", "10", "11", ""])
        .enumerate()
        .map(|(at, (name, owner))| {
            let moment = format!("2026-03-0{}T00:00:00.000Z", at + 1);
            simulator.insert(
                json!({"firstname": name, "hubspot_owner_id": owner, "lastmodifieddate": moment}),
            )
        })
        .collect();
    let second = "1772409600000";
    for (filters, expected) in [
        (vec![filter("lastmodifieddate", "GTE", second)], &made[1..]),
        (
            vec![filter("lastmodifieddate", "GT", "2026-03-02T00:00:00Z")],
            &made[2..],
        ),
        (vec![filter("lastmodifieddate", "LT", second)], &made[..1]),
        (vec![filter("hubspot_owner_id", "GT", "9")], &made[1..3]),
        (vec![filter("hubspot_owner_id", "NEQ", "9")], &made[1..]),
        (vec![filter("firstname", "EQ", "bob")], &made[1..2]),
        (
            vec![filter("firstname", "CONTAINS_TOKEN", "*O*")],
            &[made[1].clone(), made[3].clone()],
        ),
        (
            vec![json!({"propertyName": "firstname", "operator": "IN", "values": ["ann", "bob"]})],
            &made[..2],
        ),
        (
            vec![json!({"propertyName": "firstname", "operator": "NOT_HAS_PROPERTY"})],
            &made[2..3],
        ),
        (
            vec![
                json!({"propertyName": "lastmodifieddate", "operator": "BETWEEN", "value": "2026-03-01T12:00:00Z", "highValue": "2026-03-03T12:00:00Z"}),
            ],
            &made[1..3],
        ),
        (
            vec![
                filter("hubspot_owner_id", "LTE", "10"),
                filter("hs_object_id", "GT", &made[0]),
            ],
            &made[1..2],
        ),
    ] {
        let found = api.search(one_group(&filters)).await.ok();
        assert_eq!(ids(&found), expected, "{filters:?}");
        assert_eq!(found["total"], expected.len());
    }
    // Groups are alternatives.
    let either = json!({"filterGroups": [
        {"filters": [filter("firstname", "EQ", "ann")]}, {"filters": [filter("firstname", "EQ", "zoe")]},
    ]});
    assert_eq!(
        ids(&api.search(either).await.ok()),
        [made[0].clone(), made[3].clone()]
    );
    let query = api.search(json!({"query": "BO"})).await.ok();
    assert_eq!(ids(&query), made[1..2]);
    for wrong in [
        filter("favourite", "EQ", "x"),
        filter("firstname", "LIKE", "x"),
        filter("lastmodifieddate", "GT", "soon"),
        json!({"propertyName": "firstname", "operator": "EQ"}),
    ] {
        api.search(one_group(&[wrong])).await.refused(400);
    }
}

#[tokio::test]
async fn searches_end_at_ten_thousand() {
    let simulator = unlimited(10_300);
    let api = Api::new(&simulator);
    let page = |after: &str, limit: u64| json!({"after": after, "limit": limit, "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]});
    let last = api.search(page("9800", 200)).await.ok();
    assert_eq!((&last["total"], ids(&last).len()), (&json!(10_300), 200));
    assert_eq!(last["paging"]["next"]["after"], "10000");
    for (after, limit) in [("10000", 200), ("9900", 200), ("x", 200), ("0", 201)] {
        api.search(page(after, limit)).await.refused(400);
    }
    // What comes after the last id is another search.
    let above = filter("hs_object_id", "GT", ids(&last).last().unwrap());
    assert_eq!(api.search(one_group(&[above])).await.ok()["total"], 300);
}

#[tokio::test]
async fn one_sort_and_a_few_filters() {
    let simulator = unlimited(30);
    let api = Api::new(&simulator);
    let by = |property: &str, direction: &str| json!({"limit": 200, "sorts": [{"propertyName": property, "direction": direction}]});
    let rising = ids(&api.search(by("hs_object_id", "ASCENDING")).await.ok());
    let mut falling = ids(&api.search(by("hs_object_id", "DESCENDING")).await.ok());
    falling.reverse();
    assert_eq!(rising, falling);
    let two = json!({"sorts": ["firstname", "lastname"]});
    api.search(two).await.refused(400);
    let group = |count: usize| json!({"filters": vec![filter("firstname", "EQ", "x"); count]});
    api.search(json!({"filterGroups": [group(7)]}))
        .await
        .refused(400);
    api.search(json!({"filterGroups": vec![group(1); 6]}))
        .await
        .refused(400);
    api.search(json!({"filterGroups": vec![group(6); 4]}))
        .await
        .refused(400);
    api.search(json!({"filterGroups": vec![group(6); 3]}))
        .await
        .ok();
}

#[tokio::test]
async fn searches_lag_behind_and_never_show_archived_ones() {
    let config = Config::default()
        .contacts(1)
        .limits(RateLimits::off())
        .indexing(Duration::from_secs(3600));
    let simulator = Simulator::start(config).unwrap();
    let api = Api::new(&simulator);
    let known = simulator.contacts()[0]["id"].as_str().unwrap().to_owned();
    simulator.insert(json!({"firstname": "New"}));
    assert!(simulator.update(&known, json!({"firstname": "Changed"})));
    // The new one is not there yet, the other is found as it was.
    let all = api.search(json!({})).await.ok();
    assert_eq!(ids(&all), std::slice::from_ref(&known));
    let changed = one_group(&[filter("firstname", "EQ", "Changed")]);
    assert_eq!(api.search(changed).await.ok()["total"], 0);
    assert!(simulator.archive(&known));
    assert_eq!(api.search(json!({})).await.ok()["total"], 0);
}
