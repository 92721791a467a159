//! A receiver of webhooks that writes down what comes and answers as it is told, also as
//! no good receiver would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fixtures::{Keys, until};

/// How to answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status and nothing else.
    Status(u16),
    /// A status, one header and a body.
    With(u16, &'static str, String),
    /// Nothing, but the connection stays.
    Silence,
    /// A head, letter by letter.
    SlowHead,
    /// The head of a status, and a body that never ends, letter by letter.
    SlowBody(u16),
    /// The head of a status, and as much as anybody takes.
    EndlessBody(u16),
    /// A head of a megabyte.
    HugeHead,
    /// The connection is reset.
    Reset,
}

/// What came.
#[derive(Clone, Debug)]
pub struct Got {
    pub at: Instant,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Got {
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).expect("a delivery is JSON")
    }

    pub fn event_id(&self) -> String {
        self.body()["eventId"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.get(name);
        found.unwrap_or_else(|| panic!("no {name}: {:?}", self.headers))
    }

    /// Both signatures are those of this environment, by others' code: the one that
    /// Rollout documents for Node, and the library of the Standard Webhooks project.
    #[track_caller]
    pub fn assert_signed(&self, keys: &Keys) {
        const DOCUMENTED: &str = "const crypto = require('crypto'); \
            const [secret, body] = process.argv.slice(1); \
            const message = Buffer.from(body).toString('base64'); \
            console.log(crypto.createHmac('sha256', secret).update(message).digest('hex'));";
        let made = Command::new("node")
            .args(["-e", DOCUMENTED, &keys.client_secret, &self.text])
            .stderr(Stdio::inherit())
            .output()
            .expect("node runs");
        let made = String::from_utf8(made.stdout).unwrap();
        assert_eq!(self.header("x-rollout-signature"), made.trim());

        let secret = format!("whsec_{}", STANDARD.encode(&keys.client_secret));
        let library = standardwebhooks::Webhook::new(&secret).unwrap();
        let mut headers = http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, self.header(name).parse().unwrap());
        }
        library.verify(self.text.as_bytes(), &headers).unwrap();
        assert_eq!(self.header("webhook-id"), self.event_id());
    }
}

#[derive(Default)]
struct State {
    got: Vec<Got>,
    next: VecDeque<Reply>,
    by_path: BTreeMap<String, Reply>,
}

/// A receiver on a port of its own.
pub struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
        };
        let state = receiver.state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// As an entry of `webhooks.allowed_private`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The next requests are answered like this, in this order; all others with 200.
    pub fn answer(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().next.extend(replies);
    }

    /// Every request of a path is answered like this.
    pub fn answer_at(&self, path: &str, reply: Reply) {
        let mut state = self.state.lock().unwrap();
        state.by_path.insert(path.to_owned(), reply);
    }

    pub fn got(&self) -> Vec<Got> {
        self.state.lock().unwrap().got.clone()
    }

    /// What came to a path, once it is so much.
    pub async fn wait(&self, path: &str, count: usize) -> Vec<Got> {
        until(&format!("{count} deliveries at {path}"), async || {
            let mut got = self.got();
            got.retain(|one| one.path == path);
            (got.len() >= count).then_some(got)
        })
        .await
    }

    /// The records that a path was told of, and under which event each.
    pub fn told(&self, path: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for got in self.got().iter().filter(|one| one.path == path) {
            for id in got.body()["resourceIds"].as_array().unwrap() {
                let ids = told.entry(id.as_str().unwrap().to_owned()).or_default();
                ids.insert(got.event_id());
            }
        }
        told
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some(got) = read(&mut stream, &mut buffer).await {
        let reply = {
            let mut state = state.lock().unwrap();
            let at_path = state.by_path.get(&got.path).cloned();
            let reply = at_path.or_else(|| state.next.pop_front());
            state.got.push(got);
            reply.unwrap_or(Reply::Status(200))
        };
        if !answer(&mut stream, reply).await {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Got> {
    let mut more = async |buffer: &mut Vec<u8>| {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(read @ 1..) => {
                buffer.extend(&part[..read]);
                Some(())
            }
            _ => None,
        }
    };
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(buffer).await?;
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().unwrap();
    while buffer.len() < end + length {
        more(buffer).await?;
    }
    let text = String::from_utf8(buffer[end..end + length].to_vec()).unwrap();
    buffer.drain(..end + length);
    Some(Got {
        at: Instant::now(),
        path,
        headers,
        text,
    })
}

/// False if the connection is no good any more.
async fn answer(stream: &mut TcpStream, reply: Reply) -> bool {
    const SLOW: Duration = Duration::from_millis(50);
    let head = |status: u16, rest: &str| format!("HTTP/1.1 {status} X\r\n{rest}\r\n");
    let written = match reply {
        Reply::Status(status) => {
            let text = head(status, "content-length: 0\r\n");
            stream.write_all(text.as_bytes()).await
        }
        Reply::With(status, header, body) => {
            let rest = format!("{header}\r\ncontent-length: {}\r\n", body.len());
            let text = head(status, &rest) + &body;
            stream.write_all(text.as_bytes()).await
        }
        Reply::Silence => {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            return false;
        }
        Reply::SlowHead => {
            let text = head(200, "content-length: 0\r\n");
            for byte in text.bytes().chain(std::iter::repeat(b'x')) {
                if stream.write_all(&[byte]).await.is_err() {
                    break;
                }
                // It would take seconds: longer than the tests let a head take.
                tokio::time::sleep(SLOW * 4).await;
            }
            return false;
        }
        Reply::SlowBody(status) => {
            let text = head(status, "content-length: 1000000\r\n");
            let mut written = stream.write_all(text.as_bytes()).await;
            while written.is_ok() {
                tokio::time::sleep(SLOW).await;
                written = stream.write_all(b"x").await;
            }
            return false;
        }
        Reply::EndlessBody(status) => {
            let text = head(status, "transfer-encoding: chunked\r\n");
            let mut written = stream.write_all(text.as_bytes()).await;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while written.is_ok() {
                written = stream.write_all(chunk.as_bytes()).await;
            }
            return false;
        }
        Reply::HugeHead => {
            let rest = format!("x-long: {}\r\n", "x".repeat(1 << 20));
            let text = head(200, &rest);
            let _ = stream.write_all(text.as_bytes()).await;
            return false;
        }
        Reply::Reset => {
            let _ = stream.set_zero_linger();
            return false;
        }
    };
    written.is_ok()
}
