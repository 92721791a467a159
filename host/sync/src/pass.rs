//! One pass over one entity of one credential, page by page.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rollout_catalog::Entity;
use rollout_connectors::{Connector, Connectors, Environment, Live};
use rollout_sandbox::{CallError, Error, Item, Page as Fetched, ReadScope};
use rollout_store::{Cursor, Lease, Outcome, Schedule, SyncPhase, SyncRow, SyncStatus, now};
use tokio::sync::watch;

use crate::Settings;
use crate::failure::PassError;
use crate::incoming::{Incoming, Read};

/// Longest cursor, in bytes.
const LONGEST_CURSOR: usize = 64 * 1024;
/// Records that are asked for once more at once.
const REREAD: u32 = 100;
/// Most records on one page.
const MOST_ITEMS: usize = 10_000;
/// Most pages in a row that repeat the one before.
const MOST_REPEATS: u32 = 100;

/// What a pass needs.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) live: Arc<Live>,
    pub(crate) entity: Arc<Entity>,
    pub(crate) settings: Settings,
    pub(crate) lease: Arc<Lease>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What a pass brought.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) pages: u64,
    pub(crate) created: usize,
    pub(crate) updated: usize,
    pub(crate) deleted: usize,
    pub(crate) unchanged: usize,
    pub(crate) quarantined: usize,
}

/// A page as a connector gave it, read.
struct Asked {
    read: Read,
    /// The number that was drawn before it was asked for.
    stamp: i64,
    /// Tells it from the page before.
    print: u64,
    next: Option<String>,
    done: bool,
    total: Option<u64>,
}

impl Pass {
    /// Reads from the row's cursor to the end. Each page lands, with its cursor,
    /// while the next one is fetched and read.
    pub(crate) async fn run(&self, row: &SyncRow) -> Result<Tally, PassError> {
        let asked_again = self.reread().await?;
        let mut tally = Tally::default();
        let mut repeats = Repeats::default();
        // What can't be asked for by id is met by reading everything.
        let cursor = row.cursor.as_deref().filter(|_| asked_again);
        let mut asked = self.fetch(cursor).await?;
        loop {
            let (next, done) = (asked.next.clone(), asked.done);
            repeats.count(asked.print)?;
            let landing = tokio::spawn({
                let (pass, row) = (self.clone(), row.clone());
                async move { pass.land(asked, &row).await }
            });
            let fetched = match (&next, done) {
                (Some(next), false) if !*self.stop.borrow() => Some(self.fetch(Some(next)).await),
                _ => None,
            };
            let (outcome, quarantined) = landing
                .await
                .map_err(|_| PassError::Contract("landing was interrupted".into()))??;
            tally.add(&outcome, quarantined);
            if !outcome.stale.is_empty() {
                self.refetch(&outcome.stale).await?;
            }
            if done {
                return Ok(tally);
            }
            asked = fetched.ok_or(PassError::Stopped)??;
        }
    }

    async fn fetch(&self, cursor: Option<&str>) -> Result<Asked, PassError> {
        let stamp = self.environment.store().next_stamp().await?;
        let call = self
            .connectors
            .call_for(&self.environment, &self.connector, &self.live)
            .await?;
        let page = call
            .changes(
                &self.entity.name,
                &ReadScope::Incremental,
                cursor,
                self.settings.page_records,
            )
            .await
            .map_err(|error| call.blank_error(error))?;
        // The account's next call needn't wait until this page is read.
        drop(call);
        check(&page, cursor)?;
        Ok(Asked {
            print: print(&page.items),
            read: self.read(page.items)?,
            stamp,
            next: page.next,
            done: page.done,
            total: page.total,
        })
    }

    /// Asks for records that an older version of the program was told of and could
    /// not store. Answers whether that was possible.
    async fn reread(&self) -> Result<bool, PassError> {
        let store = self.environment.store();
        loop {
            let (credential, entity) = (&self.live.credential.id, &self.entity.name);
            let noted = store.rereads(credential, entity, REREAD).await?;
            if noted.is_empty() {
                return Ok(true);
            }
            let (ids, upstream): (Vec<String>, Vec<String>) = noted.into_iter().unzip();
            let asked = self.refetch(&upstream).await?;
            store.reread(&ids).await?;
            if !asked {
                return Ok(false);
            }
        }
    }

