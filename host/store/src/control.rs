//! The control database: which environments there are, and how connectors are
//! set up in each.

use std::path::Path;

use sqlx::Row as _;

use crate::database::Db;
use crate::dialect::Row;
use crate::{Result, StoreError, migrations, now};

/// How app keys are written in an environment's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppKeys {
    /// `follow-up-boss`
    #[default]
    Canonical,
    /// `followupboss`
    Plain,
}

impl AppKeys {
    fn as_str(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Plain => "plain",
        }
    }
}

/// An environment as it is entered.
#[derive(Clone, Debug)]
pub struct NewEnvironment {
    /// `dev`, `production`; unique.
    pub name: String,
    /// The `iss` of its tokens; unique.
    pub client_id: String,
    /// The secret that signs its tokens, sealed by the caller.
    pub client_secret_sealed: String,
    /// Where its records are; none: in the data directory.
    pub database_url: Option<String>,
    /// How app keys are written.
    pub app_keys: AppKeys,
}

/// An environment as it is stored.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `dev`, `production`.
    pub name: String,
    /// The `iss` of its tokens.
    pub client_id: String,
    /// The secret that signs its tokens, sealed.
    pub client_secret_sealed: String,
    /// Where its records are; none: in the data directory.
    pub database_url: Option<String>,
    /// How app keys are written.
    pub app_keys: AppKeys,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl Environment {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            client_id: row.try_get("client_id")?,
            client_secret_sealed: row.try_get("client_secret_sealed")?,
            database_url: row.try_get("database_url")?,
            app_keys: match row.try_get("app_keys")? {
                "plain" => AppKeys::Plain,
                _ => AppKeys::Canonical,
            },
            created_at: row.try_get("created_at")?,
        })
    }
}

/// What a setting of a connector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A value that anyone may read.
    Field,
    /// A secret, sealed by the caller.
    Slot,
}

impl SettingKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Slot => "slot",
        }
    }
}

/// A setting of a connector for all credentials of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSetting {
    /// The field's or slot's name in the manifest.
    pub name: String,
    /// Public or secret.
    pub kind: SettingKind,
    /// The value; sealed text for a slot.
    pub value: String,
}

/// The control database.
#[derive(Debug)]
pub struct Control {
    db: Db,
}

impl Control {
    /// Opens the database, creating and migrating it as needed.
    pub async fn open(path: &Path) -> Result<Self> {
        let db = Db::open(path).await?;
        let mut tx = db.write().await?;
        migrations::run(&mut tx, migrations::CONTROL).await?;
        db.commit(tx).await?;
        Ok(Self { db })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Finishes what is under way and closes the files.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// All environments, oldest first.
    pub async fn environments(&self) -> Result<Vec<Environment>> {
        let rows = sqlx::query("SELECT * FROM host_environments ORDER BY created_at, name");
        rows.fetch_all(self.db.readers())
            .await?
            .iter()
            .map(Environment::read)
            .collect()
    }

    /// The environment of this name.
    pub async fn environment(&self, name: &str) -> Result<Option<Environment>> {
        let row = sqlx::query("SELECT * FROM host_environments WHERE name = $1").bind(name);
        row.fetch_optional(self.db.readers())
            .await?
            .as_ref()
            .map(Environment::read)
            .transpose()
    }

    /// The environment whose tokens have this issuer.
    pub async fn environment_of_client(&self, client_id: &str) -> Result<Option<Environment>> {
        let row =
            sqlx::query("SELECT * FROM host_environments WHERE client_id = $1").bind(client_id);
        row.fetch_optional(self.db.readers())
            .await?
            .as_ref()
            .map(Environment::read)
            .transpose()
    }

    /// Enters an environment; [`StoreError::Conflict`] if its name or client id
    /// is taken.
    pub async fn create_environment(&self, new: NewEnvironment) -> Result<Environment> {
        let environment = Environment {
            name: new.name,
            client_id: new.client_id,
            client_secret_sealed: new.client_secret_sealed,
            database_url: new.database_url,
            app_keys: new.app_keys,
            created_at: now(),
        };
        let mut tx = self.db.write().await?;
        sqlx::query(
            "INSERT INTO host_environments \
             (name, client_id, client_secret_sealed, database_url, app_keys, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&environment.name)
        .bind(&environment.client_id)
        .bind(&environment.client_secret_sealed)
        .bind(&environment.database_url)
        .bind(environment.app_keys.as_str())
        .bind(environment.created_at)
        .execute(&mut *tx)
        .await
        .map_err(|error| match error.into() {
            StoreError::Conflict(_) => {
                StoreError::Conflict("an environment with this name or client id")
            }
            other => other,
        })?;
        self.db.commit(tx).await?;
        Ok(environment)
    }

    /// A connector's settings in an environment, by name.
    pub async fn app_settings(
        &self,
        environment: &str,
        connector: &str,
    ) -> Result<Vec<AppSetting>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT name, kind, value FROM host_app_settings \
             WHERE environment = $1 AND connector = $2 ORDER BY name",
        )
        .bind(environment)
        .bind(connector)
        .fetch_all(self.db.readers())
        .await?;
        let setting = |(name, kind, value): (String, String, String)| AppSetting {
            name,
            kind: if kind == "field" {
                SettingKind::Field
            } else {
                SettingKind::Slot
            },
            value,
        };
        Ok(rows.into_iter().map(setting).collect())
    }

    /// Stores settings; those with other names stay.
    pub async fn put_app_settings(
        &self,
        environment: &str,
        connector: &str,
        settings: &[AppSetting],
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        for setting in settings {
            sqlx::query(
                "INSERT INTO host_app_settings (environment, connector, name, kind, value) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, connector, name) \
                 DO UPDATE SET kind = excluded.kind, value = excluded.value",
            )
            .bind(environment)
            .bind(connector)
            .bind(&setting.name)
            .bind(setting.kind.as_str())
            .bind(&setting.value)
            .execute(&mut *tx)
            .await?;
        }
        self.db.commit(tx).await
    }
}
