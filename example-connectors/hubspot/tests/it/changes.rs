//! Reading everything once and then what changed: nothing is ever missed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hubspot::HubSpot;
use rollout_connector::testing::{FakeApp, Reply, Running};
use rollout_connector::{Cursor, Entities, Error, Request, Scope, time};
use serde_json::{Value, json};

use crate::CONTACTS;

const START: u64 = 1_700_000_000_000;

/// A list of contacts that changes while it is read.
struct List {
    /// When each contact changed last, in seconds since [`START`].
    updated: BTreeMap<u64, u64>,
    /// When each contact was archived that is no longer there.
    archived: BTreeMap<u64, u64>,
    now: u64,
    answered: u64,
    meanwhile: Option<fn(&mut List)>,
}

type Shared = Rc<RefCell<List>>;

fn shared(updated: impl IntoIterator<Item = (u64, u64)>, now: u64) -> Shared {
    Rc::new(RefCell::new(List {
        updated: updated.into_iter().collect(),
        archived: BTreeMap::new(),
        now,
        answered: 0,
        meanwhile: None,
    }))
}

impl List {
    fn answer(&mut self, request: &Request) -> Reply {
        self.answered += 1;
        if let Some(meanwhile) = self.meanwhile {
            meanwhile(self);
        }
        let body = match request.url.strip_prefix(CONTACTS) {
            Some("/search") => self.search(&request.json_body()),
            Some(query) if query.starts_with('?') => self.list(request),
            other => panic!("{other:?}"),
        };
        Reply::json(200, body).header("date", &http_date(START + self.now * 1000))
    }

    fn list(&self, request: &Request) -> Value {
        let number = |name| {
            request
                .query_value(name)
                .map(|it| it.parse::<u64>().unwrap())
        };
        let limit = number("limit").unwrap() as usize;
        assert!((1..=100).contains(&limit));
        let after = number("after").unwrap_or(0);
        if request.query_value("archived").as_deref() == Some("true") {
            let ids: Vec<u64> = self.archived.range(after..).map(|(id, _)| *id).collect();
            let gone = |id: &u64| {
                let at = time::format(START + self.archived[id] * 1000);
                json!({"id": id.to_string(), "properties": {}, "archived": true, "archivedAt": at})
            };
            return page(&ids, limit, gone, |next| next.to_string());
        }
        let ids: Vec<u64> = self
            .updated
            .keys()
            .copied()
            .filter(|id| *id >= after)
            .collect();
        page(&ids, limit, |id| self.contact(id), |next| next.to_string())
    }

    fn search(&self, body: &Value) -> Value {
        let limit = body["limit"].as_u64().unwrap() as usize;
        assert!((1..=200).contains(&limit));
        assert_eq!(
            body["sorts"],
            json!([{"propertyName": "hs_object_id", "direction": "ASCENDING"}])
        );
        assert!(body.get("after").is_none(), "none reaches the app's limit");
        let filters = body["filterGroups"][0]["filters"].as_array().unwrap();
        let value = |property: &str, operator: &str| {
            let filter = filters
                .iter()
                .find(|one| one["propertyName"] == property && one["operator"] == operator)?;
            filter["value"].as_str().unwrap().parse::<u64>().ok()
        };
        let since = value("lastmodifieddate", "GTE").unwrap();
        let above = value("hs_object_id", "GT").unwrap_or(0);
        let ids: Vec<u64> = self
            .updated
            .iter()
            .filter(|(id, updated)| **id > above && START + **updated * 1000 >= since)
            .map(|(id, _)| *id)
            .collect();
        let mut found = page(&ids, limit, |id| self.contact(id), |_| limit.to_string());
        found["total"] = ids.len().into();
        found
    }

    fn contact(&self, id: &u64) -> Value {
        let updated = time::format(START + self.updated[id] * 1000);
        json!({"id": id.to_string(), "properties": {"lastmodifieddate": updated}, "archived": false})
    }
}

fn page(
    ids: &[u64],
    limit: usize,
    record: impl Fn(&u64) -> Value,
    after: impl Fn(u64) -> String,
) -> Value {
    let records: Vec<Value> = ids.iter().take(limit).map(record).collect();
    let mut page = json!({ "results": records });
    if let Some(next) = ids.get(limit) {
        page["paging"] = json!({"next": {"after": after(*next), "link": "?after=x"}});
    }
    page
}

