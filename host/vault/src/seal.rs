//! Sealing and opening.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::key::Key;
use crate::masters::other_key;
use crate::{DataKey, MasterKeys, VaultError};

/// First part of every sealed text: the format's version.
pub(crate) const FORMAT: &str = "rv1";

/// Separates this use of the key from any other.
const DOMAIN: &str = "rollout vault rv1";

/// Bytes of the random nonce in front of the ciphertext.
pub(crate) const NONCE_BYTES: usize = 24;

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
    pub(crate) fn associated_data(&self, key_id: &str) -> Vec<u8> {
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
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

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

/// The key's id and what stands behind it in a sealed text.
pub(crate) fn parts(sealed: &str) -> Result<(&str, &str), VaultError> {
    let (key_id, encoded) = sealed
        .strip_prefix(FORMAT)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.split_once('.'))
        .ok_or(VaultError::Malformed)?;
    let plausible = key_id.len() == 16 && key_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    plausible
        .then_some((key_id, encoded))
        .ok_or(VaultError::Malformed)
}

/// The id of the key that a sealed text, or a wrapped data key, needs.
pub fn key_needed(sealed: &str) -> Result<&str, VaultError> {
    parts(sealed).map(|(id, _)| id)
}

/// Seals and opens the secrets of one owner with its data keys.
///
/// New values are sealed with one key; each value is opened with the key that it names.
/// Which keys there are may change at any time.
#[derive(Debug)]
pub struct Vault {
    keys: RwLock<Arc<Keys>>,
}

#[derive(Debug)]
struct Keys {
    sealing: Arc<Key>,
    /// All, by id.
    opening: HashMap<String, Arc<Key>>,
}

impl Vault {
    /// A vault that seals with `sealing` and opens with `others` too. It also opens what
    /// was sealed with a master key itself, as before there were data keys.
    #[must_use]
    pub fn new(
        sealing: &DataKey,
        others: impl IntoIterator<Item = DataKey>,
        masters: &MasterKeys,
    ) -> Vault {
        let opening = masters
            .all()
            .cloned()
            .chain(others.into_iter().map(|key| key.0))
            .chain([sealing.0.clone()]);
        let keys = Keys {
            sealing: sealing.0.clone(),
            opening: opening.map(|key| (key.id().to_owned(), key)).collect(),
        };
        Vault {
            keys: RwLock::new(Arc::new(keys)),
        }
    }

    /// Takes over the keys of another vault.
    pub fn replace(&self, other: Vault) {
        *self.keys.write() = other.keys.into_inner();
    }

