//! Reading everything once, and then what changed.
//!
//! **A pass** first asks for the latest changes, newest first. Its first record
//! names the moment up to which the pass reads (`since` of the next one), by the
//! app's own clock. If one page holds all that changed, that was the pass.
//! Otherwise the pass *sweeps*: it lists by rising id. An id never changes, so
//! a record that is edited meanwhile is neither skipped nor moved, whatever
//! the app's `next` tokens stand for, and thousands of records that share a
//! second are no obstacle. The first pass sweeps everything, oldest first.
//! What changes during a sweep is newer than `since`, so the next pass has it.
//!
//! **Overlap**: the app writes whole seconds, and a change may become visible
//! after a later one. So a pass looks back [`OVERLAP_MS`] behind `since`, until
//! `since` itself is that long ago by the app's clock; from then on nothing can
//! appear there any more. Without this end, a bulk edit of 100,000 records would
//! be read again by every idle poll.
//!
//! **Tokens** are followed while the app takes them. A refused one (too old, or
//! an offset in disguise beyond the app's limit) is replaced by `idGreaterThan`.
//!
//! **A list that ignores `updatedAfter`** is noticed by its first page, which goes
//! back further than was asked for. What is newer is then the whole answer.
//!
//! Users can't be sorted by `updated`: their pass is a sweep at once, and
//! `since` comes from its first page, which can only be too early. What has no
//! `updated` is swept as a whole every time (deals), or above the last id known
//! where records stay as they were made (events); short lists that are part of
//! how an account is set up come without tokens and are read by offset.

use std::borrow::Cow;

use rollout_connector::json::{self, Malformed, Object, Reader, Write, Writer};
use rollout_connector::paging::Batch;
use rollout_connector::{Cursor, Error, Item, Page, Request, Response, time};

use crate::api::MAX_LIMIT;
use crate::mapping;
use crate::resources::{Pass, Resource};

/// How far a pass looks back behind the newest change it knows.
const OVERLAP_MS: u64 = 3 * 60 * 1000;

/// The cursor: where the next call goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Position {
    /// The newest `updated` known when the pass began.
    since: Option<String>,
    /// True when nothing can appear at or before `since` any more.
    settled: bool,
    /// The last id known, of records that stay as they were made.
    made: u64,
    /// The sweep under way.
    sweep: Option<Sweep>,
}

/// A listing by rising id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sweep {
    /// Only what changed after this.
    after: Option<String>,
    /// The last id read.
    id: u64,
    /// Where the app's tokens count from: only ids above this are listed.
    above: u64,
    /// The app's token of the next page.
    next: Option<String>,
    /// How many records the sweep has in all.
    total: Option<u64>,
}

/// Everything there is.
pub(crate) fn full(resource: &Resource, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
    if resource.pass == Pass::Short {
        return short(resource);
    }
    let mut position: Position = Position::read(cursor)?;
    position.sweep.get_or_insert_default();
    go_on(resource, position, Batch::new(limit), Goal::Full)
}

/// What changed since the cursor; everything, oldest first, without one.
pub(crate) fn incremental(resource: &Resource, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
    let mut position: Position = Position::read(cursor)?;
    let mut batch = Batch::new(limit);
    if position.sweep.is_none() {
        match resource.pass {
            Pass::Short => return short(resource),
            Pass::Whole => position.sweep = Some(Sweep::default()),
            Pass::Made => position.sweep = Some(Sweep::above(position.made)),
            _ => position = begin(resource, position, &mut batch)?,
        }
    }
    go_on(resource, position, batch, Goal::Incremental)
}

