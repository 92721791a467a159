#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::Request;
use crate::testing::{FakeApp, Reply, Running};

const LIST: &str = "https://api.example.com/list";
/// What the `Date` header of every answer says.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DATE_MS: u64 = 784_111_777_000;

/// A list of the numbers 1 to `length`, five to a page, that knows every way of paging.
fn app(length: u64) -> Running {
    FakeApp::new()
        .answer(move |request| {
            let number = |name: &str| request.query_value(name).map(|n| n.parse::<u64>().unwrap());
            let before = match (number("page"), number("offset"), number("cursor")) {
                (Some(page), ..) => (page - 1) * 5,
                (_, offset, cursor) => offset.or(cursor).unwrap_or(0),
            };
            let ids: Vec<u64> = (before + 1..=length).take(5).collect();
            let last = before + ids.len() as u64;
            let next = (last < length).then(|| last.to_string());
            let reply = Reply::json(200, json!({ "ids": ids, "next": next, "total": length }))
                .header("date", DATE);
            Some(match next {
                Some(next) => {
                    let link = format!(
                        "<{LIST}?x=1>; rel=first, <{LIST}?a,b&cursor={next}>; rel=\"next\""
                    );
                    reply.header("link", &link)
                }
                None => reply,
            })
        })
        .start()
}

fn ask(request: Request) -> Result<(Response, Value, Vec<Item>), Error> {
    let response = request.send()?.listed()?;
    let list: Value = response.json()?;
    let ids = list["ids"].as_array().unwrap();
    let items = ids.iter().map(Item::new).collect();
    Ok((response, list, items))
}

fn by_page(place: &Place) -> Result<Part, Error> {
    let request = Request::get(LIST)
        .query("page", place.page())
        .query_if("since", place.since());
    let (response, list, items) = ask(request)?;
    Ok(Part::of(&response, items)
        .next_page(!list["next"].is_null())
        .total(list["total"].as_u64()))
}

fn by_offset(place: &Place) -> Result<Part, Error> {
    let (response, _, items) = ask(Request::get(LIST).query("offset", place.offset()))?;
    let full = items.len() == 5;
    Ok(Part::of(&response, items).next_page(full))
}

fn by_token(place: &Place) -> Result<Part, Error> {
    let request = Request::get(LIST).query_if("cursor", place.token());
    let (response, list, items) = ask(request)?;
    Ok(Part::of(&response, items).next_token(list["next"].as_str()))
}

fn by_link(place: &Place) -> Result<Part, Error> {
    let (response, _, items) = ask(Request::get(place.token().unwrap_or(LIST)))?;
    let next = response.next_link();
    Ok(Part::of(&response, items).next_token(next))
}

/// Reads a whole pass, `limit` at a time, from its first cursor on.
fn pass(
    scope: &Scope,
    mut cursor: Cursor,
    limit: u32,
    ask: fn(&Place) -> Result<Part, Error>,
) -> (Vec<String>, Cursor) {
    let mut ids = Vec::new();
    for _ in 0..100 {
        let page = read(scope, &cursor, limit, ask).unwrap();
        ids.extend(page.items.into_iter().map(|item| item.id));
        cursor = page.next;
        if page.done {
            return (ids, cursor);
        }
    }
    unreachable!("the pass does not end");
}

#[test]
fn every_way_of_paging_reads_each_record_once() {
    let expected: Vec<String> = (1..=23).map(|id: u8| id.to_string()).collect();
    for (name, ask) in [
        ("page", by_page as fn(&Place) -> Result<Part, Error>),
        ("offset", by_offset),
        ("token", by_token),
        ("link", by_link),
    ] {
        for limit in [1, 5, 7, 500] {
            let app = app(23);
            let (ids, _) = pass(&Scope::Full, Cursor::START, limit, ask);
            assert_eq!(ids, expected, "by {name}, {limit} at a time");
            assert_eq!(app.requests().len(), 5, "by {name}, {limit} at a time");
        }
    }
}

