//! What the app's refusals mean.

use hubspot::HubSpot;
use rollout_connector::http::Failure;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Cursor, Entities, Error, Issue, Scope, Upstream, Write};
use serde_json::{Value, json};

use crate::CONTACTS;

fn said(message: &str) -> Value {
    json!({"status": "error", "message": message, "correlationId": "c033cdaa"})
}

/// What comes of this answer to a list, to a read by id, and to a write.
fn refused(reply: &Reply) -> [Error; 3] {
    let app = |route: &str| FakeApp::of::<HubSpot>().on(route, reply.clone()).start();
    let list = {
        let _app = app(&format!("GET {CONTACTS}"));
        HubSpot::changes("people", Scope::Full, Cursor::START, 10).unwrap_err()
    };
    let get = {
        let _app = app(&format!("POST {CONTACTS}/batch/read"));
        HubSpot::get("people", &["1".into()]).unwrap_err()
    };
    let _app = app(&format!("PATCH {CONTACTS}/1"));
    let write = Write::of(json!({"emails": [{"value": "a"}, {"value": "b", "isPrimary": true}]}));
    [
        list,
        get,
        HubSpot::update("people", "1", write).unwrap_err(),
    ]
}

#[test]
fn each_limit_has_its_wait() {
    let policy = |name: &str| {
        let mut body = said("You have reached a limit.");
        body["errorType"] = json!("RATE_LIMIT");
        body["policyName"] = json!(name);
        Reply::json(429, body)
    };
    let plain = |message: &str| Reply::json(429, said(message));
    let interval = "X-HubSpot-RateLimit-Interval-Milliseconds";
    for (reply, expected) in [
        (policy("TEN_SECONDLY_ROLLING"), 10_000),
        (
            policy("TEN_SECONDLY_ROLLING").header(interval, "7000"),
            7000,
        ),
        (policy("SECONDLY").header(interval, "10000"), 1000),
        (policy("DAILY"), 900_000),
        (
            plain("You have reached your ten_secondly_rolling limit."),
            10_000,
        ),
        (plain("You have reached your secondly limit."), 1000),
        (plain("You have reached your daily limit."), 900_000),
        (plain("Too much.").header("Retry-After", "3"), 3000),
        (Reply::json(423, said("locked")), 2000),
        (
            Reply::json(477, said("moving")).header("Retry-After", "86400"),
            86_400_000,
        ),
        (Reply::json(477, said("moving")), 60_000),
    ] {
        for error in refused(&reply) {
            let Error::RateLimited { retry_after_ms, .. } = error else {
                panic!("{reply:?} is {error}");
            };
            assert_eq!(retry_after_ms, Some(expected), "{reply:?}");
        }
    }
}

#[test]
fn statuses_have_their_cases() {
    let missing = refused(&Reply::json(404, said("resource not found")));
    assert_eq!(missing[2], Error::NotFound("resource not found".into()));
    let taken = refused(&Reply::json(
        409,
        said("Contact already exists. Existing ID: 512"),
    ));
    assert_eq!(
        taken[2],
        Error::Conflict("Contact already exists. Existing ID: 512".into())
    );
    for error in refused(&Reply::json(401, said("expired"))) {
        assert_eq!(error, Error::Unauthorized("expired".into()));
    }
}

#[test]
fn only_a_write_can_have_been_applied() {
    for reply in [
        Reply::json(502, "bad gateway"),
        Reply::json(524, ""),
        Reply::failure(Failure::Timeout),
    ] {
        let applied = refused(&reply).map(|error| match error {
            Error::Upstream(Upstream {
                retryable: true,
                maybe_applied,
                ..
            }) => maybe_applied,
            error => panic!("{reply:?} is {error}"),
        });
        assert_eq!(applied, [false, false, true], "{reply:?}");
    }
}

#[test]
fn complaints_point_at_the_callers_fields() {
    let invalid = |pointer: &str, message: &str| {
        Error::InvalidInput(vec![Issue {
            pointer: pointer.into(),
            message: message.into(),
        }])
    };
    // In the message, as most of the app's texts have it.
    let inside = json!([{"isValid": false, "message": "Email address b is invalid", "error": "INVALID_EMAIL", "name": "email"}]);
    let mut refusal = said(&format!("Property values were not valid: {inside}"));
    refusal["category"] = json!("VALIDATION_ERROR");
    let [list, get, write] = refused(&Reply::json(400, &refusal));
    // The primary one stands second in the caller's list.
    let expected = invalid("/emails/1/value", "Email address b is invalid");
    assert_eq!(write, expected);
    // A list has no caller whose fault it could be.
    assert!(matches!(
        list,
        Error::Upstream(Upstream {
            retryable: false,
            ..
        })
    ));
    assert!(matches!(get, Error::Upstream(_)));

    // In a list of its own.
    refusal["errors"] = json!([
        {"message": "Email address a is invalid", "code": "INVALID_EMAIL", "context": {"propertyName": ["hs_additional_emails"]}},
        {"message": "Something else", "code": "OTHER"},
    ]);
    let [.., write] = refused(&Reply::json(400, &refusal));
    let Error::InvalidInput(issues) = write else {
        panic!("{write}");
    };
    let pointers: Vec<&str> = issues.iter().map(|issue| issue.pointer.as_str()).collect();
    assert_eq!(pointers, ["/emails/0/value", ""]);

    // Without any: the whole message.
    let [.., write] = refused(&Reply::json(400, said("Invalid input JSON")));
    assert_eq!(write, invalid("", "Invalid input JSON"));
}
