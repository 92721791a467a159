use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};

use super::{Api, unlimited};

fn names(person: &Value) -> Vec<&str> {
    person
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn fields_choose_what_is_sent() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let get = |query: &'static str| {
        let api = &api;
        async move { api.get(&format!("/people/1{query}")).await.json() }
    };
    let usual = get("").await;
    assert!(usual.get("emails").is_some());
    assert!(!names(&usual).iter().any(|name| name.starts_with("custom")));
    assert_eq!(usual.get("relationships"), None);
    assert_eq!(
        names(&get("?fields=name,tags").await),
        ["id", "name", "tags"]
    );
    assert_eq!(
        names(&get("?fields=allCustom").await),
        ["id", "customPreferredArea", "customLoanAmount"]
    );
    assert_eq!(
        names(&get("?fields=customLoanAmount").await),
        ["id", "customLoanAmount"]
    );
    let all = get("?fields=allFields").await;
    assert!(all.get("customLoanAmount").is_some() && all.get("price").is_some());
    assert_eq!(all.get("relationships"), None);
    assert_eq!(
        names(&get("?fields=relationships").await),
        ["id", "relationships"]
    );
    let list = api.get("/people?fields=allCustom&limit=1").await.json();
    assert!(list["people"][0].get("customLoanAmount").is_some());
}

#[tokio::test]
async fn people_are_found_by_what_they_have() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (query, expected) in [
        ("name=mar", vec![2, 9]),
        ("firstName=HANNAH", vec![5]),
        ("lastName=zhang", vec![6]),
        ("email=Priya.Raman@Example.com", vec![3]),
        ("phone=(555)%20020-1037", vec![1]),
        ("phone=1-555-020-1074", vec![2]),
        ("stage=lead", vec![1, 11]),
        ("tags=Seller,Investor", vec![3, 6, 7, 9]),
        ("assignedUserId=1&tags=Seller", vec![3, 9]),
        ("assignedTo=Tom%20Minch&tags=Seller", vec![3, 9]),
        ("source=Zillow", vec![2, 7]),
        ("priceAbove=800000", vec![3, 6]),
        ("contacted=false", vec![1, 11]),
        ("customPreferredArea=lakefront&idLessThan=5", vec![2, 4]),
        ("email=nobody@example.com", vec![]),
        ("tags=&ids=4", vec![4]),
    ] {
        let answer = api.get(&format!("/people?sort=id&limit=100&{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
    }
    simulator.update_person(1, json!({"customCloseDate": "2025-05-05"}));
    for (range, found) in [
        (",2025-05-05", 1),
        ("2025-05-06,", 0),
        ("2025-05-01,2025-05-09", 1),
    ] {
        let answer = api.get(&format!("/people?customCloseDate={range}")).await;
        assert_eq!(answer.ids().len(), found, "{range}");
    }
}

#[tokio::test]
async fn a_person_is_created_like_the_real_one() {
    let simulator = unlimited(Dataset::empty());
    let api = Api::new(&simulator);
    let body = json!({
        "firstName": "John", "lastName": "Smith", "stage": "Nurture", "source": "Web",
        "contacted": true, "price": 5, "tags": ["Buyer", "Buyer"], "assignedUserId": 2,
        "emails": [{"value": "a@example.com"}, {"value": "oops", "isPrimary": 1}],
        "phones": [{"value": "1 (555) 555-5555"}],
        "addresses": [{"city": "Rochester", "code": "98579"}],
        "collaborators": [{"id": 3}], "customLoanAmount": 7, "createdAt": "2020-01-02T03:04:05Z",
    });
    let answer = api.post("/people", body).await;
    assert_eq!(answer.status, 201);
    let person = answer.json();
    let id = person["id"].as_u64().unwrap();
    assert_eq!(names(&person)[0], "id");
    for (field, value) in [
        ("name", json!("John Smith")),
        ("stage", json!("Nurture")),
        ("stageId", json!(11)),
        ("createdVia", json!("API")),
        ("contacted", json!(1)),
        ("tags", json!(["Buyer"])),
        ("assignedTo", json!("Ana Souza")),
        ("created", json!("2020-01-02T03:04:05Z")),
        ("collaborators", json!([{"id": 3, "name": "Kenji Sato"}])),
        ("source", json!("Web")),
    ] {
        assert_eq!(person[field], value, "{field}");
    }
    assert_eq!(
        person["emails"],
        json!([
            {"value": "a@example.com", "type": "home", "status": "Valid", "isPrimary": 1},
            {"value": "oops", "type": "home", "status": "Invalid", "isPrimary": 0},
        ])
    );
    assert_eq!(person["phones"][0]["normalized"], "5555555555");
    assert_eq!(person["phones"][0]["relationshipId"], 0);
    assert_eq!(person.get("customLoanAmount"), None, "not by default");
    assert_eq!(simulator.person(id).unwrap()["customLoanAmount"], 7);
    assert_eq!(api.get(&format!("/people/{id}")).await.json(), person);

    let plain = api
        .post("/people", json!({"stage": "No such stage"}))
        .await
        .json();
    assert_eq!(
        (&plain["stage"], &plain["stageId"]),
        (&json!("Lead"), &json!(2))
    );
    assert_eq!(plain["source"], "<unspecified>");
    assert_eq!(plain["assignedUserId"], 1);
    let named = api
        .post("/people", json!({"assignedTo": "Kenji Sato"}))
        .await
        .json();
    assert_eq!(named["assignedUserId"], 3);
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let refused = api
        .post(
            "/people",
            json!({"name": "X", "firstName": "Y", "description": 1}),
        )
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.error(),
        "Invalid fields in the request body: name, description."
    );
    let case = api.put("/people/1", json!({"customloanamount": 1})).await;
    assert_eq!(
        case.error(),
        "Invalid fields in the request body: customloanamount."
    );
    for body in [
        json!({"emails": "a@example.com"}),
        json!({"emails": [{"type": "home"}]}),
        json!({"tags": [1]}),
        json!({"contacted": "yes"}),
        json!({"price": "12"}),
        json!({"firstName": 4}),
        json!({"assignedUserId": 77}),
        json!({"assignedTo": "Nobody"}),
        json!({"collaborators": [{"id": 77}]}),
        json!({"customLoanAmount": [1]}),
        json!([1]),
    ] {
        assert_eq!(
            api.put("/people/1", body.clone()).await.status,
            400,
            "{body}"
        );
    }
    assert_eq!(api.put("/people/99", json!({})).await.status, 404);
    assert_eq!(simulator.people().len(), 12);
}

