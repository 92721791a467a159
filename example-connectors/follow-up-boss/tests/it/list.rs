//! A list of the app as an incremental reader meets it: sorted, filtered, paged,
//! and changing while it is read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rollout_connector::testing::{FakeApp, Reply, Running};
use rollout_connector::{Request, time};
use serde_json::{Value, json};

/// 2024-03-01T00:00:00Z
pub(crate) const START: u64 = 1_709_251_200_000;

/// A list of the app: ids and when they changed, in seconds after [`START`].
#[derive(Default)]
pub(crate) struct List {
    pub(crate) updated: BTreeMap<u64, u64>,
    pub(crate) trashed: BTreeSet<u64>,
    /// The app's clock, in seconds after [`START`].
    pub(crate) now: u64,
    /// Offsets hide in `next`, and deep ones are refused.
    pub(crate) offsets: bool,
    /// Runs before each answer.
    pub(crate) meanwhile: Option<fn(&mut List, u64)>,
    pub(crate) answered: u64,
}

pub(crate) type Shared = Rc<RefCell<List>>;

impl List {
    pub(crate) fn shared(people: impl IntoIterator<Item = (u64, u64)>, now: u64) -> Shared {
        Rc::new(RefCell::new(Self {
            updated: people.into_iter().collect(),
            now,
            ..Self::default()
        }))
    }

    pub(crate) fn answer(&mut self, request: &Request) -> Reply {
        self.answered += 1;
        if let Some(meanwhile) = self.meanwhile {
            meanwhile(self, self.answered);
        }
        let query = |name| request.query_value(name);
        let number = |name| query(name).map(|text| text.parse::<u64>().unwrap());
        let limit = number("limit").unwrap() as usize;
        assert!((1..=100).contains(&limit));
        let after = query("updatedAfter").map(|text| time::parse(&text).unwrap());
        let mut rows: Vec<(u64, u64)> = self
            .updated
            .iter()
            .map(|(id, updated)| (*id, START + updated * 1000))
            .filter(|(_, updated)| after.is_none_or(|after| *updated > after))
            .filter(|(id, _)| number("idGreaterThan").is_none_or(|since| *id > since))
            .collect();
        match query("sort").as_deref() {
            Some("id") => {}
            Some("-updated") => {
                rows.sort_by_key(|(id, updated)| std::cmp::Reverse((*updated, *id)))
            }
            sort => panic!("sorted by {sort:?}"),
        }
        let total = rows.len();
        let begin = match (query("next"), self.offsets) {
            (None, _) => 0,
            (Some(token), true) => token.parse().unwrap(),
            (Some(token), false) => {
                assert_eq!(query("sort").as_deref(), Some("id"));
                let since: u64 = token.strip_prefix("since ").unwrap().parse().unwrap();
                rows.iter().take_while(|(id, _)| *id <= since).count()
            }
        };
        if self.offsets && begin >= 2000 {
            return Reply::json(
                400,
                r#"{"errorMessage": "Deep pagination disabled, use 'next' instead of 'offset'."}"#,
            );
        }
        let end = rows.len().min(begin + limit);
        let mut metadata = json!({"collection": "people", "total": total});
        if end < total {
            metadata["next"] = match self.offsets {
                true => end.to_string().into(),
                false => format!("since {}", rows[end - 1].0).into(),
            };
        }
        let people: Vec<Value> = rows[begin..end]
            .iter()
            .map(|(id, updated)| {
                let stage = if self.trashed.contains(id) {
                    "Trash"
                } else {
                    "Lead"
                };
                json!({"id": id, "updated": time::format(*updated), "stage": stage})
            })
            .collect();
        let date = http_date(START + self.now * 1000);
        Reply::json(200, json!({"_metadata": metadata, "people": people})).header("date", &date)
    }
}

fn http_date(ms: u64) -> String {
    let text = time::format(ms);
    format!(
        "Fri, {} {} {} GMT",
        &text[8..10],
        ["Jan", "Feb", "Mar", "Apr"][text[6..7].parse::<usize>().unwrap() - 1],
        &text[0..4].to_owned()
    )
    .replace(" GMT", &format!(" {} GMT", &text[11..19]))
}

pub(crate) fn serve(list: &Shared) -> Running {
    let list = Rc::clone(list);
    FakeApp::new()
        .answer(move |request| Some(list.borrow_mut().answer(request)))
        .start()
}
