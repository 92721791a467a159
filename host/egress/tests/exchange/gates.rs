//! What is refused before anything leaves, and what is let through.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rollout_egress::{
    CallLimits, Egress, EgressConfig, Failure, HostRule, Lookup, LookupFuture, Policy, Request,
};

use crate::app::{App, denied, get, grant, header, limited, part, policy};

#[tokio::test]
async fn an_allowed_request_arrives_as_it_was_written() {
    let app = App::echoing().await;
    let request = Request {
        headers: vec![
            ("Accept".into(), "application/json".into()),
            ("X-Two".into(), "1".into()),
            ("x-two".into(), "2".into()),
            ("accept-encoding".into(), "br".into()),
        ],
        ..get("https://api.example.com/v1/a%2Fb;x?q=%20a+b&empty=&q=2#fragment")
    };
    let seen = app.seen(&grant(policy()), request).await;
    assert_eq!(seen["method"], "GET");
    assert_eq!(part(&seen, "uri"), "/v1/a%2Fb;x?q=%20a+b&empty=&q=2");
    assert_eq!(header(&seen, "accept"), ["application/json"]);
    assert_eq!(header(&seen, "x-two"), ["1", "2"]);
    assert_eq!(header(&seen, "accept-encoding"), ["gzip"]);
    assert_eq!(header(&seen, "host"), [format!("127.0.0.1:{}", app.port)]);
    assert!(header(&seen, "user-agent")[0].starts_with("rollout/"));
    assert!(header(&seen, "authorization").is_empty() && header(&seen, "referer").is_empty());
}

#[tokio::test]
async fn every_allowed_method_passes_and_no_other() {
    let app = App::echoing().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = Request {
            method: method.into(),
            ..get("https://api.example.com/")
        };
        assert_eq!(app.seen(&grant(policy()), request).await["method"], method);
    }
    let head = Request {
        method: "HEAD".into(),
        ..get("https://api.example.com/")
    };
    assert_eq!(app.send(head).await.unwrap().body, "");
    let before = app.reached();
    for method in [
        "get",
        "TRACE",
        "CONNECT",
        "",
        "GET ",
        "PROPFIND",
        "GET /x HTTP/1.1\r\nA: b\r\n\r\nGET",
    ] {
        let request = Request {
            method: method.into(),
            ..get("https://api.example.com/")
        };
        assert!(
            denied(app.send(request).await).contains("method"),
            "{method}"
        );
    }
    assert_eq!(app.reached(), before);
}

#[tokio::test]
async fn hosts_are_those_of_the_manifest() {
    let app = App::echoing().await;
    for url in [
        "https://api.example.com/",
        "https://API.Example.COM/",
        "https://api.example.com:443/",
        "https://%61pi.example.com/",
        "https://ａｐｉ.example.com/",
        "https:api.example.com/",
        "https://a.wild.example.com/",
        "https://acme.tenant.example.com/",
    ] {
        app.send(get(url))
            .await
            .unwrap_or_else(|failure| panic!("{url}: {failure}"));
    }
    let before = app.reached();
    // The URL, and a word of the reason.
    let refused = [
        ("https://evil.example/", "add \"evil.example\" to \"hosts\""),
        ("https://example.com/", "not in the manifest"),
        (
            "https://api.example.com.evil.example/",
            "not in the manifest",
        ),
        ("https://evil-api.example.com/", "not in the manifest"),
        ("https://xapi.example.com/", "not in the manifest"),
        ("https://api-example.com/", "not in the manifest"),
        ("https://аpi.example.com/", "xn--"),
        ("https://api.example.co/", "not in the manifest"),
        (
            "https://api。example。com.evil.example/",
            "not in the manifest",
        ),
        ("https://wild.example.com/", "not in the manifest"),
        ("https://.wild.example.com/", "not in the manifest"),
        ("https://evilwild.example.com/", "not in the manifest"),
        (
            "https://other.tenant.example.com/",
            "{unset}.tenant.example.com",
        ),
        ("https://api.example.com./", "dot"),
        ("https://api.example.com:8443/", "port"),
        ("https://api.example.com:80/", "port"),
        ("https://evil.example:444/", "add \"evil.example:444\""),
        ("http://api.example.com/", "https"),
        ("HTTP://api.example.com/", "https"),
        ("ws://api.example.com/", "https"),
        ("file:///etc/passwd", "https"),
        ("data:text/plain,x", "https"),
        ("ftp://api.example.com/", "https"),
        ("//api.example.com/", "cannot be read"),
        ("/v1", "cannot be read"),
        ("", "cannot be read"),
        ("https://", "cannot be read"),
        ("https://api.example.com@evil.example/", "user name"),
        ("https://user@api.example.com/", "user name"),
        ("https://user:password@api.example.com/", "user name"),
        ("https://:password@api.example.com/", "user name"),
        (
            "https://evil.example\\@api.example.com/",
            "not in the manifest",
        ),
        (
            "https://evil.example#@api.example.com/",
            "not in the manifest",
        ),
        (
            "https://evil.example?.api.example.com/",
            "not in the manifest",
        ),
        ("https://api.example.com\t.evil.example/", "control"),
        ("https://api.example.com/\r\nX: y", "control"),
        (" https://api.example.com/", "space"),
        ("https://api.example.com/a b", "space"),
        ("https://127.0.0.1/", "address"),
        ("https://127.1/", "address"),
        ("https://2130706433/", "address"),
        ("https://0x7f000001/", "address"),
        ("https://0x7f.1/", "address"),
        ("https://0177.0.0.1/", "address"),
        ("https://017700000001/", "address"),
        ("https://127.0.0.1./", "address"),
        ("https://１２７.0.0.1/", "address"),
        ("https://%31%32%37.0.0.1/", "address"),
        ("https://8.8.8.8/", "address"),
        ("https://169.254.169.254/latest/meta-data", "address"),
        ("https://[::1]/", "address"),
        ("https://[::ffff:127.0.0.1]/", "address"),
        ("https://[::ffff:7f00:1]/", "address"),
        ("https://[fe80::1%25eth0]/", "cannot be read"),
        ("https://localhost/", "not in the manifest"),
        ("https://256.0.0.1/", "cannot be read"),
    ];
    for (url, reason) in refused {
        let text = denied(app.send(get(url)).await);
        assert!(text.contains(reason), "{url}: {text}");
    }
    let long = format!("https://api.example.com/{}", "a".repeat(20_000));
    assert!(denied(app.send(get(&long)).await).contains("at most"));
    assert_eq!(app.reached(), before, "nothing left the host");
}

