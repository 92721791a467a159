//! What is tried a second time, what never is, and what is recorded of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rollout_egress::{Egress, EgressConfig, Failure, Grant, Outcome, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::app::{App, KEY, egress, get, grant, policy, post};
use crate::ledger::{Ledger, Records, allowance, process, rule};

const URL: &str = "https://api.example.com/v1/people/7?q=secret";

/// What a server does with a connection.
#[derive(Clone, Copy)]
enum Does {
    /// Closes it at once.
    Closes,
    /// Reads the request and closes it.
    ReadsAndCloses,
    /// Reads it, and closes within the answer's body.
    AnswersHalf,
    /// Reads it and says nothing.
    Reads,
    /// Answers 200.
    Answers,
}

/// A server that does one thing with each connection, and counts what it read.
struct Server {
    egress: Egress,
    connections: Arc<AtomicUsize>,
    read: Arc<AtomicUsize>,
}

impl Server {
    async fn that(does: &'static [Does]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, read) = (Arc::default(), Arc::default());
        let server = Server {
            egress: egress(port, EgressConfig::default()),
            connections: Arc::clone(&connections),
            read: Arc::clone(&read),
        };
        tokio::spawn(async move {
            let mut kept = Vec::new();
            for does in does {
                let (mut connection, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                if matches!(does, Does::Closes) {
                    continue;
                }
                let mut got = Vec::new();
                while !got.windows(4).any(|four| four == b"\r\n\r\n") {
                    let mut part = [0; 1024];
                    let length = connection.read(&mut part).await.unwrap();
                    assert!(length > 0, "the request is not whole");
                    got.extend_from_slice(&part[..length]);
                }
                read.fetch_add(1, Ordering::SeqCst);
                let answer = match does {
                    Does::Answers => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                    Does::AnswersHalf => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
                    _ => "",
                };
                connection.write_all(answer.as_bytes()).await.unwrap();
                match does {
                    Does::Reads => kept.push(connection),
                    _ => connection.shutdown().await.unwrap(),
                }
            }
            // More would be refused; nothing is to come.
            drop(listener);
            std::future::pending::<()>().await;
        });
        server
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::SeqCst)
    }
}

fn recorded() -> (Arc<Records>, Grant) {
    let records: Arc<Records> = Arc::default();
    let grant = grant(policy()).traced(records.trace());
    (records, grant)
}

fn with_method(method: &str) -> Request {
    Request {
        method: method.to_owned(),
        ..get(URL)
    }
}

const BROKEN: Outcome = Outcome::Failed("connection");

#[tokio::test]
async fn what_only_reads_is_tried_again_after_a_broken_connection() {
    for does in [
        &[Does::Closes, Does::Answers],
        &[Does::ReadsAndCloses, Does::Answers],
    ] {
        let server = Server::that(does).await;
        let (records, grant) = recorded();
        let response = server.egress.send(&grant, get(URL)).await.unwrap();
        assert_eq!(&response.body[..], b"{}");
        assert_eq!(server.connections(), 2);
        let outcomes = [(1, BROKEN), (2, Outcome::Status(200))];
        assert_eq!(records.outcomes(), outcomes);
        assert!(!grant.wrote());
    }
    for method in ["HEAD", "OPTIONS"] {
        let server = Server::that(&[Does::ReadsAndCloses, Does::Answers]).await;
        let (_, grant) = recorded();
        let sent = server.egress.send(&grant, with_method(method)).await;
        assert_eq!(sent.unwrap().status, 200, "{method}");
    }
}

#[tokio::test]
async fn it_is_tried_twice_and_no_more() {
    let server = Server::that(&[Does::ReadsAndCloses, Does::ReadsAndCloses, Does::Answers]).await;
    let (records, grant) = recorded();
    let failure = server.egress.send(&grant, get(URL)).await.unwrap_err();
    assert!(matches!(failure, Failure::Connection(_)), "{failure}");
    assert_eq!(records.outcomes(), [(1, BROKEN), (2, BROKEN)]);
    assert_eq!(server.read(), 2);
}

#[tokio::test]
async fn what_may_have_changed_something_is_never_sent_again() {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for does in [
            &[Does::Closes, Does::Answers],
            &[Does::ReadsAndCloses, Does::Answers],
        ] {
            let server = Server::that(does).await;
            let (records, grant) = recorded();
            let sent = server.egress.send(&grant, with_method(method)).await;
            let failure = sent.unwrap_err();
            assert!(matches!(failure, Failure::Connection(_)), "{failure}");
            assert_eq!(records.outcomes(), [(1, BROKEN)], "{method}");
            assert_eq!(server.connections(), 1);
            assert!(grant.wrote(), "the app may have done it");
        }
    }
}

