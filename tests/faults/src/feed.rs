//! The events feed, followed all the time by readers who remember every number.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Call};
use crate::dice::Dice;
use crate::found::{Difference, Findings, Sort};

/// Events on a page.
const PAGE: usize = 1000;
/// A reader that found so much says no more.
const ENOUGH: usize = 20;

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// All, those of first syncs included.
    Full,
    /// What a reader gets who asks for nothing special.
    Plain,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) number: u64,
    pub(crate) event_id: String,
    /// Such as `peopleCreated`.
    pub(crate) event: String,
    pub(crate) credential_id: String,
    pub(crate) app_key: String,
    pub(crate) resource_ids: Vec<String>,
}

struct Page {
    events: Vec<Event>,
    next: u64,
    more: bool,
}

/// A reader.
#[derive(Clone)]
pub(crate) struct Reader {
    api: Api,
    view: View,
    findings: Findings,
    seen: Arc<Mutex<Vec<Event>>>,
}

impl Reader {
    pub(crate) fn new(api: Api, view: View, findings: Findings) -> Self {
        Self {
            api,
            view,
            findings,
            seen: Arc::default(),
        }
    }

    /// What it has seen.
    pub(crate) fn seen(&self) -> Vec<Event> {
        self.seen.lock().clone()
    }

    /// Reads on and on until the work is over.
    pub(crate) async fn follow(self, mut dice: Dice, over: Arc<OnceLock<Instant>>) -> Result<()> {
        let (mut after, mut found) = (0, 0);
        while over.get().is_none() {
            let patience = Duration::from_secs(5);
            // Nothing can be read while everything is down.
            if let Ok(page) = page(&self.api, self.view, after, &mut dice, patience).await {
                for difference in check(self.view, after, &page) {
                    found += 1;
                    if found <= ENOUGH {
                        self.findings.add(difference.sort, difference.text);
                    }
                }
                after = page.next.max(after);
                let more = page.more;
                self.seen.lock().extend(page.events);
                if more {
                    continue;
                }
            }
            tokio::time::sleep(dice.millis(10, 300)).await;
        }
        Ok(())
    }
}

/// Reads a feed from its beginning to its end.
pub(crate) async fn read(api: &Api, view: View, dice: &mut Dice) -> Result<Vec<Event>> {
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let page = page(api, view, after, dice, Duration::from_secs(60)).await?;
        if let Some(difference) = check(view, after, &page).into_iter().next() {
            bail!("{difference}");
        }
        after = page.next;
        all.extend(page.events);
        if !page.more {
            return Ok(all);
        }
    }
}

async fn page(
    api: &Api,
    view: View,
    after: u64,
    dice: &mut Dice,
    patience: Duration,
) -> Result<Page> {
    let initial = match view {
        View::Full => "&includeInitialSync=true",
        View::Plain => "",
    };
    let path = format!("/api/events-feed?after={after}&limit={PAGE}{initial}");
    let answer = api.ask(&Call::get(path), dice, patience).await?;
    if !answer.is_success() {
        bail!("the feed answers {} {}", answer.status, answer.body);
    }
    let metadata = |name: &str| answer.body.get("_metadata").and_then(|all| all.get(name));
    let next = metadata("next").and_then(Value::as_u64);
    let more = metadata("hasMore").and_then(Value::as_bool);
    let events = answer.body.get("events").cloned().unwrap_or_default();
    Ok(Page {
        events: serde_json::from_value(events).context("events")?,
        next: next.context("a feed without `next`")?,
        more: more.context("a feed without `hasMore`")?,
    })
}

/// A page goes on where the one before it ended.
fn check(view: View, after: u64, page: &Page) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut last = after;
    for event in &page.events {
        let number = event.number;
        // Others than first syncs' may lie between two plain events.
        let follows = match view {
            View::Full => number == last + 1,
            View::Plain => number > last,
        };
        if !follows {
            let text = format!("{view:?} feed: number {number} comes after {last}");
            found.push(Difference::new(Sort::Gap, text));
        }
        last = last.max(number);
    }
    let goes_on = match view {
        View::Full => page.next == last,
        View::Plain => page.next >= last,
    };
    if !goes_on {
        let text = format!("{view:?} feed: `next` is {} after {last}", page.next);
        found.push(Difference::new(Sort::Gap, text));
    }
    found
}