fn http_date(ms: u64) -> String {
    let text = time::format(ms);
    assert_eq!(&text[..7], "2023-11");
    format!("Tue, {} Nov 2023 {} GMT", &text[8..10], &text[11..19])
}

fn serve(list: &Shared) -> Running {
    let list = Rc::clone(list);
    FakeApp::of::<HubSpot>()
        .answer(move |request| Some(list.borrow_mut().answer(request)))
        .start()
}

/// Reads until the pass is over: the ids in their order, and the cursor.
fn pass(scope: &Scope, mut cursor: Cursor, limit: u32) -> (Vec<u64>, Cursor) {
    let mut ids = Vec::new();
    for _ in 0..10_000 {
        let page = HubSpot::changes("people", scope.clone(), cursor, limit).unwrap();
        ids.extend(
            page.items
                .iter()
                .map(|item| item.id.parse::<u64>().unwrap()),
        );
        cursor = page.next;
        if page.done {
            return (ids, cursor);
        }
    }
    panic!("the pass does not end");
}

#[test]
fn the_first_pass_is_by_id_and_complete() {
    // Within an hour of the app's clock, as all of this.
    let list = shared((1..=1234).map(|id| (id, 5000 - id)), 11_000);
    let app = serve(&list);
    let (ids, cursor) = pass(&Scope::Incremental, Cursor::START, 500);
    assert_eq!(ids, (1..=1234).collect::<Vec<_>>());
    assert_eq!(app.take_requests().len(), 13);

    // Nothing changed: one search and no records.
    let (ids, _) = pass(&Scope::Incremental, cursor, 500);
    assert!(ids.is_empty());
    assert_eq!(app.sent(), [format!("POST {CONTACTS}/search")]);

    // A full pass is as the first one, and leaves no cursor.
    let (ids, cursor) = pass(&Scope::Full, Cursor::START, 500);
    assert_eq!((ids.len(), cursor), (1234, Cursor::START));
}

#[test]
fn a_page_holds_what_the_host_asks_for() {
    let list = shared((1..=300).map(|id| (id, id)), 10_000);
    let _app = serve(&list);
    let first = |limit| HubSpot::changes("people", Scope::Full, Cursor::START, limit).unwrap();
    assert_eq!(first(30).items.len(), 30);
    assert_eq!(first(200).items.len(), 200);
    let again = || HubSpot::changes("people", Scope::Full, first(30).next, 30).unwrap();
    assert_eq!(again(), again());
    assert_eq!(again().items[0].id, "31");
}

#[test]
fn changes_while_reading_are_in_the_next_pass() {
    let list = shared((1..=1000).map(|id| (id, id)), 2000);
    list.borrow_mut().meanwhile = Some(|list| {
        // Every page: one that was read changes, one to come, and a new one appears.
        list.now += 1;
        let (now, answered) = (list.now, list.answered);
        list.updated.insert(answered, now);
        list.updated.insert(1000 - answered, now);
        list.updated.insert(1000 + answered, now);
    });
    let _app = serve(&list);
    let (ids, cursor) = pass(&Scope::Incremental, Cursor::START, 100);
    let known: BTreeSet<u64> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len());
    assert!((1..=1000).all(|id| known.contains(&id)));

    list.borrow_mut().meanwhile = None;
    let changed: BTreeSet<u64> = pass(&Scope::Incremental, cursor, 100)
        .0
        .into_iter()
        .collect();
    let expected: BTreeSet<u64> = list
        .borrow()
        .updated
        .iter()
        .filter(|(_, updated)| **updated > 2000)
        .map(|(id, _)| *id)
        .collect();
    assert!(expected.len() > 30);
    assert!(expected.is_subset(&changed));
}