    /// Asks again for records that a write or a hook stored after the page was
    /// asked for: what the page has of them is older than what is here.
    async fn refetch(&self, ids: &[String]) -> Result<bool, PassError> {
        let stamp = self.environment.store().next_stamp().await?;
        let call = self
            .connectors
            .call_for(&self.environment, &self.connector, &self.live)
            .await?;
        let items = match call.get(&self.entity.name, ids).await {
            // Without `get` the next pass brings them.
            Err(CallError::Connector(Error::Unsupported(_))) => return Ok(false),
            result => result.map_err(|error| call.blank_error(error))?,
        };
        let read = self.read(items)?;
        let page = read.page(&self.live.credential, &self.entity.name, stamp, now());
        self.environment.store().land(page).await?;
        Ok(true)
    }

    fn read(&self, items: Vec<Item>) -> Result<Read, PassError> {
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

    async fn land(&self, asked: Asked, row: &SyncRow) -> Result<(Outcome, usize), PassError> {
        let (credential, entity) = (&self.live.credential, &self.entity.name);
        let now = now();
        let mut page = asked.read.page(credential, entity, asked.stamp, now);
        page.lease = Some(&self.lease);
        page.total = asked.total.and_then(|total| i64::try_from(total).ok());
        page.cursor = match asked.next {
            Some(next) => Cursor::At(next),
            None if asked.done => Cursor::Start,
            None => Cursor::Keep,
        };
        if asked.done {
            let poll = i64::try_from(self.settings.poll_interval.as_millis()).unwrap_or(i64::MAX);
            page.schedule = Some(Schedule {
                status: SyncStatus::Done,
                phase: SyncPhase::Incremental,
                next_at: Some(now.saturating_add(poll)),
                attempts: 0,
                error: None,
                first_done_at: row.schedule.first_done_at.or(Some(now)),
            });
        }
        for aside in page.quarantined.iter().take(3) {
            tracing::warn!(
                connector = self.connector.key(),
                credential = self.live.credential.id,
                entity = self.entity.name,
                record = aside.upstream_id,
                reason = aside.reason,
                "a record does not fit its schema and is set aside"
            );
        }
        let quarantined = page.quarantined.len();
        let outcome = self.environment.store().land(page).await?;
        Ok((outcome, quarantined))
    }
}

impl Tally {
    fn add(&mut self, outcome: &Outcome, quarantined: usize) {
        self.pages += 1;
        self.created += outcome.created.len();
        self.updated += outcome.updated.len();
        self.deleted += outcome.deleted.len();
        self.unchanged += outcome.unchanged + outcome.silent;
        self.quarantined += quarantined;
    }
}

/// How often the pages of a pass were the same: a cursor that goes on is no sign
/// that the records do.
#[derive(Default)]
struct Repeats {
    page: Option<u64>,
    times: u32,
}

impl Repeats {
    fn count(&mut self, print: u64) -> Result<(), PassError> {
        let page = Some(print);
        self.times = if self.page == page { self.times + 1 } else { 0 };
        self.page = page;
        if self.times > MOST_REPEATS {
            let text =
                format!("it repeats the page before it, and that {MOST_REPEATS} times in a row");
            return Err(PassError::Contract(text));
        }
        Ok(())
    }
}

/// What tells a page from another: its records and how long they are.
fn print(items: &[Item]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for item in items {
        (&item.id, item.body.len()).hash(&mut hasher);
    }
    hasher.finish()
}

/// What would make a pass endless or its state unbounded is refused.
fn check(page: &Fetched, cursor: Option<&str>) -> Result<(), PassError> {
    let refuse = |text: String| Err(PassError::Contract(text));
    if page.items.len() > MOST_ITEMS {
        return refuse(format!(
            "it has {} records, and a page may have {MOST_ITEMS}",
            page.items.len()
        ));
    }
    match &page.next {
        None if !page.done => refuse("it is not the last one, and has no cursor".into()),
        Some(next) if next.len() > LONGEST_CURSOR => refuse(format!(
            "its cursor has {} bytes, and may have {LONGEST_CURSOR}",
            next.len()
        )),
        Some(next) if !page.done && Some(next.as_str()) == cursor => refuse(
            "its cursor is the one that it was asked with, so the pass would never end".into(),
        ),
        Some(next) if serde_json::from_str::<serde::de::IgnoredAny>(next).is_err() => {
            refuse("its cursor is not JSON".into())
        }
        _ => Ok(()),
    }
}
