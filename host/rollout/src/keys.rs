//! `rollout key …`: which master keys there are, new ones, and old ones that go.
//!
//! A rotation works beside hosts that serve, and can be killed at any point: run again it
//! goes on. First each database gets a new data key, and all its data keys are wrapped
//! with the current master key. When the hosts had time to take the new ones up, every
//! secret is sealed anew with them. Nothing that a host holds becomes unreadable
//! meanwhile: data keys that were replaced stay.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

mod reseal;
mod survey;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use rollout_catalog::Catalog;
use rollout_connectors::Keyring;
use rollout_store::{DataKeys, EnvStore, Environment, KeysHeld};
use rollout_vault::{DataKey, MasterKeys, key_needed};

use crate::commands::block_on;
use crate::config::Config;
use crate::data::FileLock;
use crate::installation::{Installation, random};
use survey::Survey;

/// How long hosts may take to take new keys up.
const TAKE_UP: Duration = Duration::from_secs(2);

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// List master keys and data keys, and how many secrets need each.
    List {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make a new master key, and seal every secret anew. With keys from a variable or a
    /// command: after you put a new one in front there.
    Rotate {
        /// Only put the new master key into the file. For several hosts: copy the file
        /// to the others, then rotate.
        #[arg(long)]
        prepare: bool,
    },
    /// Remove a master key that nothing needs any more.
    Drop {
        /// Its id, as `list` shows it.
        id: String,
    },
}

pub(crate) fn run(data: &Path, config: &Config, command: KeyCommand) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        match command {
            KeyCommand::List { json } => {
                let survey = Survey::of(&installation).await?;
                print!(
                    "{}",
                    survey.show(&installation.keys.masters().known(), json)
                );
                Ok(())
            }
            KeyCommand::Rotate { prepare } => {
                let _held = hold(&installation).await?;
                rotate(&installation, prepare).await
            }
            KeyCommand::Drop { id } => {
                let _held = hold(&installation).await?;
                drop_master(&installation, &id).await
            }
        }
    })
}

/// Excludes all others who would change keys, on this machine and on others.
async fn hold(installation: &Installation) -> Result<(FileLock, KeysHeld)> {
    let here = installation.data.hold_keys()?;
    let everywhere = installation.control.hold_keys().await?;
    here.zip(everywhere)
        .context("another `rollout key` command is changing the keys: wait for its end")
}

async fn rotate(installation: &Installation, prepare: bool) -> Result<()> {
    let control = &installation.control;
    let under_way = control.key_rotation().await?;
    let masters = installation.keys.masters().reread().await?;
    let prepared = !Survey::of(installation).await?.is_needed(masters.current());
    if prepare {
        ensure!(
            under_way.is_none(),
            "a rotation was cut off: finish it first, with `rollout key rotate`"
        );
        ensure!(
            !prepared,
            "the master key {} is prepared already: copy the file to all hosts, then run \
             `rollout key rotate`",
            masters.current()
        );
        let made = new_master(installation, &masters).await?;
        println!(
            "the master key {} is the first in {}; copy the file to all other hosts, then run \
             `rollout key rotate`",
            made.current(),
            installation.keys.masters().source()
        );
        return Ok(());
    }
    let (name, masters) = match under_way {
        Some(name) => {
            println!("a rotation that was cut off goes on");
            (name, masters)
        }
        None => {
            let masters = if prepared {
                masters
            } else {
                check_alone(installation)?;
                new_master(installation, &masters).await?
            };
            let name = random(9);
            control.begin_key_rotation(&name).await?;
            (name, masters)
        }
    };
    let rotation = Rotation {
        installation,
        name: &name,
        masters: &masters,
        catalog: Catalog::embedded()?,
    };
    rotation.run().await?;
    println!("the master key is {} now", masters.current());
    for old in masters.ids().skip(1) {
        println!("the one before goes with `rollout key drop {old}`; backups may need it");
    }
    Ok(())
}

/// A new key in a file is known to this host alone.
fn check_alone(installation: &Installation) -> Result<()> {
    let source = installation.keys.masters().source();
    ensure!(
        !installation.control.is_shared() || !source.is_file(),
        "other hosts may share the control database, and have to know a new master key first: run \
         `rollout key rotate --prepare`, copy {source} to all of them, then run this again"
    );
    Ok(())
}

