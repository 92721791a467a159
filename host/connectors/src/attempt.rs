//! An attempt to connect an account, or to give a connected one new inputs: what was
//! entered becomes secrets that the app accepts, the connector says whose they are, and
//! only then something is stored. In between the app may want to know more, see
//! [`crate::challenge`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rollout_catalog::Issue;
use rollout_catalog::manifest::{AuthMethod, OAuth2, Plan};
use rollout_sandbox::{CallError, Error, Upstream};
use rollout_store::{CredentialChange, CredentialStatus, NewTokens, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::Call;
use crate::challenge::Challenge;
use crate::connect::{Proof, Proven, public};
use crate::environment::{Environment, Live, Use};
use crate::inputs::Inputs;
use crate::login::{Challenged, Step};
use crate::oauth::{TokenEndpoint, in_words};
use crate::outbound::Cause;
use crate::{ConnectError, Connector, Connectors};

/// How long to wait before an app that is busy is asked again.
const PAUSE_SECONDS: [u64; 6] = [1, 2, 5, 10, 20, 30];

/// What became of an attempt.
pub enum Connected {
    /// The account is connected.
    Account(Arc<Live>),
    /// The app wants a code from the person first.
    Challenge(Challenge),
}

/// Who tries what.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) connectors: &'a Connectors,
    pub(crate) environment: &'a Environment,
    pub(crate) connector: &'a Connector,
    pub(crate) plan: &'a Plan,
    pub(crate) cause: &'a Cause,
}

/// What is wanted of the account.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// A consumer, by his key, wants it connected.
    Connect {
        consumer: String,
        entities_to_sync: Option<Map<String, Value>>,
    },
    /// A connected one is to have other inputs.
    Change {
        credential: String,
        entities_to_sync: Option<Map<String, Value>>,
        label: Option<String>,
    },
}

/// How far an attempt came.
enum Obtained {
    /// The inputs with all secrets, and which of them are tokens.
    Ready(Inputs, Option<NewTokens>),
    /// The inputs, and what the app wants to know.
    Challenged(Inputs, Challenged),
}

