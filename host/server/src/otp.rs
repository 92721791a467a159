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
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::error::{ApiError, Code};
use crate::host::{Host, cause};

/// Connections that a process keeps open.
pub(crate) const MOST_SOCKETS: usize = 1024;
/// Longest frame that is read, in bytes.
const LONGEST_FRAME: usize = 4 * 1024;
/// How long a connection may stay: longer than a challenge lasts.
const STAY: Duration = Duration::from_secs(15 * 60);
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
    let upgrade = upgrade.map_err(|_| ApiError::new(Code::WebsocketExpected))?;
    let permit = host.sockets.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::busy("too many open connections"))?;
    let upgrade = upgrade
        .max_message_size(LONGEST_FRAME)
        .max_frame_size(LONGEST_FRAME);
    let environment = environment_of_state(&id);
    let environment = environment.and_then(|client_id| host.environments.by_client_id(client_id));
    Ok(upgrade.on_upgrade(move |socket| async move {
        let conversation = Conversation {
            host,
            environment,
            id,
            cause,
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
        let end = sleep_until(Instant::now() + STAY);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                _ = ping.tick() => socket.send(Message::Ping(Default::default())).await?,
                frame = socket.recv() => match frame {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(Message::Text(text))) => self.hear(&mut socket, &text).await?,
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
                return send(socket, &result(Err(words))).await;
            }
        };
        let passed_on = self.pass_on(otp);
        tokio::pin!(passed_on);
        let mut ping = interval(PING);
        let outcome = loop {
            tokio::select! {
                outcome = &mut passed_on => break outcome,
                _ = ping.tick() => socket.send(Message::Ping(Default::default())).await?,
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
                socket.send(Message::Ping(Default::default())).await?;
            }
        }
    }

    /// Tells what became of an answer.
    async fn tell(&self, socket: &mut WebSocket, outcome: &Answered) -> Result<(), Closed> {
        match outcome {
            Answered::Again(words) | Answered::Over(words) => {
                send(socket, &result(Err(words))).await?;
            }
            Answered::Connected { credential } => {
                send(socket, &result(Ok(()))).await?;
                let connected = json!({"event": "CREDENTIAL", "ok": true, "credential": {"id": credential}});
                send(socket, &connected).await?;
            }
            Answered::NotConnected(words) => {
                send(socket, &result(Ok(()))).await?;
                let refused =
                    json!({"event": "CREDENTIAL", "ok": false, "errors": [{"message": words}]});
                send(socket, &refused).await?;
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

async fn send(socket: &mut WebSocket, frame: &Value) -> Result<(), Closed> {
    Ok(socket.send(Message::Text(frame.to_string().into())).await?)
}
