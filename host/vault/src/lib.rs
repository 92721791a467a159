//! Seals secrets at rest.
//!
//! Everything secret that the host keeps (what a user typed, tokens, client
//! secrets) goes through [`Vault::seal`] before it reaches a database and
//! through [`Vault::open`] when it is used. A database dump without the master
//! key tells nothing.
//!
//! Secrets are sealed with a data key, each environment with its own. It lies beside
//! them, wrapped: sealed with a master key ([`MasterKeys`]), which comes from outside of
//! the databases ([`KeySource`]). Both kinds of key can be replaced while hosts serve.
//!
//! A sealed value is bound to its [`Context`]: environment, scope, owner and
//! slot are authenticated with it. Copying a sealed value to another
//! credential's row, or to another slot, makes it unreadable instead of usable.
//!
//! The cipher is XChaCha20-Poly1305: its 24-byte nonce may be random for as many
//! values as a host will ever seal. The text form is `rv1.KEYID.BASE64URL`, so
//! that a value says which format and which key it needs.
//!
//! This crate must never log, return or format a secret: the only way to read
//! one is [`Secret::expose`] or [`Secret::text`].

mod error;
mod file;
mod key;
mod masters;
mod seal;
mod source;

pub use error::VaultError;
pub use key::DataKey;
pub use masters::MasterKeys;
pub use seal::{Context, Secret, Vault, key_needed};
pub use source::{KeySource, Masters};

/// The usual name of the master key's file in the data directory.
pub const KEY_FILE: &str = "master.key";
