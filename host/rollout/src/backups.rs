//! Backups: an environment as one file, and back.
//!
//! A backup is an environment's database on SQLite, whatever it comes from, with
//! a note of what the control database knew of it. Secrets in it stay sealed, all
//! with the environment's own keys, which are in it too: it is of use only beside
//! the master key that these are wrapped with.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rollout_catalog::Catalog;
use rollout_connectors::{
    Keyring, app_slot_context, client_secret_context, credential_slot_context, database_url_context,
};
use rollout_store::{
    AppKeys, AppSetting, CustomerSchemas, EnvStore, Environment, Location, Migrate, SettingKind,
    StoredKey, now,
};
use rollout_vault::{Context, Vault};
use serde::{Deserialize, Serialize};

use crate::commands::block_on;
use crate::config::Config;
use crate::data::DataDir;
use crate::environments::remove;
use crate::installation::{Installation, before_data_keys, is_name};

/// What a backup says of its environment.
#[derive(Serialize, Deserialize)]
struct Note {
    made_at: i64,
    /// The environment's keys; none in a backup from before there were any, whose secrets
    /// are sealed with the master key itself.
    #[serde(default)]
    keys: Vec<StoredKey>,
    name: String,
    client_id: String,
    client_secret_sealed: String,
    old_secret: Option<(String, i64)>,
    app_keys: AppKeys,
    created_at: i64,
    /// Each with its connector.
    settings: Vec<(String, AppSetting)>,
}

/// What is to be restored, and how.
pub(crate) struct Restore<'a> {
    pub(crate) file: &'a Path,
    pub(crate) name: Option<String>,
    pub(crate) database_url: Option<String>,
    pub(crate) resume: bool,
}

