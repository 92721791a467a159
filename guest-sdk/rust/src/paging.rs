//! Lists that the app gives in pages: by number, by offset, by a token or a link;
//! whole, for one parent after the other, or only what changed.
//!
//! [`read`] makes of one call of [`Entities::changes`](crate::Entities::changes) the
//! requests that fill it, and keeps the cursor. What the connector says is how one
//! page is asked for:
//!
//! ```
//! use rollout_connector::paging::{self, Part};
//! use rollout_connector::{Cursor, Error, Item, Page, Request, Scope};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct List { data: Vec<Contact>, next: Option<String> }
//! #[derive(Deserialize)]
//! struct Contact { id: u64 }
//!
//! fn contacts(scope: &Scope, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
//!     paging::read(scope, cursor, limit, |place| {
//!         let response = Request::get("https://api.tinycrm.example/v2/contacts")
//!             .query_if("updated_since", place.since())
//!             .query_if("cursor", place.token())
//!             .authenticate()
//!             .send()?
//!             .listed()?;
//!         let list: List = response.json()?;
//!         let items = list.data.iter().map(|contact| Item::new(contact.id)).collect();
//!         Ok(Part::of(&response, items).next_token(list.next))
//!     })
//! }
//! # use rollout_connector::testing::{FakeApp, Reply};
//! # let page = |body| Reply::json(200, body);
//! # let app = FakeApp::new()
//! #     .on("GET https://api.tinycrm.example/v2/contacts", page(r#"{"data": [{"id": 1}], "next": "b"}"#))
//! #     .on("GET https://api.tinycrm.example/v2/contacts", page(r#"{"data": [{"id": 2}]}"#))
//! #     .start();
//! # let page = contacts(&Scope::Incremental, &Cursor::START, 500)?;
//! # assert!(page.done && page.items.len() == 2);
//! # assert!(app.sent()[1].ends_with("contacts?cursor=b"));
//! # Ok::<(), Error>(())
//! ```
//!
//! | the app pages by | ask with | answer with |
//! | --- | --- | --- |
//! | a token, or the URL of the next page | [`Place::token`] | [`Part::next_token`] |
//! | a link header | [`Place::token`], which then is the URL | `next_token(response.next_link())` |
//! | page number | [`Place::page`] | [`Part::next_page`] |
//! | offset | [`Place::offset`] | [`Part::next_page`] |
//!
//! Ask for the oldest first by something that never changes, an id or the time of
//! creation. By number and by offset a record that is deleted meanwhile moves the
//! later ones forward, and one of them is missed until it changes or the next full
//! pass: where the app has tokens too, they are better.
//!
//! **What changed.** An app that filters by time is asked with [`Place::since`]: none at
//! first, then the moment at which the pass before began, by the app's own clock
//! (the `Date` of its answers), and [`OVERLAP_MS`] before it, because a change may
//! become visible after a later one. What changes during a pass is so in the next.
//! A connector that doesn't ask for it reads everything in every pass.

use std::borrow::Cow;

use crate::error::Error;
use crate::http::Response;
use crate::json::{self, Malformed, Object, Reader, Writer};
use crate::records::{Cursor, Item, Page, Scope};
use crate::time;

/// How far [`Place::since`] lies before the beginning of the pass before, in
/// milliseconds.
pub const OVERLAP_MS: u64 = 3 * 60 * 1000;

/// After this many bytes of answers a call ends, full or not: answers and records
/// live in the sandbox's memory together.
const BYTES: usize = 8 << 20;

/// After this many requests a call ends, however little they brought.
const REQUESTS: usize = 50;

