//! Codes that an app asks a person for while an account is being connected.
//!
//! The page that asks him knows a challenge by its id: 256 random bits and the
//! environment's client id, and whoever has it may answer. Everything else is stored,
//! sealed, under the id's hash, so that any process may take the answer. A wrong answer can
//! be followed by another, a few times.

use std::sync::Arc;
use std::time::Duration;

use rollout_sandbox::{CallError, Error};
use rollout_store::{NewTokens, StoreError};
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Wish};
use crate::environment::{Environment, Live};
use crate::inputs::Inputs;
use crate::login::{Challenged, Step};
use crate::oauth::{hash, new_state};
use crate::outbound::Cause;
use crate::{ConnectError, Connectors};

/// How long a person may take.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// How long an answer may be on its way, all calls of the connector together.
const LEASE: Duration = Duration::from_secs(3 * 60);
/// How often what became of one is tried to be stored, and how long after each other.
const STORE_TRIES: u32 = 60;
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How many answers there may be.
const MOST_ANSWERS: i64 = 5;
/// Longest answer, in bytes.
const LONGEST_ANSWER: usize = 256;

/// What a person is asked.
pub struct Challenge {
    /// What the page answers with.
    pub id: String,
    /// A short title. Not yet reduced to harmless HTML.
    pub title: String,
    /// What to do. Not yet reduced to harmless HTML.
    pub message: String,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answered {
    /// The app wants another one, for this reason.
    Again(String),
    /// Nothing more can be answered, for this reason: the person begins again.
    Over(String),
    /// The app accepted it, and the account is connected.
    Connected {
        /// The credential's id.
        credential: String,
    },
    /// The app accepted it, but the account could not be connected, for this reason.
    NotConnected(String),
}

/// Whether a challenge can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for an answer.
    Open,
    /// An answer is on its way.
    Answering,
    /// This became of the last answer, and was not told yet, or it was the end.
    Outcome(Answered),
    /// It took too long, or there is none.
    Gone,
}

/// What an attempt goes on with.
#[derive(Serialize, Deserialize)]
struct Pending {
    wish: Wish,
    connector: String,
    version: String,
    plan: String,
    inputs: Inputs,
    challenged: Challenged,
}

impl Attempt<'_> {
    /// Keeps what the attempt goes on with when the person has answered.
    pub(crate) async fn challenge(
        &self,
        inputs: Inputs,
        wish: Wish,
        challenged: Challenged,
    ) -> Result<Challenge, ConnectError> {
        let id = new_state(&self.environment.client_id);
        let (title, message) = (challenged.title.clone(), challenged.message.clone());
        let pending = Pending {
            wish,
            connector: self.connector.key().to_owned(),
            version: self.connector.manifest.version.to_string(),
            plan: self.plan.key.clone(),
            inputs,
            challenged,
        };
        let hash = hash(&id);
        let sealed = sealed(self.environment, &hash, &pending)?;
        let store = self.environment.store();
        store.begin_challenge(&hash, &sealed, LIFE).await?;
        Ok(Challenge { id, title, message })
    }
}

impl Environment {
    /// How a challenge stands.
    pub async fn challenge(&self, id: &str) -> Result<Standing, StoreError> {
        let Some(found) = self.store().challenge(&hash(id)).await? else {
            return Ok(Standing::Gone);
        };
        let told = found.told.as_deref();
        Ok(match told.map(serde_json::from_str).transpose()? {
            Some(outcome) => Standing::Outcome(outcome),
            None if found.expired || found.ended => Standing::Gone,
            None if found.answering => Standing::Answering,
            None => Standing::Open,
        })
    }

    /// Notes that the person knows what became of his last answer.
    pub async fn challenge_told(&self, id: &str) -> Result<(), StoreError> {
        self.store().outcome_told(&hash(id)).await
    }
}