/// What a reader saw is what is there: nothing came in between later, nothing went.
pub(crate) fn compare(view: View, seen: &[Event], there: &[Event]) -> Vec<Difference> {
    let by_number = |events: &[Event]| -> BTreeMap<u64, String> {
        let ids = events.iter().map(|one| (one.number, one.event_id.clone()));
        ids.collect()
    };
    let (seen, there) = (by_number(seen), by_number(there));
    let last = seen.keys().next_back().copied().unwrap_or(0);
    let mut found = Vec::new();
    let mut add = |text: String| found.push(Difference::new(Sort::Gap, text));
    for (number, id) in &seen {
        if there.get(number) != Some(id) {
            add(format!(
                "{view:?} feed: event {number} was {id} when it was read, and is {:?}",
                there.get(number)
            ));
        }
    }
    for number in there.range(..=last).map(|(number, _)| number) {
        if !seen.contains_key(number) {
            add(format!(
                "{view:?} feed: event {number} was not there when {last} was read"
            ));
        }
    }
    found
}

/// The plain feed is the full one without what first syncs made.
pub(crate) fn is_part(plain: &[Event], full: &[Event]) -> Vec<Difference> {
    let whole: BTreeMap<u64, &Event> = full.iter().map(|one| (one.number, one)).collect();
    let numbers: BTreeMap<u64, &Event> = plain.iter().map(|one| (one.number, one)).collect();
    let strange = (plain.iter())
        .filter(|one| whole.get(&one.number) != Some(one))
        .map(|one| format!("event {} is only in the plain feed", one.number));
    let missing = (full.iter())
        .filter(|one| !numbers.contains_key(&one.number) && !one.event.ends_with("Created"))
        .map(|one| {
            format!(
                "event {}, {}, is not in the plain feed",
                one.number, one.event
            )
        });
    strange
        .chain(missing)
        .map(|text| Difference::new(Sort::Gap, text))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(number: u64, event: &str, ids: &[&str]) -> Event {
        Event {
            number,
            event_id: format!("e{number}"),
            event: event.to_owned(),
            credential_id: "c".to_owned(),
            app_key: "follow-up-boss".to_owned(),
            resource_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    fn events(numbers: &[u64]) -> Vec<Event> {
        let events = numbers.iter().map(|one| event(*one, "peopleCreated", &[]));
        events.collect()
    }

    fn checked(view: View, after: u64, numbers: &[u64], next: u64) -> usize {
        let page = Page {
            events: events(numbers),
            next,
            more: false,
        };
        check(view, after, &page).len()
    }

    #[test]
    fn gaps_and_repeats_are_found() {
        assert_eq!(checked(View::Full, 0, &[1, 2, 3], 3), 0);
        assert_eq!(checked(View::Full, 3, &[], 3), 0);
        assert_eq!(checked(View::Full, 3, &[5, 6], 6), 1);
        assert_eq!(checked(View::Full, 3, &[4, 4], 4), 1);
        assert_eq!(checked(View::Full, 3, &[4, 5], 6), 1);
        assert_eq!(checked(View::Plain, 3, &[5, 9], 12), 0);
        assert_eq!(checked(View::Plain, 3, &[5, 5], 5), 1);
    }

    #[test]
    fn what_appears_later_is_found() {
        let there = events(&[1, 2, 3, 4]);
        let found = |seen: &[u64]| compare(View::Full, &events(seen), &there).len();
        assert_eq!(found(&[1, 2, 3]), 0);
        assert_eq!(found(&[1, 3]), 1);
        assert_eq!(found(&[1, 2, 3, 4, 5]), 1);
    }

    #[test]
    fn only_creations_are_left_out() {
        let full = [
            event(1, "peopleCreated", &["a"]),
            event(2, "peopleUpdated", &["a"]),
            event(3, "peopleCreated", &["b"]),
        ];
        let [_, update, create] = &full;
        assert_eq!(is_part(&[update.clone(), create.clone()], &full), []);
        assert_eq!(is_part(std::slice::from_ref(create), &full).len(), 1);
        assert_eq!(
            is_part(&[update.clone(), event(9, "x", &[])], &full).len(),
            1
        );
    }

    #[test]
    fn an_event_is_read() {
        let text = r#"{"number":1,"eventId":"u","event":"peopleCreated","eventCreated":"2026-01-01T00:00:00+00:00","credentialId":"c","appKey":"follow-up-boss","resourceIds":["a"]}"#;
        let read: Option<Event> = serde_json::from_str(text).ok();
        let expected = Event {
            event_id: "u".to_owned(),
            ..event(1, "peopleCreated", &["a"])
        };
        assert_eq!(read, Some(expected));
    }
}
