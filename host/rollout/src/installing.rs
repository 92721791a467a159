//! `rollout connector install` and what follows from it: versions, who uses which,
//! and what an operator grants.
//!
//! Everything is in the control database, and each command is one transaction there:
//! a command that is cut off leaves what was. Hosts that serve take the change up
//! within two seconds; what is under way ends with the version that it began with.

#![expect(clippy::print_stdout, reason = "a command's answer goes there")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use rollout_catalog::Catalog;
use rollout_catalog::manifest::{Permission, fold_key};
use rollout_connectors::{Connector, Registry};
use rollout_sandbox::{Grants, Sandbox};
use rollout_store::{Control, Installed, NewConnector, StoreError, Use};
use serde_json::json;

use crate::component_file;
use crate::config::Config;
use crate::installation::Installation;
use crate::serve;

/// What an operator can grant: reading secrets in clear.
pub(crate) const RAW_SECRETS: &str = "raw-secrets";

/// Everything is allowed that could be: for looking only.
const ALL: Grants = Grants { secrets: true };

/// A file to install.
pub(crate) struct Install<'a> {
    pub(crate) file: &'a Path,
    /// The environments that shall use it; none: all without a version of their own.
    pub(crate) environments: &'a [String],
    /// It may do more than what is used now.
    pub(crate) accept: bool,
}

/// What commands about connectors work with.
struct Workshop {
    installation: Installation,
    sandbox: Sandbox,
    catalog: Catalog,
}

impl Workshop {
    async fn open(config: &Config, data: &Path) -> Result<Self> {
        let installation = Installation::open(config, data, true).await?;
        let sandbox = serve::sandbox(config, Some(&installation.data))?;
        Ok(Self {
            installation,
            sandbox,
            catalog: Catalog::embedded()?,
        })
    }

    fn control(&self) -> &Control {
        &self.installation.control
    }

    async fn load(&self, bytes: Vec<u8>) -> Result<Connector> {
        Ok(Connector::load(&self.sandbox, &self.catalog, bytes, ALL).await?)
    }

    async fn load_installed(&self, name: &str, sha256: &str) -> Result<Connector> {
        let bytes = self.control().component(sha256).await?;
        let bytes = bytes.context("its component is not in the control database")?;
        let loaded = self.load(bytes).await;
        loaded.with_context(|| format!("the installed {name}"))
    }

    /// Shows how a connector differs from what these places use now, and refuses one
    /// that may do more, unless that is accepted.
    async fn compare(
        &self,
        connector: &Connector,
        uses: &[Use],
        places: &[Option<&str>],
        accept: bool,
    ) -> Result<()> {
        let key = connector.key();
        let mut compared = BTreeSet::new();
        let mut wider = BTreeSet::new();
        for place in places {
            let Some(old) = effective(uses, key, *place) else {
                continue;
            };
            if old.sha256 == connector.component.sha256() || !compared.insert(&old.version) {
                continue;
            }
            let name = format!("{key}@{}", old.version);
            let before = self.load_installed(&name, &old.sha256).await?;
            println!("compared with {name}:");
            wider.extend(show_difference(connector, &before));
        }
        if compared.is_empty() {
            let reveals = connector.component.reads_secrets();
            for permission in connector.manifest.permissions(reveals) {
                println!("  {permission}");
            }
        }
        if !wider.is_empty() && !accept {
            let wider: Vec<&str> = wider.iter().map(String::as_str).collect();
            bail!(
                "{key}@{} may do more than what is used now: {}; nothing is changed. If that is meant: --accept",
                connector.manifest.version,
                wider.join("; ")
            );
        }
        Ok(())
    }
}

/// Names of environments as the control database has them; none stands for all.
async fn places<'a>(
    installation: &Installation,
    environments: &'a [String],
) -> Result<Vec<Option<&'a str>>> {
    if environments.is_empty() {
        return Ok(vec![None]);
    }
    for name in environments {
        installation.environment(name).await?;
    }
    Ok(environments
        .iter()
        .map(|name| Some(name.as_str()))
        .collect())
}

