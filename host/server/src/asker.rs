//! Who asks, and for which account: token and tenant in one place.

use std::sync::Arc;

use http::HeaderMap;
use rollout_connectors::{Environment, Live};
use rollout_store::{Consumer, CredentialStatus};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::host::Host;
use crate::token::{self, Claims, Scope, TokenError};

/// Names the account that a category's request is about.
const CREDENTIAL: &str = "x-rollout-credential-id";

/// The bearer of a valid token.
pub(crate) struct Asker {
    pub(crate) environment: Arc<Environment>,
    /// What the token brings for the product's own apps.
    pub(crate) auth_data: Option<Map<String, Value>>,
    reach: Reach,
}

/// What a token reaches.
enum Reach {
    /// The credentials of one consumer, named by the token's `sub`.
    Consumer(String),
    /// Every credential of the environment.
    Environment,
}

/// What a token is shown for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The API of this host.
    Api,
    /// The app's own API, behind the raw proxy.
    Proxy,
}

impl Host {
    /// Checks the token of a request to the API.
    pub(crate) fn asker(&self, headers: &HeaderMap) -> Result<Asker, ApiError> {
        self.asker_for(Purpose::Api, headers)
    }

    /// Checks the token of a request.
    pub(crate) fn asker_for(
        &self,
        purpose: Purpose,
        headers: &HeaderMap,
    ) -> Result<Asker, ApiError> {
        let (environment, claims) = self.verified(headers)?;
        let reach = match (claims.scope, purpose) {
            (Scope::Environment, _) => Reach::Environment,
            (Scope::Consumer(key), Purpose::Api) => Reach::Consumer(key),
            (Scope::Proxy { sub }, Purpose::Proxy) => Reach::Consumer(sub),
            // The raw proxy is all that such a token is for.
            (Scope::Proxy { .. }, Purpose::Api) => {
                return Err(ApiError::forbidden("This token is for the proxy only."));
            }
            (Scope::Consumer(_), Purpose::Proxy) => {
                return Err(ApiError::forbidden(
                    "The proxy needs a token with `scope: \"proxy\"` or `scope: \"environment\"`.",
                ));
            }
        };
        Ok(Asker {
            environment,
            auth_data: claims.auth_data,
            reach,
        })
    }

    /// Every cause of refusal is one answer; the log knows more. Whoever is known
    /// spends one of his environment's requests.
    fn verified(&self, headers: &HeaderMap) -> Result<(Arc<Environment>, Claims), ApiError> {
        let refuse = |cause: TokenError| ApiError::unauthorized(cause);
        let token = token::bearer(headers).map_err(refuse)?;
        let environment = match token::issuer(token).map_err(refuse)? {
            Some(issuer) => self.environments.by_client_id(&issuer),
            None => match &self.settings.default_environment {
                Some(name) => self.environments.by_name(name),
                None => self.environments.only(),
            },
        };
        let environment =
            environment.ok_or_else(|| ApiError::unauthorized("no environment has this issuer"))?;
        let now = rollout_store::now();
        let secrets = environment.secrets();
        let claims = token::verify(token, &secrets.valid(now), seconds(now)).map_err(refuse)?;
        self.rate.spend(&environment.client_id)?;
        Ok((environment, claims))
    }
}

impl Asker {
    /// The consumer, registered at his first use.
    pub(crate) async fn consumer(&self) -> Result<Consumer, ApiError> {
        match &self.reach {
            Reach::Consumer(key) => self
                .environment
                .consumer(key)
                .await
                .map_err(ApiError::store_unavailable),
            Reach::Environment => Err(ApiError::forbidden(
                "An account is connected for a consumer: use a token with `sub`.",
            )),
        }
    }

    /// The credentials that the token reaches, oldest first.
    pub(crate) async fn credentials(&self) -> Result<Vec<Arc<Live>>, ApiError> {
        let mut all = self.environment.credentials();
        if let Some(consumer) = self.known_consumer().await? {
            all.retain(|live| {
                consumer
                    .as_ref()
                    .is_some_and(|one| live.belongs_to(&one.id))
            });
        }
        Ok(all)
    }

