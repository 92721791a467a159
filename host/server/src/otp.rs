//! `/api/auth/otp/{id}`: a WebSocket on which a person's page answers the code that an app
//! asked for.
//!
//! The id is all that the page needs to know, and nobody can guess it. Pages that use a
//! connection lose it and come back, to any process: what became of an answer is stored
//! before it is told, and told to whoever comes back. The page never closes the connection
//! itself and reconnects whenever it is closed, so it stays open, idle, for a while.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::Response;
use rollout_connectors::{Answered, Cause, Environment, Standing, environment_of_state};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::error::ApiError;
use crate::host::{Host, cause};
use crate::sanitize::harmless;

/// Connections that a process keeps open: of people with a challenge, and of others.
pub(crate) const MOST_SOCKETS: usize = 1024;
pub(crate) const MOST_STRANGERS: usize = 64;
/// Longest frame that is read, in bytes.
const LONGEST_FRAME: usize = 4 * 1024;
/// How long a connection may stay: longer than a challenge lasts.
const STAY: Duration = Duration::from_secs(15 * 60);
/// The same for one that no challenge is known of.
const SHORT_STAY: Duration = Duration::from_secs(30);
/// Frames that are taken on a connection, and how long one may take to be sent.
const MOST_FRAMES: usize = 50;
const SENDING: Duration = Duration::from_secs(10);
/// How often the other side is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How often it is looked what became of an answer that another process passed on.
const LOOK: Duration = Duration::from_millis(250);

const GONE: &str = "This request for a code has ended. Begin again.";
const TROUBLE: &str = "Something went wrong here. Try again.";

/// Opens the connection.
pub(crate) async fn socket(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let cause = cause(&request);
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.map_err(|_| ApiError::websocket_expected())?;
    let environment = environment_of_state(&id);
    let environment = environment.and_then(|client_id| host.environments.by_client_id(client_id));
    // Whoever knows no challenge takes nobody's place.
    let known = match &environment {
        Some(environment) => environment.challenge(&id).await,
        None => Ok(Standing::Gone),
    };
    let known = known.map_err(ApiError::store_unavailable)? != Standing::Gone;
    let places = if known {
        &host.sockets
    } else {
        &host.strangers
    };
    let permit = places.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::busy("too many open connections"))?;
    let upgrade = upgrade
        .max_message_size(LONGEST_FRAME)
        .max_frame_size(LONGEST_FRAME);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let conversation = Conversation {
            host,
            environment,
            id,
            cause,
            stay: if known { STAY } else { SHORT_STAY },
            _permit: permit,
        };
        // Whoever hung up hears no more.
        let _ = conversation.hold(socket).await;
    }))
}

struct Conversation {
    host: Arc<Host>,
    environment: Option<Arc<Environment>>,
    id: String,
    cause: Cause,
    stay: Duration,
    _permit: OwnedSemaphorePermit,
}

/// What a page says.
#[derive(Deserialize)]
#[serde(tag = "event")]
enum Said {
    #[serde(rename = "ENTER_OTP")]
    Enter { otp: String },
    #[serde(other)]
    Other,
}

/// The other side is gone.
struct Closed;

impl From<axum::Error> for Closed {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

impl Conversation {
    async fn hold(&self, mut socket: WebSocket) -> Result<(), Closed> {
        // An answer may have been given before the connection broke.
        if let Standing::Outcome(_) | Standing::Answering = self.standing().await {
            let outcome = self.wait(&mut socket).await?;
            self.tell(&mut socket, &outcome).await?;
        }
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = sleep_until(Instant::now() + self.stay);
        let mut heard = 0;
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                _ = ping.tick() => send(&mut socket, Message::Ping(Default::default())).await?,
                frame = socket.recv() => match frame {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(_)) if heard >= MOST_FRAMES => return Ok(()),
                    Some(Ok(Message::Text(text))) => {
                        heard += 1;
                        self.hear(&mut socket, &text).await?;
                    }
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    /// Takes a frame.
    async fn hear(&self, socket: &mut WebSocket, text: &str) -> Result<(), Closed> {
        let otp = match serde_json::from_str(text) {
            Ok(Said::Enter { otp }) => otp,
            Ok(Said::Other) => return Ok(()),
            Err(_) => {
                let words = "This is no frame that is understood here.";
                return tell(socket, &result(Err(words))).await;
            }
        };
        let passed_on = self.pass_on(otp);
        tokio::pin!(passed_on);
        let mut ping = interval(PING);
        let outcome = loop {
            tokio::select! {
                outcome = &mut passed_on => break outcome,
                _ = ping.tick() => send(socket, Message::Ping(Default::default())).await?,
            }
        };
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => self.wait(socket).await?,
        };
        self.tell(socket, &outcome).await
    }