/// Puts a new master key in front of those in the file.
async fn new_master(installation: &Installation, before: &MasterKeys) -> Result<Arc<MasterKeys>> {
    let masters = installation.keys.masters();
    if !masters.source().replace(&before.with_new()?)? {
        bail!(
            "the current master key {} is in use already: put a new one in front of it in {}, on \
             every host (`head -c 32 /dev/urandom | base64` makes one), then run this again",
            before.current(),
            masters.source()
        );
    }
    Ok(masters.reread().await?)
}

async fn drop_master(installation: &Installation, id: &str) -> Result<()> {
    let masters = installation.keys.masters();
    let known = masters.reread().await?;
    ensure!(
        known.ids().any(|known| known == id),
        "there is no master key {id}; there are: {}",
        known.ids().collect::<Vec<_>>().join(", ")
    );
    ensure!(
        known.current() != id,
        "{id} is the current master key: `rollout key rotate` makes another one"
    );
    ensure!(
        installation.control.key_rotation().await?.is_none(),
        "a rotation was cut off: finish it first, with `rollout key rotate`"
    );
    let survey = Survey::of(installation).await?;
    let needing = survey.needing(id);
    ensure!(
        needing.is_empty(),
        "the master key {id} is still needed by {}: `rollout key rotate` moves them",
        needing.join(", ")
    );
    let left = known.without(id).context("it is one of several")?;
    if masters.source().replace(&left)? {
        println!(
            "the master key {id} is gone from {}; only backups from before the rotation need it",
            masters.source()
        );
    } else {
        println!(
            "nothing needs the master key {id}: remove it from {}",
            masters.source()
        );
    }
    Ok(())
}

/// An environment that is open for a moment.
struct Opened {
    environment: Environment,
    store: EnvStore,
}

impl Opened {
    /// Does something with each environment, one open at a time.
    async fn each<T>(
        installation: &Installation,
        catalog: &Catalog,
        mut act: impl AsyncFnMut(&Opened) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for environment in installation.control.environments().await? {
            let store = installation.store(&environment, catalog).await?;
            let opened = Opened { environment, store };
            let done = act(&opened).await;
            opened.store.close().await;
            let done = done.with_context(|| format!("environment `{}`", opened.environment.name));
            all.push(done?);
        }
        Ok(all)
    }
}

/// A rotation under way.
struct Rotation<'a> {
    installation: &'a Installation,
    name: &'a str,
    masters: &'a MasterKeys,
    catalog: Catalog,
}

impl Rotation<'_> {
    async fn run(&self) -> Result<()> {
        let installation = self.installation;
        let control = &installation.control;
        self.renew(installation.keys.owner(), &control.data_keys())
            .await?;
        Opened::each(installation, &self.catalog, async |opened| {
            let owner = &opened.environment.client_id;
            self.renew(owner, &opened.store.data_keys()).await
        })
        .await?;
        control.announce_keys().await?;
        if control.is_shared() || installation.data.is_served() {
            println!(
                "new data keys are entered; hosts have {} s to take them up",
                TAKE_UP.as_secs()
            );
            tokio::time::sleep(TAKE_UP).await;
        }
        let own = self
            .keyring(installation.keys.owner(), control.data_keys())
            .await?;
        let moved = Opened::each(installation, &self.catalog, async |opened| {
            let client_id = &opened.environment.client_id;
            let keys = self.keyring(client_id, opened.store.data_keys()).await?;
            let moved = reseal::environment(control, own.vault(), keys.vault(), opened).await?;
            println!("environment `{}`: {moved}", opened.environment.name);
            Ok(())
        });
        moved.await?;
        Ok(control.end_key_rotation().await?)
    }

    async fn keyring(&self, owner: &str, keys: DataKeys<'_>) -> Result<Keyring> {
        let masters = self.installation.keys.masters().clone();
        Ok(Keyring::open(owner, masters, keys).await?)
    }

    /// Enters this rotation's data key, and wraps the others with the current master key.
    async fn renew(&self, owner: &str, keys: &DataKeys<'_>) -> Result<()> {
        let next = DataKey::generate()?;
        keys.enter_next(next.id(), &self.masters.wrap(owner, &next)?, self.name)
            .await?;
        for stored in keys.all().await? {
            if key_needed(&stored.wrapped)? != self.masters.current() {
                let key = self.masters.unwrap(owner, &stored.id, &stored.wrapped)?;
                keys.rewrap(&stored, &self.masters.wrap(owner, &key)?)
                    .await?;
            }
        }
        Ok(())
    }
}
