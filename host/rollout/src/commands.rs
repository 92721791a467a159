//! The commands beside `serve`. They work while a host serves from the same data
//! directory; the host takes up what they change within two seconds.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rollout_catalog::Catalog;
use rollout_catalog::manifest::{Plan, SlotScope};
use rollout_connectors::{Connector, app_slot_context, secret_origin_field};
use rollout_sandbox::Grants;
use rollout_server::token::{self, Scope};
use rollout_store::{AppSetting, Location, SettingKind};
use rollout_vault::Vault;
use serde_json::{Value, json};

use crate::component_file;
use crate::config::Config;
use crate::installation::{Installation, Wanted};
use crate::installing;
use crate::serve;

/// Runs a command that needs no more than one thread.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

pub(crate) fn env_create(
    data: &Path,
    config: &Config,
    wanted: Wanted<'_>,
    as_json: bool,
) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, true).await?;
        let made = installation.make_environment(wanted).await?;
        if as_json {
            println!("{made}");
        } else {
            let text = |key: &str| made.get(key).and_then(Value::as_str).unwrap_or("");
            println!("client id:     {}", text("clientId"));
            println!("client secret: {}", text("clientSecret"));
            println!("database:      {}", text("databaseUrl"));
            println!("Keep the secret: it is not shown again.");
        }
        Ok(())
    })
}

pub(crate) fn env_list(data: &Path, config: &Config, as_json: bool) -> Result<()> {
    block_on(async {
        let installation = Installation::open(config, data, false).await?;
        let environments = installation.control.environments().await?;
        if as_json {
            let mut shown = Vec::new();
            for one in &environments {
                // Without the password: lists end up in logs.
                let location = installation.location(one)?;
                let url = match &location {
                    Location::File(_) => location.url(),
                    Location::Postgres(_) => location.to_string(),
                };
                shown.push(json!({
                    "name": one.name,
                    "clientId": one.client_id,
                    "databaseUrl": url,
                    "held": one.held,
                    "includeData": one.include_data,
                }));
            }
            println!("{}", Value::Array(shown));
        } else {
            for one in environments {
                let held = if one.held { "\theld" } else { "" };
                let data = if one.include_data {
                    "\tinclude-data"
                } else {
                    ""
                };
                println!("{}\t{}{held}{data}", one.name, one.client_id);
            }
        }
        Ok(())
    })
}

pub(crate) fn token(
    data: &Path,
    config: &Config,
    environment: &str,
    subject: Option<&str>,
    admin: bool,
    ttl: Duration,
) -> Result<()> {
    block_on(async {
        let opened = Installation::open(config, data, false).await?;
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
        let opened = Installation::open(config, data, false).await?;
        let environments = opened.control.environments().await?;
        let issuer = token::issuer(text)?;
        let default = &config.auth.default_environment;
        // As hosts look for it.
        let environment = match (&issuer, environments.as_slice()) {
            (Some(issuer), all) => all
                .iter()
                .find(|one| one.client_id == *issuer)
                .with_context(|| format!("no environment has the client id `{issuer}` (`iss`)"))?,
            (None, all) if !default.is_empty() => {
                all.iter().find(|one| one.name == *default).with_context(|| {
                    format!("the token has no `iss`, and auth.default_environment is `{default}`, which is no environment")
                })?
            }
            (None, [only]) => only,
            (None, _) => bail!(
                "the token has no `iss`, there is more than one environment, or none, and auth.default_environment is not set"
            ),
        };
        let secrets = opened.valid_secrets(environment)?;
        let secrets: Vec<&[u8]> = secrets.iter().map(String::as_bytes).collect();
        let claims = token::verify(text, &secrets, unix_now())
            .with_context(|| format!("environment `{}` refuses it", environment.name))?;
        let left = claims.expires_at.saturating_sub(unix_now());
        println!(
            "valid in environment `{}` for {left} s more, {}",
            environment.name,
            match &claims.scope {
                Scope::Consumer(consumer) => format!("for the consumer `{consumer}`"),
                Scope::Environment => "for the whole environment".to_owned(),
                Scope::Proxy { sub } => format!(
                    "for the proxy only, as the consumer `{sub}`: the API answers 403 `forbidden`"
                ),
            }
        );
        Ok(())
    })
}

pub(crate) fn connector_inspect(config: &Config, file: &Path, as_json: bool) -> Result<()> {
    let shown = file.display();
    let bytes = component_file::read(file, config.sandbox.component_bytes)?;
    let size = bytes.len();
    serve::runtime()?.block_on(async {
        let catalog = Catalog::embedded()?;
        let sandbox = serve::sandbox(config, None)?;
        let connector = Connector::load(&sandbox, &catalog, bytes, Grants { secrets: true })
            .await
            .with_context(|| format!("{shown} is refused"))?;
        if as_json {
            println!("{}", connector.component.description().trim());
            return Ok(());
        }
        let manifest = &connector.manifest;
        println!("{} ({}) {}", manifest.name, manifest.key, manifest.version);
        println!("{}", manifest.description);
        println!("file {size} bytes, sha256 {}", connector.component.sha256());
        for permission in manifest.permissions(connector.component.reads_secrets()) {
            println!("{permission}");
        }
        for offer in manifest.offers() {
            println!("{offer}");
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
        let opened = Installation::open(config, data, false).await?;
        let environment = opened.environment(environment).await?;
        let registry = serve::load_connectors(config, &opened.data).await?;
        let installed = installing::used(&opened, &registry, &environment.name, key).await?;
        let connector = installed.or_else(|| registry.get(key)).with_context(|| {
            let known: Vec<String> = registry.all().iter().map(|one| one.key().to_owned()).collect();
            format!(
                "no connector `{key}` is installed or loaded (in folders there are: {}); install it, or name its folder \
                 with --connectors DIR",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )
        })?;
        let store = opened.store(&environment, &Catalog::embedded()?).await?;
        let keys = opened.keys_of(&environment, &store).await;
        store.close().await;
        let keys = keys?;
        let mut stored = Vec::new();
        for setting in settings {
            let (name, value) = setting
                .split_once('=')
                .with_context(|| format!("`{setting}` is not NAME=VALUE"))?;
            stored.push(setting_of(keys.vault(), &environment.name, &connector, name, value)?);
            stored.extend(secret_origin(&connector, name));
        }
        opened
            .control
            .put_app_settings(&environment.name, connector.key(), &stored)
            .await?;
        for setting in settings {
            let name = setting.split_once('=').map_or(setting.as_str(), |(name, _)| name);
            println!("{} {name} set", connector.key());
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

/// For which origin a client secret is entered: it goes to no other, whatever a later
/// version of the connector says.
fn secret_origin(connector: &Connector, name: &str) -> Option<AppSetting> {
    let mut ways = connector.manifest.plans.iter().filter_map(Plan::oauth2);
    let oauth = ways.find(|oauth| oauth.client_secret.as_deref() == Some(name))?;
    Some(AppSetting {
        name: secret_origin_field(name),
        kind: SettingKind::Field,
        value: oauth.token_url.origin(),
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

pub(crate) fn routes() -> Result<()> {
    let routes = rollout_server::routes(&Catalog::embedded()?);
    let shown = routes.iter().map(|route| {
        let methods: Vec<&str> = route.methods.iter().map(|method| method.as_str()).collect();
        json!({"path": route.path, "methods": methods, "access": route.access.as_str()})
    });
    println!("{}", shown.collect::<Value>());
    Ok(())
}

pub(crate) fn config_print(config: &Config) -> Result<()> {
    print!("{}", config.print()?);
    Ok(())
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
