//! Seals what an environment has anew, with the keys that are in force.

use std::fmt;

use anyhow::Result;
use rollout_connectors::{
    app_slot_context, client_secret_context, credential_slot_context, database_url_context,
};
use rollout_store::{Control, SealedIn, SettingKind};
use rollout_vault::{Context, Vault};

use super::Opened;

/// Secrets that are sealed in one transaction.
const BATCH: i64 = 1000;

/// What became of secrets.
#[derive(Default)]
pub(super) struct Moved {
    /// Sealed anew.
    resealed: u64,
    /// Could not be opened, so they are what they were.
    unreadable: u64,
}

impl fmt::Display for Moved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} secrets sealed anew", self.resealed)?;
        match self.unreadable {
            0 => Ok(()),
            some => write!(formatter, ", {some} can't be opened and stay as they are"),
        }
    }
}

/// Seals all secrets of an environment anew: `own` has the installation's keys, `vault`
/// the environment's.
pub(super) async fn environment(
    control: &Control,
    own: &Vault,
    vault: &Vault,
    opened: &Opened,
) -> Result<Moved> {
    let mut moved = Moved::default();
    // What changes meanwhile is left alone and found by the next pass. A host that still
    // seals with the key before ends after a moment.
    loop {
        let mut pass = Moved::default();
        in_control(control, own, vault, &opened.environment.name, &mut pass).await?;
        in_store(vault, opened, &mut pass).await?;
        moved.resealed += pass.resealed;
        moved.unreadable = pass.unreadable;
        if pass.resealed == 0 {
            return Ok(moved);
        }
    }
}

/// Sealed texts of a key begin with this.
fn prefix(vault: &Vault) -> String {
    format!("rv1.{}.", vault.key_id())
}

/// A text sealed anew. None: it is of the right key already, or can't be opened.
fn again(
    vault: &Vault,
    context: &Context<'_>,
    sealed: &str,
    moved: &mut Moved,
) -> Result<Option<String>> {
    if sealed.is_empty() || sealed.starts_with(&prefix(vault)) {
        return Ok(None);
    }
    match vault.open(context, sealed) {
        Ok(secret) => Ok(Some(vault.seal(context, secret.expose())?)),
        Err(_) => {
            moved.unreadable += 1;
            Ok(None)
        }
    }
}

async fn in_control(
    control: &Control,
    own: &Vault,
    vault: &Vault,
    name: &str,
    moved: &mut Moved,
) -> Result<()> {
    let Some(environment) = control.environment(name).await? else {
        return Ok(());
    };
    let settings = control.app_settings().await?.remove(name);
    let old = environment.old_secret.as_ref().map(|(sealed, _)| sealed);
    let secret = client_secret_context(name);
    let own_texts = [
        (
            SealedIn::ClientSecret,
            secret,
            Some(&environment.client_secret_sealed),
        ),
        (SealedIn::OldSecret, secret, old),
        (
            SealedIn::DatabaseUrl,
            database_url_context(name),
            environment.database_url_sealed.as_ref(),
        ),
    ];
    let own_texts = own_texts
        .into_iter()
        .filter_map(|(place, context, text)| Some((own, place, context, text?)));
    let slots = settings.iter().flatten();
    let slots = slots
        .filter(|(_, setting)| setting.kind == SettingKind::Slot)
        .map(|(connector, setting)| {
            let place = SealedIn::Setting(connector, &setting.name);
            let context = app_slot_context(name, connector, &setting.name);
            (vault, place, context, &setting.value)
        });
    for (vault, place, context, before) in own_texts.chain(slots) {
        if let Some(sealed) = again(vault, &context, before, moved)?
            && control.replace_sealed(name, place, before, &sealed).await?
        {
            moved.resealed += 1;
        }
    }
    Ok(())
}

async fn in_store(vault: &Vault, opened: &Opened, moved: &mut Moved) -> Result<()> {
    let (store, name) = (&opened.store, &opened.environment.name);
    let prefix = prefix(vault);
    let mut after = (String::new(), String::new());
    loop {
        let behind = (after.0.as_str(), after.1.as_str());
        let secrets = store.secrets_unlike(&prefix, behind, BATCH).await?;
        let Some(last) = secrets.last() else {
            return Ok(());
        };
        after = (last.credential_id.clone(), last.slot.clone());
        let mut batch = Vec::with_capacity(secrets.len());
        for secret in secrets {
            let context = credential_slot_context(name, &secret.credential_id, &secret.slot);
            if let Some(sealed) = again(vault, &context, &secret.sealed, moved)? {
                batch.push((secret, sealed));
            }
        }
        moved.resealed += store.replace_sealed(&batch).await?;
    }
}
