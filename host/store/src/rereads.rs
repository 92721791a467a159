//! Records that a newer version of the program has to read once more.
//!
//! While two versions work side by side, the older one does not rewrite a row of
//! the newer one: it doesn't know all of its fields. But it may be the one that the
//! app tells of a change, and tells once. So it notes the record, and the next pass
//! that a newer process runs asks for it.

use rollout_catalog::Catalog;

use crate::database::{Tx, Value, statement};
use crate::dialect::{Insert, Type};
use crate::{EnvStore, Result};

/// Notes records: this host's id, credential, entity, the app's id, and the version
/// of the catalogue that knows them.
pub(crate) async fn note(tx: &mut Tx, records: Vec<Vec<Value>>) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let columns = [
        ("id", Type::Text),
        ("credential_id", Type::Text),
        ("entity", Type::Text),
        ("upstream_id", Type::Text),
        ("catalog", Type::Integer),
    ];
    let insert = Insert::new(
        tx.dialect(),
        "host_rereads",
        &columns,
        "ON CONFLICT DO NOTHING",
    );
    insert.run(tx, records).await
}

impl EnvStore {
    /// The app's ids of records that this version knows how to read and that are to
    /// be read once more, by their ids here.
    pub async fn rereads(
        &self,
        credential_id: &str,
        entity: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>> {
        let limited = self.db.dialect().limit("$4");
        let noted = format!(
            "SELECT id, upstream_id FROM host_rereads WHERE credential_id = $1 AND entity = $2 \
             AND catalog <= $3 ORDER BY id LIMIT {limited}"
        );
        statement(noted)
            .bind(credential_id)
            .bind(entity)
            .bind(i64::from(Catalog::VERSION))
            .bind(i64::from(limit))
            .all(&self.db)
            .await
    }

    /// They were read once more.
    pub async fn reread(&self, ids: &[String]) -> Result<()> {
        let mut tx = self.db.write().await?;
        let in_list = tx.dialect().in_list("$1");
        let done = statement(format!("DELETE FROM host_rereads WHERE id {in_list}"));
        done.bind(ids).execute(&mut tx).await?;
        self.db.commit(tx).await
    }
}
