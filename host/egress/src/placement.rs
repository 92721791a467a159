//! Puts secrets into a request: exactly into the places named, after everything
//! else is fixed and checked. Nothing is ever found by searching text.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::headers::is_reserved;
use crate::{Failure, Secret};

/// What is escaped in a query: all but the unreserved characters of RFC 3986.
pub(crate) const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest text that a placement may put before a secret, in bytes.
const MAX_PREFIX_BYTES: usize = 64;

/// Where in a request a secret goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The value of the header of this name.
    Header(String),
    /// The value of this query parameter.
    Query(String),
    /// The value of this field of a form body.
    FormField(String),
    /// The string at this JSON pointer (RFC 6901) of a JSON body.
    JsonPointer(String),
    /// The user name of HTTP Basic authentication.
    BasicUser,
    /// The password of HTTP Basic authentication.
    BasicPassword,
}

impl Place {
    /// True for the same place; header names are compared without regard to case.
    #[must_use]
    pub fn is(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Header(name), Place::Header(other)) => name.eq_ignore_ascii_case(other),
            _ => self == other,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header(name) => write!(f, "header `{name}`"),
            Place::Query(name) => write!(f, "query parameter `{name}`"),
            Place::FormField(name) => write!(f, "form field `{name}`"),
            Place::JsonPointer(pointer) => write!(f, "JSON pointer `{pointer}`"),
            Place::BasicUser => f.write_str("the user name of Basic authentication"),
            Place::BasicPassword => f.write_str("the password of Basic authentication"),
        }
    }
}

/// One slot's value in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The slot.
    pub slot: String,
    /// Text before the value, such as `Bearer ` with its space.
    pub prefix: String,
    /// The place.
    pub place: Place,
    /// True: left out while the slot has no value. For a plan's placements;
    /// false in what a request names itself.
    pub optional: bool,
}

/// A request whose places are filled one after the other.
pub(crate) struct Draft {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// Names of what is filled already: query parameters, form fields and
    /// pointers with their kind, headers in lower case.
    filled: BTreeSet<(u8, String)>,
    user: Option<Zeroizing<String>>,
    password: Option<Zeroizing<String>>,
}

impl Draft {
    pub(crate) fn new(url: Url, headers: HeaderMap, body: Option<Bytes>) -> Draft {
        Draft {
            url,
            headers,
            body,
            filled: BTreeSet::new(),
            user: None,
            password: None,
        }
    }

    /// Fills one place. The placement is checked against the bindings already.
    pub(crate) fn fill(&mut self, placement: &Placement, secret: &Secret) -> Result<(), Failure> {
        let Placement {
            slot,
            prefix,
            place,
            ..
        } = placement;
        if prefix.len() > MAX_PREFIX_BYTES {
            return Err(denied(place, slot, "its prefix is longer than 64 bytes"));
        }
        let value = Zeroizing::new([prefix, secret.expose()].concat());
        let (kind, name) = match place {
            Place::Header(name) => (0, name.to_ascii_lowercase()),
            Place::Query(name) => (1, name.clone()),
            Place::FormField(name) => (2, name.clone()),
            Place::JsonPointer(pointer) => (3, pointer.clone()),
            Place::BasicUser => (4, String::new()),
            Place::BasicPassword => (5, String::new()),
        };
        if !self.filled.insert((kind, name)) {
            return Err(denied(
                place,
                slot,
                "two placements name this place: keep one",
            ));
        }
        match place {
            Place::Header(name) => self.fill_header(name, &value),
            Place::Query(name) => self.fill_query(name, &value),
            Place::FormField(name) => self.fill_form(name, &value),
            Place::JsonPointer(pointer) => self.fill_json(pointer, &value),
            Place::BasicUser if value.contains(':') => Err(
                "a user name of Basic authentication cannot contain a colon, and this value does",
            ),
            Place::BasicUser => {
                self.user = Some(value);
                Ok(())
            }
            Place::BasicPassword => {
                self.password = Some(value);
                Ok(())
            }
        }
        .map_err(|reason| denied(place, slot, reason))
    }

