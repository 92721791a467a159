//! Single records: what a write through the API, or a fetch for a webhook,
//! brought.

use super::{Page, Record};
use crate::ids::Reference;
use crate::{Credential, now};

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
