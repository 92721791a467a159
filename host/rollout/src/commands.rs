//! The commands beside `serve`. They work while a host serves from the same data
//! directory; the host takes up what they change within two seconds.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rollout_catalog::Catalog;
use rollout_catalog::manifest::SlotScope;
use rollout_connectors::{Connector, app_slot_context, client_secret_context};
use rollout_sandbox::Sandbox;
use rollout_server::token;
use rollout_store::{AppKeys, AppSetting, Control, Environment, NewEnvironment, SettingKind};
use rollout_vault::Vault;
use serde_json::{Value, json};

use crate::config::Config;
use crate::data::DataDir;
use crate::serve;

/// Bytes of a client secret that we make: as many as HMAC-SHA-512 puts out.
const SECRET_BYTES: usize = 64;
/// Bytes that a client secret given by the operator has at least.
const SHORTEST_SECRET: usize = 32;

/// An environment with its secret, as it is shown once.
pub(crate) struct NewlyMade {
    /// The object that `--json` prints.
    pub(crate) shown: Value,
}

/// Creates an environment in the control database.
pub(crate) async fn make_environment(
    data: &DataDir,
    control: &Control,
    vault: &Vault,
    name: &str,
    client_id: Option<String>,
    client_secret: Option<String>,
) -> Result<NewlyMade> {
    ensure!(
        is_name(name),
        "`{name}` can't name an environment: use lower-case letters, digits and hyphens, at most 40, beginning with a letter"
    );
    if let Some(secret) = &client_secret {
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
    }
    ensure!(
        control.environment(name).await?.is_none(),
        "there is an environment `{name}` already"
    );
    if let Some(id) = &client_id
        && let Some(owner) = control.environment_of_client(id).await?
    {
        bail!(
            "the client id `{id}` is that of the environment `{}` already",
            owner.name
        );
    }
    let client_id = client_id.unwrap_or_else(|| format!("ci_{}", random(15)));
    let client_secret = client_secret.unwrap_or_else(|| random(SECRET_BYTES));
    let sealed = vault.seal(&client_secret_context(name), client_secret.as_bytes())?;
    control
        .create_environment(NewEnvironment {
            name: name.to_owned(),
            client_id: client_id.clone(),
            client_secret_sealed: sealed,
            database_url: None,
            app_keys: AppKeys::Canonical,
        })
        .await?;
    Ok(NewlyMade {
        shown: json!({
            "name": name,
            "clientId": client_id,
            "clientSecret": client_secret,
            "databaseUrl": format!("sqlite://{}", data.environment(name).display()),
        }),
    })
}

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
}

