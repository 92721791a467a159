//! Where secrets go, and where they never go.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rollout_egress::{MacAlgorithm, Place, Policy, Request, Scope, SlotError};

use crate::app::{
    App, KEY, PIN, binding, denied, get, grant, header, part, placement, policy, post, reversed,
};

const URL: &str = "https://api.example.com/v1/people";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn x_api_key() -> Place {
    Place::Header("x-api-key".into())
}

fn with(request: Request, secrets: &[(&str, &str, Place)]) -> Request {
    let secrets = secrets
        .iter()
        .map(|(slot, prefix, place)| placement(slot, prefix, place.clone()))
        .collect();
    Request { secrets, ..request }
}

#[tokio::test]
async fn the_plans_own_placements_are_added_on_request() {
    let app = App::echoing().await;
    let seen = app
        .seen(
            &grant(policy()),
            Request {
                authenticate: true,
                ..get(URL)
            },
        )
        .await;
    let expected = format!("Basic {}", STANDARD.encode(format!("{KEY}:")));
    assert_eq!(header(&seen, "authorization"), [expected]);
    assert!(
        header(&seen, "x-api-key").is_empty(),
        "optional and without a value"
    );
    let seen = app.seen(&grant(policy()), get(URL)).await;
    assert!(header(&seen, "authorization").is_empty());
}

#[tokio::test]
async fn headers_are_filled() {
    let app = App::echoing().await;
    let request = with(
        get(URL),
        &[
            ("key", "Bearer ", Place::Header("AUTHORIZATION".into())),
            ("pin", "", x_api_key()),
            ("pin", "session=", Place::Header("cookie".into())),
        ],
    );
    let seen = app.seen(&grant(policy()), request).await;
    assert_eq!(header(&seen, "authorization"), [format!("Bearer {KEY}")]);
    assert_eq!(header(&seen, "x-api-key"), [PIN]);
    assert_eq!(header(&seen, "cookie"), [format!("session={PIN}")]);
}

#[tokio::test]
async fn queries_are_filled() {
    let app = App::echoing().await;
    let place = Place::Query("api_key".into());
    let cases = [
        (URL.to_owned(), "key", format!("/v1/people?api_key={KEY}")),
        (
            format!("{URL}?"),
            "key",
            format!("/v1/people?api_key={KEY}"),
        ),
        (
            format!("{URL}?a=%20+1&b"),
            "key",
            format!("/v1/people?a=%20+1&b&api_key={KEY}"),
        ),
        (
            format!("{URL}#x"),
            "odd",
            "/v1/people?api_key=a%26b%3Dc%20d%2F%C3%A9%2B%22%5C".to_owned(),
        ),
    ];
    for (url, slot, expected) in cases {
        let seen = app
            .seen(
                &grant(policy()),
                with(get(&url), &[(slot, "", place.clone())]),
            )
            .await;
        assert_eq!(part(&seen, "uri"), expected, "{url}");
    }
    for url in [
        "?api_key=",
        "?api_key",
        "?a=1&api_key=2",
        "?%61pi_key=1",
        "?api%5Fkey=1",
    ] {
        let url = format!("{URL}{url}");
        let text = denied(
            app.send(with(get(&url), &[("key", "", place.clone())]))
                .await,
        );
        assert!(text.contains("has this parameter already"), "{text}");
    }
}

