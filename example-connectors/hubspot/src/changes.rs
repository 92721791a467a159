//! Reading everything once, and then what changed.
//!
//! The app's list is by rising id and has every contact. Its search has what changed
//! since a moment, but answers 10,000 results at most and, sorted by that moment,
//! would lose its place among contacts that share one. So searches are sorted by id,
//! too, and each begins after the last id of the one before. What changes during a
//! pass, or shows up in searches late, is in the next: it looks back behind this one's
//! beginning ([`paging::OVERLAP_MS`]).
//!
//! Searches never show what was archived. The app lists its archive only as a whole, by
//! id, which may be long: so the first pass of every hour of the app's clock goes
//! through it, and reports what was archived since the hour before.

use rollout_connector::paging::{self, Part, Place};
use rollout_connector::{Cursor, Error, Page, Request, Response, Scope, time};
use serde_json::json;

use crate::api;
use crate::contacts::{self, Contacts};

/// The largest page of the list.
const LIST: u32 = 100;
/// The largest page of a search.
const SEARCH: u32 = 200;

/// How often the archive is gone through.
const ARCHIVE_MS: u64 = 60 * 60 * 1000;
/// What the token of a page of the archive begins with; that of a search is an id.
const ARCHIVE: &str = "archive ";

/// One call's share of a pass.
pub(crate) fn read(scope: &Scope, cursor: &Cursor, limit: u32) -> Result<Page, Error> {
    if let Scope::Parents(_) = scope {
        return Err(Error::unsupported("people", "listing by parent"));
    }
    paging::read(scope, cursor, limit, |place| {
        let archive = place.token().and_then(|token| token.strip_prefix(ARCHIVE));
        match (place.since_ms(), archive) {
            (None, _) => listed(place, limit),
            (Some(since), None) => searched(place, since, limit),
            (Some(since), Some(after)) => archived(after, since),
        }
    })
}

/// A page of all contacts.
fn listed(place: &Place, limit: u32) -> Result<Part, Error> {
    let request = api::collection("GET")
        .query("limit", limit.clamp(1, LIST))
        .query("properties", contacts::PROPERTIES.join(","))
        .query_if("after", place.token());
    let (response, page) = answer(request)?;
    Ok(Part::of(&response, page.items).next_token(page.after))
}

/// A page of those that changed since a moment.
fn searched(place: &Place, since: u64, limit: u32) -> Result<Part, Error> {
    let filter = |property: &str, operator: &str, value: &str| json!({ "propertyName": property, "operator": operator, "value": value });
    let mut filters = vec![filter("lastmodifieddate", "GTE", &since.to_string())];
    if let Some(last) = place.token() {
        filters.push(filter("hs_object_id", "GT", last));
    }
    let body = json!({
        "filterGroups": [{ "filters": filters }],
        "sorts": [{ "propertyName": "hs_object_id", "direction": "ASCENDING" }],
        "properties": contacts::properties(),
        "limit": limit.clamp(1, SEARCH),
    });
    let (response, page) = answer(api::below("POST", "search").json_value(&body))?;
    let last = rising(&page, place.token())?;
    // Later pages count what is left.
    let total = page.total.filter(|_| place.token().is_none());
    let now = response.date_ms().unwrap_or_else(time::now_ms);
    let next = match page.after {
        Some(_) => last,
        None => (now / ARCHIVE_MS > since / ARCHIVE_MS).then(|| ARCHIVE.to_owned()),
    };
    Ok(Part::of(&response, page.items)
        .next_token(next)
        .total(total))
}

/// A page of the archive: what came there since the hour before.
fn archived(after: &str, since: u64) -> Result<Part, Error> {
    let request = api::collection("GET")
        .query("archived", true)
        .query("limit", LIST)
        .query_if("after", (!after.is_empty()).then_some(after));
    let (response, mut page) = answer(request)?;
    let from = since.saturating_sub(ARCHIVE_MS);
    page.items
        .retain(|item| item.updated_at.is_none_or(|at| at >= from));
    let next = page.after.map(|after| format!("{ARCHIVE}{after}"));
    Ok(Part::of(&response, page.items).next_token(next))
}

fn answer(request: Request) -> Result<(Response, Contacts), Error> {
    let response = api::asked(request)?;
    let page = contacts::page(response.text()?)?;
    Ok((response, page))
}

/// The last id of a page whose ids rise from where the page before ended. In another
/// order contacts would be missed without a word.
fn rising(page: &Contacts, after: Option<&str>) -> Result<Option<String>, Error> {
    let mut last = after;
    for item in &page.items {
        let (id, before) = (number(&item.id), last.and_then(number));
        if id.is_none() || id <= before {
            return Err(Error::unexpected(format!(
                "the app's search is not in the order of ids: {} comes after {}",
                item.id,
                last.unwrap_or("the beginning")
            )));
        }
        last = Some(&item.id);
    }
    Ok(last.map(str::to_owned))
}

fn number(id: &str) -> Option<u64> {
    id.parse().ok()
}
