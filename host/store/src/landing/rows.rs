//! The rows of a page: what is there already, what is written.

use std::collections::HashMap;

use rollout_catalog::{Catalog, Cell};
use sqlx::{Arguments as _, AssertSqlSafe, Row as _};

use super::{Candidate, Landing, json_list};
use crate::dialect::{self, Arguments};
use crate::{Result, api_time};

/// What is stored under a record's id.
enum Stored {
    Row { seq: i64, hash: Vec<u8>, original_hash: Vec<u8>, stamp: i64, catalog: i64 },
    Tombstone { stamp: i64 },
}

/// What becomes of a candidate.
enum Verdict {
    Unchanged,
    Stale,
    Create { reappears: bool },
    Update { seq: i64 },
    UpdateSilently { seq: i64 },
}

impl Landing<'_, '_> {
    pub(super) async fn rows(&mut self, candidates: Vec<Candidate>) -> Result<()> {
        if candidates.is_empty() {
            return Ok(());
        }
        let stored = self.stored(&candidates).await?;
        let mut written = Vec::with_capacity(candidates.len());
        let mut reappeared = Vec::new();
        let mut keys = Vec::new();
        let mut scratch = Vec::with_capacity(2048);
        for mut candidate in candidates {
            match self.verdict(&candidate, stored.get(&candidate.id), &mut scratch) {
                Verdict::Unchanged => self.outcome.unchanged += 1,
                Verdict::Stale => self.outcome.stale.push(candidate.record.upstream_id),
                Verdict::Create { reappears } => {
                    if reappears {
                        reappeared.push(candidate.id.clone());
                    }
                    self.outcome.created.push(candidate.id.clone());
                    written.push((candidate, true));
                }
                Verdict::Update { seq } => {
                    keys.extend(candidate.keys.drain(..).map(|key| (key, seq)));
                    self.outcome.updated.push(candidate.id.clone());
                    written.push((candidate, true));
                }
                Verdict::UpdateSilently { seq } => {
                    keys.extend(candidate.keys.drain(..).map(|key| (key, seq)));
                    self.outcome.silent += 1;
                    written.push((candidate, false));
                }
            }
        }
        self.upsert(written, &mut keys).await?;
        self.insert_keys(keys).await?;
        self.forget_tombstones(&reappeared).await
    }

