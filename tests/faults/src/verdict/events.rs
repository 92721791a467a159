//! The events feed against the copy: every life begins with one event and ends with
//! one.

use std::collections::{BTreeMap, BTreeSet};

use super::copy::Shown;
use crate::accounts::Account;
use crate::feed::{Event, View};
use crate::found::{Difference, Sort};
use crate::records::Entity;

/// The records of one entity of one account.
pub(super) struct Lives<'a> {
    pub(super) entity: Entity,
    pub(super) credential: &'a str,
    /// Those that live.
    pub(super) shown: &'a Shown,
    /// The highest id of the app before the account was connected.
    pub(super) before: u64,
    /// The highest one when the first sync was complete.
    pub(super) ready: u64,
    /// Our ids of those that clients were told they had made.
    pub(super) made: &'a [String],
}

/// What may be the first event of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Birth {
    /// It was made before our eyes.
    Seen,
    /// It came with the first sync.
    Unseen,
    /// Nobody can tell.
    Either,
}

impl Lives<'_> {
    pub(super) fn check(&self, view: View, events: &[Event]) -> Vec<Difference> {
        let mut lives: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for event in events
            .iter()
            .filter(|one| one.credential_id == self.credential)
        {
            let begins = match Entity::of_event(&event.event) {
                Some((entity, "Created")) if entity == self.entity => true,
                Some((entity, "Deleted")) if entity == self.entity => false,
                _ => continue,
            };
            for id in &event.resource_ids {
                lives.entry(id).or_default().push(begins);
            }
        }
        let mut births: BTreeMap<&str, Birth> = BTreeMap::new();
        for (original, id) in self.shown {
            births.insert(id, self.birth(view, *original));
            lives.entry(id).or_default();
        }
        for id in self.made {
            births.insert(id, Birth::Seen);
            lives.entry(id).or_default();
        }
        let living: BTreeSet<&str> = self.shown.values().map(String::as_str).collect();
        let mut differences = Vec::new();
        for (id, turns) in lives {
            let birth = births.get(id).copied().unwrap_or(match view {
                View::Full => Birth::Seen,
                View::Plain => Birth::Either,
            });
            if let Some((sort, text)) = wrong(&turns, birth, living.contains(id)) {
                let text = format!("{view:?} feed: {} {id} {text}", self.entity.name());
                differences.push(Difference::new(sort, text));
            }
        }
        differences
    }

    fn birth(&self, view: View, original: u64) -> Birth {
        match view {
            View::Full => Birth::Seen,
            View::Plain if original <= self.before => Birth::Unseen,
            View::Plain if original <= self.ready => Birth::Either,
            View::Plain => Birth::Seen,
        }
    }
}

/// What is wrong with a life. Its turns are true for a birth, false for a death.
fn wrong(turns: &[bool], birth: Birth, lives: bool) -> Option<(Sort, &'static str)> {
    let doubled = turns.windows(2).any(|pair| pair.first() == pair.last());
    if doubled {
        return Some((Sort::Double, "was created or deleted twice in a row"));
    }
    match (turns.first(), birth) {
        (Some(false) | None, Birth::Seen) => return Some((Sort::Lost, "was never created")),
        (Some(true), Birth::Unseen) => {
            return Some((Sort::Wrong, "was created, and came with the first sync"));
        }
        _ => {}
    }
    match (turns.last(), lives) {
        (Some(true), false) => Some((Sort::Lost, "was never deleted, and is gone")),
        (Some(false), true) => Some((Sort::Wrong, "was deleted, and is there")),
        _ => None,
    }
}

/// Every event is itself, and of an account that there is.
pub(super) fn identities(events: &[Event], accounts: &[&Account]) -> Vec<Difference> {
    let known: BTreeSet<&str> = accounts.iter().filter_map(|one| one.credential()).collect();
    let mut ids = BTreeSet::new();
    let mut differences = Vec::new();
    for event in events {
        if !ids.insert(&event.event_id) {
            let text = format!("event {} has the id of another", event.number);
            differences.push(Difference::new(Sort::Double, text));
        }
        let of_us = known.contains(event.credential_id.as_str());
        if !of_us || event.app_key != "follow-up-boss" {
            differences.push(Difference::new(Sort::Wrong, format!("{event:?}")));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::tests::event;

    #[test]
    fn lives_are_judged() {
        let (born, died) = (true, false);
        assert_eq!(wrong(&[born], Birth::Seen, true), None);
        assert_eq!(wrong(&[born, died, born], Birth::Seen, true), None);
        assert_eq!(wrong(&[], Birth::Unseen, true), None);
        assert_eq!(wrong(&[died], Birth::Unseen, false), None);
        let sort = |turns: &[bool], birth, lives| wrong(turns, birth, lives).map(|(sort, _)| sort);
        assert_eq!(sort(&[born, born], Birth::Seen, true), Some(Sort::Double));
        assert_eq!(sort(&[], Birth::Seen, true), Some(Sort::Lost));
        assert_eq!(sort(&[born], Birth::Unseen, true), Some(Sort::Wrong));
        assert_eq!(sort(&[born], Birth::Seen, false), Some(Sort::Lost));
        assert_eq!(sort(&[born, died], Birth::Either, true), Some(Sort::Wrong));
    }

    #[test]
    fn first_syncs_are_silent_in_the_plain_feed() {
        let shown = Shown::from([
            (1, "old".to_owned()),
            (2, "meanwhile".to_owned()),
            (3, "new".to_owned()),
        ]);
        let lives = Lives {
            entity: Entity::Notes,
            credential: "c",
            shown: &shown,
            before: 1,
            ready: 2,
            made: &["new".to_owned(), "gone".to_owned()],
        };
        let full = [
            event(1, "notesCreated", &["old", "meanwhile"]),
            event(2, "notesCreated", &["new"]),
            event(3, "notesUpdated", &["old"]),
            event(4, "notesCreated", &["gone"]),
            event(5, "notesDeleted", &["gone"]),
            event(6, "peopleCreated", &["new"]),
        ];
        assert_eq!(lives.check(View::Full, &full), []);
        let (first, plain) = full.split_at(1);
        assert_eq!(lives.check(View::Plain, plain), []);
        assert_eq!(lives.check(View::Plain, &full).len(), 1);
        assert_eq!(lives.check(View::Full, plain).len(), 2);
        assert_eq!(lives.check(View::Full, first).len(), 2);
    }
}
