//! Two signatures, each made with the environment's client secret.
//!
//! `X-Rollout-Signature` is the hexadecimal HMAC-SHA256 of the body's base64 text. What
//! the Standard Webhooks specification describes (`webhook-id`, `webhook-timestamp`,
//! `webhook-signature`) also covers the id and the time; its libraries want the key as
//! `whsec_` and the base64 of the client secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

const SIGNATURE: HeaderName = HeaderName::from_static("x-rollout-signature");
const CREDENTIAL: HeaderName = HeaderName::from_static("x-rollout-credential-id");
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURES: HeaderName = HeaderName::from_static("webhook-signature");

/// What is signed.
pub(crate) struct Message<'a> {
    /// The event's id.
    pub(crate) id: &'a str,
    /// When it is sent, in seconds since 1970.
    pub(crate) timestamp: i64,
    /// The exact body.
    pub(crate) body: &'a [u8],
    /// Whose records; none: nobody's.
    pub(crate) credential_id: Option<&'a str>,
}

/// The headers of a delivery. `secrets` are those that are valid, the present one first:
/// while one replaces another, receivers that look at one signature still have the old.
pub(crate) fn headers(message: &Message<'_>, secrets: &[&[u8]]) -> HeaderMap {
    let Message {
        id,
        timestamp,
        body,
        credential_id,
    } = message;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut put = |name: HeaderName, text: &str| {
        // Ids, numbers and base64 are always text that a header can have.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    let oldest = secrets.last().copied().unwrap_or_default();
    let code = code(oldest, &[STANDARD.encode(body).as_bytes()]);
    let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    put(SIGNATURE, &hex);
    put(ID, id);
    let timestamp = timestamp.to_string();
    put(TIMESTAMP, &timestamp);
    let head = format!("{id}.{timestamp}.");
    let signatures = secrets.iter().map(|secret| {
        let code = self::code(secret, &[head.as_bytes(), body]);
        format!("v1,{}", STANDARD.encode(code))
    });
    put(SIGNATURES, &signatures.collect::<Vec<_>>().join(" "));
    if let Some(credential) = credential_id {
        put(CREDENTIAL, credential);
    }
    headers
}

fn code(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of every length, so the error cannot occur.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
    mac.finalize().into_bytes().to_vec()
}
