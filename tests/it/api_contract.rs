//! The API against its document, every endpoint and verb of it: what the connector
//! offers is done as described, what it lacks and what is wrong is refused as described.
//!
//! No entity is named here. Requests are the document's own examples; the ids in them
//! are exchanged for those of real records by holding examples beside these.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::Method;
use rollout_test_apps::follow_up_boss::{Config, Dataset, Simulator};
use serde_json::{Map, Value, json};

use crate::fixtures::{API_KEY, Answer, Client, Document, HostUnderTest, Operation, Setup, app_of};
use crate::sync_entities::furnish;

const NEVER: &str = "00000000-0000-8000-8000-000000000000";
const SYSTEM: [(&str, &str); 2] = [
    ("system", "contract"),
    ("systemKey", "0123456789abcdef0123456789abcdef"),
];

/// A host with an account that has records of every kind.
pub(crate) struct Stage {
    _app: Simulator,
    pub(crate) host: HostUnderTest,
    client: Client,
    pub(crate) account: Client,
    pub(crate) document: Document,
    offers: Value,
    /// Real ids by those of the examples.
    pub(crate) ids: BTreeMap<String, String>,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let [(_, system), (_, key)] = SYSTEM;
        let app = app_of(Config::new(Dataset::demo()).system(system, key));
        furnish(&app);
        let host = HostUnderTest::start(Setup::against(&app).set("sync.poll_interval", "1h")).await;
        let settings = SYSTEM.map(|(name, value)| format!("{name}={value}"));
        let mut configure = vec!["connector", "configure", "follow-up-boss", "--env", "dev"];
        let connectors = crate::fixtures::built().connector.to_str().unwrap();
        configure.extend(["--connectors", connectors]);
        configure.extend(settings.iter().map(String::as_str));
        host.rollout_ok(&configure);

        let client = host.client("contract");
        let document = Document::of(&client, "crm").await;
        let offers = offers();
        let names = offers.as_object().unwrap().keys();
        let flags = names.filter_map(|name| flag(name));
        let flags: Map<String, Value> = flags.map(|flag| (flag, json!(true))).collect();
        let account = client.connect_with(API_KEY, Value::Object(flags)).await;
        account.wait_synced(account.credential()).await;
        let mut stage = Self {
            _app: app,
            host,
            client,
            account,
            document,
            offers,
            ids: BTreeMap::new(),
        };
        stage.learn_ids().await;
        stage
    }

    /// What the connector offers of the entity with this path.
    pub(crate) fn offer(&self, path: &str) -> &Value {
        let mut words = path.split('-');
        let mut name = words.next().unwrap().to_owned();
        for word in words {
            name.push_str(&word[..1].to_uppercase());
            name.push_str(&word[1..]);
        }
        &self.offers[name]
    }

    fn offered(&self, operation: &Operation<'_>) -> bool {
        let offer = self.offer(operation.collection());
        let has = |list: &str, name: &str| {
            let list = offer[list].as_array();
            list.is_some_and(|list| list.iter().any(|one| one == name))
        };
        match (operation.of_record(), operation.method) {
            (None, "GET") => has("verbs", "list") || operation.collection() == "events-feed",
            (None, _) => has("verbs", "create"),
            (Some(""), "GET") => has("verbs", "get"),
            (Some(""), "PUT") => has("verbs", "update"),
            (Some(""), _) => has("verbs", "delete"),
            (Some(sub_action), _) => has("operations", sub_action),
        }
    }

    async fn learn_ids(&mut self) {
        let mut learned = BTreeMap::new();
        for operation in self.document.operations() {
            if operation.method != "GET"
                || operation.of_record().is_some()
                || !self.offered(&operation)
            {
                continue;
            }
            let answer = self.send(&operation, "", "?limit=1", None).await;
            let page = answer.ok();
            let told = &operation.spec["responses"]["200"];
            for example in self.document.examples(told).values() {
                let Some(name) = example["_metadata"]["collection"].as_str() else {
                    continue;
                };
                learn(&example[name][0], &page[name][0], &mut learned);
            }
        }
        self.ids = learned;
    }

    /// An example with the ids of real records. What names a record that this app does
    /// not have is left out.
    fn real(&self, example: &Value) -> Option<Value> {
        match example {
            Value::String(text) if is_id(text) => self.ids.get(text).map(|id| json!(id)),
            Value::Array(items) => Some(items.iter().filter_map(|item| self.real(item)).collect()),
            Value::Object(members) => {
                let members = members.iter();
                let real =
                    members.filter_map(|(name, value)| Some((name.clone(), self.real(value)?)));
                Some(Value::Object(real.collect()))
            }
            other => Some(other.clone()),
        }
    }

    /// The bodies that the document proposes.
    fn bodies(&self, operation: &Operation<'_>) -> Vec<Value> {
        let body = &operation.spec["requestBody"];
        let examples = self.document.examples(body).into_iter();
        examples
            .filter_map(|(_, example)| self.real(&example))
            .collect()
    }

    async fn send(
        &self,
        operation: &Operation<'_>,
        id: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Answer {
        self.send_as(&self.account, operation, id, query, body)
            .await
    }

    async fn send_as(
        &self,
        client: &Client,
        operation: &Operation<'_>,
        id: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Answer {
        let path = operation.path.replace("{id}", id);
        let address = format!("{}{path}{query}", self.document.server());
        let method: Method = operation.method.parse().unwrap();
        let mut request = client.request(method, &address);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = Answer::to(request).await;
        self.document.conforms(operation, &answer);
        answer
    }

    fn find(&self, path: &str, method: &str) -> Option<Operation<'_>> {
        let mut all = self.document.operations().into_iter();
        all.find(|one| one.path == path && one.method == method)
    }
}

