//! Every route × whose id × which token: what is somebody else's, deleted or malformed is
//! answered like what never was, to the last byte.
//!
//! The routes are the router's own list, so a new one is asked at once; one with a
//! parameter that this test does not know fails it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Simulator};
use serde_json::{Value, json};

use crate::fixtures::{
    API_KEY, Answer, Client, HostUnderTest, Keys, Setup, app_of, database, key_of, now, until,
};

const NEVER: &str = "00000000-0000-7000-8000-000000000000";
const OWN_WITH_FOREIGN_RECORD: &str = "own, with another consumer's record";
/// Requests that are under way at once.
const AT_ONCE: usize = 16;

/// A line of the router's table.
struct Route {
    path: String,
    methods: Vec<Method>,
    access: String,
}

impl Route {
    /// All of them, as the program says.
    fn all(host: &HostUnderTest) -> Vec<Self> {
        let listed: Value = serde_json::from_str(&host.rollout_ok(&["routes"])).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let routes: Vec<Self> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|route| Self {
                path: text(&route["path"]),
                methods: route["methods"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|method| text(method).parse().unwrap())
                    .collect(),
                access: text(&route["access"]),
            })
            .collect();
        assert!(routes.len() > 20, "{listed}");
        routes
    }

    fn is_of_category(&self) -> bool {
        !self.path.starts_with("/api/") && self.path.contains("/api/")
    }

    /// Whether it is about an account or a record of one.
    fn names_something(&self) -> bool {
        let in_path = ["{id}", "{credential}", "{webhook}"];
        // A delivery is found by its webhook, and there may be none yet.
        let named = in_path.iter().any(|name| self.path.contains(name));
        let named = named && !self.path.contains("{number}");
        self.access != "anyone" && (named || self.is_of_category())
    }

    /// The bodies that are tried: those that would do something if they got through.
    fn bodies(&self, method: &Method) -> Vec<Option<Value>> {
        if method == Method::GET || method == Method::DELETE {
            return vec![None];
        }
        let bodies = if self.is_of_category() {
            vec![
                json!({"firstName": "Eve", "lastName": "Mallory"}),
                json!({"tags": ["intruder"]}),
                json!({"url": "https://127.0.0.1:9/mine"}),
            ]
        } else {
            vec![
                json!({"label": "mine now"}),
                json!({"userInputs": {"apiKey": API_KEY}}),
                json!({"currentData": {"apiKey": API_KEY}}),
                json!({"consumerKey": "eve"}),
            ]
        };
        std::iter::once(None)
            .chain(bodies.into_iter().map(Some))
            .collect()
    }

    /// The address with everything filled in.
    fn address(&self, ids: &Ids) -> String {
        let mut address = String::new();
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            address.push_str(before);
            let id = match name {
                "id" if self.is_of_category() => ids.record.as_str(),
                "id" | "credential" => ids.credential.as_str(),
                "consumer" => ids.consumer.as_str(),
                "webhook" if self.is_of_category() => ids.webhook.as_str(),
                "webhook" => ids.webhook_of_all.as_str(),
                "number" => "1",
                "entity" => "people",
                "*operation" => "tags/apply",
                "*path" => "v1/people",
                "key" => "follow-up-boss",
                "part" | "*part" => "style.css",
                other => panic!("{}: say here what {{{other}}} is", self.path),
            };
            if name.starts_with('*') {
                address.push_str(id);
            } else {
                address.push_str(&encoded(id));
            }
            rest = after;
        }
        address.push_str(rest);
        // Whoever reads it from the query is asked, too.
        let id = encoded(&ids.credential);
        format!("{address}?credentialId={id}&state={id}")
    }
}

/// A text as a part of an address.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'-' => "-".to_owned(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// A page without what is new in each answer.
fn without_nonces(text: &str) -> String {
    let (first, rest) = text.split_once("nonce=\"").unwrap_or((text, ""));
    let rest = rest.split("nonce=\"").map(|part| {
        let (_, after) = part.split_once('"').unwrap_or(("", part));
        after
    });
    std::iter::once(first).chain(rest).collect()
}