#[tokio::test]
async fn writes_replace_lists_and_merge_tags_on_request() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let before = simulator.person(2).unwrap();
    let merged = api
        .put(
            "/people/2?mergeTags=true",
            json!({"tags": ["Buyer", "Hot"]}),
        )
        .await;
    assert_eq!(merged.status, 200);
    assert_eq!(merged.json()["tags"], json!(["Buyer", "First-time", "Hot"]));
    let replaced = api
        .put("/people/2", json!({"tags": ["Cold"], "phones": []}))
        .await
        .json();
    assert_eq!(replaced["tags"], json!(["Cold"]));
    assert_eq!(replaced["phones"], json!([]));
    assert_eq!(
        replaced["emails"], before["emails"],
        "what is not sent stays"
    );
    assert!(replaced["updated"].as_str() > before["updated"].as_str());
    let kept = api
        .put(
            "/people/2",
            json!({"source": "Other", "createdAt": "2001-01-01"}),
        )
        .await
        .json();
    assert_eq!(
        (&kept["source"], &kept["created"]),
        (&before["source"], &before["created"])
    );
    api.put(
        "/people/2",
        json!({"customLoanAmount": null, "lastName": "Berg"}),
    )
    .await;
    let after = simulator.person(2).unwrap();
    assert_eq!(after.get("customLoanAmount"), None);
    assert!(after.get("customPreferredArea").is_some());
    assert_eq!(after["name"], "Marcus Berg");
    simulator.update_person(2, json!({"tags": [{"id": 1, "name": "Odd"}]}));
    assert_eq!(api.get("/people?tags=odd").await.ids(), [2]);
    let merged = api
        .put("/people/2?mergeTags=true", json!({"tags": ["New"]}))
        .await
        .json();
    assert_eq!(merged["tags"], json!(["Odd", "New"]));
}

#[tokio::test]
async fn duplicates_are_returned_untouched() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let body = json!({"firstName": "Other", "emails": [{"value": "Diego.Fuentes@example.com"}]});
    let matched = api.post("/people?deduplicate=true", body.clone()).await;
    assert_eq!((matched.status, &matched.json()["id"]), (200, &json!(4)));
    assert_eq!(matched.json()["firstName"], "Diego");
    let phone = json!({"phones": [{"value": "+1 555 020 1037"}]});
    assert_eq!(
        api.post("/people?deduplicate=true", phone).await.json()["id"],
        1
    );
    let created = api.post("/people", body).await;
    assert_eq!((created.status, &created.json()["id"]), (201, &json!(13)));
}

#[tokio::test]
async fn trashed_people_stay_readable_on_request() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let before = simulator.person(3).unwrap();
    let deleted = api.delete("/people/3").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(api.get("/people/3").await.status, 404);
    assert_eq!(api.delete("/people/3").await.status, 404);
    assert_eq!(api.put("/people/3", json!({"price": 1})).await.status, 404);
    assert_eq!(api.get("/people?ids=3").await.ids().len(), 0);
    assert_eq!(api.get("/people?ids=3&includeTrash=true").await.ids(), [3]);
    let trashed = api.get("/people/3?includeTrash=true").await.json();
    assert_eq!(trashed["stage"], "Trash");
    assert!(trashed["updated"].as_str() > before["updated"].as_str());
    let since = before["updated"].as_str().unwrap();
    let changed = format!("/people?includeTrash=true&updatedAfter={since}&sort=-updated&limit=1");
    assert_eq!(api.get(&changed).await.ids(), [3]);
    assert_eq!(api.post("/notes", json!({"personId": 3})).await.status, 404);
}
