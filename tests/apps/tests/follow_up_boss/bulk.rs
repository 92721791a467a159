use std::time::Instant;

use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};

use super::{Api, distinct, unlimited};

#[tokio::test]
async fn a_million_people_cost_nothing() {
    let start = Instant::now();
    let simulator = unlimited(Dataset::bulk(1_000_000));
    let api = Api::new(&simulator);
    let page = api.get("/people?limit=100").await;
    assert!(start.elapsed().as_secs() < 2);
    assert_eq!(page.json()["_metadata"]["total"], 1_000_000);
    assert_eq!(page.ids()[..3], [1_000_000, 999_999, 999_998]);
    let size = page.text.len() / 100;
    assert!((1150..1350).contains(&size), "{size} bytes a person");
    assert_eq!(simulator.people_count(), 1_000_000);

    let person = api.get("/people/765432?fields=allFields").await.json();
    assert_eq!(person["id"], 765_432);
    assert_eq!(person["emails"].as_array().unwrap().len(), 2);
    assert_eq!(person["phones"].as_array().unwrap().len(), 2);
    assert!(person["customBirthday"].is_string());
    assert_eq!(
        simulator.person(765_432).unwrap()["updated"],
        person["updated"]
    );
    let listed = api.get("/people?ids=765432&fields=allFields").await.json();
    assert_eq!(listed["people"], json!([person]));
    assert_eq!(api.get("/people/0").await.status, 404);
    assert_eq!(api.get("/people/1000001").await.status, 404);
}

#[tokio::test]
async fn bulk_people_are_found_without_a_search() {
    let simulator = unlimited(Dataset::bulk(1_000_000));
    let api = Api::new(&simulator);
    assert_eq!(
        api.get("/people?email=Person77@example.com").await.ids(),
        [77]
    );
    assert_eq!(
        api.get("/people?email=p77.work@example.org").await.ids(),
        [77]
    );
    assert_eq!(api.get("/people?email=77@example.org").await.ids().len(), 0);
    assert_eq!(api.get("/people?phone=200-000-0078").await.ids(), [78]);
    assert_eq!(
        api.get("/people?fields=id,name&limit=1").await.json()["people"][0]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    let refused = api.get("/people?stage=Lead").await;
    assert_eq!(
        (refused.status, refused.error().contains("'stage'")),
        (400, true)
    );
    assert_eq!(api.get("/people?sort=name").await.status, 400);
    let duplicate = json!({"emails": [{"value": "person5@example.com"}]});
    let found = api.post("/people?deduplicate=true", duplicate).await;
    assert_eq!((found.status, &found.json()["id"]), (200, &json!(5)));
}

#[tokio::test]
async fn every_bulk_order_walks_all_people_once() {
    let simulator = unlimited(Dataset::bulk(1_003));
    let api = Api::new(&simulator);
    simulator.update_person(500, json!({"price": 1}));
    simulator.trash_person(600);
    simulator.insert_person(json!({"firstName": "New"}));
    simulator.remove(rollout_test_apps::follow_up_boss::Kind::People, 700);
    for sort in ["id", "-id", "created", "-created", "updated", "-updated"] {
        let path = format!("/people?limit=100&sort={sort}");
        let (ids, pages) = api.walk(&path).await;
        assert_eq!(
            (ids.len(), distinct(&ids), pages),
            (1002, 1002, 11),
            "{sort}"
        );
        assert!(!ids.contains(&600) && !ids.contains(&700));
        let by_offset = api.get(&format!("{path}&offset=450")).await;
        assert_eq!(by_offset.ids(), ids[450..550], "{sort}");
        assert_eq!(by_offset.json()["_metadata"]["total"], 1002);
        let field = sort.trim_start_matches('-');
        let mut keys = Vec::new();
        for chunk in ids.chunks(100) {
            let csv: Vec<String> = chunk.iter().map(u64::to_string).collect();
            let people = api
                .get(&format!("{path}&ids={}", csv.join(",")))
                .await
                .json();
            for person in people["people"].as_array().unwrap() {
                keys.push((text(&person[field]), person["id"].as_u64().unwrap()));
            }
        }
        if sort.starts_with('-') {
            keys.reverse();
        }
        assert!(keys.is_sorted(), "{sort}");
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| format!("{:>20}", value.to_string()), str::to_owned)
}

#[tokio::test]
async fn bulk_times_bound_lists_and_changes_come_last() {
    let simulator = unlimited(Dataset::bulk(10_000));
    let api = Api::new(&simulator);
    let middle = api.get("/people/5001").await.json();
    for field in ["created", "updated"] {
        let at = middle[field].as_str().unwrap();
        let after = api
            .get(&format!("/people?sort={field}&limit=1&{field}After={at}"))
            .await;
        let before = api
            .get(&format!("/people?sort=-{field}&limit=1&{field}Before={at}"))
            .await;
        let same = 10_000
            - after.json()["_metadata"]["total"].as_u64().unwrap()
            - before.json()["_metadata"]["total"].as_u64().unwrap();
        assert_eq!(same, if field == "created" { 3 } else { 5 }, "{field}");
        assert_eq!(after.ids()[0] - before.ids()[0], same + 1);
        assert!(after.json()["people"][0][field].as_str() > Some(at));
        assert!(before.json()["people"][0][field].as_str() < Some(at));
    }
    let last = simulator.person(10_000).unwrap();
    let since = format!(
        "/people?sort=updated&updatedAfter={}",
        last["updated"].as_str().unwrap()
    );
    assert_eq!(api.get(&since).await.ids().len(), 0);
    assert_eq!(
        api.put("/people/17", json!({"lastName": "Changed"}))
            .await
            .status,
        200
    );
    assert_eq!(api.get(&since).await.ids(), [17]);
    assert_eq!(api.get("/people/17").await.json()["lastName"], "Changed");
    assert_eq!(
        api.get("/people?idGreaterThan=9998&sort=id").await.ids(),
        [9999, 10_000]
    );
}
