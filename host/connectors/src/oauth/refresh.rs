//! New tokens for old: before a call, after a 401, and before they die of idleness.
//!
//! One process at a time asks for a credential; the others wait for what it stores. What
//! is stored first is used then, and whoever asks goes on although nobody waits any
//! more: a refresh token that is used up must not be lost with a call that ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rollout_catalog::manifest::{AuthMethod, OAuth2, Plan};
use rollout_egress::Failure;
use rollout_sandbox::{CallError, Error};
use rollout_store::{NewTokens, RefreshTurn, StoreError, Tokens, ago, now};
use rollout_vault::VaultError;
use serde_json::{Value, json};
use uuid::Uuid;

use super::endpoint::{Granted, TokenEndpoint, TokenError};
use crate::attempt::Attempt;
use crate::environment::{Environment, EnvironmentError, Live};
use crate::inputs::Inputs;
use crate::login::Step;
use crate::outbound::Cause;
use crate::policy::Fields;
use crate::{ConnectError, Connector, Connectors};

/// An access token is replaced so long before its end, or in the last tenth of its life.
const MARGIN_MS: i64 = 60_000;
/// For how long others leave a process alone that asks for tokens, and how often it says
/// that it still does.
const LEASE: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(5);
/// How often it is looked whether others are done, and for how long.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(45);
/// How often what was got is tried to be stored, and how long after each other.
const STORE_TRIES: u32 = 60;
const STORE_PAUSE: Duration = Duration::from_millis(500);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Nobody has just entered anything.
static NONE: BTreeMap<String, String> = BTreeMap::new();

/// What new tokens for a credential are got with.
#[derive(Clone)]
pub(crate) struct Renewal {
    pub(crate) connectors: Connectors,
    pub(crate) environment: Arc<Environment>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) credential: String,
    pub(crate) cause: Cause,
}

/// Why there are no new tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRenewed {
    /// The app gives out no more: the credential is broken.
    #[error("{0}")]
    Refused(String),
    /// Not now.
    #[error("{0}")]
    Later(Failure),
}

impl NotRenewed {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Later(Failure::Connection(error.to_string()))
    }
}

impl From<StoreError> for NotRenewed {
    fn from(error: StoreError) -> Self {
        Self::Later(Failure::Unavailable(error.to_string()))
    }
}

impl From<VaultError> for NotRenewed {
    fn from(error: VaultError) -> Self {
        Self::failed(error)
    }
}

impl From<EnvironmentError> for NotRenewed {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Store(error) => error.into(),
            EnvironmentError::Vault(error) => error.into(),
        }
    }
}

/// How long before its end a token is replaced, in milliseconds.
fn margin(tokens: &Tokens) -> i64 {
    let life = tokens.expires_at.map(|end| end - tokens.issued_at);
    life.map_or(MARGIN_MS, |life| MARGIN_MS.min(life / 10))
}

/// Whether the access token ends soon.
pub(crate) fn ends_soon(tokens: &Tokens) -> bool {
    let ends = tokens.expires_at;
    ends.is_some_and(|ends| ends - margin(tokens) <= now())
}

impl Renewal {
    /// The slots that new tokens come into, if the credential has such that end: the access
    /// token's, or those of a session.
    pub(crate) fn slots(&self, live: &Live) -> Vec<&str> {
        let Some(plan) = self.plan(live).filter(|_| live.tokens.is_some()) else {
            return Vec::new();
        };
        match plan.oauth2() {
            Some(oauth) => vec![&oauth.captures.access_token.slot],
            None if plan.has_login() => self.connector.manifest.session_slots().collect(),
            None => Vec::new(),
        }
    }

    fn plan(&self, live: &Live) -> Option<&Plan> {
        self.connector.manifest.plan(&live.credential.plan)
    }

