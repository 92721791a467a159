//! Access tokens that end: until when they are good, and who gets the next one.
//!
//! Of all processes one at a time gets new tokens for a credential: it holds a lease.
//! What is stored counts only for the tokens that it was got with, which have a number
//! of their own: a process that stood still meanwhile stores nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::credentials::{change_credential, put_secrets};
use crate::database::{FromRow, Row, Tx, query, statement};
use crate::{CredentialChange, CredentialStatus, EnvStore, Result, changes, millis};

pub(crate) const TABLES: &str = "
CREATE TABLE host_tokens (
    credential_id {key} PRIMARY KEY REFERENCES host_credentials (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT,
    refused TEXT,
    failures BIGINT NOT NULL DEFAULT 0,
    retry_at BIGINT,
    holder TEXT,
    lease_until BIGINT
);
CREATE INDEX host_tokens_issued ON host_tokens (issued_at);
CREATE TABLE host_oauth_states (
    hash {key} PRIMARY KEY,
    request_id TEXT NOT NULL,
    sealed TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX host_oauth_states_expires ON host_oauth_states (expires_at);
";

/// Longest time between two attempts to get tokens.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Tokens as the app gives them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTokens {
    /// How long the access token is good; none: until the app refuses it.
    pub life: Option<Duration>,
}

/// The tokens that a credential has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Another one for every access token of the credential.
    pub number: i64,
    /// When they were stored, in milliseconds since 1970.
    pub issued_at: i64,
    /// Until when the access token is good, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// Why the app gives out no more of them, if it does not.
    pub refused: Option<String>,
}

impl FromRow for Tokens {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            number: row.get("number")?,
            issued_at: row.get("issued_at")?,
            expires_at: row.get("expires_at")?,
            refused: row.get("refused")?,
        })
    }
}

/// Whether a process may get new tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshTurn {
    /// It may, while it renews its lease.
    Mine,
    /// Somebody has got some already.
    Done,
    /// Somebody is about to.
    Others,
    /// Not before this much time: the last attempt failed.
    Wait(Duration),
    /// The app gives out no more, for this reason.
    Refused(String),
    /// The credential has no tokens, or is gone.
    None,
}

/// A row as those see it who want to get new tokens.
struct Turn {
    tokens: Tokens,
    holder: Option<String>,
    /// Milliseconds from now.
    lease_left: i64,
    wait: i64,
}

impl FromRow for Turn {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            tokens: Tokens::read(row)?,
            holder: row.get("holder")?,
            lease_left: row.get("lease_left")?,
            wait: row.get("wait")?,
        })
    }
}

impl EnvStore {
    /// Asks to get new tokens in place of those with this number, and for how long
    /// nobody else may.
    pub async fn take_refresh(
        &self,
        credential_id: &str,
        number: i64,
        holder: &str,
        lease: Duration,
    ) -> Result<RefreshTurn> {
        let mut tx = self.db.write().await?;
        let turn = tx.dialect().text(
            "SELECT number, issued_at, expires_at, refused, holder, \
             coalesce(lease_until, 0) - {now} AS lease_left, coalesce(retry_at, 0) - {now} AS wait \
             FROM host_tokens WHERE credential_id = $1 {held}",
        );
        let turn = statement(turn)
            .bind(credential_id)
            .optional(&mut tx)
            .await?;
        let Some(turn): Option<Turn> = turn else {
            return Ok(RefreshTurn::None);
        };
        if turn.tokens.number != number {
            return Ok(RefreshTurn::Done);
        }
        if let Some(reason) = turn.tokens.refused {
            return Ok(RefreshTurn::Refused(reason));
        }
        if turn.holder.is_some_and(|other| other != holder) && turn.lease_left > 0 {
            return Ok(RefreshTurn::Others);
        }
        if let Ok(wait @ 1..) = u64::try_from(turn.wait) {
            return Ok(RefreshTurn::Wait(Duration::from_millis(wait)));
        }
        lease_to(&mut tx, credential_id, holder, lease).await?;
        self.db.commit(tx).await?;
        Ok(RefreshTurn::Mine)
    }

    /// Holds the lease for longer; answers false if somebody else has it.
    pub async fn renew_refresh(
        &self,
        credential_id: &str,
        holder: &str,
        lease: Duration,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let mine = query("SELECT holder FROM host_tokens WHERE credential_id = $1");
        let mine: Option<Option<String>> = mine.bind(credential_id).optional(&mut tx).await?;
        if mine.flatten().as_deref() != Some(holder) {
            return Ok(false);
        }
        lease_to(&mut tx, credential_id, holder, lease).await?;
        self.db.commit(tx).await?;
        Ok(true)
    }

    /// Stores tokens that were got in place of those with this number, sealed; other
    /// slots stay. Answers false, and stores nothing, if they have another number.
    pub async fn store_tokens(
        &self,
        credential_id: &str,
        number: i64,
        new: NewTokens,
        secrets: &BTreeMap<String, String>,
        fields: Option<&Value>,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        hold(&mut tx, credential_id).await?;
        let update = tx.dialect().text(
            "UPDATE host_tokens SET number = number + 1, issued_at = {now}, expires_at = {now} + $3, \
             failures = 0, retry_at = NULL, holder = NULL, lease_until = NULL, refused = NULL \
             WHERE credential_id = $1 AND number = $2",
        );
        let updated = statement(update)
            .bind(credential_id)
            .bind(number)
            .bind(new.life.map(millis))
            .execute(&mut tx)
            .await?;
        if updated == 0 {
            return Ok(false);
        }
        put_secrets(&mut tx, credential_id, secrets).await?;
        if let Some(fields) = fields {
            query("UPDATE host_credentials SET fields = $2 WHERE id = $1")
                .bind(credential_id)
                .bind(fields.to_string())
                .execute(&mut tx)
                .await?;
        }
        changes::note(&mut tx, credential_id).await?;
        self.db.commit(tx).await?;
        Ok(true)
    }

