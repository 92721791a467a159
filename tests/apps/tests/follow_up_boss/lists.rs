use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollout_test_apps::follow_up_boss::{Dataset, Kind};
use serde_json::{Value, json};

use super::{Api, distinct, unlimited};

fn token(page: &super::Answer) -> Value {
    let next = page.json()["_metadata"]["next"]
        .as_str()
        .unwrap()
        .to_owned();
    serde_json::from_slice(&STANDARD.decode(next).unwrap()).unwrap()
}

#[tokio::test]
async fn metadata_describes_the_page() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let page = api.get("/people?stage=Lead&limit=1").await.json();
    let metadata = &page["_metadata"];
    assert_eq!(metadata["collection"], "people");
    assert_eq!(metadata["offset"], 0);
    assert_eq!(metadata["limit"], 1);
    assert_eq!(metadata["total"], 2);
    let next = metadata["next"].as_str().unwrap().replace('=', "%3D");
    let link = metadata["nextLink"].as_str().unwrap();
    assert_eq!(
        link,
        format!(
            "{}/v1/people?limit=1&stage=Lead&&next={next}",
            simulator.url()
        )
    );
    let last = api.get(link).await.json();
    assert_eq!(last["_metadata"]["total"], 2);
    assert_eq!(last["_metadata"].get("next"), None);
    assert_eq!(last["_metadata"].get("nextLink"), None);
}

#[tokio::test]
async fn limits_and_offsets() {
    let simulator = unlimited(Dataset::messy(5, 150));
    let api = Api::new(&simulator);
    assert_eq!(api.get("/people").await.ids().len(), 10);
    let page = api.get("/people?limit=1000").await;
    assert_eq!(page.json()["_metadata"]["limit"], 100);
    let all = page.ids();
    assert_eq!(all.len(), 100);
    let page = api.get("/people?limit=5&offset=7").await;
    assert_eq!(page.ids(), all[7..12]);
    assert_eq!(page.json()["_metadata"]["offset"], 7);
    assert_eq!(api.get("/people?limit=x").await.status, 400);
    assert_eq!(api.get("/people?limit=0").await.status, 400);
    assert_eq!(api.get("/people?offset=1999").await.status, 200);
    let deep = api.get("/people?offset=2000").await;
    assert_eq!(deep.status, 400);
    assert!(deep.error().contains("Deep pagination disabled"));
    let hidden = STANDARD.encode(r#"{"offset":2000}"#).replace('=', "%3D");
    assert_eq!(api.get(&format!("/people?next={hidden}")).await.status, 400);
}

#[tokio::test]
async fn next_comes_in_both_forms() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    assert_eq!(
        token(&api.get("/notes?limit=3").await),
        json!({"sinceId": 6})
    );
    assert_eq!(
        token(&api.get("/users?limit=2").await),
        json!({"offset": 2})
    );
    let next = STANDARD.encode(r#"{"offset":6}"#).replace('=', "%3D");
    assert_eq!(api.get(&format!("/notes?next={next}")).await.ids(), [2, 1]);
    let updated = token(&api.get("/people?limit=3&sort=updated").await);
    assert_eq!(updated["sinceId"], 3);
    assert!(updated["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(api.get("/people?next=garbage").await.status, 400);
    let small = api.get("/customFields?limit=2").await.json();
    assert_eq!(small["_metadata"]["collection"], "customfields");
    assert_eq!(small["customfields"].as_array().unwrap().len(), 2);
    assert_eq!(small["_metadata"].get("next"), None);
}

#[tokio::test]
async fn every_order_walks_all_records_once() {
    let simulator = unlimited(Dataset::messy(11, 230));
    let api = Api::new(&simulator);
    let total = api.get("/people").await.json()["_metadata"]["total"]
        .as_u64()
        .unwrap() as usize;
    assert!(total > 200 && total <= 230);
    for sort in [
        "",
        "&sort=id",
        "&sort=-id",
        "&sort=created",
        "&sort=updated",
        "&sort=-updated",
        "&sort=name",
        "&sort=-lastName",
        "&sort=price",
        "&sort=-stage",
        "&sort=lastActivity",
        "&sort=customLoanAmount",
    ] {
        let (ids, pages) = api.walk(&format!("/people?limit=30{sort}")).await;
        assert_eq!(ids.len(), total, "{sort}");
        assert_eq!(distinct(&ids), total, "{sort}");
        assert_eq!(pages, total.div_ceil(30), "{sort}");
    }
    assert_eq!(api.get("/people?sort=shoeSize").await.status, 400);
    let (ids, _) = api.walk("/notes?limit=50").await;
    assert!(ids.is_sorted_by(|left, right| left > right));
    let (users, _) = api.walk("/users?limit=1").await;
    assert_eq!(users, [3, 2, 1]);
}

#[tokio::test]
async fn orders_are_kept_and_ties_follow_the_id() {
    let simulator = unlimited(Dataset::messy(3, 100));
    let api = Api::new(&simulator);
    let key = |person: &Value, field: &str| {
        (
            person[field].as_str().unwrap().to_owned(),
            person["id"].as_u64().unwrap(),
        )
    };
    let people = |path: &'static str| {
        let api = &api;
        async move {
            api.get(path).await.json()["people"]
                .as_array()
                .unwrap()
                .clone()
        }
    };
    let updated = people("/people?limit=100&sort=updated").await;
    assert!(
        updated
            .iter()
            .is_sorted_by_key(|person| key(person, "updated"))
    );
    let created = people("/people?limit=100").await;
    assert!(
        created
            .iter()
            .rev()
            .is_sorted_by_key(|person| key(person, "created"))
    );
    let shared = updated
        .windows(2)
        .filter(|pair| pair[0]["updated"] == pair[1]["updated"]);
    assert!(shared.count() > 10, "several share a second");
}

#[tokio::test]
async fn next_is_stable_while_records_come_and_go() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let first = api.get("/people?limit=4&sort=-id").await;
    assert_eq!(first.ids(), [12, 11, 10, 9]);
    simulator.insert_person(json!({"firstName": "Late"}));
    simulator.trash_person(9);
    let link = first.json()["_metadata"]["nextLink"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(api.get(&link).await.ids(), [8, 7, 6, 5]);

    let first = api.get("/people?limit=4&sort=updated").await;
    let seen = first.ids();
    simulator.update_person(seen[0], json!({"price": 1}));
    let link = first.json()["_metadata"]["nextLink"]
        .as_str()
        .unwrap()
        .to_owned();
    let (rest, _) = api.walk(&link).await;
    assert!(
        rest[7..].contains(&seen[0]),
        "what changed meanwhile comes again, at the end"
    );
    assert_eq!(distinct(&rest), rest.len());
}

#[tokio::test]
async fn common_filters_work_everywhere() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for list in ["people", "notes", "tasks"] {
        let ids = |query: &'static str| {
            let api = &api;
            async move { api.get(&format!("/{list}?sort=id&{query}")).await.ids() }
        };
        assert_eq!(ids("ids=3,1,99").await, [1, 3]);
        assert_eq!(ids("id=2").await, [2]);
        assert_eq!(ids("idGreaterThan=2&idLessThan=5").await, [3, 4]);
        let third = api.get(&format!("/{list}/3")).await.json();
        let at = third["updated"].as_str().unwrap();
        let around = format!("/{list}?sort=id&limit=100&updatedAfter={at}");
        assert!(
            !api.get(&around).await.ids().contains(&3),
            "after is strict"
        );
        let both = format!("/{list}?createdAfter=2020-01-01&createdBefore=2025-01-01%2000:00:00");
        assert_eq!(api.get(&both).await.ids().len(), 0);
        let before = format!("/{list}?sort=id&updatedBefore={at}");
        assert_eq!(api.get(&before).await.ids(), [1, 2]);
        let bad = api.get(&format!("/{list}?updatedAfter=soon")).await;
        assert_eq!(
            (bad.status, bad.error().contains("updatedAfter")),
            (400, true)
        );
    }
    assert_eq!(api.get("/users?idGreaterThan=2").await.ids(), [3]);
}

