//! The installed connectors: components by their hash, versions by key, and which
//! environment uses which.
//!
//! A version never changes its bytes, and several lie side by side. What an
//! environment uses is a line of its own, or else the line for all environments;
//! each line remembers the version before, to go back to.

use super::Control;
use crate::database::{FromRow, Row, Tx, query};
use crate::{Result, StoreError, now};

/// Stands for all environments without a line of their own; no environment is named so.
const ALL: &str = "";

/// A connector as it is installed.
#[derive(Clone, Debug)]
pub struct NewConnector {
    /// Its app key, canonical: `follow-up-boss`.
    pub key: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal.
    pub sha256: String,
    /// The component.
    pub bytes: Vec<u8>,
}

/// A version of a connector that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its app key.
    pub key: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal.
    pub sha256: String,
    /// When it was installed, in milliseconds since 1970.
    pub installed_at: i64,
}

impl FromRow for Installed {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            key: row.get("key")?,
            version: row.get("version")?,
            sha256: row.get("sha256")?,
            installed_at: row.get("installed_at")?,
        })
    }
}

/// Which version of a connector is used where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The environment; none: all without a line of their own.
    pub environment: Option<String>,
    /// The connector's app key.
    pub key: String,
    /// The version.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal.
    pub sha256: String,
    /// The version that was used before.
    pub before: Option<String>,
}

impl FromRow for Use {
    fn read(row: &Row<'_>) -> Result<Self> {
        let environment: String = row.get("environment")?;
        Ok(Self {
            environment: Some(environment).filter(|name| name != ALL),
            key: row.get("key")?,
            version: row.get("version")?,
            sha256: row.get("sha256")?,
            before: row.get("before")?,
        })
    }
}

/// Something that an operator did, for later questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What, in words.
    pub act: String,
}

impl FromRow for Act {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            at: row.get("at")?,
            act: row.get("act")?,
        })
    }
}