    /// Writes the halves of Basic authentication, if any, as one header.
    /// Answers with `user:password`, so that it can be blanked in the answer.
    pub(crate) fn finish(&mut self) -> Result<Option<Secret>, Failure> {
        if self.user.is_none() && self.password.is_none() {
            return Ok(None);
        }
        let half = |half: &Option<Zeroizing<String>>| half.clone().unwrap_or_default();
        let pair = Zeroizing::new(
            [
                half(&self.user).as_str(),
                ":",
                half(&self.password).as_str(),
            ]
            .concat(),
        );
        if pair.contains(['\r', '\n', '\0']) {
            return Err(Failure::Denied(
                "the values for Basic authentication contain a line break or NUL: enter the secret again".into(),
            ));
        }
        let value = Zeroizing::new(["Basic ", &STANDARD.encode(pair.as_bytes())].concat());
        self.fill_header(AUTHORIZATION.as_str(), &value).map_err(|_| {
            Failure::Denied(
                "Basic authentication and the header `authorization` are filled at once: keep one of the placements".into(),
            )
        })?;
        Ok(Some(Secret::from(pair)))
    }

    fn fill_header(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| "the header's name has characters that are not allowed")?;
        if is_reserved(name.as_str()) {
            return Err("no secret may go to this header, which is the host's to set");
        }
        if self.headers.contains_key(&name) {
            return Err("the request sets this header already: leave it out of the request");
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            "the slot's value has a line break or another character that no header can hold: enter the secret again"
        })?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }

    fn fill_query(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        if self.url.query_pairs().any(|(present, _)| present == name) {
            return Err("the URL has this parameter already: leave it out of the URL");
        }
        let query = match self.url.query() {
            Some(query) if !query.is_empty() => [query, "&", &pair(name, value)].concat(),
            _ => pair(name, value),
        };
        self.url.set_query(Some(&Zeroizing::new(query)));
        Ok(())
    }

    fn fill_form(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let mut kinds = self.headers.get_all(CONTENT_TYPE).iter();
        let (Some(kind), None) = (kinds.next(), kinds.next()) else {
            return Err(
                "the request needs one header `content-type: application/x-www-form-urlencoded`",
            );
        };
        let essence = kind
            .to_str()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        if !essence
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err("the header `content-type` must be `application/x-www-form-urlencoded`");
        }
        let body = self.body.take().unwrap_or_default();
        if form_urlencoded::parse(&body).any(|(present, _)| present == name) {
            return Err("the body has this field already: leave it out of the body");
        }
        let pair = Zeroizing::new(pair(name, value));
        let separator: &[u8] = if body.is_empty() || body.ends_with(b"&") {
            b""
        } else {
            b"&"
        };
        self.body = Some(Bytes::from([&body, separator, pair.as_bytes()].concat()));
        Ok(())
    }

    fn fill_json(&mut self, pointer: &str, value: &str) -> Result<(), &'static str> {
        let body = self.body.as_deref().unwrap_or_default();
        let mut document: Value =
            serde_json::from_slice(body).map_err(|_| "the body is not a JSON document")?;
        if let Some(place) = document.pointer_mut(pointer) {
            if !place.is_string() {
                return Err("what stands at this place of the body is not a string");
            }
            *place = Value::String(value.to_owned());
        } else {
            let (parent, key) = pointer
                .rsplit_once('/')
                .ok_or("the pointer is not an RFC 6901 pointer")?;
            let Some(Value::Object(object)) = document.pointer_mut(parent) else {
                return Err("the body has no object that could hold this place");
            };
            object.insert(
                key.replace("~1", "/").replace("~0", "~"),
                Value::String(value.to_owned()),
            );
        }
        let body = serde_json::to_vec(&document).map_err(|_| "the body cannot be written again")?;
        self.body = Some(Bytes::from(body));
        Ok(())
    }
}

/// `name=value`, percent-encoded; a space is `%20`, which everybody decodes.
fn pair(name: &str, value: &str) -> String {
    format!(
        "{}={}",
        utf8_percent_encode(name, COMPONENT),
        utf8_percent_encode(value, COMPONENT)
    )
}

fn denied(place: &Place, slot: &str, reason: &str) -> Failure {
    Failure::Denied(format!("slot `{slot}` cannot go to {place}: {reason}"))
}
