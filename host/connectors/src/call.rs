//! One call of a connector.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use rollout_catalog::Catalog;
use rollout_catalog::manifest::fold_key;
use rollout_egress::{CallLimits, Egress, Grant, Redactor};
use rollout_sandbox::{CallError, Caller, Error, FieldIssue, RateLimit};
use rollout_vault::VaultError;
use tokio::sync::OwnedSemaphorePermit;

use crate::environment::{Environment, Live};
use crate::oauth::Renewal;
use crate::outbound::{Cause, Rates};
use crate::registry::{Connector, Registry};
use crate::session::{Account, Session};
use crate::way::Way;

/// When to come back if the database could not say what a rate limit leaves.
const UNLENT_RETRY_MS: u64 = 1000;

/// The loaded connectors and the way out that they share.
#[derive(Clone)]
pub struct Connectors {
    registry: Arc<Registry>,
    egress: Arc<Egress>,
    limits: CallLimits,
}

/// A call of a connector: the sandbox's [`Caller`] with the session behind it.
pub struct Call<'a> {
    caller: Caller<'a>,
    session: Arc<Session>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Connectors {
    /// `limits` are those of one call's requests together.
    pub fn new(registry: Registry, egress: Arc<Egress>, limits: CallLimits) -> Self {
        Self {
            registry: Arc::new(registry),
            egress,
            limits,
        }
    }

    /// What is loaded.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The connector of an app key, however it is spelled, that an environment has:
    /// the installed version that it uses, or else a folder's.
    pub fn find(&self, environment: &Environment, key: &str) -> Option<Arc<Connector>> {
        let own = environment.connectors().get(&fold_key(key)).cloned();
        own.or_else(|| self.registry.get(key))
    }

    /// All connectors that an environment has, by app key.
    pub fn all(&self, environment: &Environment) -> Vec<Arc<Connector>> {
        let of_folders = self.registry.all().into_iter();
        let mut all: BTreeMap<String, Arc<Connector>> = of_folders
            .map(|connector| (fold_key(connector.key()), connector))
            .collect();
        let own = environment.connectors();
        all.extend(own.iter().map(|(key, one)| (key.clone(), one.clone())));
        all.into_values().collect()
    }

    /// The catalogue that everything is checked against.
    pub fn catalog(&self) -> &Arc<Catalog> {
        self.registry.catalog()
    }

    pub(crate) fn egress(&self) -> &Egress {
        &self.egress
    }

    /// What a call for an account may do: of a credential, or of an attempt to connect one.
    /// Its responses may fill the slots of `captures`.
    pub(crate) fn grant(
        &self,
        environment: &Environment,
        connector: &Connector,
        account: &Account,
        captures: BTreeSet<String>,
        live: Option<&Live>,
        cause: &Cause,
    ) -> Grant {
        let grant = Grant::new(account.access.clone(), captures, self.limits);
        let rates = Rates::of(&connector.manifest, live.map(|live| &live.credential));
        let credential = account.credential.as_deref();
        environment
            .outbound()
            .watch(grant, rates, credential, cause)
    }

    pub(crate) fn limits(&self) -> CallLimits {
        self.limits
    }

    /// What new tokens for a credential are got with.
    pub(crate) fn renewal(
        &self,
        environment: &Arc<Environment>,
        connector: &Arc<Connector>,
        credential: String,
        cause: &Cause,
    ) -> Renewal {
        Renewal {
            connectors: self.clone(),
            environment: environment.clone(),
            connector: connector.clone(),
            credential,
            cause: cause.clone(),
        }
    }

    /// The way of requests for a connected account.
    pub(crate) fn way(
        &self,
        environment: &Arc<Environment>,
        connector: &Arc<Connector>,
        account: &Account,
        live: &Live,
        cause: &Cause,
    ) -> Way {
        let captures = BTreeSet::new();
        let grant = self.grant(environment, connector, account, captures, Some(live), cause);
        let id = live.credential.id.clone();
        let renewal = self.renewal(environment, connector, id, cause);
        Way::new(self.egress.clone(), grant, Some((renewal, live)))
    }

    /// A call for an account that is being connected, or signed in again, made for this
    /// cause.
    pub(crate) fn call<'a>(
        &'a self,
        environment: &Environment,
        connector: &'a Connector,
        account: Account,
        captures: BTreeSet<String>,
        cause: &Cause,
    ) -> Call<'a> {
        let grant = self.grant(environment, connector, &account, captures, None, cause);
        let way = Way::new(self.egress.clone(), grant, None);
        self.call_by(environment, connector, account, way)
    }

    fn call_by<'a>(
        &'a self,
        environment: &Environment,
        connector: &'a Connector,
        account: Account,
        way: Way,
    ) -> Call<'a> {
        let store = environment.store().clone();
        let session = Arc::new(Session::new(account, way, store));
        Call {
            caller: Caller::new(
                self.registry.sandbox(),
                &connector.component,
                session.clone(),
            ),
            session,
            _turn: None,
        }
    }

    /// A call for a connected account, when it is the account's turn.
    pub async fn call_for<'a>(
        &'a self,
        environment: &Arc<Environment>,
        connector: &'a Arc<Connector>,
        live: &Live,
        cause: &Cause,
    ) -> Result<Call<'a>, VaultError> {
        let turn = live.calls().clone().acquire_owned().await.ok();
        let account = environment.account(connector, live)?;
        let way = self.way(environment, connector, &account, live, cause);
        let mut call = self.call_by(environment, connector, account, way);
        call._turn = turn;
        Ok(call)
    }
}

