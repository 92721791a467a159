//! A credential in use.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use rollout_catalog::{Catalog, Entity};
use rollout_egress::Access;
use rollout_store::{Credential, SyncRow, SyncStatus, Tokens};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::Connector;
use crate::policy::Fields;

/// A credential in use.
pub struct Live {
    /// As it is stored.
    pub credential: Credential,
    /// Ids of the consumers that have it.
    pub consumers: Vec<String>,
    /// Those of them that it is shared with.
    pub(super) shared: Vec<String>,
    pub(super) fields: Arc<Fields>,
    pub(super) sealed: BTreeMap<String, String>,
    /// The tokens among the secrets, if it was connected by signing in.
    pub(crate) tokens: Option<Tokens>,
    /// Who gets new ones.
    pub(crate) renewing: Arc<Renewing>,
    pub(super) readiness: RwLock<HashMap<String, Readiness>>,
    pub(super) calls: Arc<Semaphore>,
    pub(super) access: Mutex<Shared>,
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
pub(super) struct Shared {
    /// SHA-256 of the connector's component: each version has its own rules.
    pub(super) sha256: String,
    pub(super) access: Weak<Access>,
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

impl Live {
    /// Whether the consumer has it.
    pub fn belongs_to(&self, consumer: &str) -> bool {
        self.consumers.iter().any(|id| id == consumer)
    }

    /// The slots in which it has secrets.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &str> {
        self.sealed.keys().map(String::as_str)
    }

    /// Whether it is the consumer's own, not one that is shared with him.
    pub fn is_owned_by(&self, consumer: &str) -> bool {
        self.belongs_to(consumer) && !self.shared.iter().any(|id| id == consumer)
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

pub(super) fn fields_of(value: &Value) -> Fields {
    let object = value.as_object().into_iter().flatten();
    object
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}
