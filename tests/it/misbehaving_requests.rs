//! Requests that must not leave, or must leave as they are.

use crate::misbehaving_stage::{attempts, connect, of, outcome, stage, try_connect};

#[tokio::test]
async fn only_the_manifests_hosts_are_called() {
    let cases = [
        (
            "https://evil.example/v1/people",
            "host `evil.example` is not in the manifest",
        ),
        (
            "https://api.followupboss.com.evil.example/v1",
            "is not in the manifest",
        ),
        ("https://api-followupboss.com/v1", "is not in the manifest"),
        ("https://xn--api-followupbss-5ib.com/v1", "denied"),
        ("https://followupboss.com/v1", "is not in the manifest"),
        ("https://api.followupboss.com./v1/people", "ends with a dot"),
        (
            "http://api.followupboss.com/v1/people",
            "only `https` is allowed",
        ),
        (
            "ftp://api.followupboss.com/v1/people",
            "only `https` is allowed",
        ),
        ("file:///etc/passwd", "only `https` is allowed"),
        ("//api.followupboss.com/v1", "the URL cannot be read"),
        ("https://127.0.0.1/v1", "hosts are called by name only"),
        ("https://[::1]/v1", "hosts are called by name only"),
        (
            "https://[::ffff:169.254.169.254]/v1",
            "hosts are called by name only",
        ),
        ("https://2130706433/v1", "hosts are called by name only"),
        ("https://0x7f.1/v1", "hosts are called by name only"),
        ("https://0177.0.0.1/v1", "hosts are called by name only"),
        ("https://127.1/v1", "hosts are called by name only"),
        ("https://0x7f000001/v1", "hosts are called by name only"),
        ("https://017700000001/v1", "hosts are called by name only"),
        ("https://0.0.0.0/v1", "hosts are called by name only"),
        (
            "https://169.254.169.254/latest",
            "hosts are called by name only",
        ),
        ("https://[fd00::1]/v1", "hosts are called by name only"),
        ("https://[::]/v1", "hosts are called by name only"),
        (
            "https://[64:ff9b::7f00:1]/v1",
            "hosts are called by name only",
        ),
        ("https://127.0.0.1./v1", "denied"),
        ("https://１２７.0.0.1/v1", "denied"),
        ("https://127。0。0。1/v1", "denied"),
        ("https://127.0.0.1.nip.io/v1", "is not in the manifest"),
        ("https://localhost/v1", "is not in the manifest"),
        ("https://api.followupboss.com%2eevil.example/v1", "denied"),
        ("https://api.followupboss.com\\@evil.example/v1", "denied"),
        ("https://api.followupboss.com#@evil.example/v1", "denied"),
        ("https://api.fоllowupboss.com/v1", "denied"),
        ("ws://api.followupboss.com/v1", "only `https` is allowed"),
        (
            "gopher://api.followupboss.com/v1",
            "only `https` is allowed",
        ),
        ("javascript:alert(1)", "denied"),
        ("data:text/plain,x", "denied"),
        (
            "https://key@api.followupboss.com/v1/people",
            "has a user name or password",
        ),
        (
            "https://api.followupboss.com@evil.example/v1",
            "has a user name or password",
        ),
        (
            "https://:pw@api.followupboss.com/v1/people",
            "has a user name or password",
        ),
        (
            "https://api.followupboss.com:8443/v1/people",
            "this port is not allowed",
        ),
        (
            "https://api.followupboss.com:80/v1/people",
            "this port is not allowed",
        ),
        (
            "https://api.followupboss.com/v1/people with space",
            "space or control character",
        ),
    ];
    let urls: Vec<&str> = cases.iter().map(|(url, _)| *url).collect();
    let came = attempts("urls", &urls).await;
    assert_eq!(came.len(), cases.len());
    for (url, reason) in cases {
        let came = of(&came, url);
        assert!(came.contains("the host denied a request"), "{url}: {came}");
        assert!(came.contains(reason), "{url}: {came}");
    }
}

