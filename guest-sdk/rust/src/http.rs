//! Requests to the app, through the host.
//!
//! A connector never holds a secret: a request asks for the credential's own
//! placements ([`Request::authenticate`]) or names a slot and the place where
//! its value belongs ([`Request::secret`]), and the host fills that in last.
//!
//! In the sandbox a request goes to the host's `http` interface; natively it
//! goes to the fake app of [`testing`](crate::testing).

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::backend;
use crate::error::{Error, Upstream};
use crate::json;
use crate::time;

/// One HTTP request, built up step by step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The absolute URL with its query.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
    /// True to apply the placements of the credential's auth method.
    pub authenticate: bool,
    /// Further secrets.
    pub secrets: Vec<Placement>,
    /// Secrets to take out of the response.
    pub capture: Vec<Capture>,
    /// How long to wait for the whole response, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// How many bytes of decoded body to accept.
    pub max_bytes: Option<u64>,
    fault: Option<Error>,
}

/// One secret in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The slot's name, as the manifest declares it.
    pub slot: String,
    /// Text put before the secret, for example `Bearer `.
    pub prefix: String,
    /// The place to fill.
    pub place: Place,
}

/// Where in a request a secret goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The value of the header of this name.
    Header(String),
    /// The value of this query parameter.
    Query(String),
    /// The value of this field of a form body.
    FormField(String),
    /// The string at this JSON pointer of a JSON body.
    JsonPointer(String),
    /// The user name of HTTP Basic authentication.
    BasicUser,
    /// The password of HTTP Basic authentication.
    BasicPassword,
}

/// Takes a secret out of a response into a slot, while signing in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The slot to fill.
    pub slot: String,
    /// Where its value is found.
    pub source: Source,
}

/// Where in a response a secret is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The string at this JSON pointer of the body.
    JsonPointer(String),
    /// The value of the header of this name.
    Header(String),
    /// The value of the cookie of this name.
    Cookie(String),
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The host refused the request; the text says why.
    Denied(String),
    /// The response did not come in time.
    Timeout,
    /// The connection failed before a whole response was read.
    Connection(String),
    /// The body is larger than this many bytes.
    TooLarge(u64),
    /// A budget is used up; how long to wait in milliseconds, if known.
    Budget(Option<u64>),
}

impl Request {
    /// A request with any method, given in upper case.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            ..Self::default()
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A `PUT`.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A `PATCH`.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// A `DELETE`.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a query parameter, percent-encoded.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Display) -> Self {
        self.url
            .push(if self.url.contains('?') { '&' } else { '?' });
        percent_encode(name, &mut self.url);
        self.url.push('=');
        percent_encode(&value.to_string(), &mut self.url);
        self
    }

    /// Adds a query parameter if there is a value.
    #[must_use]
    pub fn query_if(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets a JSON body and its `content-type`.
    #[must_use]
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => self.body = Some(body),
            Err(error) => self.fault = Some(error.into()),
        }
        self.header("content-type", "application/json")
    }

    /// Sets a JSON body, as [`json`](Self::json) does, from a value that needs no
    /// serde. Smaller in the component, and it can't fail.
    #[must_use]
    pub fn json_value(mut self, body: &impl json::Write) -> Self {
        self.body = Some(json::text_of(body).into_bytes());
        self.header("content-type", "application/json")
    }

    /// Sets an `application/x-www-form-urlencoded` body.
    #[must_use]
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (name, value) in fields {
            if !body.is_empty() {
                body.push('&');
            }
            percent_encode(name, &mut body);
            body.push('=');
            percent_encode(value, &mut body);
        }
        self.body = Some(body.into_bytes());
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Applies the placements of the credential's own auth method.
    #[must_use]
    pub fn authenticate(mut self) -> Self {
        self.authenticate = true;
        self
    }

    /// Puts the secret of a slot in a place.
    #[must_use]
    pub fn secret(self, slot: impl Into<String>, place: Place) -> Self {
        self.secret_with_prefix(slot, "", place)
    }

    /// Puts a text and then the secret of a slot in a place.
    #[must_use]
    pub fn secret_with_prefix(
        mut self,
        slot: impl Into<String>,
        prefix: impl Into<String>,
        place: Place,
    ) -> Self {
        self.secrets.push(Placement {
            slot: slot.into(),
            prefix: prefix.into(),
            place,
        });
        self
    }

    /// Takes a secret out of the response into a slot.
    #[must_use]
    pub fn capture(mut self, slot: impl Into<String>, source: Source) -> Self {
        self.capture.push(Capture {
            slot: slot.into(),
            source,
        });
        self
    }

    /// Waits no longer than this for the whole response.
    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u32) -> Self {
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// Accepts no more than this many bytes of decoded body.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Sends the request. Any status is a response; see [`Response::success`].
    pub fn send(mut self) -> Result<Response, Error> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let wrote = self.writes();
        received(backend::send(self), wrote)
    }

    /// True for a method that changes something at the app.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// The value of a query parameter, decoded; for tests and fakes.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let (_, query) = self.url.split_once('?')?;
        query_value(query, name)
    }

    /// The body as JSON, null if it is none; for tests and fakes.
    pub fn json_body(&self) -> serde_json::Value {
        let body = self.body.as_deref().unwrap_or_default();
        serde_json::from_slice(body).unwrap_or_default()
    }
}

