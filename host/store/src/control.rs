//! The control database: which environments there are, which connectors are
//! installed, and how they are set up in each.

mod connectors;
mod keys;
mod standing;

pub use connectors::{Act, Installed, NewConnector, Use};
pub use keys::{KeysHeld, SealedIn};

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::database::{Databases, Db, FromRow, Location, Purpose, Row, Tx, query};
use crate::dialect::Dialect;
use crate::migrations::{self, Migrate, Patience};
use crate::{Result, now};

/// How app keys are written in an environment's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// The URL of its database, sealed by the caller; none: in the data directory.
    pub database_url_sealed: Option<String>,
    /// How app keys are written.
    pub app_keys: AppKeys,
    /// Nothing goes out until somebody says so.
    pub held: bool,
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
    /// The URL of its database, sealed by the caller; none: in the data directory.
    pub database_url_sealed: Option<String>,
    /// How app keys are written.
    pub app_keys: AppKeys,
    /// The secret before the last rotation, sealed, and until when it is good.
    pub old_secret: Option<(String, i64)>,
    /// Nothing goes out: it was restored, and nobody has said that it is to work.
    pub held: bool,
    /// The API hands out credentials' secrets, and takes them back.
    pub include_data: bool,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl FromRow for Environment {
    fn read(row: &Row<'_>) -> Result<Self> {
        let old: Option<String> = row.get("old_secret_sealed")?;
        let until: Option<i64> = row.get("old_secret_until")?;
        Ok(Self {
            name: row.get("name")?,
            client_id: row.get("client_id")?,
            client_secret_sealed: row.get("client_secret_sealed")?,
            database_url_sealed: row.get("database_url_sealed")?,
            app_keys: match row.text("app_keys")? {
                "plain" => AppKeys::Plain,
                _ => AppKeys::Canonical,
            },
            old_secret: old.zip(until),
            held: row.get::<i64>("held")? != 0,
            include_data: row.get::<i64>("include_data")? != 0,
            created_at: row.get("created_at")?,
        })
    }
}

/// What a setting of a connector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

    fn of(text: &str) -> Self {
        match text {
            "field" => Self::Field,
            _ => Self::Slot,
        }
    }
}

/// A setting of a connector for all credentials of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub(crate) db: Db,
}

impl Control {
    /// Opens the database, creating and migrating it as needed.
    pub async fn open(
        databases: &Databases,
        location: &Location,
        migrate: Migrate,
    ) -> Result<Self> {
        let db = Db::open(databases, location, Purpose::Control).await?;
        let mut patience = Patience::default();
        while let Err(error) = Self::migrate(&db, migrate).await {
            patience.after(error).await?;
        }
        Ok(Self { db })
    }

    async fn migrate(db: &Db, migrate: Migrate) -> Result<()> {
        let mut tx = migrations::begin(db, "host_control").await?;
        migrations::run(&mut tx, migrations::CONTROL, migrate).await?;
        db.commit(tx).await
    }

    /// Whether several processes can use the database at once.
    pub fn is_shared(&self) -> bool {
        self.db.dialect() == Dialect::Postgres
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Finishes what is under way and closes the files.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// What an installation that was made before there were data keys sealed with its
    /// master key, to tell one key from another.
    pub async fn key_check(&self) -> Result<Option<String>> {
        query("SELECT value FROM host_meta WHERE key = 'key_check'")
            .optional(&self.db)
            .await
    }

    /// All environments, oldest first.
    pub async fn environments(&self) -> Result<Vec<Environment>> {
        query("SELECT * FROM host_environments ORDER BY created_at, name")
            .all(&self.db)
            .await
    }

    /// The environment of this name.
    pub async fn environment(&self, name: &str) -> Result<Option<Environment>> {
        query("SELECT * FROM host_environments WHERE name = $1")
            .bind(name)
            .optional(&self.db)
            .await
    }

    /// The environment whose tokens have this issuer.
    pub async fn environment_of_client(&self, client_id: &str) -> Result<Option<Environment>> {
        query("SELECT * FROM host_environments WHERE client_id = $1")
            .bind(client_id)
            .optional(&self.db)
            .await
    }

    /// Enters an environment; [`StoreError::Conflict`] if its name or client id
    /// is taken.
    pub async fn create_environment(&self, new: NewEnvironment) -> Result<Environment> {
        let environment = Environment {
            name: new.name,
            client_id: new.client_id,
            client_secret_sealed: new.client_secret_sealed,
            database_url_sealed: new.database_url_sealed,
            app_keys: new.app_keys,
            old_secret: None,
            held: new.held,
            include_data: false,
            created_at: now(),
        };
        self.restore_environment(&environment, &[]).await?;
        Ok(environment)
    }

    /// The settings of all connectors by environment, each with its connector, in
    /// the order of connectors and names. Environments without any are not there.
    pub async fn app_settings(&self) -> Result<HashMap<String, Vec<(String, AppSetting)>>> {
        let rows: Vec<(String, String, String, String, String)> = query(
            "SELECT environment, connector, name, kind, value FROM host_app_settings \
             ORDER BY environment, connector, name",
        )
        .all(&self.db)
        .await?;
        let mut settings: HashMap<String, Vec<(String, AppSetting)>> = HashMap::new();
        for (environment, connector, name, kind, value) in rows {
            let kind = SettingKind::of(&kind);
            let setting = AppSetting { name, kind, value };
            let of_environment = settings.entry(environment).or_default();
            of_environment.push((connector, setting));
        }
        Ok(settings)
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
            put_setting(&mut tx, environment, connector, setting).await?;
        }
        self.db.commit(tx).await
    }
}

async fn put_setting(
    tx: &mut Tx,
    environment: &str,
    connector: &str,
    setting: &AppSetting,
) -> Result<()> {
    let put = query(
        "INSERT INTO host_app_settings (environment, connector, name, kind, value) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, connector, name) \
         DO UPDATE SET kind = excluded.kind, value = excluded.value",
    );
    put.bind(environment)
        .bind(connector)
        .bind(&setting.name)
        .bind(setting.kind.as_str())
        .bind(&setting.value)
        .execute(tx)
        .await
        .map(drop)
}