/// Reads pages until `limit` items are together or the pass is over. `ask` asks the
/// app for the page at a place.
///
/// With [`Scope::Parents`] it goes through the parents one by one
/// ([`Place::parent`]); for one that the app does not find there is nothing. An
/// error after the first page ends the call with what is there already; the next
/// call meets it again.
pub fn read(
    scope: &Scope,
    cursor: &Cursor,
    limit: u32,
    mut ask: impl FnMut(&Place) -> Result<Part, Error>,
) -> Result<Page, Error> {
    let parents = match scope {
        Scope::Parents(parents) => Some(parents.as_slice()),
        Scope::Incremental | Scope::Full => None,
    };
    let mut place = Place::of(cursor)?;
    let mut batch = Batch::new(limit);
    let mut done = false;
    for _ in 0..REQUESTS {
        if let Some(parents) = parents {
            place.parent = parents.get(place.parents_read).cloned();
            if place.parent.is_none() {
                done = true;
                break;
            }
        }
        let part = match ask(&place) {
            Ok(part) => part,
            Err(Error::NotFound(_)) if parents.is_some() => Part::default(),
            Err(Error::RateLimited { .. } | Error::Upstream(_)) if batch.has_items() => break,
            Err(error) => return Err(error),
        };
        if !place.take(part, &mut batch)? {
            match parents {
                Some(_) => place.pass_to_next_parent(),
                None => {
                    done = true;
                    break;
                }
            }
        }
        if batch.is_full() {
            break;
        }
    }
    batch.total = place.total;
    let next = match (done, scope) {
        (false, _) => Cursor::of_text(json::text_of(&place)),
        (true, Scope::Incremental) => Cursor::of_text(json::text_of(&place.next_pass())),
        (true, _) => Cursor::START,
    };
    Ok(batch.into_page(next, done))
}

/// Where in a list a pass is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    since: Option<u64>,
    began: Option<u64>,
    pages: u64,
    records: u64,
    token: Option<String>,
    /// The first and the last id of the page before.
    ends: Option<String>,
    parents_read: usize,
    parent: Option<String>,
    total: Option<u64>,
}

impl Place {
    fn of(cursor: &Cursor) -> Result<Self, Error> {
        match cursor.text() {
            Some(text) => Reader::new(text).object().map_err(|malformed| {
                Error::Internal(format!("the cursor is not of this version: {malformed}"))
            }),
            None => Ok(Self::default()),
        }
    }

    /// The number of the page, counted from 1.
    pub fn page(&self) -> u64 {
        self.pages + 1
    }

    /// How many records of the list come before the page.
    pub fn offset(&self) -> u64 {
        self.records
    }

    /// What [`Part::next_token`] was given for the page before; none for the first.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Only what changed after this moment is wanted, as `2026-03-01T09:00:00Z`;
    /// everything if there is none.
    pub fn since(&self) -> Option<String> {
        self.since.map(time::format)
    }

    /// The same in milliseconds since the Unix epoch.
    pub fn since_ms(&self) -> Option<u64> {
        self.since
    }

    /// With [`Scope::Parents`], the id of the one whose list is read.
    pub fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    /// Takes a page over; false if it was the last of its list.
    fn take(&mut self, part: Part, batch: &mut Batch) -> Result<bool, Error> {
        let ends = match (part.items.first(), part.items.last()) {
            (Some(first), Some(last)) => Some(format!("{} {}", first.id, last.id)),
            _ => None,
        };
        let token = match &part.next {
            Next::Token(token) => Some(token),
            Next::None | Next::Page => None,
        };
        // Else a list that ignores what it is asked for would be read for ever.
        let repeated = ends.is_some() && ends == self.ends && self.pages > 0;
        if repeated || (token.is_some() && token == self.token.as_ref()) {
            return Err(Error::unexpected(format!(
                "the app's list did not go on after page {}: it answered the same again",
                self.pages
            )));
        }
        let date = || part.date.unwrap_or_else(time::now_ms);
        self.began = Some(self.began.unwrap_or_else(date));
        self.pages += 1;
        self.records += part.records;
        self.ends = ends;
        self.total = part.total.or(self.total);
        batch.extend(part.bytes, part.items);
        let goes_on = part.next != Next::None;
        self.token = match part.next {
            Next::Token(token) => Some(token),
            Next::None | Next::Page => None,
        };
        Ok(goes_on)
    }

    fn pass_to_next_parent(&mut self) {
        *self = Self {
            parents_read: self.parents_read + 1,
            ..Self::default()
        };
    }

    /// Where the pass after this one begins.
    fn next_pass(&self) -> Self {
        Self {
            since: self.began.map(|began| began.saturating_sub(OVERLAP_MS)),
            ..Self::default()
        }
    }
}

