//! What browsers load of Link, and the page to try it on. How it works in a browser is in
//! `tests/browser`.

use reqwest::Method;
use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::json;

use crate::fixtures::{Answer, Client, HostUnderTest, Setup, app};
use crate::oauth_stage::{answer_consent, configure, open, setup};

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::to(request).await
}

#[tokio::test]
async fn what_pages_load_is_kept_and_asked_for_again_only_if_it_changed() {
    let host = HostUnderTest::start(Setup::plain()).await;
    let browser = host.stranger();
    for (path, format) in [
        ("/link.js", "text/javascript"),
        ("/link-react.js", "text/javascript"),
        ("/link.d.ts", "text/plain"),
    ] {
        let first = get(&browser, path, &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(first.status, 200, "{path}");
        assert!(first.header("content-type").unwrap().starts_with(format));
        assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
        // Any page may have it: it is public.
        assert_eq!(first.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            first.header("cross-origin-resource-policy"),
            Some("cross-origin")
        );
        let tag = first.header("etag").unwrap().to_owned();
        let again = get(&browser, path, &[("If-None-Match", &tag)]).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""));
        let kept = |answer: &Answer| {
            let kept = answer.header("cache-control").unwrap();
            kept.contains("immutable")
        };
        assert!(!kept(&first));
        let named = first.header("content-location").unwrap().to_owned();
        assert!(named.starts_with(&format!("{path}?v=")), "{named}");
        assert!(kept(&get(&browser, &named, &[]).await));
        assert!(!kept(&get(&browser, &format!("{named}x"), &[]).await));
    }
}

#[tokio::test]
async fn the_page_to_try_it_on_is_for_development_on_this_machine() {
    let plain = HostUnderTest::start(Setup::plain()).await;
    let paths = ["/link/demo", "/link/demo.js", "/link/demo.css"];
    let token = |client: &Client| {
        client
            .request(Method::POST, "/link/demo/token")
            .json(&json!({"consumer": "tried"}))
    };
    for path in paths {
        get(&plain.stranger(), path, &[])
            .await
            .refused(404, "unknown_route");
    }
    let refused = Answer::to(token(&plain.stranger())).await;
    refused.refused(404, "unknown_route");

    let ancestors: toml::Value = vec!["'self'", "https://app.example.com"].into();
    let setup = Setup::plain()
        .set("dev.enabled", true)
        .set("link.frame_ancestors", ancestors);
    let host = HostUnderTest::start(setup).await;
    let browser = host.stranger();
    for path in paths {
        assert_eq!(get(&browser, path, &[]).await.status, 200, "{path}");
    }
    let page = get(&browser, "/link/demo", &[]).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("frame-ancestors 'self' https://app.example.com;"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!page.text.contains(" style="), "{}", page.text);

    let made = Answer::to(token(&browser)).await.ok();
    let client = host.client_with_token(made["token"].as_str().unwrap());
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));

    // A page whose name was made to lead here is no page of this machine.
    for name in ["rebound.example", "127.0.0.1.rebound.example", "10.0.0.1"] {
        let foreign = token(&browser).header("Host", name);
        Answer::to(foreign).await.refused(404, "unknown_route");
        get(&browser, "/link/demo", &[("Host", name)])
            .await
            .refused(404, "unknown_route");
    }
    for name in ["localhost", "[::1]", "127.0.0.1"] {
        let name = format!("{name}:{}", host.port());
        let page = get(&browser, "/link/demo", &[("Host", &name)]).await;
        assert_eq!(page.status, 200, "{name}");
    }
}

#[tokio::test]
async fn the_window_tells_the_origin_that_began() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app)).await;
    configure(&app, &host).await;
    let client = host.client("alice");
    for (origin, told) in [
        (
            Some("https://app.customer.example"),
            "https://app.customer.example",
        ),
        (Some("null"), "*"),
        (None, "*"),
    ] {
        let request = client
            .request(Method::POST, "/api/oauth/authorize-url")
            .json(&json!({"appKey": "follow-up-boss"}));
        let request = match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        };
        let begun = Answer::to(request).await.ok();
        let url = begun["url"].as_str().unwrap();
        assert!(
            url.starts_with(app.url()),
            "the simulator stands for the app: {url}"
        );
        let back = answer_consent(&app, url, "approved").await;
        let page = open(&host, &back).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let target = format!(", \"{told}\"); window.close();");
        assert!(page.text.contains(&target), "{origin:?}: {}", page.text);
        assert!(page.header("cross-origin-opener-policy").is_none());
    }
}
