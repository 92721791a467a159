//! Choosing the records of a page: filter, order, continue, cut.
//!
//! Kept records are filtered and partly sorted per request, which is quick
//! enough for the tens of thousands a test holds. Formula people are never
//! enumerated: their ids, `created` and `updated` rise together, so ranges and
//! continuations are found by bisection, and kept records (those changed
//! since) are merged in.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::bulk::{Bulk, Narrowed};
use super::moments;
use super::paging::{ListQuery, Mark, Order};
use super::records::Record;
use super::reply::Refusal;
use super::store::Collection;

/// One line of a page.
#[derive(Debug)]
pub(super) enum Row<'a> {
    Kept(Cow<'a, Record>),
    /// A formula person, not made into a record until it is written.
    Formula(u64),
}

/// The records of a page.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) rows: Vec<Row<'a>>,
    pub(super) total: usize,
    /// The last row, when there are more after it.
    pub(super) last: Option<Mark>,
}

impl Page<'_> {
    /// Has the next page begin with this one's last record, if this one has others.
    pub(super) fn repeat_last(&mut self, query: &ListQuery) {
        let before = self.rows.len().checked_sub(2);
        if let (Some(last), Some(Row::Kept(record))) =
            (&mut self.last, before.and_then(|at| self.rows.get(at)))
            && let Some(id) = record.get("id").and_then(Value::as_u64)
        {
            *last = mark(id, record, &query.order);
        }
    }
}

/// Selects a page. `visible` says what the caller may see.
pub(super) fn select<'a>(
    collection: &'a Collection,
    query: &ListQuery,
    visible: &dyn Fn(&Record) -> bool,
) -> Result<Page<'a>, Refusal> {
    let fits = |record: &Record| {
        !query.hidden.iter().any(|hidden| hidden.hides(record))
            && query.checks.iter().all(|check| check.passes(record))
            && visible(record)
    };
    let kept = collection
        .kept()
        .filter(|(_, record)| fits(record))
        .map(|(id, record)| (id, Cow::Borrowed(record)));
    let Some(bulk) = collection.formula() else {
        return Ok(page(kept.collect(), query));
    };
    match bulk.narrow(&query.checks) {
        Narrowed::Candidates(ids) => {
            let made = ids
                .into_iter()
                .filter(|id| !collection.overrides(*id))
                .map(|id| (id, Cow::Owned(bulk.record(id))))
                .filter(|(_, record)| fits(record));
            Ok(page(kept.chain(made).collect(), query))
        }
        Narrowed::Range(first, last) => {
            merged(collection, bulk, kept.collect(), (first, last), query)
        }
        Narrowed::Unsupported(field) => Err(refused_by_bulk("filtered", &field)),
    }
}

fn refused_by_bulk(done: &str, field: &str) -> Refusal {
    Refusal::bad_request(format!(
        "This simulator's bulk data cannot be {done} by '{field}'."
    ))
}

type Hit<'a> = (u64, Cow<'a, Record>);

/// A page of records that are all at hand.
fn page<'a>(hits: Vec<Hit<'a>>, query: &ListQuery) -> Page<'a> {
    let total = hits.len();
    let (hits, more) = cut(hits, query);
    let last = hits
        .last()
        .filter(|_| more)
        .map(|(id, record)| mark(*id, record, &query.order));
    Page {
        rows: hits
            .into_iter()
            .map(|(_, record)| Row::Kept(record))
            .collect(),
        total,
        last,
    }
}

/// The hits of one page in order, and whether more follow. Only the hits up
/// to the end of the page are sorted.
fn cut<'a>(mut hits: Vec<Hit<'a>>, query: &ListQuery) -> (Vec<Hit<'a>>, bool) {
    let order = &query.order;
    if let Some(mark) = &query.after {
        let since = Key::of(Some(&mark.since));
        hits.retain(|(id, record)| {
            let key = Key::of(record.get(order.field.as_ref()));
            directed(key.cmp(&since).then(id.cmp(&mark.id)), order) == Ordering::Greater
        });
    }
    let compare = |(left_id, left): &Hit<'_>, (right_id, right): &Hit<'_>| {
        let left = Key::of(left.get(order.field.as_ref()));
        let right = Key::of(right.get(order.field.as_ref()));
        directed(left.cmp(&right).then(left_id.cmp(right_id)), order)
    };
    let end = query.offset + query.limit;
    let more = hits.len() > end;
    if more {
        hits.select_nth_unstable_by(end, compare);
        hits.truncate(end);
    }
    hits.sort_unstable_by(compare);
    hits.drain(..query.offset.min(hits.len()));
    (hits, more)
}

