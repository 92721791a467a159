//! An environment's database.

use std::collections::HashMap;
use std::sync::Arc;

use rollout_catalog::Catalog;
use tokio::sync::{Mutex, watch};

use crate::database::{Databases, Db, Location, Purpose, query};
use crate::dialect::Dialect;
use crate::jobs::Jobs;
use crate::landing::Backlogs;
use crate::migrations::{self, Migrate, Patience};
use crate::outbound::Calls;
use crate::outbox::Outbox;
use crate::signals::Signals;
use crate::table::EntityTable;
use crate::{Result, StoreError};

/// Numbers of the write sequence that are taken from a SQLite file at once.
const STAMP_BLOCK: i64 = 1000;

/// One environment's database: consumers, credentials, what was synced for
/// them, and how far.
#[derive(Debug)]
pub struct EnvStore {
    pub(crate) db: Db,
    pub(crate) jobs: &'static Jobs,
    pub(crate) outbox: Outbox,
    pub(crate) calls: Calls,
    tables: Tables,
    stamps: Mutex<Stamps>,
    pub(crate) backlogs: Backlogs,
    owner: Arc<str>,
    signals: Arc<Signals>,
    work: watch::Sender<u64>,
}

/// The entities' tables, by name.
type Tables = HashMap<String, Arc<EntityTable>>;

/// Numbers taken and not handed out yet.
#[derive(Debug, Default)]
struct Stamps {
    next: i64,
    end: i64,
}

impl EnvStore {
    /// Opens the database, creating and migrating it as needed; the entities'
    /// tables get the columns that the catalogue has and they have not. `owner`
    /// is the environment's client id: a database belongs to one environment.
    pub async fn open(
        databases: &Databases,
        location: &Location,
        owner: &str,
        catalog: &Catalog,
        migrate: Migrate,
    ) -> Result<Self> {
        let db = Db::open(databases, location, Purpose::Environment).await?;
        let mut patience = Patience::default();
        let tables = loop {
            match Self::migrate(&db, owner, catalog, migrate).await {
                Ok(tables) => break tables,
                Err(error) => patience.after(error).await?,
            }
        };
        Ok(Self {
            jobs: Jobs::of(db.dialect()),
            outbox: Outbox::new(db.dialect()),
            calls: Calls::new(db.dialect()),
            db,
            tables,
            stamps: Mutex::default(),
            backlogs: Backlogs::default(),
            owner: Arc::from(owner),
            signals: databases.signals(),
            work: watch::Sender::default(),
        })
    }

    async fn migrate(db: &Db, owner: &str, catalog: &Catalog, migrate: Migrate) -> Result<Tables> {
        let mut tx = migrations::begin(db, "host").await?;
        migrations::run(&mut tx, migrations::ENVIRONMENT, migrate).await?;
        match migrations::text(&mut tx, "owner").await? {
            None => migrations::put(&mut tx, "owner", owner).await?,
            Some(there) if there == owner => {}
            Some(there) => {
                return Err(StoreError::Refused(format!(
                    "this database belongs to the environment with the client id {there}; \
                     every environment needs one of its own"
                )));
            }
        }
        let mut tables = HashMap::new();
        for entity in catalog.names() {
            let table = EntityTable::prepare(&mut tx, catalog, entity, migrate).await?;
            tables.insert(entity.name.clone(), Arc::new(table));
        }
        db.commit(tx).await?;
        Ok(tables)
    }

    /// Whether several processes can use the database at once.
    pub fn is_shared(&self) -> bool {
        self.db.dialect() == Dialect::Postgres
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Finishes what is under way and closes the files.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Changes whenever there may be something to work on: jobs, or events to
    /// be numbered.
    pub fn work(&self) -> watch::Receiver<u64> {
        self.work.subscribe()
    }

    /// Says, to all processes, that there is something to work on.
    pub(crate) fn signal(&self) {
        self.signals.raise(&self.owner, self.is_shared());
        self.work
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Another process said so.
    pub fn heard(&self) {
        self.signals.raise(&self.owner, false);
        self.work
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The next number of the environment's write sequence. Drawn before a
    /// connector is called, it says later whether what the call brought is
    /// older than what is stored. A restart skips numbers, never repeats one.
    pub async fn next_stamp(&self) -> Result<i64> {
        if self.db.dialect() == Dialect::Postgres {
            return query("SELECT nextval('host_stamps')").one(&self.db).await;
        }
        let mut stamps = self.stamps.lock().await;
        if stamps.next == stamps.end {
            let mut tx = self.db.write().await?;
            let end: i64 = query(
                "UPDATE host_counters SET value = value + $1 WHERE name = 'stamp' RETURNING value",
            )
            .bind(STAMP_BLOCK)
            .one(&mut tx)
            .await?;
            self.db.commit(tx).await?;
            *stamps = Stamps {
                next: end - STAMP_BLOCK,
                end,
            };
        }
        stamps.next += 1;
        Ok(stamps.next)
    }

    pub(crate) fn table(&self, entity: &str) -> Result<&Arc<EntityTable>> {
        self.tables
            .get(entity)
            .ok_or_else(|| StoreError::Unknown(format!("entity {entity}")))
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<EntityTable>> {
        self.tables.values()
    }
}
