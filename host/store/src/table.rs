//! The table of an entity, made from the catalogue: its columns, its
//! statements, and how a record's cells become a hash.

use std::collections::HashMap;
use std::sync::Arc;

use rollout_catalog::{Catalog, Category, Cell, Column, Entity, Filter, Kind, Match};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::database::{Tx, query, statement};
use crate::dialect::{Dialect, Insert, Type};
use crate::migrations::Migrate;
use crate::{Result, StoreError};

/// The custom fields' column, which comes last in [`Entity::columns`].
const CUSTOM_FIELDS: &str = "customFields";

/// The host's own columns, in the order in which landing fills them. The
/// record's follow.
const HOST_COLUMNS: [(&str, Type); 12] = [
    ("host_seq", Type::Integer),
    ("id", Type::Text),
    ("credentialId", Type::Text),
    ("appKey", Type::Text),
    ("host_upstream_id", Type::Text),
    ("host_hash", Type::Bytes),
    ("host_original_hash", Type::Bytes),
    ("host_stamp", Type::Integer),
    ("host_catalog", Type::Integer),
    ("rolloutUpdated", Type::Time),
    ("originalIds", Type::Json),
    ("original", Type::Json),
];

/// A column for a field: what [`Column`] says, and what rows show that were
/// there before it.
#[derive(Debug)]
pub(crate) struct EntityColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) default: Cell,
}

/// A column whose values are found through the key index.
#[derive(Debug)]
pub(crate) struct KeyedColumn {
    /// Its place among [`Entity::columns`].
    pub(crate) column: usize,
    pub(crate) name: String,
    pub(crate) matching: Match,
}

/// An entity's table and the statements on it.
#[derive(Debug)]
pub(crate) struct EntityTable {
    /// The entity as synchronising sees it: with the fields of all categories.
    pub(crate) entity: Arc<Entity>,
    pub(crate) keyed: Vec<KeyedColumn>,
    pub(crate) dialect: Dialect,
    /// The table's name, as SQL.
    pub(crate) sql_name: String,
    pub(crate) keys_name: String,
    /// The types of [`Entity::columns`].
    pub(crate) types: Vec<Type>,
    /// New rows: the host's columns in the order of [`HOST_COLUMNS`], then the
    /// entity's.
    pub(crate) create: Insert,
    /// The same for rows that are there.
    pub(crate) update: Insert,
    pub(crate) key_insert: Insert,
    /// What is stored under a list of ids, as one JSON text.
    pub(crate) stored: Arc<str>,
    /// The app's id of the record with the id in `$1`, if the credential in `$2`
    /// has it.
    pub(crate) upstream_id: Arc<str>,
    /// By the categories that see records in the same way.
    views: HashMap<Vec<Category>, View>,
    hashing: Hashing,
}

/// How a category sees records.
#[derive(Debug)]
struct View {
    /// The expression of a record as JSON.
    record: String,
    /// The record with the id in `$1`, if the credential in `$2` has it.
    get: Arc<str>,
}

