//! What every environment needs done, by one process at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollout_connectors::{Cause, Connectors, Environment};
use rollout_store::{EnvStore, HOUSE, Lease, NewJob, Result, StoreError, after, ago, now};
use tokio::sync::watch;

use crate::Handler;

/// Numbers committed events, for as long as it holds its lease.
const SEQUENCER: &str = "sequencer";
/// Clears away what is old.
const CLEANING: &str = "cleaning";
/// Makes the indexes that customers ask for, for as long as it holds its lease.
const INDEXES: &str = "indexes";
/// Renews tokens that would die of idleness.
const TOKENS: &str = "tokens";
/// How often requests are looked for without a signal, and how often at most.
const ASKED: Duration = Duration::from_secs(60);
const ASKED_FIRST: Duration = Duration::from_secs(1);
/// How long the sequencer waits without a signal before looking anyway.
const LOOK: Duration = Duration::from_secs(1);
/// How long it gathers what comes right after something else. An event is told so
/// much later at most, and a commit is for many.
const GATHER: Duration = Duration::from_millis(5);
/// How often it is cleaned.
const CLEAN: Duration = Duration::from_secs(10 * 60);
/// How long writes without a key are kept: so long they tell one that was made
/// from one that is looked for.
const KEEP_KEYLESS: Duration = Duration::from_secs(15 * 60);
/// How long processes may take to hear of a credential that is gone.
const KEEP_DEPARTED: Duration = Duration::from_secs(24 * 3600);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Events of the feed.
    pub events: Duration,
    /// What writes with a key came to.
    pub writes: Duration,
    /// Records of outbound calls.
    pub outbound_calls: Duration,
    /// As many of them, nearly, if they are more before that.
    pub outbound_calls_most: i64,
}

/// Keeps house.
pub struct House {
    /// What accounts' tokens are renewed by.
    pub connectors: Arc<Connectors>,
    /// How long things are kept.
    pub keep: Keep,
}

impl House {
    /// Enters what an environment needs done. For when it is opened.
    pub async fn enter(store: &EnvStore) -> Result<()> {
        let job = |name: &str| NewJob {
            lane: name.to_owned(),
            name: name.to_owned(),
            due_at: now(),
        };
        let mut jobs = vec![job(SEQUENCER), job(CLEANING), job(TOKENS)];
        if store.is_shared() {
            jobs.push(job(INDEXES));
        }
        store.enter_jobs(HOUSE, jobs).await
    }

    async fn number(store: &EnvStore, lease: &Lease, stop: &watch::Receiver<bool>) -> Result<()> {
        let mut work = store.work();
        let mut stop = stop.clone();
        while !*stop.borrow() {
            work.mark_unchanged();
            let mut numbered = 0;
            while let more @ 1.. = store.number_events(lease).await? {
                numbered += more;
            }
            // What comes right after the first is numbered together.
            if numbered > 0 {
                tokio::time::sleep(GATHER).await;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = work.changed() => {}
                _ = stop.changed() => {}
            }
        }
        // What was committed before the stop is numbered before the lease goes.
        while store.number_events(lease).await? > 0 {}
        Ok(())
    }

    async fn index(store: &EnvStore, lease: &Lease, stop: &watch::Receiver<bool>) -> Result<()> {
        let mut work = store.work();
        let mut stop = stop.clone();
        while !*stop.borrow() {
            work.mark_unchanged();
            store.make_requested_indexes(lease).await?;
            tokio::select! {
                () = tokio::time::sleep(ASKED) => {}
                _ = work.changed() => {}
                _ = stop.changed() => {}
            }
            // Most signals are about other work.
            tokio::select! {
                () = tokio::time::sleep(ASKED_FIRST) => {}
                _ = stop.changed() => {}
            }
        }
        Ok(())
    }

    async fn clean(&self, store: &EnvStore, lease: &Lease) -> Result<()> {
        store.purge().await?;
        store.forget_events(ago(self.keep.events)).await?;
        store.forget_deliveries(ago(self.keep.events)).await?;
        store
            .forget_writes(ago(self.keep.writes), ago(KEEP_KEYLESS))
            .await?;
        store.forget_departed(ago(KEEP_DEPARTED)).await?;
        store.forget_oauth().await?;
        store.forget_met().await?;
        store.forget_challenges().await?;
        let Keep {
            outbound_calls,
            outbound_calls_most,
            ..
        } = self.keep;
        store
            .forget_outbound_calls(ago(outbound_calls), outbound_calls_most)
            .await?;
        store.forget_budgets().await?;
        store.job_again(lease, after(CLEAN)).await
    }
}

#[async_trait]
impl Handler for House {
    async fn run(
        &self,
        environment: &Arc<Environment>,
        lease: &Lease,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let store = environment.store();
        match lease.name.as_str() {
            SEQUENCER => Self::number(store, lease, stop).await,
            CLEANING => self.clean(store, lease).await,
            TOKENS => {
                let cause = Cause::job(lease.job());
                let stopping = || *stop.borrow();
                let renewing = self.connectors.renew_idle(environment, &cause, stopping);
                renewing.await?;
                store.job_again(lease, after(CLEAN)).await
            }
            INDEXES => Self::index(store, lease, stop).await,
            // Of a newer version of the program, which will do it.
            _ => store.job_again(lease, after(ASKED)).await,
        }
    }
}
