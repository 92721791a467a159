//! One pass over one entity of one credential, page by page.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use rollout_sandbox::{CallError, Error, Item};
use rollout_store::{Cursor, FullPage, Lease, Outcome, Schedule, SyncPhase, SyncRow, SyncStatus};
use tokio::sync::watch;

use crate::Settings;
use crate::failure::PassError;
use crate::incoming::Read;
use crate::plan::Plan;
use crate::source::Source;

/// Longest cursor, in bytes.
const LONGEST_CURSOR: usize = 64 * 1024;
/// Records that are asked for once more at once.
const REREAD: u32 = 100;
/// Most records on one page.
const MOST_ITEMS: usize = 10_000;
/// Most pages in a row that repeat the one before.
const MOST_REPEATS: u32 = 100;

/// What a pass reads for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// What changed; everything at first.
    Changes,
    /// Everything, to find out what is gone: the full pass of this number, for as long
    /// as it has.
    Full(i64, Instant),
}

/// What a pass needs.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) source: Source,
    pub(crate) settings: Settings,
    pub(crate) lease: Arc<Lease>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) goal: Goal,
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
    /// There is nothing more to read.
    pub(crate) complete: bool,
}

/// A page as a connector gave it, read.
struct Fetched {
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
        // What can't be asked for by id is met by reading everything.
        let cursor = row.cursor.as_deref().filter(|_| asked_again);
        self.read_from(cursor, row).await
    }

    /// The same from a cursor of the goal.
    pub(crate) async fn read_from(
        &self,
        cursor: Option<&str>,
        row: &SyncRow,
    ) -> Result<Tally, PassError> {
        let mut tally = Tally::default();
        let mut repeats = Repeats::default();
        let mut fetched = self.fetch(cursor).await?;
        loop {
            let (next, done) = (fetched.next.clone(), fetched.done);
            let goes_on = !done && !*self.stop.borrow() && self.goal.has_time();
            repeats.count(fetched.print)?;
            let landing = tokio::spawn({
                let (pass, row) = (self.clone(), row.clone());
                async move { pass.land(fetched, &row).await }
            });
            let following = match &next {
                Some(next) if goes_on => Some(self.fetch(Some(next)).await),
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
                tally.complete = true;
                return Ok(tally);
            }
            if outcome.paused {
                return Err(PassError::Paused);
            }
            fetched = match following {
                Some(following) => following?,
                None if self.goal.has_time() => return Err(PassError::Stopped),
                None => return Ok(tally),
            };
        }
    }

    async fn fetch(&self, cursor: Option<&str>) -> Result<Fetched, PassError> {
        let records = self.settings.page_records;
        let asked = match self.goal {
            Goal::Changes => self.source.changes(cursor, records).await?,
            Goal::Full(..) => self.source.everything(cursor, records).await?,
        };
        let page = asked.answer;
        check(&page, cursor)?;
        Ok(Fetched {
            print: print(&page.items, asked.part),
            read: self.source.read(page.items)?,
            stamp: asked.stamp,
            next: page.next,
            done: page.done,
            total: page.total,
        })
    }

    /// Asks for records that an older version of the program was told of and could
    /// not store. Answers whether that was possible.
    async fn reread(&self) -> Result<bool, PassError> {
        let store = self.source.store();
        let (credential, entity) = (&self.source.live.credential.id, &self.source.entity.name);
        loop {
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
        let asked = match self.source.get(ids).await {
            // Without `get` the next pass brings them.
            Err(PassError::Call(CallError::Connector(Error::Unsupported(_)))) => return Ok(false),
            asked => asked?,
        };
        let read = self.source.read(asked.answer)?;
        let page = self.source.page(read, asked.stamp);
        self.source.store().land(page).await?;
        Ok(true)
    }

    async fn land(&self, fetched: Fetched, row: &SyncRow) -> Result<(Outcome, usize), PassError> {
        let seen = fetched.read.count();
        let mut page = self.source.page(fetched.read, fetched.stamp);
        page.lease = Some(&self.lease);
        page.total = fetched.total.and_then(|total| i64::try_from(total).ok());
        let cursor = match fetched.next {
            Some(next) => Cursor::At(next),
            None if fetched.done => Cursor::Start,
            None => Cursor::Keep,
        };
        match self.goal {
            Goal::Full(pass, _) => {
                page.full = Some(FullPage {
                    pass,
                    cursor,
                    complete: fetched.done,
                    careful: page
                        .quarantined
                        .iter()
                        .any(|one| one.upstream_id.is_empty()),
                    seen: i64::try_from(seen).unwrap_or(i64::MAX),
                });
            }
            Goal::Changes => {
                page.cursor = cursor;
                page.answered = row.asked;
            }
        }
        if fetched.done && self.goal == Goal::Changes {
            let plan = Plan::of(&self.source, &self.settings, row);
            page.schedule = Some(Schedule {
                status: SyncStatus::Done,
                phase: SyncPhase::Incremental,
                next_at: Some(plan.after_poll(page.now)),
                attempts: 0,
                error: None,
                first_done_at: row.schedule.first_done_at.or(Some(page.now)),
            });
        }
        for aside in page.quarantined.iter().take(3) {
            tracing::warn!(
                connector = self.source.connector.key(),
                credential = self.source.live.credential.id,
                entity = self.source.entity.name,
                record = aside.upstream_id,
                reason = aside.reason,
                "a record does not fit its schema and is set aside"
            );
        }
        let quarantined = page.quarantined.len();
        let outcome = self.source.store().land(page).await?;
        Ok((outcome, quarantined))
    }
}

impl Goal {
    fn has_time(self) -> bool {
        match self {
            Self::Changes => true,
            Self::Full(_, until) => Instant::now() < until,
        }
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

/// What tells a page from another: its records and how long they are, and which part
/// of the account it is of.
fn print(items: &[Item], part: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    part.hash(&mut hasher);
    for item in items {
        (&item.id, item.body.len()).hash(&mut hasher);
    }
    hasher.finish()
}

/// What would make a pass endless or its state unbounded is refused.
fn check(page: &rollout_sandbox::Page, cursor: Option<&str>) -> Result<(), PassError> {
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
