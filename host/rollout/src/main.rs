//! The command line.
//!
//! Everything that can go wrong before the host serves ends in one line on
//! standard error and exit code 2, with nothing changed.

mod artifacts;
mod backups;
mod commands;
mod component_file;
mod config;
mod connector_new;
mod connectors;
mod data;
mod environments;
mod installation;
mod installing;
mod keeper;
mod keys;
mod serve;
mod sql_users;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use rollout_store::Migrate;

use crate::connectors::ConnectorCommand;
use crate::environments::EnvCommand;
use crate::keys::KeyCommand;

/// One normalized API for your customers' CRMs, with every app a sandboxed
/// connector.
#[derive(Parser)]
#[command(name = "rollout", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where configuration and data are.
#[derive(Args, Clone)]
struct Place {
    /// The configuration file; `./rollout.toml` if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory.
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and keep the accounts in sync, until SIGTERM or Ctrl-C.
    Serve {
        /// Address and port to listen on; `server.listen` by default.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
        /// A folder whose *.wasm files are loaded as connectors. May be repeated.
        #[arg(long, value_name = "DIR")]
        connectors: Vec<PathBuf>,
        /// What this host does: answer requests, work, or both.
        #[arg(long, value_enum, default_value = "all")]
        role: serve::Role,
        /// What to do with databases of an older version: bring them up, or refuse
        /// to start.
        #[arg(long, value_enum, default_value = "run")]
        migrate: Migrating,
    },
    /// Environments: a client id, a client secret and a database each.
    #[command(subcommand)]
    Env(EnvCommand),
    /// Print a token for trying things out, or explain one.
    #[command(args_conflicts_with_subcommands = true)]
    Token {
        #[command(subcommand)]
        command: Option<TokenCommand>,
        #[command(flatten)]
        new: NewToken,
    },
    /// Connectors: begin one, look into a file, or set what the app gave you.
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Keys that seal secrets: list them, make new ones, drop old ones.
    #[command(subcommand)]
    Key(KeyCommand),
    /// How the accounts of every environment are: when they were synced, what is wrong.
    Status {
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// The configuration in force.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print every route of the API as JSON: path, methods, and whom it answers.
    #[command(hide = true)]
    Routes,
    /// Compile the component on standard input to standard output, in a process of its
    /// own: what the other commands begin for each file.
    #[command(name = serve::COMPILE, hide = true)]
    CompileConnector {
        /// How much memory it may use, in bytes.
        memory: u64,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Migrating {
    Run,
    Check,
}

#[derive(Args)]
struct NewToken {
    /// The environment.
    #[arg(long, value_name = "NAME", default_value = "dev")]
    env: String,
    /// The consumer: your own id of a user or tenant.
    #[arg(long, value_name = "CONSUMER", conflicts_with = "admin")]
    sub: Option<String>,
    /// A token for the whole environment.
    #[arg(long)]
    admin: bool,
    /// How long it is good for.
    #[arg(long, default_value = "15m", value_parser = humantime::parse_duration)]
    ttl: Duration,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Say whether a token would be accepted now, and if not, why.
    Verify {
        /// The token.
        token: String,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every key with its effective value, as TOML.
    Print,
}

#[expect(clippy::print_stderr, reason = "a command reports its failure there")]
fn main() -> ExitCode {
    rollout_sandbox::share_arenas();
    let cli = Cli::parse();
    if let Command::CompileConnector { memory } = cli.command {
        return ExitCode::from(rollout_sandbox::compile_here(memory));
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Names of files may hold what a terminal obeys.
            let line = format!("{error:#}").replace(char::is_control, " ");
            eprintln!("rollout: {line}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let mut config = config::Config::load(cli.place.config.as_deref(), std::env::vars())?;
    let data = &cli.place.data_dir;
    match cli.command {
        Command::Serve {
            listen,
            connectors,
            role,
            migrate,
        } => {
            if let Some(listen) = listen {
                config.server.listen = listen;
                config.check("--listen")?;
            }
            config.connectors.dirs.extend(connectors);
            let migrate = match migrate {
                Migrating::Run => Migrate::Run,
                Migrating::Check => Migrate::Check,
            };
            serve::run(config, data, serve::Options { role, migrate })
        }
        Command::Env(command) => environments::run(data, &config, command),
        Command::Token {
            command: Some(TokenCommand::Verify { token }),
            ..
        } => commands::token_verify(data, &config, &token),
        Command::Token { command: None, new } => {
            let subject = new.sub.as_deref();
            commands::token(data, &config, &new.env, subject, new.admin, new.ttl)
        }
        Command::Connector(command) => connectors::run(data, config, command),
        Command::Routes => commands::routes(),
        Command::Key(command) => keys::run(data, &config, command),
        Command::Status { json } => status::run(data, &config, json),
        // It has no configuration: see `main`.
        Command::CompileConnector { .. } => Ok(()),
        Command::Config(ConfigCommand::Print) => commands::config_print(&config),
    }
}
