//! The manifest: what a connector says of itself.
//!
//! It is checked in two steps when a connector is installed. First by the JSON Schema of `wit/manifest.schema.json`,
//! which connector authors have in their editors; then against itself and the catalogue ([`cross`]), where a schema
//! cannot see: a slot that nothing declares, a host that would never receive the secret bound to it, an entity that
//! does not exist. Whatever passes can be enforced as it stands.

mod automation;
mod automation_faults;
mod cross;
mod host;
mod oauth;
mod oauth_faults;
mod offer;
mod permissions;
mod place;
mod plan;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use jsonschema::Validator;
use semver::Version;
use serde::Deserialize;
use serde_json::Value;

pub use automation::{
    ActionOffer, Dedupe, Dynamic, HookDelivery, HookOffer, TriggerDelivery, TriggerOffer,
};
pub use host::{BadHost, HostPattern};
pub use oauth::{
    CallbackMac, ClientAuth, LearnedField, OAuth2, Refresh, TokenCapture, TokenCaptures, UrlPattern,
};
pub use offer::{Deletions, EntityOffer, IdStyle, Listing};
pub use permissions::Permission;
pub use place::Place;
pub use plan::{Auth, AuthMethod, Choice, Input, InputKind, Placement, Plan};

use crate::catalog::Catalog;
use crate::category::Category;
use crate::error::Issue;
use crate::schema::Ordered;

const SCHEMA: &str = include_str!("../../../wit/manifest.schema.json");

/// The slot that holds what a person answers while he signs in: a code.
pub const ANSWER: &str = "answer";

/// A connector's manifest that has passed every check.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of the WIT package that the connector was made for.
    pub contract: String,
    /// The app key: `follow-up-boss`.
    pub key: String,
    /// The app's name as people write it.
    pub name: String,
    /// The connector's own version.
    pub version: Version,
    /// One or two sentences; may be empty.
    #[serde(default)]
    pub description: String,
    /// An SVG document.
    pub icon: Option<String>,
    /// The categories in which the connector appears.
    pub categories: Vec<Category>,
    /// The hosts it may call.
    pub hosts: Vec<HostPattern>,
    /// Public settings of the environment.
    #[serde(default)]
    pub fields: BTreeMap<String, AppField>,
    /// The named secrets.
    #[serde(default)]
    pub slots: BTreeMap<String, Slot>,
    /// Where each slot may be used.
    #[serde(default)]
    pub bindings: Vec<Binding>,
    /// How often an account is best asked for changes, in seconds, where the operator says
    /// nothing else.
    pub poll_seconds: Option<u32>,
    /// The app's rate limits.
    #[serde(default)]
    pub rate_limits: Vec<RateLimit>,
    /// The ways to connect an account; the first is the default. Never empty.
    pub plans: Vec<Plan>,
    /// The entities it serves, by name, in the manifest's order.
    #[serde(default, deserialize_with = "in_order")]
    pub entities: Vec<(String, EntityOffer)>,
    /// What the app tells of its own accord, by key, in the manifest's order.
    #[serde(default, deserialize_with = "in_order")]
    pub hooks: Vec<(String, HookOffer)>,
    /// Events that automations begin with, by key, in the manifest's order.
    #[serde(default, deserialize_with = "in_order")]
    pub triggers: Vec<(String, TriggerOffer)>,
    /// What automations can have done in the app, by key, in the manifest's order.
    #[serde(default, deserialize_with = "in_order")]
    pub actions: Vec<(String, ActionOffer)>,
}

fn in_order<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<(String, T)>, D::Error> {
    Ordered::deserialize(from).map(|ordered| ordered.0)
}

/// A public setting of the environment for this connector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppField {
    /// What it is for; may be empty.
    pub description: String,
}

/// A named secret.
#[derive(Clone, Debug, Deserialize)]
pub struct Slot {
    /// Who has a value of it.
    pub scope: SlotScope,
    /// What it is for; may be empty.
    #[serde(default)]
    pub description: String,
    /// Whether `mac` and `verify-mac` may use it.
    #[serde(default)]
    pub signing: bool,
    /// The calls in which a response may fill it.
    #[serde(default)]
    pub captured: Vec<CapturedIn>,
}

/// Who has a value of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotScope {
    /// One per environment, set by the operator.
    App,
    /// One per credential.
    Credential,
    /// One per webhook subscription, made by the host.
    Subscription,
}

/// A call in which a response may fill a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapturedIn {
    /// `login.sign-in`
    SignIn,
    /// `login.answer`
    Answer,
    /// `hooks.subscribe`
    Subscribe,
}

/// Where a slot may be used.
#[derive(Clone, Debug, Deserialize)]
pub struct Binding {
    /// The slot.
    pub slot: String,
    /// One of the manifest's hosts; never a wildcard.
    pub host: HostPattern,
    /// The methods, upper case; none: all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The path prefixes, each ending at a segment; none: all paths.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The place.
    pub place: Place,
}

