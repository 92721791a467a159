//! What the handlers share.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::Request;
use bytes::Bytes;
use parking_lot::RwLock;
use rollout_catalog::{Catalog, Category};
use rollout_connectors::{Cause, Connector, Connectors, Environment, Environments, Live};
use rollout_sync::Writer;
use rollout_webhooks::Sender;
use tokio::sync::Semaphore;
use utoipa_swagger_ui::Config;

use crate::edge::RequestId;
use crate::error::ApiError;
use crate::link::LinkSettings;
use crate::rate::Rate;
use crate::{docs, otp};

/// What the configuration says to the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the outside reaches this host, without a slash at the end.
    pub public_url: String,
    /// The environment of tokens without `iss`, if there are several.
    pub default_environment: Option<String>,
    /// The largest body of a request, in bytes.
    pub body_bytes: usize,
    /// Requests that an environment may send this process in a second; none: any number.
    pub requests_per_second: Option<NonZeroU32>,
    /// Where apps send people back to that signed in there; none: to this host.
    pub redirect_url: Option<String>,
    /// The same for single environments, by name.
    pub redirect_urls: BTreeMap<String, String>,
    /// In development: the simulators that stand for apps' origins, login pages among them.
    pub dev_upstreams: BTreeMap<String, String>,
    /// What products show for connecting accounts.
    pub link: LinkSettings,
}

impl Settings {
    /// Where apps send people of an environment back to.
    pub(crate) fn redirect_url(&self, environment: &str) -> String {
        let own = self.redirect_urls.get(environment);
        let set = own.or(self.redirect_url.as_ref()).cloned();
        set.unwrap_or_else(|| format!("{}/api/oauth/redirect", self.public_url))
    }
}

/// The host behind the API.
pub struct Host {
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) environments: Arc<Environments>,
    pub(crate) writer: Writer,
    pub(crate) sender: Arc<Sender>,
    pub(crate) rate: Rate,
    pub(crate) settings: Settings,
    /// Places for open connections of people who enter codes.
    pub(crate) sockets: Arc<Semaphore>,
    /// The same for those who name no challenge that is known.
    pub(crate) strangers: Arc<Semaphore>,
    openapi: RwLock<HashMap<Category, Bytes>>,
    /// How the viewer of these documents is set up.
    pub(crate) docs: Arc<Config<'static>>,
}

impl Host {
    /// A host that serves these environments with these connectors.
    pub fn new(
        connectors: Arc<Connectors>,
        environments: Arc<Environments>,
        writer: Writer,
        sender: Arc<Sender>,
        settings: Settings,
    ) -> Arc<Self> {
        Arc::new(Self {
            docs: Arc::new(docs::viewer(connectors.catalog())),
            writer,
            sender,
            connectors,
            environments,
            sockets: Arc::new(Semaphore::new(otp::MOST_SOCKETS)),
            strangers: Arc::new(Semaphore::new(otp::MOST_STRANGERS)),
            rate: Rate::new(settings.requests_per_second),
            settings,
            openapi: RwLock::default(),
        })
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.connectors.catalog()
    }

    /// The connector of an account.
    pub(crate) fn connector(
        &self,
        environment: &Environment,
        live: &Live,
    ) -> Result<Arc<Connector>, ApiError> {
        let key = &live.credential.app_key;
        self.connectors.find(environment, key).ok_or_else(|| {
            ApiError::connector_failed(format_args!("the connector `{key}` is not loaded"))
        })
    }

    /// The OpenAPI document of a category, made at its first use.
    pub(crate) fn openapi(&self, category: Category) -> Bytes {
        if let Some(document) = self.openapi.read().get(&category) {
            return document.clone();
        }
        let base = format!("{}/{category}/api", self.settings.public_url);
        let refusals = crate::openapi::refusals();
        let document =
            rollout_catalog::openapi::openapi(self.catalog(), category, &base, &refusals);
        let document = Bytes::from(document.to_string());
        self.openapi.write().insert(category, document.clone());
        document
    }
}

/// What connectors are called for on behalf of a request: its id ties their outbound
/// calls to it.
pub(crate) fn cause(request: &Request) -> Cause {
    let id = request.extensions().get::<RequestId>();
    Cause::request(id.map(RequestId::as_str).unwrap_or_default())
}