/// What the connector's manifest says of every entity.
fn offers() -> Value {
    let manifest = in_repository("example-connectors/follow-up-boss/manifest.json");
    manifest["entities"].clone()
}

/// The name that an entity is opted in to by, if it has to be.
fn flag(entity: &str) -> Option<String> {
    let schema = in_repository(&format!("wit/entities/crm/{entity}.json"));
    schema["x-entity"]["flag"].as_str().map(str::to_owned)
}

fn in_repository(file: &str) -> Value {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read(repository.join(file)).expect(file);
    serde_json::from_slice(&text).expect(file)
}

/// Notes which real id stands where the example has one.
fn learn(example: &Value, real: &Value, ids: &mut BTreeMap<String, String>) {
    match (example, real) {
        (Value::String(example), Value::String(real)) if is_id(example) => {
            ids.entry(example.clone()).or_insert_with(|| real.clone());
        }
        (Value::Array(example), Value::Array(real)) => {
            if let (Some(example), Some(real)) = (example.first(), real.first()) {
                learn(example, real, ids);
            }
        }
        (Value::Object(example), Value::Object(real)) => {
            for (name, example) in example {
                learn(example, real.get(name).unwrap_or(&Value::Null), ids);
            }
        }
        _ => {}
    }
}

pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

pub(crate) fn id_of(record: &Value) -> String {
    record["id"]
        .as_str()
        .expect("a record has an id")
        .to_owned()
}

/// The page's records.
fn records(page: &Value) -> &Vec<Value> {
    let name = page["_metadata"]["collection"].as_str().expect("a page");
    page[name].as_array().expect("records")
}

/// Fails unless the record says what was sent, as far as the app has it.
fn says(answer: &Answer, sent: &Value, at: &str) {
    let record = answer.json();
    let ignored = answer
        .header("x-rollout-ignored-fields")
        .unwrap_or_default();
    let ignored: BTreeSet<&str> = ignored.split(", ").collect();
    let mut compared = 0;
    for (name, value) in sent.as_object().unwrap() {
        let shown = record
            .get(name)
            .filter(|_| !ignored.contains(name.as_str()));
        // Lists and objects come back with more than was sent, and apps number places anew.
        let comparable = value.is_string() || value.is_boolean();
        if let Some(shown) = shown.filter(|_| comparable) {
            assert_eq!(shown, value, "{at}: {name}");
            compared += 1;
        }
    }
    assert!(compared > 0, "{at}: nothing of {sent} is in {record}");
}