#[tokio::test]
async fn a_refusal_is_shown_where_it_belongs() {
    let stage = stage().await;
    let url = "https://evil.example/v1/people";
    let account = connect(&stage.host.client("refused"), "url", &[url]).await;
    let ended = outcome(&account).await;
    let error = ended["error"].as_str().unwrap();
    assert!(
        error.contains("host `evil.example` is not in the manifest"),
        "{ended}"
    );
    let log = stage.host.log();
    let named = log.lines().any(|line| {
        line.contains("a sync stopped")
            && line.contains("misbehaving")
            && line.contains("evil.example")
    });
    assert!(named, "the log does not name connector and reason");

    let answer = try_connect(&stage.host.client("refused"), "probe-url", &[url]).await;
    answer.refused(502, "connector_failed");
}

#[tokio::test]
async fn headers_are_not_smuggled() {
    let stage = stage().await;
    let came = attempts("smuggled-headers", &[]).await;
    assert_eq!(came.len(), 17);
    for (name, came) in &came {
        assert!(came.contains("the host denied a request"), "{name}: {came}");
    }
    let smuggled = stage.app.requests().into_iter().find(|request| {
        request.system.as_deref() == Some("smuggled")
            || request.authorization.as_deref() == Some("Basic c211Z2dsZWQ6")
    });
    assert_eq!(smuggled, None);
}

#[tokio::test]
async fn a_slot_goes_only_where_it_is_bound() {
    let came = attempts("misplaced-slots", &[]).await;
    assert_eq!(came.len(), 14);
    for (name, reason) in [
        ("method", "no binding covers it"),
        ("path", "no binding covers it"),
        ("similar-path", "no binding covers it"),
        ("climbing-path", "denied"),
        ("host", "no binding covers it"),
        ("other-host", "is not in the manifest"),
        ("header", "no binding covers it"),
        ("query", "no binding covers it"),
        ("password", "no binding covers it"),
        ("form-field", "no binding covers it"),
        ("json-pointer", "no binding covers it"),
        ("twice", "two placements name this place"),
        ("undeclared", "slot `masterKey` is not in the manifest"),
        ("empty", "denied"),
    ] {
        let came = of(&came, name);
        assert!(came.contains("the host denied a request"), "{name}: {came}");
        assert!(came.contains(reason), "{name}: {came}");
    }
}

#[tokio::test]
async fn nothing_is_captured_that_is_not_declared_for_the_call() {
    let came = attempts("captures", &[]).await;
    for name in [
        "undeclared",
        "not-in-this-call",
        "own",
        "header",
        "cookie",
        "whole",
    ] {
        let came = of(&came, name);
        assert!(
            came.contains("cannot be captured in this call"),
            "{name}: {came}"
        );
    }
}

#[tokio::test]
async fn slots_named_in_text_stay_text() {
    let stage = stage().await;
    let names = [
        "{{apiKey}}",
        "${apiKey}",
        "%apiKey%",
        "$apiKey",
        "{apiKey}",
        "<apiKey>",
        "{{access-token}}",
    ];
    let came = attempts("named-in-text", &names).await;
    assert_eq!(of(&came, "everywhere"), "answered 200");
    assert_eq!(of(&came, "path"), "answered 404");

    let text = names.join(" ");
    let requests = stage.app.requests();
    let sent = requests
        .iter()
        .find(|request| request.system.is_some())
        .expect("it left");
    assert_eq!(sent.system.as_deref(), Some(text.as_str()));
    assert_eq!(sent.body, text);
    let query: Vec<(String, String)> = sent
        .query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    assert_eq!(query, [("name".to_owned(), text)]);
    let by_path = requests
        .iter()
        .find(|request| request.path.contains("apiKey"));
    assert_eq!(
        decoded(&by_path.expect("it left").path),
        "/v1/people/{{apiKey}}"
    );
}

/// Percent-decoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).expect("an escape"));
                tail
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8(bytes).unwrap()
}