/// This many random bytes as text that needs no escaping anywhere.
fn random(bytes: usize) -> String {
    let bytes: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What most commands need.
struct Opened {
    data: DataDir,
    control: Control,
    vault: Vault,
}

impl Opened {
    async fn at(path: &Path, create: bool) -> Result<Self> {
        let data = DataDir::open(path, create)?;
        ensure!(
            create || data.has_control(),
            "{} holds no environments; `rollout serve` or `rollout env create` makes the first",
            path.display()
        );
        let vault = data.vault()?;
        let control = Control::open(&data.control())
            .await
            .with_context(|| data.shown("control.sqlite"))?;
        Ok(Self {
            data,
            control,
            vault,
        })
    }

    async fn environment(&self, name: &str) -> Result<Environment> {
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

    fn client_secret(&self, environment: &Environment) -> Result<String> {
        let context = client_secret_context(&environment.name);
        let secret = self
            .vault
            .open(&context, &environment.client_secret_sealed)?;
        Ok(secret.text()?.to_owned())
    }
}

/// Runs a command that needs no more than one thread.
fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

pub(crate) fn env_create(
    data: &Path,
    name: &str,
    client_id: Option<String>,
    client_secret: Option<String>,
    as_json: bool,
) -> Result<()> {
    block_on(async {
        let opened = Opened::at(data, true).await?;
        let made = make_environment(
            &opened.data,
            &opened.control,
            &opened.vault,
            name,
            client_id,
            client_secret,
        )
        .await?;
        if as_json {
            println!("{}", made.shown);
        } else {
            let text = |key: &str| {
                made.shown
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .to_owned()
            };
            println!("client id:     {}", text("clientId"));
            println!("client secret: {}", text("clientSecret"));
            println!("database:      {}", text("databaseUrl"));
            println!("Keep the secret: it is not shown again.");
        }
        Ok(())
    })
}

pub(crate) fn env_list(data: &Path, as_json: bool) -> Result<()> {
    block_on(async {
        let opened = Opened::at(data, false).await?;
        let environments = opened.control.environments().await?;
        if as_json {
            let shown: Vec<Value> = environments
                .iter()
                .map(|one| {
                    json!({
                        "name": one.name,
                        "clientId": one.client_id,
                        "databaseUrl": format!("sqlite://{}", opened.data.environment(&one.name).display()),
                    })
                })
                .collect();
            println!("{}", Value::Array(shown));
        } else {
            for one in environments {
                println!("{}\t{}", one.name, one.client_id);
            }
        }
        Ok(())
    })
}

pub(crate) fn token(
    data: &Path,
    environment: &str,
    subject: Option<&str>,
    admin: bool,
    ttl: Duration,
) -> Result<()> {
    block_on(async {
        let opened = Opened::at(data, false).await?;
        let environment = opened.environment(environment).await?;
        let (subject, scope) = match (subject, admin) {
            (Some(subject), false) => (Some(subject), None),
            (None, true) => (None, Some("environment")),
            _ => {
                bail!("say whose token it is: --sub CONSUMER, or --admin for the whole environment")
            }
        };
        let secret = opened.client_secret(&environment)?;
        let minted = token::mint(
            &environment.client_id,
            &secret,
            subject,
            scope,
            unix_now(),
            ttl,
        )?;
        println!("{minted}");
        Ok(())
    })
}

pub(crate) fn token_verify(data: &Path, config: &Config, text: &str) -> Result<()> {
    block_on(async {
        let opened = Opened::at(data, false).await?;
        let environments = opened.control.environments().await?;
        let issuer = token::issuer(text)?;
        let environment = match (&issuer, environments.as_slice()) {
            (Some(issuer), all) => all
                .iter()
                .find(|one| one.client_id == *issuer)
                .with_context(|| format!("no environment has the client id `{issuer}` (`iss`)"))?,
            (None, [only]) => only,
            (None, all) => {
                let name = &config.auth.default_environment;
                all.iter().find(|one| one.name == *name).context(
                    "the token has no `iss`, there are several environments, and auth.default_environment names none of them",
                )?
            }
        };
        let secret = opened.client_secret(environment)?;
        let claims = token::verify(text, &[secret.as_bytes()], unix_now())
            .with_context(|| format!("environment `{}` refuses it", environment.name))?;
        let left = claims.expires_at.saturating_sub(unix_now());
        println!(
            "valid in environment `{}` for {left} s more, {}",
            environment.name,
            match &claims.subject {
                Some(subject) => format!("for the consumer `{subject}`"),
                None => "for the whole environment".to_owned(),
            }
        );
        Ok(())
    })
}

pub(crate) fn connector_inspect(config: &Config, file: &Path, as_json: bool) -> Result<()> {
    let shown = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("can't read {shown}"))?;
    let size = bytes.len();
    serve::runtime()?.block_on(async {
        let catalog = Catalog::embedded()?;
        let sandbox = Sandbox::new(config.sandbox.clone())?;
        let connector = Connector::load(&sandbox, &catalog, bytes)
            .await
            .with_context(|| format!("{shown} is refused"))?;
        if as_json {
            println!("{}", connector.component.description().trim());
            return Ok(());
        }
        let manifest = &connector.manifest;
        println!("{} ({}) {}", manifest.name, manifest.key, manifest.version);
        println!("{}", manifest.description);
        println!(
            "file      {size} bytes, sha256 {}",
            connector.component.sha256()
        );
        let hosts: Vec<&str> = manifest.hosts.iter().map(|host| host.as_str()).collect();
        println!("calls     {}", hosts.join(", "));
        for binding in &manifest.bindings {
            let all_or = |list: &[String], all: &str| {
                if list.is_empty() {
                    all.to_owned()
                } else {
                    list.join(" ")
                }
            };
            println!(
                "secret    {} to {} {} as {}, {}",
                binding.slot,
                binding.host.as_str(),
                all_or(&binding.paths, "/"),
                binding.place,
                all_or(&binding.methods, "all methods"),
            );
        }
        for (name, offer) in &manifest.entities {
            let verbs: Vec<&str> = offer.verbs.iter().map(|verb| verb.as_str()).collect();
            let operations = offer.operations.join(", ");
            println!("entity    {name}: {} {operations}", verbs.join(", "));
        }
        for plan in &manifest.plans {
            let inputs: Vec<&str> = plan
                .auth
                .inputs
                .iter()
                .map(|one| one.key.as_str())
                .collect();
            println!("plan      {}: {}", plan.key, inputs.join(", "));
        }
        Ok(())
    })
}

pub(crate) fn connector_configure(
    data: &Path,
    config: &Config,
    key: &str,
    environment: &str,
    settings: &[String],
) -> Result<()> {
    serve::runtime()?.block_on(async {
        let opened = Opened::at(data, false).await?;
        let environment = opened.environment(environment).await?;
        let registry = serve::load_connectors(config).await?;
        let connector = registry.get(key).with_context(|| {
            let known: Vec<String> = registry.all().iter().map(|one| one.key().to_owned()).collect();
            format!(
                "no connector `{key}` is loaded (there are: {}); name its folder with --connectors DIR",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )
        })?;
        let mut stored = Vec::new();
        for setting in settings {
            let (name, value) = setting
                .split_once('=')
                .with_context(|| format!("`{setting}` is not NAME=VALUE"))?;
            stored.push(setting_of(&opened.vault, &environment.name, &connector, name, value)?);
        }
        opened
            .control
            .put_app_settings(&environment.name, connector.key(), &stored)
            .await?;
        for setting in &stored {
            println!("{} {} set", connector.key(), setting.name);
        }
        Ok(())
    })
}

fn setting_of(
    vault: &Vault,
    environment: &str,
    connector: &Arc<Connector>,
    name: &str,
    value: &str,
) -> Result<AppSetting> {
    let value = if value == "-" {
        read_line()?
    } else {
        value.to_owned()
    };
    let manifest = &connector.manifest;
    if manifest.fields.contains_key(name) {
        return Ok(AppSetting {
            name: name.to_owned(),
            kind: SettingKind::Field,
            value,
        });
    }
    let app_slots = manifest
        .slots
        .iter()
        .filter(|(_, slot)| slot.scope == SlotScope::App)
        .map(|(slot, _)| slot.as_str());
    let mut known: Vec<&str> = app_slots.collect();
    if !known.contains(&name) {
        known.extend(manifest.fields.keys().map(String::as_str));
        bail!(
            "{} has no setting `{name}`; it has: {}",
            connector.key(),
            known.join(", ")
        );
    }
    let context = app_slot_context(environment, connector.key(), name);
    Ok(AppSetting {
        name: name.to_owned(),
        kind: SettingKind::Slot,
        value: vault.seal(&context, value.as_bytes())?,
    })
}

/// Reads a secret from standard input: without echo from a terminal, else all
/// that comes, without the last line break.
fn read_line() -> Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let mut text = String::new();
    if isatty(&stdin) {
        let before = tcgetattr(&stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &silent)?;
        let read = stdin.read_line(&mut text);
        tcsetattr(&stdin, OptionalActions::Now, &before)?;
        read?;
    } else {
        stdin.lock().read_to_string(&mut text)?;
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

pub(crate) fn config_print(config: &Config) -> Result<()> {
    print!("{}", config.print()?);
    Ok(())
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
