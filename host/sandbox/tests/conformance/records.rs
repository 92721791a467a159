//! Auth and entities, by every guest that has all of them.

use std::sync::Arc;

use rollout_sandbox::{
    Error, FieldIssue, Item, LogLevel, Page, RateLimit, ReadScope, Upstream, Write, Written, http,
};
use serde_json::json;

use crate::app::{App, response};
use crate::guests::guests;
use crate::{document, refused};

fn item(id: &str, body: &str) -> Item {
    Item {
        id: id.to_owned(),
        body: body.to_owned(),
        native: None,
        updated_at: None,
        deleted: false,
        merged_ids: Vec::new(),
        extra: None,
    }
}

fn write(body: &str) -> Write {
    Write {
        body: body.to_owned(),
        merge: vec!["tags".to_owned(), "emails".to_owned()],
        idempotency_key: "key-1".to_owned(),
        extra: None,
    }
}

#[tokio::test]
async fn probe_tells_whose_credential_it_is() {
    let guests = guests().await;
    for guest in guests.with_records() {
        let app = App::default()
            .field("account", "acc-7")
            .setting("region", "eu")
            .on("/me", response(200, "Ada"));
        let app = Arc::new(app);
        let account = guests.call(guest, &app).probe().await.unwrap();
        let name = guest.name;
        assert_eq!(account.label, "Ada", "{name}");
        let avatar = "https://api.conformance.example/me.svg";
        assert_eq!(account.avatar.as_deref(), Some(avatar), "{name}");
        assert_eq!(account.external_id, "acc-7", "{name}");
        assert_eq!(
            account.fields,
            [("region".to_owned(), "eu".to_owned())],
            "{name}"
        );
        assert_eq!(account.extra, None, "{name}");
        let expected = http::Request {
            method: "GET".to_owned(),
            url: "https://api.conformance.example/me".to_owned(),
            headers: Vec::new(),
            body: None,
            authenticate: true,
            secrets: Vec::new(),
            capture: Vec::new(),
            timeout_ms: None,
            max_bytes: None,
            extra: None,
        };
        assert_eq!(app.requests(), [expected], "{name}");

        // Fields that nobody set.
        let app = Arc::new(App::default().on("/me", response(200, "")));
        let account = guests.call(guest, &app).probe().await.unwrap();
        assert_eq!(
            (&*account.label, &*account.external_id),
            ("", "none"),
            "{name}"
        );
        assert_eq!(account.fields[0].1, "none", "{name}");

        let app = Arc::new(App::default().on("/me", response(401, "bad key")));
        let error = refused(guests.call(guest, &app).probe().await);
        assert_eq!(error, Error::Unauthorized("bad key".into()), "{name}");
    }
}

#[tokio::test]
async fn changes_gets_its_arguments_and_pages_come_back() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let parents = ReadScope::Parents(vec!["1".into(), "b 2".into()]);
    for guest in guests.with_records() {
        let caller = guests.call(guest, &app);
        for (scope, cursor, limit, asked) in [
            (
                &ReadScope::Incremental,
                None,
                0,
                json!({ "scope": "incremental", "parents": [], "limit": 0 }),
            ),
            (
                &ReadScope::Full,
                Some(r#"{"at":"Zoë"}"#),
                100,
                json!({ "scope": "full", "parents": [], "limit": 100 }),
            ),
            (
                &parents,
                Some("null"),
                u32::MAX,
                json!({ "scope": "parents", "parents": ["1", "b 2"], "limit": u32::MAX }),
            ),
        ] {
            let page = caller
                .changes("people", scope, cursor, limit)
                .await
                .unwrap();
            let what = format!("{}: {scope:?}", guest.name);
            assert_eq!(document(&page.items[0].body), asked, "{what}");
            let items = vec![item("people", &page.items[0].body)];
            let expected = Page {
                items,
                next: Some(cursor.unwrap_or("1").to_owned()),
                done: cursor.is_some(),
                total: Some(limit.into()),
                extra: None,
            };
            assert_eq!(page, expected, "{what}");
        }
        let empty = Page {
            items: Vec::new(),
            next: None,
            done: true,
            total: None,
            extra: None,
        };
        let page = caller.changes("notes", &ReadScope::Full, None, 1).await;
        assert_eq!(page.unwrap(), empty, "{}", guest.name);
    }
}

