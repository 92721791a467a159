//! Keeps what runs equal to what the databases say.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rollout_connectors::{Connectors, Environment, Environments};
use rollout_store::AppSetting;
use rollout_work::House;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::installation::Installation;

/// How often the databases are looked at for what others changed.
const LOOK: Duration = Duration::from_millis(500);

/// What the control database is called among the troubles; no environment is.
const CONTROL: &str = "";

/// What an environment has set for connectors, each with its connector.
type Settings = Vec<(String, AppSetting)>;

/// Opens, changes and closes environments as commands and other hosts say.
pub(crate) struct Keeper {
    pub(crate) installation: Arc<Installation>,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) environments: Arc<Environments>,
}

impl Keeper {
    /// Looks again and again until `stop` turns true. Each environment is followed by
    /// itself: one whose database doesn't answer holds up no other.
    pub(crate) async fn keep(self, mut stop: watch::Receiver<bool>) {
        let keeper = Arc::new(self);
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut following = JoinSet::new();
        // Who is being followed, by task.
        let mut names: HashMap<task::Id, String> = HashMap::new();
        let mut troubles = Troubles::default();
        while !*stop.borrow() {
            tokio::select! {
                _ = looks.tick() => {
                    let all = keeper.stored().await;
                    troubles.tell(CONTROL, all.as_ref().err());
                    for (stored, settings) in all.unwrap_or_default() {
                        if names.values().any(|name| *name == stored.name) {
                            continue;
                        }
                        let (keeper, name) = (keeper.clone(), stored.name.clone());
                        let task = following.spawn(async move { keeper.follow(&stored, settings).await });
                        names.insert(task.id(), name);
                    }
                }
                Some(followed) = following.join_next_with_id() => {
                    let (id, followed) = match followed {
                        Ok((id, followed)) => (id, followed),
                        Err(error) => (error.id(), Err(error.into())),
                    };
                    if let Some(name) = names.remove(&id) {
                        troubles.tell(&name, followed.err().as_ref());
                    }
                }
                _ = stop.changed() => {}
            }
        }
        following.shutdown().await;
    }

    /// Opens all environments, for the start. One that can't be opened doesn't keep
    /// the others from being served; it is tried again. If there is no other, there
    /// is nothing to serve.
    pub(crate) async fn open_all(&self) -> Result<()> {
        let mut trouble = None;
        for (stored, settings) in self.stored().await? {
            if let Err(error) = self.follow(&stored, settings).await {
                tracing::warn!(environment = stored.name, "it can't be opened: {error:#}");
                trouble = Some(error);
            }
        }
        match trouble {
            Some(error) if self.environments.all().is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// All environments that there are, with their connectors' settings. Closes those
    /// that are no longer.
    async fn stored(&self) -> Result<Vec<(rollout_store::Environment, Settings)>> {
        let control = &self.installation.control;
        let all = control.environments().await?;
        let mut settings = control.app_settings().await?;
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
        let with_settings = all.into_iter().map(|stored| {
            let settings = settings.remove(&stored.name).unwrap_or_default();
            (stored, settings)
        });
        Ok(with_settings.collect())
    }

    async fn follow(&self, stored: &rollout_store::Environment, settings: Settings) -> Result<()> {
        match self.environments.by_name(&stored.name) {
            Some(environment) => {
                let set = environment.set_settings(settings);
                if environment.update(stored)? || set {
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
            }
            None => {
                let environment = self.open(stored).await?;
                environment.set_settings(settings);
                tracing::info!(
                    environment = stored.name,
                    held = stored.held,
                    "environment opened"
                );
                self.environments.add(environment);
                self.installation.databases.signals().wake();
            }
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
        let environment = Environment::open(stored, store, self.installation.vault.clone()).await?;
        self.connectors
            .plan_missing(&environment)
            .await
            .with_context(|| format!("environment `{}`", stored.name))?;
        Ok(Arc::new(environment))
    }
}

/// What can't be followed: told once, not twice a second.
#[derive(Default)]
struct Troubles(HashSet<String>);

impl Troubles {
    fn tell(&mut self, name: &str, error: Option<&anyhow::Error>) {
        match error {
            None => drop(self.0.remove(name)),
            Some(error) => {
                if self.0.insert(name.to_owned()) {
                    tracing::warn!("what others change can't be followed: {error:#}");
                }
            }
        }
    }
}
