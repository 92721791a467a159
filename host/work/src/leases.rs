//! The leases that this process holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rollout_connectors::Environment;
use rollout_store::{Begun, EnvStore, Lease, NewWrite, Result, millis};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Settings;

/// Renews leases until they are dropped.
pub struct Leases {
    settings: Settings,
    worker: String,
    held: Mutex<HashMap<(String, i64), Held>>,
}

struct Held {
    store: Arc<EnvStore>,
    token: i64,
    lost: watch::Sender<bool>,
    until: Until,
}

/// Until when a lease certainly runs, by this process's clock: counted from
/// before the database was asked for it.
#[derive(Clone)]
pub struct Until(Arc<Mutex<Instant>>);

impl Until {
    /// False as soon as another process may have the lease, without asking anybody.
    /// For what the database can't fence, such as a request to an app: a process
    /// that stood still goes on in the middle of what it was at.
    pub fn runs(&self) -> bool {
        Instant::now() < *self.0.lock()
    }
}

/// A lease that is renewed for as long as this lives.
pub struct Hold {
    leases: Arc<Leases>,
    key: (String, i64),
    token: i64,
    lost: watch::Receiver<bool>,
    /// Until when it runs.
    pub until: Until,
    /// The lease itself.
    pub lease: Lease,
}

/// What is held in one environment, for [`EnvStore::renew_leases`].
type InStore = (Arc<EnvStore>, Vec<(i64, i64)>);

impl Leases {
    /// `worker` names this process in the tables; nothing depends on it.
    pub fn new(worker: impl Into<String>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            worker: worker.into(),
            held: Mutex::default(),
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    /// Begins a write, whose lease is held from the start.
    pub async fn begin_write(
        &self,
        environment: &Environment,
        write: &NewWrite<'_>,
    ) -> Result<Begun> {
        let lease = millis(self.settings.lease);
        let store = environment.store();
        store.begin_write(write, &self.worker, lease).await
    }

    /// Keeps a lease from running out. `asked` is when the database was asked for
    /// it, or before.
    pub fn hold(self: &Arc<Self>, environment: &Environment, lease: Lease, asked: Instant) -> Hold {
        let (id, token) = lease.renewal();
        let key = (environment.name.clone(), id);
        let (sender, lost) = watch::channel(false);
        let until = Until(Arc::new(Mutex::new(asked + self.settings.lease)));
        let held = Held {
            store: environment.store().clone(),
            token,
            lost: sender,
            until: until.clone(),
        };
        self.held.lock().insert(key.clone(), held);
        Hold {
            leases: self.clone(),
            key,
            token,
            lost,
            until,
            lease,
        }
    }

    /// Renews what is held, again and again, until `stop` turns true and nothing
    /// is held any more. A database that doesn't answer doesn't hold up the others.
    pub async fn renew(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut asking = JoinSet::new();
        let mut asked: HashMap<tokio::task::Id, String> = HashMap::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.settings.renew) => {}
                _ = stop.wait_for(|stop| *stop), if self.held.lock().is_empty() => return,
            }
            while let Some(answered) = asking.try_join_next_with_id() {
                asked.remove(&answered.map_or_else(|error| error.id(), |(id, ())| id));
            }
            let mut by_store: HashMap<String, InStore> = HashMap::new();
            for ((environment, id), held) in self.held.lock().iter() {
                let entry = by_store.entry(environment.clone());
                let (_, leases) = entry.or_insert_with(|| (held.store.clone(), Vec::new()));
                leases.push((*id, held.token));
            }
            for (environment, (store, leases)) in by_store {
                if !asked.values().any(|one| *one == environment) {
                    let renewing = self.clone().renew_in(environment.clone(), store, leases);
                    asked.insert(asking.spawn(renewing).id(), environment);
                }
            }
        }
    }

    async fn renew_in(
        self: Arc<Self>,
        environment: String,
        store: Arc<EnvStore>,
        leases: Vec<(i64, i64)>,
    ) {
        let asked = Instant::now();
        match store
            .renew_leases(&leases, millis(self.settings.lease))
            .await
        {
            Ok(still) => self.note(&environment, &leases, &still, asked),
            // What can't be renewed can't be committed either.
            Err(error) => tracing::warn!(environment, %error, "leases can't be renewed"),
        }
    }

    fn note(&self, environment: &str, leases: &[(i64, i64)], still: &[i64], asked: Instant) {
        let held = self.held.lock();
        for (id, token) in leases {
            let held = held.get(&(environment.to_owned(), *id));
            match held.filter(|held| held.token == *token) {
                Some(held) if still.contains(id) => {
                    *held.until.0.lock() = asked + self.settings.lease;
                }
                Some(held) => {
                    held.lost.send_replace(true);
                }
                None => {}
            }
        }
    }
}

impl Hold {
    /// Returns when the lease is lost, and never otherwise.
    pub async fn lost(&mut self) {
        if self.lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.leases.held.lock();
        if held
            .get(&self.key)
            .is_some_and(|one| one.token == self.token)
        {
            held.remove(&self.key);
        }
    }
}