pub(crate) fn install(config: &Config, data: &Path, install: Install<'_>) -> Result<()> {
    let shown = install.file.display();
    let bytes = component_file::read(install.file, config.sandbox.component_bytes)?;
    serve::runtime()?.block_on(async {
        let workshop = Workshop::open(config, data).await?;
        let control = workshop.control();
        let places = places(&workshop.installation, install.environments).await?;
        let connector = workshop.load(bytes.clone()).await;
        let connector = connector.with_context(|| format!("{shown} is refused"))?;
        let (key, version) = (connector.key(), connector.manifest.version.to_string());
        let reveals = connector.component.reads_secrets();
        let grants = control.grants().await?;
        let granted = grants.iter().any(|(of, name)| of == key && name == RAW_SECRETS);
        ensure!(
            granted || !reveals,
            "{key}@{version} reads secrets in clear (it imports rollout:connector/secrets). If you trust its maker \
             with your customers' keys: rollout connector grant {key} {RAW_SECRETS}, and install it again"
        );
        let uses = control.connector_uses().await?;
        workshop.compare(&connector, &uses, &places, install.accept).await?;
        let new = NewConnector {
            key: key.to_owned(),
            version: version.clone(),
            sha256: connector.component.sha256().to_owned(),
            bytes,
        };
        match control.install_connector(&new, &places).await {
            Err(StoreError::Conflict(_)) => bail!(
                "{key}@{version} is installed already, with other bytes: a version stays what it is. Give the new \
                 one another version in its manifest, or take the old one away: rollout connector remove {key}"
            ),
            installed => installed
                .with_context(|| format!("{key}@{version} can't be stored, and nothing is changed"))?,
        }
        let whom = whom(install.environments);
        act(control, &format!("installed {key}@{version} {} for {whom}", new.sha256)).await?;
        println!("{key}@{version} is installed and used by {whom}");
        for one in &uses {
            if let (Some(name), true) = (&one.environment, install.environments.is_empty())
                && one.key == key
            {
                println!("environment `{name}` keeps its own version, {}", one.version);
            }
        }
        Ok(())
    })
}

/// The line that says what an environment uses.
fn effective<'a>(uses: &'a [Use], key: &str, environment: Option<&str>) -> Option<&'a Use> {
    let line = |of: Option<&str>| {
        let mut of_key = uses.iter().filter(|one| one.key == key);
        of_key.find(|one| one.environment.as_deref() == of)
    };
    line(environment).or_else(|| line(None))
}

/// Prints what differs, and answers what the new one may do that the old one may not.
fn show_difference(new: &Connector, old: &Connector) -> Vec<String> {
    let mine = new.manifest.permissions(new.component.reads_secrets());
    let theirs = old.manifest.permissions(old.component.reads_secrets());
    let beyond = |these: &[Permission<'_>], those: &[Permission<'_>]| -> Vec<String> {
        let these = these.iter();
        let new = these.filter(|one| !those.iter().any(|covering| covering.covers(one)));
        new.map(ToString::to_string).collect()
    };
    let (wider, given_up) = (beyond(&mine, &theirs), beyond(&theirs, &mine));
    let (offers, offered) = (new.manifest.offers(), old.manifest.offers());
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|one| !those.contains(one))
            .cloned()
            .collect()
    };
    for (sign, lines) in [
        ('+', &wider),
        ('-', &given_up),
        ('+', &only(&offers, &offered)),
        ('-', &only(&offered, &offers)),
    ] {
        for line in lines {
            println!("  {sign} {line}");
        }
    }
    wider
}

/// Who uses a version, in words.
fn whom(environments: &[String]) -> String {
    match environments {
        [] => "all environments".to_owned(),
        names => names.join(", "),
    }
}

async fn act(control: &Control, act: &str) -> Result<()> {
    Ok(control.note_act(act).await?)
}

pub(crate) fn promote(
    config: &Config,
    data: &Path,
    connector: &str,
    environments: &[String],
    accept: bool,
) -> Result<()> {
    let (key, version) = connector
        .split_once('@')
        .with_context(|| format!("`{connector}` is not KEY@VERSION"))?;
    serve::runtime()?.block_on(async {
        let workshop = Workshop::open(config, data).await?;
        let control = workshop.control();
        let places = places(&workshop.installation, environments).await?;
        let installed = control.installed_connectors().await?;
        let wanted = installed
            .iter()
            .find(|one| one.key == key && one.version == version);
        let Some(wanted) = wanted else {
            bail!("{}", not_installed(&installed, key));
        };
        let new = workshop.load_installed(connector, &wanted.sha256).await?;
        let uses = control.connector_uses().await?;
        workshop.compare(&new, &uses, &places, accept).await?;
        control.use_connector(&places, key, version).await?;
        let whom = whom(environments);
        act(control, &format!("promoted {connector} for {whom}")).await?;
        println!("{connector} is used by {whom}");
        Ok(())
    })
}

/// Which versions there are instead.
fn not_installed(installed: &[Installed], key: &str) -> String {
    let of_key = installed.iter().filter(|one| one.key == key);
    let versions: Vec<&str> = of_key.map(|one| one.version.as_str()).collect();
    match versions.as_slice() {
        [] => format!("no connector `{key}` is installed; rollout connector list shows what is"),
        some => format!(
            "that version of {key} is not installed; there are: {}",
            some.join(", ")
        ),
    }
}

pub(crate) async fn roll_back(
    installation: &Installation,
    key: &str,
    environments: &[String],
) -> Result<()> {
    let control = &installation.control;
    for place in places(installation, environments).await? {
        let whom = place.unwrap_or("all environments");
        let back = match control.roll_back_connector(place, key).await {
            Err(StoreError::NotFound(_)) => {
                bail!("{whom}: there is no version of {key} to go back to")
            }
            back => back?,
        };
        let back = match back {
            Some(version) => format!("{key}@{version}"),
            None => format!("the version of {key} that all environments use"),
        };
        act(control, &format!("rolled back {whom} to {back}")).await?;
        println!("{whom}: back to {back}");
    }
    Ok(())
}