#[tokio::test]
async fn form_fields_are_filled() {
    let app = App::echoing().await;
    let place = Place::FormField("api_key".into());
    let cases = [
        (FORM, "a=1&b=x+y", "key", format!("a=1&b=x+y&api_key={KEY}")),
        (FORM, "", "key", format!("api_key={KEY}")),
        (FORM, "a=1&", "key", format!("a=1&api_key={KEY}")),
        (
            "Application/X-WWW-Form-Urlencoded; charset=utf-8",
            "a=1",
            "odd",
            "a=1&api_key=a%26b%3Dc%20d%2F%C3%A9%2B%22%5C".to_owned(),
        ),
    ];
    for (kind, body, slot, expected) in cases {
        let request = with(post(URL, kind, body), &[(slot, "", place.clone())]);
        assert_eq!(
            part(&app.seen(&grant(policy()), request).await, "body"),
            expected
        );
    }
    let none = Request {
        body: None,
        ..post(URL, FORM, "")
    };
    let seen = app
        .seen(&grant(policy()), with(none, &[("key", "", place.clone())]))
        .await;
    assert_eq!(part(&seen, "body"), format!("api_key={KEY}"));

    let refused = [
        (post(URL, JSON, "{}"), "content-type"),
        (post(URL, "text/plain", "a=1"), "content-type"),
        (
            Request {
                headers: vec![],
                ..post(URL, FORM, "a=1")
            },
            "content-type",
        ),
        (
            Request {
                headers: vec![
                    ("content-type".into(), FORM.into()),
                    ("content-type".into(), JSON.into()),
                ],
                ..post(URL, FORM, "a=1")
            },
            "content-type",
        ),
        (post(URL, FORM, "api_key=1"), "already"),
        (post(URL, FORM, "a=1&api%5fkey"), "already"),
    ];
    for (request, reason) in refused {
        let text = denied(app.send(with(request, &[("key", "", place.clone())])).await);
        assert!(
            text.contains(reason) && text.contains("form field `api_key`"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn json_places_are_filled() {
    let app = App::echoing().await;
    let cases = [
        (
            "/auth/key",
            r#"{"n":1,"auth":{"key":"","x":[1.5,null]}}"#,
            format!(r#"{{"n":1,"auth":{{"key":"{KEY}","x":[1.5,null]}}}}"#),
        ),
        (
            "/auth/key",
            r#"{"auth":{}}"#,
            format!(r#"{{"auth":{{"key":"{KEY}"}}}}"#),
        ),
        (
            "/list/1",
            r#"{"list":["a","b"]}"#,
            format!(r#"{{"list":["a","{KEY}"]}}"#),
        ),
        ("/a~1b", r#"{}"#, format!(r#"{{"a/b":"{KEY}"}}"#)),
        ("/a~1b", r#"{"a/b":"x"}"#, format!(r#"{{"a/b":"{KEY}"}}"#)),
    ];
    for (pointer, body, expected) in cases {
        let place = Place::JsonPointer(pointer.into());
        let request = with(post(URL, JSON, body), &[("key", "", place)]);
        assert_eq!(
            part(&app.seen(&grant(policy()), request).await, "body"),
            expected
        );
    }
    let place = Place::JsonPointer("/auth/key".into());
    let request = with(post(URL, JSON, r#"{"auth":{}}"#), &[("odd", "Key ", place)]);
    let body = part(&app.seen(&grant(policy()), request).await, "body");
    assert_eq!(body, r#"{"auth":{"key":"Key a&b=c d/é+\"\\"}}"#);

    let refused = [
        ("/auth/key", r#"{}"#, "no object"),
        ("/auth/key", r#"{"auth":"x"}"#, "no object"),
        ("/auth/key", r#"{"auth":[]}"#, "no object"),
        ("/auth/key", r#"{"auth":{"key":1}}"#, "not a string"),
        ("/auth/key", r#"{"auth":{"key":null}}"#, "not a string"),
        ("/auth/key", r#"{"auth":{"key":{"a":"b"}}}"#, "not a string"),
        ("/auth/key", r#"{"auth":{"key":["a"]}}"#, "not a string"),
        ("/list/1", r#"{"list":["a"]}"#, "no object"),
        ("/auth/key", "", "not a JSON document"),
        ("/auth/key", r#"{"auth":{}"#, "not a JSON document"),
        ("/auth/key", r#"{"auth":{}} {}"#, "not a JSON document"),
    ];
    for (pointer, body, reason) in refused {
        let place = Place::JsonPointer(pointer.into());
        let text = denied(
            app.send(with(post(URL, JSON, body), &[("key", "", place)]))
                .await,
        );
        assert!(text.contains(reason), "{body}: {text}");
    }
    let deep = "[".repeat(100_000);
    let place = Place::JsonPointer("/auth/key".into());
    denied(
        app.send(with(post(URL, JSON, &deep), &[("key", "", place)]))
            .await,
    );
}

#[tokio::test]
async fn basic_authentication_is_put_together() {
    let app = App::echoing().await;
    let (user, password) = (Place::BasicUser, Place::BasicPassword);
    let cases = [
        (vec![("key", "", user.clone())], format!("{KEY}:")),
        (vec![("key", "", password.clone())], format!(":{KEY}")),
        (
            vec![("key", "", user.clone()), ("pin", "", password.clone())],
            format!("{KEY}:{PIN}"),
        ),
        (
            vec![("pin", "p:", password.clone()), ("key", "u-", user.clone())],
            format!("u-{KEY}:p:{PIN}"),
        ),
        (
            vec![("odd", "", password.clone())],
            ":a&b=c d/é+\"\\".to_owned(),
        ),
    ];
    for (secrets, pair) in cases {
        let seen = app.seen(&grant(policy()), with(get(URL), &secrets)).await;
        assert_eq!(
            header(&seen, "authorization"),
            [format!("Basic {}", STANDARD.encode(pair))]
        );
    }
    let text = denied(app.send(with(get(URL), &[("key", "a:", user)])).await);
    assert!(text.contains("colon") && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn hostile_placements_are_refused() {
    let app = App::echoing().await;
    let preset = |name: &str| Request {
        headers: vec![(name.into(), "mine".into())],
        ..get(URL)
    };
    let authorization = || Place::Header("Authorization".into());
    let two = "two placements name this place";
    let cases = [
        (
            with(
                get(URL),
                &[("key", "", x_api_key()), ("pin", "", x_api_key())],
            ),
            two,
        ),
        (
            with(
                get(URL),
                &[
                    ("key", "", x_api_key()),
                    ("key", "", Place::Header("X-API-KEY".into())),
                ],
            ),
            two,
        ),
        (
            with(
                get(URL),
                &[("key", "", Place::BasicUser), ("pin", "", Place::BasicUser)],
            ),
            two,
        ),
        (
            Request {
                authenticate: true,
                ..with(get(URL), &[("pin", "", Place::BasicUser)])
            },
            two,
        ),
        (
            with(
                get(URL),
                &[
                    ("key", "", authorization()),
                    ("pin", "", Place::BasicPassword),
                ],
            ),
            "at once",
        ),
        (
            Request {
                authenticate: true,
                ..with(get(URL), &[("pin", "", authorization())])
            },
            "at once",
        ),
        (
            with(preset("X-Api-Key"), &[("key", "", x_api_key())]),
            "already",
        ),
        (
            with(get(URL), &[("key", "", Place::Header("Host".into()))]),
            "host's to set",
        ),
        (
            with(
                get(URL),
                &[("key", "", Place::Header("Transfer-Encoding".into()))],
            ),
            "host's to set",
        ),
        (
            with(get(URL), &[("key", "", Place::Header("bad name".into()))]),
            "not allowed",
        ),
        (
            with(get(URL), &[("key", "x\r\nX-Evil: ", x_api_key())]),
            "line break",
        ),
        (with(get(URL), &[("key", "\0", x_api_key())]), "line break"),
        (
            with(get(URL), &[("key", "x\n", Place::BasicPassword)]),
            "line break",
        ),
        (
            with(get(URL), &[("key", &"x".repeat(65), x_api_key())]),
            "longer than 64",
        ),
        (
            with(get(URL), &[("empty", "", x_api_key())]),
            "has no value",
        ),
        (
            with(get(URL), &[("unknown", "", x_api_key())]),
            "add it to \"slots\"",
        ),
    ];
    for (request, reason) in cases {
        let text = denied(app.send(request).await);
        assert!(text.contains(reason), "{reason}: {text}");
        assert!(!text.contains(KEY) && !text.contains(PIN), "{text}");
    }
    assert_eq!(app.reached(), 0);
}

#[tokio::test]
async fn a_value_that_no_header_can_hold_is_not_shown() {
    let app = App::echoing().await;
    let bindings =
        [x_api_key(), Place::BasicUser, Place::BasicPassword].map(|place| binding("split", place));
    let policy = Policy {
        bindings: bindings.into(),
        ..policy()
    };
    for place in [x_api_key(), Place::BasicPassword] {
        let request = with(get(URL), &[("split", "", place)]);
        let text = denied(app.egress.send(&grant(policy.clone()), request).await);
        assert!(
            text.contains("line break") && !text.contains("Evil"),
            "{text}"
        );
    }
    assert_eq!(app.reached(), 0);
}

#[tokio::test]
async fn names_of_slots_in_data_are_data() {
    let app = App::echoing().await;
    let text = "{{key}} ${key} {key} %key% <key> {{ credential.key }} key";
    let request = Request {
        headers: vec![
            ("x-note".into(), text.into()),
            ("content-type".into(), JSON.into()),
        ],
        body: Some(Bytes::from(text)),
        method: "POST".into(),
        authenticate: true,
        ..get("https://api.example.com/{{key}}?q={{key}}&r=$key")
    };
    let seen = app.seen(&grant(policy()), request).await;
    assert_eq!(part(&seen, "body"), text);
    assert_eq!(header(&seen, "x-note"), [text]);
    assert_eq!(part(&seen, "uri"), "/%7B%7Bkey%7D%7D?q={{key}}&r=$key");
    assert!(!seen.to_string().contains(&reversed(KEY)));
}

#[test]
fn codes_are_made_with_signing_slots_of_their_scope() {
    let grant = grant(policy());
    let access = grant.access();
    let (scope, algorithm) = (Scope::Credential, MacAlgorithm::HmacSha256);
    let code = access.mac(scope, "code", algorithm, b"data").unwrap();
    assert!(
        access
            .verify_mac(scope, "code", algorithm, b"data", &code)
            .unwrap()
    );
    assert!(
        !access
            .verify_mac(scope, "code", algorithm, b"other", &code)
            .unwrap()
    );
    assert!(
        !access
            .verify_mac(scope, "code", algorithm, b"data", &code[1..])
            .unwrap()
    );
    assert!(
        !access
            .verify_mac(scope, "code", algorithm, b"data", &[])
            .unwrap()
    );
    let cases = [
        (Scope::App, "code", SlotError::Unknown("code".into())),
        (scope, "nothing", SlotError::Unknown("nothing".into())),
        (scope, "key", SlotError::NotSigning("key".into())),
    ];
    for (scope, slot, error) in cases {
        assert_eq!(access.mac(scope, slot, algorithm, b""), Err(error.clone()));
        assert_eq!(
            access.verify_mac(scope, slot, algorithm, b"", b"x"),
            Err(error)
        );
    }
}
