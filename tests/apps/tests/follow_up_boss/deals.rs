use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Kind, Simulator};
use serde_json::json;

use super::{Api, unlimited};

#[tokio::test]
async fn deals_are_written_by_ids_and_read_with_names() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let body = json!({
        "name": "1 Low Rd", "stageId": 17, "peopleIds": [1, 2], "userIds": [2], "price": 450000,
        "projectedCloseDate": "2026-04-01", "customTitleCompany": "Acme",
    });
    let made = api.post("/deals", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let deal = made.json();
    assert_eq!(deal.get("peopleIds"), None);
    assert_eq!(
        deal["people"][1],
        json!({"id": 2, "name": "Marcus Lindqvist", "avatar": ""})
    );
    assert_eq!(deal["users"][0]["name"], "Ana Souza");
    assert_eq!(
        (
            &deal["pipelineId"],
            &deal["pipelineName"],
            &deal["stageName"]
        ),
        (&json!(2), &json!("Sellers"), &json!("Listed"))
    );
    assert!(deal["createdAt"].is_string());
    assert_eq!((deal.get("created"), deal.get("updated")), (None, None));
    assert_eq!(deal["customTitleCompany"], "Acme");
    assert_eq!(deal["customLostDate"], json!(null), "unset values are null");

    let path = format!("/deals/{}", deal["id"]);
    let moved = api
        .put(&path, json!({"stageId": 14, "peopleIds": [], "price": 5.0}))
        .await
        .json();
    assert_eq!(
        (&moved["pipelineId"], &moved["people"], &moved["price"]),
        (&json!(1), &json!([]), &json!(5))
    );
    for (field, value, status) in [
        ("stageId", json!(2), 400),
        ("price", json!(1.5), 400),
        ("peopleIds", json!([99]), 404),
        ("userIds", json!([99]), 404),
        ("pipelineId", json!(1), 400),
        ("customLoanAmount", json!(1), 400),
        ("customDealType", json!("Castle"), 400),
        ("status", json!("Archived"), 400),
    ] {
        let answer = api.put(&path, json!({field: value})).await;
        assert_eq!(answer.status, status, "{field} {value}");
    }
    assert_eq!(
        api.post("/deals", json!({"name": "x"})).await.error(),
        "Missing required field 'stageId'"
    );
}

