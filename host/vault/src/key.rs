//! A key: 32 random bytes, and an id by which values name it.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::seal::{FORMAT, NONCE_BYTES};
use crate::{Context, Secret, VaultError};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// A key. Wiped from memory when dropped; `Debug` shows its id.
pub(crate) struct Key {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    cipher: XChaCha20Poly1305,
    id: String,
}

impl Key {
    pub(crate) fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let digest = Sha256::digest(bytes.as_slice());
        let id = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let cipher = XChaCha20Poly1305::new((&*bytes).into());
        Self { bytes, cipher, id }
    }

    pub(crate) fn generate() -> Result<Self, VaultError> {
        let bytes = chacha20poly1305::Key::try_generate().map_err(|_| VaultError::Random)?;
        Ok(Self::new(Zeroizing::new(bytes.into())))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// The first 8 bytes of its SHA-256, as 16 hex digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn seal(&self, context: &Context<'_>, secret: &[u8]) -> Result<String, VaultError> {
        let nonce = XNonce::try_generate().map_err(|_| VaultError::Random)?;
        let associated = context.associated_data(&self.id);
        let payload = Payload {
            msg: secret,
            aad: &associated,
        };
        let ciphertext = self
            .cipher
            .encrypt(&nonce, payload)
            .map_err(|_| VaultError::TooLong)?;
        let sealed = [nonce.as_slice(), &ciphertext].concat();
        Ok(format!(
            "{FORMAT}.{}.{}",
            self.id,
            URL_SAFE_NO_PAD.encode(sealed)
        ))
    }

    /// Opens what stands behind the key's id in a sealed text.
    pub(crate) fn open(&self, context: &Context<'_>, encoded: &str) -> Result<Secret, VaultError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| VaultError::Malformed)?;
        let (nonce, ciphertext) = bytes
            .split_at_checked(NONCE_BYTES)
            .ok_or(VaultError::Malformed)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| VaultError::Malformed)?;
        let associated = context.associated_data(&self.id);
        let payload = Payload {
            msg: ciphertext,
            aad: &associated,
        };
        let secret = self
            .cipher
            .decrypt(&nonce, payload)
            .map_err(|_| VaultError::Rejected)?;
        Ok(Secret::new(secret))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, [redacted])", self.id)
    }
}

/// The key that secrets of one environment are sealed with. It is stored wrapped, see
/// [`crate::MasterKeys::wrap`].
#[derive(Clone, Debug)]
pub struct DataKey(pub(crate) Arc<Key>);

impl DataKey {
    /// Makes a key from the system's random bytes.
    pub fn generate() -> Result<Self, VaultError> {
        Ok(Self(Arc::new(Key::generate()?)))
    }

    /// Its id, 16 hex digits: the values that it seals name it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }
}
