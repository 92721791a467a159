//! The raw proxy: a request of the product itself to a connected app, for what the
//! Universal API does not have.
//!
//! It leaves like a connector's own requests: to the app's first host only, with the
//! credential's authentication in its bound places, and its answer blanked.

use std::sync::Arc;

pub use rollout_egress::Failure as ProxyFailure;
use rollout_egress::{self as egress, Response};
use rollout_vault::VaultError;

use crate::call::Connectors;
use crate::environment::{Environment, Live};
use crate::outbound::Cause;
use crate::registry::Connector;

/// A request to a connected app.
#[derive(Debug)]
pub struct ProxyRequest {
    /// The method in upper case.
    pub method: String,
    /// Path and query as they go to the app, beginning with `/`.
    pub target: String,
    /// Names in lower case and values. What only the host may set is left out.
    pub headers: Vec<(String, String)>,
    /// The body; empty: none.
    pub body: bytes::Bytes,
}

/// Why there is no answer of the app.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The connector's hosts don't say which one the app's API is.
    #[error("the connector `{0}` has no single host that takes its secrets")]
    NoOrigin(String),
    /// The request was refused here, or did not come through.
    #[error(transparent)]
    Failure(#[from] ProxyFailure),
    /// A secret can't be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Connectors {
    /// Sends a request to the app of a connected account, in the account's turn.
    pub async fn proxy(
        &self,
        environment: &Arc<Environment>,
        connector: &Arc<Connector>,
        live: &Live,
        request: ProxyRequest,
        cause: &Cause,
    ) -> Result<Response, ProxyError> {
        let _turn = live.calls().clone().acquire_owned().await.ok();
        let account = environment.account(connector, live)?;
        let hosts = &account.access.policy().hosts;
        let origin = hosts.iter().find_map(egress::HostRule::origin);
        let origin = origin.ok_or_else(|| ProxyError::NoOrigin(connector.key().to_owned()))?;
        let mut headers = request.headers;
        headers.retain(|(name, _)| egress::may_be_set(name));
        let request = egress::Request {
            method: request.method,
            url: format!("{origin}{}", request.target),
            headers,
            body: (!request.body.is_empty()).then_some(request.body),
            authenticate: true,
            ..egress::Request::default()
        };
        let way = self.way(environment, connector, &account, live, cause);
        Ok(way.send(request).await?)
    }
}
