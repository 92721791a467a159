//! Every function of the host, called by every guest that calls them all.

use std::sync::Arc;

use rollout_sandbox::{
    Error, LogLevel, MacAlgorithm, RateLimit, Scope, Upstream, Write, Written, http,
};
use serde_json::{Value, json};

use crate::app::{App, header, response};
use crate::guests::{Guest, guests};
use crate::{document, refused};

async fn perform(
    guest: &Guest,
    app: &Arc<App>,
    operation: &str,
    id: &str,
) -> Result<Value, rollout_sandbox::CallError> {
    let write = Write {
        body: r#"{"a":{"b":""}}"#.to_owned(),
        merge: Vec::new(),
        idempotency_key: String::new(),
        extra: None,
    };
    let guests = guests().await;
    let written = guests
        .call(guest, app)
        .perform("people", id, operation, &write)
        .await?;
    let Written::Item(item) = written else {
        panic!("{}: {operation}: {written:?}", guest.name);
    };
    assert_eq!(item.id, id);
    Ok(document(&item.body))
}

#[tokio::test]
async fn a_request_arrives_with_every_field() {
    let placement = |slot: &str, prefix: &str, place| http::Placement {
        slot: slot.to_owned(),
        prefix: prefix.to_owned(),
        place,
    };
    let capture = |slot: &str, source| http::Capture {
        slot: slot.to_owned(),
        source,
    };
    let expected = http::Request {
        method: "POST".to_owned(),
        url: "https://api.conformance.example/send".to_owned(),
        headers: vec![
            header("content-type", "application/json"),
            header("x-id", "7"),
        ],
        body: Some(br#"{"a":{"b":""}}"#.to_vec()),
        authenticate: false,
        secrets: vec![
            placement("s1", "Bearer ", http::Place::Header("x-token".into())),
            placement("s2", "", http::Place::Query("key".into())),
            placement("s3", "", http::Place::FormField("field".into())),
            placement("s4", "", http::Place::JsonPointer("/a/b".into())),
            placement("s5", "", http::Place::BasicUser),
            placement("s6", "", http::Place::BasicPassword),
        ],
        capture: vec![
            capture("c1", http::Source::JsonPointer("/token".into())),
            capture("c2", http::Source::Header("x-token".into())),
            capture("c3", http::Source::Cookie("session".into())),
        ],
        timeout_ms: Some(1234),
        max_bytes: Some(5678),
        extra: None,
    };
    for guest in guests().await.with_records() {
        let app = Arc::new(App::default().on("/send", response(302, r#"{"ok":true}"#)));
        let answer = perform(guest, &app, "send", "7").await.unwrap();
        assert_eq!(
            app.requests(),
            std::slice::from_ref(&expected),
            "{}",
            guest.name
        );
        assert_eq!(
            answer,
            json!({
                "status": 302,
                "headers": [["x-one", "1"], ["x-two", "2"]],
                "body": { "ok": true },
            }),
            "{}",
            guest.name
        );
    }
}

#[tokio::test]
async fn every_failure_of_a_request_is_told_apart() {
    let upstream = |retryable| {
        Error::Upstream(Upstream {
            status: None,
            retryable,
            maybe_applied: true,
            message: String::new(),
        })
    };
    let budget = |retry_after_ms| {
        Error::RateLimited(RateLimit {
            retry_after_ms,
            message: String::new(),
        })
    };
    let cases = [
        (
            http::Failure::Denied("not bound".into()),
            Error::Internal(String::new()),
            "not bound",
        ),
        (http::Failure::Timeout, upstream(true), ""),
        (
            http::Failure::Connection("reset".into()),
            upstream(true),
            "reset",
        ),
        (
            http::Failure::TooLarge(8_388_608),
            upstream(false),
            "8388608",
        ),
        (http::Failure::Budget(Some(2000)), budget(Some(2000)), ""),
        (http::Failure::Budget(None), budget(None), ""),
    ];
    for guest in guests().await.with_records() {
        for (failure, expected, says) in &cases {
            let app = Arc::new(App::default().on("/send", Err(failure.clone())));
            let mut error = refused(perform(guest, &app, "send", "7").await);
            // The words are the guest's own.
            let message = match &mut error {
                Error::Internal(message) => std::mem::take(message),
                Error::Upstream(upstream) => std::mem::take(&mut upstream.message),
                Error::RateLimited(limit) => std::mem::take(&mut limit.message),
                other => panic!("{}: {failure:?}: {other:?}", guest.name),
            };
            assert_eq!(&error, expected, "{}: {failure:?}", guest.name);
            assert!(message.contains(says), "{}: {message}", guest.name);
        }
    }
}

#[tokio::test]
async fn answers_to_requests_in_parallel_keep_their_order() {
    for guest in guests().await.with_records() {
        let app = App::default()
            .on("/1", response(200, "one"))
            .on("/2", Err(http::Failure::Timeout))
            .on("/3", response(204, ""));
        let app = Arc::new(app);
        let answer = perform(guest, &app, "send-all", "7").await.unwrap();
        assert_eq!(answer, json!([200, 0, 204]), "{}", guest.name);
        assert_eq!(app.requests().len(), 3, "{}", guest.name);
    }
}

#[tokio::test]
async fn more_requests_than_a_call_may_make_are_refused_as_a_whole() {
    for guest in guests().await.with_records() {
        for (most, expected, sent) in [(2, json!([0, 0, 0]), 0), (3, json!([200, 200, 200]), 3)] {
            let app = App::default().allowing(most);
            let app = ["/1", "/2", "/3"]
                .iter()
                .fold(app, |app, path| app.on(path, response(200, "one")));
            let app = Arc::new(app);
            let answer = perform(guest, &app, "send-all", "7").await.unwrap();
            assert_eq!(answer, expected, "{}: {most}", guest.name);
            assert_eq!(app.requests().len(), sent, "{}: {most}", guest.name);
        }
    }
}

#[tokio::test]
async fn fields_are_the_credentials_and_the_environments() {
    for guest in guests().await.with_records() {
        let app = App::default().field("both", "mine").setting("both", "ours");
        let app = Arc::new(app);
        let answer = perform(guest, &app, "fields", "both").await.unwrap();
        assert_eq!(
            answer,
            json!({ "credential": "mine", "app": "ours" }),
            "{}",
            guest.name
        );
        let answer = perform(guest, &app, "fields", "neither").await.unwrap();
        assert_eq!(
            answer,
            json!({ "credential": null, "app": null }),
            "{}",
            guest.name
        );
    }
}

#[tokio::test]
async fn codes_are_made_and_compared_with_every_algorithm() {
    let hex = |text: String| -> String { text.bytes().map(|byte| format!("{byte:02x}")).collect() };
    let expected: Vec<String> = [Scope::Credential, Scope::App]
        .into_iter()
        .flat_map(|scope| {
            [
                MacAlgorithm::HmacSha1,
                MacAlgorithm::HmacSha256,
                MacAlgorithm::HmacSha512,
                MacAlgorithm::Sha256OfSlotAndData,
            ]
            .map(|algorithm| hex(format!(r#"{scope:?} key {algorithm:?} {{"a":{{"b":""}}}}"#)))
        })
        .collect();
    for guest in guests().await.with_records() {
        let app = Arc::new(App::default());
        let codes = perform(guest, &app, "mac", "key").await.unwrap();
        assert_eq!(codes, json!(expected), "{}", guest.name);
        let verified = perform(guest, &app, "verify-mac", "key").await.unwrap();
        assert_eq!(
            verified,
            json!([true, false, true, false]),
            "{}",
            guest.name
        );

        for slot in ["unknown", "not-signing", "empty"] {
            for operation in ["mac", "verify-mac"] {
                match refused(perform(guest, &app, operation, slot).await) {
                    Error::Internal(message) => {
                        assert!(message.contains(slot), "{}: {message}", guest.name);
                    }
                    other => panic!("{}: {slot}: {other:?}", guest.name),
                }
            }
        }
    }
}

#[tokio::test]
async fn state_is_kept_under_its_version() {
    for guest in guests().await.with_records() {
        let app = Arc::new(App::default());
        let answer = perform(guest, &app, "state", "key").await.unwrap();
        assert_eq!(
            answer,
            json!({ "version": 10, "found": [{ "a": { "b": "" } }, 10], "lost": 10, "left": false }),
            "{}",
            guest.name
        );
        match refused(perform(guest, &app, "state", "large").await) {
            Error::Internal(why) => assert!(why.contains("64 KiB"), "{}: {why}", guest.name),
            other => panic!("{}: {other:?}", guest.name),
        }
        match refused(perform(guest, &app, "state", "down").await) {
            Error::Upstream(upstream) => {
                assert!(
                    upstream.retryable && !upstream.maybe_applied,
                    "{}",
                    guest.name
                );
                assert!(
                    upstream.message.contains("the store sleeps"),
                    "{}",
                    guest.name
                );
            }
            other => panic!("{}: {other:?}", guest.name),
        }
    }
}

#[tokio::test]
async fn lines_are_logged_at_every_level() {
    let levels = [
        LogLevel::Trace,
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
    ];
    for guest in guests().await.with_records() {
        let app = Arc::new(App::default());
        perform(guest, &app, "log", "Zoë 😀").await.unwrap();
        let expected = levels.map(|level| (level, "Zoë 😀".to_owned()));
        assert_eq!(app.lines(), expected, "{}", guest.name);
    }
}

#[tokio::test]
async fn an_operation_that_no_guest_knows_is_unsupported() {
    for guest in guests().await.with_records() {
        let app = Arc::new(App::default());
        let error = refused(perform(guest, &app, "burn", "1").await);
        assert!(
            matches!(error, Error::Unsupported(_)),
            "{}: {error:?}",
            guest.name
        );
    }
}
