//! The rows of a page: what is there already, what is written.

use std::collections::HashMap;
use std::sync::Arc;

use rollout_catalog::{Catalog, Cell};
use serde::Deserialize;
use sqlx::error::BoxDynError;
use sqlx::{Arguments as _, AssertSqlSafe};

use super::{Candidate, Landing, json_list};
use crate::dialect::{self, Arguments};
use crate::{Result, StoreError, api_time};

/// What is stored under a record's id.
#[derive(Clone, Copy)]
enum Stored {
    Row {
        seq: i64,
        hash: u128,
        original_hash: u128,
        stamp: i64,
        catalog: i64,
    },
    Tombstone {
        stamp: i64,
    },
}

/// The same as the database writes it.
#[derive(Deserialize)]
struct StoredText<'a>(
    #[serde(borrow)] &'a str,
    i64,
    Option<i64>,
    Option<i64>,
    Option<&'a str>,
    Option<&'a str>,
);

impl StoredText<'_> {
    fn read(&self) -> Option<Stored> {
        let StoredText(_, stamp, seq, catalog, hash, original_hash) = *self;
        let Some(seq) = seq else {
            return Some(Stored::Tombstone { stamp });
        };
        Some(Stored::Row {
            seq,
            stamp,
            catalog: catalog?,
            hash: u128::from_str_radix(hash?, 16).ok()?,
            original_hash: u128::from_str_radix(original_hash?, 16).ok()?,
        })
    }
}

/// What becomes of a candidate.
enum Verdict {
    Unchanged,
    Stale,
    Create { reappears: bool },
    Update { seq: i64 },
    UpdateSilently { seq: i64 },
}

/// A row to be written.
struct Row {
    candidate: Candidate,
    /// Its place in the order of landing; none if it has one.
    seq: Option<i64>,
    /// Whether `rolloutUpdated` moves.
    told: bool,
}

impl Landing<'_, '_> {
    pub(super) async fn rows(&mut self, candidates: Vec<Candidate>) -> Result<()> {
        if candidates.is_empty() {
            return self.keep_keys(Vec::new(), None).await;
        }
        let text = self.stored(&candidates).await?;
        let stored: Vec<StoredText<'_>> = serde_json::from_str(&text)?;
        let stored: HashMap<&str, &StoredText<'_>> =
            stored.iter().map(|row| (row.0, row)).collect();
        let mut first_seq = None;
        let mut next_seq = None;
        let mut rows = Vec::with_capacity(candidates.len());
        let mut keys = Vec::new();
        let mut reappeared = Vec::new();
        let mut scratch = Vec::with_capacity(2048);
        for mut candidate in candidates {
            let found = stored.get(candidate.id.as_str()).map(|row| {
                row.read()
                    .ok_or_else(|| StoreError::Corrupt(format!("the row {}", row.0)))
            });
            let (seq, told) = match self.verdict(&candidate, found.transpose()?, &mut scratch) {
                Verdict::Unchanged => {
                    self.outcome.unchanged += 1;
                    continue;
                }
                Verdict::Stale => {
                    self.outcome.stale.push(candidate.record.upstream_id);
                    continue;
                }
                Verdict::Create { reappears } => {
                    let seq = match next_seq {
                        Some(seq) => seq,
                        None => self.last_seq().await? + 1,
                    };
                    next_seq = Some(seq + 1);
                    first_seq.get_or_insert(seq);
                    keys.extend(candidate.keys.drain(..).map(|key| (key, seq)));
                    if reappears {
                        reappeared.push(candidate.id.clone());
                    }
                    self.outcome.created.push(candidate.id.clone());
                    (Some(seq), true)
                }
                Verdict::Update { seq } => {
                    keys.extend(candidate.keys.drain(..).map(|key| (key, seq)));
                    self.outcome.updated.push(candidate.id.clone());
                    (None, true)
                }
                Verdict::UpdateSilently { seq } => {
                    keys.extend(candidate.keys.drain(..).map(|key| (key, seq)));
                    self.outcome.silent += 1;
                    (None, false)
                }
            };
            rows.push(Row {
                candidate,
                seq,
                told,
            });
        }
        self.upsert(rows).await?;
        self.keep_keys(keys, first_seq).await?;
        self.forget_tombstones(&reappeared).await
    }

