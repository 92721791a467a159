//! What a page brings beside rows: deletions, references, records set aside.

use std::collections::{HashMap, HashSet};

use sqlx::AssertSqlSafe;

use super::{Landing, chunks, json_list};
use crate::ids::{RecordIds, Reference};
use crate::{EnvStore, Result, dialect};

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
        let list: Vec<&str> = upstream.keys().map(String::as_str).collect();
        let list = json_list(&list);
        let newer = format!(
            "SELECT \"id\" FROM {} WHERE \"id\" {} AND host_stamp > $2",
            self.table.sql_name,
            dialect::in_list("$1"),
        );
        let newer = sqlx::query_scalar(AssertSqlSafe(newer))
            .bind(&list)
            .bind(self.page.stamp);
        let newer: Vec<String> = newer.fetch_all(&mut **self.tx).await?;
        let delete = format!(
            "DELETE FROM {} WHERE \"id\" {} AND host_stamp <= $2 RETURNING \"id\"",
            self.table.sql_name,
            dialect::in_list("$1"),
        );
        let delete = sqlx::query_scalar(AssertSqlSafe(delete))
            .bind(&list)
            .bind(self.page.stamp);
        self.outcome.deleted = delete.fetch_all(&mut **self.tx).await?;
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
        for chunk in chunks(gone) {
            let sql = format!(
                "INSERT INTO host_tombstones (id, credential_id, entity, upstream_id, stamp, at) {} \
                 ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp, at = excluded.at \
                 WHERE host_tombstones.stamp < excluded.stamp",
                dialect::values(6, chunk.len()),
            );
            let mut insert = sqlx::query(AssertSqlSafe(sql));
            for (id, upstream) in chunk {
                insert = insert.bind(*id).bind(self.page.credential.id.as_str());
                insert = insert.bind(self.page.entity).bind(*upstream);
                insert = insert.bind(self.page.stamp).bind(self.page.now);
            }
            insert.execute(&mut **self.tx).await?;
        }
        Ok(())
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
                let ids: Vec<&str> = references
                    .iter()
                    .map(|reference| reference.id.as_str())
                    .collect();
                let known = format!(
                    "SELECT \"id\" FROM {} WHERE \"id\" {}",
                    table.sql_name,
                    dialect::in_list("$1")
                );
                let known = sqlx::query_scalar(AssertSqlSafe(known)).bind(json_list(&ids));
                let known: Vec<String> = known.fetch_all(&mut **self.tx).await?;
                let known: HashSet<String> = known.into_iter().collect();
                references.retain(|reference| !known.contains(&reference.id));
            }
            references.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            for chunk in chunks(&references) {
                let sql = format!(
                    "INSERT INTO host_ids (id, credential_id, entity, upstream_id) {} \
                     ON CONFLICT DO NOTHING",
                    dialect::values(4, chunk.len()),
                );
                let mut insert = sqlx::query(AssertSqlSafe(sql));
                for reference in chunk {
                    insert = insert.bind(reference.id.as_str());
                    insert = insert.bind(self.page.credential.id.as_str());
                    insert = insert.bind(reference.entity.as_str());
                    insert = insert.bind(reference.upstream_id.as_str());
                }
                insert.execute(&mut **self.tx).await?;
            }
        }
        Ok(())
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
            dialect::in_list("$3"),
        );
        let back: Vec<String> = landed
            .into_iter()
            .chain(self.page.deleted.iter().cloned())
            .collect();
        let delete = sqlx::query(AssertSqlSafe(sql))
            .bind(credential)
            .bind(entity)
            .bind(json_list(&back));
        delete.execute(&mut **self.tx).await?;
        for quarantined in &self.page.quarantined {
            sqlx::query(
                "INSERT INTO host_quarantine (credential_id, entity, upstream_id, reason, at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (credential_id, entity, upstream_id) \
                 DO UPDATE SET reason = excluded.reason, at = excluded.at",
            )
            .bind(credential)
            .bind(entity)
            .bind(&quarantined.upstream_id)
            .bind(&quarantined.reason)
            .bind(self.page.now)
            .execute(&mut **self.tx)
            .await?;
        }
        let count = sqlx::query_scalar(
            "SELECT COUNT(*) FROM host_quarantine WHERE credential_id = $1 AND entity = $2",
        );
        Ok(count
            .bind(credential)
            .bind(entity)
            .fetch_one(&mut **self.tx)
            .await?)
    }
}