    /// The id of the key that seals, 16 hex digits.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.keys.read().sealing.id().to_owned()
    }

    /// Whether the key is there that a sealed text needs. What is no sealed text needs
    /// none.
    #[must_use]
    pub fn has_key_of(&self, sealed: &str) -> bool {
        match parts(sealed) {
            Ok((id, _)) => self.keys.read().opening.contains_key(id),
            Err(_) => true,
        }
    }

    /// Seals a secret for one context. Answers with printable text; sealing
    /// the same secret twice gives different texts.
    pub fn seal(&self, context: &Context<'_>, secret: &[u8]) -> Result<String, VaultError> {
        let sealing = self.keys.read().sealing.clone();
        sealing.seal(context, secret)
    }

    /// Opens what [`Vault::seal`] answered for the same context.
    pub fn open(&self, context: &Context<'_>, sealed: &str) -> Result<Secret, VaultError> {
        let (key_id, encoded) = parts(sealed)?;
        let keys = self.keys.read().clone();
        match keys.opening.get(key_id) {
            Some(key) => key.open(context, encoded),
            None => {
                let mut present: Vec<_> = keys.opening.keys().map(String::as_str).collect();
                present.sort_unstable();
                Err(other_key(key_id, present.into_iter()))
            }
        }
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

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    const HERE: Context<'_> = Context {
        environment: "dev",
        scope: "credential",
        owner: "cred_1",
        slot: "apiKey",
    };

    fn key(byte: u8) -> DataKey {
        DataKey(Arc::new(Key::new(Zeroizing::new([byte; 32]))))
    }

    fn masters() -> MasterKeys {
        MasterKeys::generate().unwrap()
    }

    fn vault(byte: u8) -> Vault {
        Vault::new(&key(byte), [], &masters())
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
            if *needed == vault(1).key_id() && present.contains(&other.key_id())));
        assert!(!other.has_key_of(&sealed) && vault(1).has_key_of(&sealed));
        // Claiming the other key's id does not help.
        let forged = sealed.replace(&vault(1).key_id(), &other.key_id());
        assert!(matches!(
            other.open(&HERE, &forged),
            Err(VaultError::Rejected)
        ));
    }

    #[test]
    fn a_vault_opens_with_any_of_its_keys_and_seals_with_one() {
        let masters = masters();
        let before = vault(1).seal(&HERE, b"secret").unwrap();
        let first = masters.all().next().unwrap().seal(&HERE, b"first").unwrap();
        let vault = Vault::new(&key(2), [key(1)], &masters);
        assert_eq!(vault.open(&HERE, &before).unwrap().expose(), b"secret");
        // As it was before there were data keys.
        assert_eq!(vault.open(&HERE, &first).unwrap().expose(), b"first");
        let sealed = vault.seal(&HERE, b"secret").unwrap();
        assert_eq!(key_needed(&sealed).unwrap(), key(2).id());
        vault.replace(Vault::new(&key(3), [], &masters));
        assert!(vault.open(&HERE, &sealed).is_err());
        assert_eq!(vault.key_id(), key(3).id());
    }

    /// The form does not change unnoticed: this is what an earlier version sealed.
    #[test]
    fn what_was_sealed_long_ago_opens() {
        const SEALED: &str = "rv1.4bb06f8e4e3a7715.a6JDuD3bICxhlqTHWdLOhUyx9-oyD_nlQH-ue0ljCS2dJMRj2u3dW-RK19OZ7OdPIxvp3NvEN1U03whOfqVuOXJu6Z1KAARMiMm0cba18W3dbCIYkWgIlg";
        let context = Context {
            environment: "dev",
            scope: "client-secret",
            owner: "dev",
            slot: "client-secret",
        };
        let opened = vault(7).open(&context, SEALED).unwrap();
        assert_eq!(
            opened.text().unwrap(),
            "a-client-secret-of-an-earlier-version-0123456789"
        );
    }

    #[test]
    fn a_wrapped_key_is_of_one_owner_and_one_id() {
        let (first, other) = (masters(), masters());
        let wrapped = first.wrap("ci_1", &key(1)).unwrap();
        let id = key(1).id().to_owned();
        assert_eq!(key_needed(&wrapped).unwrap(), first.current());
        // A version later it still opens.
        let later = first.with_new().unwrap();
        for masters in [&first, &later] {
            let unwrapped = masters.unwrap("ci_1", &id, &wrapped).unwrap();
            let sealed = vault(1).seal(&HERE, b"secret").unwrap();
            let vault = Vault::new(&unwrapped, [], &first);
            assert_eq!(vault.open(&HERE, &sealed).unwrap().expose(), b"secret");
        }
        assert!(matches!(
            first.unwrap("ci_2", &id, &wrapped),
            Err(VaultError::Rejected)
        ));
        let error = first.unwrap("ci_1", key(2).id(), &wrapped).unwrap_err();
        assert!(matches!(error, VaultError::Rejected));
        let error = other.unwrap("ci_1", &id, &wrapped).unwrap_err();
        assert!(matches!(error, VaultError::OtherKey { .. }));
        // Nor is it a secret of a slot, whatever key it was sealed with.
        let vault = Vault::new(&key(1), [], &first);
        assert!(vault.open(&HERE, &wrapped).is_err());
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
        let shown = format!("{vault:?} {:?} {:?}", key(7), masters());
        assert!(
            shown.contains("Key(4bb06f8e4e3a7715, [redacted])"),
            "{shown}"
        );
        assert!(
            !shown.contains("7, 7") && !shown.contains("bytes"),
            "{shown}"
        );
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
        fn no_text_panics_or_opens(text in "(rv[0-9]\\.)?[0-9a-f]{0,17}\\.?[A-Za-z0-9_=.-]{0,90}") {
            let vault = vault(3);
            prop_assert!(vault.open(&HERE, &text).is_err());
            let claimed = format!("rv1.{}.{text}", vault.key_id());
            prop_assert!(vault.open(&HERE, &claimed).is_err());
            prop_assert!(masters().unwrap("ci_1", "0123456789abcdef", &text).is_err());
            let _ = vault.has_key_of(&text);
        }

        #[test]
        fn a_wrapped_key_that_is_changed_never_opens(
            position in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let masters = masters();
            let wrapped = masters.wrap("ci_1", &key(1)).unwrap();
            let mut bytes = wrapped.into_bytes();
            let at = position.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(masters.unwrap("ci_1", key(1).id(), &text).is_err(), "{text}");
            }
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
