//! `rollout env …`: environments from their beginning to their end.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use rollout_connectors::client_secret_context;
use rollout_store::{AppKeys, CustomerSchemas, Environment, Location, StoreError, after};
use serde_json::json;

use crate::backups::{self, Restore};
use crate::commands::{self, block_on};
use crate::config::Config;
use crate::installation::{Installation, Wanted, check_secret, new_secret};
use crate::sql_users::{self, SqlUserCommand};

/// How long hosts may take to see that an environment is gone.
const LET_GO: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum AppKeyStyle {
    Canonical,
    Plain,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Subcommand)]
pub(crate) enum EnvCommand {
    /// Create an environment and print its client id and secret.
    Create {
        /// Its name: lower-case letters, digits and hyphens.
        name: String,
        /// A client id of your own; made up otherwise.
        #[arg(long)]
        client_id: Option<String>,
        /// A client secret of your own, at least 32 bytes; made up otherwise.
        #[arg(long)]
        client_secret: Option<String>,
        /// Where its records are kept: postgres://USER:PASSWORD@HOST:5432/DATABASE. A
        /// SQLite file in the data directory otherwise.
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
        /// How app keys are written in its answers: follow-up-boss or followupboss.
        #[arg(long, value_enum, default_value = "canonical")]
        app_keys: AppKeyStyle,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the environments, without secrets.
    List {
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Delete an environment with everything in it.
    Delete {
        /// Its name.
        name: String,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
        /// On Postgres: also drop the schemas of its SQL users.
        #[arg(long)]
        drop_customer_schemas: bool,
    },
    /// Give an environment a new client secret; the old one is good for a while.
    RotateSecret {
        /// Its name.
        name: String,
        /// For how long the old secret stays good.
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
        overlap: Duration,
        /// Make no new secret, but end the old one's time now.
        #[arg(long, conflicts_with_all = ["client_secret", "overlap"])]
        finish: bool,
        /// A client secret of your own, at least 32 bytes; made up otherwise.
        #[arg(long)]
        client_secret: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write everything of an environment into a file, while it works.
    Backup {
        /// Its name.
        name: String,
        /// The file, which must not be there.
        file: PathBuf,
    },
    /// Make an environment from a backup. It can be read, and is held: nothing is
    /// synced or written until `rollout env resume`.
    Restore {
        /// The backup.
        file: PathBuf,
        /// Another name for it.
        #[arg(long)]
        name: Option<String>,
        /// Where its records are to be kept; a SQLite file in the data directory
        /// otherwise.
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
        /// Let it work at once.
        #[arg(long)]
        resume: bool,
    },
    /// Let an environment work that was restored.
    Resume {
        /// Its name.
        name: String,
    },
    /// Change what an environment allows.
    Set {
        /// Its name.
        name: String,
        /// Whether the API hands out what accounts are connected with, keys and tokens in
        /// clear, and takes them back: `includeData` and `currentData`.
        #[arg(long, value_enum, value_name = "on|off")]
        include_data: Switch,
    },
    /// Logins for SQL on an environment's Postgres database.
    #[command(subcommand)]
    SqlUser(SqlUserCommand),
}

pub(crate) fn run(data: &Path, config: &Config, command: EnvCommand) -> Result<()> {
    match command {
        EnvCommand::Create {
            name,
            client_id,
            client_secret,
            database_url,
            app_keys,
            json,
        } => {
            let wanted = Wanted {
                client_id,
                client_secret,
                database_url,
                app_keys: match app_keys {
                    AppKeyStyle::Canonical => AppKeys::Canonical,
                    AppKeyStyle::Plain => AppKeys::Plain,
                },
                ..Wanted::named(&name)
            };
            commands::env_create(data, config, wanted, json)
        }
        EnvCommand::List { json } => commands::env_list(data, config, json),
        EnvCommand::Delete {
            name,
            yes,
            drop_customer_schemas,
        } => {
            let schemas = if drop_customer_schemas {
                CustomerSchemas::Drop
            } else {
                CustomerSchemas::Keep
            };
            delete(data, config, &name, yes, schemas)
        }
        EnvCommand::RotateSecret {
            name,
            finish: true,
            json,
            ..
        } => finish_rotation(data, config, &name, json),
        EnvCommand::RotateSecret {
            name,
            overlap,
            client_secret,
            json,
            ..
        } => rotate_secret(data, config, &name, overlap, client_secret, json),
        EnvCommand::Backup { name, file } => backups::backup(data, config, &name, &file),
        EnvCommand::Restore {
            file,
            name,
            database_url,
            resume,
        } => {
            let restore = Restore {
                file: &file,
                name,
                database_url,
                resume,
            };
            backups::restore(data, config, restore)
        }
        EnvCommand::Resume { name } => resume(data, config, &name),
        EnvCommand::Set { name, include_data } => set(data, config, &name, include_data),
        EnvCommand::SqlUser(command) => sql_users::run(data, config, command),
    }
}

fn delete(
    data: &Path,
    config: &Config,
    name: &str,
    yes: bool,
    schemas: CustomerSchemas,
) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        let environment = installation.environment(name).await?;
        let location = installation.location(&environment)?;
        if !yes {
            confirm(name, &location)?;
        }
        // Hosts see this and let go of the database; none opens it again.
        installation
            .control
            .delete_environment(&environment)
            .await?;
        if installation.control.is_shared() || installation.data.is_served() {
            tokio::time::sleep(LET_GO).await;
        }
        let stay = remove(&installation, &environment, &location, schemas)
            .await
            .with_context(|| {
                format!(
                    "`{name}` is deleted, but not all of its data in {location}: remove it there"
                )
            })?;
        println!("environment `{name}` is deleted, with its data in {location}");
        if !stay.is_empty() {
            println!(
                "the schemas of its SQL users stay, without their logins: {}",
                stay.join(", ")
            );
        }
        Ok(())
    })
}

