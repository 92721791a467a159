//! Decides what is synced when.
//!
//! Each entity of each credential is a job: the lane is the credential, so that
//! its entities are synced one after the other, in the catalogue's order at first.
//! Whichever process claims the job runs one pass and says when the next is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rollout_connectors::{Connectors, Environment, EnvironmentError, Readiness};
use rollout_store::{
    CredentialStatus, Lease, SYNC, Schedule, StoreError, SyncPhase, SyncRow, SyncStatus, after, now,
};
use rollout_work::{Backoff, Handler};
use tokio::sync::watch;

use crate::failure::{Consequence, PassError};
use crate::pass::{Goal, Pass};
use crate::plan::{Intervals, Plan};
use crate::source::Source;

/// How long an entity that the account may not read is left alone.
const UNAVAILABLE: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked whether syncs are still paused.
const PAUSED: Duration = Duration::from_secs(15 * 60);

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often accounts are asked for changes.
    pub poll: Intervals,
    /// How often everything is read where deletions are found by that.
    pub full_pass_interval: Duration,
    /// How many records a connector is asked for at once.
    pub page_records: u32,
    /// How long a sync that failed waits.
    pub retry: Backoff,
    /// Failures in a row after which a first sync is shown as failed.
    pub failed_after: u32,
}

/// Runs passes.
pub struct Engine {
    connectors: Arc<Connectors>,
    pub(crate) settings: Settings,
}

#[async_trait]
impl Handler for Engine {
    async fn run(
        &self,
        environment: &Arc<Environment>,
        lease: &Lease,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let store = environment.store();
        let (credential, entity) = lease.sync().ok_or(StoreError::NotFound("sync"))?;
        let live = environment
            .find_credential(credential)
            .await
            .map_err(stored)?;
        let row = store.sync_row(credential, entity).await?;
        let (Some(live), Some(row)) = (live, row) else {
            return store.finish_job(lease).await;
        };
        // Whoever lets them go on has it run at once; if that is lost, it is seen then.
        if row.settings.paused {
            return store.job_again(lease, after(PAUSED)).await;
        }
        let source = match Source::find(&self.connectors, environment, live, entity, lease) {
            Ok(source) => source,
            Err(reason) => return self.postpone(environment, &row, lease, reason).await,
        };
        let pass = Pass {
            source,
            settings: self.settings.clone(),
            lease: Arc::new(lease.clone()),
            stop: stop.clone(),
            goal: Goal::Changes,
        };
        let plan = Plan::of(&pass.source, &self.settings, &row);
        if row.schedule.phase == SyncPhase::Incremental && plan.is_for_full(now(), lease.due_at) {
            return self.run_full(&pass, &row, plan, lease).await;
        }
        self.run_pass(&pass, &row, lease).await
    }
}

impl Engine {
    /// An engine for these connectors.
    pub fn new(connectors: Arc<Connectors>, settings: Settings) -> Self {
        Self {
            connectors,
            settings,
        }
    }

    /// Runs a pass and stores what follows from it.
    async fn run_pass(&self, pass: &Pass, row: &SyncRow, lease: &Lease) -> Result<(), StoreError> {
        let credential = &row.credential_id;
        let first = row.schedule.first_done_at.is_none();
        if first {
            pass.source.store().begin_sync(lease).await?;
            tracing::info!(
                environment = pass.source.environment.name,
                credential,
                entity = row.entity,
                "first sync begins"
            );
        }
        let began = Instant::now();
        let error = match pass.run(row).await {
            Ok(tally) => {
                pass.source
                    .environment
                    .set_readiness(credential, &row.entity, Readiness::Complete);
                if pass.source.live.credential.status != CredentialStatus::Ok {
                    judge(pass, CredentialStatus::Ok).await?;
                }
                let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let (environment, entity) = (&pass.source.environment.name, &row.entity);
                if first {
                    tracing::info!(
                        environment,
                        credential,
                        entity,
                        ms,
                        ?tally,
                        "first sync is complete"
                    );
                } else {
                    tracing::debug!(environment, credential, entity, ms, ?tally, "synced");
                }
                return Ok(());
            }
            Err(error) => error,
        };
        self.settle(pass, row, lease, &error).await
    }