#[tokio::test]
async fn what_is_offered_is_done_as_the_document_says() {
    let stage = Stage::set().await;
    let mut done = BTreeSet::new();
    let mut made: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for operation in stage.document.operations() {
        if operation.of_record().is_some() || !stage.offered(&operation) {
            continue;
        }
        let at = format!("{} {}", operation.method, operation.path);
        done.insert(at.clone());
        if operation.method == "POST" {
            for body in stage.bodies(&operation) {
                let answer = stage.send(&operation, "", "", Some(&body)).await;
                assert!(
                    matches!(answer.status, 201 | 202),
                    "{at}: {} {}\n{body:#}",
                    answer.status,
                    answer.text
                );
                if answer.status == 201 {
                    says(&answer, &body, &at);
                    let records = made.entry(operation.path.to_owned());
                    records.or_default().push(answer.json());
                }
            }
            continue;
        }
        let made = made.get(operation.path).and_then(|made| made.last());
        list(&stage, &operation, made).await;
    }
    let operations = stage.document.operations();
    let ends = |one: &Operation<'_>| one.method == "DELETE" && one.of_record() == Some("");
    // What others name is deleted after them, and everything last.
    let (deletes, others): (Vec<_>, Vec<_>) = operations.into_iter().partition(ends);
    for operation in others.into_iter().chain(deletes.into_iter().rev()) {
        let Some(sub_action) = operation.of_record().filter(|_| stage.offered(&operation)) else {
            continue;
        };
        let at = format!("{} {}", operation.method, operation.path);
        done.insert(at.clone());
        let collection = format!("/{}", operation.collection());
        let of_ours = made
            .get(&collection)
            .and_then(|made| made.last())
            .map(id_of);
        let record = match of_ours {
            Some(id) => id,
            None => {
                let lists = stage.find(&collection, "GET").expect("it is listed");
                id_of(&records(&stage.send(&lists, "", "?limit=1", None).await.ok())[0])
            }
        };
        let bodies = match stage.bodies(&operation) {
            none if none.is_empty() => vec![None],
            bodies => bodies.into_iter().map(Some).collect(),
        };
        for body in bodies {
            let answer = stage.send(&operation, &record, "", body.as_ref()).await;
            let shown = answer.ok();
            match (operation.method, sub_action) {
                ("GET", _) => assert_eq!(shown["id"], record, "{at}"),
                ("PUT", "") => says(&answer, &body.unwrap(), &at),
                _ => assert_eq!(shown, json!([]), "{at}"),
            }
        }
        if operation.method == "DELETE" && sub_action.is_empty() {
            let get = stage.find(operation.path, "GET").expect("it is read");
            let gone = stage.send(&get, &record, "", None).await;
            gone.refused(404, "not_found");
        }
    }
    // Everything that the connector offers is in the document, and was done.
    let offered = stage.offers.as_object().unwrap().values();
    let count = |list: &str| -> usize {
        let offered = offered.clone();
        offered
            .filter_map(|offer| offer[list].as_array())
            .map(Vec::len)
            .sum()
    };
    // And the feed.
    assert_eq!(
        done.len(),
        count("verbs") + count("operations") + 1,
        "{done:#?}"
    );
}

