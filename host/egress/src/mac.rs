//! Message authentication codes made with a slot's value, so that a connector
//! can sign and verify without seeing the key.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::Secret;

/// How a code is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-1, 20 bytes.
    HmacSha1,
    /// HMAC with SHA-256, 32 bytes.
    HmacSha256,
    /// HMAC with SHA-512, 64 bytes.
    HmacSha512,
    /// SHA-256 over the slot's value followed by the data, 32 bytes.
    Sha256OfSlotAndData,
}

/// Why a slot could not be used for a code. Each holds the slot's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The manifest declares no such slot in this scope.
    #[error("the manifest declares no slot `{0}` in this scope")]
    Unknown(String),
    /// The slot is not for signing.
    #[error("slot `{0}` is not for signing: add \"signing\": true to it in the manifest")]
    NotSigning(String),
    /// The slot has no value.
    #[error("slot `{0}` has no value")]
    Empty(String),
}

/// The code of `data` under this key.
pub(crate) fn code(key: &Secret, algorithm: MacAlgorithm, data: &[u8]) -> Vec<u8> {
    let key = key.expose().as_bytes();
    match algorithm {
        MacAlgorithm::HmacSha1 => keyed::<Hmac<Sha1>>(key, data),
        MacAlgorithm::HmacSha256 => keyed::<Hmac<Sha256>>(key, data),
        MacAlgorithm::HmacSha512 => keyed::<Hmac<Sha512>>(key, data),
        MacAlgorithm::Sha256OfSlotAndData => Sha256::new()
            .chain_update(key)
            .chain_update(data)
            .finalize()
            .to_vec(),
    }
}

/// Compares in constant time; a code of another length is never right.
pub(crate) fn matches(key: &Secret, algorithm: MacAlgorithm, data: &[u8], claimed: &[u8]) -> bool {
    let right: bool = code(key, algorithm, data).as_slice().ct_eq(claimed).into();
    right && !claimed.is_empty()
}

fn keyed<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC takes keys of every length, so the error cannot occur; an empty
    // code, which `matches` refuses, would be its answer.
    M::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn codes_are_those_of_the_standards() {
        let key = Secret::from("Jefe".to_owned());
        let data = b"what do ya want for nothing?";
        let cases = [
            (
                MacAlgorithm::HmacSha1,
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                MacAlgorithm::HmacSha256,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                MacAlgorithm::HmacSha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ];
        for (algorithm, expected) in cases {
            let made = code(&key, algorithm, data);
            assert_eq!(hex(&made), expected);
            assert!(matches(&key, algorithm, data, &made));
            assert!(!matches(&key, algorithm, b"other", &made));
            assert!(!matches(
                &Secret::from("jefe".to_owned()),
                algorithm,
                data,
                &made
            ));
            assert!(!matches(&key, algorithm, data, &made[..made.len() - 1]));
            assert!(!matches(&key, algorithm, data, &[]));
            let longer = [made.as_slice(), &[0]].concat();
            assert!(!matches(&key, algorithm, data, &longer));
        }
    }

    #[test]
    fn the_plain_hash_is_over_key_and_data() {
        let made = code(
            &Secret::from("a".to_owned()),
            MacAlgorithm::Sha256OfSlotAndData,
            b"bc",
        );
        assert_eq!(
            hex(&made),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
