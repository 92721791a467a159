//! Keeps what runs equal to what the databases say.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rollout_connectors::{Connectors, Environment, Environments};
use rollout_work::House;
use tokio::sync::watch;

use crate::installation::Installation;

/// How often the databases are looked at for what others changed.
const LOOK: Duration = Duration::from_millis(500);

/// Opens, changes and closes environments as commands and other hosts say.
pub(crate) struct Keeper {
    pub(crate) installation: Arc<Installation>,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) environments: Arc<Environments>,
}

impl Keeper {
    /// Looks again and again until `stop` turns true.
    pub(crate) async fn keep(self, mut stop: watch::Receiver<bool>) {
        let mut quiet = true;
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {
                    match self.look().await {
                        Ok(()) => quiet = false,
                        // Told once, not twice a second.
                        Err(error) if !quiet => {
                            tracing::warn!("what others change can't be followed: {error:#}");
                            quiet = true;
                        }
                        Err(_) => {}
                    }
                }
                _ = stop.changed() => {}
            }
        }
    }

    /// Opens environments that are new, closes those that are gone, and takes up
    /// what changed.
    pub(crate) async fn look(&self) -> Result<()> {
        let all = self.installation.control.environments().await?;
        for open in self.environments.all() {
            let there = all
                .iter()
                .any(|stored| stored.name == open.name && stored.client_id == open.client_id);
            if !there {
                self.environments.remove(&open.name);
                tracing::info!(environment = open.name, "environment closed");
                // What works in it is cut off: its database is about to go.
                tokio::spawn(async move { open.store().close().await });
            }
        }
        let mut trouble = None;
        for stored in &all {
            // One that can't be reached doesn't hold up the others.
            if let Err(error) = self.follow(stored).await {
                trouble = Some(error);
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn follow(&self, stored: &rollout_store::Environment) -> Result<()> {
        let environment = match self.environments.by_name(&stored.name) {
            Some(environment) => {
                if environment.update(stored)? {
                    tracing::info!(
                        environment = stored.name,
                        held = stored.held,
                        "environment changed"
                    );
                    self.installation.databases.signals().wake();
                }
                if environment.store().is_shared() {
                    environment.refresh().await?;
                }
                environment
            }
            None => {
                let environment = self.open(stored).await?;
                tracing::info!(
                    environment = stored.name,
                    held = stored.held,
                    "environment opened"
                );
                self.environments.add(environment.clone());
                self.installation.databases.signals().wake();
                environment
            }
        };
        for connector in self.connectors.registry().all() {
            environment
                .load_settings(&self.installation.control, connector.key())
                .await?;
        }
        Ok(())
    }

    async fn open(&self, stored: &rollout_store::Environment) -> Result<Arc<Environment>> {
        let store = self
            .installation
            .store(stored, self.connectors.catalog())
            .await?;
        if !store.is_shared() {
            // The data directory is this process's alone: whoever held them is gone.
            let released = store.release_all_leases().await?;
            if released > 0 {
                tracing::info!(
                    environment = stored.name,
                    released,
                    "the work of the last run is taken up again"
                );
            }
        }
        House::enter(&store).await?;
        let environment =
            Environment::open(stored, store, self.installation.vault.clone()).await?;
        self.connectors
            .plan_missing(&environment)
            .await
            .with_context(|| format!("environment `{}`", stored.name))?;
        Ok(Arc::new(environment))
    }
}
