//! `rollout env sql-user …`: logins for customers' own SQL on Postgres.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rollout_catalog::Catalog;
use rollout_store::{CustomerSchemas, Environment, Location, StoreError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::commands::block_on;
use crate::config::Config;
use crate::installation::{Installation, random};

/// Rounds of hashing a password, as many as Postgres makes.
const ROUNDS: u32 = 4096;
/// Parameters of a URL that say who connects, or how the host does.
const OURS: [&str; 5] = [
    "user",
    "password",
    "options",
    "application_name",
    "search_path",
];

#[derive(Subcommand)]
pub(crate) enum SqlUserCommand {
    /// Make a login that reads an environment's records, and print its URL once.
    Create {
        /// The environment.
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the logins.
    List {
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Remove a login. Its schema stays.
    Remove {
        /// The login.
        user: String,
        /// Drop its schema with everything in it.
        #[arg(long)]
        drop_schema: bool,
    },
}

pub(crate) fn run(data: &Path, config: &Config, command: SqlUserCommand) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        match command {
            SqlUserCommand::Create { name, json } => create(&installation, &name, json).await,
            SqlUserCommand::List { json } => list(&installation, json).await,
            SqlUserCommand::Remove { user, drop_schema } => {
                let schemas = if drop_schema {
                    CustomerSchemas::Drop
                } else {
                    CustomerSchemas::Keep
                };
                remove(&installation, &user, schemas).await
            }
        }
    })
}

async fn create(installation: &Installation, name: &str, as_json: bool) -> Result<()> {
    let environment = installation.environment(name).await?;
    let location = installation.location(&environment)?;
    let url = match &location {
        Location::Postgres(url) => url,
        Location::File(path) => bail!(
            "the records of `{name}` are in a SQLite file, which has no logins; open it read-only: \
             file:{}?mode=ro",
            path.display()
        ),
    };
    let tail: String = (0..4)
        .map(|_| format!("{:02x}", rand::random::<u8>()))
        .collect();
    let (user, password) = (format!("rollout_{name}_{tail}"), random(24));
    let url = url_of(url, &user, &password)?;
    let store = installation
        .store(&environment, &Catalog::embedded()?)
        .await?;
    let made = store
        .create_customer_login(&user, &scram(&password))
        .await
        .with_context(|| format!("the database {location} of `{name}`"));
    store.close().await;
    made?;
    if as_json {
        println!(
            "{}",
            json!({"name": name, "user": user, "databaseUrl": url})
        );
    } else {
        println!("user:         {user}");
        println!("database URL: {url}");
        println!("Keep the URL: it is not shown again. The schema {user} is the user's own.");
    }
    Ok(())
}

/// The environments that can have logins.
async fn on_postgres(installation: &Installation) -> Result<Vec<Environment>> {
    let all = installation.control.environments().await?;
    let is_there = |one: &Environment| {
        let location = installation.location(one);
        location.map(|location| matches!(location, Location::Postgres(_)))
    };
    let mut found = Vec::new();
    for one in all {
        if is_there(&one)? {
            found.push(one);
        }
    }
    Ok(found)
}

async fn list(installation: &Installation, as_json: bool) -> Result<()> {
    let catalog = Catalog::embedded()?;
    let mut shown = Vec::new();
    for environment in on_postgres(installation).await? {
        let store = installation.store(&environment, &catalog).await?;
        let logins = store.customer_logins().await;
        store.close().await;
        let name = environment.name;
        shown.extend(logins?.into_iter().map(|user| (name.clone(), user)));
    }
    if as_json {
        let shown = shown.iter();
        let shown = shown.map(|(name, user)| json!({"name": name, "user": user}));
        println!("{}", shown.collect::<Value>());
    } else {
        for (name, user) in shown {
            println!("{name}\t{user}");
        }
    }
    Ok(())
}

async fn remove(installation: &Installation, user: &str, schemas: CustomerSchemas) -> Result<()> {
    let catalog = Catalog::embedded()?;
    for environment in on_postgres(installation).await? {
        let store = installation.store(&environment, &catalog).await?;
        let removed = store.drop_customer_login(user, schemas).await;
        store.close().await;
        match removed {
            Ok(()) => {
                println!("{user} is removed from `{}`", environment.name);
                if schemas == CustomerSchemas::Keep {
                    println!("Its schema {user} stays; --drop-schema would have dropped it.");
                }
                return Ok(());
            }
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("there is no SQL user {user}; `rollout env sql-user list` names them")
}

/// The host's URL for somebody else.
fn url_of(url: &str, user: &str, password: &str) -> Result<String> {
    let mut url = Url::parse(url)?;
    let refused = |()| anyhow::anyhow!("the database URL has no place for a user");
    url.set_username(user).map_err(refused)?;
    url.set_password(Some(password)).map_err(refused)?;
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !OURS.contains(&name.as_ref()))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    Ok(url.into())
}

/// A password as Postgres stores it, so that the server doesn't see, and log, it:
/// RFC 5803 with SHA-256.
fn scram(password: &str) -> String {
    let salt: [u8; 16] = rand::random();
    scram_with(password, &salt)
}

fn scram_with(password: &str, salt: &[u8]) -> String {
    let mut block = hash(password.as_bytes(), &[salt, &1_u32.to_be_bytes()].concat());
    let mut salted = block;
    for _ in 1..ROUNDS {
        block = hash(password.as_bytes(), &block);
        for (sum, byte) in salted.iter_mut().zip(block) {
            *sum ^= byte;
        }
    }
    let stored: [u8; 32] = Sha256::digest(hash(&salted, b"Client Key")).into();
    let server = hash(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${ROUNDS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

fn hash(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().into())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of RFC 7677: its server key proves the salted password.
    #[test]
    fn passwords_are_hashed_as_postgres_does() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let stored = scram_with("pencil", &salt);
        let server = stored.rsplit(':').next().unwrap();
        let server = STANDARD.decode(server).unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = STANDARD.encode(hash(&server, message.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_url_is_for_its_user_alone() {
        let url = "postgres://host:s3cret@db.example:5432/crm?password=s3cret&sslmode=require";
        let url = url_of(url, "rollout_dev_1", "new").unwrap();
        assert_eq!(
            url,
            "postgres://rollout_dev_1:new@db.example:5432/crm?sslmode=require"
        );
    }
}
