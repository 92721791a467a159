//! Credentials with what belongs to them, for processes that keep them in memory:
//! a few statements for any number of credentials.

use std::collections::{BTreeMap, HashMap};

use crate::database::{FromRow, Query, Row, statement};
use crate::sync_state::ROWS;
use crate::tokens::Tokens;
use crate::{Credential, EnvStore, Result, SyncRow};

/// A credential with all that its calls and its readers need.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// As it is stored.
    pub credential: Credential,
    /// Ids of the consumers that have it, in their order.
    pub consumers: Vec<String>,
    /// Those of them that it is shared with: it is not theirs.
    pub shared: Vec<String>,
    /// Its sealed secrets, by slot.
    pub secrets: BTreeMap<String, String>,
    /// The tokens among them, if it was connected by signing in.
    pub tokens: Option<Tokens>,
    /// Its entities, by name.
    pub syncs: Vec<SyncRow>,
}

impl EnvStore {
    /// These credentials, or all of the environment, oldest first, as of one point
    /// in time. Those that are gone are left out.
    pub async fn load_credentials(&self, ids: Option<&[String]>) -> Result<Vec<Loaded>> {
        let select = |text: &str, column: &str, order: &str| self.of(text, column, ids, order);
        let credentials = select("SELECT * FROM host_credentials", "id", "created_at, id");
        let consumers = select(
            "SELECT credential_id, consumer_id, shared FROM host_credential_consumers",
            "credential_id",
            "consumer_id",
        );
        let secrets = select(
            "SELECT credential_id, slot, sealed FROM host_secrets",
            "credential_id",
            "slot",
        );
        let tokens = select(
            "SELECT * FROM host_tokens",
            "credential_id",
            "credential_id",
        );
        let syncs = select(&ROWS, "s.credential_id", "s.entity");
        let mut tx = self.db.snapshot().await?;
        let credentials: Vec<Credential> = credentials.all(&mut tx).await?;
        let consumers: Vec<(String, String, i64)> = consumers.all(&mut tx).await?;
        let secrets: Vec<(String, String, String)> = secrets.all(&mut tx).await?;
        let tokens: Vec<OfCredential<Tokens>> = tokens.all(&mut tx).await?;
        let syncs: Vec<SyncRow> = syncs.all(&mut tx).await?;
        self.db.commit(tx).await?;
        let tokens = tokens
            .into_iter()
            .map(|OfCredential(id, tokens)| (id, tokens));
        let mut tokens: HashMap<String, Tokens> = tokens.collect();
        let shared = consumers.iter().filter(|(.., shared)| *shared != 0);
        let shared = shared.map(|(id, consumer, _)| (id.clone(), consumer.clone()));
        let mut shared = by_credential(shared);
        let consumers = consumers.into_iter();
        let mut consumers = by_credential(consumers.map(|(id, consumer, _)| (id, consumer)));
        let secrets = secrets.into_iter();
        let mut secrets = by_credential(secrets.map(|(id, slot, sealed)| (id, (slot, sealed))));
        let mut syncs = by_credential(syncs.into_iter().map(with_credential));
        let loaded = credentials.into_iter().map(|credential| Loaded {
            consumers: consumers.remove(&credential.id).unwrap_or_default(),
            shared: shared.remove(&credential.id).unwrap_or_default(),
            secrets: secrets.remove(&credential.id).unwrap_or_default(),
            tokens: tokens.remove(&credential.id),
            syncs: syncs.remove(&credential.id).unwrap_or_default(),
            credential,
        });
        Ok(loaded.collect())
    }

    /// The entities of these credentials, by credential; of each by name.
    pub async fn sync_rows_of(&self, ids: &[String]) -> Result<HashMap<String, Vec<SyncRow>>> {
        let rows = self.of(&ROWS, "s.credential_id", Some(ids), "s.entity");
        let rows: Vec<SyncRow> = rows.all(&self.db).await?;
        Ok(by_credential(rows.into_iter().map(with_credential)))
    }

    /// A selection of what belongs to these credentials, or to all.
    fn of(&self, select: &str, column: &str, ids: Option<&[String]>, order: &str) -> Query {
        match ids {
            None => statement(format!("{select} ORDER BY {order}")),
            Some(ids) => {
                let listed = self.db.dialect().in_list("$1");
                let text = format!("{select} WHERE {column} {listed} ORDER BY {order}");
                statement(text).bind(ids)
            }
        }
    }
}

/// A row with the credential that it is of.
struct OfCredential<T>(String, T);

impl<T: FromRow> FromRow for OfCredential<T> {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self(row.get("credential_id")?, T::read(row)?))
    }
}

fn with_credential(row: SyncRow) -> (String, SyncRow) {
    (row.credential_id.clone(), row)
}

fn by_credential<T, C: Default + Extend<T>>(
    rows: impl Iterator<Item = (String, T)>,
) -> HashMap<String, C> {
    let mut all: HashMap<String, C> = HashMap::new();
    for (id, row) in rows {
        all.entry(id).or_default().extend([row]);
    }
    all
}