/// One of the app's rate limits.
#[derive(Clone, Debug, Deserialize)]
pub struct RateLimit {
    /// How many requests, at least 1.
    pub requests: u32,
    /// In how many seconds, at least 1.
    pub seconds: u32,
    /// Who shares it.
    pub scope: RateScope,
    /// The path prefix it is for; none: all paths.
    pub path: Option<String>,
    /// The methods it is for; none: all.
    #[serde(default)]
    pub methods: Vec<String>,
}

/// Who shares a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateScope {
    /// One credential.
    Credential,
    /// All credentials with one external id.
    Account,
    /// Everything that the environment does with the app.
    App,
}

/// A manifest that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ManifestError {
    /// What is wrong, in the manifest's order. Never empty.
    pub faults: Vec<Issue>,
}

impl fmt::Display for ManifestError {
    /// One line: the first fault, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [] => f.write_str("manifest: refused"),
            [only] => write!(f, "manifest: {only}"),
            [first, rest @ ..] => write!(f, "manifest: {first} (and {} more)", rest.len()),
        }
    }
}

impl Manifest {
    /// Reads and checks a manifest.
    pub fn parse(json: &str, catalog: &Catalog) -> Result<Manifest, ManifestError> {
        let value: Value =
            serde_json::from_str(json).map_err(|error| refused(format!("is not JSON: {error}")))?;
        check_schema(&value)?;
        check_hosts(&value)?;
        let manifest = Manifest::deserialize(value).map_err(|error| refused(error.to_string()))?;
        let mut faults = cross::faults(&manifest, catalog);
        faults.extend(oauth_faults::faults(&manifest));
        faults.extend(automation_faults::faults(&manifest));
        if faults.is_empty() {
            Ok(manifest)
        } else {
            Err(ManifestError { faults })
        }
    }

    /// Whether the component exports what the manifest describes, and describes what it exports. `exports` answers for
    /// an interface of the contract by its name.
    pub fn check_exports(&self, exports: impl Fn(&str) -> bool) -> Result<(), ManifestError> {
        let faults = automation_faults::mismatches(self, exports);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ManifestError { faults })
        }
    }

    /// The offer for an entity.
    pub fn entity(&self, name: &str) -> Option<&EntityOffer> {
        self.entities
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, offer)| offer)
    }

    /// The app's own name for an entity: the key in `originalIds` and `original`.
    pub fn resource<'a>(&'a self, entity: &'a str) -> &'a str {
        self.entity(entity)
            .and_then(|offer| offer.resource.as_deref())
            .unwrap_or(entity)
    }

    /// The slots that `login` fills: what a session consists of.
    pub fn session_slots(&self) -> impl Iterator<Item = &str> {
        let fills = |slot: &Slot| {
            let mut calls = slot.captured.iter();
            slot.scope == SlotScope::Credential && calls.any(|call| *call != CapturedIn::Subscribe)
        };
        let slots = self.slots.iter();
        slots
            .filter(move |(_, slot)| fills(slot))
            .map(|(name, _)| name.as_str())
    }

    /// The plan of this key.
    pub fn plan(&self, key: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.key == key)
    }
}

/// An app key in the form in which keys are compared: `Follow-Up_Boss` is `followupboss`.
pub fn fold_key(key: &str) -> String {
    key.chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

fn refused(message: impl Into<String>) -> ManifestError {
    ManifestError {
        faults: vec![Issue::new("", message)],
    }
}

fn check_schema(manifest: &Value) -> Result<(), ManifestError> {
    static VALIDATOR: LazyLock<Result<Validator, String>> = LazyLock::new(|| {
        let schema: Value = serde_json::from_str(SCHEMA).map_err(|error| error.to_string())?;
        jsonschema::validator_for(&schema).map_err(|error| error.to_string())
    });
    let schema = VALIDATOR.as_ref();
    let schema = schema.map_err(|error| refused(format!("schema: {error}")))?;
    // The value itself is not repeated: it may be an icon of 60 KB.
    let faults: Vec<Issue> = schema
        .iter_errors(manifest)
        .map(|error| {
            Issue::new(
                error.instance_path().to_string(),
                one_line(&error.masked().to_string()),
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ManifestError { faults })
    }
}

/// The hosts are taken apart while the manifest is read, where a fault would have no pointer any more.
fn check_hosts(manifest: &Value) -> Result<(), ManifestError> {
    let hosts = manifest
        .get("hosts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let faults: Vec<Issue> = hosts
        .enumerate()
        .filter_map(|(at, host)| Some((at, host, host.parse::<HostPattern>().err()?)))
        .map(|(at, host, error)| {
            Issue::new(
                format!("/hosts/{at}"),
                format!("`{host}` is refused: {error}"),
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ManifestError { faults })
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
