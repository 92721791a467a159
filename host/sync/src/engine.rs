//! Decides what is synced when.
//!
//! Each entity of each credential is a job: the lane is the credential, so that
//! its entities are synced one after the other, in the catalogue's order at first.
//! Whichever process claims the job runs one pass and says when the next is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rollout_connectors::{Connectors, Environment, EnvironmentError, Live, Readiness};
use rollout_store::{
    CredentialStatus, Lease, Queue, SYNC, Schedule, StoreError, SyncPhase, SyncRow, SyncStatus, now,
};
use rollout_work::Handler;
use tokio::sync::watch;

use crate::failure::{Consequence, PassError};
use crate::pass::Pass;

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often an account is asked for changes.
    pub poll_interval: Duration,
    /// How many records a connector is asked for at once.
    pub page_records: u32,
    /// How many credentials are synced at the same time.
    pub parallel: usize,
    /// How long the first attempt after a failure waits; each further one waits
    /// twice as long, up to `retry_longest`.
    pub retry_first: Duration,
    /// See `retry_first`.
    pub retry_longest: Duration,
    /// Failures in a row after which a first sync is shown as failed.
    pub failed_after: u32,
}

/// Runs passes.
pub struct Engine {
    connectors: Arc<Connectors>,
    settings: Settings,
}

#[async_trait]
impl Handler for Engine {
    fn queue(&self) -> Queue {
        SYNC
    }

    fn parallel(&self) -> usize {
        self.settings.parallel
    }

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
        match self.pass(environment, &live, &row, lease, stop) {
            Ok(pass) => self.run_pass(&pass, &row, lease).await,
            Err(reason) => self.postpone(environment, &row, lease, reason).await,
        }
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

    fn pass(
        &self,
        environment: &Arc<Environment>,
        live: &Arc<Live>,
        row: &SyncRow,
        lease: &Lease,
        stop: &watch::Receiver<bool>,
    ) -> Result<Pass, String> {
        let key = &live.credential.app_key;
        let connector = self.connectors.registry().get(key);
        let connector = connector.ok_or_else(|| format!("the connector `{key}` is not loaded"))?;
        let entity = self.connectors.catalog().by_name(&row.entity).cloned();
        let entity = entity.ok_or_else(|| format!("the catalogue has no {}", row.entity))?;
        Ok(Pass {
            connectors: self.connectors.clone(),
            environment: environment.clone(),
            connector,
            live: live.clone(),
            entity,
            settings: self.settings.clone(),
            lease: Arc::new(lease.clone()),
            stop: stop.clone(),
        })
    }

    /// Runs a pass and stores what follows from it.
    async fn run_pass(&self, pass: &Pass, row: &SyncRow, lease: &Lease) -> Result<(), StoreError> {
        let credential = &row.credential_id;
        let first = row.schedule.first_done_at.is_none();
        if first {
            pass.environment.store().begin_sync(lease).await?;
            tracing::info!(
                environment = pass.environment.name,
                credential,
                entity = row.entity,
                "first sync begins"
            );
        }
        let began = Instant::now();
        let error = match pass.run(row).await {
            Ok(tally) => {
                pass.environment
                    .set_readiness(credential, &row.entity, Readiness::Complete);
                if pass.live.credential.status != CredentialStatus::Ok {
                    self.set_status(pass, CredentialStatus::Ok).await?;
                }
                let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let (environment, entity) = (&pass.environment.name, &row.entity);
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
    async fn settle(
        &self,
        pass: &Pass,
        row: &SyncRow,
        lease: &Lease,
        error: &PassError,
    ) -> Result<(), StoreError> {
        let store = pass.environment.store();
        let (credential, entity) = (&row.credential_id, &row.entity);
        let later = |wait: Duration| {
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            Some(now().saturating_add(wait))
        };
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
        match &consequence {
            Consequence::Nothing => {}
            _ => tracing::warn!(
                environment = pass.environment.name,
                credential,
                entity,
                connector = pass.connector.key(),
                %error,
                ?consequence,
                "a sync stopped"
            ),
        }
        // What the app says of one entity goes for the account.
        let mut park = None;
        let mut broken = None;
        let schedule = match consequence {
            Consequence::Nothing => return Ok(()),
            Consequence::Gone => return store.finish_job(lease).await,
            Consequence::Broken(reason) => {
                park = later(self.settings.retry_longest);
                broken = Some(reason.clone());
                unfinished(park, 0, Some(reason))
            }
            Consequence::Unavailable(reason) => Schedule {
                status: SyncStatus::Unavailable,
                next_at: later(Duration::from_secs(24 * 3600)),
                attempts: 0,
                error: Some(reason),
                ..row.schedule.clone()
            },
            Consequence::Park(wait, reason) => {
                park = later(wait);
                unfinished(park, row.schedule.attempts, Some(reason))
            }
            Consequence::Retry(reason) => {
                let attempts = row.schedule.attempts.saturating_add(1);
                let mut schedule =
                    unfinished(later(self.backoff(attempts)), attempts, Some(reason));
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
        let after = SyncRow {
            schedule,
            ..row.clone()
        };
        pass.environment
            .set_readiness(credential, entity, Readiness::of(&after));
        if let Some(until) = park {
            store.park_lane(SYNC, credential, until).await?;
        }
        if let Some(reason) = broken {
            self.set_status(pass, CredentialStatus::Broken(reason))
                .await?;
        }
        Ok(())
    }

    async fn set_status(&self, pass: &Pass, status: CredentialStatus) -> Result<(), StoreError> {
        let id = &pass.live.credential.id;
        pass.environment
            .set_status(id, status)
            .await
            .map_err(stored)
    }

    /// A pass that can't even begin is tried again later.
    async fn postpone(
        &self,
        environment: &Environment,
        row: &SyncRow,
        lease: &Lease,
        reason: String,
    ) -> Result<(), StoreError> {
        let wait = i64::try_from(self.settings.poll_interval.as_millis()).unwrap_or(i64::MAX);
        let schedule = Schedule {
            next_at: Some(now().saturating_add(wait)),
            error: Some(reason),
            ..row.schedule.clone()
        };
        environment
            .store()
            .schedule_sync(&row.credential_id, &row.entity, &schedule, Some(lease))
            .await
    }

    /// Twice as long after each failure.
    fn backoff(&self, attempts: i64) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or(20);
        let wait = self.settings.retry_first.saturating_mul(1 << doublings);
        wait.min(self.settings.retry_longest)
    }
}

pub(crate) fn stored(error: EnvironmentError) -> StoreError {
    match error {
        EnvironmentError::Store(error) => error,
        error @ EnvironmentError::Vault(_) => StoreError::Unavailable(error.to_string()),
    }
}
