//! The app's records in the catalogue's terms.
//!
//! `mapping.md` is the table of this module and is checked by the tests. Records
//! are read leniently: a value of an odd type is left out (it stays in the
//! native record), it never costs the record or the page. Texts are borrowed
//! from the app's answer until they are written out.

mod members;
mod people;
mod users;

use std::borrow::Cow;

use rollout_connector::json::{Malformed, Object, Reader, Records, Scalar, Write, mend_surrogates};
use rollout_connector::{Error, Id, Item, log, time};

use crate::resources::{self, Resource};

pub(crate) use members::{Members, id_of};

/// What the app says where a source was never given.
pub(crate) const NO_SOURCE: &str = "<unspecified>";

/// One list answer of the app.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The records that have an id.
    pub items: Vec<Item>,
    /// How many had none.
    pub skipped: usize,
    /// The token of the next page.
    pub next: Option<String>,
    /// How many records the list has in all.
    pub total: Option<u64>,
}

/// Maps a page of people as the app sends it; for benchmarks.
pub fn people_page(answer: &str) -> Result<Answer, Error> {
    page(&resources::PEOPLE, answer)
}

/// Maps a list answer.
pub(crate) fn page(resource: &Resource, answer: &str) -> Result<Answer, Error> {
    let read = |answer: &str| match resource.record {
        resources::Record::Person => list(resource, answer, item::<people::Person<'_>>),
        resources::Record::User => list(resource, answer, item::<users::User<'_>>),
        resources::Record::Table => list(resource, answer, members::item),
    };
    read(answer).or_else(|error| read(&mend_surrogates(answer).ok_or(error)?))
}

/// Maps an answer that is one record; `None` if it has no id.
pub(crate) fn one(resource: &Resource, answer: &str) -> Result<Option<Item>, Error> {
    let read = |answer: &str| match resource.record {
        resources::Record::Person => single(resource, answer, item::<people::Person<'_>>),
        resources::Record::User => single(resource, answer, item::<users::User<'_>>),
        resources::Record::Table => single(resource, answer, members::item),
    };
    read(answer).or_else(|error| read(&mend_surrogates(answer).ok_or(error)?))
}

/// Makes an item of a record and its text.
type Make<R> = fn(&Resource, R, &str) -> Option<Item>;

fn list<'a, R: Object<'a>>(
    resource: &Resource,
    answer: &'a str,
    make: Make<R>,
) -> Result<Answer, Error> {
    let mut records = Records::<R>::in_answer(answer, resource.path)?;
    let mut mapped = Answer {
        items: Vec::with_capacity(crate::api::MAX_LIMIT),
        ..Answer::default()
    };
    for record in records.by_ref() {
        let (raw, record) = record?;
        match make(resource, record, raw) {
            Some(item) => mapped.items.push(item),
            None => mapped.skipped += 1,
        }
    }
    if mapped.skipped > 0 {
        log::warn(format_args!(
            "{} of the app's {} have no id and were left out",
            mapped.skipped, resource.path
        ));
    }
    if let Some(metadata) = records.beside("_metadata")? {
        let Metadata { next, total } = Reader::new(metadata).object()?;
        mapped.next = next
            .text()
            .filter(|token| !token.is_empty())
            .map(Cow::into_owned);
        mapped.total = total.whole();
    }
    Ok(mapped)
}

fn single<'a, R: Object<'a>>(
    resource: &Resource,
    answer: &'a str,
    make: Make<R>,
) -> Result<Option<Item>, Error> {
    let (raw, record) = Records::<R>::single(answer)?;
    Ok(make(resource, record, raw))
}

fn item<'a, R: Record<'a>>(_: &Resource, record: R, raw: &str) -> Option<Item> {
    let item = begun(record.id(), raw, record.updated(), record.is_deleted())?;
    Some(match item.deleted {
        true => item,
        false => item.body(&record.mapped()),
    })
}

/// An item without its body; none without an id.
fn begun(id: Option<Id<'_>>, raw: &str, updated: Option<&str>, deleted: bool) -> Option<Item> {
    let mut item = Item::new(id?).native_raw(raw);
    item.updated_at = updated.and_then(time::parse);
    item.deleted = deleted;
    Some(item)
}

/// A record of the app that is read by a type of its own.
trait Record<'a>: Object<'a> {
    /// The catalogue's type of it.
    type Entity: Write;

    fn id(&self) -> Option<Id<'a>>;

    fn updated(&self) -> Option<&str>;

    /// Deleted, but still shown by the app.
    fn is_deleted(&self) -> bool {
        false
    }

    fn mapped(self) -> Self::Entity;
}

#[derive(Default)]
struct Metadata<'a> {
    next: Scalar<'a>,
    total: Scalar<'a>,
}

impl<'a> Object<'a> for Metadata<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "next" => self.next = value.scalar()?,
            "total" => self.total = value.scalar()?,
            _ => {}
        }
        Ok(())
    }
}

/// First and last name from a full one, for records that have nothing else.
fn split_name(name: &str) -> (&str, &str) {
    let name = name.trim();
    name.split_once(char::is_whitespace)
        .map_or((name, ""), |(first, last)| (first, last.trim_start()))
}