/// What a request names.
#[derive(Clone, Debug)]
struct Ids {
    whose: &'static str,
    credential: String,
    record: String,
    consumer: String,
    /// The account's.
    webhook: String,
    /// The environment's.
    webhook_of_all: String,
}

impl Ids {
    fn never() -> Self {
        Self::alike("never", NEVER)
    }

    fn alike(whose: &'static str, id: &str) -> Self {
        Self {
            whose,
            credential: id.to_owned(),
            record: id.to_owned(),
            consumer: id.to_owned(),
            webhook: id.to_owned(),
            webhook_of_all: id.to_owned(),
        }
    }

    /// The same request about what never was.
    fn absent(&self) -> Self {
        let never = Self::never();
        if self.whose == OWN_WITH_FOREIGN_RECORD {
            let credential = self.credential.clone();
            return Self {
                credential,
                ..never
            };
        }
        never
    }

    /// Those of an account with its first person, and with webhooks of its own and of its
    /// environment.
    async fn of(whose: &'static str, consumer: &str, account: &Client, all: &Client) -> Self {
        let people = account.get("/crm/api/people?limit=1").await.ok();
        Self {
            whose,
            credential: account.credential().to_owned(),
            record: people["people"][0]["id"].as_str().unwrap().to_owned(),
            consumer: consumer.to_owned(),
            webhook: webhook(account, "/crm/api/webhooks").await,
            webhook_of_all: webhook(all, "/api/webhooks").await,
        }
    }
}

/// The first webhook of a list, or a new one. Nobody is there to receive.
async fn webhook(client: &Client, list: &str) -> String {
    let all = client.get(list).await.ok();
    let found = match all["webhooks"].get(0) {
        Some(webhook) => webhook.clone(),
        None => {
            let body = json!({"event": "officesCreated", "url": "https://127.0.0.1:9/own"});
            client.post(list, body).await.with(201)
        }
    };
    found["id"].as_str().unwrap().to_owned()
}

/// A token, and what must look to its bearer as if it were not there.
struct Bearer {
    name: &'static str,
    client: Client,
    foreign: Vec<Ids>,
}

/// Four accounts: of two consumers, of another environment, and a deleted one.
struct World {
    app: Simulator,
    keys: Keys,
    shop: Keys,
    own: Ids,
    others: Ids,
    elsewhere: Ids,
    deleted: Ids,
}

fn simulator() -> Simulator {
    let config = (2..=4).fold(Config::new(Dataset::demo()), |config, id| {
        config.account(
            AccountConfig::new(Dataset::demo())
                .id(id)
                .key(key_of(id), 1),
        )
    });
    app_of(config)
}

fn setup(app: &Simulator) -> Setup {
    Setup::against(app)
        .set("sync.poll_interval", "1h")
        .set("api.requests_per_second", 0)
        .set("webhooks.allowed_private", vec!["127.0.0.1:9"])
}

impl World {
    async fn made_at(host: &HostUnderTest, app: Simulator, shop: Keys) -> Self {
        host.rollout_ok(&["env", "set", "dev", "--include-data", "on"]);
        let elsewhere = host.client_with_token(&shop.admin_token());
        let connected = async |client: Client, whose, consumer, key: &str| {
            let account = client.connect_synced(key).await;
            let there = key == key_of(3);
            let all = if there { &elsewhere } else { &host.admin() };
            (Ids::of(whose, consumer, &account, all).await, account)
        };
        let (own, _) = connected(host.client("alice"), "own", "alice", API_KEY).await;
        let bob = host.client("bob");
        let (others, _) = connected(bob, "another consumer's", "bob", &key_of(2)).await;
        let there = host.client_with_token(&shop.token("alice"));
        there.served().await;
        let (elsewhere, _) = connected(there, "another environment's", "alice", &key_of(3)).await;
        let (mut deleted, gone) =
            connected(host.client("alice"), "deleted", "alice", &key_of(4)).await;
        // Its environment is still there.
        NEVER.clone_into(&mut deleted.webhook_of_all);
        let path = format!("/api/credentials?credentialId={}", gone.credential());
        assert_eq!(gone.delete(&path).await.status, 204);
        Self {
            app,
            keys: host.keys().clone(),
            shop,
            own,
            others,
            elsewhere,
            deleted,
        }
    }

