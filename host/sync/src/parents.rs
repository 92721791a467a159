//! Entities that an app lists per parent only, such as the texts of a person.
//!
//! At first all parents are walked, in the order in which they landed. From then on
//! those are asked for that something happened to: our own events name them, in
//! order and without a gap. If the events were cleared away before they were read,
//! all parents are walked again. The place in all that is the sync's cursor.

use std::hash::{DefaultHasher, Hash, Hasher};

use rollout_sandbox::{Page as Fetched, ReadScope};
use rollout_store::{EVENTS_MAX, EventQuery, Happened};
use serde::{Deserialize, Serialize};

use crate::failure::PassError;
use crate::source::{Asked, Source};

/// Parents that a connector is asked about at once.
const PARENTS: u32 = 50;

/// How far the parents are read.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// Events up to this number are dealt with.
    events: i64,
    /// All parents are walked, and those up to this row were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    walked: Option<i64>,
    /// The parents that are being read, by the app's ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<String>,
    /// Where the connector goes on among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<String>,
}

impl Place {
    /// At the first of all parents. What happens to them from now on is told by
    /// events.
    async fn first(source: &Source) -> Result<Self, PassError> {
        let now = events(source, i64::MAX, 1).await?;
        Ok(Self {
            events: now.next,
            walked: Some(0),
            ..Self::default()
        })
    }

    fn read(cursor: &str) -> Result<Self, PassError> {
        serde_json::from_str(cursor).map_err(|error| {
            PassError::Contract(format!("its cursor is not of a walk over parents: {error}"))
        })
    }

    /// Goes on to the next of all parents. False: they are walked.
    async fn walk(&mut self, source: &Source, parent: &str) -> Result<bool, PassError> {
        let Some(after) = self.walked else {
            return Ok(false);
        };
        let credential = &source.live.credential.id;
        let rows = source
            .store()
            .rows_after(credential, parent, after, PARENTS);
        let rows = rows.await?;
        self.walked = rows.last().map(|(seq, _)| *seq);
        self.parents = rows
            .into_iter()
            .map(|(_, upstream_id)| upstream_id)
            .collect();
        Ok(!self.parents.is_empty())
    }

    /// Goes on to the next parents. False: there are none for now.
    async fn advance(&mut self, source: &Source, parent: &str) -> Result<bool, PassError> {
        let credential = &source.live.credential.id;
        loop {
            if self.walk(source, parent).await? {
                return Ok(true);
            }
            let told = events(source, self.events, EVENTS_MAX).await?;
            if told.first > self.events.saturating_add(1) {
                *self = Self::first(source).await?;
                continue;
            }
            let mut changed = Vec::new();
            let mut next = told.next;
            for event in told.events {
                // No more than the connector is asked about at once, and one event's.
                if changed.len() >= usize::try_from(PARENTS).unwrap_or_default() {
                    next = event.number.saturating_sub(1);
                    break;
                }
                if event.kind == parent && event.happened != Happened::Deleted {
                    changed.extend(event.ids);
                }
            }
            let more = next < told.next || told.more;
            self.events = next;
            if !changed.is_empty() {
                let upstream = source.store().upstream_ids(credential, parent, &changed);
                self.parents = upstream.await?.into_values().collect();
                self.parents.sort_unstable();
            }
            if !self.parents.is_empty() {
                return Ok(true);
            }
            if !more {
                return Ok(false);
            }
        }
    }
}

async fn events(
    source: &Source,
    after: i64,
    limit: u32,
) -> Result<rollout_store::Events, PassError> {
    let wanted = EventQuery {
        after,
        limit,
        credential_id: Some(&source.live.credential.id),
        initial: true,
    };
    Ok(source.store().events(&wanted).await?)
}

/// The next page of what belongs to parents that are new or changed since `cursor`.
pub(crate) async fn changes(
    source: &Source,
    parent: &str,
    cursor: Option<&str>,
    records: u32,
) -> Result<Asked<Fetched>, PassError> {
    let mut place = match cursor {
        Some(cursor) => Place::read(cursor)?,
        None => Place::first(source).await?,
    };
    let there = !place.parents.is_empty() || place.advance(source, parent).await?;
    place.page(source, there, records).await
}

/// The next page of what belongs to any parent.
pub(crate) async fn everything(
    source: &Source,
    parent: &str,
    cursor: Option<&str>,
    records: u32,
) -> Result<Asked<Fetched>, PassError> {
    let mut place = match cursor {
        Some(cursor) => Place::read(cursor)?,
        None => Place {
            walked: Some(0),
            ..Place::default()
        },
    };
    let there = !place.parents.is_empty() || place.walk(source, parent).await?;
    place.page(source, there, records).await
}

impl Place {
    /// A page of what belongs to the present parents; an empty last one if there are
    /// none.
    async fn page(
        mut self,
        source: &Source,
        there: bool,
        records: u32,
    ) -> Result<Asked<Fetched>, PassError> {
        let mut asked = if there {
            let scope = ReadScope::Parents(self.parents.clone());
            let within = self.within.as_deref();
            let mut asked = source.ask(&scope, within, records).await?;
            let mut hasher = DefaultHasher::new();
            self.parents.hash(&mut hasher);
            asked.part = hasher.finish();
            let page = &mut asked.answer;
            if !page.done && (page.next.is_none() || page.next == self.within) {
                return Err(PassError::Contract(
                    "its page of parents is not the last one, and its cursor leads nowhere".into(),
                ));
            }
            self.within = page.next.take().filter(|_| !page.done);
            if page.done {
                self.parents.clear();
            }
            // Whether there are further parents is seen when they are looked for.
            page.done = false;
            page.total = None;
            asked
        } else {
            Asked {
                stamp: source.store().next_stamp().await?,
                answer: Fetched {
                    items: Vec::new(),
                    next: None,
                    done: true,
                    total: None,
                    extra: None,
                },
                part: 0,
            }
        };
        let next = serde_json::to_string(&self)
            .map_err(|error| PassError::Contract(format!("its cursor can't be kept: {error}")))?;
        asked.answer.next = Some(next);
        Ok(asked)
    }
}
