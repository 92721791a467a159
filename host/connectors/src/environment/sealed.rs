//! What an environment keeps sealed: what each thing is bound to, and what calls get to
//! see of it. Opened secrets exist only while calls that use them run.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollout_catalog::manifest::SlotScope;
use rollout_egress::{self as egress, Access};
use rollout_vault::{Context, Secret, Vault, VaultError};

use super::live::Shared;
use super::{Environment, Live, Settings};
use crate::Connector;
use crate::policy::{self, Fields};
use crate::session::Account;

/// Scopes of sealed values: part of what a sealed text is bound to.
mod sealed_as {
    pub(super) const CLIENT_SECRET: &str = "client-secret";
    pub(super) const DATABASE_URL: &str = "database-url";
    pub(super) const APP: &str = "app";
    pub(super) const CREDENTIAL: &str = "credential";
    pub(super) const SIGN_IN: &str = "sign-in";
}

/// What signs an environment's tokens.
pub struct Secrets {
    pub(super) sealed: String,
    current: Secret,
    /// The one before, and until when it is good, in milliseconds since 1970.
    old: Option<(Secret, i64)>,
}

impl Secrets {
    pub(super) fn open(
        stored: &rollout_store::Environment,
        vault: &Vault,
    ) -> Result<Self, VaultError> {
        let context = client_secret_context(&stored.name);
        let old = match &stored.old_secret {
            Some((sealed, until)) => Some((vault.open(&context, sealed)?, *until)),
            None => None,
        };
        Ok(Self {
            sealed: sealed_secrets(stored),
            current: vault.open(&context, &stored.client_secret_sealed)?,
            old,
        })
    }

    /// The secret that is given out now.
    pub fn current(&self) -> &[u8] {
        self.current.expose()
    }

    /// All that tokens may be signed with at a time, in milliseconds since 1970.
    pub fn valid(&self, now: i64) -> Vec<&[u8]> {
        let old = self.old.iter().filter(|(_, until)| *until > now);
        let old = old.map(|(secret, _)| secret.expose());
        std::iter::once(self.current()).chain(old).collect()
    }
}

/// What tells whether an environment's secrets changed.
pub(super) fn sealed_secrets(stored: &rollout_store::Environment) -> String {
    let (old, until) = stored.old_secret.clone().unwrap_or_default();
    format!("{} {old} {until}", stored.client_secret_sealed)
}

/// What a client secret is bound to when it is sealed.
pub fn client_secret_context(environment: &str) -> Context<'_> {
    Context {
        environment,
        scope: sealed_as::CLIENT_SECRET,
        owner: environment,
        slot: "client-secret",
    }
}

/// What a credential's secret is bound to when it is sealed.
pub fn credential_slot_context<'a>(
    environment: &'a str,
    credential: &'a str,
    slot: &'a str,
) -> Context<'a> {
    Context {
        environment,
        scope: sealed_as::CREDENTIAL,
        owner: credential,
        slot,
    }
}

/// What a database URL is bound to when it is sealed.
pub fn database_url_context(environment: &str) -> Context<'_> {
    Context {
        environment,
        scope: sealed_as::DATABASE_URL,
        owner: environment,
        slot: "database-url",
    }
}

/// What an app slot is bound to when it is sealed.
pub fn app_slot_context<'a>(
    environment: &'a str,
    connector: &'a str,
    slot: &'a str,
) -> Context<'a> {
    Context {
        environment,
        scope: sealed_as::APP,
        owner: connector,
        slot,
    }
}

fn sign_in_context<'a>(environment: &'a str, hash: &'a str) -> Context<'a> {
    Context {
        environment,
        scope: sealed_as::SIGN_IN,
        owner: hash,
        slot: "state",
    }
}

/// What an account's secrets are wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Signing in: passwords may be sent, too.
    Login,
    /// Everything else.
    Calls,
}