#[tokio::test]
async fn a_timeout_or_the_beginning_of_an_answer_is_no_broken_connection() {
    let (server, (records, grant)) = (
        Server::that(&[Does::Reads, Does::Answers]).await,
        recorded(),
    );
    let hasty = Request {
        timeout: Some(Duration::from_millis(200)),
        ..get(URL)
    };
    let failure = server.egress.send(&grant, hasty).await.unwrap_err();
    assert_eq!(failure, Failure::Timeout);
    assert_eq!(records.outcomes(), [(1, Outcome::Failed("timeout"))]);
    assert_eq!(server.connections(), 1);

    let server = Server::that(&[Does::AnswersHalf, Does::Answers]).await;
    let (records, grant) = recorded();
    let failure = server.egress.send(&grant, get(URL)).await.unwrap_err();
    assert!(matches!(failure, Failure::Connection(_)), "{failure}");
    assert_eq!(records.outcomes(), [(1, BROKEN)]);
}

#[tokio::test]
async fn what_never_left_is_tried_again_and_counts_as_not_written() {
    // Nobody listens at a port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let egress = egress(
        listener.local_addr().unwrap().port(),
        EgressConfig::default(),
    );
    drop(listener);
    let (records, grant) = recorded();
    let ledger = Arc::new(Ledger::default());
    let hour = Duration::from_secs(3600);
    let grant = grant.within(allowance(&process(&ledger), vec![rule("all", 3, hour)]));
    let left = grant.requests_left();
    let failure = egress.send(&grant, with_method("POST")).await.unwrap_err();
    assert!(
        failure.to_string().contains("could not be connected to"),
        "{failure}"
    );
    assert_eq!(records.outcomes(), [(1, BROKEN), (2, BROKEN)]);
    assert!(!grant.wrote(), "nothing left");
    // Both counted: against the call's own number, and the budget.
    assert_eq!(grant.requests_left(), left - 2);
    let failure = egress.send(&grant, with_method("POST")).await.unwrap_err();
    assert!(matches!(failure, Failure::Budget(Some(_))), "{failure}");
    assert_eq!(
        records.outcomes()[2..],
        [(1, BROKEN), (2, Outcome::Failed("budget"))]
    );
}

#[tokio::test]
async fn a_write_is_held_back_at_the_last_moment() {
    let app = App::echoing().await;
    let (records, grant) = recorded();
    grant.write_while(|| false);
    let write = post("https://api.example.com/v1/people", "text/plain", "x");
    let failure = app.egress.send(&grant, write).await.unwrap_err();
    assert!(matches!(failure, Failure::Denied(_)), "{failure}");
    app.egress.send(&grant, get(URL)).await.unwrap();
    assert!(!grant.wrote());
    let outcomes = [(1, Outcome::Failed("denied")), (1, Outcome::Status(200))];
    assert_eq!(records.outcomes(), outcomes);
    assert_eq!(app.reached(), 1);
}

#[tokio::test]
async fn a_record_says_where_to_and_what_came_of_it_and_no_secret() {
    let app = App::echoing().await;
    let (records, grant) = recorded();
    let long = "x".repeat(3000);
    let url = format!("https://api.example.com/v1/{KEY}/hunter2/{long}?key={KEY}");
    let response = app
        .egress
        .send(&grant, post(&url, "text/plain", "hello"))
        .await;
    let received = response.unwrap().body.len() as u64;
    for refused in [
        "http://api.example.com/",
        "not a url",
        "https://evil.example/x",
    ] {
        app.egress.send(&grant, get(refused)).await.unwrap_err();
    }
    let odd = Request {
        method: format!("GET\r\n{KEY}"),
        ..get(URL)
    };
    app.egress.send(&grant, odd).await.unwrap_err();

    let all = records.all();
    let one = &all[0];
    assert_eq!(&*one.request_id, "request-1");
    assert_eq!(one.credential.as_deref(), Some("credential-1"));
    assert_eq!(
        (one.connector.as_str(), one.method.as_str()),
        ("example", "POST")
    );
    assert_eq!(one.host, "api.example.com");
    assert!(
        one.path.starts_with("/v1/[redacted]/[redacted]/xxx"),
        "{}",
        one.path
    );
    assert_eq!(one.path.len(), 500);
    assert_eq!((one.sent, one.received, one.attempt), (5, received, 1));
    assert_eq!(one.outcome, Outcome::Status(200));
    assert!(one.took > Duration::ZERO && one.at.elapsed().unwrap() >= one.took);
    for refused in &all[1..] {
        assert_eq!(refused.outcome, Outcome::Failed("denied"));
        assert_eq!((refused.host.as_str(), refused.path.as_str()), ("", ""));
        let shown = format!("{refused:?}");
        assert!(!shown.contains(KEY) && !shown.contains("\\r"), "{shown}");
    }
    assert_eq!(all.len(), 5);
}

#[tokio::test]
async fn a_request_that_is_cut_off_is_recorded() {
    let server = Server::that(&[Does::Reads]).await;
    let (records, grant) = recorded();
    let sent = server.egress.send(&grant, with_method("POST"));
    tokio::select! {
        sent = sent => panic!("{sent:?}"),
        () = async {
            while server.read() == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(records.outcomes(), [(1, Outcome::Failed("cut-off"))]);
    assert!(grant.wrote());
}
