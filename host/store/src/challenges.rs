//! Challenges: an app asked for a code while an account was being connected, and a
//! person has to answer.
//!
//! The page that asks him may lose its connection and come back to another process, so
//! everything about a challenge is here: what signing in goes on with, sealed, who is
//! about to answer, and what came of the last answer until it was told.

use std::time::Duration;

use crate::database::{FromRow, Row, query, statement};
use crate::{EnvStore, Result, millis};

pub(crate) const TABLES: &str = "
CREATE TABLE host_challenges (
    hash {key} PRIMARY KEY,
    sealed TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    answers BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT,
    told TEXT,
    ended BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX host_challenges_expires ON host_challenges (expires_at);
";

/// For how long it is known what became of a challenge.
const KEEP: Duration = Duration::from_secs(3600);

/// A challenge as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How many answers were given.
    pub answers: i64,
    /// An answer is on its way to the app.
    pub answering: bool,
    /// What came of the last answer, if it was not told yet, or ended the challenge.
    pub told: Option<String>,
    /// There is nothing more to answer.
    pub ended: bool,
    /// It took too long.
    pub expired: bool,
}

struct Found {
    sealed: String,
    challenge: Challenge,
}

impl FromRow for Found {
    fn read(row: &Row<'_>) -> Result<Self> {
        let ended = row.get::<i64>("ended")? != 0;
        Ok(Self {
            sealed: row.get("sealed")?,
            challenge: Challenge {
                answers: row.get("answers")?,
                answering: row.get::<i64>("lease_left")? > 0,
                told: row.get("told")?,
                ended,
                expired: !ended && row.get::<i64>("time_left")? <= 0,
            },
        })
    }
}

const FIND: &str = "SELECT sealed, answers, told, ended, expires_at - {now} AS time_left, \
     coalesce(lease_until, 0) - {now} AS lease_left FROM host_challenges WHERE hash = $1";

impl EnvStore {
    /// Notes a challenge, under the hash of what the person's page knows it by.
    pub async fn begin_challenge(&self, hash: &str, sealed: &str, life: Duration) -> Result<()> {
        let mut tx = self.db.write().await?;
        let begin = tx.dialect().text(
            "INSERT INTO host_challenges (hash, sealed, expires_at) VALUES ($1, $2, {now} + $3)",
        );
        statement(begin)
            .bind(hash)
            .bind(sealed)
            .bind(millis(life))
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// A challenge; none: there is none, or it was long ago.
    pub async fn challenge(&self, hash: &str) -> Result<Option<Challenge>> {
        let found: Option<Found> = statement(self.db.dialect().text(FIND))
            .bind(hash)
            .optional(&self.db)
            .await?;
        Ok(found.map(|found| found.challenge))
    }

    /// Begins an answer: of all who would, one is given what was sealed and the answer's
    /// number, and has this long. None: not now, see [`EnvStore::challenge`].
    pub async fn begin_answer(&self, hash: &str, lease: Duration) -> Result<Option<(String, i64)>> {
        let mut tx = self.db.write().await?;
        let find = tx.dialect().text(&format!("{FIND} {{held}}"));
        let found: Option<Found> = statement(find).bind(hash).optional(&mut tx).await?;
        let Some(Found { sealed, challenge }) = found else {
            return Ok(None);
        };
        if challenge.ended || challenge.expired || challenge.answering {
            return Ok(None);
        }
        let begin = tx.dialect().text(
            "UPDATE host_challenges SET answers = answers + 1, lease_until = {now} + $2, told = NULL \
             WHERE hash = $1",
        );
        let begin = statement(begin).bind(hash).bind(millis(lease));
        begin.execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(Some((sealed, challenge.answers + 1)))
    }

    /// Ends the answer of a number with what is to be told. With something sealed the challenge goes
    /// on with that; without, it is over.
    pub async fn end_answer(
        &self,
        hash: &str,
        number: i64,
        told: &str,
        sealed: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        query(
            "UPDATE host_challenges SET lease_until = NULL, told = $2, sealed = $3, ended = $4 \
             WHERE hash = $1 AND answers = $5",
        )
        .bind(hash)
        .bind(told)
        .bind(sealed.unwrap_or_default())
        .bind(i64::from(sealed.is_none()))
        .bind(number)
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await
    }

    /// Notes that the last answer's outcome was told. What ended a challenge is told to
    /// whoever comes back.
    pub async fn outcome_told(&self, hash: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        query("UPDATE host_challenges SET told = NULL WHERE hash = $1 AND ended = 0")
            .bind(hash)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// Forgets challenges that ended long ago.
    pub async fn forget_challenges(&self) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let old = tx
            .dialect()
            .text("DELETE FROM host_challenges WHERE expires_at < {now} - $1");
        let gone = statement(old).bind(millis(KEEP)).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(gone)
    }
}
