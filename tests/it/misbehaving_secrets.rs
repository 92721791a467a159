//! An app and a connector that want to get at a key together: in every form that an app
//! may repeat it in, put together from its parts, through codes made with it. Then all
//! that the host has and has said is searched for it.

use std::path::{Path, PathBuf};

use rollout_test_postgres::Server;
use serde_json::{Value, json};

use crate::fixtures::{Answer, Client, HostUnderTest, Setup, database};
use crate::misbehaving_app;
use crate::misbehaving_stage::{PLANTED, impatient, outcome, simulator};
use crate::secrets_guests::forms;

/// Signs only; the connector may have codes made with it.
const SIGNING: &str = "signing-planted_8KqW3vZx/Tn5+Rb1=Yh7Lc2Md";

/// Where in an answer, and how, an app repeats the key.
const ECHOES: [&str; 24] = [
    "body",
    "body.url",
    "body.url-lower",
    "body.json",
    "body.base64",
    "body.base64url",
    "body.base64-1",
    "body.base64-2",
    "body.pair",
    "chunks",
    "error",
    "error.base64",
    "header",
    "header.url",
    "header.url-lower",
    "header.json",
    "header.base64",
    "header.base64-1",
    "header.base64-2",
    "header.pair",
    "headers",
    "headers.url",
    "location.url",
    "cookie",
];

#[tokio::test]
async fn an_attack_leaves_no_key_behind_on_sqlite() {
    let mut host = attacked(|setup| setup).await;
    search(&mut host, None);
}

#[tokio::test]
async fn an_attack_leaves_no_key_behind_on_postgres() {
    let url = database();
    let mut host = attacked(|setup| setup.on(&url)).await;
    search(&mut host, Some(&url));
}

/// A host after all of it was tried.
async fn attacked(change: impl FnOnce(Setup) -> Setup) -> HostUnderTest {
    let app = simulator();
    let bad = misbehaving_app::serve();
    let setup = impatient(Setup::against(&app))
        .set(
            "dev.upstreams.\"https://app.followupboss.com\"",
            format!("http://127.0.0.1:{bad}"),
        )
        .set("log.level", "trace");
    let host = HostUnderTest::start(change(setup)).await;
    let client = host.client("attacker");
    repeated(&client).await;
    assembled(&client).await;
    coded(&client).await;
    host
}

/// Whatever form the app repeats the key in, the connector sees a blank.
async fn repeated(client: &Client) {
    let account = connect(client, "echoes", &ECHOES).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["status"], "done", "{ended}");
    let people = account.all("people", "").await;
    assert_eq!(people.len(), ECHOES.len());
    for person in &people {
        let form = person["originalIds"]["people"].as_str().unwrap();
        let seen = unhexed(person["lastName"].as_str().unwrap());
        absent(form, seen.as_bytes());
        // It is not there because it was blanked, or because cookies stay with the host.
        assert_eq!(
            seen.contains("[redacted]"),
            form != "cookie",
            "{form}: {seen}"
        );
        assert!(!seen.contains("session="), "{form}: {seen}");
    }
}

/// A key that the connector puts together itself is blanked wherever the host takes it.
async fn assembled(client: &Client) {
    let account = connect(client, "assembled", &[]).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["status"], "done", "{ended}");
    let page = account.get("/crm/api/people").await.ok();
    absent("a page", page.to_string().as_bytes());
    let people = page["people"].as_array().unwrap();
    assert_eq!(people.len(), 2, "{page}");
    let person = people
        .iter()
        .find(|person| person["originalIds"]["people"] == "assembled");
    let person = person.expect("the record has come");
    // The connector did have it.
    assert_eq!(person["customLength"], PLANTED.len(), "{person}");
    assert_eq!(person["customStored"], true, "{person}");
    for place in [
        &person["lastName"],
        &person["tags"][0],
        &person["customKey"],
    ] {
        assert_eq!(place, "[redacted]", "{person}");
    }

    let account = connect(client, "assembled-error", &[]).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["error"], "put together: [redacted]", "{ended}");
    let answer = try_connect(client, "probe-assembled-error", &[]).await;
    assert!(answer.status >= 400, "{}", answer.text);
    absent("a refusal", answer.text.as_bytes());
    let answer = try_connect(client, "assembled-account", &[]).await;
    absent("an account", answer.text.as_bytes());
    let all = client.get("/api/credentials?includeProfile=true").await;
    absent("the accounts", all.text.as_bytes());
}

