//! Bad input: who may ask, and what can't be asked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use reqwest::Method;
use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Answer, Client, Keys, Shared, Stage, app, now};

const NEVER: &str = "00000000-0000-8000-8000-000000000000";

static STAGE: Shared = Shared::new();

async fn stage() -> &'static Stage {
    STAGE.get(|| Stage::set(app(Dataset::demo()))).await
}

async fn account(consumer: &str) -> Client {
    stage()
        .await
        .host
        .client(consumer)
        .connect_synced(API_KEY)
        .await
}

/// Claims with one of them replaced, or removed by null.
fn with(keys: &Keys, name: &str, value: Value) -> String {
    let mut claims = keys.claims("tokens");
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value),
    };
    keys.sign(&claims)
}

/// A token with this header, signed or not.
fn headed(keys: &Keys, header: &str, signature: Option<&str>) -> String {
    let signed = keys.token("tokens");
    let (_, rest) = signed.split_once('.').unwrap();
    let (claims, own) = rest.split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.encode(header);
    format!("{header}.{claims}.{}", signature.unwrap_or(own))
}

fn bad_tokens(keys: &Keys) -> Vec<(&'static str, String)> {
    let good = keys.token("tokens");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let stranger = Keys {
        client_id: keys.client_id.clone(),
        client_secret: "another-secret-that-is-long-enough-for-a-signature".to_owned(),
    };
    let nobody = Keys {
        client_id: "ci_nobody".to_owned(),
        client_secret: keys.client_secret.clone(),
    };
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    vec![
        ("empty", String::new()),
        ("not a token", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("the secret itself", keys.client_secret.clone()),
        ("no signature", format!("{signed}.")),
        ("no third part", signed.to_owned()),
        ("a fourth part", format!("{good}.x")),
        ("padding", format!("{good}==")),
        ("a cut signature", good[..good.len() - 4].to_owned()),
        (
            "a flipped signature",
            format!("{signed}.{flipped}{}", &signature[1..]),
        ),
        (
            "alg none",
            headed(keys, r#"{"alg":"none","typ":"JWT"}"#, Some("")),
        ),
        ("alg none, signed", headed(keys, r#"{"alg":"none"}"#, None)),
        (
            "alg in capitals of its own",
            headed(keys, r#"{"alg":"hs512"}"#, None),
        ),
        ("no alg", headed(keys, r#"{"typ":"JWT"}"#, None)),
        (
            "kid",
            headed(keys, r#"{"alg":"HS512","kid":"../../dev/null"}"#, None),
        ),
        (
            "crit",
            headed(keys, r#"{"alg":"HS512","crit":["exp"]}"#, None),
        ),
        (
            "HS256",
            keys.sign_as(Algorithm::HS256, &keys.claims("tokens")),
        ),
        (
            "HS384",
            keys.sign_as(Algorithm::HS384, &keys.claims("tokens")),
        ),
        ("another secret", stranger.token("tokens")),
        ("an unknown issuer", nobody.token("tokens")),
        ("iss a number", with(keys, "iss", json!(1))),
        ("expired", with(keys, "exp", json!(now() - 120))),
        ("exp missing", with(keys, "exp", Value::Null)),
        (
            "exp a string",
            with(keys, "exp", json!((now() + 900).to_string())),
        ),
        ("exp a float", with(keys, "exp", json!(1.5e10))),
        ("exp negative", with(keys, "exp", json!(-1))),
        (
            "exp in milliseconds",
            with(keys, "exp", json!((now() + 900) * 1000)),
        ),
        ("nbf to come", with(keys, "nbf", json!(now() + 600))),
        ("nbf a string", with(keys, "nbf", json!("now"))),
        ("iat to come", with(keys, "iat", json!(now() + 600))),
        ("sub missing", with(keys, "sub", Value::Null)),
        ("sub empty", with(keys, "sub", json!(""))),
        ("sub a number", with(keys, "sub", json!(7))),
        ("sub a list", with(keys, "sub", json!(["tokens"]))),
        ("sub too long", with(keys, "sub", json!("x".repeat(513)))),
        ("claims no object", keys.sign(&json!(["sub"]))),
        ("too long", with(keys, "more", json!("x".repeat(9000)))),
    ]
}

#[tokio::test]
async fn bad_tokens_get_one_answer() {
    let stage = stage().await;
    let keys = stage.host.keys();
    stage
        .host
        .client("tokens")
        .get("/api/credentials")
        .await
        .ok();
    let expected = stage.host.stranger().get("/api/credentials").await;
    expected.refused(401, "unauthorized");
    for path in ["/api/credentials", "/crm/api/people"] {
        for (name, token) in bad_tokens(keys) {
            let answer = stage.host.client_with_token(&token).get(path).await;
            assert_eq!(
                (answer.status, &answer.text),
                (401, &expected.text),
                "{name}"
            );
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{name}");
        }
        let good = keys.token("tokens");
        for (name, values) in [
            (
                "two headers",
                vec![format!("Bearer {good}"), format!("Bearer {good}")],
            ),
            ("basic", vec![format!("Basic {good}")]),
            ("no scheme", vec![good.clone()]),
            ("two blanks", vec![format!("Bearer  {good}")]),
            ("two tokens", vec![format!("Bearer {good}, Bearer {good}")]),
        ] {
            let mut request = stage.host.stranger().request(Method::GET, path);
            for value in values {
                request = request.header("Authorization", value);
            }
            let answer = Answer::to(request).await;
            assert_eq!(
                (answer.status, &answer.text),
                (401, &expected.text),
                "{name}"
            );
        }
    }
    // Each cause is in the log, under the request's id.
    let answer = stage
        .host
        .client_with_token("x")
        .get("/api/credentials")
        .await;
    let id = answer.header("x-request-id").unwrap().to_owned();
    let line = crate::fixtures::until("the refusal is in the log", async || {
        let log = stage.host.log();
        Some(log.lines().find(|line| line.contains(&id))?.to_owned())
    })
    .await;
    assert!(line.contains("three parts"), "{line}");
}

#[tokio::test]
async fn tokens_may_be_as_odd_as_the_rules_allow() {
    let stage = stage().await;
    let keys = stage.host.keys();
    for (name, token) in [
        ("within the leeway", with(keys, "exp", json!(now() - 30))),
        (
            "without iss, and one environment",
            with(keys, "iss", Value::Null),
        ),
        ("without iat", with(keys, "iat", Value::Null)),
        (
            "with claims of its own",
            with(keys, "org", json!({"id": 1})),
        ),
        (
            "with a scope of its own",
            with(keys, "scope", json!("openid")),
        ),
        (
            "with an odd consumer",
            with(keys, "sub", json!("Zoë / 1' OR '1'='1")),
        ),
    ] {
        let answer = stage
            .host
            .client_with_token(&token)
            .get("/api/credentials")
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    }
    let request = stage
        .host
        .stranger()
        .request(Method::GET, "/api/credentials");
    let request = request.header("Authorization", format!("bearer {}", keys.token("tokens")));
    Answer::to(request).await.ok();
    // A token for the proxy is good for nothing here.
    let proxy = stage
        .host
        .client_with_token(&with(keys, "scope", json!("proxy")));
    proxy
        .get("/api/credentials")
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn credentials_that_are_not_ones_own_get_one_answer() {
    let stage = stage().await;
    let mine = account("credential-header").await;
    let foreign = account("credential-header-2").await;
    let deleted = stage
        .host
        .client("credential-header-3")
        .connect(API_KEY)
        .await;
    let path = format!("/api/credentials?credentialId={}", deleted.credential());
    assert_eq!(deleted.delete(&path).await.status, 204);
    let client = stage.host.client("credential-header");
    let routes = [
        (Method::GET, "/crm/api/people".to_owned()),
        (Method::GET, "/crm/api/users?limit=abc".to_owned()),
        (Method::POST, "/crm/api/people".to_owned()),
        (Method::GET, format!("/crm/api/people/{NEVER}")),
        (Method::PUT, format!("/crm/api/people/{NEVER}")),
        (Method::DELETE, format!("/crm/api/notes/{NEVER}")),
        (Method::POST, format!("/crm/api/people/{NEVER}/tags/apply")),
        (Method::POST, format!("/crm/api/people/{NEVER}/tags/delete")),
    ];
    let expected = client.of(NEVER).get("/crm/api/people").await;
    expected.refused(403, "invalid_credential");
    let own = deleted.credential().to_owned();
    let for_deleted = stage.host.client("credential-header-3").of(&own);
    for (method, path) in routes {
        let none = Answer::to(client.request(method.clone(), &path)).await;
        none.refused(400, "credential_header_missing");
        for other in [
            client.of(NEVER),
            client.of("not-an-id"),
            client.of(""),
            client.of(&"x".repeat(5000)),
            client.of("' OR 1=1 --"),
            client.of(foreign.credential()),
            for_deleted.clone(),
        ] {
            let answer = Answer::to(other.request(method.clone(), &path)).await;
            assert_eq!(
                (answer.status, &answer.text),
                (403, &expected.text),
                "{method} {path}"
            );
        }
    }
    let twice = mine
        .request(Method::GET, "/crm/api/people")
        .header("X-Rollout-Credential-Id", mine.credential());
    assert_eq!(Answer::to(twice).await.text, expected.text);
    mine.get("/crm/api/people").await.ok();
    for path in ["/api/credentials", "/api/credentials?credentialId="] {
        assert!(client.delete(path).await.status >= 400);
    }
    for id in [foreign.credential(), NEVER, "x", "%27"] {
        client
            .get(&format!("/api/credentials/{id}"))
            .await
            .refused(404, "not_found");
        let body = json!({"label": "mine now"});
        client
            .put(&format!("/api/credentials/{id}"), body)
            .await
            .refused(404, "not_found");
        let path = format!("/api/credentials?credentialId={id}");
        client.delete(&path).await.refused(404, "not_found");
    }
    foreign.get("/crm/api/people").await.ok();
}

#[tokio::test]
async fn records_that_are_not_there_get_one_answer() {
    let mine = account("absent").await;
    let theirs = account("absent-2").await;
    let foreign = theirs.all("people", "limit=1").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected = mine.get(&format!("/crm/api/people/{NEVER}")).await;
    expected.refused(404, "not_found");
    for id in [
        foreign.as_str(),
        "1",
        "x",
        "%27",
        "%00",
        "../users",
        &"x".repeat(300),
    ] {
        let person = json!({"firstName": "A"});
        for answer in [
            mine.get(&format!("/crm/api/people/{}", id.replace('/', "%2F")))
                .await,
            mine.put(
                &format!("/crm/api/people/{}", id.replace('/', "%2F")),
                person,
            )
            .await,
            mine.delete(&format!("/crm/api/people/{}", id.replace('/', "%2F")))
                .await,
        ] {
            assert_eq!((answer.status, &answer.text), (404, &expected.text), "{id}");
        }
        let tags = json!({"tags": ["x"]});
        let path = format!("/crm/api/people/{}/tags/apply", id.replace('/', "%2F"));
        let answer = mine.post(&path, tags).await;
        assert_eq!((answer.status, &answer.text), (404, &expected.text), "{id}");
    }
    theirs.get(&format!("/crm/api/people/{foreign}")).await.ok();
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let account = account("routes").await;
    let id = account.all("users", "limit=1").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for path in [
        "/",
        "/crm",
        "/crm/api",
        "/crm/api/",
        "/crm/api/nothing",
        "/crm/api/People",
        "/crm/api/people/x/tags",
        "/crm/api/people/x/tags/explode",
        "/crm/api/notes/x/tags/apply",
        "/tms/api/people",
        "/api",
        "/api/credential",
        "/healthz/x",
        "//crm/api/people",
    ] {
        account.get(path).await.refused(404, "unknown_route");
    }
    for (method, path, allowed) in [
        (
            Method::PATCH,
            "/crm/api/people".to_owned(),
            vec!["GET", "POST"],
        ),
        (
            Method::PUT,
            "/crm/api/people".to_owned(),
            vec!["GET", "POST"],
        ),
        (
            Method::POST,
            format!("/crm/api/people/{NEVER}"),
            vec!["GET", "PUT", "DELETE"],
        ),
        (
            Method::GET,
            format!("/crm/api/people/{NEVER}/tags/apply"),
            vec!["POST"],
        ),
        (
            Method::PUT,
            "/api/credentials".to_owned(),
            vec!["GET", "POST", "DELETE"],
        ),
        (Method::POST, "/api/connectors".to_owned(), vec!["GET"]),
        (Method::DELETE, "/healthz".to_owned(), vec!["GET"]),
        // The app offers no writing of users.
        (Method::POST, "/crm/api/users".to_owned(), vec!["GET"]),
        (Method::PUT, format!("/crm/api/users/{id}"), vec!["GET"]),
        (Method::DELETE, format!("/crm/api/users/{id}"), vec!["GET"]),
    ] {
        let answer = Answer::to(account.request(method.clone(), &path).json(&json!({}))).await;
        let code = if path.contains("users") {
            "verb_unsupported"
        } else {
            "method_not_allowed"
        };
        answer.refused(405, code);
        let allow = answer
            .header("allow")
            .unwrap_or_else(|| panic!("{method} {path}: no Allow"));
        let names: Vec<&str> = allow.split(',').map(str::trim).collect();
        for name in allowed {
            assert!(names.contains(&name), "{method} {path}: {allow}");
        }
        assert!(
            !names.contains(&method.as_str()),
            "{method} {path}: {allow}"
        );
    }
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let account = account("methods").await;
    for (path, allowed) in [
        ("/crm/api/emailMessages/x", "GET"),
        ("/crm/api/emailMessages", "GET, POST"),
        ("/crm/api/people/x", "GET, PUT, DELETE"),
    ] {
        for method in [Method::PATCH, Method::OPTIONS, Method::TRACE] {
            let answer = Answer::to(account.request(method, path)).await;
            answer.refused(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{path}");
        }
    }
    for path in ["/crm/api/nothing", "/crm/api/nothing/x"] {
        let answer = Answer::to(account.request(Method::PATCH, path)).await;
        answer.refused(404, "unknown_route");
    }
}

#[tokio::test]
async fn odd_parameters_are_taken_or_refused_in_words() {
    let account = account("parameters").await;
    // More digits than any number here has: as many as there may be.
    let digits = "9".repeat(400);
    let page = account
        .get(&format!("/crm/api/people?limit={digits}"))
        .await;
    assert_eq!(page.ok()["_metadata"]["limit"], 1000);
    let page = account
        .get(&format!("/crm/api/people?offset={digits}"))
        .await;
    page.refused(400, "invalid_query");
    let said = account.get("/crm/api/people?email=a%00b").await;
    let said = said.refused(400, "invalid_query");
    assert!(
        said["errorMessage"].as_str().unwrap().contains("U+0000"),
        "{said}"
    );
    let id = account.all("people", "limit=1").await[0]["id"].clone();
    let one = format!("/crm/api/people/{}", id.as_str().unwrap());
    for path in ["/crm/api/people", &one] {
        let asked = async |value: &str| {
            let request = account.request(Method::GET, path);
            Answer::to(request.header("X-Rollout-Allow-Partial", value)).await
        };
        for value in ["true", "TRUE", "false"] {
            asked(value).await.ok();
        }
        for value in ["", "1", "yes", "null", "\"true\""] {
            asked(value).await.refused(400, "invalid_request");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let account = account("bodies").await;
    let before = stage().await.app.people_count();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_field = format!(
        r#"{{"firstName":"A","lastName":"B","customX":{}{}}}"#,
        "[".repeat(120),
        "]".repeat(120)
    );
    let many = (0..200_000)
        .map(|one| format!(r#""k{one}":1"#))
        .collect::<Vec<_>>()
        .join(",");
    let large = format!(r#"{{"firstName":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    let never = format!("/crm/api/people/{NEVER}");
    for (method, path) in [
        (Method::POST, "/api/credentials"),
        (Method::POST, "/crm/api/people"),
        (Method::PUT, never.as_str()),
    ] {
        let send = async |body: String| {
            let request = account.request(method.clone(), path).body(body);
            Answer::to(request).await
        };
        for body in [
            "{",
            "{\"a\":}",
            "nonsense",
            "{}{}",
            "\u{feff}{}",
            "{'a':1}",
            &deep,
        ] {
            let shown = &body[..body.len().min(20)];
            let answer = send(body.to_owned()).await;
            assert_eq!(answer.status, 400, "{path} {shown}: {}", answer.text);
            answer.refused(400, "invalid_json");
        }
        let bytes = account
            .request(method.clone(), path)
            .body(vec![b'"', 0xff, b'"']);
        Answer::to(bytes).await.refused(400, "invalid_json");
        for body in ["", "[]", "3", "null", "\"x\"", "true"] {
            let answer = send(body.to_owned()).await;
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
            answer.refused(400, "invalid_body");
        }
        send(large.clone()).await.refused(413, "body_too_large");
        let answer = send(format!("{{{many}}}")).await;
        assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
        for format in [
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/xml",
            "x",
        ] {
            let request = account.request(method.clone(), path);
            let request = request.header("Content-Type", format).body("{}");
            Answer::to(request)
                .await
                .refused(415, "unsupported_media_type");
        }
        let packed = account
            .request(method.clone(), path)
            .header("Content-Encoding", "gzip");
        Answer::to(packed.body("{}"))
            .await
            .refused(415, "unsupported_media_type");
    }
    let answer = account
        .request(Method::POST, "/crm/api/people")
        .body(deep_field);
    let answer = Answer::to(answer).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    // Nothing of this came through.
    assert_eq!(stage().await.app.people_count(), before);
    let people = account.get("/crm/api/people").await.ok();
    assert_eq!(people["_metadata"]["total"], before);
}

#[tokio::test]
async fn heads_out_of_all_proportion_are_refused() {
    let account = account("heads").await;
    let long = format!("/crm/api/people?ids={}", "x".repeat(20 * 1024));
    account.get(&long).await.refused(414, "uri_too_long");
    // Longer than clients will make one.
    let line = format!(
        "GET /crm/api/people?ids={} HTTP/1.1",
        "x".repeat(100 * 1024)
    );
    let answer = raw(&format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    assert!(head.starts_with("HTTP/1.1 414 "), "{head}");
    let body: Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(body["errors"][0]["code"], "uri_too_long", "{body}");
    for nonsense in [
        "GET / HTTP/9.9\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw(nonsense).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"errorMessage\""),
            "{nonsense}: {answer}"
        );
    }
    let mut request = account.request(Method::GET, "/crm/api/people");
    for number in 0..150 {
        request = request.header(format!("X-More-{number}"), "x");
    }
    Answer::to(request).await.refused(431, "head_too_large");
    let request = account.request(Method::GET, "/crm/api/people");
    let request = request.header("X-Large", "x".repeat(70 * 1024));
    Answer::to(request).await.refused(431, "head_too_large");
    account.get("/crm/api/people").await.ok();
}

/// What the host answers to these bytes.
async fn raw(request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = ("127.0.0.1", stage().await.host.port());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // It may stop reading before we stop writing.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn every_code_is_explained() {
    let page = stage().await.host.stranger().get("/docs/errors").await;
    assert_eq!(page.status, 200);
    for code in [
        "unauthorized",
        "invalid_cursor",
        "entity_not_synced",
        "maybe_applied",
    ] {
        assert!(page.text.contains(&format!("id=\"{code}\"")), "{code}");
    }
}
