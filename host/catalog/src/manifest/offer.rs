//! What a connector does with an entity of the catalogue.

use serde::Deserialize;

use crate::category::{Category, Verb};

/// How a connector serves an entity.
#[derive(Clone, Debug, Deserialize)]
pub struct EntityOffer {
    /// In which categories.
    pub categories: Vec<Category>,
    /// What can be done.
    pub verbs: Vec<Verb>,
    /// The catalogue's operations that it carries out.
    #[serde(default)]
    pub operations: Vec<String>,
    /// The fields it accepts; none: all that the catalogue allows. Use [`EntityOffer::accepts`].
    pub writable: Option<Vec<String>>,
    /// The app's own name for the entity. Use [`Manifest::resource`].
    pub resource: Option<String>,
    /// How `originalIds` shows the app's ids.
    #[serde(default)]
    pub ids: IdStyle,
    /// How `changes` reads.
    #[serde(default)]
    pub listing: Listing,
    /// With [`Listing::Parent`]: the entity of the parents.
    pub parent: Option<String>,
    /// How deleted records are found.
    #[serde(default)]
    pub deletions: Deletions,
}

impl EntityOffer {
    /// Whether the verb is offered.
    pub fn has(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// Whether the app takes this field, as far as the manifest says.
    pub fn accepts(&self, field: &str) -> bool {
        self.writable
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| covers(name, field)))
    }
}

/// Whether an entry of `writable` means this field; a trailing `*` stands for any ending.
pub(super) fn covers(writable: &str, field: &str) -> bool {
    match writable.strip_suffix('*') {
        Some(start) => field.starts_with(start),
        None => field == writable,
    }
}

/// How `originalIds` shows the app's ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdStyle {
    /// `1234`
    Integer,
    /// `"1234"`
    #[default]
    String,
}

/// How `changes` reads an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listing {
    /// The whole account.
    #[default]
    Account,
    /// Only parent by parent.
    Parent,
}

/// How deleted records are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deletions {
    /// `changes` reports them.
    Reported,
    /// By a full pass, which is what works with every app.
    #[default]
    FullPass,
    /// Records are never deleted.
    Never,
}
