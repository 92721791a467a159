//! Decides what is synced when.
//!
//! Each entity of each credential has a row that says when it is due. The engine
//! sleeps until something is, or until it is woken because a credential was
//! connected, and runs at most one pass at a time for a credential, its entities
//! in the catalogue's order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rollout_connectors::{
    Connectors, Environment, EnvironmentError, Environments, Live, Readiness,
};
use rollout_store::{CredentialStatus, Schedule, StoreError, SyncPhase, SyncRow, SyncStatus};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use crate::failure::{Consequence, PassError};
use crate::now;
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

/// Longest sleep while nothing is known to be due: another process may have
/// changed the schedule.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Rows looked at in one turn.
const TURN: u32 = 1000;

/// The sync engine of one process.
pub struct Engine {
    connectors: Arc<Connectors>,
    environments: Arc<Environments>,
    settings: Settings,
    wake: Notify,
    /// Credentials with a pass under way.
    running: Mutex<HashSet<String>>,
    turns: Arc<Semaphore>,
}

impl Engine {
    /// An engine that does nothing before [`Engine::run`].
    pub fn new(
        connectors: Arc<Connectors>,
        environments: Arc<Environments>,
        settings: Settings,
    ) -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(settings.parallel)),
            connectors,
            environments,
            settings,
            wake: Notify::new(),
            running: Mutex::default(),
        })
    }

    /// Looks now for what is due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Works until `stop` turns true; then lets the pages that are landing land.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut passes = JoinSet::new();
        for environment in self.environments.all() {
            match environment.store().release_running().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(
                    environment = environment.name,
                    count,
                    "syncs of the last run are taken up again"
                ),
                Err(error) => tracing::warn!(%error, "syncs of the last run can't be released"),
            }
        }
        while !*stop.borrow() {
            let mut sleep = LONGEST_SLEEP;
            for environment in self.environments.all() {
                match self.start_due(&environment, &mut passes, &stop).await {
                    Ok(until_next) => sleep = sleep.min(until_next),
                    Err(error) => {
                        tracing::warn!(environment = environment.name, %error, "nothing can be synced");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.wake.notified() => {}
                Some(_) = passes.join_next() => {}
                _ = stop.changed() => {}
            }
            while passes.try_join_next().is_some() {}
        }
        while passes.join_next().await.is_some() {}
    }

    /// Starts what is due, and says how long it is until something else is.
    async fn start_due(
        self: &Arc<Self>,
        environment: &Arc<Environment>,
        passes: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Duration, StoreError> {
        let store = environment.store();
        let now = now();
        let mut by_credential: HashMap<String, Vec<SyncRow>> = HashMap::new();
        for row in store.due_syncs(now, TURN).await? {
            by_credential
                .entry(row.credential_id.clone())
                .or_default()
                .push(row);
        }
        for (id, rows) in by_credential {
            let Some(live) = environment.credential(&id) else {
                continue;
            };
            if !self.running.lock().insert(id) {
                continue;
            }
            let (engine, environment, stop) = (self.clone(), environment.clone(), stop.clone());
            passes.spawn(async move {
                let turn = engine.turns.clone().acquire_owned().await;
                engine.sync(&environment, &live, rows, &stop).await;
                drop(turn);
                engine.running.lock().remove(&live.credential.id);
                engine.wake();
            });
        }
        // What is due now is running: look again when it ends or the next is due.
        let next = store.next_sync_at().await?;
        let wait = next
            .map_or(i64::MAX, |next| next.saturating_sub(now))
            .max(20);
        Ok(Duration::from_millis(wait.unsigned_abs()))
    }

    /// The due entities of one credential, one after the other.
    async fn sync(
        &self,
        environment: &Arc<Environment>,
        live: &Arc<Live>,
        mut rows: Vec<SyncRow>,
        stop: &watch::Receiver<bool>,
    ) {
        let catalog = self.connectors.catalog().clone();
        rows.sort_by_key(|row| {
            catalog
                .by_name(&row.entity)
                .map_or(u32::MAX, |entity| entity.order)
        });
        for row in rows {
            if *stop.borrow() {
                return;
            }
            let outcome = match self.pass(environment, live, &row, stop) {
                Ok(pass) => self.run_pass(&pass, &row).await,
                Err(reason) => self.postpone(environment, &row, reason).await,
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                Err(StoreError::NotFound(_)) => return,
                Err(error) => {
                    tracing::warn!(
                        environment = environment.name,
                        credential = row.credential_id,
                        entity = row.entity,
                        %error,
                        "the outcome of a sync can't be stored"
                    );
                    // The row stays due; don't spin on a store that is down.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return;
                }
            }
        }
    }

    fn pass(
        &self,
        environment: &Arc<Environment>,
        live: &Arc<Live>,
        row: &SyncRow,
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
            stop: stop.clone(),
        })
    }

    /// Runs a pass and stores what follows from it. Answers whether the
    /// credential's other entities can go on.
    async fn run_pass(&self, pass: &Pass, row: &SyncRow) -> Result<bool, StoreError> {
        let store = pass.environment.store();
        let credential = &row.credential_id;
        let running = Schedule {
            status: SyncStatus::Running,
            ..row.schedule.clone()
        };
        let first = row.schedule.first_done_at.is_none();
        if first {
            store
                .schedule_sync(credential, &row.entity, &running)
                .await?;
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
                return Ok(true);
            }
            Err(error) => error,
        };
        self.settle(pass, row, &error).await
    }

    /// Stores what follows from a pass that failed.
    async fn settle(
        &self,
        pass: &Pass,
        row: &SyncRow,
        error: &PassError,
    ) -> Result<bool, StoreError> {
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
        match consequence {
            Consequence::Nothing | Consequence::Gone => Ok(false),
            Consequence::Broken(reason) => {
                let schedule =
                    unfinished(later(self.settings.retry_longest), 0, Some(reason.clone()));
                store.schedule_sync(credential, entity, &schedule).await?;
                self.set_status(pass, CredentialStatus::Broken(reason))
                    .await?;
                Ok(false)
            }
            Consequence::Unavailable(reason) => {
                let schedule = Schedule {
                    status: SyncStatus::Unavailable,
                    next_at: later(Duration::from_secs(24 * 3600)),
                    attempts: 0,
                    error: Some(reason.clone()),
                    ..row.schedule.clone()
                };
                store.schedule_sync(credential, entity, &schedule).await?;
                pass.environment
                    .set_readiness(credential, entity, Readiness::Unavailable(reason));
                Ok(true)
            }
            Consequence::Park(wait, reason) => {
                let schedule = unfinished(later(wait), row.schedule.attempts, Some(reason));
                store.schedule_sync(credential, entity, &schedule).await?;
                Ok(false)
            }
            Consequence::Retry(reason) => {
                let attempts = row.schedule.attempts.saturating_add(1);
                let mut schedule = unfinished(
                    later(self.backoff(attempts)),
                    attempts,
                    Some(reason.clone()),
                );
                let first = row.schedule.phase == SyncPhase::First;
                if first && attempts >= i64::from(self.settings.failed_after) {
                    schedule.status = SyncStatus::Failed;
                    pass.environment
                        .set_readiness(credential, entity, Readiness::Failed(reason));
                }
                store.schedule_sync(credential, entity, &schedule).await?;
                Ok(true)
            }
        }
    }

    async fn set_status(&self, pass: &Pass, status: CredentialStatus) -> Result<(), StoreError> {
        let id = &pass.live.credential.id;
        match pass.environment.set_status(id, status).await {
            Ok(()) => Ok(()),
            Err(EnvironmentError::Store(error)) => Err(error),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    /// A pass that can't even begin is tried again later.
    async fn postpone(
        &self,
        environment: &Environment,
        row: &SyncRow,
        reason: String,
    ) -> Result<bool, StoreError> {
        let wait = i64::try_from(self.settings.poll_interval.as_millis()).unwrap_or(i64::MAX);
        let schedule = Schedule {
            next_at: Some(now().saturating_add(wait)),
            error: Some(reason),
            ..row.schedule.clone()
        };
        environment
            .store()
            .schedule_sync(&row.credential_id, &row.entity, &schedule)
            .await?;
        Ok(true)
    }

    /// Twice as long after each failure.
    fn backoff(&self, attempts: i64) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or(20);
        let wait = self.settings.retry_first.saturating_mul(1 << doublings);
        wait.min(self.settings.retry_longest)
    }
}
