//! The categories of the Universal API, and the verbs that every category has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A category of apps. Each has its own host name and its own entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Contacts, leads and what happens with them.
    Crm,
    /// Transaction management.
    Tms,
    /// Loan origination.
    Los,
    /// Mail boxes.
    Email,
    /// Calendars.
    Calendar,
}

impl Category {
    /// Every category, in the order in which documents list them.
    pub const ALL: [Category; 5] = [
        Category::Crm,
        Category::Tms,
        Category::Los,
        Category::Email,
        Category::Calendar,
    ];

    /// The name in URLs, manifests and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Category::Crm => "crm",
            Category::Tms => "tms",
            Category::Los => "los",
            Category::Email => "email",
            Category::Calendar => "calendar",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a category's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a category; there are crm, tms, los, email and calendar")]
pub struct UnknownCategory(pub String);

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Category::ALL
            .into_iter()
            .find(|category| category.as_str() == text);
        named.ok_or_else(|| UnknownCategory(text.to_owned()))
    }
}

/// What can be done with an entity's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// `GET` on the collection.
    List,
    /// `GET` on a record.
    Get,
    /// `POST` on the collection.
    Create,
    /// `PUT` on a record.
    Update,
    /// `DELETE` on a record.
    Delete,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 5] = [
        Verb::List,
        Verb::Get,
        Verb::Create,
        Verb::Update,
        Verb::Delete,
    ];

    /// The name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::List => "list",
            Verb::Get => "get",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
