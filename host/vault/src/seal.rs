//! Sealing and opening.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::{MasterKey, VaultError};

/// First part of every sealed text: the format's version.
const FORMAT: &str = "rv1";

/// Separates this use of the key from any other.
const DOMAIN: &str = "rollout vault rv1";

/// Bytes of the random nonce in front of the ciphertext.
const NONCE_BYTES: usize = 24;

/// Where a sealed value belongs. All four parts are authenticated: a value
/// opens only in the context that it was sealed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<'a> {
    /// The environment's name.
    pub environment: &'a str,
    /// The slot's scope: `app`, `credential` or `subscription`.
    pub scope: &'a str,
    /// Whose secret it is: a connector's key, a credential's or a subscription's id.
    pub owner: &'a str,
    /// The slot's name.
    pub slot: &'a str,
}

impl Context<'_> {
    /// The associated data. Every part carries its length, so that no two
    /// contexts have the same bytes.
    fn associated_data(&self, key_id: &str) -> Vec<u8> {
        let parts = [
            DOMAIN,
            key_id,
            self.environment,
            self.scope,
            self.owner,
            self.slot,
        ];
        let mut data = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            data.extend_from_slice(&(part.len() as u64).to_le_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

/// A secret in the clear. Wiped from memory when dropped; `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The secret's bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text.
    pub fn text(&self) -> Result<&str, VaultError> {
        std::str::from_utf8(&self.0).map_err(|_| VaultError::NotText)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Seals and opens secrets with one master key.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

impl Vault {
    /// A vault that works with this key.
    #[must_use]
    pub fn new(key: MasterKey) -> Vault {
        Vault {
            cipher: XChaCha20Poly1305::new(key.bytes().into()),
            key_id: key.id().to_owned(),
        }
    }

    /// The id of the key that seals, 16 hex digits.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Seals a secret for one context. Answers with printable text; sealing
    /// the same secret twice gives different texts.
    pub fn seal(&self, context: &Context<'_>, secret: &[u8]) -> Result<String, VaultError> {
        let nonce = XNonce::try_generate().map_err(|_| VaultError::Random)?;
        let associated = context.associated_data(&self.key_id);
        let ciphertext = self
            .cipher
            .encrypt(
                &nonce,
                Payload {
                    msg: secret,
                    aad: &associated,
                },
            )
            .map_err(|_| VaultError::TooLong)?;
        let sealed = [nonce.as_slice(), &ciphertext].concat();
        Ok(format!(
            "{FORMAT}.{}.{}",
            self.key_id,
            URL_SAFE_NO_PAD.encode(sealed)
        ))
    }

    /// Opens what [`Vault::seal`] answered for the same context.
    pub fn open(&self, context: &Context<'_>, sealed: &str) -> Result<Secret, VaultError> {
        let (key_id, encoded) = sealed
            .strip_prefix(FORMAT)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.split_once('.'))
            .ok_or(VaultError::Malformed)?;
        let plausible = key_id.len() == 16 && key_id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !plausible {
            return Err(VaultError::Malformed);
        }
        if key_id != self.key_id {
            return Err(VaultError::OtherKey {
                needed: key_id.to_owned(),
                present: self.key_id.clone(),
            });
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| VaultError::Malformed)?;
        let (nonce, ciphertext) = bytes
            .split_at_checked(NONCE_BYTES)
            .ok_or(VaultError::Malformed)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| VaultError::Malformed)?;
        let associated = context.associated_data(&self.key_id);
        let secret = self
            .cipher
            .decrypt(
                &nonce,
                Payload {
                    msg: ciphertext,
                    aad: &associated,
                },
            )
            .map_err(|_| VaultError::Rejected)?;
        Ok(Secret(Zeroizing::new(secret)))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({}, [redacted])", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use proptest::prelude::*;

    use super::*;

    const HERE: Context<'_> = Context {
        environment: "dev",
        scope: "credential",
        owner: "cred_1",
        slot: "apiKey",
    };

    fn vault(byte: u8) -> Vault {
        Vault::new(MasterKey::from_bytes([byte; 32]))
    }

    #[test]
    fn what_was_sealed_opens() {
        let vault = vault(1);
        for secret in ["", "k", "fka_0a1B2c3D4e5F6g7H8i9J", "ключ 🔑"] {
            let sealed = vault.seal(&HERE, secret.as_bytes()).unwrap();
            assert!(sealed.starts_with(&format!("rv1.{}.", vault.key_id())));
            assert!(secret.len() < 4 || !sealed.contains(secret));
            assert_eq!(vault.open(&HERE, &sealed).unwrap().text().unwrap(), secret);
        }
    }

    #[test]
    fn the_same_secret_looks_different_every_time() {
        let vault = vault(1);
        assert_ne!(
            vault.seal(&HERE, b"secret").unwrap(),
            vault.seal(&HERE, b"secret").unwrap()
        );
    }

    #[test]
    fn a_value_does_not_open_elsewhere() {
        let vault = vault(1);
        let sealed = vault.seal(&HERE, b"secret").unwrap();
        let elsewhere = [
            Context {
                environment: "prod",
                ..HERE
            },
            Context {
                scope: "app",
                ..HERE
            },
            Context {
                owner: "cred_2",
                ..HERE
            },
            Context {
                slot: "apiKey2",
                ..HERE
            },
            Context {
                environment: "",
                ..HERE
            },
            // Same bytes one after the other, cut at other places.
            Context {
                environment: "devc",
                scope: "redential",
                ..HERE
            },
            Context {
                owner: "cred_1a",
                slot: "piKey",
                ..HERE
            },
            Context {
                owner: "apiKey",
                slot: "cred_1",
                ..HERE
            },
        ];
        for context in elsewhere {
            assert!(
                matches!(vault.open(&context, &sealed), Err(VaultError::Rejected)),
                "{context:?}"
            );
        }
    }

    #[test]
    fn another_key_is_named() {
        let sealed = vault(1).seal(&HERE, b"secret").unwrap();
        let other = vault(2);
        let error = other.open(&HERE, &sealed).unwrap_err();
        assert!(matches!(&error, VaultError::OtherKey { needed, present }
            if needed == vault(1).key_id() && present == other.key_id()));
        // Claiming the other key's id does not help.
        let forged = sealed.replace(vault(1).key_id(), other.key_id());
        assert!(matches!(
            other.open(&HERE, &forged),
            Err(VaultError::Rejected)
        ));
    }

    #[test]
    fn text_of_another_form_is_refused() {
        let vault = vault(1);
        let sealed = vault.seal(&HERE, b"secret").unwrap();
        let id = vault.key_id();
        let cases = [
            String::new(),
            "secret".into(),
            "rv1".into(),
            "rv1.".into(),
            format!("rv1.{id}"),
            format!("rv1.{id}."),
            format!("rv1.{id}.AAAA"),
            format!("rv1.short.{}", sealed.rsplit('.').next().unwrap()),
            sealed.replace("rv1.", "rv0."),
            sealed.replace("rv1.", "rv2."),
            sealed.replace("rv1.", ""),
            format!("{sealed}="),
            format!("{sealed}.x"),
            format!(" {sealed}"),
        ];
        for text in cases {
            assert!(
                matches!(vault.open(&HERE, &text), Err(VaultError::Malformed)),
                "{text}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let vault = vault(1);
        let sealed = vault.seal(&HERE, b"hunter2hunter2").unwrap();
        let secret = vault.open(&HERE, &sealed).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
        assert!(format!("{vault:?}").ends_with("[redacted])"));
    }

    #[test]
    fn bytes_that_are_not_text_are_kept() {
        let vault = vault(1);
        let sealed = vault.seal(&HERE, &[0xff, 0x00, 0xfe]).unwrap();
        let secret = vault.open(&HERE, &sealed).unwrap();
        assert_eq!(secret.expose(), [0xff, 0x00, 0xfe]);
        assert!(matches!(secret.text(), Err(VaultError::NotText)));
    }

    proptest! {
        #[test]
        fn any_secret_in_any_context_comes_back(
            secret in prop::collection::vec(any::<u8>(), 0..300),
            environment in ".{0,20}", scope in ".{0,20}", owner in ".{0,20}", slot in ".{0,20}",
        ) {
            let vault = vault(3);
            let context = Context { environment: &environment, scope: &scope, owner: &owner, slot: &slot };
            let sealed = vault.seal(&context, &secret).unwrap();
            let opened = vault.open(&context, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &secret[..]);
        }

        #[test]
        fn a_flipped_bit_or_a_cut_never_opens(
            secret in prop::collection::vec(any::<u8>(), 0..60),
            position in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<prop::sample::Index>(),
        ) {
            let vault = vault(3);
            let sealed = vault.seal(&HERE, &secret).unwrap();
            let (head, body) = sealed.rsplit_once('.').unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(body).unwrap();

            let mut flipped = bytes.clone();
            flipped[position.index(bytes.len())] ^= 1 << bit;
            let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(&flipped));
            prop_assert!(matches!(vault.open(&HERE, &text), Err(VaultError::Rejected)));

            let short = &bytes[..cut.index(bytes.len())];
            let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(short));
            prop_assert!(vault.open(&HERE, &text).is_err());
            prop_assert!(vault.open(&HERE, &sealed[..cut.index(sealed.len())]).is_err());
        }

        #[test]
        fn two_contexts_never_share_their_associated_data(
            a in prop::array::uniform4("[ab]{0,3}"), b in prop::array::uniform4("[ab]{0,3}"),
        ) {
            let of = |parts: &[String; 4]| {
                Context { environment: &parts[0], scope: &parts[1], owner: &parts[2], slot: &parts[3] }
                    .associated_data("k")
            };
            prop_assert_eq!(a == b, of(&a) == of(&b));
        }
    }
}
