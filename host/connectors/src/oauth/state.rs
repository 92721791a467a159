//! What a sign-in is begun with, and comes back to.
//!
//! `state` is 256 random bits and the environment's client id. What belongs to it is
//! stored sealed under the hash of the whole text: whoever changes a part of it names
//! nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::policy::Fields;

/// Longest `state` that is looked up.
const LONGEST: usize = 512;

/// All that a redirect is held against and goes on with.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    /// The consumer's key.
    pub(super) consumer: String,
    pub(super) connector: String,
    pub(super) version: String,
    pub(super) plan: String,
    pub(super) fields: Fields,
    /// What the person entered besides, by slot.
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) entities_to_sync: Option<Map<String, Value>>,
    /// For the code challenge; none: there was none.
    pub(super) verifier: Option<String>,
    pub(super) redirect_url: String,
    /// The origin of the page that waits for the outcome, if it is known.
    #[serde(default)]
    pub(super) opener: Option<String>,
}

/// The client id of the environment that a `state` was made for, if it has one.
pub fn environment_of_state(state: &str) -> Option<&str> {
    let (_, client_id) = state.split_once('.')?;
    (state.len() <= LONGEST).then_some(client_id)
}

/// A new `state`.
pub(crate) fn new_state(client_id: &str) -> String {
    format!("{}.{client_id}", random())
}

/// 256 random bits as text: 43 letters, digits, `-` and `_`.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What a text is known by without being kept. Also the code challenge `S256`.
pub(crate) fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(
            hash(verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        assert_eq!(random().len(), 43);
    }

    #[test]
    fn a_state_says_whose_it_is() {
        let state = new_state("client.with.dots");
        assert_eq!(environment_of_state(&state), Some("client.with.dots"));
        assert_eq!(environment_of_state("nothing"), None);
        assert_eq!(
            environment_of_state(&format!("{}.x", "a".repeat(600))),
            None
        );
    }
}