#[tokio::test]
async fn even_a_manifest_that_names_addresses_cannot_call_them() {
    let app = App::echoing().await;
    let hosts =
        ["127.0.0.1", "localhost", "*.0.0.1", "[::1]"].map(|name| HostRule::new(name, |_| None));
    let policy = Policy {
        hosts: hosts.into(),
        ..policy()
    };
    for url in [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://1.0.0.1/",
    ] {
        denied(app.egress.send(&grant(policy.clone()), get(url)).await);
    }
}

#[test]
fn a_field_is_one_label_and_nothing_else() {
    let values = [
        "a.b",
        "a/b",
        "a@evil",
        "",
        "-a",
        "a-",
        "a b",
        "a:1",
        "é",
        "a_b",
        "*",
        "a\0",
        "evil.example#",
        "{x}",
    ];
    for value in values {
        let rule = HostRule::new("{tenant}.example.com", |_| Some(value.to_owned()));
        assert!(format!("{rule:?}").contains("not one DNS label"), "{value}");
    }
    let rule = HostRule::new("{tenant}.example.com", |_| Some("A-1".to_owned()));
    assert_eq!(
        rule,
        HostRule::new("{tenant}.example.com", |_| Some("a-1".to_owned()))
    );
    assert_eq!(rule.pattern(), "{tenant}.example.com");
}

#[tokio::test]
async fn a_rule_with_a_port_is_for_that_port_only() {
    let app = App::echoing().await;
    let policy = Policy {
        hosts: vec![HostRule::new("api.example.com:8443", |_| None)],
        ..policy()
    };
    let grant = grant(policy);
    let egress = Egress::with_lookup(
        EgressConfig::default(),
        Arc::new(Fixed::new(&["127.0.0.1"])),
    )
    .unwrap();
    // Admitted by the policy, so it gets as far as the address.
    let text = denied(
        egress
            .send(&grant, get("https://api.example.com:8443/"))
            .await,
    );
    assert!(text.contains("no public address"), "{text}");
    for url in [
        "https://api.example.com/",
        "https://api.example.com:443/",
        "https://api.example.com:8444/",
    ] {
        assert!(!denied(app.egress.send(&grant, get(url)).await).contains("no public address"));
    }
}

#[tokio::test]
async fn header_hygiene() {
    let app = App::echoing().await;
    let refused = [
        ("Host", "evil.example"),
        ("host", "evil.example"),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Keep-Alive", "timeout=1"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "x"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Proxy-Connection", "close"),
        ("Proxy-Anything", "x"),
        ("Authorization", "Bearer x"),
        ("AUTHORIZATION", "Bearer x"),
        ("Cookie", "a=b"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Original-Host", "evil.example"),
        ("X-Host", "evil.example"),
        ("X-Real-IP", "127.0.0.1"),
        ("x-ok", "a\r\nX-Evil: 1"),
        ("x-ok", "a\nb"),
        ("x-ok", "a\0b"),
        ("x-ok", "a\u{7f}b"),
        ("x ok", "a"),
        ("x-ok:", "a"),
        ("x\r\n-ok", "a"),
        ("", "a"),
        (":path", "/admin"),
    ];
    for (name, value) in refused {
        let request = Request {
            headers: vec![(name.into(), value.into())],
            ..get("https://api.example.com/")
        };
        let text = denied(app.send(request).await);
        assert!(
            text.contains("header") && !text.contains(char::is_control),
            "{name}: {text}"
        );
    }
    let many = |count: usize, bytes: usize| Request {
        headers: vec![("x-many".into(), "a".repeat(bytes)); count],
        ..get("https://api.example.com/")
    };
    assert!(denied(app.send(many(101, 1)).await).contains("101 headers"));
    assert!(denied(app.send(many(2, 40_000)).await).contains("at most 65536"));
    assert_eq!(app.reached(), 0);
    app.send(many(60, 100)).await.unwrap();
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let app = App::echoing().await;
    let body = |bytes: usize| Request {
        method: "POST".into(),
        body: Some(vec![b'a'; bytes].into()),
        ..get("https://api.example.com/")
    };
    let config = EgressConfig {
        request_bytes: 1000,
        ..EgressConfig::default()
    };
    let egress = crate::app::egress(app.port, config);
    egress.send(&grant(policy()), body(1000)).await.unwrap();
    let text = denied(egress.send(&grant(policy()), body(1001)).await);
    assert!(
        text.contains("1001 bytes") && text.contains("1000"),
        "{text}"
    );
    assert_eq!(app.reached(), 1);
}