#[tokio::test]
async fn deleted_users_are_hidden() {
    let simulator = unlimited(Dataset::messy(1, 1));
    let api = Api::new(&simulator);
    assert_eq!(api.get("/users?sort=id").await.ids(), [1, 2, 3]);
    assert_eq!(
        api.get("/users?sort=id&includeDeleted=true").await.ids(),
        [1, 2, 3, 9]
    );
    assert_eq!(api.get("/users?role=Agent").await.ids(), [3]);
    assert_eq!(api.get("/users?email=TOM@sunrise.example").await.ids(), [1]);
    assert_eq!(api.get("/users/2").await.json()["name"], "Ana Souza");
}

#[tokio::test]
async fn messy_data_is_messy_and_repeatable() {
    let simulator = unlimited(Dataset::messy(7, 400));
    let text =
        Value::from(simulator.people()).to_string() + &Value::from(simulator.notes()).to_string();
    for oddity in [
        "\\u0000",
        "{{access-token}}",
        "${apiKey}",
        "%apiKey%",
        "<script>",
        "🔥",
        "محمد",
        "小明",
        "shared@example.com",
        "<unspecified>",
        "\"status\":\"Invalid\"",
        "\"tags\":null",
        "\"tags\":[{\"id\":",
        "\"contacted\":true",
        "\"stage\":\"Trash\"",
        "\"personId\":0",
    ] {
        assert!(text.contains(oddity), "{oddity}");
    }
    assert!(!text.contains("\\\\u0000"), "escaped once");
    let again = unlimited(Dataset::messy(7, 400));
    assert_eq!(again.people(), simulator.people());
    assert_eq!(again.all(Kind::Tasks), simulator.all(Kind::Tasks));
    assert_ne!(
        unlimited(Dataset::messy(8, 400)).people(),
        simulator.people()
    );
}
