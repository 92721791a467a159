//! Keys whose entries are made later.
//!
//! The key index is sorted by hashes, so the keys of a page of new records
//! touch as many pages of the index as there are keys, and a first sync would
//! spend most of its time there. While an entity's first pass runs, keys are
//! therefore gathered and entered many thousands at a time, sorted. Until then
//! `host_sync.keys_behind` says behind which row they are missing; who reads by
//! key looks at those rows one by one. What is gathered is in memory only: it
//! can be made again from the rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rollout_catalog::{Cell, Match};
use tokio::sync::OwnedMutexGuard;

use super::{Fence, Landing, Page};
use crate::database::{Row, Tx, Value, statement};
use crate::dialect;
use crate::keys::Keys;
use crate::table::EntityTable;
use crate::{EnvStore, Result, StoreError};

/// Keys that a store gathers, for all syncs together: 16 bytes each.
const GATHERED_MAX: usize = 128 * 1024;

/// Gathered keys by credential and entity.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    by_sync: Mutex<HashMap<(String, String), Place>>,
    /// Keys in all of them.
    keys: AtomicUsize,
}

type Place = Arc<tokio::sync::Mutex<Option<Backlog>>>;

/// The keys of one entity's rows behind `behind`.
#[derive(Debug)]
pub(crate) struct Backlog {
    behind: i64,
    /// The token of the lease under which they were gathered: whoever had the
    /// sync in between landed rows that are not here.
    token: i64,
    keys: Vec<(i64, i64)>,
}

/// Whoever lands holds this from before his transaction until after it, so
/// that what is gathered and what is stored agree.
pub(crate) struct Gathered<'s> {
    backlogs: &'s Backlogs,
    backlog: OwnedMutexGuard<Option<Backlog>>,
}

impl EnvStore {
    pub(crate) async fn gathered(&self, credential_id: &str, entity: &str) -> Gathered<'_> {
        let name = (credential_id.to_owned(), entity.to_owned());
        let place = self
            .backlogs
            .by_sync
            .lock()
            .entry(name)
            .or_default()
            .clone();
        Gathered {
            backlogs: &self.backlogs,
            backlog: place.lock_owned().await,
        }
    }

    /// Drops what was gathered for a credential that is gone.
    pub(crate) fn forget_gathered(&self, credential_id: &str) {
        let mut by_sync = self.backlogs.by_sync.lock();
        by_sync.retain(|(credential, _), place| {
            let gone = credential == credential_id;
            if gone && let Ok(backlog) = place.try_lock() {
                self.backlogs.count_out(backlog.as_ref());
            }
            !gone
        });
    }

    /// Enters what was gathered for an entity whose first pass is over: a page
    /// with nothing on it does.
    pub(crate) async fn enter_keys(&self, credential_id: &str, entity: &str) -> Result<()> {
        let credential = self.credential(credential_id).await?;
        let credential = credential.ok_or(StoreError::NotFound("credential"))?;
        self.land(Page::new(&credential, entity, 0, 0))
            .await
            .map(drop)
    }
}

impl Backlogs {
    fn count_out(&self, backlog: Option<&Backlog>) {
        let keys = backlog.map_or(0, |backlog| backlog.keys.len());
        self.keys.fetch_sub(keys, Ordering::Relaxed);
    }
}