    /// The credential as it is now.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.environment.credential(&self.credential)
    }

    /// The credential with other tokens than those of this number. `must`: those are
    /// refused; otherwise they will do while they last.
    pub(crate) async fn beyond(&self, number: i64, must: bool) -> Result<Arc<Live>, NotRenewed> {
        let gone = || NotRenewed::failed("the account is no longer connected");
        let other = |live: &Arc<Live>| {
            let tokens = live.tokens.as_ref();
            tokens.is_some_and(|tokens| tokens.number != number)
        };
        let live = self.live().ok_or_else(gone)?;
        if other(&live) {
            return Ok(live);
        }
        let renewing = live.renewing.clone();
        let _turn = renewing.turn.lock().await;
        let holder = Uuid::now_v7().to_string();
        let store = self.environment.store();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let live = self.live().ok_or_else(gone)?;
            let Some(tokens) = live.tokens.clone().filter(|_| !other(&live)) else {
                return Ok(live);
            };
            let turn = store
                .take_refresh(&self.credential, number, &holder, LEASE)
                .await?;
            match turn {
                RefreshTurn::Mine => {
                    let (this, live, holder) = (self.clone(), live.clone(), holder.clone());
                    let asked =
                        tokio::spawn(
                            async move { this.renew(&live, &tokens, &holder, must).await },
                        );
                    return asked.await.map_err(NotRenewed::failed)?;
                }
                RefreshTurn::Done => return self.load().await,
                RefreshTurn::Refused(reason) => return Err(NotRenewed::Refused(reason)),
                RefreshTurn::None => return Err(gone()),
                RefreshTurn::Wait(_) if !must && lasts(&tokens) => return Ok(live),
                RefreshTurn::Wait(wait) => {
                    return Err(NotRenewed::Later(Failure::Budget(Some(wait))));
                }
                RefreshTurn::Others if !must && lasts(&tokens) => return Ok(live),
                RefreshTurn::Others => {
                    if tokio::time::Instant::now() > deadline {
                        return Err(NotRenewed::Later(Failure::Timeout));
                    }
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// The credential as the database has it.
    async fn load(&self) -> Result<Arc<Live>, NotRenewed> {
        let loaded = self.environment.load(&self.credential).await?;
        loaded.ok_or_else(|| NotRenewed::failed("the account is no longer connected"))
    }

    /// Asks for tokens, under a lease, and stores them.
    async fn renew(
        &self,
        live: &Live,
        tokens: &Tokens,
        holder: &str,
        must: bool,
    ) -> Result<Arc<Live>, NotRenewed> {
        let asking = self.ask(live);
        tokio::pin!(asking);
        let mut renewals = tokio::time::interval(RENEW);
        renewals.tick().await;
        let store = self.environment.store();
        let asked = loop {
            tokio::select! {
                asked = &mut asking => break asked,
                _ = renewals.tick() => {
                    // Without the lease the answer still counts if it is the first.
                    if let Err(error) = store.renew_refresh(&self.credential, holder, LEASE).await {
                        tracing::debug!(%error, "a lease is not renewed");
                    }
                }
            }
        };
        match asked {
            Ok(granted) => self.store(live, tokens, granted).await,
            Err(error) => self.give_up(tokens, error, must).await,
        }
    }

    /// Gets new tokens in the way of the credential's plan.
    async fn ask(&self, live: &Live) -> Result<Granted, TokenError> {
        let plan = self.plan(live).ok_or_else(|| TokenError::NotConfigured {
            app: self.app(),
            problem: format!("its connector has no plan `{}`", live.credential.plan),
        })?;
        match (plan.auth.method, plan.oauth2()) {
            (AuthMethod::SignIn, _) => self.sign_in(live, plan).await,
            (AuthMethod::ClientCredentials, Some(oauth)) => {
                self.endpoint(live, oauth).grant().await
            }
            (_, Some(oauth)) => {
                let refresh = oauth.captures.refresh_token.as_ref();
                let refresh = refresh.ok_or_else(|| self.ended())?;
                let token = self.environment.secret(live, &refresh.slot)?;
                let token = token.ok_or_else(|| self.ended())?;
                self.endpoint(live, oauth).refresh(token).await
            }
            (_, None) => Err(self.ended()),
        }
    }

    fn app(&self) -> String {
        self.connector.manifest.name.clone()
    }

    fn ended(&self) -> TokenError {
        TokenError::Refused {
            app: self.app(),
            said: "the sign-in has ended, and can't be renewed".to_owned(),
        }
    }

    fn endpoint<'a>(&'a self, live: &'a Live, oauth: &'a OAuth2) -> TokenEndpoint<'a> {
        TokenEndpoint {
            egress: self.connectors.egress(),
            limits: self.connectors.limits(),
            environment: &self.environment,
            connector: &self.connector,
            plan: &live.credential.plan,
            oauth,
            fields: live.fields(),
            entered: &NONE,
            live: Some(live),
            cause: &self.cause,
        }
    }

    /// Signs in again, with what is stored.
    async fn sign_in(&self, live: &Live, plan: &Plan) -> Result<Granted, TokenError> {
        let attempt = Attempt {
            connectors: &self.connectors,
            environment: &self.environment,
            connector: &self.connector,
            plan,
            cause: &self.cause,
        };
        let inputs = Inputs {
            fields: live.fields().clone(),
            secrets: self.environment.secrets_of(live)?,
        };
        let app = self.app();
        match attempt.sign_in(&inputs).await {
            Ok(Step::Done(secrets, tokens)) => Ok(Granted {
                secrets,
                life: tokens.life,
                fields: Fields::new(),
            }),
            Ok(Step::Challenged(_)) => Err(TokenError::Refused {
                app,
                said: "it asks for a code, and nobody is there to enter it".to_owned(),
            }),
            Err(ConnectError::Refused(said)) => Err(TokenError::Refused { app, said }),
            Err(ConnectError::Vault(error)) => Err(error.into()),
            Err(error) => Err(TokenError::NotSignedIn {
                app,
                retry_after: match &error {
                    ConnectError::Call(CallError::Connector(Error::RateLimited(limit))) => {
                        limit.retry_after_ms.map(Duration::from_millis)
                    }
                    _ => None,
                },
                said: error.to_string(),
            }),
        }
    }

    async fn store(
        &self,
        live: &Live,
        tokens: &Tokens,
        granted: Granted,
    ) -> Result<Arc<Live>, NotRenewed> {
        let id = &self.credential;
        let sealed = self.environment.seal(id, &granted.secrets)?;
        let new = NewTokens { life: granted.life };
        let fields = merged(&live.credential.fields, granted.fields);
        let store = self.environment.store();
        for _ in 0..STORE_TRIES {
            let stored = store.store_tokens(id, tokens.number, new, &sealed, fields.as_ref());
            match stored.await {
                Ok(true) => return self.load().await,
                Ok(false) => {
                    tracing::warn!(credential = id, "others got tokens meanwhile: theirs count");
                    return self.load().await;
                }
                // The app may have forgotten the old ones: these must not be lost.
                Err(error) => {
                    tracing::warn!(credential = id, %error, "new tokens are not stored yet");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
        Err(NotRenewed::failed("new tokens could not be stored"))
    }

    async fn give_up(
        &self,
        tokens: &Tokens,
        error: TokenError,
        must: bool,
    ) -> Result<Arc<Live>, NotRenewed> {
        let (id, store) = (&self.credential, self.environment.store());
        let reason = error.to_string();
        if let TokenError::Refused { .. } = error {
            let reason = format!("{reason}. Connect the account again.");
            // If others were faster, their tokens count.
            if !store.refuse_refresh(id, tokens.number, &reason).await? {
                return self.load().await;
            }
            tracing::warn!(
                credential = id,
                reason,
                "no more tokens: the credential is broken"
            );
            self.load().await?;
            return Err(NotRenewed::Refused(reason));
        }
        let asked_for = match &error {
            TokenError::Said { retry_after, .. } | TokenError::NotSignedIn { retry_after, .. } => {
                *retry_after
            }
            TokenError::Failed {
                failure: Failure::Budget(wait),
                ..
            } => *wait,
            _ => None,
        };
        let wait = store.postpone_refresh(id, tokens.number, asked_for).await?;
        tracing::warn!(credential = id, reason, ?wait, "no new tokens yet");
        if !must && lasts(tokens) {
            return self.load().await;
        }
        Err(match asked_for {
            Some(_) => NotRenewed::Later(Failure::Budget(Some(wait))),
            None => NotRenewed::failed(reason),
        })
    }
}

/// Whether the access token can still be used.
fn lasts(tokens: &Tokens) -> bool {
    tokens.expires_at.is_none_or(|ends| ends > now())
}

/// The public fields with what the token endpoint told anew; none if nothing differs.
fn merged(before: &Value, told: crate::policy::Fields) -> Option<Value> {
    let mut fields = before.clone();
    let object = fields.as_object_mut()?;
    for (name, value) in told {
        object.insert(name, json!(value));
    }
    (fields != *before).then_some(fields)
}

impl Connectors {
    /// Gets new tokens for credentials whose refresh tokens would die of idleness, when
    /// half of that time is over. Ends early once `stop` says so.
    pub async fn renew_idle(
        &self,
        environment: &Arc<Environment>,
        cause: &Cause,
        stop: impl Fn() -> bool,
    ) -> Result<(), StoreError> {
        if environment.is_held() {
            return Ok(());
        }
        for connector in self.all(environment) {
            for plan in &connector.manifest.plans {
                let days = plan.oauth2().and_then(|oauth| oauth.refresh_idle_days);
                let Some(days) = days else { continue };
                let before = ago(DAY * days / 2);
                let store = environment.store();
                let idle = store.idle_tokens(connector.key(), &plan.key, before);
                for credential in idle.await? {
                    if stop() {
                        return Ok(());
                    }
                    self.renew_one(environment, &connector, credential, cause)
                        .await;
                }
            }
        }
        Ok(())
    }

    async fn renew_one(
        &self,
        environment: &Arc<Environment>,
        connector: &Arc<Connector>,
        credential: String,
        cause: &Cause,
    ) {
        let found = environment.find_credential(&credential).await;
        let tokens = found.ok().flatten().and_then(|live| live.tokens.clone());
        let Some(tokens) = tokens else { return };
        let renewal = self.renewal(environment, connector, credential, cause);
        if let Err(error) = renewal.beyond(tokens.number, true).await {
            let credential = &renewal.credential;
            tracing::warn!(credential, %error, "an idle account's tokens are not renewed");
        }
    }
}