    /// Stores what follows from a pass that failed.
    pub(crate) async fn settle(
        &self,
        pass: &Pass,
        row: &SyncRow,
        lease: &Lease,
        error: &PassError,
    ) -> Result<(), StoreError> {
        let store = pass.source.store();
        let (credential, entity) = (&row.credential_id, &row.entity);
        // The cursor moved with every page that landed; only the schedule is ours.
        let unfinished = |next_at, attempts, error| Schedule {
            status: if row.schedule.first_done_at.is_some() {
                SyncStatus::Done
            } else {
                SyncStatus::Pending
            },
            next_at,
            attempts,
            error,
            ..row.schedule.clone()
        };
        let consequence = error.consequence();
        match (&consequence, error) {
            (Consequence::Nothing, _) | (_, PassError::Paused) => {}
            _ => tracing::warn!(
                environment = pass.source.environment.name,
                credential,
                entity,
                connector = pass.source.connector.key(),
                %error,
                ?consequence,
                "a sync stopped"
            ),
        }
        // What the app says of one entity goes for the account.
        let mut park = None;
        let schedule = match consequence {
            Consequence::Nothing => return Ok(()),
            Consequence::Gone => return store.finish_job(lease).await,
            Consequence::Paused => return store.job_again(lease, after(PAUSED)).await,
            Consequence::Broken(reason) => {
                if judge(pass, CredentialStatus::Broken(reason.clone())).await? {
                    park = Some(after(self.settings.retry.longest));
                    unfinished(park, 0, Some(reason))
                } else {
                    // It was connected again meanwhile.
                    unfinished(Some(now()), 0, None)
                }
            }
            Consequence::Unavailable(reason) => Schedule {
                status: SyncStatus::Unavailable,
                next_at: Some(after(UNAVAILABLE)),
                attempts: 0,
                error: Some(reason),
                ..row.schedule.clone()
            },
            Consequence::Park(wait, reason) => {
                park = Some(after(wait));
                unfinished(park, row.schedule.attempts, Some(reason))
            }
            Consequence::Retry(reason) => {
                let attempts = row.schedule.attempts.saturating_add(1);
                let next_at = after(self.settings.retry.wait(attempts));
                let mut schedule = unfinished(Some(next_at), attempts, Some(reason));
                let first = row.schedule.phase == SyncPhase::First;
                if first && attempts >= i64::from(self.settings.failed_after) {
                    schedule.status = SyncStatus::Failed;
                }
                schedule
            }
        };
        store
            .schedule_sync(credential, entity, &schedule, Some(lease))
            .await?;
        let stored = SyncRow {
            schedule,
            ..row.clone()
        };
        pass.source
            .environment
            .set_readiness(credential, entity, Readiness::of(&stored));
        if let Some(until) = park {
            store.park_lane(SYNC, credential, until).await?;
        }
        Ok(())
    }

    /// A pass that can't even begin is tried again later.
    async fn postpone(
        &self,
        environment: &Environment,
        row: &SyncRow,
        lease: &Lease,
        reason: String,
    ) -> Result<(), StoreError> {
        let schedule = Schedule {
            next_at: Some(after(self.settings.poll.default)),
            error: Some(reason),
            ..row.schedule.clone()
        };
        environment
            .store()
            .schedule_sync(&row.credential_id, &row.entity, &schedule, Some(lease))
            .await
    }
}

/// Notes what a pass found out about its credential, if it still is the one that it knew.
async fn judge(pass: &Pass, status: CredentialStatus) -> Result<bool, StoreError> {
    let (environment, live) = (&pass.source.environment, &pass.source.live);
    environment.judge(live, status).await.map_err(stored)
}

pub(crate) fn stored(error: EnvironmentError) -> StoreError {
    match error {
        EnvironmentError::Store(error) => error,
        error @ EnvironmentError::Vault(_) => StoreError::Unavailable(error.to_string()),
    }
}
