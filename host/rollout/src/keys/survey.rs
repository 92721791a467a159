//! Which keys there are, and what needs each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use rollout_catalog::Catalog;
use rollout_store::{SettingKind, StoredKey};
use rollout_vault::{MasterKeys, key_needed};
use serde_json::{Value, json};

use super::Opened;
use crate::installation::Installation;

/// All data keys, and how many secrets need each key.
pub(super) struct Survey(Vec<Owned>);

/// Data keys of one database, and what is sealed with them.
struct Owned {
    /// An environment's name; none: the installation's own.
    environment: Option<String>,
    keys: Vec<StoredKey>,
    /// How many secrets need a key, by its id: a data key's, or a master key's if they are
    /// from before there were data keys.
    secrets: BTreeMap<String, i64>,
}

impl Owned {
    fn name(&self) -> String {
        match &self.environment {
            Some(name) => format!("environment `{name}`"),
            None => "the installation".to_owned(),
        }
    }
}

impl Survey {
    /// Looks at all databases.
    pub(super) async fn of(installation: &Installation) -> Result<Self> {
        let control = &installation.control;
        let catalog = Catalog::embedded()?;
        let mut settings = control.app_settings().await?;
        let environments = Opened::each(installation, &catalog, async |opened| {
            let mut secrets = opened.store.secrets_by_key().await?;
            let set = settings.remove(&opened.environment.name);
            for (_, setting) in set.unwrap_or_default() {
                if setting.kind == SettingKind::Slot {
                    count(&mut secrets, &setting.value);
                }
            }
            Ok(Owned {
                environment: Some(opened.environment.name.clone()),
                keys: opened.store.data_keys().all().await?,
                secrets,
            })
        });
        let environments = environments.await?;
        let mut own = BTreeMap::new();
        for one in control.environments().await? {
            let old = one.old_secret.map(|(sealed, _)| sealed);
            let texts = [Some(one.client_secret_sealed), old, one.database_url_sealed];
            for sealed in texts.into_iter().flatten() {
                count(&mut own, &sealed);
            }
        }
        let mut all = vec![Owned {
            environment: None,
            keys: control.data_keys().all().await?,
            secrets: own,
        }];
        all.extend(environments);
        Ok(Self(all))
    }

    /// What needs a master key, as people read it.
    pub(super) fn needing(&self, master: &str) -> Vec<String> {
        let mut needing = Vec::new();
        for owned in &self.0 {
            let wrapped = owned.keys.iter().filter(|key| wraps(master, key)).count();
            let sealed = owned.secrets.get(master).copied().unwrap_or_default();
            if wrapped > 0 {
                needing.push(format!("{wrapped} data keys of {}", owned.name()));
            }
            if sealed > 0 {
                needing.push(format!("{sealed} secrets of {}", owned.name()));
            }
        }
        needing
    }

    /// Whether anything needs a master key.
    pub(super) fn is_needed(&self, master: &str) -> bool {
        !self.needing(master).is_empty()
    }

    /// All of it, as text or as JSON.
    pub(super) fn show(&self, masters: &MasterKeys, as_json: bool) -> String {
        if as_json {
            return format!("{}\n", self.json(masters));
        }
        let mut text = String::new();
        for id in masters.ids() {
            let needing = self.needing(id);
            let state = match (id == masters.current(), needing.is_empty()) {
                (true, false) => "current".to_owned(),
                (true, true) => "current, prepared for `rollout key rotate`".to_owned(),
                (false, false) => format!("needed by {}", needing.join(", ")),
                (false, true) => format!("not needed: `rollout key drop {id}`"),
            };
            // Writing to a text can't fail.
            let _ = writeln!(text, "master key {id}: {state}");
        }
        for owned in &self.0 {
            for key in &owned.keys {
                let secrets = owned.secrets.get(&key.id).copied().unwrap_or_default();
                let state = if key.seals { ", seals new ones" } else { "" };
                let name = owned.name();
                let _ = writeln!(
                    text,
                    "data key {} of {name}: {secrets} secrets{state}",
                    key.id
                );
            }
        }
        text
    }

    fn json(&self, masters: &MasterKeys) -> Value {
        let known = masters.ids().map(|id| {
            json!({
                "id": id,
                "current": id == masters.current(),
                "needed": self.is_needed(id),
            })
        });
        let data = self.0.iter().flat_map(|owned| {
            owned.keys.iter().map(move |key| {
                json!({
                    "id": key.id,
                    "environment": owned.environment,
                    "masterKey": key_needed(&key.wrapped).ok(),
                    "seals": key.seals,
                    "secrets": owned.secrets.get(&key.id).copied().unwrap_or_default(),
                    "created": rollout_store::api_time(key.created_at).ok(),
                })
            })
        });
        json!({
            "masterKeys": known.collect::<Vec<_>>(),
            "dataKeys": data.collect::<Vec<_>>(),
        })
    }
}

fn wraps(master: &str, key: &StoredKey) -> bool {
    key_needed(&key.wrapped).is_ok_and(|needed| needed == master)
}

fn count(secrets: &mut BTreeMap<String, i64>, sealed: &str) {
    if let Ok(id) = key_needed(sealed) {
        *secrets.entry(id.to_owned()).or_default() += 1;
    }
}
