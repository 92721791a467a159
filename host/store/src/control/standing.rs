//! How an environment stands: its secrets' rotation, whether it is held, and
//! that it is entered again or gone.

use super::{AppSetting, Control, Environment, put_setting};
use crate::database::{query, statement};
use crate::{Result, StoreError, now};

/// What a refused entry is about.
const TAKEN: StoreError = StoreError::Conflict("an environment with this name or client id");

impl Control {
    /// Gives an environment a new client secret, sealed by the caller. The one
    /// before is good until `old_until`, in milliseconds since 1970.
    /// [`StoreError::Conflict`] while an older one is still good.
    pub async fn rotate_secret(&self, name: &str, sealed: &str, old_until: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        let rotated = query(
            "UPDATE host_environments SET old_secret_sealed = client_secret_sealed, \
             old_secret_until = $2, client_secret_sealed = $3 \
             WHERE name = $1 AND (old_secret_until IS NULL OR old_secret_until <= $4)",
        );
        let rotated = rotated.bind(name).bind(old_until).bind(sealed).bind(now());
        if rotated.execute(&mut tx).await? == 0 {
            return Err(StoreError::Conflict("a rotation of the client secret"));
        }
        self.db.commit(tx).await
    }

    /// Ends the time of the secret before the last rotation. Answers whether
    /// there was one.
    pub async fn finish_rotation(&self, name: &str) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let finished = query(
            "UPDATE host_environments SET old_secret_sealed = NULL, old_secret_until = NULL \
             WHERE name = $1 AND old_secret_sealed IS NOT NULL",
        );
        let finished = finished.bind(name).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(finished > 0)
    }

    /// Lets an environment work that was held. Answers whether it was.
    pub async fn resume_environment(&self, name: &str) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let resumed = query("UPDATE host_environments SET held = 0 WHERE name = $1 AND held <> 0");
        let resumed = resumed.bind(name).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(resumed > 0)
    }

    /// Says whether an environment's API hands out secrets. Answers whether that is
    /// another thing than before.
    pub async fn set_include_data(&self, name: &str, on: bool) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let set = query(
            "UPDATE host_environments SET include_data = $2 \
             WHERE name = $1 AND include_data <> $2",
        );
        let set = set.bind(name).bind(i64::from(on)).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(set > 0)
    }

    /// Takes an environment and its settings out. Hosts that serve it close it
    /// when they see that.
    pub async fn delete_environment(&self, environment: &Environment) -> Result<()> {
        let mut tx = self.db.write().await?;
        for table in ["host_app_settings", "host_connector_uses"] {
            statement(format!("DELETE FROM {table} WHERE environment = $1"))
                .bind(&environment.name)
                .execute(&mut tx)
                .await?;
        }
        // Not one that was made under this name meanwhile.
        let gone = query("DELETE FROM host_environments WHERE name = $1 AND client_id = $2");
        let gone = gone.bind(&environment.name).bind(&environment.client_id);
        if gone.execute(&mut tx).await? == 0 {
            return Err(StoreError::NotFound("environment"));
        }
        self.db.commit(tx).await
    }

    /// Enters an environment as it was, with its connectors' settings;
    /// [`StoreError::Conflict`] if its name or client id is taken.
    pub async fn restore_environment(
        &self,
        environment: &Environment,
        settings: &[(String, AppSetting)],
    ) -> Result<()> {
        let (old, until) = environment.old_secret.clone().unzip();
        let mut tx = self.db.write().await?;
        query(
            "INSERT INTO host_environments (name, client_id, client_secret_sealed, \
             database_url_sealed, app_keys, created_at, held, old_secret_sealed, old_secret_until, \
             include_data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&environment.name)
        .bind(&environment.client_id)
        .bind(&environment.client_secret_sealed)
        .bind(&environment.database_url_sealed)
        .bind(environment.app_keys.as_str())
        .bind(environment.created_at)
        .bind(i64::from(environment.held))
        .bind(&old)
        .bind(until)
        .bind(i64::from(environment.include_data))
        .execute(&mut tx)
        .await
        .map_err(|error| match error {
            StoreError::Conflict(_) => TAKEN,
            other => other,
        })?;
        for (connector, setting) in settings {
            put_setting(&mut tx, &environment.name, connector, setting).await?;
        }
        self.db.commit(tx).await
    }
}
