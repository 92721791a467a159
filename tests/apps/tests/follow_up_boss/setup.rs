use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Kind, Simulator};
use serde_json::{Value, json};

use super::{Api, unlimited};

#[tokio::test]
async fn teams_replace_their_lists() {
    let account = AccountConfig::new(Dataset::demo())
        .key("fka_owner", 1)
        .key("fka_agent", 3);
    let simulator = Simulator::start(Config::of(account)).unwrap();
    let api = Api::with_key(&simulator, "fka_owner");
    let agent = Api::with_key(&simulator, "fka_agent");
    let body = json!({"name": "West", "userIds": [1, 3], "leaderIds": [3]});
    assert_eq!(agent.post("/teams", body.clone()).await.status, 403);
    let made = api.post("/teams", body).await;
    assert_eq!(made.status, 201);
    let team = made.json();
    assert_eq!(
        team,
        json!({"id": 3, "name": "West", "userIds": [1, 3], "leaderIds": [3]})
    );
    let changed = api.put("/teams/3", json!({"userIds": [2]})).await.json();
    assert_eq!(
        (&changed["userIds"], &changed["leaderIds"], &changed["name"]),
        (&json!([2]), &json!([3]), &json!("West"))
    );
    assert_eq!(changed.get("updated"), None);
    assert_eq!(
        api.put("/teams/3", json!({"userIds": [9]})).await.status,
        400
    );
    assert_eq!(agent.get("/teams").await.ids(), [3, 2, 1]);
    assert_eq!(api.delete("/teams/3").await.status, 204);
    for id in [1, 2] {
        assert!(simulator.remove(Kind::Teams, id));
    }
    let none = api.get("/teams").await;
    assert_eq!((none.status, none.ids().len()), (200, 0));
}

#[tokio::test]
async fn smart_lists_are_read_only_and_have_members() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let page = api.get("/smartLists?limit=2").await.json();
    assert_eq!(page["_metadata"]["collection"], "smartlists");
    assert_eq!(page["_metadata"]["total"], 3);
    assert_eq!(page["_metadata"].get("next"), None);
    assert_eq!(page["smartlists"][0].get("_criteria"), None);
    assert_eq!(
        api.get("/smartLists?limit=2&offset=2").await.ids(),
        [1],
        "the rest is reached by offset"
    );
    assert_eq!(api.get("/smartLists/2").await.json()["name"], "Buyers");
    assert_eq!(api.post("/smartLists", json!({})).await.status, 405);
    assert_eq!(api.delete("/smartLists/2").await.status, 405);
    assert_eq!(
        api.get("/people?smartListId=3&sort=id").await.ids(),
        [1, 11]
    );
    let sellers = json!({"name": "Sellers", "_criteria": "tags=Seller"});
    let id = simulator.insert(Kind::SmartLists, sellers);
    let found = api.get(&format!("/people?smartListId={id}&sort=id")).await;
    assert_eq!(found.ids(), [3, 7, 9]);
    assert_eq!(api.get("/people?smartListId=99").await.status, 400);
}

#[tokio::test]
async fn custom_fields_are_defined_by_the_owner() {
    let account = AccountConfig::new(Dataset::demo())
        .key("fka_owner", 1)
        .key("fka_admin", 2);
    let simulator = Simulator::start(Config::of(account)).unwrap();
    let api = Api::with_key(&simulator, "fka_owner");
    let admin = Api::with_key(&simulator, "fka_admin");
    let body = json!({"label": "pool size (m²)", "type": "dropdown", "choices": ["S", "L"]});
    assert_eq!(admin.post("/customFields", body.clone()).await.status, 403);
    let made = api.post("/customFields", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let field = made.json();
    assert_eq!(field["name"], "customPoolSizeM²");
    assert_eq!(field["orderWeight"], 8000);
    assert_eq!(
        api.post("/customFields", body).await.status,
        400,
        "it exists"
    );
    for bad in [
        json!({"type": "text"}),
        json!({"label": "X", "type": "boolean"}),
        json!({"label": "X", "type": "dropdown"}),
        json!({"label": "X", "type": "text", "choices": ["a"]}),
        json!({"label": "!", "type": "text"}),
        json!({"label": "X", "type": "text", "name": "customX"}),
    ] {
        let refused = api.post("/customFields", bad.clone()).await;
        assert_eq!(refused.status, 400, "{bad}");
    }
    let path = format!("/customFields/{}", field["id"]);
    assert_eq!(api.put(&path, json!({"type": "text"})).await.status, 400);
    let renamed = api
        .put(&path, json!({"label": "Pool", "type": "dropdown"}))
        .await;
    assert_eq!(
        (&renamed.json()["label"], &renamed.json()["name"]),
        (&json!("Pool"), &field["name"]),
        "the name stays"
    );
}

#[tokio::test]
async fn custom_values_suit_their_definitions() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (name, value, status) in [
        ("customFinancing", json!("Cash"), 200),
        ("customFinancing", json!("Barter"), 400),
        ("customFinancing", json!(null), 200),
        ("customLoanAmount", json!("12"), 400),
        ("customCloseDate", json!("2026-02-30"), 400),
        ("customCloseDate", json!("2026-02-28"), 200),
        ("customSpouseName", json!(true), 400),
        ("customUnheardOf", json!("x"), 400),
    ] {
        let answer = api.put("/people/1", json!({name: value})).await;
        assert_eq!(answer.status, status, "{name} {value}");
    }
    api.put("/people/1", json!({"customFinancing": "Cash"}))
        .await;
    let map = json!({"dropdownChoiceMap": {"Cash": "Own money"}});
    let field = api.put("/customFields/7", map).await.json();
    assert_eq!(field["choices"], json!(["Own money", "Loan", "Unknown"]));
    assert_eq!(field.get("dropdownChoiceMap"), None);
    assert_eq!(simulator.person(1).unwrap()["customFinancing"], "Own money");
    assert!(simulator.update(Kind::CustomFields, 7, json!({"readOnly": true})));
    let refused = api
        .put("/people/1", json!({"customFinancing": "Loan"}))
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(api.delete("/customFields/7").await.status, 204);
    assert_eq!(simulator.person(1).unwrap().get("customFinancing"), None);
}