impl EntityTable {
    /// Creates the table or gives it the columns that it lacks.
    pub(crate) async fn prepare(
        tx: &mut Tx,
        catalog: &Catalog,
        entity: &Arc<Entity>,
        migrate: Migrate,
    ) -> Result<Self> {
        let dialect = tx.dialect();
        let columns = columns(entity);
        let present = dialect.column_names(tx, &entity.table).await?;
        let lacks = |column: &&EntityColumn| !present.contains(&column.name);
        if migrate == Migrate::Check && columns.iter().any(|column| lacks(&column)) {
            return Err(StoreError::Refused(format!(
                "the table {} lacks columns of this version: start `rollout serve` once with --migrate=run",
                entity.table
            )));
        }
        if present.is_empty() {
            let columns: Vec<String> = columns
                .iter()
                .map(|column| dialect.entity_column(column))
                .collect();
            execute(tx, dialect.create_entity_table(&entity.table, &columns)).await?;
        }
        let table = dialect.entity_table(&entity.table);
        for column in columns.iter().filter(lacks) {
            if !present.is_empty() {
                let column = dialect.entity_column(column);
                execute(tx, vec![format!("ALTER TABLE {table} ADD COLUMN {column}")]).await?;
            }
            let note = query(
                "INSERT INTO host_columns (table_name, column_name, catalog) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            );
            note.bind(&entity.table)
                .bind(&column.name)
                .bind(i64::from(Catalog::VERSION))
                .execute(&mut *tx)
                .await?;
        }
        let equals: Vec<(&str, Kind)> = entity
            .filters()
            .filter(|filter| filter.matches == Match::Equals)
            .filter_map(|filter| {
                let kind = entity.field(&filter.field)?.kind;
                Some((filter.field.as_str(), kind))
            })
            .collect();
        let indexed = dialect.index_names(tx, &entity.table).await?;
        let missing = dialect.entity_indexes(&entity.table, &equals).into_iter();
        let missing = missing.filter(|(name, _)| !indexed.contains(name));
        execute(tx, missing.map(|(_, create)| create).collect()).await?;
        let since = since(tx, &entity.table).await?;
        Ok(Self::new(dialect, catalog, entity, since))
    }

    fn new(
        dialect: Dialect,
        catalog: &Catalog,
        entity: &Arc<Entity>,
        since: HashMap<String, i64>,
    ) -> Self {
        let columns = entity.columns();
        let types: Vec<Type> = columns.iter().map(|column| column.kind.into()).collect();
        let own = columns.iter().map(|column| column.name.as_str());
        let all: Vec<(&str, Type)> = HOST_COLUMNS
            .into_iter()
            .chain(own.zip(types.iter().copied()))
            .collect();
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let sql_name = dialect.entity_table(&entity.table);
        let keys_name = format!("host_keys_{}", entity.table);
        let views = catalog
            .entities()
            .filter(|view| view.name == entity.name)
            .chain([entity]);
        let of_id = |selected: &str| {
            let credential = dialect.unindexed("\"credentialId\"");
            format!("SELECT {selected} FROM {sql_name} WHERE \"id\" = $1 AND {credential} = $2")
        };
        Self {
            keyed: keyed(entity),
            stored: Arc::from(stored(dialect, &sql_name)),
            create: Insert::new(dialect, &sql_name, &all, ""),
            update: Insert::new(
                dialect,
                &sql_name,
                &all,
                &dialect.landing_tail(&entity.table, &names),
            ),
            key_insert: Insert::new(
                dialect,
                &keys_name,
                &[("key", Type::Integer), ("seq", Type::Integer)],
                "ON CONFLICT DO NOTHING",
            ),
            upstream_id: of_id("host_upstream_id").into(),
            views: views
                .map(|view| {
                    let record = dialect.record(view, CUSTOM_FIELDS);
                    let get = of_id(&record).into();
                    (view.categories.clone(), View { record, get })
                })
                .collect(),
            hashing: Hashing::new(columns, &since),
            dialect,
            types,
            sql_name,
            keys_name,
            entity: Arc::clone(entity),
        }
    }

    /// The expression of a category's record as JSON.
    pub(crate) fn record(&self, entity: &Entity) -> Result<&str> {
        self.view(entity).map(|view| view.record.as_str())
    }

    /// The statement that reads a category's record as JSON: the one with the id in
    /// `$1`, if the credential in `$2` has it.
    pub(crate) fn get(&self, entity: &Entity) -> Result<Arc<str>> {
        self.view(entity).map(|view| Arc::clone(&view.get))
    }

    fn view(&self, entity: &Entity) -> Result<&View> {
        let view = self.views.get(&entity.categories);
        view.ok_or_else(|| StoreError::Unknown(format!("entity {}", entity.name)))
    }

    /// The hash of a record's cells.
    pub(crate) fn hash(&self, cells: &[Cell], scratch: &mut Vec<u8>) -> u128 {
        self.hashing.hash(cells, i64::MAX, scratch)
    }

    /// The hash that the cells had under an older catalogue, which knew fewer
    /// columns. If it is the row's, then only the catalogue has changed.
    pub(crate) fn hash_as_of(&self, catalog: i64, cells: &[Cell], scratch: &mut Vec<u8>) -> u128 {
        self.hashing.hash(cells, catalog, scratch)
    }
}

/// What landing must know about the rows with the ids in `$1` and about the
/// tombstones: `[id, stamp, seq, catalog, hash, original hash]`.
fn stored(dialect: Dialect, table: &str) -> String {
    let from = format!(
        "(SELECT \"id\" AS id, host_stamp AS stamp, host_seq AS seq, host_catalog AS catalog, \
         {} AS hash, {} AS original_hash FROM {table} WHERE \"id\" {ids} \
         UNION ALL SELECT id, stamp, NULL, NULL, NULL, NULL FROM host_tombstones WHERE id {ids}) \
         AS stored",
        dialect.hex("host_hash"),
        dialect.hex("host_original_hash"),
        ids = dialect.in_list("$1"),
    );
    dialect.as_one(
        &["id", "stamp", "seq", "catalog", "hash", "original_hash"],
        &from,
    )
}

async fn execute(tx: &mut Tx, statements: Vec<String>) -> Result<()> {
    for create in statements {
        statement(create).script(&mut *tx).await?;
    }
    Ok(())
}

/// Which version of the catalogue brought each column.
async fn since(tx: &mut Tx, table: &str) -> Result<HashMap<String, i64>> {
    let rows = query("SELECT column_name, catalog FROM host_columns WHERE table_name = $1");
    let rows: Vec<(String, i64)> = rows.bind(table).all(&mut *tx).await?;
    Ok(rows.into_iter().collect())
}

/// The columns of the table beyond the host's own, in the order in which they
/// lie in a row: the large and seldom read ones last.
fn columns(entity: &Entity) -> Vec<EntityColumn> {
    let host = |name: &str, kind, default| EntityColumn {
        name: name.to_owned(),
        kind,
        default,
    };
    let mut columns = vec![host("rolloutUpdated", Kind::DateTime, Cell::Null)];
    columns.extend(entity.columns().iter().map(|column| EntityColumn {
        name: column.name.clone(),
        kind: column.kind,
        default: default(entity, column),
    }));
    columns.push(host("originalIds", Kind::Json, Cell::Json("{}".to_owned())));
    columns.push(host("original", Kind::Json, Cell::Json("{}".to_owned())));
    columns
}

/// What a row shows in a column that came after it.
fn default(entity: &Entity, column: &Column) -> Cell {
    if column.nullable {
        return Cell::Null;
    }
    match column.kind {
        Kind::Text => Cell::Text(String::new()),
        Kind::DateTime => Cell::Text("1970-01-01T00:00:00Z".to_owned()),
        Kind::Number => Cell::Number(0.0),
        Kind::Integer => Cell::Integer(0),
        Kind::Boolean => Cell::Bool(false),
        Kind::Json => {
            let kind = entity
                .field(&column.name)
                .and_then(|field| field.schema.get("type"));
            let list = kind.is_some_and(|kind| kind == "array");
            Cell::Json(if list { "[]" } else { "{}" }.to_owned())
        }
    }
}

/// The filtered columns that no ordinary index serves.
fn keyed(entity: &Entity) -> Vec<KeyedColumn> {
    let keyed = entity
        .filters()
        .filter(|filter| filter.matches != Match::Equals);
    let place = |filter: &Filter| {
        entity
            .columns()
            .iter()
            .position(|column| column.name == filter.field)
    };
    keyed
        .filter_map(|filter| {
            Some(KeyedColumn {
                column: place(filter)?,
                name: filter.field.clone(),
                matching: filter.matches,
            })
        })
        .collect()
}

/// Hashes cells in the order of their columns' names, each with its name, so
/// that the hash does not depend on where a file puts a field.
#[derive(Debug)]
struct Hashing(Vec<HashedColumn>);

#[derive(Debug)]
struct HashedColumn {
    column: usize,
    name: u64,
    since: i64,
}

impl Hashing {
    fn new(columns: &[Column], since: &HashMap<String, i64>) -> Self {
        let mut named: Vec<_> = columns.iter().enumerate().collect();
        named.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        Self(
            named
                .into_iter()
                .map(|(column, Column { name, .. })| HashedColumn {
                    column,
                    name: xxh3_64(name.as_bytes()),
                    since: since.get(name).copied().unwrap_or_default(),
                })
                .collect(),
        )
    }