/// Sends requests in parallel. The answers are in the order of the requests.
/// Together they may hold 16 MiB; what comes after that fails as too large. A list of
/// more requests than the call may still make is refused as a whole.
pub fn send_all(mut requests: Vec<Request>) -> Vec<Result<Response, Error>> {
    if let Some(fault) = requests.iter_mut().find_map(|request| request.fault.take()) {
        return requests.iter().map(|_| Err(fault.clone())).collect();
    }
    let wrote: Vec<bool> = requests.iter().map(Request::writes).collect();
    backend::send_all(requests)
        .into_iter()
        .zip(wrote)
        .map(|(answer, wrote)| received(answer, wrote))
        .collect()
}

fn received(answer: Result<Response, Failure>, wrote: bool) -> Result<Response, Error> {
    match answer {
        Ok(response) => Ok(Response { wrote, ..response }),
        Err(failure) => Err(Error::from_failure(failure, wrote)),
    }
}

/// One HTTP response. A redirect comes back as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: Vec<u8>,
    pub(crate) wrote: bool,
}

impl Response {
    /// A response, for fakes.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self {
            status,
            headers,
            body,
            wrote: false,
        }
    }

    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The response itself if its status is 2xx, else the error it means.
    pub fn success(self) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            _ => Err(Error::from_response(&self)),
        }
    }

    /// The same for a list: the app's refusal of a list (400, 422) is nobody's input's
    /// fault, so it is [`Error::Upstream`].
    pub fn listed(self) -> Result<Self, Error> {
        let status = self.status;
        self.success().map_err(|error| match error {
            Error::InvalidInput(_) => Error::Upstream(Upstream {
                status: Some(status),
                message: error.to_string(),
                ..Upstream::default()
            }),
            error => error,
        })
    }

    /// The app's clock: its `Date` header, in milliseconds since the Unix epoch.
    pub fn date_ms(&self) -> Option<u64> {
        time::parse_http_date(self.header("date")?)
    }

    /// The URL of the next page in a `Link` header (RFC 8288).
    pub fn next_link(&self) -> Option<&str> {
        // A URL may hold a comma, but no `<`.
        let links = self.header("link")?.split('<').skip(1);
        links
            .filter_map(|link| link.split_once('>'))
            .find_map(|(url, parameters)| {
                let is_next = |parameter: &str| {
                    let (name, value) = parameter.split_once('=').unwrap_or_default();
                    let relations = value.trim().trim_matches('"');
                    name.trim() == "rel" && relations.split(' ').any(|one| one == "next")
                };
                let mut parameters = parameters.trim_end_matches([' ', ',']).split(';');
                parameters.any(is_next).then_some(url)
            })
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Error::unexpected(format!("the app's answer is not UTF-8: {error}")))
    }

    /// The body as a JSON document. Types may borrow from the response.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_str(self.text()?).map_err(|error| {
            Error::unexpected(format!(
                "the app's answer is not the JSON expected: {error}"
            ))
        })
    }

    /// The body as the raw text of a JSON document.
    pub fn raw_json(&self) -> Result<&RawValue, Error> {
        self.json()
    }
}

