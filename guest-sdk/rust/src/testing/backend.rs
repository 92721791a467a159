//! The host's imports, answered by the fake app that runs on this thread.

use super::{App, RUNNING, key};
use crate::error::Error;
use crate::http::{Failure, Request, Response};
use crate::log::Level;
use crate::settings::{Holder, MacAlgorithm};
use crate::state::{Entry, StateError};

fn running<T>(use_app: impl FnOnce(&mut App) -> T) -> Option<T> {
    let app = RUNNING.with_borrow(Clone::clone)?;
    // Busy while it answers: an answerer sees no fake app around it.
    let mut app = app.try_borrow_mut().ok()?;
    Some(use_app(&mut app))
}

pub(crate) fn send(request: Request) -> Result<Response, Failure> {
    running(|app| app.reply(request))
        .unwrap_or_else(|| Err(Failure::Denied("no fake app is running".into())))
}

pub(crate) fn send_all(requests: Vec<Request>) -> Vec<Result<Response, Failure>> {
    requests.into_iter().map(send).collect()
}

pub(crate) fn field(holder: Holder, name: &str) -> Option<String> {
    running(|app| app.fields.get(&(key(holder), name.to_owned())).cloned())?
}

pub(crate) fn mac(
    _holder: Holder,
    slot: &str,
    algorithm: MacAlgorithm,
    data: &[u8],
) -> Result<Vec<u8>, Error> {
    running(|app| app.mac.as_ref().map(|mac| mac(slot, algorithm, data)))
        .flatten()
        .ok_or_else(|| Error::Internal(format!("the slot {slot} has no value")))
}

pub(crate) fn verify_mac(
    holder: Holder,
    slot: &str,
    algorithm: MacAlgorithm,
    data: &[u8],
    code: &[u8],
) -> Result<bool, Error> {
    mac(holder, slot, algorithm, data).map(|expected| expected == code)
}

pub(crate) fn state_get(key: &str) -> Result<Option<Entry<String>>, StateError> {
    Ok(running(|app| app.state.get(key).cloned()).flatten())
}

pub(crate) fn state_set(key: &str, value: &str, expected: Option<u64>) -> Result<u64, StateError> {
    running(|app| {
        let present = check(app, key, expected)?;
        let entry = Entry {
            value: value.to_owned(),
            version: present + 1,
        };
        app.state.insert(key.to_owned(), entry);
        Ok(present + 1)
    })
    .unwrap_or_else(no_store)
}

pub(crate) fn state_delete(key: &str, expected: Option<u64>) -> Result<(), StateError> {
    running(|app| {
        check(app, key, expected)?;
        app.state.remove(key);
        Ok(())
    })
    .unwrap_or_else(no_store)
}

/// The present version of a key, if it is the one expected.
fn check(app: &App, key: &str, expected: Option<u64>) -> Result<u64, StateError> {
    let present = app.state.get(key).map_or(0, |entry| entry.version);
    match expected {
        Some(version) if version != present => Err(StateError::Changed(present)),
        _ => Ok(present),
    }
}

fn no_store<T>() -> Result<T, StateError> {
    Err(StateError::Unavailable("no fake app is running".into()))
}

pub(crate) fn log(level: Level, message: &str) {
    running(|app| app.log.push((level, message.to_owned())));
}

pub(crate) fn fixed_now_ms() -> Option<u64> {
    running(|app| app.now_ms)?
}

#[cfg(feature = "secrets")]
pub(crate) fn reveal(slot: &str) -> Result<String, String> {
    running(|app| app.secrets.get(slot).cloned())
        .flatten()
        .ok_or_else(|| format!("the fake app has no value of the slot {slot}"))
}
