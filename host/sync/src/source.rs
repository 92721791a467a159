//! One entity of one account, as its app has it.

use std::sync::Arc;

use rollout_catalog::Entity;
use rollout_catalog::manifest::{Deletions, Listing};
use rollout_connectors::{Cause, Connector, Connectors, Environment, Live};
use rollout_sandbox::{CallError, Error, Item, Page as Fetched, ReadScope};
use rollout_store::{EnvStore, Lease, Page, now};

use crate::failure::PassError;
use crate::incoming::{Incoming, Read};
use crate::parents;

/// Reads one entity of one account through its connector.
#[derive(Clone)]
pub(crate) struct Source {
    connectors: Arc<Connectors>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) live: Arc<Live>,
    pub(crate) entity: Arc<Entity>,
    cause: Cause,
}

/// What the app answered.
pub(crate) struct Asked<T> {
    /// The number of the write sequence that was drawn before it was asked: what
    /// was stored under a later one is newer than this.
    pub(crate) stamp: i64,
    /// Its answer.
    pub(crate) answer: T,
    /// Which part of the account was asked about, if not all of it.
    pub(crate) part: u64,
}

impl Source {
    /// The source of an entity, for a job; or why there is none.
    pub(crate) fn find(
        connectors: &Arc<Connectors>,
        environment: &Arc<Environment>,
        live: Arc<Live>,
        entity: &str,
        lease: &Lease,
    ) -> Result<Self, String> {
        let key = &live.credential.app_key;
        let connector = connectors.find(environment, key);
        let connector = connector.ok_or_else(|| format!("the connector `{key}` is not loaded"))?;
        let known = connectors.catalog().by_name(entity).cloned();
        let entity = known.ok_or_else(|| format!("the catalogue has no {entity}"))?;
        Ok(Self {
            connectors: connectors.clone(),
            environment: environment.clone(),
            connector,
            live,
            entity,
            cause: Cause::job(lease.job()),
        })
    }

    pub(crate) fn store(&self) -> &Arc<EnvStore> {
        self.environment.store()
    }

    /// A page of what changed since `cursor`.
    pub(crate) async fn changes(
        &self,
        cursor: Option<&str>,
        records: u32,
    ) -> Result<Asked<Fetched>, PassError> {
        match self.parent() {
            Some(parent) => parents::changes(self, &parent, cursor, records).await,
            None => self.ask(&ReadScope::Incremental, cursor, records).await,
        }
    }

    /// A page of everything there is.
    pub(crate) async fn everything(
        &self,
        cursor: Option<&str>,
        records: u32,
    ) -> Result<Asked<Fetched>, PassError> {
        match self.parent() {
            Some(parent) => parents::everything(self, &parent, cursor, records).await,
            None => self.ask(&ReadScope::Full, cursor, records).await,
        }
    }

    /// How deleted records of the entity are found.
    pub(crate) fn deletions(&self) -> Deletions {
        let offer = self.connector.manifest.entity(&self.entity.name);
        offer.map(|offer| offer.deletions).unwrap_or_default()
    }

    /// The entity of the parents, if the app lists this one per parent only.
    pub(crate) fn parent(&self) -> Option<String> {
        let offer = self.connector.manifest.entity(&self.entity.name)?;
        match offer.listing {
            Listing::Parent => offer.parent.clone(),
            Listing::Account => None,
        }
    }

    /// One page, asked of the connector.
    pub(crate) async fn ask(
        &self,
        scope: &ReadScope,
        cursor: Option<&str>,
        records: u32,
    ) -> Result<Asked<Fetched>, PassError> {
        let stamp = self.store().next_stamp().await?;
        let call = self
            .connectors
            .call_for(&self.environment, &self.connector, &self.live, &self.cause)
            .await?;
        let page = call
            .changes(&self.entity.name, scope, cursor, records)
            .await;
        let answer = page.map_err(|error| call.blank_error(error))?;
        Ok(Asked {
            stamp,
            answer,
            part: 0,
        })
    }

    /// The records with these of the app's ids, as far as it has them. "Not found" in
    /// answer to a single one says that there is none.
    pub(crate) async fn get(&self, ids: &[String]) -> Result<Asked<Vec<Item>>, PassError> {
        let stamp = self.store().next_stamp().await?;
        let call = self
            .connectors
            .call_for(&self.environment, &self.connector, &self.live, &self.cause)
            .await?;
        let answer = match call.get(&self.entity.name, ids).await {
            Err(CallError::Connector(Error::NotFound(_))) if ids.len() == 1 => Vec::new(),
            items => items.map_err(|error| call.blank_error(error))?,
        };
        Ok(Asked {
            stamp,
            answer,
            part: 0,
        })
    }

    /// Turns items into rows.
    pub(crate) fn read(&self, items: Vec<Item>) -> Result<Read, PassError> {
        let manifest = &self.connector.manifest;
        let offer = manifest.entity(&self.entity.name).ok_or_else(|| {
            PassError::Contract(format!("it no longer offers {}", self.entity.name))
        })?;
        let incoming = Incoming {
            entity: &self.entity,
            offer,
            resource: manifest.resource(&self.entity.name),
            credential: &self.live.credential,
        };
        Ok(incoming.read(items))
    }

    /// What was read as a page, ready to land but for cursor and schedule.
    pub(crate) fn page(&self, read: Read, stamp: i64) -> Page<'_> {
        read.page(&self.live.credential, &self.entity.name, stamp, now())
    }
}
