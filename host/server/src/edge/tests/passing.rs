//! Through the edge without a socket.

use super::*;

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let fresh = ask("GET", "/healthz", &[]).await;
    assert_eq!(fresh.headers()["x-request-id"].len(), 26);

    for kept in ["a", "trace-1.2_3", &"x".repeat(64)] {
        let response = ask("GET", "/whoami", &[("x-request-id", kept)]).await;
        assert_eq!(response.headers()["x-request-id"], kept);
        assert_eq!(text(response).await, kept);
    }
    for replaced in ["", "a b", "a/b", "é", "a\tb", &"x".repeat(65)] {
        let response = ask("GET", "/unknown", &[("x-request-id", replaced)]).await;
        let id = response.headers()["x-request-id"].clone();
        assert!(id.len() == 26 && id != replaced);
        assert!(
            !text(response).await.contains(id.to_str().unwrap()),
            "the body never holds the id"
        );
    }
}

#[tokio::test]
async fn errors_are_json_wherever_they_arise() {
    assert_eq!(
        code(ask("GET", "/nowhere", &[]).await).await,
        is(404, "unknown_route")
    );
    assert_eq!(
        code(ask("GET", "/broken", &[]).await).await,
        is(500, "internal")
    );
    assert_eq!(
        code(ask("GET", "/plain", &[]).await).await,
        is(400, "invalid_request")
    );
    assert_eq!(
        code(ask("GET", "/api/records/%ff", &[]).await).await,
        is(400, "invalid_request")
    );
    assert_eq!(
        code(ask("GET", "/panics", &[]).await).await,
        is(500, "internal")
    );
    assert!(
        !text(ask("GET", "/panics", &[]).await)
            .await
            .contains("disco")
    );
    assert!(
        !text(ask("GET", "/broken", &[]).await)
            .await
            .contains("secret")
    );

    let page = ask("GET", "/page", &[]).await;
    assert_eq!(
        text(page).await,
        "<p>no such link",
        "a page made for people stays a page"
    );

    let bare = Router::new().route("/a", get(async || "a").delete(async || "gone"));
    let bare = around(bare, EdgeOptions::default());
    assert_eq!(
        code(send(&bare, request("GET", "/b", &[])).await).await,
        is(404, "unknown_route")
    );
    let response = send(&bare, request("POST", "/a", &[])).await;
    assert_eq!(response.headers()["allow"], "GET,HEAD,DELETE");
    assert_eq!(code(response).await, is(405, "method_not_allowed"));
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let response = ask(method, "/api/connectors", &[]).await;
        assert_eq!(response.headers()["allow"], "GET,HEAD,POST", "{method}");
        assert_eq!(code(response).await, is(405, "method_not_allowed"));
    }
}

#[tokio::test]
async fn heads_over_the_limit_are_refused_in_json() {
    let many: Vec<(String, String)> = (0..101)
        .map(|n| (format!("x-{n}"), "1".to_owned()))
        .collect();
    let borrowed: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        code(ask("GET", "/healthz", &borrowed).await).await,
        is(431, "head_too_large")
    );
    assert_eq!(ask("GET", "/healthz", &borrowed[..100]).await.status(), 200);

    let large = "x".repeat(64 * 1024);
    assert_eq!(
        code(ask("GET", "/healthz", &[("x", &large)]).await).await,
        is(431, "head_too_large")
    );
    let long = format!("/healthz?{}", "x".repeat(16 * 1024));
    assert_eq!(
        code(ask("GET", &long, &[]).await).await,
        is(414, "uri_too_long")
    );
    let twice = [("host", "a.example"), ("host", "b.example")];
    assert_eq!(
        code(ask("GET", "/healthz", &twice).await).await,
        is(400, "invalid_request")
    );
}