/// Lists with every parameter that is described.
async fn list(stage: &Stage, operation: &Operation<'_>, made: Option<&Value>) {
    let at = operation.path;
    let all = stage.send(operation, "", "", None).await.ok();
    assert!(!records(&all).is_empty(), "{at}: the account has none");
    if let Some(made) = made {
        assert!(
            records(&all).iter().any(|one| one["id"] == made["id"]),
            "{at}"
        );
    }
    let two = stage.send(operation, "", "?limit=1", None).await.ok();
    let parameters = stage.document.query(operation);
    let first = &records(&all)[0];
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap();
        let schema = &parameter["schema"];
        let mut values: Vec<Value> = Vec::new();
        match (schema["type"].as_str(), parameter.get("example")) {
            (_, Some(example)) => values.extend(stage.real(example)),
            (Some("integer"), _) => values.push(json!(1)),
            (Some("boolean"), _) => values.push(json!(true)),
            _ if schema["enum"].is_array() => {
                values.extend(schema["enum"].as_array().unwrap().clone())
            }
            _ => values.push(match name {
                "next" => two["_metadata"]["next"].clone(),
                "ids" => first["id"].clone(),
                "updatedSince" => first["rolloutUpdated"].clone(),
                other => panic!("{at}: what is {other}?"),
            }),
        }
        for value in values {
            let Some(text) = value
                .as_str()
                .map(str::to_owned)
                .or(Some(value.to_string()))
            else {
                continue;
            };
            if value.is_null() {
                // One record has no next page.
                assert_eq!(records(&all).len(), 1, "{at} {name}");
                continue;
            }
            let query = [(name, text.as_str())];
            let query = reqwest::Url::parse_with_params("http://x", query).unwrap();
            let query = format!("?{}", query.query().unwrap());
            let page = stage.send(operation, "", &query, None).await.ok();
            let found = records(&page);
            if name == "limit" {
                // A page of the feed may be empty, with more behind it.
                assert!(found.len() <= 1, "{at}{query}");
            }
            if name == "ids" {
                assert_eq!(found, &vec![first.clone()], "{at}{query}");
            }
            // The new record is the example, so the example finds it.
            let narrows = parameter.get("example").is_some();
            if let (true, Some(made)) = (narrows, made) {
                assert!(
                    found.iter().any(|one| one["id"] == made["id"]),
                    "{at}{query}: {made}"
                );
                let total = &page["_metadata"]["total"];
                assert!(
                    total.as_u64() <= all["_metadata"]["total"].as_u64(),
                    "{at}{query}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_offered_or_not_allowed_is_refused_as_the_document_says() {
    let stage = Stage::set().await;
    let stranger = stage.host.stranger().of(stage.account.credential());
    let foreign = stage.host.client("somebody-else");
    let foreign = foreign.connect(API_KEY).await;
    let foreign = stage.client.of(foreign.credential());
    let (mut lacking, mut absent) = (0, 0);
    for operation in stage.document.operations() {
        let at = format!("{} {}", operation.method, operation.path);
        let body = stage.bodies(&operation).into_iter().next();
        let body = body.as_ref();
        let as_who =
            async |client: &Client| stage.send_as(client, &operation, NEVER, "", body).await;
        as_who(&stranger).await.refused(401, "unauthorized");
        as_who(&foreign).await.refused(403, "invalid_credential");
        as_who(&stage.client)
            .await
            .refused(400, "credential_header_missing");
        if stage.offered(&operation) {
            if operation.of_record().is_some() {
                let refused = as_who(&stage.account).await;
                refused.refused(404, "not_found");
                assert!(!refused.text.contains(NEVER), "{at}: {}", refused.text);
                absent += 1;
            }
            continue;
        }
        let refused = as_who(&stage.account).await;
        refused.refused(405, "verb_unsupported");
        let beside = stage.document.operations().into_iter();
        let beside = beside.filter(|one| one.path == operation.path && stage.offered(one));
        let beside: BTreeSet<String> = beside.map(|one| one.method.to_owned()).collect();
        let allow = refused.header("allow").expect(&at).split(", ");
        let allow: BTreeSet<String> = allow
            .filter(|one| !one.is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(allow, beside, "{at}");
        lacking += 1;
    }
    assert!(lacking > 20 && absent > 20, "{lacking} {absent}");
}

#[tokio::test]
async fn what_is_wrong_is_refused_as_the_document_says() {
    let stage = Stage::set().await;
    for operation in stage.document.operations() {
        if stage.offered(&operation) {
            wrong_bodies(&stage, &operation).await;
            wrong_parameters(&stage, &operation).await;
        }
    }
}

async fn wrong_bodies(stage: &Stage, operation: &Operation<'_>) {
    let at = format!("{} {}", operation.method, operation.path);
    for body in stage.bodies(operation) {
        let schema = stage.document.body_schema(operation, &body);
        let properties = schema["properties"].as_object().unwrap();
        let refused = async |body: &Value| -> BTreeMap<String, String> {
            let answer = stage.send(operation, NEVER, "", Some(body)).await;
            let refused = answer.refused(400, "invalid_body");
            let errors = refused["errors"].as_array().unwrap().iter();
            let text = |error: &Value, key: &str| error[key].as_str().expect(key).to_owned();
            let errors = errors.map(|error| (text(error, "pointer"), text(error, "message")));
            errors.collect()
        };
        // A name that lacks its last letter.
        let name = properties.keys().max_by_key(|name| name.len()).unwrap();
        let mut mistyped = body.clone();
        let typed = &name[..name.len() - 1];
        mistyped[typed] = json!("x");
        let errors = refused(&mistyped).await;
        let message = &errors[&format!("/{typed}")];
        assert!(
            message.contains(&format!("did you mean `{name}`")),
            "{at}: {message}"
        );

        // Every field of a wrong type, but what tells the kind.
        let told = |schema: &Value| schema["enum"].is_array();
        let wrong = properties.iter().map(|(name, schema)| match told(schema) {
            true => (name.clone(), body[name].clone()),
            false => (name.clone(), of_wrong_type(schema)),
        });
        let errors = refused(&Value::Object(wrong.collect())).await;
        let expected = properties.iter().filter(|(_, schema)| !told(schema));
        let expected: BTreeSet<String> = expected.map(|(name, _)| format!("/{name}")).collect();
        assert_eq!(
            errors.into_keys().collect::<BTreeSet<_>>(),
            expected,
            "{at}"
        );

        // Nothing at all, where something is required.
        let required = schema["required"].as_array().into_iter().flatten();
        let required: BTreeSet<String> = required
            .filter_map(|name| Some(format!("/{}", name.as_str()?)))
            .collect();
        if !required.is_empty() {
            let kinds = properties.iter().filter(|(_, schema)| told(schema));
            let kinds: Map<String, Value> = kinds
                .map(|(name, _)| (name.clone(), body[name].clone()))
                .collect();
            let expected = required
                .iter()
                .filter(|pointer| !kinds.contains_key(&pointer[1..]));
            let expected: BTreeSet<String> = expected.cloned().collect();
            let errors = refused(&Value::Object(kinds)).await;
            assert_eq!(
                errors.into_keys().collect::<BTreeSet<_>>(),
                expected,
                "{at}"
            );
        }
    }
}

/// True, or a text where that is right.
fn of_wrong_type(schema: &Value) -> Value {
    let types = &schema["type"];
    let boolean = *types == "boolean"
        || types
            .as_array()
            .is_some_and(|all| all.contains(&json!("boolean")));
    if boolean { json!("true") } else { json!(true) }
}

async fn wrong_parameters(stage: &Stage, operation: &Operation<'_>) {
    let body = stage.bodies(operation).into_iter().next();
    for parameter in stage.document.query(operation) {
        let name = parameter["name"].as_str().unwrap();
        let schema = &parameter["schema"];
        let (wrong, code) = match name {
            "next" => ("altered".to_owned(), "invalid_cursor"),
            "ids" => (vec!["x"; 101].join(","), "invalid_query"),
            "updatedSince" => ("yesterday".to_owned(), "invalid_query"),
            _ if schema["type"] != "string" || schema["enum"].is_array() => {
                ("some".to_owned(), "invalid_query")
            }
            // Any text will do.
            _ => continue,
        };
        let answer = stage
            .send(operation, NEVER, &format!("?{name}={wrong}"), body.as_ref())
            .await;
        let refused = answer.refused(400, code);
        let message = refused["errorMessage"].as_str().unwrap();
        assert!(
            message.contains(&format!("`{name}`")),
            "{} {name}: {message}",
            operation.path
        );
    }
}
