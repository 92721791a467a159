//! Lists and single records: envelope, pages, filters.

use std::collections::{BTreeSet, HashSet};

use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Kind};
use serde_json::{Value, json};

use crate::fixtures::{
    API_KEY, Answer, Client, HostUnderTest, Setup, Shared, Stage, app, app_of, until,
};

/// People of the large account; notes and tasks come along.
const PEOPLE: usize = 5_000;

static SMALL: Shared = Shared::new();

/// A dozen people that nobody changes.
async fn small() -> &'static Stage {
    SMALL.get(|| Stage::set(app(Dataset::demo()))).await
}

/// The small account, connected by a consumer.
async fn account(consumer: &str) -> Client {
    small()
        .await
        .host
        .client(consumer)
        .connect_synced(API_KEY)
        .await
}

fn ids(records: &[Value]) -> Vec<String> {
    let ids = records
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// The app's id of a record.
fn original(record: &Value, resource: &str) -> u64 {
    record["originalIds"][resource]
        .as_u64()
        .unwrap_or_else(|| panic!("{record}"))
}

fn by_original(records: &[Value], resource: &str, id: u64) -> Value {
    let found = records.iter().find(|one| original(one, resource) == id);
    found
        .unwrap_or_else(|| panic!("{resource} {id} is not there"))
        .clone()
}

/// All ids, page by page, by `offset`.
async fn by_offset(account: &Client, entity: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let path = format!("/crm/api/{entity}?limit={limit}&offset={}", all.len());
        let page = account.get(&path).await.ok();
        assert_eq!(page["_metadata"]["offset"], all.len());
        let records = page[entity].as_array().unwrap();
        all.extend(ids(records));
        if records.len() < limit {
            return all;
        }
    }
}

#[tokio::test]
async fn a_list_is_an_envelope_with_its_collection() {
    let account = account("envelope").await;
    for (entity, total) in [("people", 12), ("users", 5), ("notes", 8), ("tasks", 8)] {
        let page = account.get(&format!("/crm/api/{entity}")).await.ok();
        let known = page["_metadata"].as_object().unwrap();
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["collection", "offset", "limit", "total", "next", "nextLink"]
        );
        assert_eq!(known["collection"], entity);
        assert_eq!(known["offset"], 0);
        assert_eq!(known["limit"], 100);
        let records = page[entity].as_array().unwrap();
        if entity != "users" {
            assert_eq!(known["total"], total, "{entity}");
        }
        assert_eq!(known["total"], records.len(), "{entity}");
        assert_eq!(known["next"], Value::Null);
        assert_eq!(known["nextLink"], Value::Null);
        assert_eq!(page.as_object().unwrap().len(), 2);

        let one = &records[0];
        let path = format!("/crm/api/{entity}/{}", one["id"].as_str().unwrap());
        assert_eq!(&account.get(&path).await.ok(), one);
        assert!(one["original"][entity].is_object(), "{one}");
        assert!(one["rolloutUpdated"].as_str().unwrap().ends_with('Z'));
    }
}

#[tokio::test]
async fn a_record_is_the_apps_in_our_words_and_ids() {
    let account = account("words").await;
    let (people, users, notes) = (
        account.all("people", "").await,
        account.all("users", "").await,
        account.all("notes", "").await,
    );
    let marcus = by_original(&people, "people", 2);
    let agent = by_original(&users, "users", 3);
    assert_eq!(marcus["name"], "Marcus Lindqvist");
    assert_eq!(marcus["tags"], json!(["Buyer", "First-time"]));
    assert_eq!(marcus["assignedUserId"], agent["id"]);
    assert_eq!(marcus["averagePrice"], 615_000);
    assert_eq!(marcus["customPreferredArea"], "Lakefront");
    assert_eq!(
        marcus["emails"],
        json!([{"value": "marcus.lindqvist@example.com", "type": "home", "status": "Valid", "isPrimary": true}])
    );
    assert_eq!(marcus["created"], "2025-01-19T12:00:00Z");
    let financing = by_original(&notes, "notes", 2);
    assert_eq!(financing["personId"], marcus["id"]);
    assert_eq!(financing["isHtml"], false);

    // SQL shows the same, one column per field.
    let mut sql = small().await.host.sql().await;
    let id = marcus["id"].as_str().unwrap();
    let row: String = sql
        .value(&format!(
            "SELECT \"firstName\" || '|' || \"assignedUserId\" || '|' || \"credentialId\" || '|' || \"appKey\" \
             FROM rollout_people WHERE id = '{id}'"
        ))
        .await;
    let agent = agent["id"].as_str().unwrap();
    assert_eq!(
        row,
        format!("Marcus|{agent}|{}|follow-up-boss", account.credential())
    );
}

