//! What a page brings beside rows: deletions, references, records set aside.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Landing;
use crate::database::{query, statement};
use crate::dialect::{Insert, Type};
use crate::ids::{RecordIds, Reference};
use crate::{EnvStore, Result, full_passes};

impl Landing<'_, '_> {
    /// Removes rows and leaves tombstones, also of records that never were
    /// here: an older page must not bring them.
    pub(super) async fn deletions(&mut self) -> Result<()> {
        if self.page.deleted.is_empty() {
            return Ok(());
        }
        let credential = self.page.credential;
        let ids = RecordIds::new(&credential.id, credential.created_at, self.page.entity);
        let upstream: HashMap<String, &str> = self
            .page
            .deleted
            .iter()
            .map(|upstream| (ids.id(upstream), upstream.as_str()))
            .collect();
        let list: Vec<String> = upstream.keys().cloned().collect();
        let in_list = self.table.dialect.in_list("$1");
        let newer = format!(
            "SELECT \"id\" FROM {} WHERE \"id\" {in_list} AND host_stamp > $2",
            self.table.sql_name,
        );
        let newer = statement(newer).bind(list.clone()).bind(self.page.stamp);
        let newer: Vec<String> = newer.all(&mut *self.tx).await?;
        let delete = format!(
            "DELETE FROM {} WHERE \"id\" {in_list} AND host_stamp <= $2 RETURNING \"id\"",
            self.table.sql_name,
        );
        let delete = statement(delete).bind(list).bind(self.page.stamp);
        self.outcome.deleted = delete.all(&mut *self.tx).await?;
        let gone = upstream.iter().filter(|(id, _)| !newer.contains(id));
        let gone: Vec<(&str, &str)> = gone
            .map(|(id, upstream)| (id.as_str(), *upstream))
            .collect();
        self.outcome.stale.extend(
            newer
                .iter()
                .filter_map(|id| Some((*upstream.get(id)?).to_owned())),
        );
        self.insert_tombstones(&gone).await
    }

    async fn insert_tombstones(&mut self, gone: &[(&str, &str)]) -> Result<()> {
        let rows = gone.iter().map(|(id, upstream)| {
            vec![
                (*id).into(),
                (&self.page.credential.id).into(),
                self.page.entity.into(),
                (*upstream).into(),
                self.page.stamp.into(),
                self.page.now.into(),
            ]
        });
        let rows = rows.collect();
        let insert = Insert::new(
            self.table.dialect,
            "host_tombstones",
            &[
                ("id", Type::Text),
                ("credential_id", Type::Text),
                ("entity", Type::Text),
                ("upstream_id", Type::Text),
                ("stamp", Type::Integer),
                ("at", Type::Integer),
            ],
            "ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp, at = excluded.at \
             WHERE host_tombstones.stamp < excluded.stamp",
        );
        insert.run(self.tx, rows).await
    }

    /// Keeps the ids that were given out for records which are not here. Those
    /// of records that are need no second place.
    pub(super) async fn references(&mut self, store: &EnvStore) -> Result<()> {
        let mut by_entity: HashMap<&str, Vec<&Reference>> = HashMap::new();
        for reference in &self.page.references {
            by_entity
                .entry(&reference.entity)
                .or_default()
                .push(reference);
        }
        for (entity, mut references) in by_entity {
            if let Ok(table) = store.table(entity) {
                let ids: Vec<String> = references
                    .iter()
                    .map(|reference| reference.id.clone())
                    .collect();
                let known = format!(
                    "SELECT \"id\" FROM {} WHERE \"id\" {}",
                    table.sql_name,
                    table.dialect.in_list("$1")
                );
                let known: Vec<String> = statement(known).bind(ids).all(&mut *self.tx).await?;
                let known: HashSet<String> = known.into_iter().collect();
                references.retain(|reference| !known.contains(&reference.id));
            }
            if references.is_empty() {
                continue;
            }
            references.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            let rows = references.iter().map(|reference| {
                vec![
                    (&reference.id).into(),
                    (&self.page.credential.id).into(),
                    (&reference.entity).into(),
                    (&reference.upstream_id).into(),
                ]
            });
            let rows = rows.collect();
            let insert = Insert::new(
                self.table.dialect,
                "host_ids",
                &[
                    ("id", Type::Text),
                    ("credential_id", Type::Text),
                    ("entity", Type::Text),
                    ("upstream_id", Type::Text),
                ],
                "ON CONFLICT DO NOTHING",
            );
            insert.run(self.tx, rows).await?;
        }
        Ok(())
    }

    /// Notes for a full pass which rows the page met. A record that is set aside is
    /// there too.
    pub(super) async fn met(&mut self) -> Result<()> {
        let Some(full) = &self.page.full else {
            return Ok(());
        };
        let mut met = std::mem::take(&mut self.met);
        if !self.page.quarantined.is_empty() {
            let credential = self.page.credential;
            let ids = RecordIds::new(&credential.id, credential.created_at, self.page.entity);
            let aside = self.page.quarantined.iter();
            let aside: Vec<String> = aside.map(|one| ids.id(&one.upstream_id)).collect();
            let rows = format!(
                "SELECT host_seq FROM {} WHERE \"id\" {}",
                self.table.sql_name,
                self.table.dialect.in_list("$1")
            );
            met.extend(
                statement(rows)
                    .bind(aside)
                    .all::<i64>(&mut *self.tx)
                    .await?,
            );
        }
        full_passes::meet(self.tx, full.pass, met).await
    }

    /// Sets records aside; those that could be read this time come back.
    /// Answers how many are set aside then.
    pub(super) async fn quarantine(&mut self, before: i64, landed: Vec<String>) -> Result<i64> {
        if self.page.quarantined.is_empty() && before == 0 {
            return Ok(0);
        }
        let (credential, entity) = (self.page.credential.id.as_str(), self.page.entity);
        let sql = format!(
            "DELETE FROM host_quarantine WHERE credential_id = $1 AND entity = $2 \
             AND upstream_id {}",
            self.table.dialect.in_list("$3"),
        );
        let back: Vec<String> = landed
            .into_iter()
            .chain(self.page.deleted.iter().cloned())
            .collect();
        let delete = statement(sql).bind(credential).bind(entity).bind(back);
        delete.execute(&mut *self.tx).await?;
        // One statement may not meet one of them twice; records without an id share
        // a place.
        let aside: BTreeMap<&str, &str> = (self.page.quarantined.iter())
            .map(|one| (one.upstream_id.as_str(), one.reason.as_str()))
            .collect();
        let rows = aside.into_iter().map(|(upstream_id, reason)| {
            vec![
                credential.into(),
                entity.into(),
                upstream_id.into(),
                reason.into(),
                self.page.now.into(),
            ]
        });
        let rows = rows.collect();
        let insert = Insert::new(
            self.table.dialect,
            "host_quarantine",
            &[
                ("credential_id", Type::Text),
                ("entity", Type::Text),
                ("upstream_id", Type::Text),
                ("reason", Type::Text),
                ("at", Type::Integer),
            ],
            "ON CONFLICT (credential_id, entity, upstream_id) \
             DO UPDATE SET reason = excluded.reason, at = excluded.at",
        );
        insert.run(self.tx, rows).await?;
        let count =
            query("SELECT COUNT(*) FROM host_quarantine WHERE credential_id = $1 AND entity = $2");
        count.bind(credential).bind(entity).one(&mut *self.tx).await
    }
}
