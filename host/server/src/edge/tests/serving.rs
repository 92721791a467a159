//! Over real sockets: slow, broken and many clients, and the end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;

struct Server {
    address: SocketAddr,
    /// Told when a request reaches `/slow` or `/stuck`.
    busy: Arc<Notify>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Drained>,
}

async fn start(options: ServeOptions) -> Server {
    let busy = Arc::new(Notify::new());
    let (told, also_told) = (Arc::clone(&busy), Arc::clone(&busy));
    let slow = get(async move || {
        told.notify_one();
        sleep(Duration::from_millis(300)).await;
        "slow but done"
    });
    let stuck = get(async move || {
        also_told.notify_one();
        std::future::pending::<()>().await;
    });
    let routes = routes().route("/slow", slow).route("/stuck", stuck).route(
        "/peer",
        get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let app = around(routes, EdgeOptions::default());
    let running = tokio::spawn(serve(listener, app, options, async { drop(stopped.await) }));
    Server {
        address,
        busy,
        stop,
        running,
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `head`, reads until the server closes.
    async fn say(&self, head: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        hear(&mut stream).await
    }

    async fn end(self) -> Drained {
        self.stop.send(()).unwrap();
        self.running.await.unwrap()
    }
}

async fn hear(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .expect("closed in time")
        .unwrap();
    String::from_utf8(answer).unwrap()
}

fn get_path(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

/// An error answer as raw text: status, code, a request id.
fn refused(answer: &str) -> (u16, String) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head in {answer:?}"));
    assert!(
        head.contains("x-request-id: ") && head.contains("content-type: application/json"),
        "{head}"
    );
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    let body: Value = serde_json::from_str(body).unwrap();
    (
        head[9..12].parse().unwrap(),
        body["errors"][0]["code"].as_str().unwrap().to_owned(),
    )
}

fn quick() -> ServeOptions {
    ServeOptions {
        header_read_timeout: Duration::from_millis(200),
        ..ServeOptions::default()
    }
}

#[tokio::test]
async fn answers_and_knows_the_peer() {
    let server = start(ServeOptions::default()).await;
    assert!(
        server
            .say(&get_path("/healthz"))
            .await
            .ends_with("\r\n\r\nok")
    );
    assert!(server.say(&get_path("/peer")).await.contains("127.0.0.1:"));
    assert_eq!(server.end().await, Drained { cut: 0 });
}

#[tokio::test]
async fn slow_heads_and_silent_clients_are_cut() {
    let server = start(quick()).await;
    for beginning in [
        "",
        "G",
        "PRI * HTTP/2",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: ",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let started = Instant::now();
        hear(&mut stream).await;
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{beginning:?} took {:?}",
            started.elapsed()
        );
    }
    // One byte now and then does not help either.
    let mut stream = server.connect().await;
    let started = Instant::now();
    for byte in get_path("/healthz").bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(server.end().await, Drained { cut: 0 });
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let server = start(quick()).await;
    // Slower than the period between requests, but in flight all the time.
    assert!(
        server
            .say(&get_path("/slow"))
            .await
            .ends_with("slow but done")
    );

    let mut idle = server.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(
        hear(&mut idle).await.ends_with("ok"),
        "answered, then closed by the server"
    );

    // HTTP/2: preface and settings, then nothing.
    let mut silent = server.connect().await;
    silent
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut noise = Vec::new();
    timeout(Duration::from_secs(5), silent.read_to_end(&mut noise))
        .await
        .expect("closed in time")
        .unwrap();
}

#[tokio::test]
async fn http2_is_spoken_finished_and_closed_when_idle() {
    let server = start(ServeOptions {
        header_read_timeout: Duration::from_millis(100),
        ..ServeOptions::default()
    })
    .await;
    let io = TokioIo::new(server.connect().await);
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), io)
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let mut ask = async |host: &str, path: &str| {
        let uri = format!("http://{host}{path}");
        let response = requests
            .send_request(request("GET", &uri, &[]))
            .await
            .unwrap();
        text(response.map(Body::new)).await
    };
    assert_eq!(ask("localhost", "/healthz").await, "ok");
    assert!(
        ask("crm.localhost", "/people")
            .await
            .ends_with("/crm/api/people"),
        "the authority names the category"
    );
    assert_eq!(
        ask("localhost", "/slow").await,
        "slow but done",
        "three periods long"
    );
    timeout(Duration::from_secs(5), connection)
        .await
        .expect("closed in time")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn heads_that_the_library_refuses_get_json_too() {
    let server = start(ServeOptions::default()).await;
    let headers = |count: usize| {
        (0..count)
            .map(|n| format!("x-{n}: 1\r\n"))
            .collect::<String>()
    };
    let head = |target: &str, more: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n")
    };
    for (case, expected) in [
        (head("/healthz", &headers(200)), is(431, "head_too_large")),
        (head("/healthz", &headers(1_000)), is(431, "head_too_large")),
        (
            head("/healthz", &format!("x: {}\r\n", "x".repeat(70_000))),
            is(431, "head_too_large"),
        ),
        (
            head("/healthz", &format!("x: {}\r\n", "x".repeat(1_000_000))),
            is(431, "head_too_large"),
        ),
        (
            head(&format!("/{}", "x".repeat(20_000)), ""),
            is(414, "uri_too_long"),
        ),
        (
            head(&format!("/{}", "x".repeat(65_536)), ""),
            is(414, "uri_too_long"),
        ),
        (head("/healthz", "x y: 1\r\n"), is(400, "invalid_request")),
        (head("/healthz", "x: a\0b\r\n"), is(400, "invalid_request")),
        (head("/a b", ""), is(400, "invalid_request")),
        (
            head("/healthz", "content-length: -1\r\n"),
            is(400, "invalid_request"),
        ),
        (
            head("/healthz", "content-length: 1\r\ncontent-length: 2\r\n"),
            is(400, "invalid_request"),
        ),
        ("GARBAGE\r\n\r\n".to_owned(), is(400, "invalid_request")),
        (
            "GET / HTTP/3.7\r\n\r\n".to_owned(),
            is(400, "invalid_request"),
        ),
    ] {
        let answer = server.say(&case).await;
        assert_eq!(refused(&answer), expected, "{:.60}", case);
    }
    assert!(server.say(&get_path("/healthz")).await.ends_with("ok"));
}

