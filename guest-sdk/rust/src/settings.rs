//! What the host knows of the credential and of the environment's settings.

/// How a message authentication code is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// HMAC with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
    /// SHA-256 over the slot's value followed by the data.
    Sha256OfSlotAndData,
}

/// Whose slots are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The credential the call is for.
    Credential,
    /// The environment's settings of this connector.
    App,
}

macro_rules! holder {
    ($(#[$doc:meta])* $name:ident, $holder:expr, $(#[$field:meta])*) => {
        $(#[$doc])*
        pub mod $name {
            use super::{Holder, MacAlgorithm};
            use crate::{backend, Error};

            $(#[$field])*
            pub fn field(name: &str) -> Option<String> {
                backend::field($holder, name)
            }

            /// Makes a code with a slot that the manifest marks `signing`.
            pub fn mac(slot: &str, algorithm: MacAlgorithm, data: &[u8]) -> Result<Vec<u8>, Error> {
                backend::mac($holder, slot, algorithm, data)
            }

            /// Compares a code in constant time with the one made from `data`.
            pub fn verify_mac(
                slot: &str,
                algorithm: MacAlgorithm,
                data: &[u8],
                code: &[u8],
            ) -> Result<bool, Error> {
                backend::verify_mac($holder, slot, algorithm, data, code)
            }
        }
    };
}

holder!(
    /// The credential that the call is for.
    credential,
    Holder::Credential,
    /// A public field: an input that is not secret, or one that `probe` learned.
);
holder!(
    /// The environment's own settings of this connector.
    app,
    Holder::App,
    /// A public setting.
);
