//! Tokens taken out of answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollout_egress::{Access, CallLimits, Capture, Grant, Place, Policy, Request, Secret, Source};

use crate::app::{
    App, KEY, PIN, binding, denied, get, grant, header, placement, policy, slots, value,
};

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

#[tokio::test]
async fn a_secret_that_the_app_repeats_is_not_captured_as_another() {
    let repeated = |value: String| {
        Router::new()
            .route(
                "/login",
                any(move || {
                    let value = value.clone();
                    async move {
                        let cookie = format!("sid={value}; Path=/");
                        let body = serde_json::json!({"access": {"token": value.clone()}});
                        (
                            [("set-cookie", cookie), ("x-token", value)],
                            body.to_string(),
                        )
                    }
                }),
            )
            .fallback(|| async { "reached" })
    };
    let pair = STANDARD.encode(format!("{KEY}:"));
    for value in [
        KEY.to_owned(),
        format!("Bearer {KEY}"),
        format!("Basic {pair}"),
        PIN.to_owned(),
    ] {
        let app = App::serving(repeated(value.clone())).await;
        for source in [
            Source::JsonPointer("/access/token".into()),
            Source::Header("X-Token".into()),
            Source::Cookie("sid".into()),
        ] {
            let mut policy = policy();
            // Where the key itself may not go.
            policy.bindings = vec![binding("token", Place::Header("Authorization".into()))];
            let grant = grant(policy);
            let login = Request {
                capture: vec![capture("token", source.clone())],
                ..get("https://api.example.com/login")
            };
            let response = app.egress.send(&grant, login).await.unwrap();
            let shown = String::from_utf8_lossy(&response.body).into_owned();
            assert!(!shown.contains(&value), "{source:?}: {shown}");
            assert!(grant.take_captured().is_empty(), "{source:?}: {value}");
            let elsewhere = Request {
                secrets: vec![placement(
                    "token",
                    "",
                    Place::Header("Authorization".into()),
                )],
                ..get(URL)
            };
            let text = denied(app.egress.send(&grant, elsewhere).await);
            assert!(text.contains("slot `token` has no value"), "{text}");
        }
        assert_eq!(app.reached(), 3, "the logins alone");
    }
    // The slot's own secret once more is no other's.
    let app = App::serving(repeated("old-code".to_owned())).await;
    let grant = limited_to("code");
    let login = Request {
        capture: vec![capture("code", Source::Header("x-token".into()))],
        ..get("https://api.example.com/login")
    };
    app.egress.send(&grant, login).await.unwrap();
    assert_eq!(grant.take_captured()["code"].expose(), "old-code");
}

/// A grant of a call in which this slot may be captured.
fn limited_to(slot: &str) -> Grant {
    let access = Access::new(policy(), slots());
    Grant::new(
        Arc::new(access),
        BTreeSet::from([slot.to_owned()]),
        CallLimits::default(),
    )
}

#[tokio::test]
async fn a_slot_that_is_renewed_has_its_new_value_under_the_old_rules() {
    let app = token_server().await;
    let grant = grant(policy());
    let mut renewed = slots();
    let value = Secret::from("new-1".to_owned());
    renewed.get_mut("key").unwrap().values = vec![value];
    // Rules that would deny everything.
    grant.renew(Arc::new(Access::new(Policy::default(), renewed)));
    let place = Place::Header("Authorization".into());
    let request = Request {
        secrets: vec![placement("key", "Bearer ", place)],
        ..get(URL)
    };
    let response = app.egress.send(&grant, request).await.unwrap();
    assert_eq!(response.body, "Some(\"Bearer new-1\")");
    let said = grant
        .redactor()
        .redact_strict(&format!("{KEY} new-1"))
        .into_owned();
    assert_eq!(said, "[redacted] [redacted]");
    assert!(grant.take_captured().is_empty());
}
