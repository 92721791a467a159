//! Full passes: everything is read, and what was not met is deleted.
//!
//! A pass is read in slices, with polls for changes and other entities in between.
//! Nothing is deleted before all of it was read, and not even then on its word alone:
//! a list that moves under its reader, or a key that sees less than before, looks like
//! deletions. Some of the missing records are asked for one by one. If the app has
//! none of these, they are gone; if it has, each of the others is asked for too. Where
//! most of an account would go and the app can't be asked, a person has to say so.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use rollout_catalog::manifest::Deletions;
use rollout_sandbox::{CallError, Error, Item};
use rollout_store::{FullEnd, FullPage, FullPass, Lease, Missing, StoreError, SyncRow, after, now};

use crate::engine::Engine;
use crate::failure::{Consequence, PassError};
use crate::pass::{Goal, Pass};
use crate::plan::Plan;

/// For how long what is missing is deleted before others have their turn.
const CLEARING: Duration = Duration::from_secs(3);
/// How many of the missing records are asked for before the rest is believed to be
/// gone.
const SAMPLE: usize = 20;
/// Accounts up to this size may lose most of their records without a question.
const SMALL: i64 = 20;
/// Records that are deleted in one transaction.
const BATCH: usize = 500;

/// What came of a slice.
enum Slice {
    /// There is more to do.
    GoesOn,
    /// All is done; so many records are gone.
    Over(usize),
    /// So many records are missing that somebody has to confirm it.
    Doubted(i64),
}

/// What the app says of records that it was asked for one by one.
#[derive(Default)]
struct Asked {
    /// Those that it has.
    there: HashSet<String>,
    /// It can't be asked.
    unknown: bool,
}

impl Engine {
    /// Reads on in an entity's full pass, or begins one.
    pub(crate) async fn run_full(
        &self,
        pass: &Pass,
        row: &SyncRow,
        plan: Plan,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let store = pass.source.store();
        let (credential, entity) = (&row.credential_id, &row.entity);
        let mut row = row.clone();
        if row.full.is_none() {
            store.begin_full(lease, now()).await?;
            match store.sync_row(credential, entity).await? {
                Some(begun) => row = begun,
                None => return store.finish_job(lease).await,
            }
        }
        let Some(full) = row.full.clone() else {
            return store.finish_job(lease).await;
        };
        let until = plan.slice(now());
        let pass = Pass {
            goal: Goal::Full(full.pass, until),
            ..pass.clone()
        };
        let environment = &pass.source.environment.name;
        let (end, next_full) = match pass.slice(&row, &full, until).await {
            Ok(Slice::GoesOn) => return store.leave_full(lease, None, now()).await,
            Ok(Slice::Over(deleted)) => {
                tracing::debug!(
                    environment,
                    credential,
                    entity,
                    deleted,
                    "a full pass is complete"
                );
                (FullEnd::Applied, None)
            }
            Ok(Slice::Doubted(missing)) => {
                tracing::warn!(
                    environment,
                    credential,
                    entity,
                    missing,
                    records = row.records,
                    "a full pass misses most records: confirm that they are deleted"
                );
                (FullEnd::Doubted(missing), Some(plan.next_full(now())))
            }
            Err(error) => return self.full_failed(&pass, &row, &full, plan, &error).await,
        };
        let now = now();
        let job_at = plan.with_full_at(next_full.unwrap_or_else(|| plan.next_full(now)));
        store.end_full(lease, end, (now, next_full, job_at)).await
    }

    /// Stores what follows from a slice that failed. Polls go on as they were due.
    async fn full_failed(
        &self,
        pass: &Pass,
        row: &SyncRow,
        full: &FullPass,
        plan: Plan,
        error: &PassError,
    ) -> Result<(), StoreError> {
        let lease = &pass.lease;
        let store = pass.source.store();
        let attempts = full.attempts.saturating_add(1);
        let failed = match error.consequence() {
            Consequence::Retry(reason) => Some(reason),
            // The app has no list of everything.
            Consequence::Unavailable(_) => None,
            _ => return self.settle(pass, row, lease, error).await,
        };
        tracing::warn!(
            environment = pass.source.environment.name,
            credential = row.credential_id,
            entity = row.entity,
            connector = pass.source.connector.key(),
            attempts,
            %error,
            "a full pass stopped"
        );
        match failed {
            Some(reason) if attempts < i64::from(self.settings.failed_after) => {
                let next_at = after(self.settings.retry.wait(attempts));
                let job_at = plan.with_full_at(next_at);
                let failure = Some((reason, attempts, next_at));
                store.leave_full(lease, failure, job_at).await
            }
            // Nothing is deleted, and the next one begins at its beginning.
            _ => {
                let now = now();
                let next_full = plan.next_full(now);
                let times = (now, Some(next_full), plan.with_full_at(next_full));
                store.end_full(lease, FullEnd::GivenUp, times).await
            }
        }
    }
}

