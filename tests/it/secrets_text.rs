//! The names of slots, in whatever notation, are text like any other: they pass
//! through reads and writes unchanged, and nothing is put in their place.

use rollout_test_apps::follow_up_boss::{Dataset, Kind};
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, HostUnderTest, Setup, app};
use crate::secrets_guests::holds;

/// Every slot of the connector in every notation.
fn names() -> Vec<String> {
    let slots = ["apiKey", "system", "systemKey", "access-token", "session"];
    let notations = [
        "{{@}}", "{{ @ }}", "{{{@}}}", "${@}", "$@", "%@%", "{@}", "<@>", "<%= @ %>", "#{@}", ":@",
        "@",
    ];
    slots
        .iter()
        .flat_map(|slot| notations.map(|notation| notation.replace('@', slot)))
        .collect()
}

#[tokio::test]
async fn what_the_app_has_is_read_as_it_is() {
    let names = names();
    let app = app(Dataset::empty());
    for name in &names {
        let person = app.insert_person(json!({
            "firstName": name, "lastName": name, "stage": "Lead", "source": name,
            "tags": [name, "Buyer"], "customPreferredArea": name,
            "emails": [{"value": format!("{name}@example.com"), "type": name}],
        }));
        app.add_note(person, &format!("The key is {name}."));
    }
    let host = HostUnderTest::start(Setup::against(&app)).await;
    let account = host.client("names").connect_synced(API_KEY).await;

    let people = account.all("people", "").await;
    let notes = account.all("notes", "").await;
    assert_eq!((people.len(), notes.len()), (names.len(), names.len()));
    for name in &names {
        let found: Vec<&Value> = people
            .iter()
            .filter(|person| person["lastName"] == json!(name))
            .collect();
        let [person] = found[..] else {
            panic!("{name}: {} people", found.len());
        };
        assert_eq!(person["firstName"], json!(name));
        assert_eq!(person["source"], json!(name));
        assert_eq!(person["tags"], json!([name, "Buyer"]));
        assert_eq!(person["customPreferredArea"], json!(name));
        assert_eq!(
            person["emails"][0]["value"],
            json!(format!("{name}@example.com"))
        );
        assert_eq!(person["original"]["people"]["lastName"], json!(name));
        let body = format!("The key is {name}.");
        let note = notes.iter().find(|note| note["body"] == json!(body));
        assert_eq!(note.expect(name)["personId"], person["id"]);
    }
    let page = account
        .get("/crm/api/people?tags=%7B%7BapiKey%7D%7D")
        .await
        .ok();
    assert_eq!(page["people"].as_array().unwrap().len(), 1, "{page}");
}

#[tokio::test]
async fn what_is_written_arrives_as_it_is() {
    let names = names();
    let app = app(Dataset::empty());
    let host = HostUnderTest::start(Setup::against(&app)).await;
    let account = host.client("names").connect_synced(API_KEY).await;
    app.clear_requests();
    // One record that holds them all, and the notations of the key one by one.
    let all = names.join(" ");
    let body = json!({"firstName": all, "lastName": "{{apiKey}}", "tags": names, "customPreferredArea": all});
    let created = account.post("/crm/api/people", body).await.with(201);
    let id = record_id(&created);
    let upstream = app.people()[0].clone();
    assert_eq!(upstream["firstName"], json!(all));
    assert_eq!(upstream["lastName"], "{{apiKey}}");
    assert_eq!(upstream["tags"], json!(names));
    assert_eq!(upstream["customPreferredArea"], json!(all));

    let note = json!({"personId": id, "subject": "${apiKey}", "body": all});
    account.post("/crm/api/notes", note).await.with(201);
    let note = app.notes()[0].clone();
    assert_eq!(
        (&note["subject"], &note["body"]),
        (&json!("${apiKey}"), &json!(all))
    );

    let path = format!("/crm/api/people/{id}");
    for name in &names[..12] {
        account.put(&path, json!({"lastName": name})).await.ok();
        assert_eq!(app.people()[0]["lastName"], json!(name));
        let there = account.get(&path).await.ok();
        assert!(holds(&there, name), "{name}: {there}");
    }
    let applied = account
        .post(
            &format!("{path}/tags/apply"),
            json!({"tags": ["%systemKey% again"]}),
        )
        .await;
    assert_eq!(applied.status, 200, "{}", applied.text);
    let tags = app
        .get(Kind::People, upstream["id"].as_u64().unwrap())
        .unwrap()["tags"]
        .clone();
    assert_eq!(tags.as_array().unwrap().len(), names.len() + 1, "{tags}");
    assert!(holds(&tags, "%systemKey% again"), "{tags}");

    // The key went where it belongs, and only there.
    let basic = Some(format!("Basic {}", base64(&format!("{API_KEY}:"))));
    for request in app.requests() {
        assert_eq!(request.authorization, basic);
        assert!(
            !request.body.contains(API_KEY) && !request.query.contains(API_KEY),
            "{request:?}"
        );
    }
}

/// The id in the answer to a write, which has the record's envelope or is the record.
fn record_id(created: &Value) -> String {
    let id = created["id"].as_str().or(created["person"]["id"].as_str());
    id.unwrap_or_else(|| panic!("no id in {created}"))
        .to_owned()
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
