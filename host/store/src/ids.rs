//! Identifiers: of consumers, of credentials, of records.
//!
//! A record's id is made, not stored: a UUIDv8 of 48 bits of its credential's
//! time of creation and the rest a hash of credential, entity and the app's id.
//! So a note can name its person before that person is synced, a second sync
//! cannot make a second row, and the ids of one credential lie together in
//! every index.

use std::collections::HashMap;

use rollout_catalog::References;
use sha2::{Digest, Sha256};
use ulid::Ulid;
use uuid::{Builder, Timestamp, Uuid};

use crate::Credential;

/// A new consumer's id: `cons_` and a lower-case ULID.
pub(crate) fn new_consumer_id() -> String {
    format!("cons_{}", Ulid::new().to_string().to_lowercase())
}

/// A new credential's id, a UUIDv7, and its time of creation in milliseconds
/// since 1970. Secrets are sealed for an id, so it is made before the row.
pub fn new_credential_id() -> (String, i64) {
    let id = Uuid::now_v7();
    let (seconds, nanos) = id
        .get_timestamp()
        .as_ref()
        .map_or((0, 0), Timestamp::to_unix);
    let millis = seconds
        .saturating_mul(1000)
        .saturating_add(u64::from(nanos / 1_000_000));
    (id.to_string(), i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Makes the ids of one entity's records at one credential.
#[derive(Clone, Debug)]
pub struct RecordIds {
    millis: u64,
    hash: Sha256,
}

impl RecordIds {
    /// `created_at` is the credential's time of creation in milliseconds.
    pub fn new(credential_id: &str, created_at: i64, entity: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(credential_id)
            .chain_update(entity)
            .chain_update([0]);
        Self {
            millis: u64::try_from(created_at).unwrap_or_default(),
            hash,
        }
    }

    /// The id of the record that the app calls `upstream_id`.
    pub fn id(&self, upstream_id: &str) -> String {
        let digest = self.hash.clone().chain_update(upstream_id).finalize();
        let mut bytes = [0; 16];
        let time = self.millis.to_be_bytes().into_iter().skip(2);
        for (byte, source) in bytes.iter_mut().zip(time.chain(digest)) {
            *byte = source;
        }
        Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

/// The first and the last id that a credential created at this time can have.
pub(crate) fn id_range(created_at: i64) -> (String, String) {
    let time = u64::try_from(created_at).unwrap_or_default() & 0xffff_ffff_ffff;
    let prefix = format!("{:08x}-{:04x}-", time >> 16, time & 0xffff);
    (format!("{prefix}0"), format!("{prefix}g"))
}

/// The id of a record: see [`RecordIds`], which is faster for many.
pub fn record_id(credential: &Credential, entity: &str, upstream_id: &str) -> String {
    RecordIds::new(&credential.id, credential.created_at, entity).id(upstream_id)
}

/// A reference in a record: the id given out for it, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// This host's id.
    pub id: String,
    /// The entity that the id belongs to.
    pub entity: String,
    /// The app's id.
    pub upstream_id: String,
}

/// Turns the app's ids in records into this host's while a page is read, and
/// remembers them, each once.
#[derive(Debug)]
pub struct ReferenceIds<'a> {
    credential: &'a Credential,
    seen: HashMap<String, (RecordIds, HashMap<String, String>)>,
}

impl<'a> ReferenceIds<'a> {
    /// For the records of one credential.
    pub fn new(credential: &'a Credential) -> Self {
        Self {
            credential,
            seen: HashMap::new(),
        }
    }

    /// What was seen, for [`crate::Page::references`].
    pub fn into_references(self) -> Vec<Reference> {
        let mut references = Vec::new();
        for (entity, (_, ids)) in self.seen {
            references.extend(ids.into_iter().map(|(upstream_id, id)| Reference {
                id,
                entity: entity.clone(),
                upstream_id,
            }));
        }
        references
    }
}

impl References for ReferenceIds<'_> {
    fn id(&mut self, entity: &str, upstream: &str) -> String {
        if !self.seen.contains_key(entity) {
            let ids = RecordIds::new(&self.credential.id, self.credential.created_at, entity);
            self.seen.insert(entity.to_owned(), (ids, HashMap::new()));
        }
        let Some((ids, seen)) = self.seen.get_mut(entity) else {
            return record_id(self.credential, entity, upstream);
        };
        if let Some(id) = seen.get(upstream) {
            return id.clone();
        }
        let id = ids.id(upstream);
        seen.insert(upstream.to_owned(), id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_record_id_is_a_uuid_of_time_and_hash() {
        let ids = RecordIds::new(
            "0197c8f1-0000-7000-8000-000000000001",
            0x0197_c8f1_2345,
            "people",
        );
        let id = ids.id("42");
        assert_eq!(id, ids.id("42"));
        assert_ne!(id, ids.id("43"));
        assert!(id.starts_with("0197c8f1-2345-8"), "{id}");
        let uuid = Uuid::parse_str(&id).unwrap();
        assert_eq!(uuid.get_version_num(), 8);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        let (first, last) = id_range(0x0197_c8f1_2345);
        assert!(first.as_str() <= id.as_str() && id.as_str() < last.as_str());
    }

    #[test]
    fn the_hash_is_of_credential_entity_zero_and_upstream_id() {
        let digest = Sha256::digest(b"credpeople\x0042");
        let id = RecordIds::new("cred", 0, "people").id("42");
        let bytes = *Uuid::parse_str(&id).unwrap().as_bytes();
        assert_eq!(bytes[7], digest[1]);
        assert_eq!(bytes[9..], digest[3..10]);
    }

    #[test]
    fn a_credential_id_carries_its_time() {
        let (id, created_at) = new_credential_id();
        let prefix = Uuid::parse_str(&id).unwrap().as_u128() >> 80;
        assert_eq!(u128::try_from(created_at).unwrap(), prefix);
    }

    #[test]
    fn a_consumer_id_is_a_lower_case_ulid() {
        let id = new_consumer_id();
        assert_eq!(id.len(), 31);
        assert!(
            id.chars().all(|letter| letter.is_ascii_lowercase()
                || letter.is_ascii_digit()
                || letter == '_')
        );
    }
}
