//! `rollout connector …`: making connectors, looking into them, and having them used.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;

use crate::config::Config;
use crate::installation::Installation;
use crate::{commands, connector_new, installing};

#[derive(Subcommand)]
pub(crate) enum ConnectorCommand {
    /// Make a folder with a connector to begin with, which builds and passes its tests.
    New {
        /// The app key: lower-case words joined by hyphens, such as `tiny-crm`.
        name: String,
        /// The folder to make; `./NAME` by default.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// What kind of app it is for.
        #[arg(long, value_enum, default_value = "crm")]
        category: connector_new::Category,
        /// Use the SDK where it is, the folder `guest-sdk/rust` of a checkout, instead of
        /// putting a copy into the new folder.
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Check a component file and print its manifest.
    Inspect {
        /// The file.
        file: PathBuf,
        /// Print the manifest as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Install a component file. It shows what the connector may do, or how that
    /// differs from the version in use; running hosts take it up within two seconds.
    Install {
        /// The file.
        file: PathBuf,
        /// Who uses it; all environments without a version of their own otherwise. May
        /// be repeated.
        #[arg(long, value_name = "NAME")]
        env: Vec<String>,
        /// Accept that it may do more than the version in use.
        #[arg(long)]
        accept: bool,
    },
    /// List what is installed, and who uses it.
    List {
        /// Print a JSON array; the environment `*` stands for all without a version of
        /// their own.
        #[arg(long)]
        json: bool,
    },
    /// Have environments use an installed version.
    Promote {
        /// The version.
        #[arg(value_name = "KEY@VERSION")]
        connector: String,
        /// Who uses it; all environments without a version of their own otherwise. May
        /// be repeated.
        #[arg(long, value_name = "NAME")]
        env: Vec<String>,
        /// Accept that it may do more than the version in use.
        #[arg(long)]
        accept: bool,
    },
    /// Go back to the version that was used before.
    Rollback {
        /// The app key.
        key: String,
        /// Who goes back; all environments without a version of their own otherwise.
        /// May be repeated.
        #[arg(long, value_name = "NAME")]
        env: Vec<String>,
    },
    /// Remove all versions of a connector.
    Remove {
        /// The app key.
        key: String,
        /// Although environments use it.
        #[arg(long)]
        yes: bool,
    },
    /// Allow a connector something that none has by itself.
    Grant {
        /// The app key.
        key: String,
        /// What: reading secrets in clear.
        #[arg(value_parser = [installing::RAW_SECRETS])]
        grant: String,
    },
    /// Take a grant back.
    Revoke {
        /// The app key.
        key: String,
        /// What.
        #[arg(value_parser = [installing::RAW_SECRETS])]
        grant: String,
    },
    /// Show what was installed, promoted, granted and removed, and when.
    History,
    /// Set an environment's values for a connector: public fields and app slots.
    /// An empty value takes one away; `-` reads it from standard input.
    Configure {
        /// The app key.
        key: String,
        /// The environment.
        #[arg(long, value_name = "NAME")]
        env: String,
        /// What to set.
        #[arg(value_name = "NAME=VALUE", required = true)]
        settings: Vec<String>,
        /// A folder with the connector's file. May be repeated.
        #[arg(long, value_name = "DIR")]
        connectors: Vec<PathBuf>,
    },
}

pub(crate) fn run(data: &Path, mut config: Config, command: ConnectorCommand) -> Result<()> {
    match command {
        ConnectorCommand::New {
            name,
            dir,
            category,
            sdk,
        } => connector_new::run(connector_new::New {
            name: &name,
            dir: dir.as_deref(),
            category,
            sdk: sdk.as_deref(),
        }),
        ConnectorCommand::Inspect { file, json } => {
            commands::connector_inspect(&config, &file, json)
        }
        ConnectorCommand::Configure {
            key,
            env,
            settings,
            connectors,
        } => {
            config.connectors.dirs.extend(connectors);
            commands::connector_configure(data, &config, &key, &env, &settings)
        }
        ConnectorCommand::Install { file, env, accept } => {
            let install = installing::Install {
                file: &file,
                environments: &env,
                accept,
            };
            installing::install(&config, data, install)
        }
        ConnectorCommand::Promote {
            connector,
            env,
            accept,
        } => installing::promote(&config, data, &connector, &env, accept),
        ConnectorCommand::Rollback { key, env } => opened(data, &config, async |here| {
            installing::roll_back(here, &key, &env).await
        }),
        ConnectorCommand::Remove { key, yes } => opened(data, &config, async |here| {
            installing::remove(here, &key, yes).await
        }),
        ConnectorCommand::Grant { key, grant } => opened(data, &config, async |here| {
            installing::set_grant(here, &key, &grant, true).await
        }),
        ConnectorCommand::Revoke { key, grant } => opened(data, &config, async |here| {
            installing::set_grant(here, &key, &grant, false).await
        }),
        ConnectorCommand::List { json } => opened(data, &config, async |here| {
            installing::list(here, json).await
        }),
        ConnectorCommand::History => opened(data, &config, installing::history),
    }
}

/// Does something with an installation that there must be.
fn opened(
    data: &Path,
    config: &Config,
    act: impl AsyncFnOnce(&Installation) -> Result<()>,
) -> Result<()> {
    commands::block_on(async {
        let installation = Installation::open(config, data, false).await?;
        act(&installation).await
    })
}