    fn malformed(&self) -> Vec<Ids> {
        let theirs = &self.others.credential;
        let long = "x".repeat(300);
        vec![
            Ids::alike("malformed: short", "x"),
            Ids::alike("malformed: SQL", "' OR 1=1 --"),
            Ids::alike("malformed: long", &long),
            Ids::alike("malformed: in capitals", &theirs.to_uppercase()),
            Ids::alike("malformed: without hyphens", &theirs.replace('-', "")),
        ]
    }

    fn bearers(&self, host: &HostUnderTest) -> Vec<Bearer> {
        let with = |token: String| host.client_with_token(&token);
        let named = |all: &[&Ids]| -> Vec<Ids> { all.iter().map(|ids| (*ids).clone()).collect() };
        let malformed = self.malformed();
        let mut to_alice = named(&[&self.others, &self.elsewhere, &self.deleted]);
        // Her own account, and a record of another's.
        to_alice.push(Ids {
            whose: OWN_WITH_FOREIGN_RECORD,
            credential: self.own.credential.clone(),
            ..self.others.clone()
        });
        let mut proxy = self.keys.claims("alice");
        proxy["scope"] = json!("proxy");
        let mut bearers = vec![
            Bearer {
                name: "a consumer",
                client: with(self.keys.token("alice")),
                foreign: to_alice.clone(),
            },
            Bearer {
                name: "a consumer, for the proxy",
                client: with(self.keys.sign(&proxy)),
                foreign: to_alice,
            },
            Bearer {
                name: "the environment",
                client: with(self.keys.admin_token()),
                foreign: named(&[&self.elsewhere, &self.deleted]),
            },
            Bearer {
                name: "another environment's consumer",
                client: with(self.shop.token("alice")),
                foreign: named(&[&self.own, &self.others, &self.deleted]),
            },
            Bearer {
                name: "another environment",
                client: with(self.shop.admin_token()),
                foreign: named(&[&self.own, &self.others, &self.deleted]),
            },
        ];
        for bearer in &mut bearers {
            bearer.foreign.extend(malformed.iter().cloned());
        }
        bearers
    }

    /// Tokens that are not valid, and none.
    fn invalid(&self, host: &HostUnderTest) -> Vec<(&'static str, Client)> {
        let mut expired = self.keys.claims("alice");
        expired["exp"] = json!(now() - 3600);
        let forged = Keys {
            client_id: self.keys.client_id.clone(),
            client_secret: self.shop.client_secret.clone(),
        };
        vec![
            ("expired", host.client_with_token(&self.keys.sign(&expired))),
            ("forged", host.client_with_token(&forged.token("alice"))),
            ("no token", host.stranger()),
        ]
    }

    /// All that others have, as they see it.
    async fn untouched(&self, host: &HostUnderTest) -> Vec<String> {
        let bob = host.client("bob").of(&self.others.credential);
        let there = host.client_with_token(&self.shop.token("alice"));
        let there = there.of(&self.elsewhere.credential);
        let mut seen = Vec::new();
        for account in [bob, there] {
            let path = format!("/api/credentials/{}", account.credential());
            seen.push(account.get(&path).await.ok().to_string());
            let people = account.all("people", "limit=100").await;
            assert!(!people.is_empty());
            seen.push(json!(people).to_string());
            seen.push(account.get("/crm/api/webhooks").await.ok().to_string());
        }
        seen
    }
}

/// One request of the matrix.
#[derive(Clone)]
struct Asked<'a> {
    route: &'a Route,
    method: Method,
    body: Option<Value>,
}

