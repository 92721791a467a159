//! An open environment: its database, its secret, and its credentials as this
//! process uses them.
//!
//! Tokens and tenants are checked on every request, so credentials are kept here
//! in memory, with their secrets sealed. Opened secrets exist only while calls
//! that use them run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use rollout_catalog::manifest::SlotScope;
use rollout_catalog::{Catalog, Entity};
use rollout_egress::{self as egress, Access};
use rollout_store::{
    AppKeys, AppSetting, Consumer, Credential, CredentialStatus, EnvStore, Loaded, SettingKind,
    StoreError, SyncRow, SyncStatus, Tokens,
};
use rollout_vault::{Context, Secret, Vault, VaultError};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::outbound::Outbound;
use crate::policy::{self, Fields};
use crate::session::Account;
use crate::{Connector, Keyring};

/// Calls of one credential that run at once.
const CALLS_PER_CREDENTIAL: usize = 8;

/// Scopes of sealed values: part of what a sealed text is bound to.
mod sealed_as {
    pub(super) const CLIENT_SECRET: &str = "client-secret";
    pub(super) const DATABASE_URL: &str = "database-url";
    pub(super) const APP: &str = "app";
    pub(super) const CREDENTIAL: &str = "credential";
    pub(super) const SIGN_IN: &str = "sign-in";
}

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

/// What signs an environment's tokens.
pub struct Secrets {
    sealed: String,
    current: Secret,
    /// The one before, and until when it is good, in milliseconds since 1970.
    old: Option<(Secret, i64)>,
}

impl Secrets {
    fn open(stored: &rollout_store::Environment, vault: &Vault) -> Result<Self, VaultError> {
        let context = client_secret_context(&stored.name);
        let old = match &stored.old_secret {
            Some((sealed, until)) => Some((vault.open(&context, sealed)?, *until)),
            None => None,
        };
        Ok(Self {
            sealed: sealed_secrets(stored),
            current: vault.open(&context, &stored.client_secret_sealed)?,
            old,
        })
    }

    /// The secret that is given out now.
    pub fn current(&self) -> &[u8] {
        self.current.expose()
    }

    /// All that tokens may be signed with at a time, in milliseconds since 1970.
    pub fn valid(&self, now: i64) -> Vec<&[u8]> {
        let old = self.old.iter().filter(|(_, until)| *until > now);
        let old = old.map(|(secret, _)| secret.expose());
        std::iter::once(self.current()).chain(old).collect()
    }
}

/// What tells whether an environment's secrets changed.
fn sealed_secrets(stored: &rollout_store::Environment) -> String {
    let (old, until) = stored.old_secret.clone().unwrap_or_default();
    format!("{} {old} {until}", stored.client_secret_sealed)
}

/// What the environment set for a connector.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) fields: Arc<Fields>,
    /// Sealed.
    pub(crate) slots: BTreeMap<String, String>,
}

/// A credential in use.
pub struct Live {
    /// As it is stored.
    pub credential: Credential,
    /// Ids of the consumers that have it.
    pub consumers: Vec<String>,
    fields: Arc<Fields>,
    sealed: BTreeMap<String, String>,
    /// The tokens among the secrets, if it was connected by signing in.
    pub(crate) tokens: Option<Tokens>,
    /// Who gets new ones.
    pub(crate) renewing: Arc<Renewing>,
    readiness: RwLock<HashMap<String, Readiness>>,
    calls: Arc<Semaphore>,
    access: Mutex<Shared>,
}

/// What calls of a credential agree on when its tokens are replaced.
#[derive(Default)]
pub(crate) struct Renewing {
    /// One at a time asks for new ones.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// The number of those that the app refused when they were new.
    pub(crate) useless: AtomicI64,
}

/// Rules and opened secrets that calls of one version of the connector share.
#[derive(Default)]
struct Shared {
    /// SHA-256 of the connector's component: each version has its own rules.
    sha256: String,
    access: Weak<Access>,
}

/// Whether an entity of a credential can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Its first pass is not complete.
    Syncing,
    /// It is.
    Complete,
    /// The account may not read it, for this reason.
    Unavailable(String),
    /// Its first pass can't be finished, for this reason.
    Failed(String),
}

impl Readiness {
    /// What a sync row means for readers.
    pub fn of(row: &SyncRow) -> Self {
        let reason = || row.schedule.error.clone().unwrap_or_default();
        match row.schedule.status {
            SyncStatus::Unavailable => Self::Unavailable(reason()),
            _ if row.schedule.first_done_at.is_some() => Self::Complete,
            SyncStatus::Failed => Self::Failed(reason()),
            _ => Self::Syncing,
        }
    }
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

/// What a client secret is bound to when it is sealed.
pub fn client_secret_context(environment: &str) -> Context<'_> {
    Context {
        environment,
        scope: sealed_as::CLIENT_SECRET,
        owner: environment,
        slot: "client-secret",
    }
}