#[test]
fn a_call_ends_when_it_has_what_the_host_wants() {
    let app = app(23);
    let page = read(&Scope::Full, &Cursor::START, 7, by_page).unwrap();
    assert_eq!(
        (page.items.len(), page.done, page.total),
        (10, false, Some(23))
    );
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn the_next_pass_asks_for_what_changed_since_the_last_began() {
    let app = app(8);
    let (_, cursor) = pass(&Scope::Incremental, Cursor::START, 1, by_page);
    assert!(
        app.take_requests()
            .iter()
            .all(|asked| asked.query_value("since").is_none())
    );
    let (_, again) = pass(&Scope::Incremental, cursor.clone(), 1, by_page);
    let since = time::format(DATE_MS - OVERLAP_MS);
    for asked in app.take_requests() {
        assert_eq!(asked.query_value("since"), Some(since.clone()));
    }
    assert_eq!(again, cursor);
    // A full pass leaves nothing for the next one.
    assert_eq!(
        pass(&Scope::Full, Cursor::START, 1, by_page).1,
        Cursor::START
    );
}

#[test]
fn without_a_date_our_own_clock_counts() {
    let _app = FakeApp::new()
        .answer(|_| Some(Reply::json(200, r#"{"ids": []}"#)))
        .now_ms(DATE_MS)
        .start();
    let page = read(&Scope::Incremental, &Cursor::START, 1, by_token).unwrap();
    assert_eq!(
        Place::of(&page.next).unwrap().since_ms(),
        Some(DATE_MS - OVERLAP_MS)
    );
}

#[test]
fn parents_are_read_one_by_one() {
    fn of_parent(place: &Place) -> Result<Part, Error> {
        let parent = place.parent().unwrap();
        let request = Request::get(format!("{LIST}/{parent}")).query("page", place.page());
        let response = request.send()?.listed()?;
        let text = response.text()?.to_owned();
        let more = text.ends_with('+');
        let items = vec![Item::new(text.trim_end_matches('+'))];
        Ok(Part::of(&response, items).next_page(more))
    }
    let app = FakeApp::new()
        .answer(|request| {
            let (_, asked) = request.url.split_once("/list/").unwrap();
            Some(match asked {
                "7?page=1" => Reply::text(200, "a+"),
                "7?page=2" => Reply::text(200, "b"),
                "9?page=1" => Reply::text(200, "c"),
                _ => Reply::empty(404),
            })
        })
        .start();
    let parents = Scope::Parents(vec!["7".into(), "8".into(), "9".into()]);
    for limit in [1, 500] {
        let (ids, cursor) = pass(&parents, Cursor::START, limit, of_parent);
        assert_eq!(ids, ["a", "b", "c"], "{limit} at a time");
        assert_eq!(cursor, Cursor::START);
    }
    assert_eq!(app.requests().len(), 8);
    let nobody = read(&Scope::Parents(Vec::new()), &Cursor::START, 1, of_parent).unwrap();
    assert!(nobody.done && nobody.items.is_empty());
}

#[test]
fn a_list_that_does_not_go_on_is_an_error() {
    for (body, ask) in [
        (
            r#"{"ids": [1, 2], "next": "5"}"#,
            by_page as fn(&Place) -> Result<Part, Error>,
        ),
        (r#"{"ids": [], "next": "5"}"#, by_token),
    ] {
        let app = FakeApp::new()
            .answer(move |_| Some(Reply::json(200, body)))
            .start();
        let refused = read(&Scope::Full, &Cursor::START, 500, ask).unwrap_err();
        assert!(refused.to_string().contains("did not go on"), "{refused}");
        assert_eq!(app.requests().len(), 2);
    }
}

#[test]
fn empty_pages_do_not_hold_a_call_for_ever() {
    let app = FakeApp::new()
        .answer(|_| Some(Reply::json(200, r#"{"ids": [], "next": "more"}"#)))
        .start();
    let page = read(&Scope::Full, &Cursor::START, 500, by_page).unwrap();
    assert!(!page.done && page.items.is_empty());
    assert_eq!(app.requests().len(), REQUESTS);
}

#[test]
fn a_failure_costs_nothing_that_was_read() {
    let _app = FakeApp::new()
        .on(
            "GET https://api.example.com/list",
            Reply::json(200, r#"{"ids": [1], "next": "1"}"#),
        )
        .on("GET https://api.example.com/list", Reply::empty(503))
        .start();
    let page = read(&Scope::Full, &Cursor::START, 500, by_token).unwrap();
    assert_eq!((page.items.len(), page.done), (1, false));
    let refused = read(&Scope::Full, &page.next, 500, by_token).unwrap_err();
    assert!(matches!(refused, Error::Upstream(_)), "{refused}");
}

#[test]
fn a_foreign_cursor_is_the_connectors_fault() {
    let refused = read(&Scope::Full, &Cursor::of_text("[1]".into()), 1, by_page).unwrap_err();
    assert!(matches!(refused, Error::Internal(_)), "{refused}");
}

#[test]
fn records_that_become_no_item_count_for_the_offset() {
    let response = Response::new(200, Vec::new(), Vec::new());
    let mut place = Place::default();
    let part = Part::of(&response, Vec::new()).records(5).next_page(true);
    assert!(place.take(part, &mut Batch::new(1)).unwrap());
    assert_eq!((place.offset(), place.page()), (5, 2));
}