#[tokio::test]
async fn a_refused_upload_still_hears_why() {
    let server = start(ServeOptions::default()).await;
    let size = 12 * 1024 * 1024;
    for framing in [
        format!("content-length: {size}"),
        "transfer-encoding: chunked".to_owned(),
    ] {
        let mut stream = server.connect().await;
        stream
            .write_all(format!("POST /json HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let mut sent = 0;
        while sent < size {
            let written = stream.write_all(piece.as_bytes()).await;
            written.expect("the server reads on after it refused");
            sent += piece.len();
        }
        assert_eq!(
            refused(&hear(&mut stream).await),
            is(413, "body_too_large"),
            "{framing}"
        );
    }
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let server = start(ServeOptions {
        max_connections: 2,
        ..quick()
    })
    .await;
    let (_one, _two) = (server.connect().await, server.connect().await);
    // The third waits in the kernel until a silent one is cut, then is served.
    let started = Instant::now();
    assert!(server.say(&get_path("/healthz")).await.ends_with("ok"));
    assert!(
        started.elapsed() > Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn shutting_down_finishes_what_is_in_flight() {
    let server = start(ServeOptions::default()).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut idle = server.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        assert!(idle.read_buf(&mut answer).await.unwrap() > 0);
    }
    server.busy.notified().await;

    let address = server.address;
    let ending = tokio::spawn(server.end());
    assert_eq!(
        hear(&mut idle).await,
        "",
        "an idle connection is closed at once"
    );
    drop(idle);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "no new connections"
    );
    assert!(hear(&mut busy).await.ends_with("slow but done"));
    drop(busy);
    let drained = timeout(Duration::from_secs(3), ending)
        .await
        .expect("drained in time")
        .unwrap();
    assert_eq!(drained, Drained { cut: 0 });
}

#[tokio::test]
async fn draining_is_bounded() {
    let server = start(ServeOptions {
        drain_timeout: Duration::from_millis(200),
        ..ServeOptions::default()
    })
    .await;
    let mut stuck = server.connect().await;
    stuck
        .write_all(b"GET /stuck HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    server.busy.notified().await;
    let started = Instant::now();
    assert_eq!(server.end().await, Drained { cut: 1 });
    assert!(started.elapsed() < Duration::from_secs(2));
}
