//! Signing in with what a person entered: the `login` of a connector, and the codes that
//! an app asks for in between.
//!
//! The connector sends name and password from their slots, which no other call may use,
//! and says where in the answers the session's secrets stand; the host takes them out and
//! seals them. A session that ends is replaced in the same way as an access token, see
//! `oauth::refresh`: by signing in again with what is stored. If the app then wants a code,
//! nobody is there to enter it, and the account is broken until it is connected again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rollout_catalog::manifest::ANSWER;
use rollout_sandbox::{CallError, Error, Outcome};
use rollout_store::{NewTokens, now};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ConnectError;
use crate::attempt::Attempt;
use crate::environment::Use;
use crate::inputs::Inputs;

/// Longest state that a connector goes on with, and longest text for the person, in bytes.
const LONGEST_STATE: usize = 64 * 1024;
const LONGEST_TEXT: usize = 4 * 1024;

/// How far signing in came.
pub(crate) enum Step {
    /// Signed in. The captured secrets, by slot, and how long they are good.
    Done(BTreeMap<String, String>, NewTokens),
    /// The app wants to know more.
    Challenged(Challenged),
}

/// What an app wants to know.
#[derive(Serialize, Deserialize)]
pub(crate) struct Challenged {
    pub(crate) title: String,
    pub(crate) message: String,
    /// What the connector goes on with.
    pub(crate) state: String,
    /// What was captured so far, by slot.
    pub(crate) captured: BTreeMap<String, String>,
}

impl Attempt<'_> {
    /// Signs in with fields and secrets of the inputs; secrets that were captured before
    /// may be among them.
    pub(crate) async fn sign_in(&self, inputs: &Inputs) -> Result<Step, ConnectError> {
        self.step(inputs, BTreeMap::new(), None).await
    }

    /// Goes on with what the person answered.
    pub(crate) async fn answer(
        &self,
        inputs: &Inputs,
        captured: BTreeMap<String, String>,
        state: &str,
        answer: &str,
    ) -> Result<Step, ConnectError> {
        self.step(inputs, captured, Some((state, answer))).await
    }

    async fn step(
        &self,
        inputs: &Inputs,
        mut captured: BTreeMap<String, String>,
        answered: Option<(&str, &str)>,
    ) -> Result<Step, ConnectError> {
        let mut secrets = inputs.secrets.clone();
        secrets.extend(captured.clone());
        if let Some((_, answer)) = answered {
            secrets.insert(ANSWER.to_owned(), answer.to_owned());
        }
        let (connector, environment) = (self.connector, self.environment);
        let account = environment.candidate(
            connector,
            &self.plan.key,
            &inputs.fields,
            &secrets,
            Use::Login,
        )?;
        let sessions = connector.manifest.session_slots().map(str::to_owned);
        let captures: BTreeSet<String> = sessions.collect();
        let call = self
            .connectors
            .call(environment, connector, account, captures, self.cause);
        let outcome = match answered {
            None => call.sign_in(&json!(inputs.fields).to_string()).await,
            Some((state, _)) => call.answer(state).await,
        };
        let outcome = outcome.map_err(|error| self.failed(&call, error))?;
        captured.extend(call.take_captured());
        match outcome {
            Outcome::Done(_) if captured.is_empty() => {
                Err(broken("it signed in, and captured nothing of the session"))
            }
            Outcome::Done(session) => {
                let life = session.expires_at.map(life).transpose()?;
                Ok(Step::Done(captured, NewTokens { life }))
            }
            Outcome::Challenge(challenge) => {
                let short = |text: &str| text.len() <= LONGEST_TEXT;
                if challenge.state.len() > LONGEST_STATE
                    || !short(&challenge.title)
                    || !short(&challenge.message)
                {
                    return Err(broken("its challenge is too long"));
                }
                Ok(Step::Challenged(Challenged {
                    title: challenge.title,
                    message: challenge.message,
                    state: challenge.state,
                    captured,
                }))
            }
        }
    }
}

/// How long a session lasts that ends at this time, in milliseconds since 1970.
fn life(expires_at: u64) -> Result<Duration, ConnectError> {
    let left = expires_at.saturating_sub(now().unsigned_abs());
    if left == 0 {
        return Err(broken("it signed in to a session that has ended already"));
    }
    // More than ten years is as good as for ever.
    Ok(Duration::from_millis(left.min(315_360_000_000)))
}

fn broken(problem: &str) -> ConnectError {
    ConnectError::Call(CallError::Connector(Error::Internal(problem.to_owned())))
}