impl<'a> Object<'a> for Place {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "since" => self.since = value.scalar()?.whole(),
            "began" => self.began = value.scalar()?.whole(),
            "pages" => self.pages = value.scalar()?.whole().unwrap_or_default(),
            "records" => self.records = value.scalar()?.whole().unwrap_or_default(),
            "parents" => {
                let parents = value.scalar()?.whole().unwrap_or_default();
                self.parents_read = usize::try_from(parents).unwrap_or(usize::MAX);
            }
            "total" => self.total = value.scalar()?.whole(),
            "token" => self.token = value.scalar()?.text().map(Cow::into_owned),
            "ends" => self.ends = value.scalar()?.text().map(Cow::into_owned),
            _ => {}
        }
        Ok(())
    }
}

impl json::Write for Place {
    fn write(&self, out: &mut Writer) {
        let positive = |number: u64| (number > 0).then_some(number);
        out.begin();
        for (name, number) in [
            ("since", self.since),
            ("began", self.began),
            ("pages", positive(self.pages)),
            ("records", positive(self.records)),
            (
                "parents",
                u64::try_from(self.parents_read).ok().and_then(positive),
            ),
            ("total", self.total),
        ] {
            if let Some(number) = number {
                out.name(name);
                out.whole(number);
            }
        }
        for (name, text) in [("token", &self.token), ("ends", &self.ends)] {
            if let Some(text) = text {
                out.name(name);
                out.text(text);
            }
        }
        out.end();
    }
}

/// One page as the app gave it: the last one, unless it says how to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    items: Vec<Item>,
    records: u64,
    bytes: usize,
    date: Option<u64>,
    next: Next,
    total: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Next {
    #[default]
    None,
    Page,
    Token(String),
}

impl Part {
    /// The records that came with this answer.
    pub fn of(response: &Response, items: Vec<Item>) -> Self {
        Self {
            records: u64::try_from(items.len()).unwrap_or(u64::MAX),
            bytes: response.body.len(),
            date: response.date_ms(),
            items,
            ..Self::default()
        }
    }

    /// Says whether there is a further page.
    #[must_use]
    pub fn next_page(mut self, more: bool) -> Self {
        self.next = if more { Next::Page } else { Next::None };
        self
    }

    /// Says by what the next page is asked for; none after the last.
    #[must_use]
    pub fn next_token(mut self, token: Option<impl Into<String>>) -> Self {
        self.next = token.map_or(Next::None, |token| Next::Token(token.into()));
        self
    }

    /// Says how many records the app's page had, where some of them became no item:
    /// [`Place::offset`] counts them.
    #[must_use]
    pub fn records(mut self, records: usize) -> Self {
        self.records = u64::try_from(records).unwrap_or(u64::MAX);
        self
    }

    /// Says how many records the whole list has.
    #[must_use]
    pub fn total(mut self, total: Option<u64>) -> Self {
        self.total = total;
        self
    }
}

/// What one call gathers, for connectors that read in a way of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many items the host would like.
    pub limit: usize,
    /// The items so far.
    pub items: Vec<Item>,
    /// How many records the whole pass has, where the app says.
    pub total: Option<u64>,
    bytes: usize,
}

impl Batch {
    /// An empty batch, for a call with this limit.
    pub fn new(limit: u32) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    /// Adds the items that came with an answer.
    pub fn add(&mut self, response: &Response, items: Vec<Item>) {
        self.extend(response.body.len(), items);
    }

    fn extend(&mut self, bytes: usize, items: Vec<Item>) {
        self.bytes += bytes;
        if self.items.is_empty() {
            self.items = items;
        } else {
            self.items.extend(items);
        }
    }

    /// True if there are items already. An app that fails now costs nothing of them:
    /// the call answers with what is there.
    pub fn has_items(&self) -> bool {
        !self.items.is_empty()
    }

    /// True if the call should end: enough items, or answers so large that more of
    /// them would fill the sandbox's memory.
    pub fn is_full(&self) -> bool {
        self.has_items() && (self.items.len() >= self.limit || self.bytes >= BYTES)
    }

    /// The answer of the call: what is there, the cursor of the next call, and whether
    /// this pass has read everything.
    pub fn into_page(self, next: Cursor, done: bool) -> Page {
        Page {
            items: self.items,
            next,
            done,
            total: self.total,
        }
    }
}

#[cfg(test)]
mod tests;
