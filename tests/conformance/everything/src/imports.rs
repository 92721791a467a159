//! Every function of the host, with every kind of argument.

use std::fmt::Write;

use rollout_connector::http::Source;
use rollout_connector::log::Level;
use rollout_connector::state::StateError;
use rollout_connector::{
    Error, MacAlgorithm, Place, Request, app, credential, log, send_all, state,
};
use serde_json::{Value, json};

use crate::API;

const ALGORITHMS: [MacAlgorithm; 4] = [
    MacAlgorithm::HmacSha1,
    MacAlgorithm::HmacSha256,
    MacAlgorithm::HmacSha512,
    MacAlgorithm::Sha256OfSlotAndData,
];

/// Does what the operation is named after, and answers with what came of it.
pub(crate) fn exercise(operation: &str, id: &str, body: &Value) -> Result<Value, Error> {
    let data = body.to_string().into_bytes();
    match operation {
        "send" => send(id, data),
        "send-all" => Ok(together()),
        "fields" => Ok(json!({ "credential": credential::field(id), "app": app::field(id) })),
        "mac" => mac(id, &data),
        "verify-mac" => verify(id, &data),
        "state" => stored(id, body),
        "log" => {
            for level in [
                Level::Trace,
                Level::Debug,
                Level::Info,
                Level::Warn,
                Level::Error,
            ] {
                log::write(level, id);
            }
            Ok(json!({}))
        }
        _ => Err(Error::unsupported("conformance", operation)),
    }
}

fn send(id: &str, body: Vec<u8>) -> Result<Value, Error> {
    let mut request = Request::post(format!("{API}/send"))
        .header("content-type", "application/json")
        .header("x-id", id)
        .secret_with_prefix("s1", "Bearer ", Place::Header("x-token".to_owned()))
        .secret("s2", Place::Query("key".to_owned()))
        .secret("s3", Place::FormField("field".to_owned()))
        .secret("s4", Place::JsonPointer("/a/b".to_owned()))
        .secret("s5", Place::BasicUser)
        .secret("s6", Place::BasicPassword)
        .capture("c1", Source::JsonPointer("/token".to_owned()))
        .capture("c2", Source::Header("x-token".to_owned()))
        .capture("c3", Source::Cookie("session".to_owned()))
        .timeout_ms(1234)
        .max_bytes(5678);
    request.body = Some(body);
    let response = request.send()?;
    Ok(json!({
        "status": response.status,
        "headers": response.headers,
        "body": response.json::<Value>()?,
    }))
}

fn together() -> Value {
    let requests = (1..=3)
        .map(|n| Request::get(format!("{API}/{n}")))
        .collect();
    send_all(requests)
        .into_iter()
        .map(|answer| answer.map_or(0, |response| response.status))
        .collect()
}

fn mac(slot: &str, data: &[u8]) -> Result<Value, Error> {
    let mut codes = Vec::new();
    for make in [credential::mac, app::mac] {
        for algorithm in ALGORITHMS {
            let code = make(slot, algorithm, data)?;
            codes.push(code.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }));
        }
    }
    Ok(json!(codes))
}

fn verify(slot: &str, data: &[u8]) -> Result<Value, Error> {
    let mut answers = Vec::new();
    for verify in [credential::verify_mac, app::verify_mac] {
        for code in [&b"good"[..], b"bad"] {
            answers.push(verify(slot, MacAlgorithm::HmacSha256, data, code)?);
        }
    }
    Ok(json!(answers))
}

fn stored(key: &str, value: &Value) -> Result<Value, Error> {
    let version = state::set(key, value, Some(0))?;
    let found = state::get::<Value>(key)?;
    let lost = match state::set(key, value, Some(0)) {
        Err(StateError::Changed(version)) => Some(version),
        _ => None,
    };
    state::delete(key, Some(version))?;
    Ok(json!({
        "version": version,
        "found": found.map(|entry| json!([entry.value, entry.version])),
        "lost": lost,
        "left": state::get::<Value>(key)?.is_some(),
    }))
}
