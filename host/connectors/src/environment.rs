//! An open environment: its database, its secret, and its credentials as this
//! process uses them.
//!
//! Tokens and tenants are checked on every request, so credentials are kept here
//! in memory, with their secrets sealed. Opened secrets exist only while calls
//! that use them run.

mod live;
mod sealed;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::{Mutex, RwLock};
use rollout_store::{
    AppKeys, AppSetting, Consumer, Credential, CredentialStatus, EnvStore, Loaded, Records,
    SettingKind, StoreError, SyncRow,
};
use rollout_vault::VaultError;
use tokio::sync::Semaphore;

use crate::outbound::Outbound;
use crate::policy::Fields;
use crate::{Connector, Keyring};

pub use live::{Live, Readiness};
use live::{Shared, fields_of};
pub(crate) use sealed::Use;
use sealed::sealed_secrets;
pub use sealed::{
    Secrets, app_slot_context, client_secret_context, credential_slot_context, database_url_context,
};

/// Calls of one credential that run at once.
const CALLS_PER_CREDENTIAL: usize = 8;

/// An environment.
pub struct Environment {
    /// Its name, `dev`.
    pub name: String,
    /// The `iss` of its tokens.
    pub client_id: String,
    /// How app keys are written in its answers.
    pub app_keys: AppKeys,
    secrets: RwLock<Arc<Secrets>>,
    held: AtomicBool,
    include_data: AtomicBool,
    /// The last change of credentials that is known here.
    seen: AtomicI64,
    store: Arc<EnvStore>,
    outbound: Outbound,
    /// What its credentials' secrets and connectors' slots are sealed with.
    keys: Keyring,
    /// What its client secret is sealed with.
    installation_keys: Arc<Keyring>,
    settings: RwLock<HashMap<String, Arc<Settings>>>,
    connectors: RwLock<Arc<Installed>>,
    credentials: RwLock<InUse>,
    consumers: RwLock<HashMap<String, Consumer>>,
}

/// The installed connectors that an environment uses, by folded app key.
pub type Installed = BTreeMap<String, Arc<Connector>>;

/// The credentials in use.
#[derive(Default)]
struct InUse {
    live: HashMap<String, Arc<Live>>,
    /// Those that were deleted here: what was read of them before comes too late.
    /// Ids are not given out twice.
    gone: HashSet<String>,
}

impl InUse {
    fn remove(&mut self, id: &str) {
        self.live.remove(id);
        self.gone.insert(id.to_owned());
    }
}

/// What the environment set for a connector.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) fields: Arc<Fields>,
    /// Sealed.
    pub(crate) slots: BTreeMap<String, String>,
}