#[tokio::test]
async fn filters_narrow_a_list() {
    let account = account("filters").await;
    let people = account.all("people", "").await;
    let of = |id| by_original(&people, "people", id);
    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
    let (first, second, priya) = (id(&of(1)), id(&of(2)), id(&of(3)));
    let never = "00000000-0000-8000-8000-000000000000";
    let tagged = |tags: &[&str]| -> usize {
        let has = |one: &&Value| {
            let own = one["tags"].as_array().unwrap();
            own.iter().any(|tag| tags.contains(&tag.as_str().unwrap()))
        };
        people.iter().filter(has).count()
    };
    for (query, found) in [
        (format!("ids={first},{priya},{never}"), 2),
        (format!("ids={first}&ids={priya}"), 1),
        (format!("ids={never}"), 0),
        ("ids=not-an-id".to_owned(), 0),
        // Nothing asked for is nothing, as after a Deleted event.
        ("ids=".to_owned(), 0),
        ("email=priya.raman@example.com".to_owned(), 1),
        ("email=Priya.Raman@example.com".to_owned(), 0),
        ("email=priya.raman".to_owned(), 0),
        ("email=priya.raman@example.com&tags=Buyer".to_owned(), 0),
        ("email=priya.raman@example.com&tags=Seller".to_owned(), 1),
        ("phone=5550201111".to_owned(), 1),
        ("phone=%28555%29%20020-1111".to_owned(), 1),
        ("phone=0201111".to_owned(), 0),
        ("phone=none".to_owned(), 0),
        ("tags=Buyer".to_owned(), tagged(&["Buyer"])),
        ("tags=buyer".to_owned(), 0),
        (
            "tags=Seller,%20Past%20client".to_owned(),
            tagged(&["Seller", "Past client"]),
        ),
        ("tags=Past+client".to_owned(), tagged(&["Past client"])),
        (format!("tags=Buyer&ids={first},{second},{priya}"), 2),
        ("favourite=true".to_owned(), people.len()),
    ] {
        let page = account.get(&format!("/crm/api/people?{query}")).await.ok();
        assert_eq!(page["people"].as_array().unwrap().len(), found, "{query}");
        assert_eq!(page["_metadata"]["total"], found, "{query}");
    }
    let wei = id(&of(6));
    for (entity, found) in [("notes", 2), ("tasks", 1)] {
        let page = account
            .get(&format!("/crm/api/{entity}?personId={wei}"))
            .await
            .ok();
        assert_eq!(page["_metadata"]["total"], found, "{entity}");
        for record in page[entity].as_array().unwrap() {
            assert_eq!(record["personId"], wei);
        }
        let page = account
            .get(&format!("/crm/api/{entity}?personId={never}"))
            .await
            .ok();
        assert_eq!(page[entity], json!([]));
    }
    let users = account
        .get("/crm/api/users?email=nobody@example.com")
        .await
        .ok();
    assert_eq!(users["users"], json!([]));

    let many = vec![never; 101].join(",");
    let refused = account.get(&format!("/crm/api/people?ids={many}")).await;
    let body = refused.refused(400, "invalid_query");
    assert!(
        body["errorMessage"].as_str().unwrap().contains("100"),
        "{body}"
    );
}

#[tokio::test]
async fn records_are_listed_since_they_changed() {
    let account = account("since").await;
    let people = account.all("people", "").await;
    let newest = people.iter().map(|one| one["rolloutUpdated"].as_str());
    let newest = newest.max().unwrap().unwrap();
    let since = async |time: &str| {
        let time = time.replace('+', "%2B");
        ids(&account.all("people", &format!("updatedSince={time}")).await)
    };
    assert_eq!(since("2020-02-29").await, ids(&people));
    assert!(!since(newest).await.is_empty());
    // The same moment elsewhere.
    let elsewhere = newest.replace('Z', "+00:00");
    assert_eq!(since(&elsewhere).await, since(newest).await);
    assert!(since("2999-01-01T00:00:00Z").await.is_empty());
    let refused = account.get("/crm/api/people?updatedSince=yesterday").await;
    refused.refused(400, "invalid_query");
    // A cursor goes with its filter.
    let page = account.get("/crm/api/people?limit=1&updatedSince=2020-02-29");
    let page = page.await.ok();
    let next = page["_metadata"]["next"].as_str().unwrap();
    let other = format!("/crm/api/people?limit=1&next={next}");
    account.get(&other).await.refused(400, "invalid_cursor");
}