impl Environment {
    /// Seals a credential's secrets for storing.
    pub fn seal(
        &self,
        credential: &str,
        secrets: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, VaultError> {
        secrets
            .iter()
            .map(|(slot, secret)| {
                let context = self.slot_context(credential, slot);
                let sealed = self.keys.vault().seal(&context, secret.as_bytes())?;
                Ok((slot.clone(), sealed))
            })
            .collect()
    }

    fn slot_context<'a>(&'a self, credential: &'a str, slot: &'a str) -> Context<'a> {
        credential_slot_context(&self.name, credential, slot)
    }

    /// A credential as its connector's calls use it. The secrets are opened once
    /// for calls that run at the same time, and gone when the last one ends.
    pub fn account(&self, connector: &Connector, live: &Live) -> Result<Account, VaultError> {
        let settings = self.settings_of(connector.key());
        let mut shared = live.access.lock();
        let sha256 = connector.component.sha256();
        let access = match shared.access.upgrade() {
            Some(access) if shared.sha256 == sha256 => access,
            _ => {
                let mut secrets = BTreeMap::new();
                for (slot, sealed) in &live.sealed {
                    let context = self.slot_context(&live.credential.id, slot);
                    let secret = self.keys.vault().open(&context, sealed)?;
                    secrets.insert(
                        slot.clone(),
                        egress::Secret::from(secret.text()?.to_owned()),
                    );
                }
                let plan = &live.credential.plan;
                let access = Arc::new(self.access(
                    connector,
                    plan,
                    &live.fields,
                    &settings,
                    secrets,
                    Use::Calls,
                )?);
                *shared = Shared {
                    sha256: sha256.to_owned(),
                    access: Arc::downgrade(&access),
                };
                access
            }
        };
        Ok(Account {
            connector: connector.key().to_owned(),
            credential: Some(live.credential.id.clone()),
            access,
            fields: live.fields.clone(),
            settings: settings.fields.clone(),
            reveals: connector.grants.secrets,
        })
    }

    /// An account that is being connected, with what the person entered.
    pub(crate) fn candidate(
        &self,
        connector: &Connector,
        plan: &str,
        fields: &Fields,
        secrets: &BTreeMap<String, String>,
        wanted: Use,
    ) -> Result<Account, VaultError> {
        let settings = self.settings_of(connector.key());
        let secrets = secrets
            .iter()
            .map(|(slot, secret)| (slot.clone(), egress::Secret::from(secret.clone())))
            .collect();
        Ok(Account {
            connector: connector.key().to_owned(),
            credential: None,
            access: Arc::new(self.access(connector, plan, fields, &settings, secrets, wanted)?),
            fields: Arc::new(fields.clone()),
            settings: settings.fields.clone(),
            reveals: connector.grants.secrets,
        })
    }

    /// The value of a slot of scope app, if the operator has set it.
    pub(crate) fn app_secret(
        &self,
        connector: &Connector,
        slot: &str,
    ) -> Result<Option<egress::Secret>, VaultError> {
        let settings = self.settings_of(connector.key());
        let Some(sealed) = settings.slots.get(slot) else {
            return Ok(None);
        };
        let context = app_slot_context(&self.name, connector.key(), slot);
        let opened = self.keys.vault().open(&context, sealed)?;
        Ok(Some(egress::Secret::from(opened.text()?.to_owned())))
    }

    /// A secret of a credential, if it has it.
    pub(crate) fn secret(
        &self,
        live: &Live,
        slot: &str,
    ) -> Result<Option<egress::Secret>, VaultError> {
        let Some(sealed) = live.sealed.get(slot) else {
            return Ok(None);
        };
        let context = self.slot_context(&live.credential.id, slot);
        let opened = self.keys.vault().open(&context, sealed)?;
        Ok(Some(egress::Secret::from(opened.text()?.to_owned())))
    }

    /// All secrets of a credential, by slot.
    pub(crate) fn secrets_of(&self, live: &Live) -> Result<BTreeMap<String, String>, VaultError> {
        let sealed = live.sealed.iter();
        sealed
            .map(|(slot, sealed)| {
                let context = self.slot_context(&live.credential.id, slot);
                let opened = self.keys.vault().open(&context, sealed)?;
                Ok((slot.clone(), opened.text()?.to_owned()))
            })
            .collect()
    }

    /// Seals what a sign-in is continued with; `hash` is what it is known by.
    pub(crate) fn seal_sign_in(&self, hash: &str, text: &str) -> Result<String, VaultError> {
        let context = sign_in_context(&self.name, hash);
        self.keys.vault().seal(&context, text.as_bytes())
    }

    /// Opens it again.
    pub(crate) fn open_sign_in(&self, hash: &str, sealed: &str) -> Result<Secret, VaultError> {
        let context = sign_in_context(&self.name, hash);
        self.keys.vault().open(&context, sealed)
    }

    /// The rules and every declared slot with its value.
    fn access(
        &self,
        connector: &Connector,
        plan: &str,
        fields: &Fields,
        settings: &Settings,
        mut secrets: BTreeMap<String, egress::Secret>,
        wanted: Use,
    ) -> Result<Access, VaultError> {
        // What a plan that is no longer there held back is not given out either.
        let plan_is = connector.manifest.plan(plan);
        let withholds =
            |name: &str| wanted == Use::Calls && plan_is.is_none_or(|plan| plan.withholds(name));
        let mut slots = BTreeMap::new();
        for (name, slot) in &connector.manifest.slots {
            let (scope, value) = match slot.scope {
                SlotScope::Credential => (egress::Scope::Credential, secrets.remove(name)),
                SlotScope::Subscription => (egress::Scope::Subscription, None),
                SlotScope::App => (egress::Scope::App, self.app_secret(connector, name)?),
            };
            let slot = egress::Slot {
                scope,
                signing: slot.signing,
                withheld: slot.scope == SlotScope::Credential && withholds(name),
                values: value.into_iter().collect(),
            };
            slots.insert(name.clone(), slot);
        }
        let rules = policy::rules(&connector.manifest, plan, fields, &settings.fields);
        Ok(Access::new(rules, slots))
    }
}
