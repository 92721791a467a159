//! Paging: the query of a list, `_metadata`, and the opaque `next`.
//!
//! `next` is base64 of JSON. Sorted by id it is `{"sinceId":105}`, otherwise
//! it also names the order and the last value, so that a page continues after
//! `(value, id)` whatever was added before it; users, a small list, get
//! `{"offset":30}`. Both forms are read everywhere.
//!
//! Not stated by the Follow Up Boss API reference and chosen here: a `limit`
//! above 100 is cut to 100, one that is not a positive number is refused;
//! `next` wins over `offset`; a `next` made under another `sort` is refused;
//! `_metadata.offset` is 0 on pages reached by `next`; the depth rule also
//! holds for an offset hidden in `next`; base64 is the standard alphabet with
//! padding, so a client which does not percent-encode it fails.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::filters::{self, Check};
use super::records::{Hidden, NextForm, Record, Resource};
use super::reply::Refusal;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;
/// Offsets from here on are refused.
const DEEP: usize = 2000;

/// The field a list is sorted by, and the direction. Equal values are in the
/// order of their ids, in the same direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) field: Cow<'static, str>,
    pub(super) descending: bool,
}

impl Order {
    fn default_of(resource: &Resource) -> Self {
        let (field, descending) = resource.default_order;
        Self {
            field: field.into(),
            descending,
        }
    }

    fn parse(resource: &Resource, sort: &str) -> Result<Self, Refusal> {
        let (field, descending) = match sort.strip_prefix('-') {
            Some(field) => (field, true),
            None => (sort, false),
        };
        if !resource.sortable.contains(&field) && !resource.is_custom(field) {
            return Err(Refusal::bad_request(format!(
                "Invalid sort field '{field}'."
            )));
        }
        Ok(Self {
            field: field.to_owned().into(),
            descending,
        })
    }

    fn written(&self) -> String {
        let sign = if self.descending { "-" } else { "" };
        format!("{sign}{}", self.field)
    }
}

/// The last record of a page: the next one continues after it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) since: Value,
    pub(super) id: u64,
}

/// The fields sent of each record. `id` always is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    standard: bool,
    custom: bool,
    named: Vec<String>,
}

impl Selection {
    /// `fields`: a csv of names, `allCustom` (custom fields only) or
    /// `allFields`; without it, everything but custom fields and those which
    /// have to be named.
    pub(super) fn parse(resource: &Resource, params: &[(String, String)]) -> Self {
        let mut selection = Self::default();
        let wanted = param(params, "fields").filter(|_| resource.selectable);
        for name in wanted.into_iter().flat_map(|names| names.split(',')) {
            match name.trim() {
                "allFields" => (selection.standard, selection.custom) = (true, true),
                "allCustom" => selection.custom = true,
                name => selection.named.push(name.to_owned()),
            }
        }
        selection.standard |= wanted.is_none();
        selection
    }

    pub(super) fn standard() -> Self {
        Self {
            standard: true,
            ..Self::default()
        }
    }

    /// Everything a record has, for snapshots.
    pub(super) fn everything(resource: &Resource) -> Self {
        Self {
            standard: true,
            custom: true,
            named: resource
                .on_request
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        }
    }

    pub(super) fn shows(&self, resource: &Resource, field: &str) -> bool {
        if field.starts_with('_') {
            return false;
        }
        // Where fields cannot be chosen, custom ones are sent like the others.
        let by_default = if resource.is_custom(field) && resource.selectable {
            self.custom
        } else {
            self.standard && !resource.on_request.contains(&field)
        };
        by_default || field == "id" || self.named.iter().any(|name| name == field)
    }

    /// The record as it is sent.
    pub(super) fn of(&self, resource: &Resource, record: &Record) -> Record {
        record
            .iter()
            .filter(|(field, _)| self.shows(resource, field))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect()
    }
}

/// A list request, understood.
#[derive(Debug)]
pub(super) struct ListQuery {
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) after: Option<Mark>,
    pub(super) order: Order,
    pub(super) checks: Vec<Check>,
    /// What is left out.
    pub(super) hidden: Vec<&'static Hidden>,
    pub(super) selection: Selection,
}