fn mark(id: u64, record: &Record, order: &Order) -> Mark {
    Mark {
        since: record
            .get(order.field.as_ref())
            .cloned()
            .unwrap_or(Value::Null),
        id,
    }
}

fn directed(ordering: Ordering, order: &Order) -> Ordering {
    if order.descending {
        ordering.reverse()
    } else {
        ordering
    }
}

/// A value as something to sort by: nothing, then numbers, then texts without
/// regard to case. Moments sort as the texts they are.
enum Key<'a> {
    Nothing,
    Number(f64),
    Text(&'a str),
}

impl<'a> Key<'a> {
    fn of(value: Option<&'a Value>) -> Self {
        match value {
            Some(Value::String(text)) => Self::Text(text),
            Some(Value::Number(number)) => Self::Number(number.as_f64().unwrap_or_default()),
            _ => Self::Nothing,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.total_cmp(right),
            (Self::Text(left), Self::Text(right)) => {
                let folded = |text: &'a str| text.chars().flat_map(char::to_lowercase);
                folded(left).cmp(right.chars().flat_map(char::to_lowercase))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// A page of formula people within `range` and the kept records among them.
fn merged<'a>(
    collection: &'a Collection,
    bulk: &Bulk,
    kept: Vec<Hit<'a>>,
    (first, last): (u64, u64),
    query: &ListQuery,
) -> Result<Page<'a>, Refusal> {
    let order = &query.order;
    if bulk.key(&order.field, 1).is_none() {
        return Err(refused_by_bulk("sorted", &order.field));
    }
    let replaced = collection.overridden(first, last);
    let total =
        kept.len() + usize::try_from((last + 1).saturating_sub(first)).unwrap_or(0) - replaced;

    let key = |id: u64| bulk.key(&order.field, id).unwrap_or_default();
    let (mut first, mut last) = (first, last);
    if let Some(mark) = &query.after {
        let since = numeric(&mark.since);
        if order.descending {
            last = last.min(bulk.count_while(|id| (key(id), id) < (since, mark.id)));
        } else {
            first = first.max(bulk.count_while(|id| (key(id), id) <= (since, mark.id)) + 1);
        }
    }
    let in_order: Box<dyn Iterator<Item = u64>> = if order.descending {
        Box::new((first..=last).rev())
    } else {
        Box::new(first..=last)
    };
    let mut made = in_order.filter(|id| !collection.overrides(*id)).peekable();

    // The kept records still have to make room for the offset while merging.
    let unskipped = ListQuery {
        limit: query.limit + query.offset + 1,
        offset: 0,
        after: query.after.clone(),
        order: order.clone(),
        checks: Vec::new(),
        hidden: Vec::new(),
        selection: query.selection.clone(),
    };
    let (hits, _) = cut(kept, &unskipped);
    let mut hits = hits.into_iter().peekable();

    let end = query.offset + query.limit;
    let mut rows = Vec::with_capacity(query.limit);
    let mut last_mark = None;
    for position in 0..end {
        let kept_first = match (hits.peek(), made.peek()) {
            (None, None) => break,
            (Some((id, record)), Some(other)) => {
                let kept = (record.get(order.field.as_ref()).map_or(0, numeric), *id);
                directed(kept.cmp(&(key(*other), *other)), order) == Ordering::Less
            }
            (hit, _) => hit.is_some(),
        };
        let row = if kept_first {
            hits.next().map(|(id, record)| {
                last_mark = Some(mark(id, &record, order));
                Row::Kept(record)
            })
        } else {
            made.next().map(|id| {
                last_mark = Some(bulk.mark(&order.field, id));
                Row::Formula(id)
            })
        };
        if position >= query.offset {
            rows.extend(row);
        }
    }
    let more = hits.peek().is_some() || made.peek().is_some();
    Ok(Page {
        rows,
        total,
        last: last_mark.filter(|_| more),
    })
}

/// The value of `id`, `created` or `updated` as formula people count it.
fn numeric(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str().and_then(moments::parse))
        .unwrap_or_default()
}