#[tokio::test]
async fn lists_are_sorted_by_a_field() {
    let account = account("sorted").await;
    let newest_first = account.all("people", "").await;
    let name = |one: &Value| one["lastName"].as_str().map(str::to_ascii_lowercase);
    let mut expected = newest_first.clone();
    // Stable, and none comes last both ways.
    expected.sort_by_key(|one| (name(one).is_none(), name(one)));
    assert_eq!(
        ids(&account.all("people", "sort=lastName&limit=3").await),
        ids(&expected)
    );
    expected = newest_first;
    expected.sort_by_key(|one| (name(one).is_none(), std::cmp::Reverse(name(one))));
    assert_eq!(
        ids(&account.all("people", "sort=-lastName&limit=5").await),
        ids(&expected)
    );
    let buyers = account.all("people", "sort=created&tags=Buyer&limit=2");
    let buyers = buyers.await;
    let times: Vec<&str> = buyers
        .iter()
        .filter_map(|one| one["created"].as_str())
        .collect();
    assert!(times.len() > 2 && times.is_sorted(), "{times:?}");
    for (sort, words) in [
        ("lastname", "did you mean `lastName`?"),
        ("emails", "must be one field"),
    ] {
        let refused = account.get(&format!("/crm/api/people?sort={sort}")).await;
        let body = refused.refused(400, "invalid_query");
        assert!(
            body["errorMessage"].as_str().unwrap().contains(words),
            "{body}"
        );
    }
    // A cursor goes with its order.
    let page = account.get("/crm/api/people?limit=1&sort=lastName").await;
    let next = page.ok()["_metadata"]["next"].as_str().unwrap().to_owned();
    for other in ["", "&sort=-lastName", "&sort=firstName"] {
        let other = format!("/crm/api/people?limit=1&next={next}{other}");
        account.get(&other).await.refused(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn filtered_pages_keep_their_filter() {
    let account = account("filtered-pages").await;
    let whole = account.all("people", "tags=Buyer&limit=100").await;
    assert_eq!(account.all("people", "tags=Buyer&limit=2").await, whole);
    let mut page = account.get("/crm/api/people?tags=Buyer&limit=4").await.ok();
    let mut seen = ids(page["people"].as_array().unwrap());
    while let Some(link) = page["_metadata"]["nextLink"].as_str().map(str::to_owned) {
        assert!(link.starts_with("http://127.0.0.1:"), "{link}");
        page = account.get(&link).await.ok();
        assert_eq!(page["_metadata"]["limit"], 4);
        seen.extend(ids(page["people"].as_array().unwrap()));
    }
    assert_eq!(seen, ids(&whole));
}

#[tokio::test]
async fn limits_and_offsets_are_checked_and_clamped() {
    let account = account("limits").await;
    let page = account.get("/crm/api/people?limit=5000").await.ok();
    assert_eq!(page["_metadata"]["limit"], 1000);
    let page = account.get("/crm/api/people?limit=3&offset=11").await.ok();
    assert_eq!(page["people"].as_array().unwrap().len(), 1);
    assert_eq!(page["_metadata"]["offset"], 11);
    let page = account.get("/crm/api/people?offset=10000").await.ok();
    assert_eq!(page["people"], json!([]));
    assert_eq!(page["_metadata"]["total"], 12);
    for query in [
        "limit=abc",
        "limit=0",
        "limit=-1",
        "limit=1.5",
        "limit=",
        "offset=-1",
        "offset=x",
        "offset=10001",
        "offset=99999999999999999999",
        "limit=%FF",
    ] {
        let body = account.get(&format!("/crm/api/people?{query}")).await;
        let body = body.refused(400, "invalid_query");
        let (name, _) = query.split_once('=').unwrap();
        let message = body["errorMessage"].as_str().unwrap();
        assert!(message.contains(name), "{query}: {message}");
        if query == "offset=10001" {
            assert!(message.contains("next"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_cursor_is_good_only_where_it_was_given() {
    let account = account("cursors").await;
    let other = small()
        .await
        .host
        .client("cursors-2")
        .connect_synced(API_KEY)
        .await;
    let page = account.get("/crm/api/people?limit=2").await.ok();
    let next = page["_metadata"]["next"].as_str().unwrap().to_owned();
    // Its own list; `next` beats `offset`.
    let page = account
        .get(&format!("/crm/api/people?limit=3&offset=9&next={next}"))
        .await
        .ok();
    let whole = ids(&account.all("people", "").await);
    assert_eq!(ids(page["people"].as_array().unwrap()), whole[2..5]);
    account
        .get(&format!("/crm/api/people?offset=20000&next={next}"))
        .await
        .ok();
    // An empty one is none.
    let page = account.get("/crm/api/people?limit=2&next=").await.ok();
    assert_eq!(ids(page["people"].as_array().unwrap()), whole[..2]);

    other
        .get(&format!("/crm/api/people?next={next}"))
        .await
        .refused(400, "invalid_cursor");
    let mut altered = next.clone();
    altered.replace_range(0..1, if altered.starts_with('A') { "B" } else { "A" });
    for path in [
        format!("/crm/api/notes?next={next}"),
        format!("/crm/api/people?tags=Buyer&next={next}"),
        format!("/crm/api/people?next={altered}"),
        "/crm/api/people?next=null".to_owned(),
        "/crm/api/people?next=%00".to_owned(),
    ] {
        let answer = account.get(&path).await;
        let code = if path.ends_with("%00") {
            "invalid_query"
        } else {
            "invalid_cursor"
        };
        answer.refused(400, code);
    }
}

#[tokio::test]
async fn five_thousand_people_read_alike_by_next_by_offset_and_after_a_restart() {
    let app = app(Dataset::messy(7, PEOPLE));
    let mut host = HostUnderTest::start(Setup::against(&app)).await;
    let mut account = host.client("many").connect_synced(API_KEY).await;
    let mut first_time = Vec::new();
    for run in ["first", "restarted"] {
        let by_next = account.all("people", "limit=1000").await;
        let ids_by_next = ids(&by_next);
        assert_eq!(
            ids_by_next,
            ids(&account.all("people", "limit=333").await),
            "{run}"
        );
        assert_eq!(
            ids_by_next,
            by_offset(&account, "people", 700).await,
            "{run}"
        );
        let distinct: HashSet<&String> = ids_by_next.iter().collect();
        assert_eq!(distinct.len(), ids_by_next.len());

        // Everybody who isn't in the app's trash, under the app's ids.
        let theirs: BTreeSet<u64> = app
            .people()
            .iter()
            .filter(|person| person["stage"] != "Trash")
            .map(|person| person["id"].as_u64().unwrap())
            .collect();
        let ours: BTreeSet<u64> = by_next.iter().map(|one| original(one, "people")).collect();
        assert_eq!(ours, theirs, "{run}");
        let page = account.get("/crm/api/people?limit=1").await.ok();
        assert_eq!(page["_metadata"]["total"], theirs.len());
        let counted = host.sql().await.count("rollout_people").await;
        assert_eq!(counted, theirs.len() as i64);

        // Notes point at people that are there.
        let notes = account.all("notes", "limit=1000").await;
        let dangling = notes.iter().filter_map(|note| note["personId"].as_str());
        let dangling = dangling
            .filter(|id| !distinct.contains(&(*id).to_owned()))
            .count();
        assert!(dangling * 10 < notes.len(), "{dangling} of {}", notes.len());

        if run == "first" {
            first_time = ids_by_next;
            host.stop();
            host.restart().await;
            account = host.client("many").of(account.credential());
        } else {
            assert_eq!(ids_by_next, first_time);
        }
    }
}

#[tokio::test]
async fn paging_is_not_disturbed_by_changes_on_the_way() {
    let app = app(Dataset::bulk(1_500));
    let setup = Setup::against(&app).set("sync.poll_interval", "100ms");
    let host = HostUnderTest::start(setup).await;
    let account = host.client("changes").connect_synced(API_KEY).await;
    let before = account.all("people", "limit=1000").await;
    let gone = [before[400].clone(), before[1200].clone()];
    let changed = before[900].clone();

    let mut page = account.get("/crm/api/people?limit=100").await.ok();
    let mut seen = ids(page["people"].as_array().unwrap());
    let mut added = 0;
    while let Some(next) = page["_metadata"]["next"].as_str().map(str::to_owned) {
        if seen.len() == 200 {
            for person in &gone {
                let path = format!("/crm/api/people/{}", person["id"].as_str().unwrap());
                account.delete(&path).await.ok();
            }
            let path = format!("/crm/api/people/{}", changed["id"].as_str().unwrap());
            account
                .put(&path, json!({"firstName": "Changed"}))
                .await
                .ok();
            // And behind our back, at the app.
            let here = original(&before[700], "people");
            app.update_person(here, json!({"firstName": "Elsewhere"}));
            let path = format!("/crm/api/people/{}", before[700]["id"].as_str().unwrap());
            until("the app's change has come", async || {
                let person = account.get(&path).await.ok();
                (person["firstName"] == "Elsewhere").then_some(())
            })
            .await;
        }
        let body = json!({"firstName": "New", "lastName": format!("Person {added}")});
        account.post("/crm/api/people", body).await.with(201);
        added += 1;
        page = account
            .get(&format!("/crm/api/people?limit=100&next={next}"))
            .await
            .ok();
        seen.extend(ids(page["people"].as_array().unwrap()));
    }
    // Whoever was there throughout is seen exactly once, in the same order.
    let gone = ids(&gone);
    let expected: Vec<String> = ids(&before)
        .into_iter()
        .filter(|id| !gone.contains(id))
        .collect();
    assert_eq!(seen, expected);
    let page = account.get("/crm/api/people?limit=1").await.ok();
    assert_eq!(
        page["_metadata"]["total"],
        before.len() - gone.len() + added
    );
    assert_eq!(
        page["people"][0]["lastName"],
        format!("Person {}", added - 1)
    );
}

#[tokio::test]
async fn nothing_is_read_before_the_first_sync_is_complete() {
    let app = app_of(Config::of(
        AccountConfig::new(Dataset::bulk(3_000).with(
            Kind::Notes,
            json!({"personId": 1, "subject": "", "body": "x", "isHtml": false}),
        ))
        .key(API_KEY, 1),
    ));
    let setup = Setup::against(&app).set("sync.page_records", 500);
    let host = HostUnderTest::start(setup).await;
    let client = host.client("waiting");
    // Long enough for everything that is asked meanwhile, and cut short below.
    let hold =
        rollout_test_apps::follow_up_boss::Fault::Delay(std::time::Duration::from_millis(400));
    app.fail_next_at("/v1/people", 12, hold);
    let account = client.connect_with(API_KEY, json!({"notes": true})).await;

    let refused = account.get("/crm/api/people").await;
    let body = refused.refused(409, "data_not_ready");
    assert_eq!(
        body["errorMessage"],
        "Data for this credential is not ready yet. Please try again."
    );
    assert!(refused.header("retry-after").is_some());
    // Everything waits for users and people, writes too.
    let never = "00000000-0000-8000-8000-000000000000";
    for path in ["users", "notes", "people"] {
        account
            .get(&format!("/crm/api/{path}"))
            .await
            .refused(409, "data_not_ready");
        account
            .get(&format!("/crm/api/{path}/{never}"))
            .await
            .refused(409, "data_not_ready");
    }
    let person = json!({"firstName": "A", "lastName": "B"});
    account
        .post("/crm/api/people", person)
        .await
        .refused(409, "data_not_ready");
    let path = format!("/crm/api/people/{never}");
    account
        .put(&path, json!({"firstName": "A"}))
        .await
        .refused(409, "data_not_ready");
    account.delete(&path).await.refused(409, "data_not_ready");
    assert_eq!(app.people_count(), 3_000);

    // What is there can be had by those who ask for it.
    let partial = until("a part of the people is there", async || {
        let request = account
            .request(reqwest::Method::GET, "/crm/api/people?limit=1")
            .header("X-Rollout-Allow-Partial", "true");
        let page = Answer::to(request).await.ok();
        let some = page["_metadata"]["total"].as_u64() > Some(0);
        some.then_some(page)
    })
    .await;
    assert_eq!(partial["_metadata"]["partial"], true, "{partial}");
    let there = partial["people"][0]["id"].as_str().unwrap();
    let one = format!("/crm/api/people/{there}");
    account.get(&one).await.refused(409, "data_not_ready");
    let request = account.request(reqwest::Method::GET, &one);
    let request = request.header("X-Rollout-Allow-Partial", "true");
    assert_eq!(Answer::to(request).await.ok(), partial["people"][0]);
    let shown = client.get("/api/credentials").await.ok();
    let sync = &shown[0]["sync"];
    assert_eq!(sync["status"], "running", "{sync}");
    assert!(
        sync["entities"]["people"]["records"].as_u64() < Some(3_000),
        "{sync}"
    );
    assert_eq!(sync["entities"]["people"]["total"], 3_000, "{sync}");

    app.clear_faults();
    client.wait_synced(account.credential()).await;
    assert_eq!(account.all("people", "limit=1000").await.len(), 3_000);
    let request = account
        .request(reqwest::Method::GET, "/crm/api/people?limit=1")
        .header("X-Rollout-Allow-Partial", "true");
    assert!(
        Answer::to(request).await.ok()["_metadata"]
            .get("partial")
            .is_none()
    );

    // Not opted in is another matter: waiting doesn't help.
    for answer in [
        account.get("/crm/api/tasks").await,
        account
            .post("/crm/api/tasks", json!({"personId": never}))
            .await,
    ] {
        let body = answer.refused(409, "entity_not_synced");
        assert!(body.to_string().contains("tasks"), "{body}");
    }
}
