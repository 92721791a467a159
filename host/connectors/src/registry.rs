//! The connectors that this process has loaded: those of folders, which every
//! environment has, and installed versions, which environments use by their hash.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use cap_std::fs::Dir;
use futures_util::{StreamExt as _, stream};
use parking_lot::RwLock;
use rollout_catalog::manifest::fold_key;
use rollout_catalog::{Catalog, Manifest, ManifestError};
use rollout_sandbox::{Component, Grants, Interface, LoadError, Sandbox};
use tokio::sync::{Mutex, Semaphore};

/// A connector: its component and what it says of itself.
pub struct Connector {
    /// What it says of itself, checked.
    pub manifest: Manifest,
    /// What runs.
    pub component: Component,
    /// What its operator allows it beyond what all get.
    pub grants: Grants,
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

/// The loaded connectors.
pub struct Registry {
    catalog: Arc<Catalog>,
    sandbox: Arc<Sandbox>,
    /// Those of folders, by app key, each with its file.
    loaded: RwLock<BTreeMap<String, (String, Arc<Connector>)>>,
    /// Installed ones that are in use, by hash and grants. Each is held while it is
    /// loaded: environments that want the same wait for it, others don't.
    installed: parking_lot::Mutex<HashMap<(String, Grants), Loading>>,
    /// As many are loaded at once as there are cores to do it, whoever asks.
    turns: Semaphore,
}

type Loading = Arc<Mutex<Weak<Connector>>>;

impl Connector {
    /// Loads one file's bytes. It may import what is granted to it.
    pub async fn load(
        sandbox: &Sandbox,
        catalog: &Catalog,
        bytes: Vec<u8>,
        grants: Grants,
    ) -> Result<Self, RefusedFile> {
        let component = Component::load_with(sandbox, bytes, grants).await?;
        let manifest = Manifest::parse(component.description(), catalog)?;
        manifest.check_exports(|name| {
            let mut known = Interface::ALL.iter();
            known.any(|interface| interface.as_str() == name && component.has(*interface))
        })?;
        let limits = sandbox.limits().of(&manifest.key);
        Ok(Self {
            component: component.limited(limits),
            manifest,
            grants,
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
            installed: parking_lot::Mutex::default(),
            turns: Semaphore::new(loads_at_once()),
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

    /// Loads in a task of its own, so that several are loaded on several threads.
    async fn load(&self, bytes: Vec<u8>, grants: Grants) -> Result<Connector, RefusedFile> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let (sandbox, catalog) = (self.sandbox.clone(), self.catalog.clone());
        let load = async move { Connector::load(&sandbox, &catalog, bytes, grants).await };
        let loaded = tokio::spawn(load).await;
        loaded.map_err(|error| LoadError::Interrupted(error.to_string()))?
    }

    /// An installed connector by the hash of its component, which `bytes` gives if it
    /// is not loaded yet. It stays for as long as somebody uses it.
    pub async fn installed<E: From<RefusedFile>>(
        &self,
        sha256: &str,
        grants: Grants,
        bytes: impl Future<Output = Result<Vec<u8>, E>>,
    ) -> Result<Arc<Connector>, E> {
        let name = (sha256.to_owned(), grants);
        let loading = {
            let mut installed = self.installed.lock();
            // What nobody waits for and nobody uses.
            installed.retain(|_, one| {
                Arc::strong_count(one) > 1 || one.try_lock().is_ok_and(|one| one.strong_count() > 0)
            });
            installed.entry(name).or_default().clone()
        };
        let mut loading = loading.lock().await;
        if let Some(connector) = loading.upgrade() {
            return Ok(connector);
        }
        let connector = Arc::new(self.load(bytes.await?, grants).await?);
        *loading = Arc::downgrade(&connector);
        Ok(connector)
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
        let load = async |name: String| {
            // To read a pipe would be to wait for somebody to write.
            let bytes = match dir.metadata(&name).map(|there| there.is_file()) {
                Ok(true) => dir.read(&name),
                Ok(false) => Err(std::io::Error::other("it is not a file")),
                Err(error) => Err(error),
            };
            let loaded = match bytes {
                Ok(bytes) => self.load(bytes, Grants::default()).await,
                Err(error) => Err(error.into()),
            };
            (format!("{shown_as}/{name}"), loaded)
        };
        let mut loads = stream::iter(names).map(load).buffered(loads_at_once());
        let mut count = 0;
        while let Some((origin, loaded)) = loads.next().await {
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

    /// The connector of an app key, however it is spelled, that a folder has.
    pub fn get(&self, key: &str) -> Option<Arc<Connector>> {
        self.loaded
            .read()
            .get(&fold_key(key))
            .map(|(_, connector)| connector.clone())
    }

    /// All connectors of folders, by app key.
    pub fn all(&self) -> Vec<Arc<Connector>> {
        self.loaded
            .read()
            .values()
            .map(|(_, connector)| connector.clone())
            .collect()
    }
}

/// How many connectors are loaded at once: as many as there are cores to do it.
pub fn loads_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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