impl Gathered<'_> {
    /// Takes what was gathered before the page, from the rows if need be. What
    /// is no sync's leaves it alone while the first pass runs.
    pub(super) async fn take(
        &mut self,
        tx: &mut Tx,
        table: &EntityTable,
        page: &Page<'_>,
        fence: &Fence,
    ) -> Result<Option<Backlog>> {
        let kept = self.backlog.take();
        self.backlogs.count_out(kept.as_ref());
        let Some(behind) = fence.keys_behind else {
            return Ok(None);
        };
        let token = page.lease.map_or(0, |lease| lease.token);
        match kept {
            Some(kept) if kept.behind == behind && kept.token == token => Ok(Some(kept)),
            _ => Backlog::of_rows(tx, table, &page.credential.id, behind, token)
                .await
                .map(Some),
        }
    }

    /// Keeps what a page that is stored now left to be entered.
    pub(crate) fn keep(&mut self, backlog: Option<Backlog>) {
        if let Some(backlog) = backlog {
            let keys = backlog.keys.len();
            self.backlogs.keys.fetch_add(keys, Ordering::Relaxed);
            *self.backlog = Some(backlog);
        }
    }

    pub(super) fn room(&self) -> usize {
        GATHERED_MAX.saturating_sub(self.backlogs.keys.load(Ordering::Relaxed))
    }
}

impl Backlog {
    /// Behind which row keys are missing.
    pub(super) fn behind(&self) -> i64 {
        self.behind
    }

    async fn of_rows(
        tx: &mut Tx,
        table: &EntityTable,
        credential_id: &str,
        behind: i64,
        token: i64,
    ) -> Result<Self> {
        if table.keyed.is_empty() {
            let keys = Vec::new();
            return Ok(Self {
                behind,
                token,
                keys,
            });
        }
        let columns: Vec<String> = table
            .keyed
            .iter()
            .map(|column| table.dialect.as_text(&dialect::quote(&column.name)))
            .collect();
        let sql = format!(
            "SELECT host_seq, {} FROM {} WHERE \"credentialId\" = $1 AND host_seq > $2",
            columns.join(", "),
            table.sql_name,
        );
        let keys_of = Keys::new(credential_id);
        let mut keys = Vec::new();
        let mut found = Vec::new();
        let rows = statement(sql).bind(credential_id).bind(behind);
        let read = |row: Row<'_>| {
            let seq: i64 = row.get(0)?;
            for (at, column) in table.keyed.iter().enumerate() {
                let text = row.get::<Option<String>>(at + 1)?.unwrap_or_default();
                let cell = if column.matching == Match::Digits {
                    Cell::Text(text)
                } else {
                    Cell::Json(text)
                };
                keys_of.collect(column, &cell, &mut found);
            }
            keys.extend(found.drain(..).map(|key| (key, seq)));
            Ok(())
        };
        rows.each(&mut *tx, read).await?;
        Ok(Self {
            behind,
            token,
            keys,
        })
    }
}

impl Landing<'_, '_> {
    /// Gathers the keys of a first pass's new rows; enters all others, and with
    /// them what was gathered once it is enough or the first pass is over.
    pub(super) async fn keep_keys(
        &mut self,
        keys: Vec<(i64, i64)>,
        first_seq: Option<i64>,
    ) -> Result<()> {
        if !self.gathers {
            let mut all = self
                .backlog
                .take()
                .map(|backlog| backlog.keys)
                .unwrap_or_default();
            all.extend(keys);
            return self.enter(all).await;
        }
        if self.backlog.is_none() {
            self.backlog = first_seq.map(|seq| Backlog {
                behind: seq - 1,
                token: self.page.lease.map_or(0, |lease| lease.token),
                keys: Vec::new(),
            });
        }
        let Some(mut backlog) = self.backlog.take() else {
            return self.enter(keys).await;
        };
        let (new, known): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(_, seq)| *seq > backlog.behind);
        self.enter(known).await?;
        backlog.keys.extend(new);
        if backlog.keys.len() > self.room {
            return self.enter(backlog.keys).await;
        }
        self.backlog = Some(backlog);
        Ok(())
    }

    /// Sorted, because neighbours in the index share its pages.
    async fn enter(&mut self, mut keys: Vec<(i64, i64)>) -> Result<()> {
        keys.sort_unstable();
        keys.dedup();
        let rows = keys
            .into_iter()
            .map(|(key, seq)| vec![Value::from(key), Value::from(seq)]);
        self.table.key_insert.run(self.tx, rows.collect()).await
    }
}