/// Asks for the latest changes. The answer is the whole pass, or the occasion
/// for a sweep.
fn begin(resource: &Resource, known: Position, batch: &mut Batch) -> Result<Position, Error> {
    let after = known.looks_back_to();
    let newest_first = resource.pass == Pass::Updated;
    // Without a cursor the sweep is certain, and one record names the moment.
    let limit = match known.since {
        None if newest_first => 1,
        _ => MAX_LIMIT,
    };
    let sort = if newest_first { "-updated" } else { "id" };
    let request = resource
        .list()
        .query("sort", sort)
        .query("limit", limit)
        .query_if("updatedAfter", after.as_ref());
    let response = request.send()?.listed()?;
    let mut page = mapping::page(resource, response.text()?)?;

    let newest = page.items.iter().filter_map(|item| item.updated_at).max();
    let since = newest.max(known.since.as_deref().and_then(time::parse));
    let mut position = Position {
        since: since.map(time::format),
        settled: since.is_some_and(|since| app_time(&response) >= since + OVERLAP_MS),
        ..Position::default()
    };
    let mut more = page.next.is_some();
    if newest_first {
        page.items.reverse();
        if let Some(after) = after.as_deref().and_then(time::parse) {
            let asked_for = |item: &Item| item.updated_at.is_none_or(|updated| updated > after);
            more &= page.items.first().is_none_or(asked_for);
            page.items.retain(asked_for);
        }
    }
    if more {
        position.sweep = Some(Sweep {
            after,
            total: page.total,
            ..Sweep::default()
        });
    }
    batch.total = page.total;
    match &mut position.sweep {
        // Not in the order of a sweep; the sweep comes by these again.
        Some(_) if newest_first => {}
        Some(sweep) => {
            sweep.next = page.next;
            sweep.id = page.items.last().map_or(0, number);
            batch.add(&response, page.items);
        }
        None => batch.add(&response, page.items),
    }
    Ok(position)
}

/// Sweeps on until the batch is full or the sweep is over.
fn go_on(
    resource: &Resource,
    mut position: Position,
    mut batch: Batch,
    goal: Goal,
) -> Result<Page, Error> {
    while let Some(sweep) = &mut position.sweep {
        batch.total = sweep.total;
        if batch.is_full() {
            break;
        }
        match sweep.step(resource, &mut batch) {
            Ok(true) => {}
            Ok(false) => {
                position.made = match resource.pass {
                    Pass::Made => sweep.id,
                    _ => 0,
                };
                position.sweep = None;
            }
            // What was read so far is not lost; the next call meets the error again.
            Err(Error::RateLimited { .. } | Error::Upstream(_)) if batch.has_items() => break,
            Err(error) => return Err(error),
        }
    }
    let done = position.sweep.is_none();
    let next = match (goal, done) {
        (Goal::Full, true) => Cursor::START,
        _ => Cursor::of_text(json::text_of(&position)),
    };
    Ok(batch.into_page(next, done))
}

impl Position {
    fn read(cursor: &Cursor) -> Result<Self, Error> {
        match cursor.text() {
            Some(text) => Reader::new(text).object().map_err(|malformed| {
                Error::Internal(format!("the cursor is unreadable: {malformed}"))
            }),
            None => Ok(Self::default()),
        }
    }

    /// The filter of the next pass.
    fn looks_back_to(&self) -> Option<String> {
        let since = self.since.as_ref()?;
        match time::parse(since) {
            Some(ms) if !self.settled => Some(time::format(ms.saturating_sub(OVERLAP_MS))),
            _ => Some(since.clone()),
        }
    }
}

impl<'a> Object<'a> for Position {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "since" => self.since = value.scalar()?.text().map(Cow::into_owned),
            "settled" => self.settled = value.scalar()?.flag() == Some(true),
            "made" => self.made = value.scalar()?.whole().unwrap_or_default(),
            "sweep" => self.sweep = Some(value.object()?),
            _ => {}
        }
        Ok(())
    }
}

impl Write for Position {
    fn write(&self, out: &mut Writer) {
        out.begin();
        if let Some(since) = &self.since {
            out.name("since");
            out.text(since);
        }
        if self.settled {
            out.name("settled");
            out.flag(true);
        }
        if self.made > 0 {
            out.name("made");
            out.whole(self.made);
        }
        if let Some(sweep) = &self.sweep {
            out.name("sweep");
            sweep.write(out);
        }
        out.end();
    }
}