    /// A credential, if the token reaches it.
    pub(crate) async fn credential(&self, id: &str) -> Result<Option<Arc<Live>>, ApiError> {
        let live = self.environment.find_credential(id).await;
        let Some(live) = live.map_err(ApiError::store_unavailable)? else {
            return Ok(None);
        };
        let reached = match self.known_consumer().await? {
            None => true,
            Some(consumer) => consumer.is_some_and(|one| live.belongs_to(&one.id)),
        };
        Ok(reached.then_some(live))
    }

    /// Whether a credential that the token reaches may be changed, deleted and looked into:
    /// it is the consumer's own, or the token is for the environment.
    pub(crate) async fn owns(&self, live: &Live) -> Result<bool, ApiError> {
        Ok(match self.known_consumer().await? {
            None => true,
            Some(consumer) => consumer.is_some_and(|one| live.is_owned_by(&one.id)),
        })
    }

    /// A credential that the asker owns. 404 if the token does not reach it, 403 if it is
    /// shared with him.
    pub(crate) async fn own_credential(&self, id: &str) -> Result<Arc<Live>, ApiError> {
        let live = self.credential(id).await?;
        let live = live.ok_or_else(ApiError::not_found)?;
        if self.owns(&live).await? {
            return Ok(live);
        }
        Err(ApiError::forbidden(
            "This account is shared with this consumer: only its owner, or an environment token, may do that.",
        ))
    }

    /// Who asks, for the log.
    pub(crate) fn name(&self) -> &str {
        match &self.reach {
            Reach::Consumer(key) => key,
            Reach::Environment => "the environment",
        }
    }

    /// Refuses while the environment may only be read.
    pub(crate) fn may_change(&self) -> Result<(), ApiError> {
        if self.environment.is_held() {
            return Err(ApiError::environment_held());
        }
        Ok(())
    }

    /// Refuses all but environment tokens.
    pub(crate) fn for_environment(&self) -> Result<(), ApiError> {
        match self.reach {
            Reach::Environment => Ok(()),
            Reach::Consumer(_) => Err(ApiError::forbidden(
                "This needs a token for the whole environment (`scope: \"environment\"`).",
            )),
        }
    }

    /// The account that a category's request is about.
    pub(crate) async fn account(&self, headers: &HeaderMap) -> Result<Arc<Live>, ApiError> {
        let mut values = headers.get_all(CREDENTIAL).iter();
        let id = values
            .next()
            .ok_or_else(ApiError::credential_header_missing)?;
        if values.next().is_some() {
            return Err(ApiError::invalid_credential("two credential headers"));
        }
        let id = id
            .to_str()
            .map_err(|_| ApiError::invalid_credential("not text"))?;
        self.credential(id)
            .await?
            .ok_or_else(|| ApiError::invalid_credential("unknown, deleted or foreign"))
    }

    /// The consumer, if there is one of this key already; the outer none: the
    /// token is for the whole environment.
    async fn known_consumer(&self) -> Result<Option<Option<Consumer>>, ApiError> {
        match &self.reach {
            Reach::Environment => Ok(None),
            Reach::Consumer(key) => self
                .environment
                .known_consumer(key)
                .await
                .map(Some)
                .map_err(ApiError::store_unavailable),
        }
    }
}

/// Writes need a credential that the app accepts.
pub(crate) fn must_work(live: &Live) -> Result<(), ApiError> {
    match &live.credential.status {
        CredentialStatus::Ok => Ok(()),
        CredentialStatus::Broken(reason) => Err(ApiError::credential_broken(reason)),
    }
}

/// Milliseconds since 1970 as whole seconds.
pub(crate) fn seconds(millis: i64) -> u64 {
    u64::try_from(millis / 1000).unwrap_or_default()
}
