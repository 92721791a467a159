//! Faults, done and undone, and how long it takes until all is well again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::accounts::App;
use crate::api::Api;
use crate::database::Database;
use crate::found::{Findings, Sort};
use crate::hosts::Cluster;
use crate::plan::Fault;
use crate::relay::Relay;

/// Recovering may take so long, and no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that can fail.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) database: Arc<Database>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) app: Arc<App>,
    pub(crate) api: Api,
    pub(crate) findings: Findings,
}

impl Stage {
    /// Does it, and undoes it after its time. Answers how long recovering took after
    /// a host was killed.
    pub(crate) async fn suffer(&self, fault: &Fault) -> Result<Option<Duration>> {
        match fault {
            Fault::Kill { host, down, again } => {
                let host = self.cluster.host(*host)?;
                let killed = Instant::now();
                host.kill().await;
                // Others take over from here; the only one can't before it is back.
                let taken_over = self.others().then(|| self.recover_since(killed));
                tokio::time::sleep(*down).await;
                if let Some(again) = again {
                    host.launch().await?;
                    tokio::time::sleep(*again).await;
                    host.kill().await;
                }
                let started = Instant::now();
                host.start().await?;
                let recovering = taken_over.unwrap_or_else(|| self.recover_since(started));
                recovering.await?.map(Some)
            }
            Fault::KillAll { down } => {
                self.kill_all().await;
                tokio::time::sleep(*down).await;
                self.start_all().await.map(Some)
            }
            Fault::Blackout { down } => {
                let server = self.database.with_server(|server| server.kill());
                tokio::join!(server, self.kill_all()).0?;
                tokio::time::sleep(*down).await;
                self.database.with_server(|server| server.restart()).await?;
                self.start_all().await.map(Some)
            }
            Fault::Terminate { host, down } => {
                let number = host;
                let host = self.cluster.host(*number)?;
                if let Err(error) = host.terminate().await {
                    let text = format!("host {number}: {error:#}");
                    self.findings.add(Sort::Host, text);
                }
                tokio::time::sleep(*down).await;
                host.start().await.map(|()| None)
            }
            Fault::Freeze { host, long } => {
                let host = self.cluster.host(*host)?;
                host.signal(Signal::STOP).await?;
                tokio::time::sleep(*long).await;
                host.signal(Signal::CONT).await.map(|()| None)
            }
            Fault::LostAnswers { writes } => {
                self.relay.lose(*writes);
                Ok(None)
            }
            Fault::KillDatabase { down } => {
                self.database.with_server(|server| server.kill()).await?;
                tokio::time::sleep(*down).await;
                let started = self.database.with_server(|server| server.restart());
                started.await.map(|()| None)
            }
            Fault::PauseDatabase { long } => {
                self.database.with_server(|server| server.pause()).await?;
                tokio::time::sleep(*long).await;
                let resumed = self.database.with_server(|server| server.resume());
                resumed.await.map(|()| None)
            }
            Fault::Exhaust { hold } => self.database.exhaust(*hold).await.map(|_| None),
            Fault::FullDisk { hold } => self.database.fill(*hold).await.map(|()| None),
        }
    }

    /// Starts hosts that ended by themselves, and says so.
    pub(crate) async fn look_after_hosts(&self) -> Result<()> {
        for (number, host) in self.cluster.all().iter().enumerate() {
            if let Some(ended) = host.ended().await? {
                let text = format!("host {number}: {ended}");
                self.findings.add(Sort::Host, text);
                host.start().await?;
            }
        }
        Ok(())
    }

    fn others(&self) -> bool {
        self.cluster.all().len() > 1
    }

    async fn kill_all(&self) {
        for host in self.cluster.all() {
            host.kill().await;
        }
    }

    async fn start_all(&self) -> Result<Duration> {
        let started = Instant::now();
        for host in self.cluster.all() {
            host.launch().await?;
        }
        let recovering = self.recover_since(started);
        for host in self.cluster.all() {
            host.ready().await?;
        }
        recovering.await?
    }

    /// Waits until every account was synced and somebody was answered since then, and
    /// says how long that took.
    pub(crate) fn recover_since(&self, since: Instant) -> JoinHandle<Result<Duration>> {
        let stage = self.clone();
        tokio::spawn(async move {
            while since.elapsed() < PATIENCE {
                if stage.is_well_since(since) {
                    return Ok(since.elapsed());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let late = stage.not_synced_since(since);
            let text = format!("not well again after {PATIENCE:?}; not synced: accounts {late:?}");
            stage.findings.add(Sort::Host, text);
            Ok(PATIENCE)
        })
    }

    fn is_well_since(&self, since: Instant) -> bool {
        let answered = self.api.last_success().is_some_and(|last| last > since);
        answered && self.not_synced_since(since).is_empty()
    }

    fn not_synced_since(&self, since: Instant) -> Vec<usize> {
        let accounts = self.app.connected().into_iter();
        let late = accounts.filter(|account| {
            // Whatever it is at: a first sync reads one entity for a while.
            !["users", "people", "notes", "tasks"].iter().any(|entity| {
                let listed = self.relay.listed(&account.authorization(), entity);
                listed.asked.is_some_and(|asked| asked > since)
            })
        });
        late.map(|account| account.number).collect()
    }
}
