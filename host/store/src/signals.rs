//! Who is told at once that there is work, instead of finding out by looking.
//!
//! Within a process a signal names the environment. Between processes on
//! Postgres the names travel as notifications through the control database,
//! outside of the transactions that made the work, and gathered: a notification
//! inside would make all of them commit one after the other. A lost one costs
//! the time until the next look, not the work.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;

use crate::database::{Db, query};
use crate::{Control, Result};

/// What notifications are sent on.
const CHANNEL: &str = "rollout_work";
/// Signals that come within this time travel together.
const GATHER: Duration = Duration::from_millis(2);
/// How long a connection that broke is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// The signals of one process.
#[derive(Debug, Default)]
pub struct Signals {
    here: Names,
    /// Of databases that other processes use too.
    elsewhere: Names,
}

#[derive(Debug, Default)]
struct Names {
    raised: Mutex<HashSet<Arc<str>>>,
    notify: Notify,
}

impl Names {
    fn raise(&self, name: &Arc<str>) {
        let new = self.raised.lock().insert(name.clone());
        if new {
            self.notify.notify_one();
        }
    }

    fn take(&self) -> HashSet<Arc<str>> {
        std::mem::take(&mut *self.raised.lock())
    }
}

impl Signals {
    pub(crate) fn raise(&self, owner: &Arc<str>, shared: bool) {
        self.here.raise(owner);
        if shared {
            self.elsewhere.raise(owner);
        }
    }

    /// Wakes who waits in [`Signals::raised`].
    pub fn wake(&self) {
        self.here.notify.notify_one();
    }

    /// Waits for signals; answers whose environments they are of, by client id.
    pub async fn raised(&self) -> HashSet<Arc<str>> {
        let raised = self.here.take();
        if !raised.is_empty() {
            return raised;
        }
        self.here.notify.notified().await;
        self.here.take()
    }
}

impl Control {
    /// Passes signals on to other processes, for as long as it is polled. Never
    /// returns on Postgres; there is nobody else on SQLite.
    pub async fn announce(&self, signals: &Signals) {
        if !self.is_shared() {
            return;
        }
        loop {
            signals.elsewhere.notify.notified().await;
            tokio::time::sleep(GATHER).await;
            for owner in signals.elsewhere.take() {
                let sent = query("SELECT pg_notify($1, $2) IS NULL")
                    .bind(CHANNEL)
                    .bind(&*owner)
                    .execute(&self.db)
                    .await;
                if let Err(error) = sent {
                    tracing::debug!(%error, "other processes are not told of work");
                }
            }
        }
    }

    /// Hears the signals of other processes, for as long as it is polled: `heard`
    /// is called with the environment's client id, and with none when some may
    /// have been missed.
    pub async fn listen(&self, heard: impl Fn(Option<&str>)) {
        loop {
            match self.hear(&heard).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(%error, "other processes can't be heard");
                    heard(None);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn hear(&self, heard: &impl Fn(Option<&str>)) -> Result<()> {
        let Db::Postgres(pool) = &self.db else {
            return Ok(());
        };
        let own = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(pool.options.clone());
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(CHANNEL).await?;
        heard(None);
        loop {
            match listener.try_recv().await? {
                Some(notification) => heard(Some(notification.payload())),
                None => heard(None),
            }
        }
    }
}
