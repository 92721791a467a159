//! What comes back: sizes, times, redirects, encodings, blanking, captures.

use std::io::Write;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response as Answer};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::stream;
use rollout_egress::{CallLimits, EgressConfig, Failure, Place, Policy, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app::{App, KEY, PIN, binding, egress, get, grant, limited, placement, policy, value};

const URL: &str = "https://api.example.com/";

#[tokio::test]
async fn headers_come_back_in_lower_case_without_cookies_and_hops() {
    let router = Router::new().fallback(|| async {
        let mut answer = (StatusCode::IM_A_TEAPOT, "body").into_response();
        for (name, value) in [
            ("Set-Cookie", "a=b"),
            ("Set-Cookie", "c=d"),
            ("X-Custom", "1"),
            ("X-Custom", "2"),
            ("Retry-After", "7"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authenticate", "Basic"),
            ("Upgrade", "h2c"),
        ] {
            answer.headers_mut().append(name, value.parse().unwrap());
        }
        answer
    });
    let response = App::serving(router).await.send(get(URL)).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (418, &b"body"[..]));
    let mut names: Vec<_> = response
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-length",
            "content-type",
            "date",
            "retry-after",
            "x-custom",
            "x-custom"
        ]
    );
}

#[tokio::test]
async fn redirects_come_back_as_they_are() {
    let router = Router::new().fallback(|| async {
        (
            StatusCode::FOUND,
            [("location", "http://169.254.169.254/latest/meta-data")],
            "moved",
        )
    });
    let app = App::serving(router).await;
    let response = app.send(get(URL)).await.unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(
        value(&response, "location"),
        Some("http://169.254.169.254/latest/meta-data")
    );
    assert_eq!(response.body, "moved");
    assert_eq!(app.reached(), 1);
}

/// One megabyte of zeros, compressed to a thousandth.
fn small_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 1024 * 1024]).unwrap();
    encoder.finish().unwrap()
}

/// A hundred of them in one stream, which has no end: the cap comes before.
fn big_bomb() -> Vec<u8> {
    let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 16);
    deflate
        .compress_vec(
            &vec![0; 1024 * 1024],
            &mut block,
            flate2::FlushCompress::Full,
        )
        .unwrap();
    assert_eq!(deflate.total_in(), 1024 * 1024);
    [
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
        block.repeat(100).as_slice(),
    ]
    .concat()
}

fn gzipped(body: Vec<u8>) -> Answer {
    ([("content-encoding", "gzip")], body).into_response()
}

