//! What became of writes that were cut off: the process was killed, the app's
//! answer was lost, or the database failed after the app had done it.
//!
//! The app is asked. A record that was to be changed or deleted is fetched; one
//! that was to be made is looked for among those that came since. If what is there
//! is what was asked for, the write happened, and its key answers with that record
//! from now on. If not, it did not, and its key can be used again. Either way the
//! store then shows what the app has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollout_catalog::Entity;
use rollout_catalog::manifest::EntityOffer;
use rollout_connectors::{Connector, Connectors, Environment, Live};
use rollout_sandbox::{CallError, Error, Item, ReadScope};
use rollout_store::{Lease, OpenWrite, Page, Queue, SETTLE, StoreError, now, record_id};
use rollout_work::Handler;
use tokio::sync::watch;

use crate::alike::{alike, lacks};
use crate::engine::stored;
use crate::failure::PassError;
use crate::incoming::Incoming;
use crate::outgoing::Answer;

/// Pages that are read to find a record that was made; with more, the sync that
/// is under way is waited for.
const PAGES: u32 = 20;
const PAGE_RECORDS: u32 = 200;
/// Records that are compared.
const CANDIDATES: u32 = 2000;
/// How long one waits for what can't be found out yet, at first and at most.
const WAIT_FIRST: Duration = Duration::from_secs(2);
const WAIT_LONGEST: Duration = Duration::from_secs(300);

/// Settles writes.
pub struct Settler {
    connectors: Arc<Connectors>,
    settings: SettleSettings,
}

/// How writes are settled.
#[derive(Debug, Clone, Copy)]
pub struct SettleSettings {
    /// How many at once.
    pub parallel: usize,
    /// How long after its beginning, or after its maker gave up, a write may still
    /// arrive at the app: so long nothing is concluded from its not being there.
    pub patience: Duration,
}

/// Everything that is known of a write.
struct Case<'a> {
    environment: &'a Environment,
    live: &'a Live,
    connector: &'a Connector,
    entity: &'a Entity,
    offer: &'a EntityOffer,
    write: &'a OpenWrite,
    lease: &'a Lease,
}

#[async_trait]
impl Handler for Settler {
    fn queue(&self) -> Queue {
        SETTLE
    }

    fn parallel(&self) -> usize {
        self.settings.parallel
    }

    async fn run(
        &self,
        environment: &Arc<Environment>,
        lease: &Lease,
        _stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let store = environment.store();
        let Some(write) = store.open_write(lease).await? else {
            return store.finish_job(lease).await;
        };
        let live = environment.find_credential(&write.credential_id).await;
        let live = live
            .map_err(stored)?
            .ok_or(StoreError::NotFound("credential"))?;
        let key = &live.credential.app_key;
        let connector = self.connectors.registry().get(key);
        let connector = connector.ok_or_else(|| {
            StoreError::Unavailable(format!("the connector `{key}` is not loaded"))
        })?;
        let entity = self.connectors.catalog().by_name(&write.entity).cloned();
        let entity = entity.ok_or(StoreError::NotFound("entity"))?;
        let offer = connector.manifest.entity(&write.entity);
        let case = Case {
            environment,
            live: &live,
            connector: &connector,
            entity: &entity,
            offer: offer.ok_or(StoreError::NotFound("entity"))?,
            write: &write,
            lease,
        };
        let settled = match &write.upstream_id {
            Some(upstream) => self.settle_known(&case, upstream).await,
            None => self.settle_new(&case).await,
        };
        let open = write;
        let (environment, write, operation) = (&environment.name, &open.id, &open.operation);
        match settled {
            Ok(happened) => {
                tracing::info!(
                    environment,
                    write,
                    operation,
                    happened,
                    "a write is settled"
                );
                Ok(())
            }
            Err(PassError::Store(error)) => Err(error),
            Err(error) => {
                tracing::info!(environment, write, operation, %error, "a write can't be settled yet");
                let tries = u32::try_from(lease.attempts.clamp(1, 16)).unwrap_or(1);
                let wait = WAIT_FIRST
                    .saturating_mul(1 << (tries - 1))
                    .min(WAIT_LONGEST);
                // When its not being there counts, it counts at once.
                let left = self.left(&open);
                let wait = if left.is_zero() { wait } else { wait.min(left) };
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                store.job_later(lease, now().saturating_add(wait)).await
            }
        }
    }
}

impl Settler {
    /// Settles writes through these connectors.
    pub fn new(connectors: Arc<Connectors>, settings: SettleSettings) -> Self {
        Self {
            connectors,
            settings,
        }
    }