impl ListQuery {
    pub(super) fn parse(
        resource: &'static Resource,
        params: &[(String, String)],
    ) -> Result<Self, Refusal> {
        check_scope(resource, params)?;
        let number = |name: &str, default: usize| match param(params, name) {
            None => Ok(default),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| Refusal::bad_request(format!("Invalid value for '{name}'."))),
        };
        let sort = param(params, "sort")
            .map(|sort| Order::parse(resource, sort))
            .transpose()?;
        let mut query = Self {
            limit: number("limit", DEFAULT_LIMIT)?.min(MAX_LIMIT),
            offset: number("offset", 0)?,
            after: None,
            order: sort.clone().unwrap_or_else(|| Order::default_of(resource)),
            checks: filters::checks(resource, params)?,
            hidden: left_out(resource, params),
            selection: Selection::parse(resource, params),
        };
        if query.limit == 0 {
            return Err(Refusal::bad_request("Invalid value for 'limit'."));
        }
        if let Some(token) = param(params, "next") {
            query.continue_from(resource, token, sort.as_ref())?;
        }
        if query.offset >= DEEP {
            return Err(Refusal::bad_request(
                "Deep pagination disabled, use 'next' instead of 'offset'.",
            ));
        }
        Ok(query)
    }

    fn continue_from(
        &mut self,
        resource: &Resource,
        token: &str,
        sort: Option<&Order>,
    ) -> Result<(), Refusal> {
        let invalid = || Refusal::bad_request("Invalid value for 'next'.");
        let bytes = STANDARD.decode(token).map_err(|_| invalid())?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        self.offset = 0;
        if let Some(offset) = token.get("offset").and_then(Value::as_u64) {
            self.offset = usize::try_from(offset).map_err(|_| invalid())?;
            return Ok(());
        }
        let id = token
            .get("sinceId")
            .and_then(Value::as_u64)
            .ok_or_else(invalid)?;
        let since = match token.get("sort").and_then(Value::as_str) {
            Some(written) => {
                let order = Order::parse(resource, written)?;
                if sort.is_some_and(|sort| *sort != order) {
                    return Err(invalid());
                }
                self.order = order;
                token.get("since").cloned().ok_or_else(invalid)?
            }
            // The short form says nothing of the field: it is the id.
            None => {
                if sort.is_none() {
                    self.order.field = "id".into();
                }
                if self.order.field != "id" {
                    return Err(invalid());
                }
                Value::from(id)
            }
        };
        self.after = Some(Mark { since, id });
        Ok(())
    }

    /// The token of the page after this one, which ended at `last`.
    fn token(&self, resource: &Resource, last: &Mark) -> Option<String> {
        let token = match resource.next {
            NextForm::Absent => return None,
            NextForm::Offset => json!({ "offset": self.offset + self.limit }),
            NextForm::Keyset if self.order.field == "id" => json!({ "sinceId": last.id }),
            NextForm::Keyset => json!({
                "sort": self.order.written(),
                "since": last.since,
                "sinceId": last.id,
            }),
        };
        Some(STANDARD.encode(token.to_string()))
    }

    /// `_metadata` of a page which has a successor when `last` is given.
    pub(super) fn metadata(
        &self,
        resource: &Resource,
        total: usize,
        last: Option<&Mark>,
        link: &Link<'_>,
    ) -> Value {
        let mut metadata = json!({
            "collection": resource.collection,
            "offset": self.offset,
            "limit": self.limit,
            "total": total,
        });
        let next = last.and_then(|last| self.token(resource, last));
        if let (Some(fields), Some(next)) = (metadata.as_object_mut(), next) {
            let next_link = link.written(resource, self.limit, &next);
            fields.insert("next".to_owned(), next.into());
            fields.insert("nextLink".to_owned(), next_link.into());
        }
        metadata
    }
}

/// What `nextLink` is made of: the server's address and the query received.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) base: &'a str,
    pub(super) query: &'a str,
}

impl Link<'_> {
    /// The other parameters are kept as they came. The doubled `&` is the
    /// API's own.
    fn written(&self, resource: &Resource, limit: usize, next: &str) -> String {
        let kept: String = self
            .query
            .split('&')
            .filter(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                !matches!(name, "" | "limit" | "offset" | "next")
            })
            .map(|pair| format!("&{pair}"))
            .collect();
        let next = next
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        format!(
            "{}/v1/{}?limit={limit}{kept}&&next={next}",
            self.base, resource.path
        )
    }
}

/// The first value of a parameter.
pub(super) fn param<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// Whether a switch of the query is on.
pub(super) fn is_on(params: &[(String, String)], name: &str) -> bool {
    param(params, name).and_then(filters::switch) == Some(true)
}

/// The hidden records which the query does not ask for.
fn left_out(resource: &'static Resource, params: &[(String, String)]) -> Vec<&'static Hidden> {
    let named = |hidden: &Hidden| {
        let value = hidden.named_by.and_then(|name| param(params, name));
        value.is_some_and(|value| value.eq_ignore_ascii_case(hidden.value))
    };
    resource
        .hidden
        .iter()
        .filter(|hidden| !is_on(params, hidden.unless) && !named(hidden))
        .collect()
}

/// Whether the query asks for deleted records too.
pub(super) fn shows_gone(resource: &Resource, params: &[(String, String)]) -> bool {
    let mut gone = resource.hidden.iter().filter(|hidden| hidden.gone);
    gone.any(|hidden| is_on(params, hidden.unless))
}

/// Refuses a list which lacks the parameters it needs.
fn check_scope(resource: &Resource, params: &[(String, String)]) -> Result<(), Refusal> {
    let given = |name: &&str| param(params, name).is_some_and(|value| !value.is_empty());
    if let Some(scope) = &resource.scope
        && !scope.any.iter().any(given)
    {
        return Err(Refusal::bad_request(scope.refusal));
    }
    match resource.pair {
        Some((one, other)) if given(&one) != given(&other) => Err(Refusal::bad_request(format!(
            "Both '{one}' and '{other}' must be specified, or neither."
        ))),
        _ => Ok(()),
    }
}