    /// Notes that the app gives out no more tokens in place of those with this number:
    /// the credential is broken. Answers false, and notes nothing, if it has others.
    pub async fn refuse_refresh(
        &self,
        credential_id: &str,
        number: i64,
        reason: &str,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        hold(&mut tx, credential_id).await?;
        let refused = query(
            "UPDATE host_tokens SET refused = $3, holder = NULL, lease_until = NULL \
             WHERE credential_id = $1 AND number = $2",
        );
        let refused = refused.bind(credential_id).bind(number).bind(reason);
        if refused.execute(&mut tx).await? == 0 {
            return Ok(false);
        }
        let change = CredentialChange {
            status: Some(CredentialStatus::Broken(reason.to_owned())),
            ..CredentialChange::default()
        };
        change_credential(self, &mut tx, credential_id, &change).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(true)
    }

    /// Gives the lease back after an attempt that failed. The next one waits for as long
    /// as is said, or longer with every failure. Answers for how long.
    pub async fn postpone_refresh(
        &self,
        credential_id: &str,
        number: i64,
        wait: Option<Duration>,
    ) -> Result<Duration> {
        let mut tx = self.db.write().await?;
        let failed = query(
            "UPDATE host_tokens SET failures = failures + 1, holder = NULL, lease_until = NULL \
             WHERE credential_id = $1 AND number = $2 RETURNING failures",
        );
        let failures: Option<i64> = failed
            .bind(credential_id)
            .bind(number)
            .optional(&mut tx)
            .await?;
        let doublings = u32::try_from(failures.unwrap_or(1) - 1).unwrap_or(u32::MAX);
        let grown = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(doublings));
        let wait = wait.unwrap_or(grown).min(LONGEST_WAIT);
        let retry = tx.dialect().text(
            "UPDATE host_tokens SET retry_at = {now} + $3 WHERE credential_id = $1 AND number = $2",
        );
        statement(retry)
            .bind(credential_id)
            .bind(number)
            .bind(millis(wait))
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await?;
        Ok(wait)
    }

    /// The tokens that a credential has.
    pub async fn tokens(&self, credential_id: &str) -> Result<Option<Tokens>> {
        query("SELECT * FROM host_tokens WHERE credential_id = $1")
            .bind(credential_id)
            .optional(&self.db)
            .await
    }

    /// Credentials of an app and a plan whose tokens have been there since before a time
    /// (milliseconds since 1970), oldest first, some hundreds at most.
    pub async fn idle_tokens(&self, app_key: &str, plan: &str, before: i64) -> Result<Vec<String>> {
        query(
            "SELECT t.credential_id FROM host_tokens t \
             JOIN host_credentials c ON c.id = t.credential_id \
             WHERE t.issued_at < $3 AND t.refused IS NULL AND c.app_key = $1 AND c.plan = $2 \
             ORDER BY t.issued_at LIMIT 500",
        )
        .bind(app_key)
        .bind(plan)
        .bind(before)
        .all(&self.db)
        .await
    }
}

async fn lease_to(tx: &mut Tx, credential_id: &str, holder: &str, lease: Duration) -> Result<()> {
    let lease_to = tx.dialect().text(
        "UPDATE host_tokens SET holder = $2, lease_until = {now} + $3 WHERE credential_id = $1",
    );
    let lease_to = statement(lease_to).bind(credential_id).bind(holder);
    lease_to.bind(millis(lease)).execute(tx).await.map(drop)
}

/// First the credential, as those lock it who change it.
pub(crate) async fn hold(tx: &mut Tx, credential_id: &str) -> Result<()> {
    let held = tx
        .dialect()
        .text("SELECT id FROM host_credentials WHERE id = $1 {held}");
    let held = statement(held).bind(credential_id);
    held.optional::<String>(tx).await.map(drop)
}

/// Gives a credential the tokens that it was connected with.
pub(crate) async fn put_tokens(tx: &mut Tx, credential_id: &str, new: NewTokens) -> Result<()> {
    // Numbers are not given out twice, even if a credential had none in between.
    let put = tx.dialect().text(
        "INSERT INTO host_tokens (credential_id, number, issued_at, expires_at) \
         VALUES ($1, {now}, {now}, {now} + $2) \
         ON CONFLICT (credential_id) DO UPDATE SET number = host_tokens.number + 1, \
         issued_at = excluded.issued_at, expires_at = excluded.expires_at, refused = NULL, \
         failures = 0, retry_at = NULL, holder = NULL, lease_until = NULL",
    );
    let put = statement(put).bind(credential_id);
    let put = put.bind(new.life.map(millis));
    put.execute(tx).await.map(drop)
}

/// Takes the tokens of a credential that is no longer connected by them.
pub(crate) async fn drop_tokens(tx: &mut Tx, credential_id: &str) -> Result<()> {
    let gone = query("DELETE FROM host_tokens WHERE credential_id = $1");
    gone.bind(credential_id).execute(tx).await.map(drop)
}