#[tokio::test]
async fn bodies_are_decoded_and_counted_decoded() {
    let small = small_bomb();
    let big = big_bomb();
    assert!(big.len() < 200_000);
    let router = Router::new()
        .route("/small", any(move || async move { gzipped(small) }))
        .route("/big", any(move || async move { gzipped(big) }))
        .route(
            "/cut",
            any(|| async { gzipped(small_bomb()[..500].to_vec()) }),
        )
        .route(
            "/junk",
            any(|| async { gzipped(b"this is not gzip".to_vec()) }),
        )
        .route(
            "/brotli",
            any(|| async { ([("content-encoding", "br")], "x") }),
        )
        .route(
            "/twice",
            any(|| async { ([("content-encoding", "gzip, gzip")], small_bomb()) }),
        );
    let app = App::serving(router).await;
    let at = |path: &str| get(&format!("https://api.example.com{path}"));

    let response = app.send(at("/small")).await.unwrap();
    assert_eq!(response.body.len(), 1024 * 1024);
    assert_eq!(
        (
            value(&response, "content-encoding"),
            value(&response, "content-length")
        ),
        (None, None)
    );

    let started = Instant::now();
    assert_eq!(
        app.send(at("/big")).await,
        Err(Failure::TooLarge(8 * 1024 * 1024))
    );
    let request = Request {
        max_bytes: Some(1000),
        ..at("/big")
    };
    assert_eq!(app.send(request).await, Err(Failure::TooLarge(1000)));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );

    for path in ["/cut", "/junk", "/brotli", "/twice"] {
        let outcome = app.send(at(path)).await;
        assert!(
            matches!(outcome, Err(Failure::Connection(_))),
            "{path}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn bodies_have_three_caps() {
    let router = Router::new()
        .route("/known", any(|| async { vec![b'a'; 3000] }))
        .route(
            "/chunked",
            any(|| async {
                let chunks = (0..30).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 100]));
                Body::from_stream(stream::iter(chunks))
            }),
        )
        .route(
            "/endless",
            any(|| async {
                Body::from_stream(stream::repeat_with(|| {
                    Ok::<_, std::io::Error>(vec![b'a'; 1000])
                }))
            }),
        );
    let app = App::serving(router).await;
    let egress = egress(
        app.port,
        EgressConfig {
            response_bytes: 5000,
            ..EgressConfig::default()
        },
    );
    let request = |path: &str, max_bytes| Request {
        max_bytes,
        ..get(&format!("https://api.example.com{path}"))
    };
    let cases = [
        ("/known", None, Ok(3000)),
        ("/known", Some(3000), Ok(3000)),
        ("/known", Some(2999), Err(Failure::TooLarge(2999))),
        ("/known", Some(0), Err(Failure::TooLarge(0))),
        ("/chunked", Some(3000), Ok(3000)),
        ("/chunked", Some(2999), Err(Failure::TooLarge(2999))),
        ("/endless", Some(u64::MAX), Err(Failure::TooLarge(5000))),
        ("/endless", None, Err(Failure::TooLarge(5000))),
    ];
    for (path, max_bytes, expected) in cases {
        let outcome = egress
            .send(&grant(policy()), request(path, max_bytes))
            .await;
        assert_eq!(
            outcome.map(|response| response.body.len()),
            expected,
            "{path} {max_bytes:?}"
        );
    }

    // All responses of one call share a budget.
    let grant = limited(
        policy(),
        CallLimits {
            response_bytes: 8000,
            ..CallLimits::default()
        },
    );
    for _ in 0..2 {
        egress.send(&grant, request("/known", None)).await.unwrap();
    }
    let outcome = egress.send(&grant, request("/known", None)).await;
    assert!(
        matches!(outcome, Err(Failure::TooLarge(left)) if left < 2000),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn slow_servers_time_out() {
    let router = Router::new()
        .route("/head", any(std::future::pending::<()>))
        .route(
            "/body",
            any(|| async {
                let drip = stream::unfold((), |()| async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Some((Ok::<_, std::io::Error>("x"), ()))
                });
                Body::from_stream(drip)
            }),
        );
    let app = App::serving(router).await;
    for path in ["/head", "/body"] {
        let url = format!("https://api.example.com{path}");
        let started = Instant::now();
        let request = Request {
            timeout: Some(Duration::from_millis(150)),
            ..get(&url)
        };
        assert_eq!(app.send(request).await, Err(Failure::Timeout), "{path}");
        assert!(
            started.elapsed() < Duration::from_millis(600),
            "{:?}",
            started.elapsed()
        );

        // A connector cannot wait longer than the host allows.
        let config = EgressConfig {
            timeout: Duration::from_millis(100),
            ..EgressConfig::default()
        };
        let request = Request {
            timeout: Some(Duration::from_secs(3600)),
            ..get(&url)
        };
        let outcome = egress(app.port, config)
            .send(&grant(policy()), request)
            .await;
        assert_eq!(outcome, Err(Failure::Timeout));
    }
}

/// A server that answers every connection with these bytes and closes it.
async fn raw(answer: Vec<u8>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = connection.read(&mut buffer).await;
            let _ = connection.write_all(&answer).await;
        }
    });
    port
}