impl Control {
    /// Stores a connector, and has these environments use it; none stands for all.
    /// [`StoreError::Conflict`] if the version is there with other bytes.
    pub async fn install_connector(
        &self,
        new: &NewConnector,
        environments: &[Option<&str>],
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        query("INSERT INTO host_components (sha256, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(&new.sha256)
            .bind(new.bytes.as_slice())
            .execute(&mut tx)
            .await?;
        query(
            "INSERT INTO host_connectors (key, version, sha256, installed_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(&new.key)
        .bind(&new.version)
        .bind(&new.sha256)
        .bind(now())
        .execute(&mut tx)
        .await?;
        let there: String =
            query("SELECT sha256 FROM host_connectors WHERE key = $1 AND version = $2")
                .bind(&new.key)
                .bind(&new.version)
                .one(&mut tx)
                .await?;
        if there != new.sha256 {
            return Err(StoreError::Conflict("this version with other bytes"));
        }
        for environment in environments {
            use_version(&mut tx, *environment, &new.key, &new.version).await?;
        }
        self.db.commit(tx).await
    }

    /// All installed versions, by key, the latest installed first.
    pub async fn installed_connectors(&self) -> Result<Vec<Installed>> {
        query("SELECT * FROM host_connectors ORDER BY key, installed_at DESC, version")
            .all(&self.db)
            .await
    }

    /// Which version is used where.
    pub async fn connector_uses(&self) -> Result<Vec<Use>> {
        query(
            "SELECT u.environment, u.key, u.version, u.before, c.sha256 \
             FROM host_connector_uses u \
             JOIN host_connectors c ON c.key = u.key AND c.version = u.version \
             ORDER BY u.key, u.environment",
        )
        .all(&self.db)
        .await
    }

    /// A component by its hash.
    pub async fn component(&self, sha256: &str) -> Result<Option<Vec<u8>>> {
        query("SELECT bytes FROM host_components WHERE sha256 = $1")
            .bind(sha256)
            .optional(&self.db)
            .await
    }

    /// Has these environments use an installed version; none stands for all without a
    /// line of their own. [`StoreError::NotFound`] if it is not installed.
    pub async fn use_connector(
        &self,
        environments: &[Option<&str>],
        key: &str,
        version: &str,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        let there: Option<String> =
            query("SELECT sha256 FROM host_connectors WHERE key = $1 AND version = $2")
                .bind(key)
                .bind(version)
                .optional(&mut tx)
                .await?;
        if there.is_none() {
            return Err(StoreError::NotFound("version of this connector"));
        }
        for environment in environments {
            use_version(&mut tx, *environment, key, version).await?;
        }
        self.db.commit(tx).await
    }

    /// Goes back to what was used before: an environment whose line has no version
    /// before it does as all do. Answers the version of the line, if there still is
    /// one. [`StoreError::NotFound`] if there is nothing to go back to.
    pub async fn roll_back_connector(
        &self,
        environment: Option<&str>,
        key: &str,
    ) -> Result<Option<String>> {
        const NOTHING: StoreError = StoreError::NotFound("version to go back to");
        let mut tx = self.db.write().await?;
        let before: Option<Option<String>> =
            query("SELECT before FROM host_connector_uses WHERE environment = $1 AND key = $2")
                .bind(environment.unwrap_or(ALL))
                .bind(key)
                .optional(&mut tx)
                .await?;
        let before = before.ok_or(NOTHING)?;
        match (&before, environment) {
            (Some(version), _) => use_version(&mut tx, environment, key, version).await?,
            (None, Some(environment)) => {
                query("DELETE FROM host_connector_uses WHERE environment = $1 AND key = $2")
                    .bind(environment)
                    .bind(key)
                    .execute(&mut tx)
                    .await?;
            }
            (None, None) => return Err(NOTHING),
        }
        self.db.commit(tx).await?;
        Ok(before)
    }

    /// Removes all versions of a connector, and who uses them. Answers how many
    /// versions there were.
    pub async fn remove_connector(&self, key: &str) -> Result<u64> {
        let mut tx = self.db.write().await?;
        query("DELETE FROM host_connector_uses WHERE key = $1")
            .bind(key)
            .execute(&mut tx)
            .await?;
        let removed = query("DELETE FROM host_connectors WHERE key = $1")
            .bind(key)
            .execute(&mut tx)
            .await?;
        query(
            "DELETE FROM host_components WHERE sha256 NOT IN (SELECT sha256 FROM host_connectors)",
        )
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await?;
        Ok(removed)
    }

    /// Grants a connector something that no connector has by itself, or takes it
    /// back. Answers whether that changed anything.
    pub async fn set_grant(&self, key: &str, grant: &str, granted: bool) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let set = if granted {
            query(
                "INSERT INTO host_connector_grants (key, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
        } else {
            query("DELETE FROM host_connector_grants WHERE key = $1 AND name = $2")
        };
        let changed = set.bind(key).bind(grant).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(changed > 0)
    }

    /// All grants: connector and name.
    pub async fn grants(&self) -> Result<Vec<(String, String)>> {
        query("SELECT key, name FROM host_connector_grants ORDER BY key, name")
            .all(&self.db)
            .await
    }

    /// Writes down what an operator did.
    pub async fn note_act(&self, act: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        query("INSERT INTO host_acts (at, act) VALUES ($1, $2)")
            .bind(now())
            .bind(act)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// What operators did, oldest first.
    pub async fn acts(&self) -> Result<Vec<Act>> {
        query("SELECT at, act FROM host_acts ORDER BY number")
            .all(&self.db)
            .await
    }
}

/// Lets a line say a version; the one that it said is remembered.
async fn use_version(
    tx: &mut Tx,
    environment: Option<&str>,
    key: &str,
    version: &str,
) -> Result<()> {
    query(
        "INSERT INTO host_connector_uses (environment, key, version, before) \
         VALUES ($1, $2, $3, NULL) ON CONFLICT (environment, key) DO UPDATE SET \
         before = CASE WHEN host_connector_uses.version = excluded.version \
         THEN host_connector_uses.before ELSE host_connector_uses.version END, \
         version = excluded.version",
    )
    .bind(environment.unwrap_or(ALL))
    .bind(key)
    .bind(version)
    .execute(tx)
    .await
    .map(drop)
}
