//! An environment's database.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rollout_catalog::Catalog;
use tokio::sync::Mutex;

use crate::database::Db;
use crate::landing::Backlogs;
use crate::table::EntityTable;
use crate::{Result, StoreError, migrations};

/// Numbers of the write sequence that are taken from the database at once.
const STAMP_BLOCK: i64 = 1000;

/// One environment's database: consumers, credentials, what was synced for
/// them, and how far.
#[derive(Debug)]
pub struct EnvStore {
    pub(crate) db: Db,
    tables: HashMap<String, Arc<EntityTable>>,
    stamps: Mutex<Stamps>,
    pub(crate) backlogs: Mutex<Backlogs>,
}

/// Numbers taken and not handed out yet.
#[derive(Debug, Default)]
struct Stamps {
    next: i64,
    end: i64,
}

impl EnvStore {
    /// Opens the database, creating and migrating it as needed; the entities'
    /// tables get the columns that the catalogue has and they have not.
    pub async fn open(path: &Path, catalog: &Catalog) -> Result<Self> {
        let db = Db::open(path).await?;
        let mut tx = db.write().await?;
        migrations::run(&mut tx, migrations::ENVIRONMENT).await?;
        let mut tables = HashMap::new();
        for entity in catalog.names() {
            let table = EntityTable::prepare(&mut tx, catalog, entity).await?;
            tables.insert(entity.name.clone(), Arc::new(table));
        }
        db.commit(tx).await?;
        Ok(Self {
            db,
            tables,
            stamps: Mutex::default(),
            backlogs: Mutex::default(),
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Finishes what is under way and closes the files.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// The next number of the environment's write sequence. Drawn before a
    /// connector is called, it says later whether what the call brought is
    /// older than what is stored. A restart skips numbers, never repeats one.
    pub async fn next_stamp(&self) -> Result<i64> {
        let mut stamps = self.stamps.lock().await;
        if stamps.next == stamps.end {
            let mut tx = self.db.write().await?;
            let end: i64 = sqlx::query_scalar(
                "UPDATE host_counters SET value = value + $1 WHERE name = 'stamp' RETURNING value",
            )
            .bind(STAMP_BLOCK)
            .fetch_one(&mut *tx)
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