#[tokio::test]
async fn broken_answers_are_failures_without_url_and_secret() {
    let headers = |count: usize, bytes: usize| {
        format!(
            "HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n",
            format!("x: {}\r\n", "a".repeat(bytes)).repeat(count)
        )
    };
    let answers = [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".into(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".into(),
        "SSH-2.0-OpenSSH\r\n".into(),
        format!("HTTP/1.1 {KEY}\r\n\r\n"),
        headers(101, 1),
        headers(3, 30_000),
    ];
    for answer in answers {
        let port = raw(answer.clone().into_bytes()).await;
        let request = Request {
            authenticate: true,
            secrets: vec![placement("pin", "", Place::Query("api_key".into()))],
            ..get("https://api.example.com/?private=1")
        };
        let outcome = egress(port, EgressConfig::default())
            .send(&grant(policy()), request)
            .await;
        let Err(Failure::Connection(text)) = outcome else {
            panic!("{answer:?}: {outcome:?}")
        };
        assert!(
            !text.contains(KEY) && !text.contains(PIN) && !text.contains("private"),
            "{text}"
        );
    }

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let outcome = egress(closed, EgressConfig::default())
        .send(&grant(policy()), get("https://api.example.com/?private=1"))
        .await;
    let Err(Failure::Connection(text)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        text.contains("api.example.com could not be connected to: Connection refused"),
        "{text}"
    );
    assert!(!text.contains("private"), "{text}");
}

/// An app that answers with what it was asked for, in a header and as the body.
async fn parrot() -> App {
    App::serving(
        Router::new().fallback(|request: axum::extract::Request| async move {
            let header = |name: &str| {
                request
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let said = header("x-api-key")
                .or_else(|| header("authorization"))
                .unwrap_or_default();
            let query = request.uri().query().unwrap_or_default().to_owned();
            ([("x-said", said.clone())], format!("{said}|{query}"))
        }),
    )
    .await
}

#[tokio::test]
async fn echoed_secrets_are_blanked() {
    let app = parrot().await;
    let send = async |slot: &str, place: Place| {
        let request = Request {
            secrets: vec![placement(slot, "Key ", place)],
            ..get(URL)
        };
        app.send(request).await.unwrap()
    };
    let response = send("key", Place::Header("X-Api-Key".into())).await;
    assert_eq!(response.body, "Key [redacted]|");
    assert_eq!(value(&response, "x-said"), Some("Key [redacted]"));
    assert_eq!(
        value(&response, "content-length"),
        None,
        "it would be wrong"
    );

    let response = send("key", Place::Query("api_key".into())).await;
    assert_eq!(response.body, "|api_key=Key%20[redacted]");

    // Short values stay: they would blank innocent words.
    let response = send("pin", Place::Header("X-Api-Key".into())).await;
    assert_eq!(response.body, format!("Key {PIN}|"));
    assert!(value(&response, "content-length").is_some());
}

#[tokio::test]
async fn an_echoed_pair_of_basic_authentication_is_blanked() {
    let app = parrot().await;
    // The plan's own, and one that the request puts together from short values.
    let own = app
        .send(Request {
            authenticate: true,
            ..get(URL)
        })
        .await
        .unwrap();
    assert_eq!(own.body, "Basic [redacted]|");

    let bindings = vec![
        binding("pin", Place::BasicUser),
        binding("code", Place::BasicPassword),
    ];
    let policy = Policy {
        bindings,
        ..policy()
    };
    let secrets = vec![
        placement("pin", "someone+", Place::BasicUser),
        placement("code", "", Place::BasicPassword),
    ];
    let pair = format!("someone+{PIN}:old-code");
    assert!(pair.len() >= 20);
    let request = Request {
        secrets,
        ..get(URL)
    };
    let composed = app.egress.send(&grant(policy), request).await.unwrap();
    assert_eq!(
        composed.body,
        "Basic [redacted]|",
        "{}",
        STANDARD.encode(pair)
    );
}

#[tokio::test]
async fn secrets_inside_large_binary_bodies_are_blanked() {
    let router = Router::new().fallback(|| async {
        let mut body = vec![0xff_u8; 100_000];
        body.extend_from_slice(KEY.as_bytes());
        body.extend_from_slice(URL_SAFE_NO_PAD.encode(KEY).as_bytes());
        body.push(0);
        body
    });
    let response = App::serving(router).await.send(get(URL)).await.unwrap();
    let mut expected = vec![0xff_u8; 100_000];
    expected.extend_from_slice(b"[redacted][redacted]\0");
    assert_eq!(response.body, expected);
}
