//! Takes secrets out of a response before the guest sees it.

use http::header::{HeaderMap, SET_COOKIE};
use serde_json::Value;

use crate::Secret;
use crate::redact::BLANK;

/// Where in a response a secret is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The string at this JSON pointer (RFC 6901) of the body.
    JsonPointer(String),
    /// The value of the header of this name.
    Header(String),
    /// The value of the cookie of this name.
    Cookie(String),
}

/// Takes a secret out of a response and into a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The slot to fill.
    pub slot: String,
    /// Where its value is found.
    pub source: Source,
}

/// Takes what the captures name. `headers` are those the app sent; what is
/// taken out of `body` is blanked there. A source that is not in the response,
/// or is empty there, fills nothing: an error answer has no token.
///
/// A taken value may stand elsewhere in the response too; blanking those places
/// is the caller's part.
pub(crate) fn take(
    captures: &[Capture],
    headers: &HeaderMap,
    body: &mut Vec<u8>,
) -> Vec<(String, Secret)> {
    let wants_body = captures
        .iter()
        .any(|one| matches!(one.source, Source::JsonPointer(_)));
    let mut document: Option<Value> = wants_body
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    let mut blanked = false;
    let mut taken = Vec::new();
    // Several captures may name one value, so all are read before any is blanked.
    for capture in captures {
        let value = match &capture.source {
            Source::JsonPointer(pointer) => document
                .as_ref()
                .and_then(|document| document.pointer(pointer))
                .and_then(Value::as_str)
                .map(str::to_owned),
            Source::Header(name) => headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            Source::Cookie(name) => cookie(headers, name),
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            taken.push((capture.slot.clone(), Secret::from(value)));
        }
    }
    for capture in captures {
        if let (Source::JsonPointer(pointer), Some(document)) = (&capture.source, &mut document)
            && let Some(place) = document.pointer_mut(pointer)
            && place.as_str().is_some_and(|text| !text.is_empty())
        {
            *place = Value::String(BLANK.to_owned());
            blanked = true;
        }
    }
    if blanked && let Some(Ok(clean)) = document.map(|document| serde_json::to_vec(&document)) {
        *body = clean;
    }
    taken
}

/// The value that the response gives the cookie; the last one counts, as in a browser.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .rev()
        .filter_map(|line| line.to_str().ok())
        .filter_map(|line| line.split(';').next()?.split_once('='))
        .find(|(present, _)| present.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use http::HeaderValue;

    use super::*;

    fn capture(slot: &str, source: Source) -> Capture {
        Capture {
            slot: slot.to_owned(),
            source,
        }
    }

    fn plain(taken: &[(String, Secret)]) -> Vec<(&str, &str)> {
        taken
            .iter()
            .map(|(slot, value)| (slot.as_str(), value.expose()))
            .collect()
    }

    #[test]
    fn every_source_is_read_and_the_body_blanked() {
        let mut headers = HeaderMap::new();
        headers.insert("x-token", HeaderValue::from_static("from-header"));
        for line in [
            "other=1",
            "session=old; Path=/",
            "session=from-cookie; HttpOnly",
            "xsession=no",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_str(line).unwrap());
        }
        let mut body = br#"{"data":{"token":"from-body","n":1},"list":["a","b"]}"#.to_vec();
        let captures = [
            capture("a", Source::JsonPointer("/data/token".into())),
            capture("b", Source::JsonPointer("/list/1".into())),
            capture("c", Source::Header("X-Token".into())),
            capture("d", Source::Cookie("session".into())),
            capture("e", Source::JsonPointer("/data/token".into())),
        ];
        let taken = take(&captures, &headers, &mut body);
        assert_eq!(
            plain(&taken),
            [
                ("a", "from-body"),
                ("b", "b"),
                ("c", "from-header"),
                ("d", "from-cookie"),
                ("e", "from-body")
            ]
        );
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"data":{"token":"[redacted]","n":1},"list":["a","[redacted]"]}"#
        );
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let untouched = [
            r#"{"token":""}"#,
            r#"{"token":null}"#,
            r#"{"token":12}"#,
            r#"{"token":{"a":"b"}}"#,
            "{}",
            "[]",
            r#"{"token":"cut"#,
            "<html>",
            "",
        ];
        for text in untouched {
            let mut body = text.as_bytes().to_vec();
            let captures = [
                capture("a", Source::JsonPointer("/token".into())),
                capture("b", Source::Header("x-token".into())),
                capture("c", Source::Cookie("token".into())),
            ];
            let taken = take(&captures, &HeaderMap::new(), &mut body);
            assert!(taken.is_empty(), "{text}");
            assert_eq!(body, text.as_bytes());
        }
    }
}
