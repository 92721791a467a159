//! The rows of a page: what is there already, what is written.

use std::collections::HashMap;
use std::sync::Arc;

use rollout_catalog::{Catalog, Cell};
use serde::Deserialize;

use super::{Candidate, Landing};
use crate::clock::api_time;
use crate::database::{Value, statement};
use crate::{Result, StoreError, rereads};

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
    /// A newer version of the program wrote it, whose fields are not known here.
    Newer {
        catalog: i64,
    },
    Create {
        reappears: bool,
    },
    Update {
        seq: i64,
    },
    UpdateSilently {
        seq: i64,
    },
}

/// A row to be written.
struct Row {
    candidate: Candidate,
    place: Place,
}

/// Where a row goes, and whether anybody is told.
#[derive(Clone, Copy)]
enum Place {
    New { reappears: bool },
    Told(i64),
    Silent(i64),
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
        let mut newer = Vec::new();
        let mut rows = Vec::with_capacity(candidates.len());
        let mut scratch = Vec::with_capacity(2048);
        for candidate in candidates {
            let found = stored.get(candidate.id.as_str());
            let found = found.map(|row| {
                self.met.extend(row.2);
                row.read()
                    .ok_or_else(|| StoreError::Corrupt(format!("the row {}", row.0)))
            });
            let place = match self.verdict(&candidate, found.transpose()?, &mut scratch) {
                Verdict::Unchanged => {
                    self.outcome.unchanged += 1;
                    continue;
                }
                Verdict::Stale => {
                    self.outcome.stale.push(candidate.record.upstream_id);
                    continue;
                }
                Verdict::Newer { catalog } => {
                    newer.push(vec![
                        candidate.id.into(),
                        (&self.page.credential.id).into(),
                        self.page.entity.into(),
                        candidate.record.upstream_id.into(),
                        catalog.into(),
                    ]);
                    continue;
                }
                Verdict::Create { reappears } => Place::New { reappears },
                Verdict::Update { seq } => Place::Told(seq),
                Verdict::UpdateSilently { seq } => Place::Silent(seq),
            };
            rows.push(Row { candidate, place });
        }
        let new = rows
            .iter()
            .filter(|row| matches!(row.place, Place::New { .. }));
        let mut seqs = self.draw_seqs(new.count()).await?.into_iter();
        let mut first_seq = None;
        let mut keys = Vec::new();
        let mut reappeared = Vec::new();
        let (mut new, mut known) = (Vec::with_capacity(rows.len()), Vec::new());
        let now = api_time(self.page.now)?;
        for Row {
            mut candidate,
            place,
        } in rows
        {
            let (seq, own) = match place {
                Place::New { reappears } => {
                    let seq = seqs.next();
                    let seq = seq.ok_or_else(|| StoreError::Internal("too few numbers".into()))?;
                    first_seq.get_or_insert(seq);
                    if reappears {
                        reappeared.push(candidate.id.clone());
                    }
                    self.outcome.created.push(candidate.id.clone());
                    self.met.push(seq);
                    (seq, Some(seq))
                }
                Place::Told(seq) => {
                    self.outcome.updated.push(candidate.id.clone());
                    (seq, self.table.dialect.kept_seq(seq))
                }
                Place::Silent(seq) => {
                    self.outcome.silent += 1;
                    (seq, self.table.dialect.kept_seq(seq))
                }
            };
            keys.extend(candidate.keys.drain(..).map(|key| (key, seq)));
            let updated = (!matches!(place, Place::Silent(_))).then(|| now.clone());
            let values = self.values(candidate, own, updated);
            match place {
                Place::New { .. } => new.push(values),
                Place::Told(_) | Place::Silent(_) => known.push(values),
            }
        }
        self.table.create.run(self.tx, new).await?;
        self.table.update.run(self.tx, known).await?;
        self.keep_keys(keys, first_seq).await?;
        rereads::note(self.tx, newer).await?;
        self.forget_tombstones(reappeared).await
    }

    /// What is stored under the candidates' ids, as JSON.
    async fn stored(&mut self, candidates: &[Candidate]) -> Result<String> {
        let ids: Vec<String> = candidates
            .iter()
            .map(|candidate| candidate.id.clone())
            .collect();
        let stored = statement(Arc::clone(&self.table.stored)).bind(ids);
        stored.one(&mut *self.tx).await
    }

    /// Places in the order of landing for so many new rows.
    async fn draw_seqs(&mut self, count: usize) -> Result<Vec<i64>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let draw = self.table.dialect.draw_seqs(&self.table.entity.table);
        let draw = statement(draw).bind(i64::try_from(count).unwrap_or(i64::MAX));
        draw.all(&mut *self.tx).await
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
                if stamp > self.page.stamp {
                    return Verdict::Stale;
                }
                if catalog > current {
                    return Verdict::Newer { catalog };
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

    /// A row's values in the order of the landing statement's columns.
    fn values(
        &self,
        candidate: Candidate,
        seq: Option<i64>,
        updated: Option<String>,
    ) -> Vec<Value> {
        let Candidate {
            id,
            record,
            hash,
            original_hash,
            ..
        } = candidate;
        let mut values = Vec::with_capacity(12 + self.table.types.len());
        values.extend([
            Value::Integer(seq),
            Value::from(id),
            Value::from(&self.page.credential.id),
            Value::from(&self.page.credential.app_key),
            Value::from(record.upstream_id),
            Value::from(hash.to_be_bytes().to_vec()),
            Value::from(original_hash.to_be_bytes().to_vec()),
            Value::from(self.page.stamp),
            Value::from(i64::from(Catalog::VERSION)),
            Value::Time(updated),
            Value::Json(Some(record.original_ids)),
            Value::Json(Some(record.original)),
        ]);
        let cells = record
            .cells
            .into_iter()
            .chain(std::iter::repeat(Cell::Null));
        values.extend(
            self.table
                .types
                .iter()
                .zip(cells)
                .map(|(kind, cell)| kind.value(cell)),
        );
        values
    }

    async fn forget_tombstones(&mut self, ids: Vec<String>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let forget = format!(
            "DELETE FROM host_tombstones WHERE id {}",
            self.table.dialect.in_list("$1")
        );
        statement(forget).bind(ids).execute(&mut *self.tx).await?;
        Ok(())
    }
}
