//! Filters of lists: what a parameter means, and whether a record passes.
//!
//! `After` and `Before` are strict, as their names say. A filter with an
//! empty value is ignored, one with an unreadable value is refused, and so a
//! client's mistake shows. Unknown parameters are ignored.

use std::borrow::Cow;

use serde_json::Value;

use super::moments;
use super::records::{Record, Resource};
use super::reply::Refusal;

/// A query parameter and the test it stands for.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) param: &'static str,
    pub(super) test: Test,
}

/// How a parameter's value is compared, and with which field.
#[derive(Debug)]
pub(super) enum Test {
    /// One of a csv of integers.
    Numbers(&'static str),
    Above(&'static str),
    Below(&'static str),
    /// Later than a moment.
    After(&'static str),
    Before(&'static str),
    /// The same text, whatever its case.
    Text(&'static str),
    /// One of a csv of texts.
    Texts(&'static str),
    /// Contains the text.
    Like(&'static str),
    Flag(&'static str),
    /// Carries one of a csv of tags.
    Tags,
    /// A list of `{value}` has the value.
    Value(&'static str),
    /// A phone has the same digits.
    Phone,
    /// One of several texts has the same digits.
    Digits(&'static [&'static str]),
    /// An item of a list (first) has one of a csv of integers in a field (second).
    Members(&'static str, &'static str),
    /// There is a value, or there is none.
    Given(&'static str),
}

/// A filter with its value, ready to look at records.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Check {
    Numbers {
        field: &'static str,
        any: Vec<i64>,
    },
    Above {
        field: &'static str,
        bound: f64,
    },
    Below {
        field: &'static str,
        bound: f64,
    },
    After {
        field: &'static str,
        at: i64,
    },
    Before {
        field: &'static str,
        at: i64,
    },
    Texts {
        field: Cow<'static, str>,
        any: Vec<String>,
    },
    Like {
        field: &'static str,
        part: String,
    },
    Flag {
        field: &'static str,
        on: bool,
    },
    Tags {
        any: Vec<String>,
    },
    Value {
        list: &'static str,
        value: String,
    },
    Phone {
        digits: String,
    },
    Digits {
        fields: &'static [&'static str],
        digits: String,
    },
    Members {
        list: &'static str,
        field: &'static str,
        any: Vec<i64>,
    },
    Given {
        field: &'static str,
        on: bool,
    },
    /// A custom date between two days, either end open.
    Days {
        field: String,
        from: String,
        to: String,
    },
}

/// The checks asked for by a list's parameters.
pub(super) fn checks(
    resource: &Resource,
    params: &[(String, String)],
) -> Result<Vec<Check>, Refusal> {
    let mut checks = Vec::new();
    for (param, value) in params.iter().filter(|(_, value)| !value.is_empty()) {
        let known = resource
            .filters
            .iter()
            .flat_map(|group| group.iter())
            .find(|filter| filter.param == param);
        match known {
            Some(filter) => checks.push(filter.bind(value)?),
            None if resource.is_custom(param) => checks.push(custom(param, value)),
            None => {}
        }
    }
    Ok(checks)
}

impl Filter {
    fn bind(&self, value: &str) -> Result<Check, Refusal> {
        let unreadable = || Refusal::bad_request(format!("Invalid value for '{}'.", self.param));
        let number = || value.trim().parse().map_err(|_| unreadable());
        let moment = || moments::parse(value.trim()).ok_or_else(unreadable);
        let numbers = || {
            let parts = value.split(',');
            parts
                .map(|part| part.trim().parse().map_err(|_| unreadable()))
                .collect::<Result<Vec<i64>, _>>()
        };
        Ok(match self.test {
            Test::Numbers(field) => Check::Numbers {
                field,
                any: numbers()?,
            },
            Test::Members(list, field) => Check::Members {
                list,
                field,
                any: numbers()?,
            },
            Test::Given(field) => Check::Given {
                field,
                on: switch(value).ok_or_else(unreadable)?,
            },
            Test::Digits(fields) => Check::Digits {
                fields,
                digits: digits(value),
            },
            Test::Above(field) => Check::Above {
                field,
                bound: number()?,
            },
            Test::Below(field) => Check::Below {
                field,
                bound: number()?,
            },
            Test::After(field) => Check::After {
                field,
                at: moment()?,
            },
            Test::Before(field) => Check::Before {
                field,
                at: moment()?,
            },
            Test::Text(field) => Check::Texts {
                field: field.into(),
                any: vec![fold(value)],
            },
            Test::Texts(field) => Check::Texts {
                field: field.into(),
                any: csv(value),
            },
            Test::Like(field) => Check::Like {
                field,
                part: fold(value),
            },
            Test::Flag(field) => Check::Flag {
                field,
                on: switch(value).ok_or_else(unreadable)?,
            },
            Test::Tags => Check::Tags { any: csv(value) },
            Test::Value(list) => Check::Value {
                list,
                value: fold(value),
            },
            Test::Phone => Check::Phone {
                digits: digits(value),
            },
        })
    }
}

/// Custom fields match a text, or a range of days written `from,to`.
fn custom(param: &str, value: &str) -> Check {
    let day = |text: &str| text.is_empty() || moments::is_date(text);
    match value.split_once(',') {
        Some((from, to)) if day(from) && day(to) => Check::Days {
            field: param.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        },
        _ => Check::Texts {
            field: param.to_owned().into(),
            any: vec![fold(value)],
        },
    }
}

impl Check {
    /// What the check looks at, for messages.
    pub(super) fn field(&self) -> &str {
        match self {
            Self::Numbers { field, .. }
            | Self::Above { field, .. }
            | Self::Below { field, .. }
            | Self::After { field, .. }
            | Self::Before { field, .. }
            | Self::Like { field, .. }
            | Self::Flag { field, .. }
            | Self::Given { field, .. }
            | Self::Members { list: field, .. }
            | Self::Value { list: field, .. } => field,
            Self::Digits { fields, .. } => fields.first().copied().unwrap_or_default(),
            Self::Texts { field, .. } => field,
            Self::Days { field, .. } => field,
            Self::Tags { .. } => "tags",
            Self::Phone { .. } => "phones",
        }
    }

    pub(super) fn passes(&self, record: &Record) -> bool {
        let value = |field: &str| match field.split_once('.') {
            Some((outer, inner)) => record.get(outer)?.get(inner),
            None => record.get(field),
        };
        let number = |field: &str| value(field).and_then(Value::as_f64);
        let moment = |field: &str| {
            value(field)
                .and_then(Value::as_str)
                .and_then(moments::parse)
        };
        match self {
            Self::Numbers { field, any } => value(field)
                .and_then(Value::as_i64)
                .is_some_and(|number| any.contains(&number)),
            Self::Above { field, bound } => number(field).is_some_and(|number| number > *bound),
            Self::Below { field, bound } => number(field).is_some_and(|number| number < *bound),
            Self::After { field, at } => moment(field).is_some_and(|moment| moment > *at),
            Self::Before { field, at } => moment(field).is_some_and(|moment| moment < *at),
            Self::Texts { field, any } => {
                value(field).is_some_and(|value| any.contains(&fold(&plain(value))))
            }
            Self::Like { field, part } => value(field)
                .and_then(Value::as_str)
                .is_some_and(|text| fold(text).contains(part)),
            Self::Flag { field, on } => value(field).is_some_and(truthy) == *on,
            Self::Tags { any } => tags(record).any(|tag| any.contains(&fold(tag))),
            Self::Value { list, value } => {
                values(record, list).any(|candidate| fold(candidate) == *value)
            }
            Self::Phone { digits: wanted } => {
                values(record, "phones").any(|candidate| digits(candidate) == *wanted)
            }
            Self::Digits {
                fields,
                digits: wanted,
            } => fields
                .iter()
                .filter_map(|field| value(field)?.as_str())
                .any(|number| digits(number) == *wanted),
            Self::Members { list, field, any } => items(record, list)
                .filter_map(|item| item.get(field)?.as_i64())
                .any(|id| any.contains(&id)),
            Self::Given { field, on } => value(field).is_some_and(|value| !value.is_null()) == *on,
            Self::Days { field, from, to } => {
                value(field).and_then(Value::as_str).is_some_and(|day| {
                    (from.is_empty() || day >= from.as_str())
                        && (to.is_empty() || day <= to.as_str())
                })
            }
        }
    }
}

/// The tags of a record; old ones are objects with a name.
pub(super) fn tags(record: &Record) -> impl Iterator<Item = &str> {
    items(record, "tags").filter_map(|tag| tag.as_str().or_else(|| tag.get("name")?.as_str()))
}

/// The values of a list of `{value}`.
pub(super) fn values<'a>(record: &'a Record, list: &str) -> impl Iterator<Item = &'a str> {
    items(record, list).filter_map(|item| item.get("value")?.as_str())
}

fn items<'a>(record: &'a Record, list: &str) -> impl Iterator<Item = &'a Value> {
    record
        .get(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A phone's digits without separators and the North American `1`.
pub(super) fn digits(phone: &str) -> String {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix('1') {
        Some(national) if national.len() == 10 => national.to_owned(),
        _ => digits,
    }
}

/// Reads a switch of a query or a body: `true`, `1`, `false`, `0`.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Flags are 0 and 1 mostly, and booleans now and then.
pub(super) fn truthy(value: &Value) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| value.as_i64().is_some_and(|number| number != 0))
}

fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

fn csv(value: &str) -> Vec<String> {
    value.split(',').map(|part| fold(part.trim())).collect()
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}
