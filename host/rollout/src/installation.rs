//! What every command needs: the data directory, the control database, and the
//! key that belongs to it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rollout_catalog::Catalog;
use rollout_connectors::{EnvironmentError, Keyring, client_secret_context, database_url_context};
use rollout_store::{
    AppKeys, Control, Databases, EnvStore, Environment, Location, Migrate, NewEnvironment,
    StoreError,
};
use rollout_vault::{Context, DataKey, KeySource, MasterKeys, Masters, Vault};
use serde_json::{Value, json};

use crate::config::Config;
use crate::data::DataDir;

/// Bytes of a client secret that we make: as many as HMAC-SHA-512 puts out.
const SECRET_BYTES: usize = 64;
/// Bytes that a client secret given by the operator has at least.
const SHORTEST_SECRET: usize = 32;

/// What installations from before there were data keys sealed with their master key.
const KEY_CHECK: Context<'static> = Context {
    environment: "",
    scope: "installation",
    owner: "",
    slot: "key-check",
};

/// An installation.
pub(crate) struct Installation {
    pub(crate) data: DataDir,
    pub(crate) databases: Arc<Databases>,
    pub(crate) control: Arc<Control>,
    /// What the control database's secrets are sealed with.
    pub(crate) keys: Arc<Keyring>,
    control_at: Location,
    migrate: Migrate,
}

/// An environment as it is made.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<String>,
    pub(crate) database_url: Option<String>,
    pub(crate) app_keys: AppKeys,
}

impl<'a> Wanted<'a> {
    /// One with nothing special about it.
    pub(crate) fn named(name: &'a str) -> Self {
        Self {
            name,
            client_id: None,
            client_secret: None,
            database_url: None,
            app_keys: AppKeys::Canonical,
        }
    }
}

impl Installation {
    /// Opens it; `create` makes one where there is none.
    pub(crate) async fn open(config: &Config, path: &Path, create: bool) -> Result<Self> {
        let data = DataDir::open(path, create)?;
        Self::in_dir(config, data, create, Migrate::Run).await
    }

    /// The same in a data directory that is open.
    pub(crate) async fn in_dir(
        config: &Config,
        data: DataDir,
        create: bool,
        migrate: Migrate,
    ) -> Result<Self> {
        let url = &config.control.database_url;
        let control_at = if url.is_empty() {
            ensure!(
                create || data.has_control(),
                "{} holds no environments; `rollout serve` or `rollout env create` makes the first",
                data.shown("")
            );
            Location::File(data.control())
        } else {
            Location::parse(url)?
        };
        let databases = Arc::new(Databases::new(
            config.database.connections_per_environment,
            config.database.connections_per_server,
        ));
        let control = Control::open(&databases, &control_at, migrate)
            .await
            .with_context(|| format!("the control database {control_at}"))?;
        let source = data.key_source(&config.keys)?;
        let keys = open_keys(&control, source).await?;
        Ok(Self {
            data,
            databases,
            control: Arc::new(control),
            keys: Arc::new(keys),
            control_at,
            migrate,
        })
    }

    /// Seals and opens what the control database holds.
    pub(crate) fn vault(&self) -> &Vault {
        self.keys.vault()
    }

    /// The keys of an environment, whose database this is.
    pub(crate) async fn keys_of(
        &self,
        environment: &Environment,
        store: &EnvStore,
    ) -> Result<Keyring> {
        let masters = self.keys.masters().clone();
        Keyring::open(&environment.client_id, masters, store.data_keys())
            .await
            .with_context(|| format!("the keys of environment `{}`", environment.name))
    }

    /// The environment of a name, or which there are.
    pub(crate) async fn environment(&self, name: &str) -> Result<Environment> {
        if let Some(environment) = self.control.environment(name).await? {
            return Ok(environment);
        }
        let all = self.control.environments().await?;
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        bail!(
            "there is no environment `{name}`; there are: {}",
            names.join(", ")
        )
    }

    /// Where an environment's records are.
    pub(crate) fn location(&self, environment: &Environment) -> Result<Location> {
        let Some(sealed) = &environment.database_url_sealed else {
            return Ok(Location::File(self.data.environment(&environment.name)));
        };
        let url = self
            .vault()
            .open(&database_url_context(&environment.name), sealed)?;
        Ok(Location::parse(url.text()?)?)
    }

    /// Opens an environment's database.
    pub(crate) async fn store(
        &self,
        environment: &Environment,
        catalog: &Catalog,
    ) -> Result<EnvStore> {
        let location = self.location(environment)?;
        EnvStore::open(
            &self.databases,
            &location,
            &environment.client_id,
            catalog,
            self.migrate,
        )
        .await
        .with_context(|| format!("the database {location} of `{}`", environment.name))
    }

    /// Refuses a name or client id that is taken.
    pub(crate) async fn check_free(&self, name: &str, client_id: Option<&str>) -> Result<()> {
        ensure!(
            self.control.environment(name).await?.is_none(),
            "there is an environment `{name}` already"
        );
        if let Some(id) = client_id
            && let Some(owner) = self.control.environment_of_client(id).await?
        {
            bail!(
                "the client id `{id}` is that of the environment `{}` already",
                owner.name
            );
        }
        Ok(())
    }

    /// Where the records of an environment will be that is not entered yet. A file is
    /// one of the data directory, and only where no other host has to reach it.
    pub(crate) fn new_location(&self, name: &str, url: Option<&str>) -> Result<Location> {
        let Some(url) = url else {
            ensure!(
                !self.control.is_shared(),
                "the control database is on Postgres, so that several hosts can serve; name a \
                 database that all of them reach: --database-url postgres://USER:PASSWORD@HOST:5432/DATABASE"
            );
            return Ok(Location::File(self.data.environment(name)));
        };
        match Location::parse(url)? {
            Location::File(_) => bail!(
                "--database-url names a Postgres database; without it the records are in a file \
                 of the data directory"
            ),
            postgres => Ok(postgres),
        }
    }

