//! Secrets in the clear, and the slots that hold them.

use std::fmt;

use zeroize::Zeroizing;

/// A secret's text. Wiped from memory when dropped; `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// To whom a slot's value belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One value per environment and connector.
    App,
    /// One value per credential.
    Credential,
    /// One value per webhook subscription.
    Subscription,
}

/// A slot as the manifest declares it, with what it holds.
#[derive(Clone, Debug)]
pub struct Slot {
    /// To whom the value belongs.
    pub scope: Scope,
    /// True if codes may be made with it ([`crate::Access::mac`]).
    pub signing: bool,
    /// True if it may not be used here: it is for signing in, and only blanked elsewhere.
    pub withheld: bool,
    /// Its values; empty while it has none. Placements use the first.
    pub values: Vec<Secret>,
}
