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
use rollout_connectors::{Connectors, Environment};
use rollout_sandbox::{Page, ReadScope};
use rollout_store::{Lease, OpenWrite, StoreError, after, now, record_id};
use rollout_work::{Backoff, Handler};
use serde_json::Value;
use tokio::sync::watch;

use crate::alike::{alike, lacks};
use crate::engine::stored;
use crate::failure::PassError;
use crate::outgoing::Answer;
use crate::source::{Asked, Source};

/// Pages that are read to find a record that was made; with more, the sync that
/// is under way is waited for.
const PAGES: u32 = 20;
const PAGE_RECORDS: u32 = 200;
const MUCH: &str = "there is much to read before the record can be found";
/// Records that are compared.
const CANDIDATES: u32 = 2000;
/// How long one waits for what can't be found out yet.
const RETRY: Backoff = Backoff {
    first: Duration::from_secs(2),
    longest: Duration::from_secs(300),
};

/// Settles writes.
pub struct Settler {
    connectors: Arc<Connectors>,
    patience: Duration,
}

/// Everything that is known of a write.
struct Case<'a> {
    source: &'a Source,
    write: &'a OpenWrite,
    lease: &'a Lease,
}

#[async_trait]
impl Handler for Settler {
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
        let source = Source::find(&self.connectors, environment, live, &write.entity, lease)
            .map_err(StoreError::Unavailable)?;
        let case = Case {
            source: &source,
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
                let wait = RETRY.wait(lease.attempts);
                // When its not being there counts, it counts at once.
                let left = self.left(&open);
                let wait = if left.is_zero() { wait } else { wait.min(left) };
                store.job_later(lease, after(wait)).await
            }
        }
    }
}

impl Settler {
    /// Settles writes through these connectors. For as long as `patience` after its
    /// beginning, or after its maker gave up, a write may still arrive at the app:
    /// so long nothing is concluded from its not being there.
    pub fn new(connectors: Arc<Connectors>, patience: Duration) -> Self {
        Self {
            connectors,
            patience,
        }
    }

    /// A change or deletion of a record that is known. Answers whether it happened.
    async fn settle_known(&self, case: &Case<'_>, upstream: &str) -> Result<bool, PassError> {
        let Case { source, .. } = case;
        let store = source.store();
        let asked = source.get(&[upstream.to_owned()]).await?;
        let stamp = asked.stamp;
        let mut found = asked.answer.into_iter();
        let item = found.find(|item| item.id == upstream && !item.deleted);
        let (credential, entity) = (&source.live.credential, &source.entity);
        let id = record_id(credential, &entity.name, upstream);
        let gone = item.is_none();
        let mut page = source.page(source.read(item.into_iter().collect())?, stamp);
        if gone {
            page.deleted.push(upstream.to_owned());
        }
        let deletes = case.write.operation == "delete";
        if gone && deletes {
            let answer = |_: Option<&str>| Answer::of_record(None, Vec::new());
            store
                .settle_write(case.lease, entity, &id, Some(page), answer)
                .await?;
            return Ok(true);
        }
        store.land(page).await?;
        // Otherwise it is not what was asked for, whatever it is.
        if !gone && !deletes {
            let record = store.get_json(&credential.id, entity, &id).await?;
            if record.is_some_and(|record| is_it(case, &record)) {
                return self.happened(case, &id).await;
            }
        }
        self.forget(case).await
    }

    /// A record that was to be made. Answers whether it was.
    async fn settle_new(&self, case: &Case<'_>) -> Result<bool, PassError> {
        match case.source.parent() {
            Some(parent) => self.read_beside(case, &parent).await?,
            None => self.read_on(case.source).await?,
        }
        let store = case.source.store();
        let candidates = store
            .write_candidates(case.write, &case.source.entity, CANDIDATES)
            .await?;
        let found = candidates
            .iter()
            .find(|candidate| is_it(case, &candidate.json));
        match found {
            Some(candidate) => self.happened(case, &candidate.id).await,
            None => self.forget(case).await,
        }
    }