    /// A change or deletion of a record that is known. Answers whether it happened.
    async fn settle_known(&self, case: &Case<'_>, upstream: &str) -> Result<bool, PassError> {
        let store = case.environment.store();
        let stamp = store.next_stamp().await?;
        let call = self
            .connectors
            .call_for(case.environment, case.connector, case.live)
            .await?;
        let ids = [upstream.to_owned()];
        let found = match call.get(&case.entity.name, &ids).await {
            Err(CallError::Connector(Error::NotFound(_))) => Vec::new(),
            found => found.map_err(|error| call.blank_error(error))?,
        };
        drop(call);
        let item = found
            .into_iter()
            .find(|item| item.id == upstream && !item.deleted);
        let id = record_id(&case.live.credential, &case.entity.name, upstream);
        let deletes = case.write.operation == "delete";
        let mut page = self.page(case, item.iter().cloned().collect(), stamp);
        if item.is_none() {
            page.deleted.push(upstream.to_owned());
        }
        if item.is_none() != deletes {
            // Not what was asked for, whatever it is.
            return self.did_not_happen(case, page).await;
        }
        if deletes {
            let answer = |_: Option<&str>| Answer::of_record(None, Vec::new());
            store
                .settle_write(case.lease, case.entity, &id, Some(page), answer)
                .await?;
            return Ok(true);
        }
        store.land(page).await?;
        let credential = &case.live.credential.id;
        let record = store.get_json(credential, case.entity, &id).await?;
        if record.is_some_and(|record| self.is_it(case, &record)) {
            return self.happened(case, &id).await;
        }
        self.did_not_happen(
            case,
            Page::new(&case.live.credential, &case.entity.name, stamp, now()),
        )
        .await
    }

    /// A record that was to be made. Answers whether it was.
    async fn settle_new(&self, case: &Case<'_>) -> Result<bool, PassError> {
        self.read_on(case).await?;
        let store = case.environment.store();
        let candidates = store
            .write_candidates(case.write, case.entity, CANDIDATES)
            .await?;
        let found = candidates
            .iter()
            .find(|candidate| self.is_it(case, &candidate.json));
        match found {
            Some(candidate) => self.happened(case, &candidate.id).await,
            None => self.forget(case).await,
        }
    }

    /// Lands what came since the last pass. Its cursor stays where it is: the pass
    /// to come finds these records unchanged.
    async fn read_on(&self, case: &Case<'_>) -> Result<(), PassError> {
        let store = case.environment.store();
        let row = store
            .sync_row(&case.live.credential.id, &case.entity.name)
            .await?;
        let mut cursor = row.ok_or(StoreError::NotFound("sync"))?.cursor;
        for _ in 0..PAGES {
            let stamp = store.next_stamp().await?;
            let call = self
                .connectors
                .call_for(case.environment, case.connector, case.live)
                .await?;
            let scope = ReadScope::Incremental;
            let page = call
                .changes(&case.entity.name, &scope, cursor.as_deref(), PAGE_RECORDS)
                .await
                .map_err(|error| call.blank_error(error))?;
            drop(call);
            let (next, done) = (page.next, page.done);
            store.land(self.page(case, page.items, stamp)).await?;
            if done || next.is_none() {
                return Ok(());
            }
            cursor = next;
        }
        Err(PassError::Unclear(
            "there is much to read before the record can be found",
        ))
    }

    fn page<'a>(&self, case: &'a Case<'_>, items: Vec<Item>, stamp: i64) -> Page<'a> {
        let incoming = Incoming {
            entity: case.entity,
            offer: case.offer,
            resource: case.connector.manifest.resource(&case.entity.name),
            credential: &case.live.credential,
        };
        let read = incoming.read(items);
        read.page(&case.live.credential, &case.entity.name, stamp, now())
    }

    /// Whether a record is what the write asked for.
    fn is_it(&self, case: &Case<'_>, record: &str) -> bool {
        let (Ok(mut body), Ok(record)) = (
            serde_json::from_str(&case.write.body),
            serde_json::from_str(record),
        ) else {
            return false;
        };
        case.entity.normalise_times(&mut body);
        let operations = &case.entity.operations;
        let operation = operations
            .iter()
            .find(|one| one.name == case.write.operation);
        if operation.is_some_and(|operation| operation.removes) {
            return lacks(&body, &record);
        }
        alike(&body, &record, |field| case.offer.accepts(field))
    }

    async fn happened(&self, case: &Case<'_>, id: &str) -> Result<bool, PassError> {
        let answer = |record: Option<&str>| Answer::of_record(record, Vec::new());
        case.environment
            .store()
            .settle_write(case.lease, case.entity, id, None, answer)
            .await?;
        Ok(true)
    }

    async fn did_not_happen(&self, case: &Case<'_>, page: Page<'_>) -> Result<bool, PassError> {
        case.environment.store().land(page).await?;
        self.forget(case).await
    }

    /// How long nothing can be concluded from a write's not being there.
    fn left(&self, write: &OpenWrite) -> Duration {
        let age = now().saturating_sub(write.opened_at);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or_default());
        self.settings.patience.saturating_sub(age)
    }

    async fn forget(&self, case: &Case<'_>) -> Result<bool, PassError> {
        if !self.left(case.write).is_zero() {
            let text = "the app does not have it, and may still be at it";
            return Err(PassError::Unclear(text));
        }
        case.environment.store().drop_write(case.lease).await?;
        Ok(false)
    }
}
