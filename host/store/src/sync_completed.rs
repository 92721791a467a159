//! The end of a credential's first sync, told once.

use serde_json::json;

use crate::database::{Tx, query};
use crate::outbox::Happened;
use crate::{Credential, EnvStore, Result, now};

/// Tells that a credential's first sync is complete if it has just become so: each of
/// its entities was read once, or may not be read. For transactions that change what
/// can be read, after they locked the credential, so that of two which end its last
/// entities the second one sees what the first one did.
pub(crate) async fn tell(store: &EnvStore, tx: &mut Tx, credential_id: &str) -> Result<()> {
    let completed: Option<Credential> = query(
        "UPDATE host_credentials SET first_synced_at = $2 \
         WHERE id = $1 AND first_synced_at IS NULL \
         AND EXISTS (SELECT 1 FROM host_sync WHERE credential_id = $1) \
         AND NOT EXISTS (SELECT 1 FROM host_sync WHERE credential_id = $1 \
         AND first_done_at IS NULL AND status <> 'unavailable') RETURNING *",
    )
    .bind(credential_id)
    .bind(now())
    .optional(&mut *tx)
    .await?;
    let Some(credential) = completed else {
        return Ok(());
    };
    let consumers: Vec<(String, String)> = query(
        "SELECT u.id, u.key FROM host_consumers u JOIN host_credential_consumers s \
         ON s.consumer_id = u.id WHERE s.credential_id = $1 ORDER BY u.id",
    )
    .bind(credential_id)
    .all(&mut *tx)
    .await?;
    let consumers = consumers.into_iter();
    let consumers: Vec<_> = consumers
        .map(|(id, key)| json!({"id": id, "consumerKey": key}))
        .collect();
    let data = json!({
        "credential": {"id": credential.id, "appKey": credential.app_key},
        "consumers": consumers,
    });
    let completed = Happened::SyncCompleted;
    let outbox = &store.outbox;
    outbox
        .credential(tx, &credential, completed, Some(data.to_string()))
        .await
}