impl<'a> Deref for Call<'a> {
    type Target = Caller<'a>;

    fn deref(&self) -> &Caller<'a> {
        &self.caller
    }
}

impl Call<'_> {
    /// Whether the call may have changed something at the app.
    pub fn wrote(&self) -> bool {
        self.session.grant().wrote()
    }

    /// Lets requests that change something at the app leave only while `allowed` says
    /// so; they are denied otherwise. What is allowed first counts.
    pub fn write_while(&self, allowed: impl Fn() -> bool + Send + Sync + 'static) {
        self.session.grant().write_while(allowed);
    }

    /// The secrets that the app's answers brought, by slot.
    pub(crate) fn take_captured(&self) -> BTreeMap<String, String> {
        let captured = self.session.grant().take_captured().into_iter();
        captured
            .map(|(slot, secret)| (slot, secret.expose().to_owned()))
            .collect()
    }

    /// Blanks the account's secrets in what the connector answers.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        self.session.redactor()
    }

    /// Blanks the account's secrets in a text that people will see.
    pub fn blank(&self, text: &str) -> String {
        self.session.blank(text)
    }

    /// Blanks the account's secrets in what a failed call says, and sets right what the
    /// host knows better than the connector.
    pub fn blank_error(&self, error: CallError) -> CallError {
        let blank = |text: String| self.blank(&text);
        if matches!(error, CallError::Limit(_) | CallError::Trap(_)) {
            let (connector, error) = (self.session.connector(), blank(error.to_string()));
            tracing::warn!(connector, error, "a call was ended");
        }
        // It was told that its request is denied, or that the app refused it.
        if let (CallError::Connector(_), Some(reason)) = (&error, self.session.refused()) {
            return CallError::Connector(Error::Unauthorized(blank(reason.to_owned())));
        }
        match error {
            // It was told that its request is denied, but that is not its fault.
            CallError::Connector(Error::Internal(text)) if self.session.grant().was_unlent() => {
                CallError::Connector(Error::RateLimited(RateLimit {
                    retry_after_ms: Some(UNLENT_RETRY_MS),
                    message: blank(text),
                }))
            }
            CallError::Connector(error) => CallError::Connector(match error {
                Error::InvalidInput(issues) => Error::InvalidInput(
                    issues
                        .into_iter()
                        .map(|issue| FieldIssue {
                            pointer: blank(issue.pointer),
                            message: blank(issue.message),
                        })
                        .collect(),
                ),
                Error::Unauthorized(text) => Error::Unauthorized(blank(text)),
                Error::Forbidden(text) => Error::Forbidden(blank(text)),
                Error::NotFound(text) => Error::NotFound(blank(text)),
                Error::Conflict(text) => Error::Conflict(blank(text)),
                Error::Unsupported(text) => Error::Unsupported(blank(text)),
                Error::Halted(text) => Error::Halted(blank(text)),
                Error::Internal(text) => Error::Internal(blank(text)),
                Error::RateLimited(mut limit) => {
                    limit.message = blank(limit.message);
                    Error::RateLimited(limit)
                }
                Error::Upstream(mut upstream) => {
                    upstream.message = blank(upstream.message);
                    // What never left can't have been done.
                    upstream.maybe_applied &= self.wrote();
                    Error::Upstream(upstream)
                }
                Error::Other((code, text)) => Error::Other((blank(code), blank(text))),
            }),
            CallError::Trap(text) => CallError::Trap(blank(text)),
            other @ (CallError::Missing(_) | CallError::Limit(_) | CallError::Busy(_)) => other,
        }
    }
}