    /// Lands what came since the last pass. Its cursor stays where it is: the pass
    /// to come finds these records unchanged.
    async fn read_on(&self, source: &Source) -> Result<(), PassError> {
        let (credential, entity) = (&source.live.credential.id, &source.entity.name);
        let row = source.store().sync_row(credential, entity).await?;
        let mut cursor = row.ok_or(StoreError::NotFound("sync"))?.cursor;
        for _ in 0..PAGES {
            let asked = source.changes(cursor.as_deref(), PAGE_RECORDS);
            let page = self.land(source, asked.await?).await?;
            if page.done || page.next.is_none() {
                return Ok(());
            }
            cursor = page.next;
        }
        Err(PassError::Unclear(MUCH))
    }

    /// Lands what belongs to the parents that the write names: the record would be
    /// among it.
    async fn read_beside(&self, case: &Case<'_>, parent: &str) -> Result<(), PassError> {
        let Source { entity, live, .. } = case.source;
        let body: serde_json::Map<String, Value> =
            serde_json::from_str(&case.write.body).unwrap_or_default();
        let ids = body.iter().filter_map(|(name, value)| {
            let to = entity.field(name)?.reference.as_deref()?;
            (to == parent).then(|| value.as_str().map(str::to_owned))?
        });
        let ids: Vec<String> = ids.collect();
        let store = case.source.store();
        let parents = store
            .upstream_ids(&live.credential.id, parent, &ids)
            .await?;
        let scope = ReadScope::Parents(parents.into_values().collect());
        let mut cursor = None;
        for _ in 0..PAGES {
            let asked = case.source.ask(&scope, cursor.as_deref(), PAGE_RECORDS);
            let page = self.land(case.source, asked.await?).await?;
            if page.done || page.next.is_none() {
                return Ok(());
            }
            cursor = page.next;
        }
        Err(PassError::Unclear(MUCH))
    }

    /// Lands a page without its cursor.
    async fn land(&self, source: &Source, asked: Asked<Page>) -> Result<Page, PassError> {
        let mut page = asked.answer;
        let read = source.read(std::mem::take(&mut page.items))?;
        let landing = source.page(read, asked.stamp);
        source.store().land(landing).await?;
        Ok(page)
    }

    async fn happened(&self, case: &Case<'_>, id: &str) -> Result<bool, PassError> {
        let answer = |record: Option<&str>| Answer::of_record(record, Vec::new());
        let store = case.source.store();
        store
            .settle_write(case.lease, &case.source.entity, id, None, answer)
            .await?;
        Ok(true)
    }

    /// How long nothing can be concluded from a write's not being there.
    fn left(&self, write: &OpenWrite) -> Duration {
        let age = now().saturating_sub(write.opened_at);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or_default());
        self.patience.saturating_sub(age)
    }

    async fn forget(&self, case: &Case<'_>) -> Result<bool, PassError> {
        if !self.left(case.write).is_zero() {
            let text = "the app does not have it, and may still be at it";
            return Err(PassError::Unclear(text));
        }
        case.source.store().drop_write(case.lease).await?;
        Ok(false)
    }
}

/// Whether a record is what the write asked for.
fn is_it(case: &Case<'_>, record: &str) -> bool {
    let Source {
        entity, connector, ..
    } = case.source;
    let (Ok(mut body), Ok(record)) = (
        serde_json::from_str(&case.write.body),
        serde_json::from_str(record),
    ) else {
        return false;
    };
    entity.normalise_times(&mut body);
    let mut operations = entity.operations.iter();
    let operation = operations.find(|one| one.name == case.write.operation);
    if operation.is_some_and(|operation| operation.removes) {
        return lacks(&body, &record);
    }
    let offer = connector.manifest.entity(&entity.name);
    alike(&body, &record, |field| {
        offer.is_some_and(|offer| offer.accepts(field))
    })
}