    /// An environment's client secret.
    pub(crate) fn client_secret(&self, environment: &Environment) -> Result<String> {
        let context = client_secret_context(&environment.name);
        let secret = self
            .vault()
            .open(&context, &environment.client_secret_sealed)?;
        Ok(secret.text()?.to_owned())
    }

    /// Every client secret that tokens may be signed with now.
    pub(crate) fn valid_secrets(&self, environment: &Environment) -> Result<Vec<String>> {
        let mut secrets = vec![self.client_secret(environment)?];
        if let Some((sealed, until)) = &environment.old_secret
            && *until > rollout_store::now()
        {
            let context = client_secret_context(&environment.name);
            secrets.push(self.vault().open(&context, sealed)?.text()?.to_owned());
        }
        Ok(secrets)
    }

    /// Makes the first environment of an installation that has none. Answers what
    /// is to be shown of it, once.
    pub(crate) async fn first_environment(&self, name: &str) -> Result<Option<Value>> {
        if !self.control.environments().await?.is_empty() {
            return Ok(None);
        }
        let mut wanted = Wanted::named(name);
        if let Location::Postgres(url) = &self.control_at {
            wanted.database_url = Some(url.clone());
        }
        match self.make_environment(wanted).await {
            Ok(shown) => Ok(Some(shown)),
            // Another host that starts at the same time was faster.
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::Conflict(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an environment. Answers the object that `--json` prints, with its
    /// secret.
    pub(crate) async fn make_environment(&self, wanted: Wanted<'_>) -> Result<Value> {
        let name = wanted.name;
        ensure!(
            is_name(name),
            "`{name}` can't name an environment: use lower-case letters, digits and hyphens, at most 40, beginning with a letter"
        );
        if let Some(secret) = &wanted.client_secret {
            check_secret(secret)?;
        }
        let location = self.new_location(name, wanted.database_url.as_deref())?;
        self.check_free(name, wanted.client_id.as_deref()).await?;
        let client_id = wanted
            .client_id
            .unwrap_or_else(|| format!("ci_{}", random(15)));
        let client_secret = wanted.client_secret.unwrap_or_else(new_secret);
        let context = client_secret_context(name);
        let client_secret_sealed = self.vault().seal(&context, client_secret.as_bytes())?;
        if wanted.database_url.is_some() {
            // Wrong URLs and missing rights are found before anything is entered.
            let catalog = Catalog::embedded()?;
            EnvStore::open(
                &self.databases,
                &location,
                &client_id,
                &catalog,
                Migrate::Run,
            )
            .await
            .with_context(|| format!("the database {location}"))?
            .close()
            .await;
        }
        let url = wanted.database_url.as_ref();
        let url = url.map(|url| {
            self.vault()
                .seal(&database_url_context(name), url.as_bytes())
        });
        self.control
            .create_environment(NewEnvironment {
                name: name.to_owned(),
                client_id: client_id.clone(),
                client_secret_sealed,
                database_url_sealed: url.transpose()?,
                app_keys: wanted.app_keys,
                held: false,
            })
            .await?;
        Ok(json!({
            "name": name,
            "clientId": client_id,
            "clientSecret": client_secret,
            "databaseUrl": location.url(),
        }))
    }
}

/// Opens the installation's keys. The first master key is made where nothing can be
/// sealed yet.
async fn open_keys(control: &Control, source: KeySource) -> Result<Keyring> {
    let fresh = control.data_keys().all().await?.is_empty();
    let check = control.key_check().await?.filter(|_| fresh);
    let known = if fresh && check.is_none() {
        source.read_or_create().await?
    } else {
        source.read().await?
    };
    let advice = if source.is_file() {
        "copy the file from the first host's data directory"
    } else {
        "take the one that the first host has"
    };
    let other = format!(
        "the key in {source} is not the one that this installation's secrets are sealed with: {advice}"
    );
    if let Some(check) = check {
        before_data_keys(&known)?
            .open(&KEY_CHECK, &check)
            .with_context(|| other.clone())?;
    }
    let masters = Arc::new(Masters::new(source, known));
    match Keyring::of_installation(masters, control.data_keys()).await {
        Err(EnvironmentError::Vault(error)) => Err(error).context(other),
        opened => Ok(opened?),
    }
}

/// Opens what was sealed with master keys themselves, as before there were data keys.
pub(crate) fn before_data_keys(masters: &MasterKeys) -> Result<Vault> {
    Ok(Vault::new(&DataKey::generate()?, [], masters))
}

/// A client secret of an operator's own has some length to it.
pub(crate) fn check_secret(secret: &str) -> Result<()> {
    ensure!(
        secret.len() >= SHORTEST_SECRET,
        "the client secret has {} bytes; it needs at least {SHORTEST_SECRET}, better {SECRET_BYTES}",
        secret.len()
    );
    if secret.len() < SECRET_BYTES {
        tracing::warn!(
            "the client secret has {} bytes; HS512 deserves {SECRET_BYTES}",
            secret.len()
        );
    }
    Ok(())
}

/// A new client secret.
pub(crate) fn new_secret() -> String {
    random(SECRET_BYTES)
}

pub(crate) fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
}

/// This many random bytes as text that needs no escaping anywhere.
pub(crate) fn random(bytes: usize) -> String {
    let bytes: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}
