//! Query strings, read once and asked by name.
//!
//! Names that nobody asks for are ignored; of a repeated name the last value counts. `+` is a space, as forms write it.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeBounds;

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::error::ApiError;

/// A decoded query string.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the query of an address. 400 if a name or value is not UTF-8 or holds U+0000.
    pub fn of(uri: &Uri) -> Result<Query, ApiError> {
        Query::parse(uri.query().unwrap_or_default())
    }

    /// Decodes the text after the `?`.
    pub fn parse(text: &str) -> Result<Query, ApiError> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).map_err(|problem| ApiError::invalid_query(name, problem))?;
            let value =
                decoded(value).map_err(|problem| ApiError::invalid_query(&name, problem))?;
            pairs.push((name, value));
        }
        Ok(Query(pairs))
    }

    /// The parameter's text, empty or not.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    }

    /// The parameter as a whole number within `range`; decimal digits only.
    pub fn number(
        &self,
        name: &str,
        range: impl RangeBounds<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than we count to are a number all the same.
        let number = text.parse::<u64>().unwrap_or(u64::MAX);
        if digits && range.contains(&number) {
            Ok(Some(number))
        } else {
            Err(unusable(name, bounds(&range), text))
        }
    }

    /// The parameter as a yes or no: `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(unusable(name, "true or false", other)),
        }
    }

    /// The parameter as a comma-separated list of at most `most` entries; blanks around entries and empty entries don't count.
    pub fn list(&self, name: &str, most: usize) -> Result<Option<Vec<&str>>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let entries: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .collect();
        if entries.len() > most {
            let problem = format!("has {} entries, at most {most} are allowed", entries.len());
            return Err(ApiError::invalid_query(name, problem));
        }
        Ok(Some(entries))
    }

    /// All pairs in the order of the address, repeated names included.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn unusable(name: &str, wanted: impl Display, found: &str) -> ApiError {
    ApiError::invalid_query(
        name,
        format_args!("must be {wanted}, not {}", crate::error::quoted(found)),
    )
}

/// "a whole number", "a whole number from 1 to 10", …
fn bounds(range: &impl RangeBounds<u64>) -> String {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let least = match range.start_bound() {
        Included(least) => Some(*least),
        Excluded(below) => Some(below.saturating_add(1)),
        Unbounded => None,
    };
    let most = match range.end_bound() {
        Included(most) => Some(*most),
        Excluded(above) => Some(above.saturating_sub(1)),
        Unbounded => None,
    };
    match (least, most) {
        (None, None) => "a whole number".to_owned(),
        (Some(least), None) => format!("a whole number, {least} or more"),
        (least, Some(most)) => format!("a whole number from {} to {most}", least.unwrap_or(0)),
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let spaced = if text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    };
    let text = percent_decode_str(&spaced).decode_utf8();
    let text = text.map_err(|_| "is not valid UTF-8 text")?;
    // No database takes it, and nothing we compare with contains it.
    if text.contains('\0') {
        return Err("holds the character U+0000");
    }
    Ok(text.into_owned())
}