/// Answers the same addresses always and counts how often it was asked.
struct Fixed {
    addresses: Vec<IpAddr>,
    asked: AtomicUsize,
}

impl Fixed {
    fn new(addresses: &[&str]) -> Fixed {
        Fixed {
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            asked: AtomicUsize::new(0),
        }
    }
}

impl Lookup for Fixed {
    fn lookup(&self, _: String) -> LookupFuture {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let addresses = self.addresses.clone();
        Box::pin(async move { Ok::<_, io::Error>(addresses) })
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_unseen() {
    // Whoever is dialled on loopback is counted.
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let policy = Policy {
        hosts: vec![HostRule::new(&format!("api.example.com:{port}"), |_| None)],
        ..policy()
    };
    let url = format!("https://api.example.com:{port}/?secret=1");
    let mut texts = BTreeSet::new();
    for inside in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["10.0.0.1", "192.168.1.1"],
        &["169.254.169.254"],
        &["0.0.0.0"],
        &["100.64.0.1"],
        &["fd00:ec2::254"],
    ] {
        let lookup = Arc::new(Fixed::new(inside));
        let egress = Egress::with_lookup(EgressConfig::default(), lookup.clone()).unwrap();
        let text = denied(egress.send(&grant(policy.clone()), get(&url)).await);
        assert!(
            text.contains("no public address") && text.contains("[dev.upstreams]"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
        texts.insert(text);
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 1);
    }
    assert_eq!(texts.len(), 1, "the answer does not tell what is inside");
    let dialled = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(dialled.is_err(), "nobody was dialled");
}

#[tokio::test]
async fn a_simulator_opens_loopback_for_its_own_origin_only() {
    let app = App::echoing().await;
    let lookup = Arc::new(Fixed::new(&["127.0.0.1"]));
    let config = EgressConfig {
        dev_upstreams: [(
            "https://api.example.com".into(),
            format!("http://localhost:{}", app.port),
        )]
        .into(),
        ..EgressConfig::default()
    };
    let egress = Egress::with_lookup(config.clone(), lookup.clone()).unwrap();
    egress
        .send(&grant(policy()), get("https://api.example.com/"))
        .await
        .unwrap();
    let text = denied(
        egress
            .send(&grant(policy()), get("https://a.wild.example.com/"))
            .await,
    );
    assert!(text.contains("no public address"), "{text}");
    assert!(
        denied(
            egress
                .send(&grant(policy()), get("https://evil.example/"))
                .await
        )
        .contains("manifest")
    );

    // `localhost` that leads elsewhere is not a way out either.
    let egress =
        Egress::with_lookup(config, Arc::new(Fixed::new(&["10.0.0.1", "8.8.8.8"]))).unwrap();
    denied(
        egress
            .send(&grant(policy()), get("https://api.example.com/"))
            .await,
    );
}

#[tokio::test]
async fn a_call_has_a_number_of_requests() {
    let app = App::echoing().await;
    let grant = limited(
        policy(),
        CallLimits {
            requests: 3,
            ..CallLimits::default()
        },
    );
    // A refused request counts as well.
    denied(app.egress.send(&grant, get("https://evil.example/")).await);
    for _ in 0..2 {
        app.egress
            .send(&grant, get("https://api.example.com/"))
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let outcome = app
            .egress
            .send(&grant, get("https://api.example.com/"))
            .await;
        assert_eq!(outcome, Err(Failure::Budget(None)));
    }
    assert_eq!(app.reached(), 2);
}

#[tokio::test]
async fn a_call_has_a_number_of_requests_at_once() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (now.clone(), most.clone());
    let router = axum::Router::new().fallback(move || {
        let (now, most) = (counted.clone(), highest.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let app = App::serving(router).await;
    let grant = limited(
        policy(),
        CallLimits {
            at_once: 4,
            ..CallLimits::default()
        },
    );
    let all = (0..20).map(|_| app.egress.send(&grant, get("https://api.example.com/")));
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 4);
}