impl<'a> Object<'a> for Sweep {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "after" => self.after = value.scalar()?.text().map(Cow::into_owned),
            "id" => self.id = value.scalar()?.whole().unwrap_or_default(),
            "above" => self.above = value.scalar()?.whole().unwrap_or_default(),
            "next" => self.next = value.scalar()?.text().map(Cow::into_owned),
            "total" => self.total = value.scalar()?.whole(),
            _ => {}
        }
        Ok(())
    }
}

impl Write for Sweep {
    fn write(&self, out: &mut Writer) {
        out.begin();
        for (name, number) in [
            ("id", Some(self.id)),
            ("above", Some(self.above)),
            ("total", self.total),
        ] {
            if let Some(number) = number {
                out.name(name);
                out.whole(number);
            }
        }
        for (name, text) in [("after", &self.after), ("next", &self.next)] {
            if let Some(text) = text {
                out.name(name);
                out.text(text);
            }
        }
        out.end();
    }
}

impl Sweep {
    /// A sweep of what has a greater id.
    fn above(id: u64) -> Self {
        Self {
            id,
            above: id,
            ..Self::default()
        }
    }

    /// Reads one page; false when it was the last.
    fn step(&mut self, resource: &Resource, batch: &mut Batch) -> Result<bool, Error> {
        let mut response = self.request(resource, batch.limit).send()?;
        if response.status == 400 && self.next.take().is_some() {
            self.above = self.id;
            response = self.request(resource, batch.limit).send()?;
        }
        let response = response.listed()?;
        let page = mapping::page(resource, response.text()?)?;
        self.total = self.total.or(page.total);
        batch.total = self.total;
        let last = page.items.iter().map(number).max();
        let goes_on = page.next.is_some() && (last.is_some() || page.skipped > 0);
        // Else a list that ignores `next` or `sort` would be read for ever.
        if last.is_some_and(|last| last <= self.id) || (goes_on && page.next == self.next) {
            return Err(Error::unexpected(format!(
                "the app's list of {} did not go on after id {}",
                resource.path, self.id
            )));
        }
        self.id = last.unwrap_or(self.id);
        self.next = page.next;
        batch.add(&response, page.items);
        Ok(goes_on)
    }

    fn request(&self, resource: &Resource, limit: usize) -> Request {
        resource
            .list()
            .query("sort", "id")
            .query("limit", limit.clamp(1, MAX_LIMIT))
            .query_if("updatedAfter", self.after.as_ref())
            .query_if("idGreaterThan", (self.above > 0).then_some(self.above))
            .query_if("next", self.next.as_ref())
    }
}

/// A short list as a whole. It has no tokens for further pages, so there may be
/// some as long as a page is full.
fn short(resource: &Resource) -> Result<Page, Error> {
    let mut items: Vec<Item> = Vec::new();
    let (mut offset, mut next) = (0, None);
    loop {
        let request = resource
            .list()
            .query("limit", MAX_LIMIT)
            .query_if("offset", (offset > 0 && next.is_none()).then_some(offset))
            .query_if("next", next.as_ref());
        let response = request.send()?.listed()?;
        let page = mapping::page(resource, response.text()?)?;
        let (known, read) = (items.len(), page.items.len() + page.skipped);
        offset += read;
        items.extend(page.items);
        // A list that ignores `offset` comes again from its beginning.
        let first = items.get(known).map(|item| &item.id);
        let again = items.iter().take(known).any(|item| Some(&item.id) == first);
        let more = page.next.is_some() || read >= MAX_LIMIT;
        if read == 0 || again || !more || (page.next.is_some() && page.next == next) {
            // Oldest first, which is not the app's own order.
            items.sort_by_key(number);
            return Ok(Page {
                total: u64::try_from(items.len()).ok(),
                items,
                next: Cursor::of_text("{}".to_owned()),
                done: true,
            });
        }
        next = page.next;
    }
}

/// What a call reads for.
#[derive(Clone, Copy)]
enum Goal {
    Incremental,
    Full,
}

/// A record's id, which is a number at this app.
pub(crate) fn number(item: &Item) -> u64 {
    item.id.parse().unwrap_or(0)
}

/// What the app's clock says: the `Date` of its answer, else our own.
fn app_time(response: &Response) -> u64 {
    response.date_ms().unwrap_or_else(time::now_ms)
}