impl Connectors {
    /// Answers a challenge. None: it can't be answered now, see [`Environment::challenge`].
    /// What became of it is stored before it is answered here.
    pub async fn answer(
        &self,
        environment: &Environment,
        id: &str,
        answer: &str,
        cause: &Cause,
    ) -> Result<Option<Answered>, ConnectError> {
        let (hash, store) = (hash(id), environment.store());
        if environment.is_held() {
            let words = "Accounts can't be connected here at the moment.";
            return Ok(Some(Answered::Over(words.to_owned())));
        }
        // Whoever guesses ids has nothing written.
        if store.challenge(&hash).await?.is_none() {
            return Ok(None);
        }
        let Some((text, number)) = store.begin_answer(&hash, LEASE).await? else {
            return Ok(None);
        };
        let opened = environment.open_sign_in(&hash, &text)?;
        let mut pending: Pending =
            serde_json::from_slice(opened.expose()).map_err(StoreError::from)?;
        let outcome = self.pass_on(environment, &mut pending, answer.trim(), cause);
        let mut outcome = outcome.await;
        if let Answered::Again(said) = &outcome
            && number >= MOST_ANSWERS
        {
            outcome = Answered::Over(format!("{said} That was the last try: begin again."));
        }
        let further = match &outcome {
            Answered::Again(_) => Some(sealed(environment, &hash, &pending)?),
            _ => None,
        };
        let told = serde_json::to_string(&outcome).map_err(StoreError::from)?;
        for _ in 0..STORE_TRIES {
            let ended = store.end_answer(&hash, number, &told, further.as_deref());
            match ended.await {
                Ok(()) => return Ok(Some(outcome)),
                // The code is used up: what became of it must not be lost.
                Err(error) => tracing::warn!(%error, "what became of a code is not stored yet"),
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
        Ok(Some(outcome))
    }

    async fn pass_on(
        &self,
        environment: &Environment,
        pending: &mut Pending,
        answer: &str,
        cause: &Cause,
    ) -> Answered {
        if answer.is_empty()
            || answer.len() > LONGEST_ANSWER
            || answer.chars().any(char::is_control)
        {
            return Answered::Again("Enter the code that you were sent.".to_owned());
        }
        let changed = || {
            let words = "What connects this app was changed meanwhile. Begin again.";
            Answered::Over(words.to_owned())
        };
        let Some(connector) = self.find(environment, &pending.connector) else {
            return changed();
        };
        let Some(plan) = connector.manifest.plan(&pending.plan) else {
            return changed();
        };
        if connector.manifest.version.to_string() != pending.version {
            return changed();
        }
        let attempt = Attempt {
            connectors: self,
            environment,
            connector: &connector,
            plan,
            cause,
        };
        let captured = pending.challenged.captured.clone();
        let state = &pending.challenged.state;
        let step = attempt.answer(&pending.inputs, captured, state, answer);
        match step.await {
            Err(error) => Answered::Again(words(error)),
            Ok(Step::Challenged(challenged)) => {
                let words = challenged.message.clone();
                pending.challenged = challenged;
                Answered::Again(words)
            }
            Ok(Step::Done(captured, tokens)) => {
                pending.inputs.secrets.extend(captured);
                match connected(&attempt, pending, tokens).await {
                    Ok(live) => Answered::Connected {
                        credential: live.credential.id.clone(),
                    },
                    Err(error) => Answered::NotConnected(words(error)),
                }
            }
        }
    }
}

async fn connected(
    attempt: &Attempt<'_>,
    pending: &Pending,
    tokens: NewTokens,
) -> Result<Arc<Live>, ConnectError> {
    let (wish, inputs) = (pending.wish.clone(), &pending.inputs);
    attempt.fulfil(wish, inputs, Some(tokens)).await
}

fn sealed(
    environment: &Environment,
    hash: &str,
    pending: &Pending,
) -> Result<String, ConnectError> {
    let text = serde_json::to_string(pending).map_err(StoreError::from)?;
    Ok(environment.seal_sign_in(hash, &text)?)
}

/// What the person is told of a failure; the rest is in the log.
fn words(error: ConnectError) -> String {
    match error {
        ConnectError::Refused(words) => words,
        error @ (ConnectError::Invalid(_) | ConnectError::OtherAccount) => error.to_string(),
        ConnectError::Call(CallError::Connector(Error::InvalidInput(issues))) => {
            let texts = issues.into_iter().map(|issue| issue.message);
            texts.collect::<Vec<_>>().join(" ")
        }
        ConnectError::Call(CallError::Connector(Error::RateLimited(limit))) => limit.message,
        error => {
            tracing::warn!(%error, "an account was not connected after its code");
            "Something went wrong on the way to the app. Try again.".to_owned()
        }
    }
}