#[tokio::test]
async fn a_preflight_is_answered_for_what_browsers_call() {
    let asking = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
    ];
    for path in [
        "/api/connectors",
        "/api/credentials",
        "/api/oauth/authorize-url",
        "/crm/api/people",
        "/tms/api/x",
    ] {
        let response = ask("OPTIONS", path, &asking).await;
        assert_eq!(response.status(), 204, "{path}");
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(
            headers["access-control-allow-methods"],
            "GET, POST, PUT, PATCH, DELETE"
        );
        let allowed: Vec<&str> = headers["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .split(", ")
            .collect();
        for header in [
            "authorization",
            "content-type",
            "x-rollout-user-agent",
            "x-rollout-credential-id",
            "idempotency-key",
        ] {
            assert!(allowed.contains(&header), "{header}");
        }
        assert!(!headers.contains_key("access-control-allow-credentials"));
        assert!(text(response).await.is_empty());
    }
    for path in [
        "/healthz",
        "/api/connectorsx",
        "/apix",
        "/crm/apix",
        "/xcrm/api/people",
    ] {
        let response = ask("OPTIONS", path, &asking).await;
        assert!(
            response.status() != 204
                && !response
                    .headers()
                    .contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_can_read_answers_and_errors() {
    let origin = [("origin", "https://app.example")];
    for path in [
        "/api/connectors",
        "/api/credentials/unknown",
        "/crm/api/unknown",
    ] {
        let response = ask("GET", path, &origin).await;
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "*",
            "{path}"
        );
        let exposed = response.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap();
        assert_eq!(
            exposed,
            "X-Request-Id, Retry-After, X-Rollout-Credential-Status, X-Rollout-Ignored-Fields, \
             X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
        );
    }
    assert!(
        !ask("GET", "/api/connectors", &[])
            .await
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test]
async fn configured_origins_narrow_it() {
    let only = Origins::Only(["https://app.example".to_owned()].into());
    let options = EdgeOptions {
        cors: Cors {
            origins: only,
            ..Cors::default()
        },
        ..EdgeOptions::default()
    };
    let app = around(routes(), options);
    let from = |origin, method| {
        request(
            method,
            "/api/connectors",
            &[("origin", origin), ("access-control-request-method", "GET")],
        )
    };
    for method in ["GET", "OPTIONS"] {
        let mine = send(&app, from("https://app.example", method)).await;
        assert_eq!(
            mine.headers()["access-control-allow-origin"],
            "https://app.example"
        );
        assert_eq!(mine.headers()["vary"], "Origin");
        for other in [
            "https://app.example.evil.example",
            "http://app.example",
            "null",
            "https://app.example/",
        ] {
            let response = send(&app, from(other, method)).await;
            assert!(
                !response
                    .headers()
                    .contains_key("access-control-allow-origin"),
                "{other}"
            );
            assert!(
                !response
                    .headers()
                    .contains_key("access-control-allow-methods"),
                "{other}"
            );
            assert_eq!(response.headers()["vary"], "Origin");
        }
    }
}

#[tokio::test]
async fn a_category_host_finds_its_category() {
    let by = async |host: &str, path: &str| text(ask("GET", path, &[("host", host)]).await).await;
    for host in ["crm.example.com", "CRM.example.com:8080", "crm.localhost:1"] {
        assert_eq!(
            by(host, "/api/people?limit=2&x=%20").await,
            "/crm/api/people?limit=2&x=%20",
            "{host}"
        );
        assert_eq!(by(host, "/people").await, "/crm/api/people");
        assert_eq!(by(host, "/crm/api/people").await, "/crm/api/people");
        assert_eq!(by(host, "/api/openapi.json").await, "openapi");
        assert_eq!(by(host, "/healthz").await, "ok");
        assert_eq!(by(host, "/api/connectors").await, "connectors");
    }
    let absolute = ask(
        "GET",
        "http://crm.example.com/api/people",
        &[("host", "example.com")],
    )
    .await;
    assert_eq!(
        text(absolute).await,
        "http://crm.example.com/crm/api/people"
    );
    for host in [
        "example.com",
        "crmx.example.com",
        "x.crm.example.com",
        "crm",
        "",
        "[::1]:80",
        "127.0.0.1",
    ] {
        assert_eq!(
            code(ask("GET", "/api/people", &[("host", host)]).await).await,
            is(404, "unknown_route"),
            "{host}"
        );
    }
    for path in ["/", "//", "/api", "/crm", "/api/", "/..", "/tms/people"] {
        assert_eq!(
            code(ask("GET", path, &[("host", "crm.example.com")]).await).await,
            is(404, "unknown_route"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_servers_own_name_is_no_category_host() {
    let hosts = CategoryHosts {
        own: Some("crm.mine.example".to_owned()),
    };
    let app = around(
        routes(),
        EdgeOptions {
            category_hosts: hosts,
            ..EdgeOptions::default()
        },
    );
    let own = send(
        &app,
        request("GET", "/api/people", &[("host", "crm.mine.example:443")]),
    )
    .await;
    assert_eq!(own.status(), 404);
    let other = send(
        &app,
        request("GET", "/api/people", &[("host", "crm.other.example")]),
    )
    .await;
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn cors_follows_the_rewritten_path() {
    let asking = [
        ("host", "crm.example.com"),
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    assert_eq!(ask("OPTIONS", "/people", &asking).await.status(), 204);
}
