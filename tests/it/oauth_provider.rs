//! Signing in at a real OpenID provider, which insists on code challenges, tells its
//! issuer, and takes each refresh token once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::fixtures::{Client, HostUnderTest, Setup, database, until};
use crate::oauth_stage::{open, posted};

const ORIGIN: &str = "https://op.conformance.example";
const KEY: &str = "conformance-signs-in";
const REDIRECT: &str = "https://connect.product.example/done";
const CALLERS: usize = 60;

/// The provider, as long as it is wanted.
struct Provider {
    child: Child,
    port: u16,
    /// What it told since its port.
    told: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    fn start(access_seconds: u32) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oidc/provider.mjs");
        let settings = json!({"redirectUri": REDIRECT, "accessSeconds": access_seconds});
        let mut child = Command::new("node")
            .arg(script)
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs, and tests/oidc/run has set ROLLOUT_OIDC");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().parse().ok());
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = told.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            port: port.expect("it says its port"),
            told,
        }
    }

    /// Has requests for tokens wait.
    fn slow_down(&mut self, by: Duration) {
        let mut input = self.child.stdin.as_ref().expect("it reads");
        writeln!(input, "{}", by.as_millis()).expect("it reads");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often it told this.
    fn told(&self, what: &str) -> usize {
        let told = self.told.lock().unwrap();
        told.iter().filter(|line| *line == what).count()
    }

    /// Signs somebody in who agrees to everything; answers where he is sent then.
    async fn sign_in(&self, url: &str, login: &str) -> String {
        let browser = reqwest::Client::builder()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let mut cookies: BTreeMap<String, String> = BTreeMap::new();
        let mut at = url.replace(ORIGIN, &self.url());
        let mut form: Option<String> = None;
        for _ in 0..20 {
            let cookie: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let request = match form.take() {
                None => browser.get(&at),
                Some(body) => browser
                    .post(&at)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(body),
            };
            let request = request.header("cookie", cookie.join("; "));
            let answer = request.send().await.expect("the provider answers");
            for line in answer.headers().get_all("set-cookie") {
                let pair = line.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            if answer.status().is_redirection() {
                let to = answer.headers()["location"].to_str().unwrap().to_owned();
                if to.starts_with(REDIRECT) {
                    return to;
                }
                at = reqwest::Url::parse(&at).unwrap().join(&to).unwrap().into();
                continue;
            }
            let page = answer.text().await.unwrap();
            let prompt = if page.contains("value=\"login\"") {
                "login"
            } else {
                "consent"
            };
            let (_, action) = page
                .split_once("action=\"")
                .unwrap_or_else(|| panic!("no form: {page}"));
            let (action, _) = action.split_once('"').unwrap();
            at = reqwest::Url::parse(&at)
                .unwrap()
                .join(action)
                .unwrap()
                .into();
            form = Some(format!("prompt={prompt}&login={login}&password=any"));
        }
        panic!("it never ends");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn stage(access_seconds: u32) -> (Provider, HostUnderTest) {
    let provider = Provider::start(access_seconds);
    let setup = setup(&provider);
    let host = host(setup).await;
    (provider, host)
}

fn setup(provider: &Provider) -> Setup {
    let folder = rollout_tasks::build_conformance().expect("the connectors are built");
    let only = tempfile::tempdir().unwrap().keep();
    std::fs::copy(folder.join("signs-in.wasm"), only.join("signs-in.wasm")).unwrap();
    Setup::plain()
        .set("dev.enabled", true)
        .set(&format!("dev.upstreams.\"{ORIGIN}\""), provider.url())
        .set("oauth.redirect_url", REDIRECT)
        .connectors(&only)
}

/// A host that knows its client at the provider.
async fn host(setup: Setup) -> HostUnderTest {
    let folder = rollout_tasks::build_conformance().expect("the connectors are built");
    let host = HostUnderTest::start(setup).await;
    host.rollout_ok(&[
        "connector",
        "configure",
        KEY,
        "--env",
        "dev",
        "--connectors",
        folder.to_str().unwrap(),
        "clientId=rollout",
        "clientSecret=client-secret-of-the-conformance-provider",
    ]);
    let client = host.client("whoever");
    until("the plan is offered", async || {
        let listed = client.get("/api/connectors").await.ok();
        listed.get(KEY).map(drop)
    })
    .await;
    host
}

async fn begin(client: &Client) -> Value {
    let body = json!({"appKey": KEY});
    client.post("/api/oauth/authorize-url", body).await.ok()
}

#[tokio::test]
async fn an_account_of_a_real_provider_is_connected_and_stays_so() {
    let (provider, host) = stage(2).await;
    let client = host.client("alice");
    let begun = begin(&client).await;
    let back = provider
        .sign_in(begun["url"].as_str().unwrap(), "ada")
        .await;
    let page = open(&host, &back.replace(REDIRECT, "/api/oauth/redirect")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let told = posted(&page).unwrap();
    assert_eq!(told["requestId"], begun["requestId"]);
    let id = told["credential"]["id"].as_str().unwrap();
    let shown = client.get(&format!("/api/credentials/{id}")).await.ok();
    // What the token endpoint told beside the tokens is a field of the credential.
    assert_eq!(shown["label"], "ada: openid offline_access");

    let mut claims = host.keys().claims("alice");
    claims["scope"] = json!("proxy");
    let proxy = host.client_with_token(&host.keys().sign(&claims));
    let path = format!("/api/proxy/{id}/me");
    for round in 1..=3 {
        // The token ends by the clock.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let answers = join_all((0..CALLERS).map(|_| proxy.get(&path))).await;
        for answer in answers {
            assert_eq!(answer.ok()["sub"], "ada");
        }
        assert_eq!(provider.told("refresh_token"), round);
    }
    assert_eq!(provider.told("revoked"), 0, "no token came twice");
    // Its tokens are given back with the account.
    let path = format!("/api/credentials?credentialId={id}");
    assert_eq!(client.delete(&path).await.status, 204);
    until("the provider has them back", async || {
        (provider.told("revoked") == 1).then_some(())
    })
    .await;
}

/// A provider that takes as long as one may, and ends a whole sign-in if a refresh token
/// comes twice.
#[tokio::test]
async fn of_200_callers_in_three_processes_one_waits_for_a_slow_provider() {
    let mut provider = Provider::start(2);
    let database = database();
    let setup = || setup(&provider).on(&database);
    let first = host(setup()).await;
    let second = first.beside(setup()).await;
    let third = first.beside(setup()).await;
    let client = first.client("alice");
    let begun = begin(&client).await;
    let back = provider
        .sign_in(begun["url"].as_str().unwrap(), "ada")
        .await;
    let page = open(&first, &back.replace(REDIRECT, "/api/oauth/redirect")).await;
    let told = posted(&page).unwrap();
    let id = told["credential"]["id"].as_str().unwrap();
    let mut claims = first.keys().claims("alice");
    claims["scope"] = json!("proxy");
    let token = first.keys().sign(&claims);
    let clients = [&first, &second, &third].map(|host| host.client_with_token(&token));
    let path = format!("/api/proxy/{id}/me");
    for client in &clients {
        until("the host answers", async || {
            (client.get(&path).await.status == 200).then_some(())
        })
        .await;
    }
    for slow in [Duration::from_secs(5), Duration::from_secs(29)] {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before = provider.told("refresh_token");
        provider.slow_down(slow);
        let calls = clients.iter().cycle().take(200);
        let answers = join_all(calls.map(|client| client.get(&path))).await;
        for answer in answers {
            assert_eq!(answer.ok()["sub"], "ada");
        }
        assert_eq!(provider.told("refresh_token") - before, 1, "{slow:?}");
        provider.slow_down(Duration::ZERO);
    }
    assert_eq!(provider.told("revoked"), 0, "no token came twice");
    let shown = client.get(&format!("/api/credentials/{id}")).await.ok();
    assert_eq!(shown["status"], "ok");
}

#[tokio::test]
async fn what_another_issuer_says_is_not_believed() {
    let (provider, host) = stage(60).await;
    let client = host.client("alice");
    for (from, to) in [
        ("op.conformance", "evil.conformance"),
        ("&iss=", "&was="),
        ("code=", "code=a"),
    ] {
        let begun = begin(&client).await;
        let back = provider
            .sign_in(begun["url"].as_str().unwrap(), "ada")
            .await;
        assert!(back.contains(from), "{back}");
        let bad = back.replacen(from, to, 1);
        let page = open(&host, &bad.replace(REDIRECT, "/api/oauth/redirect")).await;
        assert_eq!(page.status, 400, "{}", page.text);
        assert_eq!(posted(&page).unwrap()["ok"], false);
    }
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
}
