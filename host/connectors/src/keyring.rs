//! The keys of one database as this process knows them.
//!
//! Keys are replaced while hosts serve. Whoever replaces them enters a new one before
//! anything is sealed with it, so a value whose key is not known here says that there is
//! something to read again: once, not for every value.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rollout_store::{DataKeys, StoredKey};
use rollout_vault::{DataKey, MasterKeys, Masters, Vault, VaultError, key_needed};
use tokio::sync::Mutex;

use crate::EnvironmentError;

/// For how long keys are not read again after they were and one was still missing.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// Whose keys the installation's are, as the owner of a keyring. No environment has this
/// client id.
const INSTALLATION: &str = "";

/// The keys of an environment, or of the installation.
pub struct Keyring {
    /// What the keys are bound to: the environment's client id.
    owner: String,
    masters: Arc<Masters>,
    vault: Vault,
    /// Which version of keys was last read.
    version: AtomicI64,
    /// When keys were last read of which version without finding all.
    tried: Mutex<Option<(Instant, i64)>>,
}

impl Keyring {
    /// Opens the keys of the installation's own database.
    pub async fn of_installation(
        masters: Arc<Masters>,
        keys: DataKeys<'_>,
    ) -> Result<Self, EnvironmentError> {
        Self::open(INSTALLATION, masters, keys).await
    }

    /// Opens the keys of the environment with this client id. The first one is made if
    /// there is none.
    pub async fn open(
        owner: &str,
        masters: Arc<Masters>,
        keys: DataKeys<'_>,
    ) -> Result<Self, EnvironmentError> {
        let mut stored = keys.all().await?;
        if stored.is_empty() {
            // As they are now: nothing is to be wrapped with a key that was replaced.
            let known = masters.reread().await?;
            let first = DataKey::generate()?;
            keys.enter_first(first.id(), &known.wrap(owner, &first)?)
                .await?;
            stored = keys.all().await?;
        }
        let known = masters_for(&masters, &stored).await?;
        let vault = Self::vault_of(owner, &known, &stored)?;
        Ok(Self {
            owner: owner.to_owned(),
            masters,
            vault,
            version: AtomicI64::new(0),
            tried: Mutex::default(),
        })
    }

    /// A vault of these keys, of which one seals.
    pub fn vault_of(
        owner: &str,
        masters: &MasterKeys,
        stored: &[StoredKey],
    ) -> Result<Vault, VaultError> {
        let mut sealing = None;
        let mut others = Vec::new();
        for one in stored {
            let key = masters.unwrap(owner, &one.id, &one.wrapped)?;
            if one.seals {
                sealing = Some(key);
            } else {
                others.push(key);
            }
        }
        // The table has one that seals as soon as it has any.
        let sealing = sealing.ok_or(VaultError::Malformed)?;
        Ok(Vault::new(&sealing, others, masters))
    }

    /// What seals and opens.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The master keys that they are wrapped with.
    pub fn masters(&self) -> &Arc<Masters> {
        &self.masters
    }

    /// What the keys are bound to.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Reads the keys again if they are of another version, or if one of these sealed
    /// texts needs a key that is not known here. One that is still missing then is not
    /// looked for again at once.
    pub async fn follow<'s>(
        &self,
        keys: DataKeys<'_>,
        version: i64,
        sealed: impl Iterator<Item = &'s String> + Clone,
    ) -> Result<(), EnvironmentError> {
        let knows = || {
            self.version.load(Ordering::Relaxed) == version
                && sealed.clone().all(|text| self.vault.has_key_of(text))
        };
        if knows() {
            return Ok(());
        }
        // One after the other: what was read earlier must not replace what was read later.
        let mut tried = self.tried.lock().await;
        let lately = tried.is_some_and(|(at, of)| of == version && at.elapsed() < TRY_AGAIN);
        if lately || knows() {
            return Ok(());
        }
        let stored = keys.all().await?;
        let known = masters_for(&self.masters, &stored).await?;
        self.vault
            .replace(Self::vault_of(&self.owner, &known, &stored)?);
        self.version.store(version, Ordering::Relaxed);
        // One that failed is tried again with the next look.
        *tried = (!knows()).then(|| (Instant::now(), version));
        Ok(())
    }

    /// The same for texts that were just read, whatever the version.
    pub async fn know<'s>(
        &self,
        keys: DataKeys<'_>,
        sealed: impl Iterator<Item = &'s String> + Clone,
    ) -> Result<(), EnvironmentError> {
        let version = self.version.load(Ordering::Relaxed);
        self.follow(keys, version, sealed).await
    }
}

/// The master keys, read again if one is needed that is not known.
async fn masters_for(
    masters: &Masters,
    stored: &[StoredKey],
) -> Result<Arc<MasterKeys>, VaultError> {
    let known = masters.known();
    let knows = |stored: &StoredKey| {
        key_needed(&stored.wrapped).is_ok_and(|needed| known.ids().any(|id| id == needed))
    };
    if stored.iter().all(knows) {
        Ok(known)
    } else {
        masters.reread().await
    }
}
