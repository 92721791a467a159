//! Single records: what a write through the API, or a fetch for a webhook,
//! brought.

use super::{Outcome, Page, Record};
use crate::ids::{Reference, record_id};
use crate::{Credential, EnvStore, Result, now};

/// A record to be stored outside of a sync.
#[derive(Debug)]
pub struct OneRecord<'a> {
    /// Whose record it is.
    pub credential: &'a Credential,
    /// The entity's name, `people`.
    pub entity: &'a str,
    /// The record.
    pub record: Record,
    /// The ids given out for references in it.
    pub references: Vec<Reference>,
    /// Fields that were replaced by a default.
    pub lenient: i64,
}

/// What storing one record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The row is new, or came back.
    Created,
    /// Its fields changed.
    Updated,
    /// Its fields are what they were.
    None,
}

impl<'a> OneRecord<'a> {
    /// The record as a page of its own, under a number of the write sequence.
    pub fn page(self, stamp: i64) -> Page<'a> {
        let mut page = Page::new(self.credential, self.entity, stamp, now());
        page.records.push(self.record);
        page.references = self.references;
        page.lenient = self.lenient;
        page
    }
}

impl EnvStore {
    /// Stores one record under a number drawn now, so that pages asked for
    /// before don't overwrite it. Answers this host's id and what changed; the
    /// row is read with [`EnvStore::get_json`].
    pub async fn land_one(&self, one: OneRecord<'_>) -> Result<(String, Change)> {
        let id = record_id(one.credential, one.entity, &one.record.upstream_id);
        let page = one.page(self.next_stamp().await?);
        let outcome = self.land(page).await?;
        Ok((id, change(&outcome)))
    }

    /// Deletes one record; answers its id here, and whether there was a row.
    pub async fn delete_one(
        &self,
        credential: &Credential,
        entity: &str,
        upstream_id: &str,
    ) -> Result<(String, bool)> {
        let mut page = Page::new(credential, entity, self.next_stamp().await?, now());
        page.deleted.push(upstream_id.to_owned());
        let outcome = self.land(page).await?;
        Ok((
            record_id(credential, entity, upstream_id),
            !outcome.deleted.is_empty(),
        ))
    }
}

fn change(outcome: &Outcome) -> Change {
    if !outcome.created.is_empty() {
        Change::Created
    } else if !outcome.updated.is_empty() {
        Change::Updated
    } else {
        Change::None
    }
}
