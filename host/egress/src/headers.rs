//! Which headers pass, in both directions.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::Failure;

/// Most headers of a request or a response.
pub const MAX_HEADERS: usize = 100;

/// Most bytes of all header names and values of a request or a response.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Headers that belong to one connection and not to the message.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Headers that the host writes itself, or that make a server act on another
/// host, path or method than the ones that were checked.
const HOST_ONLY: [&str; 10] = [
    "content-length",
    "expect",
    "forwarded",
    "host",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
];

/// Beginnings of further ones: `x-forwarded-host`, `x-original-url`, `x-rewrite-url`.
const HOST_ONLY_PREFIXES: [&str; 4] = ["proxy-", "x-forwarded-", "x-original-", "x-rewrite-"];

/// Headers that only a placement may fill.
const PLACEMENT_ONLY: [&str; 3] = ["authorization", "cookie", "cookie2"];

/// True if nothing, not even a placement, may set this header (lower case).
pub(crate) fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &&str| name.starts_with(prefix);
    HOP_BY_HOP.contains(&name) || HOST_ONLY.contains(&name) || HOST_ONLY_PREFIXES.iter().any(begins)
}

/// True if a request may bring this header (lower case) itself.
pub fn may_be_set(name: &str) -> bool {
    !is_reserved(name) && !PLACEMENT_ONLY.contains(&name)
}

/// The guest's headers, checked. `accept-encoding` is left out: the host
/// decodes bodies and asks only for what it can decode.
pub(crate) fn outgoing(headers: &[(String, String)]) -> Result<HeaderMap, Failure> {
    if headers.len() > MAX_HEADERS {
        return Err(Failure::Denied(format!(
            "the request has {} headers; at most {MAX_HEADERS} are allowed",
            headers.len()
        )));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(Failure::Denied(format!(
            "the request's headers are {bytes} bytes; at most {MAX_HEADER_BYTES} are allowed"
        )));
    }
    let mut map = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            Failure::Denied(format!(
                "header name {name:?} has characters that are not allowed"
            ))
        })?;
        if is_reserved(name.as_str()) {
            return Err(Failure::Denied(format!(
                "header `{name}` is the host's to set: leave it out"
            )));
        }
        if PLACEMENT_ONLY.contains(&name.as_str()) {
            return Err(Failure::Denied(format!(
                "header `{name}` is filled from a slot only: leave it out and name a slot with the place \
                 {{\"header\":\"{name}\"}} in the request's secrets or in the plan's placements"
            )));
        }
        if name == http::header::ACCEPT_ENCODING {
            continue;
        }
        let value = HeaderValue::from_str(value).map_err(|_| {
            Failure::Denied(format!(
                "the value of header `{name}` has a line break or another control character"
            ))
        })?;
        map.append(name, value);
    }
    Ok(map)
}

/// The response's headers as the guest sees them: names in lower case, without
/// cookies and without what belongs to the connection.
pub(crate) fn incoming(headers: &HeaderMap) -> Result<Vec<(String, String)>, Failure> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(Failure::Connection(format!(
            "the app answered with {} headers of {bytes} bytes; at most {MAX_HEADERS} of \
             {MAX_HEADER_BYTES} bytes are accepted",
            headers.len()
        )));
    }
    let named = headers.get_all(http::header::CONNECTION);
    let named: Vec<String> = named
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    Ok(headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            !(HOP_BY_HOP.contains(&name)
                || name.starts_with("proxy-")
                || name.starts_with("set-cookie")
                || named.iter().any(|named| named == name))
        })
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect())
}