impl Asked<'_> {
    async fn by(&self, client: &Client, ids: &Ids) -> (u16, String) {
        let client = if self.route.is_of_category() {
            client.of(&ids.credential)
        } else {
            client.clone()
        };
        let request = client.request(self.method.clone(), &self.route.address(ids));
        let request = match &self.body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = Answer::to(request).await;
        (answer.status, without_nonces(&answer.text))
    }

    fn what(&self) -> String {
        let body = self.body.as_ref().map(Value::to_string);
        let path = &self.route.path;
        format!("{} {path} {}", self.method, body.unwrap_or_default())
    }

    /// What is said of foreign ids is what is said of one that never was.
    async fn is_blind(&self, bearer: &Bearer) {
        let foreign: Vec<&Ids> = bearer
            .foreign
            .iter()
            .filter(|ids| !self.is_history(bearer, ids) && self.is_asked(ids))
            .collect();
        for ids in foreign {
            let mut tries = 0;
            let answer = loop {
                // What is numbered or written down meanwhile changes both.
                let expected = self.by(&bearer.client, &ids.absent()).await;
                let answer = self.by(&bearer.client, ids).await;
                if answer == expected {
                    break answer;
                }
                tries += 1;
                assert!(
                    self.method == Method::GET && tries < 5,
                    "{} by {} with {} ids:\n{answer:?}\nand not\n{expected:?}",
                    self.what(),
                    bearer.name,
                    ids.whose
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            let told = [&ids.credential, &ids.record];
            let is_id = |id: &str| id.len() == NEVER.len();
            let told = told.iter().filter(|id| is_id(id));
            for id in told {
                let known = bearer.name == "the environment" || ids.whose.starts_with("own");
                assert!(
                    known || !answer.1.contains(id.as_str()),
                    "{} tells {} about {} ids",
                    self.what(),
                    bearer.name,
                    ids.whose
                );
            }
        }
    }

    /// Her own account is somebody else's in nothing but the record.
    fn is_asked(&self, ids: &Ids) -> bool {
        let named = ["{id}", "{webhook}"];
        let named = named.iter().any(|name| self.route.path.contains(name));
        let of_record = self.route.is_of_category() && named;
        ids.whose != OWN_WITH_FOREIGN_RECORD || of_record
    }

    /// What the environment is told of an account that it had.
    fn is_history(&self, bearer: &Bearer, ids: &Ids) -> bool {
        let kept = ["/api/outbound-calls", "/api/events-feed"];
        bearer.name == "the environment"
            && ids.whose == "deleted"
            && kept.contains(&self.route.path.as_str())
    }
}

fn asked(routes: &[Route]) -> Vec<Asked<'_>> {
    let mut asked = Vec::new();
    for route in routes {
        for method in &route.methods {
            asked.extend(route.bodies(method).into_iter().map(|body| Asked {
                route,
                method: method.clone(),
                body,
            }));
        }
    }
    asked
}

