//! Tokens taken out of answers.

use axum::Router;
use axum::routing::any;
use rollout_egress::{Capture, Place, Request, Source};

use crate::app::{App, binding, denied, get, grant, header, placement, policy, value};

const URL: &str = "https://api.example.com/";

const TOKEN: &str = "tok-1";

async fn token_server() -> App {
    let router = Router::new()
        .route(
            "/login",
            any(|| async {
                let body = format!(
                    r#"{{"access":{{"token":"{TOKEN}"}},"hint":"{TOKEN} is yours","expires":3600}}"#
                );
                (
                    [
                        ("set-cookie", "sid=cookie-value; Path=/"),
                        ("x-token", "abc"),
                    ],
                    body,
                )
            }),
        )
        .fallback(|request: axum::extract::Request| async move {
            format!(
                "{:?}",
                request
                    .headers()
                    .get("authorization")
                    .map(|value| value.to_str().unwrap().to_owned())
            )
        });
    App::serving(router).await
}

fn capture(slot: &str, source: Source) -> Capture {
    Capture {
        slot: slot.into(),
        source,
    }
}

#[tokio::test]
async fn captured_tokens_reach_the_host_and_not_the_guest() {
    let app = token_server().await;
    let mut policy = policy();
    policy
        .bindings
        .push(binding("token", Place::Header("Authorization".into())));
    let grant = grant(policy);
    let login = Request {
        capture: vec![
            capture("token", Source::JsonPointer("/access/token".into())),
            capture("session", Source::Cookie("sid".into())),
        ],
        ..get("https://api.example.com/login")
    };
    let response = app.egress.send(&grant, login).await.unwrap();
    assert_eq!(
        response.body,
        r#"{"access":{"token":"[redacted]"},"hint":"[redacted] is yours","expires":3600}"#
    );
    assert_eq!(
        (value(&response, "set-cookie"), value(&response, "x-token")),
        (None, Some("abc"))
    );

    // The rest of the call can use it, and logs are blanked of it.
    let secrets = vec![placement(
        "token",
        "Bearer ",
        Place::Header("Authorization".into()),
    )];
    let request = Request {
        secrets,
        ..get(URL)
    };
    let response = app.egress.send(&grant, request).await.unwrap();
    assert_eq!(response.body, format!("Some(\"Bearer {TOKEN}\")"));
    assert_eq!(
        grant.redactor().redact_strict("got tok-1"),
        "got [redacted]"
    );

    let captured = grant.take_captured();
    let plain: Vec<_> = captured
        .iter()
        .map(|(slot, value)| (slot.as_str(), value.expose()))
        .collect();
    assert_eq!(plain, [("session", "cookie-value"), ("token", TOKEN)]);
    assert!(grant.take_captured().is_empty());
    assert!(!format!("{captured:?} {grant:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_captured_header_is_blanked_however_short() {
    let app = token_server().await;
    let grant = grant(policy());
    let login = Request {
        capture: vec![capture("token", Source::Header("X-Token".into()))],
        ..get("https://api.example.com/login")
    };
    let response = app.egress.send(&grant, login).await.unwrap();
    assert_eq!(value(&response, "x-token"), Some("[redacted]"));
    assert_eq!(grant.take_captured()["token"].expose(), "abc");
}

#[tokio::test]
async fn only_declared_slots_are_captured() {
    let app = token_server().await;
    let grant = grant(policy());
    for slot in ["key", "unknown"] {
        let request = Request {
            capture: vec![capture(slot, Source::JsonPointer("/access/token".into()))],
            ..get("https://api.example.com/login")
        };
        let text = denied(app.egress.send(&grant, request).await);
        assert!(text.contains("captured") && text.contains(slot), "{text}");
    }
    assert_eq!(app.reached(), 0);
    assert!(grant.take_captured().is_empty());
}

#[tokio::test]
async fn an_answer_without_the_token_captures_nothing() {
    let app = App::echoing().await;
    let grant = grant(policy());
    let request = Request {
        capture: vec![
            capture("token", Source::JsonPointer("/access/token".into())),
            capture("session", Source::Cookie("sid".into())),
        ],
        ..get(URL)
    };
    let seen = app.seen(&grant, request).await;
    assert_eq!(header(&seen, "accept"), ["*/*"]);
    assert!(grant.take_captured().is_empty());
}