pub(crate) async fn remove(installation: &Installation, key: &str, yes: bool) -> Result<()> {
    let control = &installation.control;
    let uses = control.connector_uses().await?;
    let users = uses.iter().filter(|one| one.key == key);
    let users: Vec<&str> = users
        .map(|one| one.environment.as_deref().unwrap_or("all environments"))
        .collect();
    ensure!(
        users.is_empty() || yes,
        "{key} is used by {}: without it, accounts that are connected through it can't be written to or synced. \
         If that is meant: --yes",
        users.join(", ")
    );
    let removed = control.remove_connector(key).await?;
    ensure!(removed > 0, "no connector `{key}` is installed");
    act(control, &format!("removed {key}, {removed} versions")).await?;
    println!("{key} is removed, {removed} versions");
    Ok(())
}

pub(crate) async fn set_grant(
    installation: &Installation,
    key: &str,
    grant: &str,
    granted: bool,
) -> Result<()> {
    let control = &installation.control;
    let changed = control.set_grant(key, grant, granted).await?;
    let done = if granted { "granted" } else { "revoked" };
    if changed {
        act(control, &format!("{done} {grant} to {key}")).await?;
    }
    println!("{key}: {grant} is {done}");
    Ok(())
}

pub(crate) async fn list(installation: &Installation, as_json: bool) -> Result<()> {
    let control = &installation.control;
    let uses = control.connector_uses().await?;
    let grants = control.grants().await?;
    let mut shown = Vec::new();
    for one in control.installed_connectors().await? {
        let here = |used: &&Use| used.key == one.key && used.version == one.version;
        let users: Vec<&str> = uses
            .iter()
            .filter(here)
            .map(|used| used.environment.as_deref().unwrap_or("*"))
            .collect();
        let granted: Vec<&str> = grants
            .iter()
            .filter(|(key, _)| *key == one.key)
            .map(|(_, grant)| grant.as_str())
            .collect();
        if as_json {
            shown.push(json!({
                "key": one.key, "version": one.version, "sha256": one.sha256,
                "installedAt": one.installed_at, "environments": users, "grants": granted,
            }));
        } else {
            let used = match users.as_slice() {
                [] => "not used".to_owned(),
                some => format!("used by {}", some.join(", ").replace('*', "all")),
            };
            let granted = match granted.as_slice() {
                [] => String::new(),
                some => format!("\tgranted {}", some.join(", ")),
            };
            println!("{}\t{}\t{used}{granted}", one.key, one.version);
        }
    }
    if as_json {
        println!("{}", serde_json::Value::Array(shown));
    }
    Ok(())
}

pub(crate) async fn history(installation: &Installation) -> Result<()> {
    for one in installation.control.acts().await? {
        println!("{}\t{}", rollout_store::api_time(one.at)?, one.act);
    }
    Ok(())
}

/// The installed version of a connector that an environment uses.
pub(crate) async fn used(
    installation: &Installation,
    registry: &Registry,
    environment: &str,
    key: &str,
) -> Result<Option<Arc<Connector>>> {
    let control = &installation.control;
    let uses = control.connector_uses().await?;
    let grants = control.grants().await?;
    let found = effective_uses(&uses, environment);
    let found = found
        .into_iter()
        .find(|one| fold_key(&one.key) == fold_key(key));
    match found {
        Some(one) => load(control, registry, one, &grants).await.map(Some),
        None => Ok(None),
    }
}

/// What an environment uses of each installed connector.
pub(crate) fn effective_uses<'a>(uses: &'a [Use], environment: &str) -> Vec<&'a Use> {
    let keys: BTreeSet<&str> = uses.iter().map(|one| one.key.as_str()).collect();
    keys.into_iter()
        .filter_map(|key| effective(uses, key, Some(environment)))
        .collect()
}

/// Loads a version that is used, with what is granted to its connector.
pub(crate) async fn load(
    control: &Control,
    registry: &Registry,
    one: &Use,
    grants: &[(String, String)],
) -> Result<Arc<Connector>> {
    let bytes = async {
        let bytes = control.component(&one.sha256).await?;
        bytes.context("its component is not in the control database")
    };
    let loaded = registry.installed(&one.sha256, grants_of(grants, &one.key), bytes);
    let loaded = loaded.await;
    loaded.with_context(|| format!("the installed {}@{}", one.key, one.version))
}

/// What is granted to a connector.
pub(crate) fn grants_of(grants: &[(String, String)], key: &str) -> Grants {
    Grants {
        secrets: grants
            .iter()
            .any(|(of, name)| of == key && name == RAW_SECRETS),
    }
}