/// Everything but the unreserved characters of RFC 3986 becomes `%XX`.
fn percent_encode(text: &str, out: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or('0');
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

/// The value of a parameter of a query or a form, decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| percent_decode(key) == name)
        .map(|(_, value)| percent_decode(value))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.split_at_checked(2))
            .flatten()
            .and_then(|(hex, after)| {
                let hex = std::str::from_utf8(hex).ok()?;
                Some((u8::from_str_radix(hex, 16).ok()?, after))
            });
        let (byte, after) = match escaped {
            Some(found) => found,
            None if first == b'+' => (b' ', tail),
            None => (first, tail),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text for use as one segment of a URL's path.
pub fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    percent_encode(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{FakeApp, Reply};

    #[test]
    fn queries_are_encoded_and_read_back() {
        let request = Request::get("https://api.example.com/x?a=1")
            .query("q", "Zoë & co/100%+")
            .query("n", 5)
            .query_if("none", None::<u8>);
        assert_eq!(
            request.url,
            "https://api.example.com/x?a=1&q=Zo%C3%AB%20%26%20co%2F100%25%2B&n=5"
        );
        assert_eq!(request.query_value("q").as_deref(), Some("Zoë & co/100%+"));
        assert_eq!(request.query_value("a").as_deref(), Some("1"));
        assert_eq!(request.query_value("none"), None);
        assert_eq!(path_segment("a/b ../ü"), "a%2Fb%20..%2F%C3%BC");
    }

    #[test]
    fn bodies_carry_their_type() {
        let form = Request::post("https://x.example").form(&[("a b", "1&2"), ("c", "")]);
        assert_eq!(form.body.unwrap(), b"a%20b=1%262&c=");
        assert_eq!(form.headers[0].1, "application/x-www-form-urlencoded");
        let json = Request::post("https://x.example").json(&BTreeMap::from([("a", 1)]));
        assert_eq!(json.json_body(), serde_json::json!({"a": 1}));
        assert_eq!(json.headers[0].1, "application/json");
    }

    #[test]
    fn secrets_are_named_and_never_held() {
        let request = Request::get("https://x.example")
            .authenticate()
            .secret("key", Place::Query("k".into()))
            .secret_with_prefix("token", "Bearer ", Place::Header("Authorization".into()))
            .capture("token", Source::JsonPointer("/t".into()));
        assert!(request.authenticate);
        assert_eq!(request.secrets[1].prefix, "Bearer ");
        assert_eq!(request.capture[0].slot, "token");
    }

    #[test]
    fn a_body_that_cannot_be_written_is_an_error_when_sent() {
        let unwritable = BTreeMap::from([((1, 2), 3)]);
        let request = Request::post("https://x.example").json(&unwritable);
        assert!(matches!(request.clone().send(), Err(Error::Internal(_))));
        let answers = send_all(vec![Request::get("https://x.example"), request]);
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, Err(Error::Internal(_))))
        );
    }

    #[test]
    fn answers_in_parallel_keep_their_order() {
        let _app = FakeApp::new()
            .answer(|request| Some(Reply::json(200, request.query_value("n")?)))
            .start();
        let requests = (0..5)
            .map(|n| Request::get("https://x.example").query("n", n))
            .collect();
        let numbers: Vec<u8> = send_all(requests)
            .into_iter()
            .map(|answer| answer.unwrap().json().unwrap())
            .collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn without_a_fake_app_every_request_is_denied() {
        assert!(matches!(
            Request::get("https://x.example").send(),
            Err(Error::Internal(_))
        ));
    }
}
