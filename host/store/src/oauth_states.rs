//! Sign-ins that were begun: what the app's redirect comes back to, once.

use std::time::Duration;

use crate::database::{FromRow, Row, statement};
use crate::{EnvStore, Result, millis};

/// For how long it is known that a sign-in ended or ran out.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// What there is of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OAuthState {
    /// It is under way, and from now on used. Holds what was sealed.
    Fresh {
        /// What the window that began it knows it by.
        request_id: String,
        /// What was stored, sealed by the caller.
        sealed: String,
    },
    /// It took too long.
    Expired {
        /// What the window that began it knows it by.
        request_id: String,
    },
    /// The app's redirect came before.
    Used {
        /// What the window that began it knows it by.
        request_id: String,
    },
    /// There is no such sign-in.
    Unknown,
}

struct Found {
    request_id: String,
    sealed: String,
    left: i64,
    used_at: Option<i64>,
}

impl FromRow for Found {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            request_id: row.get("request_id")?,
            sealed: row.get("sealed")?,
            left: row.get("time_left")?,
            used_at: row.get("used_at")?,
        })
    }
}

impl EnvStore {
    /// Notes a sign-in that begins, under the hash of its state.
    pub async fn begin_oauth(
        &self,
        hash: &str,
        request_id: &str,
        sealed: &str,
        life: Duration,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        let begin = tx.dialect().text(
            "INSERT INTO host_oauth_states (hash, request_id, sealed, expires_at) \
             VALUES ($1, $2, $3, {now} + $4)",
        );
        statement(begin)
            .bind(hash)
            .bind(request_id)
            .bind(sealed)
            .bind(millis(life))
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// Takes a sign-in up: of all who ask, one is told what was sealed.
    pub async fn use_oauth(&self, hash: &str) -> Result<OAuthState> {
        let mut tx = self.db.write().await?;
        let find = tx.dialect().text(
            "SELECT request_id, sealed, expires_at - {now} AS time_left, used_at \
             FROM host_oauth_states WHERE hash = $1 {held}",
        );
        let found: Option<Found> = statement(find).bind(hash).optional(&mut tx).await?;
        let Some(found) = found else {
            return Ok(OAuthState::Unknown);
        };
        let request_id = found.request_id;
        if found.used_at.is_some() {
            return Ok(OAuthState::Used { request_id });
        }
        if found.left <= 0 {
            return Ok(OAuthState::Expired { request_id });
        }
        let used = tx
            .dialect()
            .text("UPDATE host_oauth_states SET used_at = {now}, sealed = '' WHERE hash = $1");
        statement(used).bind(hash).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(OAuthState::Fresh {
            request_id,
            sealed: found.sealed,
        })
    }

    /// Forgets sign-ins that ended long ago.
    pub async fn forget_oauth(&self) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let old = tx
            .dialect()
            .text("DELETE FROM host_oauth_states WHERE expires_at < {now} - $1");
        let gone = statement(old).bind(millis(KEEP)).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(gone)
    }
}
