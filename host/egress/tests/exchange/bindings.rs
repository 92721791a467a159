//! A secret goes only to the hosts, methods, paths and places it is bound to.

use rollout_egress::{Binding, Failure, Place, Policy, Request};

use crate::app::{App, binding, denied, get, grant, placement, policy};

const URL: &str = "https://api.example.com/v1/people";

/// Sends `key` in the header `X-Api-Key` under one binding.
async fn bound(app: &App, binding: &Binding, method: &str, url: &str) -> Result<(), String> {
    let policy = Policy {
        bindings: vec![binding.clone()],
        ..policy()
    };
    let request = Request {
        method: method.into(),
        secrets: vec![placement("key", "", Place::Header("x-api-key".into()))],
        ..get(url)
    };
    match app.egress.send(&grant(policy), request).await {
        Ok(_) => Ok(()),
        Err(Failure::Denied(text)) => Err(text),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_secret_goes_only_where_it_is_bound() {
    let app = App::echoing().await;
    let whole = binding("key", Place::Header("X-Api-Key".into()));
    let narrow = Binding {
        methods: Some(vec!["GET".into(), "PUT".into()]),
        paths: Some(vec!["/v1/people".into(), "/v2/".into()]),
        ..whole.clone()
    };
    let tenant = Binding {
        host: "{tenant}.tenant.example.com".into(),
        ..whole.clone()
    };
    let wild = Binding {
        host: "*.wild.example.com".into(),
        ..whole.clone()
    };
    let cases = [
        (
            &whole,
            "DELETE",
            "https://api.example.com/any/%2e%2e/where%2f..",
            true,
        ),
        (&whole, "GET", "https://acme.tenant.example.com/", false),
        (&tenant, "GET", "https://acme.tenant.example.com/", true),
        (&tenant, "GET", "https://api.example.com/", false),
        (&wild, "GET", "https://a.wild.example.com/", false),
        (&whole, "GET", "https://a.wild.example.com/", false),
        (&narrow, "GET", "https://api.example.com/v1/people", true),
        (
            &narrow,
            "PUT",
            "https://api.example.com/v1/people/1?x=1",
            true,
        ),
        (&narrow, "GET", "https://api.example.com/v2/x", true),
        (
            &narrow,
            "GET",
            "https://api.example.com/v1/x/../people",
            true,
        ),
        (&narrow, "POST", "https://api.example.com/v1/people", false),
        (&narrow, "HEAD", "https://api.example.com/v1/people", false),
        (&narrow, "GET", "https://api.example.com/v1/people2", false),
        (&narrow, "GET", "https://api.example.com/v1", false),
        (&narrow, "GET", "https://api.example.com/v2", false),
        (
            &narrow,
            "GET",
            "https://api.example.com/v1/people/%2e%2e/admin",
            false,
        ),
        (
            &narrow,
            "GET",
            "https://api.example.com/v1/people/../admin",
            false,
        ),
        (
            &narrow,
            "GET",
            "https://api.example.com/v1/people/..%2fadmin",
            false,
        ),
        (
            &narrow,
            "GET",
            "https://api.example.com/v1/people/..%5cadmin",
            false,
        ),
        (
            &narrow,
            "GET",
            "https://api.example.com/v1/people/%252e%252e/admin",
            false,
        ),
        (
            &narrow,
            "GET",
            "https://api.example.com/v1/people/..;/admin",
            false,
        ),
        (
            &narrow,
            "GET",
            "https://api.example.com/admin?/v1/people",
            false,
        ),
        (&narrow, "GET", "https://api.example.com//v1/people", false),
    ];
    let mut allowed = 0;
    for (binding, method, url, expected) in cases {
        let outcome = bound(&app, binding, method, url).await;
        assert_eq!(outcome.is_ok(), expected, "{method} {url}: {outcome:?}");
        allowed += usize::from(expected);
    }
    assert_eq!(app.reached(), allowed);
    for other in [
        binding("pin", Place::Header("X-Api-Key".into())),
        binding("key", Place::Header("X-Api-Key2".into())),
        binding("key", Place::Query("X-Api-Key".into())),
        binding("key", Place::BasicUser),
    ] {
        assert!(bound(&app, &other, "GET", URL).await.is_err(), "{other:?}");
    }
    // A binding to a host that is not among the hosts is worth nothing.
    let stray = Binding {
        host: "evil.example".into(),
        ..whole
    };
    assert!(bound(&app, &stray, "GET", URL).await.is_err());
}

#[tokio::test]
async fn the_plans_own_placements_need_bindings_too() {
    let app = App::echoing().await;
    let policy = Policy {
        bindings: vec![binding("pin", Place::BasicUser)],
        ..policy()
    };
    let request = Request {
        authenticate: true,
        ..get(URL)
    };
    let text = denied(app.egress.send(&grant(policy), request).await);
    assert!(
        text.contains("slot `key` may not go to the user name of Basic authentication"),
        "{text}"
    );
}

#[tokio::test]
async fn a_refusal_names_the_line_that_repairs() {
    let app = App::echoing().await;
    let wrong = binding("key", Place::Query("k".into()));
    let text = bound(&app, &wrong, "PUT", "https://api.example.com/v1/people?x=1")
        .await
        .unwrap_err();
    let line = text.split_once("manifest: ").unwrap().1;
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        line,
        serde_json::json!({
            "slot": "key", "host": "api.example.com", "methods": ["PUT"], "paths": ["/v1/people"],
            "place": {"header": "x-api-key"},
        })
    );
    let text = bound(&app, &wrong, "GET", "https://a.wild.example.com/")
        .await
        .unwrap_err();
    assert!(
        text.contains("`*.`") && text.contains("add \"a.wild.example.com\" to \"hosts\""),
        "{text}"
    );
}

#[tokio::test]
async fn a_request_that_names_no_slots_takes_those_of_its_host() {
    let placements = |url: &str| grant(policy()).placements(url);
    let key = placement("key", "", Place::BasicUser);
    // The optional one has no value.
    assert_eq!(placements(URL), std::slice::from_ref(&key));
    for url in [
        "https://acme.tenant.example.com/v1/people",
        "https://a.wild.example.com/v1/people",
        "https://elsewhere.example.com/v1/people",
        "https://api.example.com.elsewhere.com/v1/people",
        "http://api.example.com/v1/people",
        "https://api.example.com:8443/v1/people",
        "no url",
    ] {
        assert_eq!(placements(url), [], "{url}");
    }
    // Methods, paths and places are for the request to be refused by.
    let narrow = Binding {
        paths: Some(vec!["/v1".into()]),
        ..binding("key", Place::BasicUser)
    };
    let policy = Policy {
        bindings: vec![narrow],
        ..policy()
    };
    let other = "https://api.example.com/v2/people";
    let grant = grant(policy);
    assert_eq!(grant.placements(other), [key]);
    let request = Request {
        secrets: grant.placements(other),
        ..get(other)
    };
    let app = App::echoing().await;
    let refused = denied(app.egress.send(&grant, request).await);
    assert!(refused.contains("no binding covers it"), "{refused}");
}