/// What a credential's secret is bound to when it is sealed.
pub fn credential_slot_context<'a>(
    environment: &'a str,
    credential: &'a str,
    slot: &'a str,
) -> Context<'a> {
    Context {
        environment,
        scope: sealed_as::CREDENTIAL,
        owner: credential,
        slot,
    }
}

/// What a database URL is bound to when it is sealed.
pub fn database_url_context(environment: &str) -> Context<'_> {
    Context {
        environment,
        scope: sealed_as::DATABASE_URL,
        owner: environment,
        slot: "database-url",
    }
}

/// What an app slot is bound to when it is sealed.
pub fn app_slot_context<'a>(
    environment: &'a str,
    connector: &'a str,
    slot: &'a str,
) -> Context<'a> {
    Context {
        environment,
        scope: sealed_as::APP,
        owner: connector,
        slot,
    }
}

fn sign_in_context<'a>(environment: &'a str, hash: &'a str) -> Context<'a> {
    Context {
        environment,
        scope: sealed_as::SIGN_IN,
        owner: hash,
        slot: "state",
    }
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

    /// Takes up what changed about it. Answers whether anything did.
    pub fn update(&self, stored: &rollout_store::Environment) -> Result<bool, VaultError> {
        let held = self.held.swap(stored.held, Ordering::Relaxed) != stored.held;
        let rotated = self.secrets().sealed != sealed_secrets(stored);
        if rotated {
            *self.secrets.write() =
                Arc::new(Secrets::open(stored, self.installation_keys.vault())?);
        }
        Ok(held || rotated)
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
    /// records, maybe a million, are erased in the background.
    pub async fn forget(&self, id: &str) -> Result<(), StoreError> {
        self.store.revoke_credential(id).await?;
        self.credentials.write().remove(id);
        let (store, name) = (self.store.clone(), self.name.clone());
        tokio::spawn(async move {
            if let Err(error) = store.purge().await {
                // What is left is taken up at the next start.
                tracing::warn!(environment = name, %error, "deleted records are not all erased yet");
            }
        });
        Ok(())
    }

    /// Notes how far an entity of a credential is.
    pub fn set_readiness(&self, credential: &str, entity: &str, readiness: Readiness) {
        if let Some(live) = self.credential(credential) {
            live.readiness.write().insert(entity.to_owned(), readiness);
        }
    }

    /// Marks a credential as refused by its app, or as good again.
    pub async fn set_status(
        &self,
        id: &str,
        status: CredentialStatus,
    ) -> Result<(), EnvironmentError> {
        let change = rollout_store::CredentialChange {
            status: Some(status),
            ..Default::default()
        };
        self.store.update_credential(id, &change).await?;
        self.load(id).await.map(drop)
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

    /// Seals a credential's secrets for storing.
    pub fn seal(
        &self,
        credential: &str,
        secrets: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, VaultError> {
        secrets
            .iter()
            .map(|(slot, secret)| {
                let context = self.slot_context(credential, slot);
                let sealed = self.keys.vault().seal(&context, secret.as_bytes())?;
                Ok((slot.clone(), sealed))
            })
            .collect()
    }

    fn slot_context<'a>(&'a self, credential: &'a str, slot: &'a str) -> Context<'a> {
        credential_slot_context(&self.name, credential, slot)
    }

    /// A credential as its connector's calls use it. The secrets are opened once
    /// for calls that run at the same time, and gone when the last one ends.
    pub fn account(&self, connector: &Connector, live: &Live) -> Result<Account, VaultError> {
        let settings = self.settings_of(connector.key());
        let mut shared = live.access.lock();
        let sha256 = connector.component.sha256();
        let access = match shared.access.upgrade() {
            Some(access) if shared.sha256 == sha256 => access,
            _ => {
                let mut secrets = BTreeMap::new();
                for (slot, sealed) in &live.sealed {
                    let context = self.slot_context(&live.credential.id, slot);
                    let secret = self.keys.vault().open(&context, sealed)?;
                    secrets.insert(
                        slot.clone(),
                        egress::Secret::from(secret.text()?.to_owned()),
                    );
                }
                let plan = &live.credential.plan;
                let access =
                    Arc::new(self.access(connector, plan, &live.fields, &settings, secrets)?);
                *shared = Shared {
                    sha256: sha256.to_owned(),
                    access: Arc::downgrade(&access),
                };
                access
            }
        };
        Ok(Account {
            connector: connector.key().to_owned(),
            credential: Some(live.credential.id.clone()),
            access,
            fields: live.fields.clone(),
            settings: settings.fields.clone(),
            reveals: connector.grants.secrets,
        })
    }

    /// An account that is being connected, with what the person entered.
    pub(crate) fn candidate(
        &self,
        connector: &Connector,
        plan: &str,
        fields: &Fields,
        secrets: &BTreeMap<String, String>,
    ) -> Result<Account, VaultError> {
        let settings = self.settings_of(connector.key());
        let secrets = secrets
            .iter()
            .map(|(slot, secret)| (slot.clone(), egress::Secret::from(secret.clone())))
            .collect();
        Ok(Account {
            connector: connector.key().to_owned(),
            credential: None,
            access: Arc::new(self.access(connector, plan, fields, &settings, secrets)?),
            fields: Arc::new(fields.clone()),
            settings: settings.fields.clone(),
            reveals: connector.grants.secrets,
        })
    }

    /// The value of a slot of scope app, if the operator has set it.
    pub(crate) fn app_secret(
        &self,
        connector: &Connector,
        slot: &str,
    ) -> Result<Option<egress::Secret>, VaultError> {
        let settings = self.settings_of(connector.key());
        let Some(sealed) = settings.slots.get(slot) else {
            return Ok(None);
        };
        let context = app_slot_context(&self.name, connector.key(), slot);
        let opened = self.keys.vault().open(&context, sealed)?;
        Ok(Some(egress::Secret::from(opened.text()?.to_owned())))
    }

    /// A secret of a credential, if it has it.
    pub(crate) fn secret(
        &self,
        live: &Live,
        slot: &str,
    ) -> Result<Option<egress::Secret>, VaultError> {
        let Some(sealed) = live.sealed.get(slot) else {
            return Ok(None);
        };
        let context = self.slot_context(&live.credential.id, slot);
        let opened = self.keys.vault().open(&context, sealed)?;
        Ok(Some(egress::Secret::from(opened.text()?.to_owned())))
    }

    /// Seals what a sign-in is continued with; `hash` is what it is known by.
    pub(crate) fn seal_sign_in(&self, hash: &str, text: &str) -> Result<String, VaultError> {
        let context = sign_in_context(&self.name, hash);
        self.keys.vault().seal(&context, text.as_bytes())
    }

    /// Opens it again.
    pub(crate) fn open_sign_in(&self, hash: &str, sealed: &str) -> Result<Secret, VaultError> {
        let context = sign_in_context(&self.name, hash);
        self.keys.vault().open(&context, sealed)
    }

    pub(crate) fn settings_of(&self, connector: &str) -> Arc<Settings> {
        let settings = self.settings.read();
        settings.get(connector).cloned().unwrap_or_default()
    }

    /// The rules and every declared slot with its value.
    fn access(
        &self,
        connector: &Connector,
        plan: &str,
        fields: &Fields,
        settings: &Settings,
        mut secrets: BTreeMap<String, egress::Secret>,
    ) -> Result<Access, VaultError> {
        let mut slots = BTreeMap::new();
        for (name, slot) in &connector.manifest.slots {
            let (scope, value) = match slot.scope {
                SlotScope::Credential => (egress::Scope::Credential, secrets.remove(name)),
                SlotScope::Subscription => (egress::Scope::Subscription, None),
                SlotScope::App => (egress::Scope::App, self.app_secret(connector, name)?),
            };
            let slot = egress::Slot {
                scope,
                signing: slot.signing,
                values: value.into_iter().collect(),
            };
            slots.insert(name.clone(), slot);
        }
        let rules = policy::rules(&connector.manifest, plan, fields, &settings.fields);
        Ok(Access::new(rules, slots))
    }
}

impl Live {
    /// Whether the consumer has it.
    pub fn belongs_to(&self, consumer: &str) -> bool {
        self.consumers.iter().any(|id| id == consumer)
    }

    /// Its public fields.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// How far an entity is; none: it is not synced.
    pub fn readiness(&self, entity: &str) -> Option<Readiness> {
        self.readiness.read().get(entity).cloned()
    }

    /// Turns of calls at the app; nobody takes more than eight at once.
    pub(crate) fn calls(&self) -> &Arc<Semaphore> {
        &self.calls
    }

    /// Whether an opt-in entity was opted in.
    pub fn opted_in(&self, flag: &str) -> bool {
        let flags = &self.credential.entities_to_sync;
        flags.get(flag).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The entities of the catalogue that are synced for this credential, in
    /// the order in which they are synced.
    pub fn entities(&self, catalog: &Catalog, connector: &Connector) -> Vec<Arc<Entity>> {
        let mut entities: Vec<Arc<Entity>> = connector
            .manifest
            .entities
            .iter()
            .filter(|(_, offer)| offer.verbs.contains(&rollout_catalog::Verb::List))
            .filter_map(|(name, _)| catalog.by_name(name).cloned())
            .filter(|entity| {
                entity.core
                    || entity
                        .flag
                        .as_deref()
                        .is_none_or(|flag| self.opted_in(flag))
            })
            .collect();
        entities.sort_by_key(|entity| entity.order);
        entities
    }
}

fn fields_of(value: &Value) -> Fields {
    let object = value.as_object().into_iter().flatten();
    object
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}