/// The whole matrix, asked at this host.
async fn matrix(world: &World, host: &HostUnderTest) {
    let routes = Route::all(host);
    let asked = asked(&routes);
    let before = world.untouched(host).await;
    let sent = world.app.requests().len();

    // Without a valid token everything is one answer.
    let expected = host.stranger().get("/api/credentials").await;
    expected.refused(401, "unauthorized");
    let all = [
        world.own.clone(),
        world.others.clone(),
        world.elsewhere.clone(),
        world.deleted.clone(),
        Ids::never(),
    ];
    for (name, client) in world.invalid(host) {
        let refused = stream::iter(&asked).for_each_concurrent(AT_ONCE, async |one| {
            for ids in all.iter().chain(&world.malformed()) {
                let answer = one.by(&client, ids).await;
                let open = one.route.access == "anyone";
                let is_refused = answer == (401, expected.text.clone());
                let told = format!("{}, {name}, {} ids: {answer:?}", one.what(), ids.whose);
                assert_eq!(is_refused, !open, "{told}");
            }
        });
        refused.await;
    }
    for bearer in world.bearers(host) {
        stream::iter(&asked)
            .for_each_concurrent(AT_ONCE, async |one| one.is_blind(&bearer).await)
            .await;
    }
    let sent = &world.app.requests()[sent..];
    assert!(sent.is_empty(), "this went to the app: {sent:?}");
    assert_eq!(world.untouched(host).await, before);

    // The same requests do something for whom they are meant for.
    let mut own: Vec<&Asked<'_>> = asked
        .iter()
        .filter(|one| one.route.names_something())
        .filter(|one| !one.route.is_of_category() || one.route.path.starts_with("/crm/"))
        .collect();
    // Last of all what ends it.
    own.sort_by_key(|one| one.method == Method::DELETE);
    let alice = host.client("alice").of(&world.own.credential);
    let mut seen = BTreeSet::new();
    let bearers = world.bearers(host);
    for one in own {
        let ids = Ids::of("own", "alice", &alice, &host.admin()).await;
        let mut reached = false;
        for bearer in bearers.iter().take(3) {
            let never = one.by(&bearer.client, &Ids::never()).await;
            reached |= one.by(&bearer.client, &ids).await != never;
        }
        assert!(reached, "{} reaches nothing", one.what());
        seen.insert(one.route.path.clone());
    }
    let named = routes.iter().filter(|route| route.names_something());
    assert!(seen.len() >= 8 && seen.len() <= named.count(), "{seen:?}");
    let gone = format!("/api/credentials?credentialId={}", world.own.credential);
    assert_eq!(alice.delete(&gone).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ones_own_is_not_there() {
    let app = simulator();
    let host = HostUnderTest::start(setup(&app)).await;
    let shop = host.create_environment("shop");
    let world = World::made_at(&host, app, shop).await;
    matrix(&world, &host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_at_another_host() {
    let app = simulator();
    let database = database();
    let config = setup(&app).on(&database);
    let one = HostUnderTest::start(config.clone()).await;
    let other = one.beside(config).await;
    let shop = one.create_environment_on("shop", &crate::fixtures::database());
    let world = World::made_at(&one, app, shop).await;
    // The other has heard of everything.
    let bob = other.client("bob").of(&world.others.credential);
    let there = other.client_with_token(&world.shop.token("alice"));
    let there = there.of(&world.elsewhere.credential);
    for account in [bob, there] {
        until("the other host serves it", async || {
            (account.get("/crm/api/people").await.status == 200).then_some(())
        })
        .await;
    }
    let gone = other.client("alice").of(&world.deleted.credential);
    until("the other host refuses the deleted one", async || {
        (gone.get("/crm/api/people").await.status == 403).then_some(())
    })
    .await;
    matrix(&world, &other).await;
}

#[tokio::test]
async fn cursors_lead_on_for_whom_they_were_made_only() {
    let app = simulator();
    let host = HostUnderTest::start(setup(&app)).await;
    let shop = host.create_environment("shop");
    let alice = host.client("alice").connect_synced(API_KEY).await;
    let bob = host.client("bob").connect_synced(&key_of(2)).await;
    let there = host.client_with_token(&shop.token("alice"));
    there.served().await;
    let there = there.connect_synced(API_KEY).await;
    for entity in ["people", "users", "notes", "tasks"] {
        let path = |next: &str| format!("/crm/api/{entity}?limit=1&next={next}");
        let first = alice.get(&format!("/crm/api/{entity}?limit=1")).await.ok();
        let next = first["_metadata"]["next"].as_str().unwrap();
        alice.get(&path(next)).await.ok();
        let expected = bob.get(&path("x")).await;
        expected.refused(400, "invalid_cursor");
        for stranger in [&bob, &there] {
            let answer = stranger.get(&path(next)).await;
            assert_eq!((answer.status, &answer.text), (400, &expected.text));
        }
    }
}