/// Removes an environment's data. Answers the schemas that stay.
pub(crate) async fn remove(
    installation: &Installation,
    environment: &Environment,
    location: &Location,
    schemas: CustomerSchemas,
) -> Result<Vec<String>> {
    match location {
        Location::Postgres(_) => {
            let databases = &installation.databases;
            let erased = rollout_store::erase(databases, location, &environment.client_id, schemas);
            Ok(erased.await?)
        }
        Location::File(_) => {
            installation.data.remove_environment(&environment.name)?;
            Ok(Vec::new())
        }
    }
}

/// Has the name typed once more.
fn confirm(name: &str, location: &Location) -> Result<()> {
    let stdin = std::io::stdin();
    ensure!(
        stdin.is_terminal(),
        "deleting an environment can't be undone: say --yes if you mean it"
    );
    print!("This deletes `{name}` and all its data in {location}. Type its name to go on: ");
    std::io::stdout().flush()?;
    let mut typed = String::new();
    stdin.lock().read_line(&mut typed)?;
    ensure!(
        typed.trim() == name,
        "that is not its name; nothing was deleted"
    );
    Ok(())
}

fn rotate_secret(
    data: &Path,
    config: &Config,
    name: &str,
    overlap: Duration,
    secret: Option<String>,
    as_json: bool,
) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        let environment = installation.environment(name).await?;
        let secret = secret.unwrap_or_else(new_secret);
        check_secret(&secret)?;
        let context = client_secret_context(name);
        let sealed = installation.vault().seal(&context, secret.as_bytes())?;
        let until = after(overlap);
        match installation
            .control
            .rotate_secret(name, &sealed, until)
            .await
        {
            Ok(()) => {}
            Err(StoreError::Conflict(_)) => bail!(
                "the secret before the present one is still good: end its time first, with \
                 `rollout env rotate-secret {name} --finish`"
            ),
            Err(error) => return Err(error.into()),
        }
        let until = moment(until);
        if as_json {
            let shown = json!({
                "name": name,
                "clientId": environment.client_id,
                "clientSecret": secret,
                "oldSecretUntil": until,
            });
            println!("{shown}");
        } else {
            println!("client id:     {}", environment.client_id);
            println!("client secret: {secret}");
            println!("Keep the secret: it is not shown again. The old one is good until {until}.");
        }
        Ok(())
    })
}

fn finish_rotation(data: &Path, config: &Config, name: &str, as_json: bool) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        let environment = installation.environment(name).await?;
        ensure!(
            installation.control.finish_rotation(name).await?,
            "the client secret of `{name}` is not being rotated"
        );
        if as_json {
            println!(
                "{}",
                json!({"name": name, "clientId": environment.client_id})
            );
        } else {
            println!("only the present client secret of `{name}` is good now");
        }
        Ok(())
    })
}

fn resume(data: &Path, config: &Config, name: &str) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        installation.environment(name).await?;
        ensure!(
            installation.control.resume_environment(name).await?,
            "environment `{name}` is not held"
        );
        println!("environment `{name}` works from now on");
        Ok(())
    })
}

fn set(data: &Path, config: &Config, name: &str, include_data: Switch) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        installation.environment(name).await?;
        let on = include_data == Switch::On;
        let control = &installation.control;
        let changed = control.set_include_data(name, on).await?;
        let already = if changed { "" } else { ", as before" };
        if on {
            println!(
                "the API of `{name}` hands out what accounts are connected with, to whoever has their consumer's token{already}"
            );
        } else {
            println!("the API of `{name}` hands out no secrets{already}");
        }
        Ok(())
    })
}

/// A time in milliseconds since 1970 as people read it.
fn moment(millis: i64) -> String {
    let nanos = i128::from(millis) * 1_000_000;
    time::OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.replace_nanosecond(0).ok())
        .and_then(|time| {
            time.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_else(|| "for ever".to_owned())
}
