//! Input made to harm: refused in words, at little cost, and nobody beside it notices.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Body, Method};
use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixtures::{API_KEY, Answer, Client, Stage, app};

/// The largest body, as it is set by default.
const LIMIT: usize = 2 * 1024 * 1024;
/// What the host may hold more after all of it than after the first round, in which its
/// allocator takes what requests of these sizes need.
const MEMORY: u64 = 64 * 1024 * 1024;
/// What it may hold at all.
const MEMORY_AT_ALL: u64 = 512 * 1024 * 1024;
/// Longest that anybody else may wait, on a machine that is busy with other tests too.
const LONGEST: Duration = Duration::from_secs(15);
/// How often each of it is sent, in so many requests at once.
const ROUNDS: usize = 4;
const AT_ONCE: usize = 8;

/// A status and a code.
type Refusal = (u16, &'static str);

/// Bodies, and the answers to them.
fn bodies() -> Vec<(&'static str, Vec<u8>, Refusal)> {
    let invalid_json = (400, "invalid_json");
    let invalid_body = (400, "invalid_body");
    let person = |rest: &str| {
        let text = format!(r#"{{"firstName": "A", "lastName": "B", {rest}}}"#);
        text.into_bytes()
    };
    let members = |count: usize| {
        let mut text = b"{".to_vec();
        for number in 0..count {
            let comma = if number > 0 { "," } else { "" };
            write!(text, r#"{comma}"{number:x}":0"#).unwrap();
        }
        text.push(b'}');
        text
    };
    let nested = |open: &str, close: &str| {
        let (open, close) = (open.repeat(100_000), close.repeat(100_000));
        person(&format!(r#""customX": {open}1{close}"#))
    };
    vec![
        ("lists in lists", nested("[", "]"), invalid_json),
        ("objects in objects", nested(r#"{"a":"#, "}"), invalid_json),
        ("lists that never close", vec![b'['; LIMIT], invalid_json),
        (
            "a million keys",
            members(1_000_000),
            (413, "body_too_large"),
        ),
        // As many as fit in.
        ("keys to the limit", members(170_000), invalid_body),
        (
            "one byte too many",
            vec![b' '; LIMIT + 1],
            (413, "body_too_large"),
        ),
        (
            "a number beyond doubles",
            person(r#""averagePrice": 1e999"#),
            invalid_json,
        ),
        (
            "a number of a million digits",
            person(&format!(r#""averagePrice": {}"#, "9".repeat(1_000_000))),
            invalid_json,
        ),
        (
            "no UTF-8 in a name",
            person("\"\u{e9}\": 1")
                .into_iter()
                .filter(|byte| *byte != 0xc3)
                .collect(),
            invalid_json,
        ),
        (
            "half of a pair",
            person(r#""source": "\ud800""#),
            invalid_json,
        ),
        (
            "an unknown field of a megabyte",
            person(&format!(r#""{}": 1"#, "x".repeat(1_000_000))),
            invalid_body,
        ),
        (
            "a list with a million mistakes",
            person(&format!(r#""tags": [{}1]"#, "1,".repeat(900_000))),
            invalid_body,
        ),
    ]
}

/// Heads and queries, as a client can't be made to send them, and the statuses.
fn heads() -> Vec<(&'static str, Vec<u8>, u16)> {
    let get = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n")
            .into_bytes()
    };
    let headers =
        |count: usize| -> String { (0..count).map(|one| format!("X-{one}: y\r\n")).collect() };
    let list = "/crm/api/people";
    // Without a token nobody looks at the body: 401.
    vec![
        ("an address of 64 KiB", get(&format!("{list}?email={}", "x".repeat(64 * 1024)), ""), 414),
        ("a path of 64 KiB", get(&format!("{list}/{}", "x".repeat(64 * 1024)), ""), 414),
        ("200 headers", get(list, &headers(200)), 431),
        ("2000 headers", get(list, &headers(2000)), 431),
        ("a header of a megabyte", get(list, &format!("X-A: {}\r\n", "y".repeat(1 << 20))), 431),
        ("a body twice as long as it says", b"POST /crm/api/people HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n{}{}".to_vec(), 400),
        ("a length that is no number", b"POST /crm/api/people HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n{}".to_vec(), 400),
        ("a chunk of no length", b"POST /crm/api/people HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nxyz\r\n{}\r\n".to_vec(), 401),
        ("a line feed in a header's name", b"GET /crm/api/people HTTP/1.1\r\nHost: x\r\nX\x01: y\r\n\r\n".to_vec(), 400),
    ]
}

#[tokio::test]
async fn what_is_made_to_harm_is_refused_and_nobody_else_notices() {
    let stage = Stage::set(app(Dataset::demo())).await;
    let account = stage.host.client("victim").connect_synced(API_KEY).await;
    let people = account.get("/crm/api/people?limit=5").await.ok();
    let count = stage.app.people_count();
    let held = Mutex::new(Vec::new());

    let over = AtomicBool::new(false);
    let attack = async {
        for _ in 0..ROUNDS {
            for (name, body, (status, code)) in bodies() {
                let one = async || {
                    let request = account.request(Method::POST, "/crm/api/people");
                    let request = request.header("Content-Type", "application/json");
                    let answer = Answer::to(request.body(body.clone())).await;
                    let short = &answer.text[..answer.text.len().min(300)];
                    let told = answer.text.contains(&format!("\"code\":\"{code}\""));
                    assert!(
                        told && answer.status == status,
                        "{name}: {} {short}",
                        answer.status
                    );
                    // A refusal is not longer than what a client can read.
                    assert!(
                        answer.text.len() < 64 * 1024,
                        "{name}: {} bytes",
                        answer.text.len()
                    );
                };
                join_all((0..AT_ONCE).map(|_| one())).await;
            }
            for (name, head, status) in heads() {
                let answer = raw(&stage, &head).await;
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{name}: {answer}"
                );
                assert!(answer.contains("\"errorMessage\""), "{name}: {answer}");
            }
            held.lock().unwrap().push(stage.host.memory());
        }
        over.store(true, Ordering::Relaxed);
    };
    let (_, slowest) = tokio::join!(attack, beside(&account, &people, &over));

    let held = held.into_inner().unwrap();
    let (first, last) = (held[0], held[ROUNDS - 1]);
    assert!(last < first + MEMORY && last < MEMORY_AT_ALL, "{held:?}");
    assert!(slowest < LONGEST, "{slowest:?}");
    // Nothing of this came through.
    assert_eq!(stage.app.people_count(), count);
    assert!(!stage.host.log().contains("panic"), "{}", stage.host.log());
}

/// Reads and writes as everybody does, until it is over; answers how long the slowest
/// request took.
async fn beside(account: &Client, people: &Value, over: &AtomicBool) -> Duration {
    let note = json!({"personId": people["people"][0]["id"], "body": "meanwhile"});
    let mut slowest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        assert_eq!(
            &account.get("/crm/api/people?limit=5").await.ok()["people"],
            &people["people"]
        );
        account.post("/crm/api/notes", note.clone()).await.with(201);
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}

/// What the host answers to these bytes.
async fn raw(stage: &Stage, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", stage.host.port()))
        .await
        .unwrap();
    // It may stop reading before we stop writing.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn odd_but_valid_bodies_are_taken_or_refused_in_words() {
    let stage = Stage::set(app(Dataset::demo())).await;
    let account = stage.host.client("odd").connect_synced(API_KEY).await;
    let send = async |rest: &str| {
        let body = format!(r#"{{"firstName": "A", "lastName": "B", {rest}}}"#);
        let request = account.request(Method::POST, "/crm/api/people").body(body);
        Answer::to(request).await
    };
    // Of a name that comes twice the last counts.
    let twice = send(r#""source": "first", "source": "last""#)
        .await
        .with(201);
    assert_eq!(twice["source"], "last");
    // The largest numbers there are.
    for number in ["1e308", "-1e308", "5e-324", "9007199254740993"] {
        let answer = send(&format!(r#""averagePrice": {number}"#)).await;
        assert!(
            matches!(answer.status, 201 | 400),
            "{number}: {} {}",
            answer.status,
            answer.text
        );
        answer.json();
    }
    // Text of every sort comes back as it went.
    for text in [
        "\u{202e}\u{fffe}",
        "\u{7f}\u{85}\u{2028}",
        "👩‍👩‍👧",
        "'; DROP TABLE rollout_people; --",
        "{{apiKey}}",
        "<script>",
    ] {
        let made = send(&format!(r#""source": {}"#, json!(text)))
            .await
            .with(201);
        assert_eq!(made["source"], text);
    }
}

#[tokio::test]
async fn bodies_that_never_end_are_cut_off() {
    let stage = Stage::set(app(Dataset::demo())).await;
    let account = stage.host.client("endless").connect_synced(API_KEY).await;
    let before = stage.host.memory();
    // As fast as it is read.
    let flood = async || {
        let chunks =
            futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
        let request = account
            .request(Method::POST, "/crm/api/people")
            .body(Body::wrap_stream(chunks));
        // The answer may come while the client still writes, and break that.
        let answer = request.send().await.ok();
        answer.map(|answer| answer.status().as_u16())
    };
    // A byte now and then: the time that a body may take is over at last.
    let dribble = async || {
        let slow = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Some((Ok::<_, std::io::Error>(vec![b' ']), ()))
        });
        let request = account
            .request(Method::POST, "/crm/api/people")
            .body(Body::wrap_stream(slow));
        Answer::to(request).await.refused(408, "body_timeout");
    };
    let floods = join_all((0..AT_ONCE).map(|_| flood()));
    let dribbles = join_all((0..AT_ONCE).map(|_| dribble()));
    let (answers, _) = tokio::join!(floods, dribbles);
    let told: Vec<u16> = answers.into_iter().flatten().collect();
    assert!(
        !told.is_empty() && told.iter().all(|status| *status == 413),
        "{told:?}"
    );
    let after = stage.host.memory();
    assert!(
        after < before + MEMORY,
        "{before} bytes before, {after} after"
    );
    account.get("/crm/api/people").await.ok();
}