impl Attempt<'_> {
    /// Goes from inputs that fit the plan as far as it gets.
    pub(crate) async fn begin(
        &self,
        inputs: Inputs,
        wish: Wish,
    ) -> Result<Connected, ConnectError> {
        match self.obtain(inputs).await? {
            Obtained::Ready(inputs, tokens) => {
                let live = self.fulfil(wish, &inputs, tokens).await?;
                Ok(Connected::Account(live))
            }
            Obtained::Challenged(inputs, challenged) => {
                let challenge = self.challenge(inputs, wish, challenged).await?;
                Ok(Connected::Challenge(challenge))
            }
        }
    }

    /// Turns inputs into secrets that the app's API takes.
    async fn obtain(&self, mut inputs: Inputs) -> Result<Obtained, ConnectError> {
        match self.plan.auth.method {
            AuthMethod::SignIn => Ok(match self.sign_in(&inputs).await? {
                Step::Done(captured, tokens) => {
                    inputs.secrets.extend(captured);
                    Obtained::Ready(inputs, Some(tokens))
                }
                Step::Challenged(challenged) => Obtained::Challenged(inputs, challenged),
            }),
            AuthMethod::ClientCredentials => {
                let oauth = self.plan.oauth2().ok_or_else(|| {
                    ConnectError::Invalid(vec![Issue::new("/plan", "has no token endpoint")])
                })?;
                let granted = self.token_endpoint(oauth, &inputs).grant().await;
                let granted = granted.map_err(in_words)?;
                let tokens = NewTokens { life: granted.life };
                inputs.fields.extend(granted.fields);
                inputs.secrets.extend(granted.secrets);
                Ok(Obtained::Ready(inputs, Some(tokens)))
            }
            AuthMethod::None
            | AuthMethod::Fields
            | AuthMethod::ConsumerToken
            | AuthMethod::OAuth2 => Ok(Obtained::Ready(inputs, None)),
        }
    }

    /// The app's token endpoint, asked with what was entered.
    pub(crate) fn token_endpoint<'a>(
        &'a self,
        oauth: &'a OAuth2,
        inputs: &'a Inputs,
    ) -> TokenEndpoint<'a> {
        TokenEndpoint {
            egress: self.connectors.egress(),
            limits: self.connectors.limits(),
            environment: self.environment,
            connector: self.connector,
            plan: &self.plan.key,
            oauth,
            fields: &inputs.fields,
            entered: &inputs.secrets,
            live: None,
            cause: self.cause,
        }
    }

    /// Has the account recognised, and stores it.
    pub(crate) async fn fulfil(
        &self,
        wish: Wish,
        inputs: &Inputs,
        tokens: Option<NewTokens>,
    ) -> Result<Arc<Live>, ConnectError> {
        let proof = self.probe(inputs).await?;
        let proven = Proven {
            connector: self.connector,
            plan: self.plan,
            inputs,
            tokens,
            proof: &proof,
        };
        match wish {
            Wish::Connect {
                consumer,
                entities_to_sync,
            } => {
                let consumer = self.environment.consumer(&consumer).await?;
                self.connectors
                    .enter(self.environment, &consumer, &proven, entities_to_sync)
                    .await
            }
            Wish::Change {
                credential,
                entities_to_sync,
                label,
            } => {
                let found = self.environment.find_credential(&credential).await?;
                let live = found.ok_or(StoreError::NotFound("credential"))?;
                self.change(&live, &proven, entities_to_sync, label).await
            }
        }
    }

    async fn change(
        &self,
        live: &Live,
        proven: &Proven<'_>,
        entities_to_sync: Option<Map<String, Value>>,
        label: Option<String>,
    ) -> Result<Arc<Live>, ConnectError> {
        let Proven { inputs, proof, .. } = proven;
        if proof.external_id != live.credential.external_id {
            return Err(ConnectError::OtherAccount);
        }
        let id = &live.credential.id;
        let change = CredentialChange {
            plan: Some(self.plan.key.clone()),
            label: label.or_else(|| Some(proof.label.clone())),
            avatar: proof.avatar.clone(),
            fields: Some(public(self.connector, inputs, proof)),
            entities_to_sync: entities_to_sync.map(Value::Object),
            status: Some(CredentialStatus::Ok),
            secrets: Some(self.environment.seal(id, &inputs.secrets)?),
            tokens: proven.tokens,
        };
        let store = self.environment.store();
        store.update_credential(id, &change).await?;
        self.connectors
            .take_up(self.environment, self.connector, id)
            .await
    }

    /// Has the app say whose account it is.
    pub(crate) async fn probe(&self, inputs: &Inputs) -> Result<Proof, ConnectError> {
        let (connector, environment) = (self.connector, self.environment);
        let (plan, fields, secrets) = (&self.plan.key, &inputs.fields, &inputs.secrets);
        let account = environment.candidate(connector, plan, fields, secrets, Use::Calls)?;
        let none = BTreeSet::new();
        let call = self
            .connectors
            .call(environment, connector, account, none, self.cause);
        match call.probe().await {
            Ok(proof) if proof.external_id.is_empty() => Err(ConnectError::Call(
                CallError::Connector(Error::Internal("probe gave no external id".into())),
            )),
            Ok(proof) => Ok(proof),
            Err(error) => Err(self.failed(&call, error)),
        }
    }

    /// The same, again and again while the app is busy or away: what it was asked with may
    /// be all that the app still accepts.
    pub(crate) async fn probe_patiently(&self, inputs: &Inputs) -> Result<Proof, ConnectError> {
        for pause in PAUSE_SECONDS.map(Duration::from_secs) {
            match self.probe(inputs).await {
                Err(ConnectError::Call(CallError::Connector(
                    Error::RateLimited(_) | Error::Upstream(_),
                ))) => tokio::time::sleep(pause).await,
                probed => return probed,
            }
        }
        self.probe(inputs).await
    }

    /// What a call means that failed while an account was being connected: the person who
    /// entered something is the one who reads it.
    pub(crate) fn failed(&self, call: &Call<'_>, error: CallError) -> ConnectError {
        match error {
            CallError::Connector(Error::Unauthorized(said) | Error::Forbidden(said)) => {
                let said = call.blank(&said);
                let app = &self.connector.manifest.name;
                ConnectError::Refused(format!(
                    "{app} did not accept what you entered. Check that it was copied completely, and that it is still valid. {app} says: {said}"
                ))
            }
            // Nothing is written while an account is being connected.
            CallError::Connector(Error::Upstream(upstream)) => {
                let upstream = Upstream {
                    maybe_applied: false,
                    ..upstream
                };
                let error = CallError::Connector(Error::Upstream(upstream));
                ConnectError::Call(call.blank_error(error))
            }
            error => ConnectError::Call(call.blank_error(error)),
        }
    }
}

/// What the product's token brings for a plan of the method `consumer-token`, as if a
/// person had entered it. What belongs to other apps is passed over.
pub(crate) fn brought(
    plan: &Plan,
    auth_data: Option<&Map<String, Value>>,
) -> Result<Inputs, ConnectError> {
    let known = |name: &str| plan.auth.inputs.iter().any(|input| input.key == name);
    let brought: Map<String, Value> = auth_data
        .into_iter()
        .flatten()
        .filter(|(name, _)| known(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Inputs::check(&plan.auth.inputs, &brought).map_err(|issues| {
        let of_claim = |issue: Issue| Issue {
            pointer: "/appKey".to_owned(),
            message: format!(
                "the token's claim \"rollout.com\" does not bring what this app needs in `authData`: {}",
                issue.message
            ),
        };
        ConnectError::Invalid(issues.into_iter().map(of_claim).collect())
    })
}