#[test]
fn thousands_that_share_a_moment_are_all_read() {
    let list = shared((1..=50).map(|id| (id, id)), 10_000);
    let app = serve(&list);
    let cursor = pass(&Scope::Incremental, Cursor::START, 500).1;
    {
        // More than a search has results.
        let mut list = list.borrow_mut();
        list.updated.extend((1..=12_345).map(|id| (id, 20_000)));
        list.now = 20_001;
    }
    app.take_requests();
    let first = HubSpot::changes("people", Scope::Incremental, cursor.clone(), 500).unwrap();
    assert_eq!((first.items.len(), first.total), (600, Some(12_345)));
    let (ids, cursor) = pass(&Scope::Incremental, cursor, 500);
    assert_eq!(ids, (1..=12_345).collect::<Vec<_>>());

    // One that the search shows late.
    list.borrow_mut().updated.insert(99_999, 19_990);
    let (ids, cursor) = pass(&Scope::Incremental, cursor, 500);
    assert!(ids.contains(&99_999));

    // Minutes later nothing of it is read again.
    list.borrow_mut().now = 21_000;
    let cursor = pass(&Scope::Incremental, cursor, 500).1;
    assert!(pass(&Scope::Incremental, cursor, 500).0.is_empty());
}

#[test]
fn a_search_in_another_order_is_not_believed() {
    let list = shared([(1, 1)], 10_000);
    let cursor = {
        let _app = serve(&list);
        pass(&Scope::Incremental, Cursor::START, 500).1
    };
    for ids in [["10", "9"], ["5", "5"], ["1", "x"]] {
        let results: Vec<Value> = ids
            .iter()
            .map(|id| json!({"id": id, "properties": {}}))
            .collect();
        let _app = FakeApp::of::<HubSpot>()
            .on(
                &format!("POST {CONTACTS}/search"),
                Reply::json(200, json!({"total": 2, "results": results})),
            )
            .start();
        let refused = HubSpot::changes("people", Scope::Incremental, cursor.clone(), 500);
        let Err(Error::Upstream(upstream)) = refused else {
            panic!("{ids:?}");
        };
        assert!(upstream.message.contains("order"), "{}", upstream.message);
    }
}

#[test]
fn what_is_there_is_kept_when_the_app_tires() {
    let list = shared((1..=300).map(|id| (id, id)), 10_000);
    let served = Rc::clone(&list);
    let _app = FakeApp::of::<HubSpot>()
        .answer(move |request| {
            let mut list = served.borrow_mut();
            Some(match list.answered {
                1 => {
                    list.answered += 1;
                    Reply::json(429, json!({"status": "error", "policyName": "TEN_SECONDLY_ROLLING", "message": "slow"}))
                }
                _ => list.answer(request),
            })
        })
        .start();
    let page = HubSpot::changes("people", Scope::Incremental, Cursor::START, 300).unwrap();
    assert_eq!((page.items.len(), page.done), (100, false));
    let (ids, _) = pass(&Scope::Incremental, page.next, 300);
    assert_eq!(ids, (101..=300).collect::<Vec<_>>());
}

#[test]
fn what_was_archived_is_reported_once_an_hour() {
    // Ten minutes after the full hour.
    let list = shared((1..=500).map(|id| (id, id)), 10_600);
    let app = serve(&list);
    let mut cursor = pass(&Scope::Incremental, Cursor::START, 500).1;
    {
        let mut list = list.borrow_mut();
        // Most of it lay there long before.
        list.archived.extend((1000..1400).map(|id| (id, 10)));
        for id in [7, 300, 499] {
            list.updated.remove(&id);
            list.archived.insert(id, 10_700);
        }
    }
    let mut asked = 0;
    let mut reported: Vec<String> = Vec::new();
    for minute in 0..70 {
        list.borrow_mut().now = 10_700 + minute * 60;
        app.take_requests();
        let page = HubSpot::changes("people", Scope::Incremental, cursor, 500).unwrap();
        assert!(page.done);
        assert!(page.items.iter().all(|item| item.deleted));
        reported.extend(page.items.into_iter().map(|item| item.id));
        cursor = page.next;
        asked += app
            .sent()
            .iter()
            .filter(|one| one.contains("archived"))
            .count();
    }
    reported.sort_unstable();
    reported.dedup();
    assert_eq!(reported, ["300", "499", "7"]);
    // Five pages each time, for as long as a pass looks back behind the full hour.
    assert_eq!(asked, 4 * 5);
}