#[tokio::test]
async fn stages_are_renumbered_protected_and_replaced() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let stages = async || {
        let list = api.get("/stages?sort=orderWeight&limit=100").await.json();
        list["stages"].as_array().unwrap().clone()
    };
    let before = stages().await;
    assert_eq!(before.len(), 12);
    assert_eq!(
        (&before[0]["name"], &before[0]["peopleCount"]),
        (&json!("Lead"), &json!(2))
    );
    let made = api
        .post("/stages", json!({"name": "Hot", "orderWeight": 1500}))
        .await
        .json();
    assert_eq!(
        (&made["orderWeight"], &made["peopleCount"]),
        (&json!(2000), &json!(0))
    );
    let weights: Vec<u64> = stages()
        .await
        .iter()
        .map(|stage| stage["orderWeight"].as_u64().unwrap())
        .collect();
    assert_eq!(
        weights,
        (1..=13).map(|place| place * 1000).collect::<Vec<_>>()
    );

    assert_eq!(
        api.put("/stages/2", json!({"name": "New"})).await.status,
        400
    );
    assert_eq!(
        api.put("/stages/2", json!({"orderWeight": 1})).await.status,
        200
    );
    assert_eq!(api.delete("/stages/13?assignStageId=2").await.status, 400);

    let person = api.put("/people/2", json!({"stage": "Hot"})).await.json();
    assert_eq!(person["stageId"], made["id"]);
    let path = format!("/stages/{}", made["id"]);
    api.put(&path, json!({"name": "Warm"})).await;
    assert_eq!(api.get("/people/2").await.json()["stage"], "Warm");
    assert_eq!(api.delete(&path).await.status, 400);
    assert_eq!(
        api.delete(&format!("{path}?assignStageId=11")).await.status,
        204
    );
    let moved = api.get("/people/2").await.json();
    assert_eq!(
        (&moved["stage"], &moved["stageId"]),
        (&json!("Nurture"), &json!(11))
    );
}

#[tokio::test]
async fn small_lists_are_there() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (path, collection, count) in [
        ("/ponds", "ponds", 1),
        ("/timeframes", "timeframes", 4),
        ("/groups", "groups", 1),
        ("/dealCustomFields", "dealCustomfields", 3),
    ] {
        let list = api.get(path).await.json();
        assert_eq!(
            list[collection].as_array().map(Vec::len),
            Some(count),
            "{path}"
        );
        assert_eq!(api.get(&format!("{path}/1")).await.json()["id"], 1);
        assert_eq!(api.post(path, json!({})).await.status, 405);
    }
    let person = api
        .put("/people/1", json!({"timeframeId": 2, "assignedPondId": 1}))
        .await
        .json();
    assert_eq!(person["timeframeStatus"], "3-6 Months");
    assert_eq!(
        api.put("/people/1", json!({"timeframeId": 9})).await.status,
        400
    );
    let none: Value = api
        .put("/people/1", json!({"timeframeId": null}))
        .await
        .json();
    assert_eq!(none["timeframeStatus"], json!(null));
}

#[tokio::test]
async fn relationships_show_in_their_people() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let page = api.get("/peopleRelationships?personId=5").await;
    assert_eq!(page.ids(), [2]);
    let body = json!({
        "personId": 1, "firstName": "Sam", "lastName": "Bennett", "type": "Spouse",
        "emails": [{"value": "sam@example.com"}],
    });
    let before = simulator.person(1).unwrap();
    let made = api.post("/peopleRelationships", body).await;
    assert_eq!(made.status, 201);
    let relative = made.json();
    assert_eq!(
        (&relative["name"], &relative["isPriority"]),
        (&json!("Sam Bennett"), &json!(true))
    );
    let person = api.get("/people/1?fields=relationships").await.json();
    assert_eq!(person["relationships"][0]["emails"], relative["emails"]);
    assert_ne!(simulator.person(1).unwrap()["updated"], before["updated"]);
    let path = format!("/peopleRelationships/{}", relative["id"]);
    let changed = api
        .put(&path, json!({"type": "Child", "emails": []}))
        .await
        .json();
    assert_eq!(
        (&changed["isPriority"], &changed["emails"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(api.delete(&path).await.status, 204);
    let person = api.get("/people/1?fields=relationships").await.json();
    assert_eq!(person["relationships"], json!([]));
    assert_eq!(
        api.post("/peopleRelationships", json!({"type": "x"}))
            .await
            .status,
        400
    );
}