    /// What is stored under the candidates' ids.
    async fn stored(&mut self, candidates: &[Candidate]) -> Result<HashMap<String, Stored>> {
        let ids: Vec<&str> = candidates.iter().map(|candidate| candidate.id.as_str()).collect();
        let sql = format!(
            "SELECT \"id\", host_stamp, host_seq, host_catalog, host_hash, host_original_hash \
             FROM {} WHERE \"id\" {ids} \
             UNION ALL SELECT id, stamp, NULL, NULL, NULL, NULL FROM host_tombstones WHERE id {ids}",
            self.table.sql_name,
            ids = dialect::in_list("$1"),
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(json_list(&ids));
        let mut stored = HashMap::new();
        for row in rows.fetch_all(&mut **self.tx).await? {
            let stamp = row.try_get(1)?;
            let is = match row.try_get(2)? {
                None => Stored::Tombstone { stamp },
                Some(seq) => Stored::Row {
                    seq,
                    stamp,
                    catalog: row.try_get(3)?,
                    hash: row.try_get(4)?,
                    original_hash: row.try_get(5)?,
                },
            };
            stored.insert(row.try_get(0)?, is);
        }
        Ok(stored)
    }

    fn verdict(&self, candidate: &Candidate, stored: Option<&Stored>, scratch: &mut Vec<u8>) -> Verdict {
        match stored {
            None => Verdict::Create { reappears: false },
            Some(Stored::Tombstone { stamp }) if *stamp > self.page.stamp => Verdict::Stale,
            Some(Stored::Tombstone { .. }) => Verdict::Create { reappears: true },
            Some(Stored::Row { seq, hash, original_hash, stamp, catalog }) => {
                let same_fields = hash.as_slice() == candidate.hash;
                if same_fields && original_hash.as_slice() == candidate.original_hash {
                    return Verdict::Unchanged;
                }
                if *stamp > self.page.stamp || *catalog > i64::from(Catalog::VERSION) {
                    return Verdict::Stale;
                }
                let mut same_under_its_catalog = || {
                    *catalog < i64::from(Catalog::VERSION)
                        && self.table.hash_as_of(*catalog, &candidate.record.cells, scratch)
                            == hash.as_slice()
                };
                if same_fields || same_under_its_catalog() {
                    Verdict::UpdateSilently { seq: *seq }
                } else {
                    Verdict::Update { seq: *seq }
                }
            }
        }
    }

    /// Writes the rows; those that everybody is told of get a new
    /// `rolloutUpdated`. Adds the keys of new rows.
    async fn upsert(
        &mut self,
        rows: Vec<(Candidate, bool)>,
        keys: &mut Vec<(i64, i64)>,
    ) -> Result<()> {
        let now = api_time(self.page.now)?;
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let (size, sql) = self.table.upsert(left);
            left -= size;
            let mut arguments = Arguments::default();
            let mut new_keys = HashMap::with_capacity(size);
            for (candidate, told) in rows.by_ref().take(size) {
                if !candidate.keys.is_empty() {
                    new_keys.insert(candidate.id.clone(), candidate.keys.clone());
                }
                let updated = told.then(|| now.clone());
                self.bind(&mut arguments, candidate, updated).map_err(sqlx::Error::Encode)?;
            }
            let written = sqlx::query_with(AssertSqlSafe(sql), arguments);
            for row in written.fetch_all(&mut **self.tx).await? {
                let seq: i64 = row.try_get(1)?;
                if let Some(found) = new_keys.get(row.try_get::<&str, _>(0)?) {
                    keys.extend(found.iter().map(|key| (*key, seq)));
                }
            }
        }
        Ok(())
    }

    /// Adds a row's values in the order of the landing statement's columns.
    fn bind(
        &self,
        arguments: &mut Arguments,
        candidate: Candidate,
        updated: Option<String>,
    ) -> Result<(), sqlx::error::BoxDynError> {
        let Candidate { id, record, hash, original_hash, .. } = candidate;
        arguments.add(id)?;
        arguments.add(self.page.credential.id.as_str())?;
        arguments.add(self.page.credential.app_key.as_str())?;
        arguments.add(record.upstream_id)?;
        arguments.add(hash.as_slice())?;
        arguments.add(original_hash.as_slice())?;
        arguments.add(self.page.stamp)?;
        arguments.add(i64::from(Catalog::VERSION))?;
        arguments.add(updated)?;
        arguments.add(record.original_ids)?;
        arguments.add(record.original)?;
        let missing = self.table.entity.columns().len().saturating_sub(record.cells.len());
        let cells = record.cells.into_iter().chain(std::iter::repeat_n(Cell::Null, missing));
        for cell in cells.take(self.table.entity.columns().len()) {
            dialect::bind(arguments, cell)?;
        }
        Ok(())
    }

    /// Sorted, because neighbours in the index share its pages.
    async fn insert_keys(&mut self, mut keys: Vec<(i64, i64)>) -> Result<()> {
        keys.sort_unstable();
        keys.dedup();
        let mut keys = keys.as_slice();
        while !keys.is_empty() {
            let (size, sql) = self.table.key_insert(keys.len());
            let (chunk, rest) = keys.split_at(size);
            keys = rest;
            let mut insert = sqlx::query(AssertSqlSafe(sql));
            for (key, seq) in chunk {
                insert = insert.bind(*key).bind(*seq);
            }
            insert.execute(&mut **self.tx).await?;
        }
        Ok(())
    }

    async fn forget_tombstones(&mut self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = format!("DELETE FROM host_tombstones WHERE id {}", dialect::in_list("$1"));
        let delete = sqlx::query(AssertSqlSafe(sql)).bind(json_list(ids));
        delete.execute(&mut **self.tx).await?;
        Ok(())
    }
}