    fn hash(&self, cells: &[Cell], catalog: i64, scratch: &mut Vec<u8>) -> u128 {
        scratch.clear();
        for HashedColumn { column, name, .. } in
            self.0.iter().filter(|column| column.since <= catalog)
        {
            scratch.extend_from_slice(&name.to_le_bytes());
            match cells.get(*column).unwrap_or(&Cell::Null) {
                Cell::Null => scratch.push(0),
                Cell::Text(text) => push(scratch, 1, text.as_bytes()),
                Cell::Json(text) => push(scratch, 2, text.as_bytes()),
                Cell::Number(number) => push(scratch, 3, &number.to_le_bytes()),
                Cell::Integer(number) => push(scratch, 4, &number.to_le_bytes()),
                Cell::Bool(value) => push(scratch, 5, &[u8::from(*value)]),
            }
        }
        xxh3_128(scratch)
    }
}

fn push(scratch: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    scratch.push(tag);
    scratch.extend_from_slice(&bytes.len().to_le_bytes());
    scratch.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            kind: Kind::Text,
            nullable: true,
        }
    }

    #[test]
    fn the_hash_knows_columns_by_name_and_age() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let mut scratch = Vec::new();
        let old = Hashing::new(&[column("b"), column("a")], &HashMap::new());
        let since = HashMap::from([("c".to_owned(), 2)]);
        let new = Hashing::new(&[column("a"), column("c"), column("b")], &since);
        let before = old.hash(&[text("2"), text("1")], i64::MAX, &mut scratch);
        let cells = [text("1"), text("3"), text("2")];
        assert_eq!(new.hash(&cells, 1, &mut scratch), before);
        assert_ne!(new.hash(&cells, 2, &mut scratch), before);
        let moved = [text("2"), text("3"), text("1")];
        assert_ne!(new.hash(&moved, 1, &mut scratch), before);
    }

    #[test]
    fn neighbouring_texts_do_not_run_together() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let mut scratch = Vec::new();
        let hashing = Hashing::new(&[column("a"), column("b")], &HashMap::new());
        let one = hashing.hash(&[text("ab"), text("")], 1, &mut scratch);
        let other = hashing.hash(&[text("a"), text("b")], 1, &mut scratch);
        let nothing = hashing.hash(&[text("ab"), Cell::Null], 1, &mut scratch);
        assert!(one != other && one != nothing);
    }
}
