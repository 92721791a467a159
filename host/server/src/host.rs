//! What the handlers share.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use rollout_catalog::{Catalog, Category};
use rollout_connectors::{Connectors, Environments};
use rollout_sync::Writer;
use utoipa_swagger_ui::Config;

use crate::docs;

/// What the configuration says to the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the outside reaches this host, without a slash at the end.
    pub public_url: String,
    /// The environment of tokens without `iss`, if there are several.
    pub default_environment: Option<String>,
    /// The largest body of a request, in bytes.
    pub body_bytes: usize,
}

/// The host behind the API.
pub struct Host {
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) environments: Arc<Environments>,
    pub(crate) writer: Writer,
    pub(crate) settings: Settings,
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
        settings: Settings,
    ) -> Arc<Self> {
        Arc::new(Self {
            docs: Arc::new(docs::viewer(connectors.catalog())),
            writer,
            connectors,
            environments,
            settings,
            openapi: RwLock::default(),
        })
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.connectors.catalog()
    }

    /// The OpenAPI document of a category, made at its first use.
    pub(crate) fn openapi(&self, category: Category) -> Bytes {
        if let Some(document) = self.openapi.read().get(&category) {
            return document.clone();
        }
        let base = format!("{}/{category}/api", self.settings.public_url);
        let document = rollout_catalog::openapi::openapi(self.catalog(), category, &base);
        let document = Bytes::from(document.to_string());
        self.openapi.write().insert(category, document.clone());
        document
    }
}