    /// Passes an answer on to the app. None: it can't be answered now.
    async fn pass_on(&self, otp: String) -> Option<Answered> {
        let Some(environment) = self.environment.clone() else {
            return Some(Answered::Over(GONE.to_owned()));
        };
        let (host, id, cause) = (self.host.clone(), self.id.clone(), self.cause.clone());
        // A code is good once: it is seen through even if the connection breaks.
        let answering = tokio::spawn(async move {
            let answering = host.connectors.answer(&environment, &id, &otp, &cause);
            answering.await
        });
        match answering.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a code was not passed on");
                Some(Answered::Again(TROUBLE.to_owned()))
            }
            Err(error) => {
                tracing::error!(%error, "a code was not passed on");
                Some(Answered::Again(TROUBLE.to_owned()))
            }
        }
    }

    async fn standing(&self) -> Standing {
        let Some(environment) = &self.environment else {
            return Standing::Gone;
        };
        match environment.challenge(&self.id).await {
            Ok(standing) => standing,
            Err(error) => {
                tracing::warn!(%error, "a challenge can't be read");
                Standing::Open
            }
        }
    }

    /// What becomes of an answer that is on its way somewhere.
    async fn wait(&self, socket: &mut WebSocket) -> Result<Answered, Closed> {
        let mut ping = Instant::now() + PING;
        loop {
            match self.standing().await {
                Standing::Outcome(outcome) => return Ok(outcome),
                Standing::Gone => return Ok(Answered::Over(GONE.to_owned())),
                // Whoever passed it on was ended.
                Standing::Open => return Ok(Answered::Again(TROUBLE.to_owned())),
                Standing::Answering => {}
            }
            tokio::time::sleep(LOOK).await;
            if ping <= Instant::now() {
                ping += PING;
                send(socket, Message::Ping(Default::default())).await?;
            }
        }
    }

    /// Tells what became of an answer.
    async fn tell(&self, socket: &mut WebSocket, outcome: &Answered) -> Result<(), Closed> {
        match outcome {
            Answered::Again(words) | Answered::Over(words) => {
                tell(socket, &result(Err(&plain(words)))).await?;
            }
            Answered::Connected { credential } => {
                tell(socket, &result(Ok(()))).await?;
                let connected =
                    json!({"event": "CREDENTIAL", "ok": true, "credential": {"id": credential}});
                tell(socket, &connected).await?;
            }
            Answered::NotConnected(words) => {
                tell(socket, &result(Ok(()))).await?;
                let words = plain(words);
                let refused =
                    json!({"event": "CREDENTIAL", "ok": false, "errors": [{"message": words}]});
                tell(socket, &refused).await?;
            }
        }
        if let Some(environment) = &self.environment
            && let Err(error) = environment.challenge_told(&self.id).await
        {
            // It is told again, to a page that does not listen for it.
            tracing::debug!(%error, "it is not noted that an outcome was told");
        }
        Ok(())
    }
}

fn result(outcome: Result<(), &str>) -> Value {
    match outcome {
        Ok(()) => json!({"event": "OTP_RESULT", "ok": true}),
        Err(words) => json!({"event": "OTP_RESULT", "ok": false, "errors": [{"message": words}]}),
    }
}

/// A text without the markup that a challenge may have: pages differ in how they show it.
fn plain(words: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for letter in harmless(words).chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => inside = false,
            letter if !inside => plain.push(letter),
            _ => {}
        }
    }
    plain
}

async fn tell(socket: &mut WebSocket, frame: &Value) -> Result<(), Closed> {
    send(socket, Message::Text(frame.to_string().into())).await
}

/// Whoever does not read is not waited for.
async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Closed> {
    let sent = timeout(SENDING, socket.send(message)).await;
    sent.map_err(|_| Closed)?.map_err(Closed::from)
}
