//! A connector's items on their way into rows.

use rollout_catalog::json::push_text;
use rollout_catalog::manifest::{EntityOffer, IdStyle};
use rollout_catalog::{Entity, Reject};
use rollout_sandbox::Item;
use rollout_store::{Credential, OneRecord, Page, Quarantined, Record, Reference, ReferenceIds};
use serde_json::value::RawValue;

/// Longest id of an app, in bytes.
const LONGEST_ID: usize = 512;
/// Longest document of one record, in bytes: `body` and `native` each.
const LONGEST_DOCUMENT: usize = 2 * 1024 * 1024;

/// Reads items of one entity.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) entity: &'a Entity,
    pub(crate) offer: &'a EntityOffer,
    /// The app's own name of the entity.
    pub(crate) resource: &'a str,
    pub(crate) credential: &'a Credential,
}

/// Why an item can't become a row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it has no id")]
    NoId,
    #[error("its id is longer than {LONGEST_ID} bytes")]
    LongId,
    #[error("it is larger than {LONGEST_DOCUMENT} bytes")]
    TooLarge,
    #[error("{0}")]
    Body(#[from] Reject),
    #[error("its native document is not JSON: {0}")]
    Native(serde_json::Error),
}

/// The items of a page, read: all of it but where it belongs.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) records: Vec<Record>,
    pub(crate) deleted: Vec<String>,
    pub(crate) references: Vec<Reference>,
    pub(crate) quarantined: Vec<Quarantined>,
    pub(crate) lenient: i64,
}

impl Read {
    /// How many records there were.
    pub(crate) fn count(&self) -> usize {
        self.records.len() + self.deleted.len() + self.quarantined.len()
    }

    /// The page, ready to land but for cursor and schedule.
    pub(crate) fn page<'a>(
        self,
        credential: &'a Credential,
        entity: &'a str,
        stamp: i64,
        now: i64,
    ) -> Page<'a> {
        Page {
            records: self.records,
            deleted: self.deleted,
            references: self.references,
            quarantined: self.quarantined,
            lenient: self.lenient,
            ..Page::new(credential, entity, stamp, now)
        }
    }
}

impl<'a> Incoming<'a> {
    /// Reads the items of a page. Records that don't fit are set aside.
    pub(crate) fn read(&self, items: Vec<Item>) -> Read {
        let mut references = ReferenceIds::new(self.credential);
        let mut read = Read::default();
        read.records.reserve(items.len());
        for item in items {
            read.deleted.extend_from_slice(&item.merged_ids);
            if item.deleted && !item.id.is_empty() {
                read.deleted.push(item.id);
                continue;
            }
            match self.record(&item, &mut references) {
                Ok((record, lenient)) => {
                    read.lenient += i64::from(lenient);
                    read.records.push(record);
                }
                Err(unfit) => read.quarantined.push(Quarantined {
                    upstream_id: clipped(&item.id),
                    reason: unfit.to_string(),
                }),
            }
        }
        read.references = references.into_references();
        read
    }

    /// One record by itself.
    pub(crate) fn one(&self, item: &Item) -> Result<OneRecord<'a>, Unfit> {
        let mut references = ReferenceIds::new(self.credential);
        let (record, lenient) = self.record(item, &mut references)?;
        Ok(OneRecord {
            credential: self.credential,
            entity: &self.entity.name,
            record,
            references: references.into_references(),
            lenient: i64::from(lenient),
        })
    }

    fn record(
        &self,
        item: &Item,
        references: &mut ReferenceIds<'_>,
    ) -> Result<(Record, u32), Unfit> {
        if item.id.is_empty() {
            return Err(Unfit::NoId);
        }
        if item.id.len() > LONGEST_ID {
            return Err(Unfit::LongId);
        }
        let native = item.native.as_deref();
        if item.body.len().max(native.map_or(0, str::len)) > LONGEST_DOCUMENT {
            return Err(Unfit::TooLarge);
        }
        let landed = self.entity.land(&item.body, references)?;
        let record = Record {
            upstream_id: item.id.clone(),
            cells: landed.cells,
            original_ids: self.by_resource(&self.shown_id(&item.id)),
            original: match native {
                None => "{}".to_owned(),
                Some(native) => {
                    let parsed: &RawValue = serde_json::from_str(native).map_err(Unfit::Native)?;
                    self.by_resource(parsed.get())
                }
            },
        };
        Ok((record, landed.lenient))
    }

    /// The app's id as JSON: a number where the app's ids are numbers.
    fn shown_id(&self, id: &str) -> String {
        let canonical = |id: &str| {
            id.parse::<u64>()
                .is_ok_and(|number| number.to_string() == id)
        };
        if self.offer.ids == IdStyle::Integer && canonical(id) {
            return id.to_owned();
        }
        let mut text = String::with_capacity(id.len() + 2);
        push_text(&mut text, id);
        text
    }

    /// `{"people":…}`, keyed by the app's own name of the entity.
    fn by_resource(&self, json: &str) -> String {
        let resource = self.resource;
        let mut object = String::with_capacity(resource.len() + json.len() + 6);
        object.push('{');
        push_text(&mut object, resource);
        object.push(':');
        object.push_str(json);
        object.push('}');
        object
    }
}

/// An id that is too long for a row is shown by its beginning; all others as they are,
/// because a full pass has to find their rows.
fn clipped(id: &str) -> String {
    id.chars().take(LONGEST_ID).collect()
}