/// A new file that is gone again unless it is kept.
struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Draft {
    /// An empty file that only its owner can read.
    fn new(path: PathBuf) -> Result<Self> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self { path, kept: false })
    }

    /// Beside `place`, under a name of its own.
    fn beside(place: &Path) -> Result<Self> {
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        Self::new(name.into())
    }

    /// Makes it the file at `place`, for good.
    fn keep(mut self, place: &Path) -> Result<()> {
        File::open(&self.path)?.sync_all()?;
        let shown = place.display();
        ensure!(!place.exists(), "{shown} is there already");
        std::fs::rename(&self.path, place).with_context(|| format!("can't write {shown}"))?;
        self.kept = true;
        let folder = match place.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.path.as_os_str().to_owned();
            file.push(suffix);
            if !self.kept {
                // It may have none of them.
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

pub(crate) fn backup(data: &Path, config: &Config, name: &str, file: &Path) -> Result<()> {
    block_on(async {
        let shown = file.display();
        ensure!(!file.exists(), "{shown} is there already");
        let installation = Installation::open(config, data, false).await?;
        let environment = installation.environment(name).await?;
        let catalog = Catalog::embedded()?;
        let store = installation.store(&environment, &catalog).await?;
        let note = note(&installation, &environment, &store).await?;
        let draft = Draft::beside(file)?;
        let copy = open_file(&installation, &draft.path, &environment.client_id, &catalog).await?;
        let copied = store.copy_to(&copy).await;
        store.close().await;
        let closed = copy.close_as_backup(&serde_json::to_string(&note)?).await;
        let rows = copied?;
        closed?;
        draft.keep(file)?;
        println!("environment `{name}` is in {shown}: {rows} rows");
        Ok(())
    })
}

/// What the control database knows of an environment.
async fn note(
    installation: &Installation,
    environment: &Environment,
    store: &EnvStore,
) -> Result<Note> {
    let mut settings = installation.control.app_settings().await?;
    let own = installation.keys_of(environment, store).await?;
    let context = client_secret_context(&environment.name);
    let again = |sealed: &str| {
        reseal(
            (installation.vault(), &context),
            (own.vault(), &context),
            sealed,
        )
    };
    let old_secret = match &environment.old_secret {
        Some((sealed, until)) => Some((again(sealed)?, *until)),
        None => None,
    };
    Ok(Note {
        made_at: now(),
        keys: store.data_keys().all().await?,
        name: environment.name.clone(),
        client_id: environment.client_id.clone(),
        client_secret_sealed: again(&environment.client_secret_sealed)?,
        old_secret,
        app_keys: environment.app_keys,
        created_at: environment.created_at,
        settings: settings.remove(&environment.name).unwrap_or_default(),
    })
}

async fn open_file(
    installation: &Installation,
    file: &Path,
    client_id: &str,
    catalog: &Catalog,
) -> Result<EnvStore> {
    let location = Location::File(file.to_owned());
    let databases = &installation.databases;
    EnvStore::open(databases, &location, client_id, catalog, Migrate::Run)
        .await
        .with_context(|| format!("the database {location}"))
}

pub(crate) fn restore(data: &Path, config: &Config, restore: Restore<'_>) -> Result<()> {
    block_on(async {
        let (note, vault) = read_note(data, config, restore.file).await?;
        let name = restore.name.clone().unwrap_or_else(|| note.name.clone());
        ensure!(is_name(&name), "`{name}` can't name an environment");
        let installation = Installation::open(config, data, true).await?;
        let url = restore.database_url.as_deref();
        let location = installation.new_location(&name, url)?;
        installation
            .check_free(&name, Some(&note.client_id))
            .await?;
        check_empty(&installation, &location).await?;
        let environment = environment(&installation, &vault, &note, &name, &restore)?;
        let keys = place(&installation, &note, &environment, &restore, &location).await?;
        if let Err(error) = enter(&installation, keys.vault(), &note, &environment).await {
            remove(
                &installation,
                &environment,
                &location,
                CustomerSchemas::Keep,
            )
            .await?;
            return Err(error);
        }
        println!("environment `{name}` is restored into {location}");
        if !restore.resume {
            println!(
                "It is held: it can be read, and nothing is synced or written until `rollout env resume {name}`."
            );
        }
        Ok(())
    })
}

/// Reads what the backup says of itself, and what opens its secrets. Before anything is
/// made, it is clear that the master key is the right one.
async fn read_note(data: &Path, config: &Config, file: &Path) -> Result<(Note, Vault)> {
    let text = rollout_store::backup_note(file).await?;
    let note: Note = serde_json::from_str(&text)
        .with_context(|| format!("{} is of another version", file.display()))?;
    let source = DataDir::open(data, false)?.key_source(&config.keys)?;
    let masters = source
        .read()
        .await
        .context("put the key there that belongs to the backup, before anything else")?;
    let vault = match note.keys.as_slice() {
        [] => before_data_keys(&masters),
        keys => Keyring::vault_of(&note.client_id, &masters, keys).map_err(Into::into),
    };
    let vault = vault.and_then(|vault| {
        vault.open(
            &client_secret_context(&note.name),
            &note.client_secret_sealed,
        )?;
        Ok(vault)
    });
    let vault = vault.with_context(|| {
        format!(
            "the backup is sealed with another key than {source}: restore it in a data directory \
             that has the master.key of the installation it comes from"
        )
    })?;
    Ok((note, vault))
}

async fn check_empty(installation: &Installation, location: &Location) -> Result<()> {
    let there = match location {
        Location::File(path) => path.exists().then(|| "another environment".to_owned()),
        Location::Postgres(_) => {
            let owner = rollout_store::environment_in(&installation.databases, location);
            let owner = owner
                .await
                .with_context(|| format!("the database {location}"))?;
            owner.map(|id| format!("the environment with the client id {id}"))
        }
    };
    match there {
        Some(there) => anyhow::bail!("{location} holds the data of {there} already"),
        None => Ok(()),
    }
}

/// Puts the data where it belongs. Answers its keys.
async fn place(
    installation: &Installation,
    note: &Note,
    environment: &Environment,
    restore: &Restore<'_>,
    location: &Location,
) -> Result<Keyring> {
    let catalog = Catalog::embedded()?;
    let draft = Draft::beside(&installation.data.environment(&environment.name))?;
    let mut from = File::open(restore.file)?;
    io::copy(
        &mut from,
        &mut OpenOptions::new().write(true).open(&draft.path)?,
    )?;
    let draft_store = open_file(installation, &draft.path, &note.client_id, &catalog).await?;
    draft_store.forget_backup().await?;
    let keys = installation.keys_of(environment, &draft_store).await?;
    reseal_credentials(keys.vault(), note, &environment.name, &draft_store).await?;
    match location {
        Location::File(path) => {
            draft_store.close_whole().await?;
            draft.keep(path)?;
        }
        Location::Postgres(_) => {
            let target = installation.store(environment, &catalog).await?;
            let copied = draft_store.copy_to(&target).await;
            target.close().await;
            draft_store.close().await;
            if let Err(error) = copied {
                remove(installation, environment, location, CustomerSchemas::Keep).await?;
                return Err(error.into());
            }
        }
    }
    Ok(keys)
}

/// Enters the environment, with what is set for its connectors.
async fn enter(
    installation: &Installation,
    vault: &Vault,
    note: &Note,
    environment: &Environment,
) -> Result<()> {
    let settings = settings(vault, note, &environment.name)?;
    let control = &installation.control;
    Ok(control.restore_environment(environment, &settings).await?)
}

/// What was sealed by one vault for one context, sealed by and for another.
fn reseal(
    (from, as_was): (&Vault, &Context<'_>),
    (to, as_is): (&Vault, &Context<'_>),
    sealed: &str,
) -> Result<String> {
    let secret = from.open(as_was, sealed)?;
    Ok(to.seal(as_is, secret.expose())?)
}

fn environment(
    installation: &Installation,
    vault: &Vault,
    note: &Note,
    name: &str,
    restore: &Restore<'_>,
) -> Result<Environment> {
    let from = client_secret_context(&note.name);
    let to = client_secret_context(name);
    let own = installation.vault();
    let again = |sealed: &str| reseal((vault, &from), (own, &to), sealed);
    let old_secret = match &note.old_secret {
        Some((sealed, until)) => Some((again(sealed)?, *until)),
        None => None,
    };
    let url = restore.database_url.as_ref();
    let url = url.map(|url| own.seal(&database_url_context(name), url.as_bytes()));
    Ok(Environment {
        name: name.to_owned(),
        client_id: note.client_id.clone(),
        client_secret_sealed: again(&note.client_secret_sealed)?,
        database_url_sealed: url.transpose()?,
        app_keys: note.app_keys,
        old_secret,
        held: !restore.resume,
        // Whoever restores it decides anew.
        include_data: false,
        created_at: note.created_at,
    })
}

fn settings(vault: &Vault, note: &Note, name: &str) -> Result<Vec<(String, AppSetting)>> {
    let mut settings = note.settings.clone();
    for (connector, setting) in &mut settings {
        if setting.kind == SettingKind::Slot && !setting.value.is_empty() {
            let from = app_slot_context(&note.name, connector, &setting.name);
            let to = app_slot_context(name, connector, &setting.name);
            setting.value = reseal((vault, &from), (vault, &to), &setting.value)?;
        }
    }
    Ok(settings)
}

async fn reseal_credentials(
    vault: &Vault,
    note: &Note,
    name: &str,
    store: &EnvStore,
) -> Result<()> {
    if name == note.name {
        return Ok(());
    }
    for credential in store.all_credentials().await? {
        let mut secrets = store.secrets(&credential.id).await?;
        for (slot, sealed) in &mut secrets {
            let from = credential_slot_context(&note.name, &credential.id, slot);
            let to = credential_slot_context(name, &credential.id, slot);
            *sealed = reseal((vault, &from), (vault, &to), sealed)?;
        }
        store.put_secrets(&credential.id, &secrets).await?;
    }
    Ok(())
}