impl Pass {
    async fn slice(
        &self,
        row: &SyncRow,
        full: &FullPass,
        until: Instant,
    ) -> Result<Slice, PassError> {
        if full.seen > row.records.saturating_mul(4).saturating_add(100_000) {
            return Err(PassError::Contract(format!(
                "it is one of a full pass that had {} records, and there are {}: it would never end",
                full.seen, row.records
            )));
        }
        if !full.complete {
            let tally = self.read_from(full.cursor.as_deref(), row).await?;
            if !tally.complete {
                return Ok(Slice::GoesOn);
            }
        }
        match self.source.deletions() {
            Deletions::Never => Ok(Slice::Over(0)),
            Deletions::FullPass | Deletions::Reported => self.clear(row, full, until).await,
        }
    }

    /// Deletes what the pass did not meet, as far as it is believed.
    async fn clear(
        &self,
        row: &SyncRow,
        full: &FullPass,
        until: Instant,
    ) -> Result<Slice, PassError> {
        let (store, lease) = (self.source.store(), &self.lease);
        let (missing, sample) = self.missing(full.pass).await?;
        if missing == 0 {
            return Ok(Slice::Over(0));
        }
        // A few more may have gone since somebody looked.
        let confirmed = row
            .confirmed
            .is_some_and(|confirmed| missing <= confirmed + confirmed / 10 + SMALL);
        let records = store.sync_row(&row.credential_id, &row.entity).await?;
        let records = records.map_or(row.records, |row| row.records);
        let most = records > SMALL && missing.saturating_mul(2) > records;
        let mut careful = full.careful && !confirmed;
        let mut there = HashSet::new();
        if !confirmed {
            let asked = self.ask(sample.iter(), full.pass).await?;
            if asked.unknown && (most || careful) || most && !asked.there.is_empty() {
                return Ok(Slice::Doubted(missing));
            }
            if !asked.there.is_empty() && !careful && missing > count(sample.len()) {
                store.doubt_full(lease).await?;
                careful = true;
            }
            there = asked.there;
        }
        // However long asking took, something is done.
        let until = until.max(Instant::now() + CLEARING);
        let mut deleted = 0;
        let mut walk = self.walk(full.pass);
        while let Some(mut ids) = walk.next(store).await? {
            ids.retain(|id| !there.contains(id));
            let size = if careful { SAMPLE } else { BATCH };
            for batch in ids.chunks(size) {
                let mut gone = batch.to_vec();
                if careful {
                    let asked = self.ask(batch.iter(), full.pass).await?;
                    gone.retain(|id| !asked.there.contains(id));
                }
                deleted += self.delete(gone, full.pass).await?;
                if Instant::now() >= until || *self.stop.borrow() {
                    return Ok(Slice::GoesOn);
                }
            }
        }
        Ok(Slice::Over(deleted))
    }

    fn walk(&self, pass: i64) -> Missing {
        let credential = &self.source.live.credential.id;
        Missing::new(credential, &self.source.entity.name, pass)
    }

    /// How many records the pass did not meet, and some of them as chance has it.
    async fn missing(&self, pass: i64) -> Result<(i64, Vec<String>), PassError> {
        let mut missing = 0;
        let mut sample = BTreeMap::new();
        let mut walk = self.walk(pass);
        while let Some(ids) = walk.next(self.source.store()).await? {
            missing += count(ids.len());
            for id in ids {
                let mut hasher = DefaultHasher::new();
                (pass, &id).hash(&mut hasher);
                sample.insert(hasher.finish(), id);
                if sample.len() > SAMPLE {
                    sample.pop_last();
                }
            }
        }
        Ok((missing, sample.into_values().collect()))
    }

    /// Asks for records one by one. What the app has lands, and is met.
    async fn ask(&self, ids: impl Iterator<Item = &String>, pass: i64) -> Result<Asked, PassError> {
        let mut asked = Asked::default();
        for id in ids {
            let answer = match self.source.get(std::slice::from_ref(id)).await {
                Err(PassError::Call(CallError::Connector(Error::Unsupported(_)))) => {
                    asked.unknown = true;
                    return Ok(asked);
                }
                answer => answer?,
            };
            // One that was merged into another answers as that one.
            let is_it = |item: &Item| !item.deleted && item.id == *id;
            if !answer.answer.iter().any(is_it) {
                continue;
            }
            let read = self.source.read(answer.answer)?;
            let mut page = self.source.page(read, answer.stamp);
            page.lease = Some(&self.lease);
            page.full = Some(FullPage::met(pass));
            self.source.store().land(page).await?;
            asked.there.insert(id.clone());
        }
        Ok(asked)
    }

    /// Deletes records, unless they were written since the pass began.
    async fn delete(&self, ids: Vec<String>, pass: i64) -> Result<usize, PassError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut page = self.source.page(Default::default(), pass);
        page.lease = Some(&self.lease);
        page.deleted = ids;
        let outcome = self.source.store().land(page).await?;
        Ok(outcome.deleted.len())
    }
}

fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
