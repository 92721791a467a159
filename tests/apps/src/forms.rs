//! What login and consent pages are made of: forms, and what stands in them.

use std::collections::HashMap;

use axum::extract::Query;
use axum::http::Uri;

/// A form's fields, or an address's parameters.
pub(crate) type Form = HashMap<String, String>;

/// Reads a form; what is none has no fields.
pub(crate) fn form_of(text: &str) -> Form {
    let uri = format!("/?{}", text.trim()).parse::<Uri>().ok();
    let pairs = uri.and_then(|uri| Query::try_from_uri(&uri).ok());
    pairs.map(|Query(form)| form).unwrap_or_default()
}

/// A field that the page sends along.
pub(crate) fn hidden(name: &str, value: &str) -> String {
    let (name, value) = (escaped(name), escaped(value));
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
}

/// A text as HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

/// Every byte but letters and digits percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}
