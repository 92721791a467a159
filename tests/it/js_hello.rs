//! The connector in JavaScript: its own HTTP library goes through the host's egress,
//! and through nothing else.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixtures::{API_KEY, APP_ORIGIN, Answer, Client, HostUnderTest, Setup, app, until};
use crate::misbehaving_stage::PLANTED;
use crate::secrets_guests::forms;

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../example-connectors/js-hello"
);

fn with_js(setup: Setup) -> Setup {
    setup
        .set("connectors.dirs", vec![FOLDER])
        .set("sync.poll_interval", "200ms")
        .set("log.level", "debug")
}

async fn try_connect(client: &Client, key: &str) -> Answer {
    let body = json!({"appKey": "js-hello", "userInputs": {"apiKey": key}});
    client.post("/api/credentials", body).await
}

async fn connect_synced(client: &Client, key: &str) -> Client {
    let connected = try_connect(client, key).await.ok();
    let account = client.of(connected["id"].as_str().unwrap());
    account.wait_synced(account.credential()).await;
    account
}

#[tokio::test]
async fn it_syncs_the_apps_people_and_users() {
    let app = app(Dataset::bulk(250));
    let host = HostUnderTest::start(with_js(Setup::against(&app))).await;
    let client = host.client("js");
    let refused = try_connect(&client, "fka_wrong").await;
    refused.refused(400, "invalid_credentials");
    let account = connect_synced(&client, API_KEY).await;

    let people = app.people();
    assert_eq!(people.len(), 250);
    same(
        &account,
        "people",
        &people,
        &["name", "firstName", "lastName", "stage", "tags", "created"],
    )
    .await;
    same(
        &account,
        "users",
        &app.users(),
        &["firstName", "lastName", "email", "role"],
    )
    .await;
    let requests = app.requests();
    let pages = requests
        .iter()
        .filter(|request| request.path == "/v1/people");
    assert!(pages.count() >= 3, "{requests:#?}");

    let born = app.insert_person(json!({"firstName": "Łucja", "lastName": "Ørsted ☀"}));
    until("the new person is there", async || {
        let shown = account.all("people", "limit=1000").await;
        shown.iter().find(|one| id(one, "people") == born).cloned()
    })
    .await;
    same(
        &account,
        "people",
        &app.people(),
        &["firstName", "lastName"],
    )
    .await;
}

/// What the host shows has the app's ids, and these fields as they are there.
async fn same(account: &Client, entity: &str, theirs: &[Value], fields: &[&str]) {
    let ours = account.all(entity, "limit=1000").await;
    assert_eq!(ours.len(), theirs.len());
    for one in theirs {
        let number = one["id"].as_u64().unwrap();
        let shown = ours.iter().find(|shown| id(shown, entity) == number);
        let shown = shown.unwrap_or_else(|| panic!("{entity} {number} is missing"));
        for field in fields {
            assert_eq!(shown[field], one[field], "{field} of {shown}");
        }
    }
}

fn id(shown: &Value, entity: &str) -> u64 {
    shown["originalIds"][entity].as_u64().unwrap()
}

#[tokio::test]
async fn what_the_app_echoes_of_a_key_is_blanked_for_it() {
    let echo = App::serve(|request| match request.path.as_str() {
        "/v1/identity" => ok(json!({"account": {"id": 1}, "user": {"id": 1, "name": "Ada"}})),
        "/v1/users" => ok(json!({"users": []})),
        _ => {
            let sent = request.authorization.clone();
            let basic = STANDARD.decode(sent.trim_start_matches("Basic ")).unwrap();
            let key = String::from_utf8(basic).unwrap();
            let person = json!({
                "id": 1, "firstName": "it works", "name": key, "lastName": sent,
                "more": [key, sent],
            });
            ok(json!({"people": [person]}))
        }
    })
    .await;
    let host = HostUnderTest::start(with_js(echo.stands_in_for(APP_ORIGIN))).await;
    let account = connect_synced(&host.client("js"), PLANTED).await;
    let answer = account.get("/crm/api/people").await;
    let person = &answer.ok()["people"][0];
    assert_eq!(person["firstName"], "it works");
    for echoed in [
        &person["name"],
        &person["lastName"],
        &person["original"]["people"]["more"][0],
    ] {
        assert!(echoed.as_str().unwrap().contains("[redacted]"), "{person}");
    }
    for form in forms(PLANTED) {
        assert!(!answer.text.contains(&form), "{form}: {}", answer.text);
        assert!(!host.log().contains(&form), "{form}");
    }
    // It went out as the manifest says all the same.
    let expected = format!("Basic {}", STANDARD.encode(format!("{PLANTED}:")));
    let asked = echo.asked();
    assert!(
        asked
            .iter()
            .all(|request| request.authorization == expected),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_redirect_leads_to_no_other_host() {
    let there = App::serve(|_| ok(json!({}))).await;
    let app = App::serve(|_| {
        "302 Found\r\nLocation: https://elsewhere.example.com/x\r\nContent-Length: 0\r\n\r\n".into()
    })
    .await;
    let elsewhere = "dev.upstreams.\"https://elsewhere.example.com\"";
    let setup = app.stands_in_for(APP_ORIGIN).set(elsewhere, there.url());
    let host = HostUnderTest::start(with_js(setup)).await;
    let refused = try_connect(&host.client("js"), PLANTED).await;
    assert!(refused.status >= 400, "{}", refused.text);
    assert_eq!(app.asked().len(), 1);
    assert_eq!(there.asked().len(), 0);
    // As `http.send` would have answered.
    let reason =
        "a request by wasi:http failed: host `elsewhere.example.com` is not in the manifest: add ";
    assert!(host.log().contains(reason), "{}", host.log());
}

/// A server that answers what a test wants.
struct App {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
struct Asked {
    path: String,
    authorization: String,
}

fn ok(body: Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!("200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

impl App {
    async fn serve(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                // Who hangs up is no failure.
                tokio::spawn(async move { converse(connection, &log, &*answer).await.ok() });
            }
        });
        Self { port, asked }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn stands_in_for(&self, origin: &str) -> Setup {
        Setup::plain()
            .set("dev.enabled", true)
            .set(&format!("dev.upstreams.\"{origin}\""), self.url())
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers the requests of a connection, which have no bodies.
async fn converse(
    mut connection: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&Asked) -> String + Send + Sync),
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let authorization = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then_some(value)
        });
        let asked = Asked {
            path: target.split('?').next().unwrap_or_default().to_owned(),
            authorization: authorization.unwrap_or_default().to_owned(),
        };
        let text = format!("HTTP/1.1 {}", answer(&asked));
        log.lock().unwrap().push(asked);
        connection.write_all(text.as_bytes()).await?;
    }
}