    /// What is stored under the candidates' ids, as JSON.
    async fn stored(&mut self, candidates: &[Candidate]) -> Result<String> {
        let ids: Vec<&str> = candidates
            .iter()
            .map(|candidate| candidate.id.as_str())
            .collect();
        let stored = sqlx::query_scalar(AssertSqlSafe(Arc::clone(&self.table.stored)));
        Ok(stored
            .bind(json_list(&ids))
            .fetch_one(&mut **self.tx)
            .await?)
    }

    async fn last_seq(&mut self) -> Result<i64> {
        let last = dialect::last_seq(&self.table.entity.table);
        Ok(sqlx::query_scalar(AssertSqlSafe(last))
            .fetch_one(&mut **self.tx)
            .await?)
    }

    fn verdict(
        &self,
        candidate: &Candidate,
        stored: Option<Stored>,
        scratch: &mut Vec<u8>,
    ) -> Verdict {
        let current = i64::from(Catalog::VERSION);
        match stored {
            None => Verdict::Create { reappears: false },
            Some(Stored::Tombstone { stamp }) if stamp > self.page.stamp => Verdict::Stale,
            Some(Stored::Tombstone { .. }) => Verdict::Create { reappears: true },
            Some(Stored::Row {
                seq,
                hash,
                original_hash,
                stamp,
                catalog,
            }) => {
                let same_fields = hash == candidate.hash;
                if same_fields && original_hash == candidate.original_hash {
                    return Verdict::Unchanged;
                }
                if stamp > self.page.stamp || catalog > current {
                    return Verdict::Stale;
                }
                let cells = &candidate.record.cells;
                let only_the_catalogue_changed =
                    catalog < current && self.table.hash_as_of(catalog, cells, scratch) == hash;
                if same_fields || only_the_catalogue_changed {
                    Verdict::UpdateSilently { seq }
                } else {
                    Verdict::Update { seq }
                }
            }
        }
    }

    async fn upsert(&mut self, rows: Vec<Row>) -> Result<()> {
        let now: Arc<str> = Arc::from(api_time(self.page.now)?);
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let (size, sql) = self.table.upsert(left);
            left -= size;
            let mut arguments = Arguments::default();
            arguments.reserve(size * self.table.width, 0);
            for row in rows.by_ref().take(size) {
                let updated = row.told.then(|| Arc::clone(&now));
                self.bind(&mut arguments, row, updated)
                    .map_err(sqlx::Error::Encode)?;
            }
            sqlx::query_with(AssertSqlSafe(sql), arguments)
                .execute(&mut **self.tx)
                .await?;
        }
        Ok(())
    }

    /// Adds a row's values in the order of the landing statement's columns.
    fn bind(
        &self,
        arguments: &mut Arguments,
        row: Row,
        updated: Option<Arc<str>>,
    ) -> Result<(), BoxDynError> {
        let Candidate {
            id,
            record,
            hash,
            original_hash,
            ..
        } = row.candidate;
        arguments.add(row.seq)?;
        arguments.add(id)?;
        arguments.add(Arc::clone(&self.credential_id))?;
        arguments.add(Arc::clone(&self.app_key))?;
        arguments.add(record.upstream_id)?;
        arguments.add(hash.to_be_bytes().to_vec())?;
        arguments.add(original_hash.to_be_bytes().to_vec())?;
        arguments.add(self.page.stamp)?;
        arguments.add(i64::from(Catalog::VERSION))?;
        arguments.add(updated)?;
        arguments.add(record.original_ids)?;
        arguments.add(record.original)?;
        let stored = self.table.entity.columns().len();
        let missing = stored.saturating_sub(record.cells.len());
        let cells = record
            .cells
            .into_iter()
            .chain(std::iter::repeat_n(Cell::Null, missing));
        for cell in cells.take(stored) {
            dialect::bind(arguments, cell)?;
        }
        Ok(())
    }

    async fn forget_tombstones(&mut self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM host_tombstones WHERE id {}",
            dialect::in_list("$1")
        );
        let delete = sqlx::query(AssertSqlSafe(sql)).bind(json_list(ids));
        delete.execute(&mut **self.tx).await?;
        Ok(())
    }
}