/// Why an environment can't be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// Its database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something sealed can't be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Environment {
    /// Opens an environment and loads its credentials. What the control database holds
    /// of it is sealed with the installation's keys.
    pub async fn open(
        stored: &rollout_store::Environment,
        store: EnvStore,
        installation_keys: Arc<Keyring>,
    ) -> Result<Self, EnvironmentError> {
        let masters = installation_keys.masters().clone();
        let keys = Keyring::open(&stored.client_id, masters, store.data_keys()).await?;
        // Before the credentials are read: what changes meanwhile is read twice.
        let seen = store.changes_upto().await?;
        let store = Arc::new(store);
        let environment = Self {
            name: stored.name.clone(),
            client_id: stored.client_id.clone(),
            app_keys: stored.app_keys,
            secrets: RwLock::new(Arc::new(Secrets::open(stored, installation_keys.vault())?)),
            held: AtomicBool::new(stored.held),
            include_data: AtomicBool::new(stored.include_data),
            seen: AtomicI64::new(seen),
            outbound: Outbound::start(&stored.name, &store),
            store,
            keys,
            installation_keys,
            settings: RwLock::default(),
            connectors: RwLock::default(),
            credentials: RwLock::default(),
            consumers: RwLock::default(),
        };
        environment.load_all(None).await?;
        Ok(environment)
    }

    /// The database.
    pub fn store(&self) -> &Arc<EnvStore> {
        &self.store
    }

    /// Its way to the apps.
    pub(crate) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Writes the records of outbound calls that are not written yet. For shut-down.
    pub async fn write_records(&self) {
        self.outbound.write_records().await;
    }

    /// The keys of its tokens.
    pub fn secrets(&self) -> Arc<Secrets> {
        self.secrets.read().clone()
    }

    /// Nothing goes out: it was restored, and nobody has said that it is to work.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// The API hands out credentials' secrets, and takes them back.
    pub fn includes_data(&self) -> bool {
        self.include_data.load(Ordering::Relaxed)
    }

    /// Takes up what changed about it. Answers whether anything did.
    pub fn update(&self, stored: &rollout_store::Environment) -> Result<bool, VaultError> {
        let held = self.held.swap(stored.held, Ordering::Relaxed) != stored.held;
        let included = self
            .include_data
            .swap(stored.include_data, Ordering::Relaxed);
        let changed = held || included != stored.include_data;
        let rotated = self.secrets().sealed != sealed_secrets(stored);
        if rotated {
            *self.secrets.write() =
                Arc::new(Secrets::open(stored, self.installation_keys.vault())?);
        }
        Ok(changed || rotated)
    }

    /// Takes up the keys of this version, and those that these settings need, before they
    /// are taken up themselves.
    pub async fn follow_keys(
        &self,
        version: i64,
        settings: &[(String, AppSetting)],
    ) -> Result<(), EnvironmentError> {
        let slots = settings
            .iter()
            .filter(|(_, setting)| setting.kind == SettingKind::Slot);
        let sealed = slots.map(|(_, setting)| &setting.value);
        self.keys
            .follow(self.store.data_keys(), version, sealed)
            .await
    }

    /// Takes up what other processes changed about credentials.
    pub async fn refresh(&self) -> Result<(), EnvironmentError> {
        let seen = self.seen.load(Ordering::Relaxed);
        if self.store.changes_upto().await? == seen {
            return Ok(());
        }
        let changes = self.store.changes_since(seen).await?;
        if !changes.changed.is_empty() {
            self.load_all(Some(&changes.changed)).await?;
        }
        for id in changes.departed {
            self.credentials.write().remove(&id);
        }
        self.seen.store(changes.upto, Ordering::Relaxed);
        Ok(())
    }

    /// A credential by its id, also one that another process has just connected.
    pub async fn find_credential(&self, id: &str) -> Result<Option<Arc<Live>>, EnvironmentError> {
        if let Some(live) = self.credential(id) {
            return Ok(Some(live));
        }
        if !self.store.is_shared() || uuid::Uuid::try_parse(id).is_err() {
            return Ok(None);
        }
        self.load(id).await
    }

    /// An app key as this environment writes it.
    pub fn shown_key(&self, app_key: &str) -> String {
        match self.app_keys {
            AppKeys::Canonical => app_key.to_owned(),
            AppKeys::Plain => rollout_catalog::manifest::fold_key(app_key),
        }
    }

    /// The consumer of a token's `sub`, made at its first use.
    pub async fn consumer(&self, key: &str) -> Result<Consumer, StoreError> {
        if let Some(consumer) = self.consumers.read().get(key) {
            return Ok(consumer.clone());
        }
        let consumer = self.store.consumer(key).await?;
        self.consumers
            .write()
            .insert(key.to_owned(), consumer.clone());
        Ok(consumer)
    }

    /// The consumer of a token's `sub`, if it was ever used for anything.
    pub async fn known_consumer(&self, key: &str) -> Result<Option<Consumer>, StoreError> {
        if let Some(consumer) = self.consumers.read().get(key) {
            return Ok(Some(consumer.clone()));
        }
        let Some(consumer) = self.store.find_consumer(key).await? else {
            return Ok(None);
        };
        self.consumers
            .write()
            .insert(key.to_owned(), consumer.clone());
        Ok(Some(consumer))
    }

    /// A credential by its id.
    pub fn credential(&self, id: &str) -> Option<Arc<Live>> {
        self.credentials.read().live.get(id).cloned()
    }

    /// All credentials, oldest first.
    pub fn credentials(&self) -> Vec<Arc<Live>> {
        let mut all: Vec<_> = self.credentials.read().live.values().cloned().collect();
        all.sort_by(|a, b| {
            let key = |live: &Live| (live.credential.created_at, live.credential.id.clone());
            key(a).cmp(&key(b))
        });
        all
    }

    /// Takes a credential into use, or up again after it changed. None: it is gone.
    pub async fn load(&self, id: &str) -> Result<Option<Arc<Live>>, EnvironmentError> {
        let loaded = self.load_with_syncs(id).await?;
        Ok(loaded.map(|(live, _)| live))
    }

    /// The same, with how far its entities are.
    pub(crate) async fn load_with_syncs(
        &self,
        id: &str,
    ) -> Result<Option<(Arc<Live>, Vec<SyncRow>)>, EnvironmentError> {
        let ids = [id.to_owned()];
        let loaded = self.store.load_credentials(Some(&ids)).await?;
        self.know_keys(&loaded).await?;
        Ok(loaded.into_iter().next().map(|loaded| self.put(loaded)))
    }

    /// Takes several credentials into use, or up again; without ids all of them.
    async fn load_all(&self, ids: Option<&[String]>) -> Result<(), EnvironmentError> {
        let all = self.store.load_credentials(ids).await?;
        self.know_keys(&all).await?;
        for loaded in all {
            self.put(loaded);
        }
        Ok(())
    }

    /// Sees to it that the keys of these secrets are known before anybody needs them.
    async fn know_keys(&self, loaded: &[Loaded]) -> Result<(), EnvironmentError> {
        let sealed = loaded.iter().flat_map(|one| one.secrets.values());
        self.keys.know(self.store.data_keys(), sealed).await
    }

    fn put(&self, loaded: Loaded) -> (Arc<Live>, Vec<SyncRow>) {
        let Loaded {
            credential,
            consumers,
            shared,
            secrets,
            tokens,
            syncs,
        } = loaded;
        let id = credential.id.clone();
        let readiness = syncs
            .iter()
            .map(|row| (row.entity.clone(), Readiness::of(row)))
            .collect();
        let before = self.credential(&id);
        let live = Arc::new(Live {
            fields: Arc::new(fields_of(&credential.fields)),
            consumers,
            shared,
            credential,
            sealed: secrets,
            tokens,
            renewing: before
                .as_ref()
                .map(|one| one.renewing.clone())
                .unwrap_or_default(),
            readiness: RwLock::new(readiness),
            calls: match before {
                Some(before) => before.calls.clone(),
                None => Arc::new(Semaphore::new(CALLS_PER_CREDENTIAL)),
            },
            access: Mutex::default(),
        });
        let mut credentials = self.credentials.write();
        if !credentials.gone.contains(&id) {
            credentials.live.insert(id, live.clone());
        }
        (live, syncs)
    }

    /// Takes a credential out of use and deletes it with its secrets, at once. Its
    /// records, maybe a million, are erased in the background, unless they are kept.
    pub async fn forget(&self, id: &str, records: Records) -> Result<(), StoreError> {
        self.store.revoke_credential(id, records).await?;
        self.credentials.write().remove(id);
        if records == Records::Erase {
            self.purge();
        }
        Ok(())
    }

    /// Shares a credential with a consumer. Answers it as it is then; none: it is gone.
    pub async fn share(
        &self,
        id: &str,
        consumer: &Consumer,
    ) -> Result<Option<Arc<Live>>, EnvironmentError> {
        self.store.share_credential(id, &consumer.id).await?;
        self.load(id).await
    }

    /// Takes a credential from a consumer that it is shared with.
    /// [`StoreError::NotFound`] if it is not.
    pub async fn unshare(&self, id: &str, consumer: &Consumer) -> Result<(), EnvironmentError> {
        self.store.unshare_credential(id, &consumer.id).await?;
        self.load(id).await.map(drop)
    }

    /// Erases the records that were kept of a deleted credential.
    /// [`StoreError::NotFound`] if there are none.
    pub async fn erase_kept(&self, id: &str) -> Result<(), StoreError> {
        if uuid::Uuid::try_parse(id).is_err() {
            return Err(StoreError::NotFound("credential"));
        }
        self.store.release_kept(id).await?;
        self.purge();
        Ok(())
    }

    /// Erases in the background what deleted credentials left.
    fn purge(&self) {
        let (store, name) = (self.store.clone(), self.name.clone());
        tokio::spawn(async move {
            if let Err(error) = store.purge().await {
                // What is left is taken up at the next start.
                tracing::warn!(environment = name, %error, "deleted records are not all erased yet");
            }
        });
    }

    /// Notes how far an entity of a credential is.
    pub fn set_readiness(&self, credential: &str, entity: &str, readiness: Readiness) {
        if let Some(live) = self.credential(credential) {
            live.readiness.write().insert(entity.to_owned(), readiness);
        }
    }

    /// Marks a credential as refused by its app, or as good again. Answers false, and
    /// marks nothing, if it has been changed since `live`: other keys were meant.
    pub async fn judge(
        &self,
        live: &Live,
        status: CredentialStatus,
    ) -> Result<bool, EnvironmentError> {
        let Credential { id, updated_at, .. } = &live.credential;
        let judged = self.store.judge_credential(id, *updated_at, status).await?;
        self.load(id).await?;
        Ok(judged)
    }

    /// The installed connectors that it uses.
    pub fn connectors(&self) -> Arc<Installed> {
        self.connectors.read().clone()
    }

    /// Uses these installed connectors from now on. What is under way ends with those
    /// that it began with.
    pub fn set_connectors(&self, installed: Installed) {
        *self.connectors.write() = Arc::new(installed);
    }

    /// Takes up all that is set for connectors, each setting with its connector.
    /// Answers whether anything changed.
    pub fn set_settings(&self, stored: Vec<(String, AppSetting)>) -> bool {
        let mut new: HashMap<String, Arc<Settings>> = HashMap::new();
        for (connector, AppSetting { name, kind, value }) in stored {
            let settings = Arc::make_mut(new.entry(connector).or_default());
            match kind {
                SettingKind::Field => Arc::make_mut(&mut settings.fields).insert(name, value),
                SettingKind::Slot => settings.slots.insert(name, value),
            };
        }
        let mut settings = self.settings.write();
        if *settings == new {
            return false;
        }
        *settings = new;
        drop(settings);
        for live in self.credentials() {
            *live.access.lock() = Shared::default();
        }
        true
    }

    pub(crate) fn settings_of(&self, connector: &str) -> Arc<Settings> {
        let settings = self.settings.read();
        settings.get(connector).cloned().unwrap_or_default()
    }
}
