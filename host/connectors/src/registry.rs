//! The connectors that this process has loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use cap_std::fs::Dir;
use parking_lot::RwLock;
use rollout_catalog::manifest::fold_key;
use rollout_catalog::{Catalog, Manifest, ManifestError};
use rollout_sandbox::{Component, Interface, LoadError, Sandbox};

/// A connector: its component and what it says of itself.
pub struct Connector {
    /// What it says of itself, checked.
    pub manifest: Manifest,
    /// What runs.
    pub component: Component,
}

/// Why a file can't be used as a connector.
#[derive(Debug, thiserror::Error)]
pub enum RefusedFile {
    /// It is not a component of the contract.
    #[error(transparent)]
    Component(#[from] LoadError),
    /// Its manifest is wrong, or says something else than the component's exports.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It can't be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
}

/// Two files that claim one app key.
#[derive(Debug, thiserror::Error)]
#[error("{first} and {second} are both the connector `{key}`, and differ: remove one of them")]
pub struct KeyTaken {
    /// The app key.
    pub key: String,
    /// Where the one that is loaded came from.
    pub first: String,
    /// Where the other one came from.
    pub second: String,
}

/// The loaded connectors, by app key.
pub struct Registry {
    catalog: Arc<Catalog>,
    sandbox: Arc<Sandbox>,
    loaded: RwLock<BTreeMap<String, (String, Arc<Connector>)>>,
}

impl Connector {
    /// Loads one file's bytes.
    pub async fn load(
        sandbox: &Sandbox,
        catalog: &Catalog,
        bytes: Vec<u8>,
    ) -> Result<Self, RefusedFile> {
        let component = Component::load(sandbox, bytes).await?;
        let manifest = Manifest::parse(component.description(), catalog)?;
        manifest.check_exports(|name| {
            let mut known = Interface::ALL.iter();
            known.any(|interface| interface.as_str() == name && component.has(*interface))
        })?;
        Ok(Self {
            manifest,
            component,
        })
    }

    /// The app key.
    pub fn key(&self) -> &str {
        &self.manifest.key
    }
}

impl Registry {
    /// An empty registry.
    pub fn new(catalog: Arc<Catalog>, sandbox: Arc<Sandbox>) -> Self {
        Self {
            catalog,
            sandbox,
            loaded: RwLock::default(),
        }
    }

    /// The catalogue that manifests are checked against.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The engine that the connectors run in.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Loads every `*.wasm` of a folder. A file that is no connector is refused
    /// with a line in the log and the others go on; two different files with one
    /// key are an error.
    pub async fn load_dir(&self, dir: &Dir, shown_as: &str) -> Result<usize, LoadDirError> {
        let mut names: Vec<String> = dir
            .entries()?
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".wasm"))
            .collect();
        names.sort();
        let mut count = 0;
        for name in names {
            let origin = format!("{shown_as}/{name}");
            let loaded = match dir.read(&name) {
                Ok(bytes) => Connector::load(&self.sandbox, &self.catalog, bytes).await,
                Err(error) => Err(error.into()),
            };
            match loaded {
                Ok(connector) => {
                    tracing::info!(
                        connector = connector.key(),
                        version = connector.manifest.version.to_string(),
                        file = origin,
                        "connector loaded"
                    );
                    self.add(connector, origin)?;
                    count += 1;
                }
                Err(error) => tracing::error!("{origin} is refused: {error}"),
            }
        }
        Ok(count)
    }

    /// Adds a connector. Identical bytes count once.
    pub fn add(&self, connector: Connector, origin: String) -> Result<(), KeyTaken> {
        let mut loaded = self.loaded.write();
        let folded = fold_key(connector.key());
        if let Some((first, present)) = loaded.get(&folded) {
            if present.component.sha256() == connector.component.sha256() {
                return Ok(());
            }
            return Err(KeyTaken {
                key: connector.key().to_owned(),
                first: first.clone(),
                second: origin,
            });
        }
        loaded.insert(folded, (origin, Arc::new(connector)));
        Ok(())
    }

    /// The connector of an app key, however it is spelled.
    pub fn get(&self, key: &str) -> Option<Arc<Connector>> {
        self.loaded
            .read()
            .get(&fold_key(key))
            .map(|(_, connector)| connector.clone())
    }

    /// All connectors, by app key.
    pub fn all(&self) -> Vec<Arc<Connector>> {
        self.loaded
            .read()
            .values()
            .map(|(_, connector)| connector.clone())
            .collect()
    }
}

/// Why a folder of connectors can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadDirError {
    /// The folder can't be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// Two files claim one key.
    #[error(transparent)]
    KeyTaken(#[from] KeyTaken),
}
