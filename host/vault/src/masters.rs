//! Master keys: they wrap data keys, and nothing else.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::key::{KEY_BYTES, Key};
use crate::seal::parts;
use crate::{Context, DataKey, VaultError};

/// The most bytes that the text of master keys has: ninety keys.
pub(crate) const LONGEST_TEXT: usize = 4096;

/// Characters of a key's line, with its line break.
const LINE: usize = KEY_BYTES.div_ceil(3) * 4 + 1;

/// All master keys that are known, the current one first.
///
/// As text they are a line each: the base64 of 32 bytes.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    current: Arc<Key>,
    /// Those before, newest first.
    older: Vec<Arc<Key>>,
}

impl MasterKeys {
    /// A new key, made from the system's random bytes.
    pub fn generate() -> Result<Self, VaultError> {
        Ok(Self {
            current: Arc::new(Key::generate()?),
            older: Vec::new(),
        })
    }

    /// These keys, and a new one that is current.
    pub fn with_new(&self) -> Result<Self, VaultError> {
        let older: Vec<Arc<Key>> = self.all().cloned().collect();
        if (older.len() + 1) * LINE > LONGEST_TEXT {
            return Err(VaultError::TooManyKeys { known: older.len() });
        }
        Ok(Self {
            older,
            ..Self::generate()?
        })
    }

    /// These keys but one. None: it is the current one, or there is none of this id.
    #[must_use]
    pub fn without(&self, id: &str) -> Option<Self> {
        let mut left = self.clone();
        left.older.retain(|key| key.id() != id);
        (left.older.len() < self.older.len()).then_some(left)
    }

    /// Reads keys from text; `place` names where it comes from.
    pub fn parse(text: &[u8], place: &str) -> Result<Self, VaultError> {
        let format = || VaultError::KeyFormat {
            place: place.to_owned(),
        };
        if text.len() > LONGEST_TEXT {
            return Err(format());
        }
        let mut keys: Vec<Arc<Key>> = Vec::new();
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty()) {
            let decoded = Zeroizing::new(STANDARD.decode(line).map_err(|_| format())?);
            let mut bytes = Zeroizing::new([0; KEY_BYTES]);
            if decoded.len() != bytes.len() {
                return Err(VaultError::KeyLength {
                    place: place.to_owned(),
                    found: decoded.len(),
                });
            }
            bytes.copy_from_slice(&decoded);
            let key = Key::new(bytes);
            if !keys.iter().any(|known| known.id() == key.id()) {
                keys.push(Arc::new(key));
            }
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or_else(format)?;
        Ok(Self {
            current,
            older: keys.collect(),
        })
    }

    /// The keys as text.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        // Never moved while it grows: what is left behind would not be wiped.
        let mut text = Zeroizing::new(String::with_capacity(LINE * (1 + self.older.len())));
        for key in self.all() {
            STANDARD.encode_string(key.bytes(), &mut text);
            text.push('\n');
        }
        text
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Key>> {
        std::iter::once(&self.current).chain(&self.older)
    }

    fn get(&self, id: &str) -> Option<&Arc<Key>> {
        self.all().find(|key| key.id() == id)
    }

    /// Ids of all keys, the current one's first: 16 hex digits each.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.all().map(|key| key.id())
    }

    /// Id of the current key.
    #[must_use]
    pub fn current(&self) -> &str {
        self.current.id()
    }

    /// Seals a data key of `owner` with the current key, for storing.
    pub fn wrap(&self, owner: &str, key: &DataKey) -> Result<String, VaultError> {
        self.current.seal(&wrapping(owner, key.id()), key.0.bytes())
    }

    /// Opens the data key of this id and owner.
    pub fn unwrap(&self, owner: &str, id: &str, wrapped: &str) -> Result<DataKey, VaultError> {
        let (master, encoded) = parts(wrapped)?;
        let master = self
            .get(master)
            .ok_or_else(|| other_key(master, self.ids()))?;
        let opened = master.open(&wrapping(owner, id), encoded)?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if opened.expose().len() != bytes.len() {
            return Err(VaultError::Malformed);
        }
        bytes.copy_from_slice(opened.expose());
        let key = Key::new(bytes);
        if key.id() == id {
            Ok(DataKey(Arc::new(key)))
        } else {
            Err(VaultError::Rejected)
        }
    }
}

/// What a wrapped data key is bound to.
fn wrapping<'a>(owner: &'a str, id: &'a str) -> Context<'a> {
    Context {
        environment: owner,
        scope: "data-key",
        owner: "",
        slot: id,
    }
}

pub(crate) fn other_key<'a>(needed: &str, present: impl Iterator<Item = &'a str>) -> VaultError {
    VaultError::OtherKey {
        needed: needed.to_owned(),
        present: present.collect::<Vec<_>>().join(", "),
    }
}
