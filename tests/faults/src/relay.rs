//! The wire between the hosts and the app.
//!
//! It delays what passes, loses answers on order, and notes who was listed when and
//! what was made. A request that has arrived here reaches the app even if the host
//! that sent it is gone, as with any real network.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::dice::Dice;
use crate::records::Entity;

const MAX_BODY: usize = 8 << 20;

/// The wire. It serves as long as its runtime.
pub(crate) struct Relay {
    url: String,
    app: String,
    http: reqwest::Client,
    dice: Mutex<Dice>,
    lose: AtomicU32,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Lists that the app gave, by `Authorization` and path.
    lists: HashMap<(String, String), Listed>,
    /// How often the app made a record with this marker.
    made: HashMap<String, usize>,
}

/// How often something was listed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Listed {
    pub(crate) times: usize,
    /// When the request of the last answer came.
    pub(crate) asked: Option<Instant>,
}

struct Passed {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Relay {
    /// A wire to the app at `app`.
    pub(crate) async fn start(app: &str, seed: u64) -> Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let relay = Arc::new(Self {
            url: format!("http://{}", listener.local_addr()?),
            app: app.to_owned(),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_gzip()
                .build()?,
            dice: Mutex::new(Dice::new(seed, "wire")),
            lose: AtomicU32::new(0),
            notes: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(relay.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(relay)
    }

    /// Where the hosts find the app.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The app's answers to the next writes get lost.
    pub(crate) fn lose(&self, writes: u32) {
        self.lose.fetch_add(writes, Ordering::Relaxed);
    }

    /// How often the holder of a key was given a list.
    pub(crate) fn listed(&self, authorization: &str, entity: &str) -> Listed {
        let place = (authorization.to_owned(), format!("/v1/{entity}"));
        let notes = self.notes.lock();
        notes.lists.get(&place).copied().unwrap_or_default()
    }

    /// How often the app made a record with this marker at a client's request.
    pub(crate) fn made(&self, marker: &str) -> usize {
        self.notes.lock().made.get(marker).copied().unwrap_or(0)
    }

    /// How long a request and its answer are on their way. Answers to writes take
    /// their time now and then: that is when a host doesn't know what it did.
    fn latency(&self, writes: bool) -> (Duration, Duration) {
        let mut dice = self.dice.lock();
        let back = match writes && dice.chance(15) {
            true => dice.millis(200, 900),
            false => dice.millis(0, 30),
        };
        (dice.millis(0, 30), back)
    }

    fn loses(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.lose
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    async fn forward(self: Arc<Self>, head: Parts, body: Bytes, wait: Duration) -> Result<Passed> {
        let asked = Instant::now();
        tokio::time::sleep(wait).await;
        let mut headers = head.headers.clone();
        for own in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(own);
        }
        let answer = self
            .http
            .request(head.method.clone(), format!("{}{}", self.app, head.uri))
            .headers(headers)
            .body(body)
            .send()
            .await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for own in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(own);
        }
        let passed = Passed {
            status,
            headers,
            body: answer.bytes().await?,
        };
        self.note(&head, &passed, asked);
        Ok(passed)
    }

    fn note(&self, head: &Parts, passed: &Passed, asked: Instant) {
        let path = head.uri.path();
        if !passed.status.is_success() {
            return;
        }
        if head.method == Method::GET {
            let authorization = head.headers.get(AUTHORIZATION);
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let place = (
                authorization.unwrap_or_default().to_owned(),
                path.to_owned(),
            );
            let mut notes = self.notes.lock();
            let listed = notes.lists.entry(place).or_default();
            listed.times += 1;
            listed.asked = Some(asked);
        } else if head.method == Method::POST {
            let entity = Entity::ALL
                .into_iter()
                .find(|entity| path == format!("/v1/{}", entity.name()));
            let record = serde_json::from_slice(&passed.body).unwrap_or_default();
            if let Some((marker, _)) = entity.and_then(|entity| entity.read(&record)) {
                *self.notes.lock().made.entry(marker).or_default() += 1;
            }
        }
    }
}

async fn pass(State(relay): State<Arc<Relay>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let writes = head.method != Method::GET;
    let (there, back) = relay.latency(writes);
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        // The sender went away before it was all sent.
        return status(StatusCode::BAD_REQUEST);
    };
    // On a task of its own: it arrives, whoever waits for the answer.
    let passing = tokio::spawn(relay.clone().forward(head, body, there));
    let passed = match passing.await.context("the relay").flatten() {
        Ok(passed) => passed,
        Err(_) => return status(StatusCode::BAD_GATEWAY),
    };
    tokio::time::sleep(back).await;
    let mut answer = Response::new(if writes && relay.loses() {
        let torn = Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset));
        Body::from_stream(stream::iter([torn]))
    } else {
        Body::from(passed.body)
    });
    *answer.status_mut() = passed.status;
    *answer.headers_mut() = passed.headers;
    answer
}

fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rollout_test_apps::follow_up_boss::{Config, Dataset, RateLimits, Simulator};
    use serde_json::json;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn lists_and_makings_are_noted_and_answers_get_lost() {
        let config = Config::new(Dataset::demo()).limits(RateLimits::off());
        let app = Simulator::start(config).unwrap();
        let people = app.people_count();
        let relay = Relay::start(app.url(), 1).await.unwrap();
        let address = format!("{}/v1/people", relay.url());
        let http = reqwest::Client::new();
        let authorization = "Basic ZmthX2RlbW86";

        let list = http
            .get(&address)
            .header("authorization", authorization)
            .send()
            .await
            .unwrap();
        assert_eq!(list.status(), 200);
        assert!(list.text().await.unwrap().contains("_metadata"));
        assert_eq!(relay.listed(authorization, "people").times, 1);
        assert_eq!(relay.listed(authorization, "notes").times, 0);

        relay.lose(1);
        for (marker, arrives) in [("fault-1", false), ("fault-2", true)] {
            let sent = http
                .post(&address)
                .header("authorization", authorization)
                .json(&json!({"lastName": marker, "firstName": "value-1"}))
                .send()
                .await;
            let read = match sent {
                Ok(answer) => answer.bytes().await.is_ok(),
                Err(_) => false,
            };
            assert_eq!(read, arrives, "{marker}");
            assert_eq!(relay.made(marker), 1);
        }
        assert_eq!(app.people_count(), people + 2);
    }
}
