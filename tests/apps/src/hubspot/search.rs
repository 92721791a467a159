//! `POST /crm/v3/objects/contacts/search`.

use std::cmp::Ordering;
use std::time::Instant;

use serde_json::{Value, json};

use super::contacts::{Contact, Contacts};
use super::properties::{self, Kind, Values};
use super::reply::{Reply, paging, with};
use super::routes::names;

/// The most results that a search has, whatever it finds.
const MOST: usize = 10_000;
/// The most results of a page.
const PAGE: usize = 200;
const GROUPS: usize = 5;
const FILTERS: usize = 6;
const ALL_FILTERS: usize = 18;

/// Where `query` looks.
const QUERIED: [&str; 5] = ["firstname", "lastname", "email", "phone", "company"];

/// Answers a search.
pub(super) fn answer(contacts: &Contacts, body: &Value) -> Result<Reply, Reply> {
    let list = |name: &str| {
        body.get(name)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let groups = list("filterGroups");
    let counts: Vec<usize> = groups.iter().map(|group| filters(group).len()).collect();
    let all: usize = counts.iter().sum();
    if groups.len() > GROUPS || counts.iter().any(|count| *count > FILTERS) || all > ALL_FILTERS {
        return Err(Reply::invalid("There are too many filters in this search."));
    }
    let limit = whole(body.get("limit"), 10)?;
    if limit == 0 || limit > PAGE {
        return Err(Reply::invalid(&format!(
            "limit must be between 1 and {PAGE}"
        )));
    }
    let after = whole(body.get("after"), 0)?;
    if after + limit > MOST {
        return Err(Reply::invalid(&format!(
            "The requested range goes beyond {MOST} results."
        )));
    }
    let (by, descending) = sort(list("sorts"))?;
    let asked = names(body.get("properties"));
    let query = body
        .get("query")
        .and_then(Value::as_str)
        .unwrap_or_default();

    let now = Instant::now();
    let mut found: Vec<(&Contact, &Values)> = Vec::new();
    for contact in contacts.listed(false) {
        let Some(values) = contact.searched(now) else {
            continue;
        };
        if matches(values, groups)? && is_queried(values, query) {
            found.push((contact, values));
        }
    }
    found.sort_by(|(one, ones), (other, others)| {
        let order = compared(by, value(ones, by), value(others, by));
        let order = order.unwrap_or(Ordering::Equal);
        let order = if descending { order.reverse() } else { order };
        order.then(one.id().cmp(&other.id()))
    });
    let results: Vec<Value> = found
        .iter()
        .skip(after)
        .take(limit)
        .map(|(contact, _)| contact.answer(&asked))
        .collect();
    let mut answer = json!({ "total": found.len(), "results": results });
    if after + limit < found.len() {
        let next = (after + limit).to_string();
        answer = with(answer, "paging", paging(&next));
    }
    Ok(Reply::json(200, &answer))
}

/// A whole number, which may be a text.
fn whole(value: Option<&Value>, default: usize) -> Result<usize, Reply> {
    let number = match value {
        None | Some(Value::Null) => return Ok(default),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok()),
    };
    number.ok_or_else(|| Reply::invalid("Invalid input: expected a whole number"))
}

fn sort(sorts: &[Value]) -> Result<(&str, bool), Reply> {
    let sort = match sorts {
        [] => return Ok(("hs_object_id", false)),
        [sort] => sort,
        _ => return Err(Reply::invalid("Only one sort is allowed.")),
    };
    let (by, direction) = match sort {
        Value::String(by) => (Some(by.as_str()), "ASCENDING"),
        sort => (
            sort.get("propertyName").and_then(Value::as_str),
            sort.get("direction")
                .and_then(Value::as_str)
                .unwrap_or("ASCENDING"),
        ),
    };
    let by = by.filter(|by| properties::known(by).is_some());
    let by = by.ok_or_else(|| Reply::invalid("There was a problem with the sort."))?;
    Ok((by, direction == "DESCENDING"))
}

