//! The host's imports, in the SDK's terms.

use crate::bindings::host::rollout::connector::{app, credential, http, log, state, types};
use crate::error::Error;
use crate::http::{Capture, Failure, Place, Placement, Request, Response, Source};
use crate::log::Level;
use crate::settings::{Holder, MacAlgorithm};
use crate::state::{Entry, StateError};

pub(crate) fn send(request: Request) -> Result<Response, Failure> {
    answer(http::send(&wire(request)))
}

pub(crate) fn send_all(requests: Vec<Request>) -> Vec<Result<Response, Failure>> {
    let requests: Vec<_> = requests.into_iter().map(wire).collect();
    http::send_all(&requests).into_iter().map(answer).collect()
}

fn wire(request: Request) -> http::Request {
    http::Request {
        method: request.method,
        url: request.url,
        headers: request
            .headers
            .into_iter()
            .map(|(name, value)| types::Header { name, value })
            .collect(),
        body: request.body,
        authenticate: request.authenticate,
        secrets: request.secrets.into_iter().map(placement).collect(),
        capture: request.capture.into_iter().map(capture).collect(),
        timeout_ms: request.timeout_ms,
        max_bytes: request.max_bytes,
        extra: None,
    }
}

fn placement(placement: Placement) -> http::Placement {
    http::Placement {
        slot: placement.slot,
        prefix: placement.prefix,
        place: match placement.place {
            Place::Header(name) => http::Place::Header(name),
            Place::Query(name) => http::Place::Query(name),
            Place::FormField(name) => http::Place::FormField(name),
            Place::JsonPointer(pointer) => http::Place::JsonPointer(pointer),
            Place::BasicUser => http::Place::BasicUser,
            Place::BasicPassword => http::Place::BasicPassword,
        },
    }
}

fn capture(capture: Capture) -> http::Capture {
    http::Capture {
        slot: capture.slot,
        source: match capture.source {
            Source::JsonPointer(pointer) => http::Source::JsonPointer(pointer),
            Source::Header(name) => http::Source::Header(name),
            Source::Cookie(name) => http::Source::Cookie(name),
        },
    }
}

fn answer(answer: Result<http::Response, http::Failure>) -> Result<Response, Failure> {
    match answer {
        Ok(response) => Ok(Response::new(
            response.status,
            response
                .headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
            response.body,
        )),
        Err(failure) => Err(match failure {
            http::Failure::Denied(why) => Failure::Denied(why),
            http::Failure::Timeout => Failure::Timeout,
            http::Failure::Connection(why) => Failure::Connection(why),
            http::Failure::TooLarge(bytes) => Failure::TooLarge(bytes),
            http::Failure::Budget(wait) => Failure::Budget(wait),
        }),
    }
}

pub(crate) fn field(holder: Holder, name: &str) -> Option<String> {
    match holder {
        Holder::Credential => credential::field(name),
        Holder::App => app::field(name),
    }
}

pub(crate) fn mac(
    holder: Holder,
    slot: &str,
    algorithm: MacAlgorithm,
    data: &[u8],
) -> Result<Vec<u8>, Error> {
    let algorithm = mac_algorithm(algorithm);
    match holder {
        Holder::Credential => credential::mac(slot, algorithm, data),
        Holder::App => app::mac(slot, algorithm, data),
    }
    .map_err(slot_error)
}

pub(crate) fn verify_mac(
    holder: Holder,
    slot: &str,
    algorithm: MacAlgorithm,
    data: &[u8],
    code: &[u8],
) -> Result<bool, Error> {
    let algorithm = mac_algorithm(algorithm);
    match holder {
        Holder::Credential => credential::verify_mac(slot, algorithm, data, code),
        Holder::App => app::verify_mac(slot, algorithm, data, code),
    }
    .map_err(slot_error)
}

fn mac_algorithm(algorithm: MacAlgorithm) -> types::MacAlgorithm {
    match algorithm {
        MacAlgorithm::HmacSha1 => types::MacAlgorithm::HmacSha1,
        MacAlgorithm::HmacSha256 => types::MacAlgorithm::HmacSha256,
        MacAlgorithm::HmacSha512 => types::MacAlgorithm::HmacSha512,
        MacAlgorithm::Sha256OfSlotAndData => types::MacAlgorithm::Sha256OfSlotAndData,
    }
}

fn slot_error(error: types::SlotError) -> Error {
    Error::Internal(match error {
        types::SlotError::Unknown(slot) => format!("the manifest declares no slot {slot}"),
        types::SlotError::NotSigning(slot) => format!("the slot {slot} is not marked signing"),
        types::SlotError::Empty(slot) => format!("the slot {slot} has no value"),
    })
}

pub(crate) fn state_get(key: &str) -> Result<Option<Entry<String>>, StateError> {
    state::get(key)
        .map(|entry| {
            entry.map(|entry| Entry {
                value: entry.value,
                version: entry.version,
            })
        })
        .map_err(state_error)
}

pub(crate) fn state_set(key: &str, value: &str, expected: Option<u64>) -> Result<u64, StateError> {
    state::set(key, value, expected).map_err(state_error)
}

pub(crate) fn state_delete(key: &str, expected: Option<u64>) -> Result<(), StateError> {
    state::delete(key, expected).map_err(state_error)
}

fn state_error(error: state::StateError) -> StateError {
    match error {
        state::StateError::Changed(version) => StateError::Changed(version),
        state::StateError::TooLarge(why) => StateError::TooLarge(why),
        state::StateError::Unavailable(why) => StateError::Unavailable(why),
    }
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => log::Level::Trace,
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::write(level, message);
}

pub(crate) fn fixed_now_ms() -> Option<u64> {
    None
}

#[cfg(feature = "secrets")]
pub(crate) fn reveal(slot: &str) -> Result<String, String> {
    crate::bindings::secrets::rollout::connector::secrets::reveal(slot)
}