#[tokio::test]
async fn get_answers_records_in_every_form() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    for guest in guests.with_records() {
        let caller = guests.call(guest, &app);
        let ids = ["whole", "absent", "bare", "gone"].map(str::to_owned);
        let items = caller.get("people", &ids).await.unwrap();
        let expected = [
            Item {
                native: Some(r#"{"n":1}"#.to_owned()),
                updated_at: Some(1_751_469_561_000),
                merged_ids: vec!["a".to_owned(), "b".to_owned()],
                ..item("whole", r#"{"name":"Zoë 😀"}"#)
            },
            item("bare", "{}"),
            Item {
                deleted: true,
                ..item("gone", "{}")
            },
        ];
        assert_eq!(items, expected, "{}", guest.name);
        assert_eq!(
            caller.get("people", &[]).await.unwrap(),
            [],
            "{}",
            guest.name
        );
    }
}

#[tokio::test]
async fn every_error_arrives_as_it_was_meant() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let issue = |pointer: &str, message: &str| FieldIssue {
        pointer: pointer.to_owned(),
        message: message.to_owned(),
    };
    let rate_limit = |retry_after_ms, message: &str| {
        Error::RateLimited(RateLimit {
            retry_after_ms,
            message: message.to_owned(),
        })
    };
    let upstream = |status, sure: bool, message: &str| {
        Error::Upstream(Upstream {
            status,
            retryable: sure,
            maybe_applied: sure,
            message: message.to_owned(),
        })
    };
    let cases = [
        (
            "invalid-input",
            Error::InvalidInput(vec![
                issue("/emails/0/value", "is no address"),
                issue("", "is too old"),
            ]),
        ),
        ("unauthorized", Error::Unauthorized("unauthorized".into())),
        ("forbidden", Error::Forbidden("forbidden".into())),
        ("not-found", Error::NotFound("not-found".into())),
        ("conflict", Error::Conflict("conflict".into())),
        ("rate-limited", rate_limit(Some(1500), "rate-limited")),
        (
            "rate-limited-unknown",
            rate_limit(None, "rate-limited-unknown"),
        ),
        ("upstream", upstream(Some(502), true, "upstream")),
        (
            "upstream-unknown",
            upstream(None, false, "upstream-unknown"),
        ),
        ("unsupported", Error::Unsupported("unsupported".into())),
        ("halted", Error::Halted("halted".into())),
        ("internal", Error::Internal("internal".into())),
        ("other", Error::Other(("teapot".into(), "other".into()))),
    ];
    for guest in guests.with_records() {
        let caller = guests.call(guest, &app);
        for (name, expected) in &cases {
            let ids = ["bare".to_owned(), format!("error-{name}")];
            let error = refused(caller.get("people", &ids).await);
            assert_eq!(&error, expected, "{}: {name}", guest.name);
        }
    }
}

#[tokio::test]
async fn writes_arrive_whole_and_answer_in_every_form() {
    let guests = guests().await;
    for guest in guests.with_records() {
        let app = Arc::new(App::default());
        let caller = guests.call(guest, &app);
        let name = guest.name;
        let body = r#"{"firstName":"Zoë 😀","tags":["a"],"n":1.5,"none":null}"#;
        let made = caller.create("people", &write(body)).await.unwrap();
        let Written::Item(made) = made else {
            panic!("{name}: {made:?}");
        };
        assert_eq!(document(&made.body), document(body), "{name}");
        assert_eq!(
            document(made.native.as_deref().unwrap()),
            json!({ "merge": ["tags", "emails"], "idempotencyKey": "key-1" }),
            "{name}"
        );
        assert_eq!(made.id, "new", "{name}");

        let made = caller.create("notes", &write("{}")).await.unwrap();
        assert_eq!(made, Written::Id("key-1".into()), "{name}");
        let made = caller.create("tasks", &write("{}")).await.unwrap();
        assert_eq!(made, Written::Accepted, "{name}");

        let changed = caller.update("people", "7", &write(r#"{"a":{}}"#)).await;
        assert_eq!(
            changed.unwrap(),
            Written::Item(item("7", r#"{"a":{}}"#)),
            "{name}"
        );

        caller.delete("people", "7", "key-2").await.unwrap();
        let line = (LogLevel::Info, "deleted people/7 key-2".to_owned());
        assert_eq!(app.lines(), [line], "{name}");
        let error = refused(caller.delete("people", "missing", "key-3").await);
        assert_eq!(error, Error::NotFound("missing".into()), "{name}");
    }
}

/// What an author leaves out, the SDK answers.
#[tokio::test]
async fn verbs_that_a_guest_lacks_are_unsupported() {
    let guests = guests().await;
    let app = Arc::new(App::default());
    let caller = guests.call(&guests.minimal, &app);
    assert_eq!(caller.probe().await.unwrap().label, "minimal");
    let page = caller
        .changes("users", &ReadScope::Full, None, 1)
        .await
        .unwrap();
    assert_eq!((page.items, page.done), (vec![item("users", "{}")], true));
    for answer in [
        caller.get("users", &[]).await.map(drop),
        caller.create("users", &write("{}")).await.map(drop),
        caller.update("users", "1", &write("{}")).await.map(drop),
        caller.delete("users", "1", "k").await,
        caller
            .perform("users", "1", "o", &write("{}"))
            .await
            .map(drop),
    ] {
        let error = refused(answer);
        assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    }
    // A document that the SDK can't read is the host's fault and said to be.
    let error = refused(
        guests
            .call(&guests.everything, &app)
            .create("people", &write("[1"))
            .await,
    );
    assert!(matches!(error, Error::Internal(_)), "{error:?}");
}
