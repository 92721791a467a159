//! Keeps what runs equal to what the databases say.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use rollout_catalog::manifest::fold_key;
use rollout_connectors::{
    Connector, Connectors, Environment, Environments, Installed, loads_at_once,
};
use rollout_store::{AppSetting, Use};
use rollout_webhooks::FanOut;
use rollout_work::House;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::installation::Installation;
use crate::installing;

/// How often the databases are looked at for what others changed.
const LOOK: Duration = Duration::from_millis(500);

/// What the control database is called among the troubles; no environment is.
const CONTROL: &str = "";

/// For how long a connector that could not be loaded is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// What an environment has set for connectors, each with its connector.
type Settings = Vec<(String, AppSetting)>;

/// What the control database says to all environments: which installed connectors are
/// used where, what is granted to them, and which version of keys is in force.
struct InUse {
    uses: Vec<Use>,
    grants: Vec<(String, String)>,
    keys: i64,
}

/// Opens, changes and closes environments as commands and other hosts say.
pub(crate) struct Keeper {
    pub(crate) installation: Arc<Installation>,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) environments: Arc<Environments>,
    /// Components that could not be loaded, by hash, and when.
    unloadable: Mutex<HashMap<String, Instant>>,
}

impl Keeper {
    pub(crate) fn new(
        installation: Arc<Installation>,
        connectors: Arc<Connectors>,
        environments: Arc<Environments>,
    ) -> Self {
        Self {
            installation,
            connectors,
            environments,
            unloadable: Mutex::default(),
        }
    }

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
                    let Ok((all, in_use)) = all else {
                        continue;
                    };
                    for (stored, settings) in all {
                        if names.values().any(|name| *name == stored.name) {
                            continue;
                        }
                        let (keeper, name) = (keeper.clone(), stored.name.clone());
                        let in_use = in_use.clone();
                        let task = following.spawn(async move { keeper.follow(&stored, settings, &in_use).await });
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
        let (all, in_use) = self.stored().await?;
        for (stored, settings) in all {
            if let Err(error) = self.follow(&stored, settings, &in_use).await {
                tracing::warn!(environment = stored.name, "it can't be opened: {error:#}");
                trouble = Some(error);
            }
        }
        match trouble {
            Some(error) if self.environments.all().is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// All environments that there are, with their connectors' settings, and which
    /// installed connectors they use. Closes those that are no longer.
    async fn stored(&self) -> Result<(Vec<(rollout_store::Environment, Settings)>, Arc<InUse>)> {
        let control = &self.installation.control;
        let all = control.environments().await?;
        let in_use = InUse {
            uses: control.connector_uses().await?,
            grants: control.grants().await?,
            keys: control.key_version().await?,
        };
        let sealed = all.iter().flat_map(|one| {
            let old = one.old_secret.as_ref().map(|(sealed, _)| sealed);
            let url = one.database_url_sealed.as_ref();
            [Some(&one.client_secret_sealed), old, url]
                .into_iter()
                .flatten()
        });
        let keys = &self.installation.keys;
        keys.follow(control.data_keys(), in_use.keys, sealed)
            .await?;
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
        Ok((with_settings.collect(), Arc::new(in_use)))
    }

    async fn follow(
        &self,
        stored: &rollout_store::Environment,
        settings: Settings,
        in_use: &InUse,
    ) -> Result<()> {
        match self.environments.by_name(&stored.name) {
            Some(environment) => {
                environment.follow_keys(in_use.keys, &settings).await?;
                let set = environment.set_settings(settings);
                if environment.update(stored)? || set {
                    tracing::info!(
                        environment = stored.name,
                        held = stored.held,
                        include_data = stored.include_data,
                        "environment changed"
                    );
                    self.installation.databases.signals().wake();
                }
                if environment.store().is_shared() {
                    environment.refresh().await?;
                }
                self.take_up_connectors(&environment, in_use).await?;
            }
            None => {
                let environment = self.open(stored).await?;
                environment.follow_keys(in_use.keys, &settings).await?;
                environment.set_settings(settings);
                // One that can't be loaded keeps no environment from being served.
                let taken_up = self.take_up_connectors(&environment, in_use).await;
                if let Err(error) = taken_up {
                    tracing::error!(environment = stored.name, "{error:#}");
                }
                self.plan_missing(&environment).await?;
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
        FanOut::enter(&store).await?;
        let environment = Environment::open(stored, store, self.installation.keys.clone()).await?;
        Ok(Arc::new(environment))
    }

    /// Has an environment use the installed connectors that it should. One that can't
    /// be loaded leaves the version that is used in use.
    async fn take_up_connectors(&self, environment: &Environment, in_use: &InUse) -> Result<()> {
        let present = environment.connectors();
        let name = &environment.name;
        let take_up = async |one: &Use| {
            let key = fold_key(&one.key);
            let before = present.get(&key);
            let grants = installing::grants_of(&in_use.grants, &one.key);
            let same = before.filter(|connector| {
                connector.component.sha256() == one.sha256 && connector.grants == grants
            });
            if let Some(connector) = same {
                return (key, Some(connector.clone()), Ok(()));
            }
            // What was taken back counts at once.
            let before = before.filter(|before| grants.secrets || !before.grants.secrets);
            let (connector, trouble) = match self.load(one, &in_use.grants).await {
                Ok(connector) => (connector, Ok(())),
                Err(error) => (None, Err(error)),
            };
            if connector.is_some() {
                tracing::info!(
                    environment = name,
                    connector = one.key,
                    version = one.version,
                    "connector in use"
                );
            }
            (key, connector.or_else(|| before.cloned()), trouble)
        };
        let uses = installing::effective_uses(&in_use.uses, name);
        let mut taken = stream::iter(uses).map(take_up).buffered(loads_at_once());
        let mut wanted = Installed::new();
        let mut trouble = Ok(());
        while let Some((key, connector, new_trouble)) = taken.next().await {
            wanted.extend(connector.map(|connector| (key, connector)));
            trouble = trouble.and(new_trouble);
        }
        drop(taken);
        let kept = |(key, connector): (&String, &Arc<Connector>)| {
            wanted
                .get(key)
                .is_some_and(|now| Arc::ptr_eq(now, connector))
        };
        if wanted.len() != present.len() || !present.iter().all(kept) {
            environment.set_connectors(wanted);
            self.plan_missing(environment).await?;
            self.installation.databases.signals().wake();
        }
        trouble
    }

    /// Loads a version; none while it is left alone because it could not be loaded.
    async fn load(&self, one: &Use, grants: &[(String, String)]) -> Result<Option<Arc<Connector>>> {
        let failed = self.unloadable.lock().get(&one.sha256).copied();
        if failed.is_some_and(|failed| failed.elapsed() < TRY_AGAIN) {
            return Ok(None);
        }
        let (control, registry) = (&self.installation.control, self.connectors.registry());
        let loaded = installing::load(control, registry, one, grants).await;
        let mut unloadable = self.unloadable.lock();
        match loaded {
            Ok(connector) => {
                unloadable.remove(&one.sha256);
                Ok(Some(connector))
            }
            Err(error) => {
                unloadable.insert(one.sha256.clone(), Instant::now());
                Err(error)
            }
        }
    }

    async fn plan_missing(&self, environment: &Environment) -> Result<()> {
        let planned = self.connectors.plan_missing(environment).await;
        planned.with_context(|| format!("environment `{}`", environment.name))
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
