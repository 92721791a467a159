//! Removing an environment from a Postgres database.

use crate::database::{Databases, Db, Location, Purpose, Tx, query, statement};
use crate::dialect::{Dialect, quote};
use crate::migrations::Patience;
use crate::{Result, StoreError, customers};

/// What becomes of the schemas that customers' logins have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerSchemas {
    /// They stay, without the views that show the environment's tables.
    Keep,
    /// They go, with everything in them.
    Drop,
}

/// The client id of the environment that a Postgres database holds.
pub async fn environment_in(databases: &Databases, location: &Location) -> Result<Option<String>> {
    let db = Db::open(databases, location, Purpose::Environment).await?;
    let mut tx = db.snapshot().await?;
    let owner = owner(&mut tx).await;
    drop(tx);
    db.close().await;
    owner
}

/// Removes everything of the environment with this client id from its Postgres
/// database: the host's schema, the tables with the records, the logins that
/// were made for customers. Answers the customers' schemas that stay.
pub async fn erase(
    databases: &Databases,
    location: &Location,
    client_id: &str,
    schemas: CustomerSchemas,
) -> Result<Vec<String>> {
    let db = Db::open(databases, location, Purpose::Environment).await?;
    let mut patience = Patience::default();
    let stay = loop {
        match erase_once(&db, client_id, schemas).await {
            Ok(stay) => break stay,
            Err(error) => patience.after(error).await?,
        }
    };
    db.close().await;
    Ok(stay)
}

async fn erase_once(db: &Db, client_id: &str, schemas: CustomerSchemas) -> Result<Vec<String>> {
    let mut tx = db.write().await?;
    statement("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '2s'")
        .script(&mut tx)
        .await?;
    match owner(&mut tx).await? {
        None => return Ok(Vec::new()),
        Some(owner) if owner == client_id => {}
        Some(owner) => {
            return Err(StoreError::Refused(format!(
                "the database belongs to the environment with the client id {owner}"
            )));
        }
    }
    let mut stay = Vec::new();
    for login in customers::logins(&mut tx).await? {
        customers::drop_login(&mut tx, &login, schemas).await?;
        if schemas == CustomerSchemas::Keep {
            stay.push(login);
        }
    }
    let tables: Vec<String> = query("SELECT DISTINCT table_name FROM host_columns")
        .all(&mut tx)
        .await?;
    let mut drops = customers::DROP_FUNCTIONS.to_owned();
    for table in tables {
        let table = Dialect::Postgres.entity_table(&table);
        drops.push_str(&format!("; DROP TABLE IF EXISTS {table} CASCADE"));
    }
    drops.push_str(&format!("; DROP SCHEMA {} CASCADE", quote("host")));
    statement(drops).script(&mut tx).await?;
    db.commit(tx).await?;
    Ok(stay)
}

/// The client id of the environment in the database.
async fn owner(tx: &mut Tx) -> Result<Option<String>> {
    let there = query("SELECT to_regclass('host.host_meta') IS NOT NULL");
    if !there.one::<bool>(&mut *tx).await? {
        return Ok(None);
    }
    let owner = query("SELECT value FROM host.host_meta WHERE key = 'owner'");
    owner.optional(tx).await
}