#[tokio::test]
async fn deals_are_deleted_softly() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    assert_eq!(api.delete("/deals/1").await.status, 204);
    assert_eq!(api.get("/deals/1").await.status, 404);
    assert_eq!(
        api.get("/deals/1?includeDeleted=1").await.json()["status"],
        "Deleted"
    );
    assert_eq!(api.put("/deals/1", json!({"name": "x"})).await.status, 404);
    assert_eq!(api.get("/deals/4").await.json()["status"], "Archived");
    for (query, expected) in [
        ("", vec![2, 3]),
        ("&status=Deleted", vec![1, 5]),
        ("&status=Archived", vec![4]),
        ("&includeDeleted=1", vec![1, 2, 3, 5]),
        ("&includeDeleted=1&includeArchived=1", vec![1, 2, 3, 4, 5]),
        ("&pipelineId=2", vec![2, 3]),
        ("&personId=6", vec![2]),
        ("&userId=1", vec![3]),
        ("&createdAfter=2025-05-13T12:00:00Z", vec![3]),
        ("&updatedAfter=2099-01-01", vec![2, 3]),
    ] {
        let answer = api.get(&format!("/deals?sort=id{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
    }
    assert_eq!(api.get("/deals?sort=updated").await.status, 400);
}

#[tokio::test]
async fn agents_see_the_deals_they_are_in() {
    let account = AccountConfig::new(Dataset::demo())
        .key("fka_owner", 1)
        .key("fka_agent", 3);
    let simulator = Simulator::start(Config::of(account)).unwrap();
    let agent = Api::with_key(&simulator, "fka_agent");
    assert_eq!(agent.get("/deals?sort=id").await.ids(), [2]);
    assert_eq!(agent.get("/deals/3").await.status, 404);
    let owner = Api::with_key(&simulator, "fka_owner");
    owner.put("/deals/2", json!({"userIds": []})).await;
    assert_eq!(agent.get("/deals").await.ids().len(), 0);
    assert_eq!(agent.get("/appointments?sort=id").await.ids(), [2, 5]);
}

#[tokio::test]
async fn pipelines_hold_the_stages_of_deals() {
    let account = AccountConfig::new(Dataset::demo())
        .key("fka_owner", 1)
        .key("fka_admin", 2);
    let simulator = Simulator::start(Config::of(account)).unwrap();
    let api = Api::with_key(&simulator, "fka_owner");
    let admin = Api::with_key(&simulator, "fka_admin");
    let list = admin.get("/pipelines?name=sellers").await.json();
    assert_eq!(list["pipelines"][0]["stages"][0]["name"], "Listed");
    let body = json!({"name": "Rentals", "stages": [{"name": "Open"}]});
    assert_eq!(admin.post("/pipelines", body.clone()).await.status, 403);
    let made = api.post("/pipelines", body).await.json();
    assert_eq!(made["stages"][0]["id"], 20);

    let stages = json!([{"id": 17, "name": "On market"}, {"id": 19}, {"name": "Lost"}]);
    let changed = api
        .put("/pipelines/2", json!({"stages": stages}))
        .await
        .json();
    let ids: Vec<_> = changed["stages"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&ids[0]["name"], &ids[1]["name"], &ids[2]["id"]),
        (&json!("On market"), &json!("Sold"), &json!(21))
    );
    assert_eq!(api.get("/deals/2").await.json()["stageName"], "On market");
    let without = json!({"stages": [{"id": 19}]});
    assert_eq!(
        api.put("/pipelines/2", without).await.status,
        400,
        "deals are in it"
    );
    let foreign = json!({"stages": [{"id": 14}]});
    assert_eq!(api.put("/pipelines/2", foreign).await.status, 400);
    assert_eq!(api.delete("/pipelines/2").await.status, 400);
    assert_eq!(
        api.delete(&format!("/pipelines/{}", made["id"]))
            .await
            .status,
        204
    );
    assert_eq!(simulator.all(Kind::Pipelines).len(), 2);
}

#[tokio::test]
async fn bulk_people_have_as_much_as_is_ordered() {
    let dataset = Dataset::bulk(100_000)
        .each(Kind::Calls, 3)
        .each(Kind::TextMessages, 2)
        .each(Kind::Deals, 1)
        .each(Kind::Teams, 5);
    let simulator = unlimited(dataset);
    let api = Api::new(&simulator);
    let page = api.get("/calls?limit=100&sort=updated").await;
    assert_eq!(page.json()["_metadata"]["total"], 300_000);
    assert_eq!(page.ids()[..3], [1, 2, 3]);
    let next = page.json()["_metadata"]["nextLink"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(api.get(&next).await.ids()[0], 101);
    let mine = api.get("/calls?personId=40000&sort=id").await;
    assert_eq!(mine.ids(), [119_998, 119_999, 120_000]);
    let call = &mine.json()["calls"][0];
    let person = simulator.person(40_000).unwrap();
    assert_eq!(
        (&call["personId"], &call["name"]),
        (&person["id"], &person["name"])
    );
    assert_eq!(api.get("/calls/119998").await.json(), *call);
    assert_eq!(api.get("/textMessages?personId=7").await.ids(), [14, 13]);
    let since = call["updated"].as_str().unwrap();
    let later = api
        .get(&format!("/calls?sort=updated&limit=1&updatedAfter={since}"))
        .await;
    assert_eq!(later.ids().len(), 1);
    assert!(later.json()["calls"][0]["updated"].as_str() > Some(since));

    let deal = api.get("/deals/500").await.json();
    assert_eq!(deal["people"][0]["id"], 500);
    assert_eq!(api.delete("/deals/500").await.status, 204);
    assert_eq!(api.get("/deals").await.json()["_metadata"]["total"], 99_999);
    assert_eq!(simulator.all(Kind::Teams).len(), 2);
    assert_eq!(api.get("/notes").await.json()["_metadata"]["total"], 0);
}
