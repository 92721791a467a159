//! Records that were made through this process a moment ago: other parts of their app
//! may not know them yet.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a record counts as just made.
const FRESH: Duration = Duration::from_secs(60);

/// Their ids, oldest first, so that forgetting costs what is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Fresh(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    ids: HashSet<String>,
    order: VecDeque<(Instant, String)>,
}

impl Fresh {
    /// Notes that a record was made just now.
    pub(crate) fn note(&self, id: String) {
        self.note_at(id, Instant::now());
    }

    /// Whether any of these was made a moment ago.
    pub(crate) fn any<'a>(&self, ids: impl Iterator<Item = &'a String>) -> bool {
        let mut made = self.0.lock();
        made.forget(Instant::now());
        let mut ids = ids;
        ids.any(|id| made.ids.contains(id))
    }

    fn note_at(&self, id: String, now: Instant) {
        let mut made = self.0.lock();
        made.forget(now);
        if made.ids.insert(id.clone()) {
            made.order.push_back((now, id));
        }
    }
}

impl Made {
    fn forget(&mut self, now: Instant) {
        while let Some((_, id)) = self
            .order
            .pop_front_if(|(at, _)| now.saturating_duration_since(*at) >= FRESH)
        {
            self.ids.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_fresh_for_a_minute() {
        let fresh = Fresh::default();
        let (first, second) = ("first".to_owned(), "second".to_owned());
        let now = Instant::now();
        fresh.note_at(first.clone(), now);
        assert!(fresh.any([&second, &first].into_iter()));
        assert!(!fresh.any([&second].into_iter()));
        fresh.note_at(second.clone(), now + FRESH);
        let made = fresh.0.lock();
        assert!(made.ids.contains(&second) && !made.ids.contains(&first));
        assert_eq!(made.order.len(), 1);
    }
}