/// Codes are made with slots for signing alone, and they are the codes.
async fn coded(client: &Client) {
    let slots = ["apiKey", "signingKey", "session", "masterKey"];
    let account = connect(client, "macs", &slots).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["status"], "done", "{ended}");
    let people = account.all("people", "").await;
    for slot in slots {
        let person = people
            .iter()
            .find(|person| person["originalIds"]["people"] == slot);
        let said = person.expect(slot)["lastName"].as_str().unwrap().to_owned();
        absent(slot, said.as_bytes());
        let codes: Vec<&str> = said.lines().filter(|line| line.contains("Ok(\"")).collect();
        assert!(!said.contains("Ok(true)"), "{slot}: {said}");
        if slot != "signingKey" {
            assert_eq!(codes, [""; 0], "{slot}");
            continue;
        }
        // Four algorithms and three texts, with the credential's slot only.
        assert_eq!(codes.len(), 12, "{said}");
        let right = hmac_sha256(SIGNING.as_bytes(), b"a");
        assert!(
            said.contains(&format!("HmacSha256: Ok(\"{right}\")")),
            "{said}"
        );
    }
}

/// Searches the log, every file, and every table.
fn search(host: &mut HostUnderTest, url: Option<&str>) {
    let running: Vec<PathBuf> = files(&host.data());
    for file in &running {
        absent(&file.display().to_string(), &std::fs::read(file).unwrap());
    }
    host.stop();
    let mut all = String::new();
    for file in files(host.folder()) {
        let bytes = std::fs::read(&file).unwrap();
        absent(&file.display().to_string(), &bytes);
        all += &String::from_utf8_lossy(&bytes);
    }
    let log = host.log();
    absent("the log", log.as_bytes());
    assert!(log.contains("put together: [redacted]"));
    if let Some(url) = url {
        let psql = |sql: &str| Server::shared().psql(url, sql).unwrap();
        let tables = psql(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
        );
        assert!(tables.lines().count() > 10, "{tables}");
        for table in tables.lines() {
            let rows = psql(&format!("SELECT t::text FROM {table} t"));
            absent(table, rows.as_bytes());
            all += &rows;
        }
    }
    // What the connector made of it did get there.
    assert!(all.contains("assembled") && all.contains("[redacted]"));
}

async fn try_connect(client: &Client, mode: &str, arguments: &[&str]) -> Answer {
    let body = json!({
        "appKey": "misbehaving",
        "userInputs": {
            "apiKey": PLANTED, "signingKey": SIGNING, "mode": mode, "arguments": arguments,
        },
    });
    client.post("/api/credentials", body).await
}

async fn connect(client: &Client, mode: &str, arguments: &[&str]) -> Client {
    let connected: Value = try_connect(client, mode, arguments).await.ok();
    client.of(connected["id"].as_str().unwrap())
}

/// No form of either key is in these bytes, and none as a database shows its bytes.
#[track_caller]
fn absent(place: &str, bytes: &[u8]) {
    // Forms are ASCII, so what is no text around them is of no matter.
    let text = String::from_utf8_lossy(bytes);
    for form in forms(PLANTED).into_iter().chain(forms(SIGNING)) {
        let hexadecimal: String = form.bytes().map(|byte| format!("{byte:02x}")).collect();
        for form in [form, hexadecimal] {
            assert!(!text.contains(&form), "{place} holds {form}");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

fn unhexed(text: &str) -> String {
    let digits: Vec<char> = text.chars().collect();
    let bytes = digits.chunks(2).map(|pair| {
        let pair: String = pair.iter().collect();
        u8::from_str_radix(&pair, 16).unwrap()
    });
    String::from_utf8(bytes.collect()).unwrap()
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, EncodingKey, crypto};

    let key = EncodingKey::from_secret(key);
    let code = crypto::sign(data, &key, Algorithm::HS256).unwrap();
    let code = URL_SAFE_NO_PAD.decode(code).unwrap();
    code.iter().map(|byte| format!("{byte:02x}")).collect()
}