fn filters(group: &Value) -> &[Value] {
    let filters = group.get("filters").and_then(Value::as_array);
    filters.map_or(&[], Vec::as_slice)
}

/// True if all filters of one of the groups match, or there are none.
fn matches(values: &Values, groups: &[Value]) -> Result<bool, Reply> {
    let mut matched = groups.is_empty();
    for group in groups {
        let mut all = true;
        for filter in filters(group) {
            all &= passes(values, filter)?;
        }
        matched |= all;
    }
    Ok(matched)
}

fn passes(values: &Values, filter: &Value) -> Result<bool, Reply> {
    let text = |name: &str| match filter.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let name = text("propertyName").unwrap_or_default();
    if properties::known(&name).is_none() {
        let said = format!("There was a problem with the request: no property {name}");
        return Err(Reply::invalid(&said));
    }
    let operator = text("operator").unwrap_or_default();
    let value = value(values, &name);
    let wanted = || text("value").ok_or_else(|| Reply::invalid("A filter needs a value."));
    let order = |wanted: &str| match value {
        "" => Ok(None),
        value => match compared(&name, value, wanted) {
            Some(order) => Ok(Some(order)),
            None => Err(Reply::invalid(&format!("{wanted} is no value of {name}"))),
        },
    };
    let among = || {
        let listed = filter.get("values").and_then(Value::as_array);
        let mut listed = listed.into_iter().flatten().filter_map(Value::as_str);
        listed.any(|one| one == value.to_lowercase())
    };
    let has_token = |wanted: &str| {
        let wanted = wanted.trim_matches('*').to_lowercase();
        value.to_lowercase().contains(&wanted)
    };
    Ok(match operator.as_str() {
        "EQ" => order(&wanted()?)? == Some(Ordering::Equal),
        "NEQ" => order(&wanted()?)? != Some(Ordering::Equal),
        "GT" => order(&wanted()?)? == Some(Ordering::Greater),
        "GTE" => order(&wanted()?)?.is_some_and(Ordering::is_ge),
        "LT" => order(&wanted()?)? == Some(Ordering::Less),
        "LTE" => order(&wanted()?)?.is_some_and(Ordering::is_le),
        "BETWEEN" => {
            let high =
                text("highValue").ok_or_else(|| Reply::invalid("BETWEEN needs highValue."))?;
            order(&wanted()?)?.is_some_and(Ordering::is_ge)
                && order(&high)?.is_some_and(Ordering::is_le)
        }
        "IN" => among(),
        "NOT_IN" => !among(),
        "HAS_PROPERTY" => !value.is_empty(),
        "NOT_HAS_PROPERTY" => value.is_empty(),
        "CONTAINS_TOKEN" => has_token(&wanted()?),
        "NOT_CONTAINS_TOKEN" => !has_token(&wanted()?),
        _ => return Err(Reply::invalid(&format!("{operator} is no operator"))),
    })
}

fn value<'a>(values: &'a Values, name: &str) -> &'a str {
    values.get(name).map(String::as_str).unwrap_or_default()
}

/// How two values of a property compare; none if they can't.
fn compared(name: &str, one: &str, other: &str) -> Option<Ordering> {
    match properties::known(name)?.kind {
        Kind::Number => {
            let number = |text: &str| text.parse::<f64>().ok();
            number(one)?.partial_cmp(&number(other)?)
        }
        Kind::Moment => Some(properties::moment(one)?.cmp(&properties::moment(other)?)),
        _ => Some(one.to_lowercase().cmp(&other.to_lowercase())),
    }
}

fn is_queried(values: &Values, query: &str) -> bool {
    let mut words = query.split_whitespace().map(str::to_lowercase);
    words.all(|word| {
        let mut places = QUERIED.iter();
        places.any(|name| value(values, name).to_lowercase().contains(&word))
    })
}
