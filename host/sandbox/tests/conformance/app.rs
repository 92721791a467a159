//! The host of a conformance call: an app with prepared answers, and a record of
//! everything that the guest did.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rollout_sandbox::{Header, Host, LogLevel, MacAlgorithm, Scope, SlotError, http, state};

type Answer = Result<http::Response, http::Failure>;

/// What a guest meets outside.
#[derive(Default)]
pub(crate) struct App {
    /// The answers, by URL. Whatever has none is denied.
    answers: BTreeMap<String, Answer>,
    /// The credential's public fields.
    fields: BTreeMap<String, String>,
    /// The environment's settings.
    settings: BTreeMap<String, String>,
    /// Slots that may be read in clear.
    revealed: BTreeMap<String, String>,
    /// How many requests a call may make, if not as many as usual.
    most: Option<usize>,
    requests: Mutex<Vec<http::Request>>,
    stored: Mutex<BTreeMap<String, (String, u64)>>,
    lines: Mutex<Vec<(LogLevel, String)>>,
}

impl App {
    /// An app that answers this to a path.
    pub(crate) fn on(mut self, path: &str, answer: Answer) -> Self {
        self.answers
            .insert(format!("https://api.conformance.example{path}"), answer);
        self
    }

    /// Sets a public field of the credential.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a setting of the environment.
    pub(crate) fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Grants a slot to be read in clear.
    pub(crate) fn reveals(mut self, slot: &str, value: &str) -> Self {
        self.revealed.insert(slot.to_owned(), value.to_owned());
        self
    }

    /// Allows so many requests only.
    pub(crate) fn allowing(mut self, requests: usize) -> Self {
        self.most = Some(requests);
        self
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<http::Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The lines logged so far.
    pub(crate) fn lines(&self) -> Vec<(LogLevel, String)> {
        self.lines.lock().unwrap().clone()
    }
}

/// A response with a body.
pub(crate) fn response(status: u16, body: &str) -> Answer {
    Ok(http::Response {
        status,
        headers: vec![header("x-one", "1"), header("x-two", "2")],
        body: body.as_bytes().to_vec(),
        extra: None,
    })
}

/// A header.
pub(crate) fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn present(
    stored: &BTreeMap<String, (String, u64)>,
    key: &str,
    expected: Option<u64>,
) -> Result<u64, state::StateError> {
    match key {
        "large" => Err(state::StateError::TooLarge("larger than 64 KiB".into())),
        "down" => Err(state::StateError::Unavailable("the store sleeps".into())),
        _ => {
            let version = stored.get(key).map_or(0, |(_, version)| *version);
            match expected {
                Some(expected) if expected != version => Err(state::StateError::Changed(version)),
                _ => Ok(version),
            }
        }
    }
}

#[async_trait::async_trait]
impl Host for App {
    async fn send(&self, request: http::Request) -> Answer {
        let answer = self.answers.get(&request.url).cloned();
        self.requests.lock().unwrap().push(request);
        answer.unwrap_or_else(|| Err(http::Failure::Denied("no such address".into())))
    }

    fn requests_left(&self) -> usize {
        self.most.unwrap_or(1000)
    }

    fn field(&self, scope: Scope, name: &str) -> Option<String> {
        match scope {
            Scope::Credential => self.fields.get(name).cloned(),
            Scope::App => self.settings.get(name).cloned(),
        }
    }

    /// Not a code but what one is made of, so that a test sees each argument arrive.
    fn mac(
        &self,
        scope: Scope,
        slot: &str,
        algorithm: MacAlgorithm,
        data: &[u8],
    ) -> Result<Vec<u8>, SlotError> {
        match slot {
            "unknown" => Err(SlotError::Unknown(slot.into())),
            "not-signing" => Err(SlotError::NotSigning(slot.into())),
            "empty" => Err(SlotError::Empty(slot.into())),
            _ => {
                let text = String::from_utf8_lossy(data);
                Ok(format!("{scope:?} {slot} {algorithm:?} {text}").into_bytes())
            }
        }
    }

    fn verify_mac(
        &self,
        scope: Scope,
        slot: &str,
        algorithm: MacAlgorithm,
        data: &[u8],
        code: &[u8],
    ) -> Result<bool, SlotError> {
        self.mac(scope, slot, algorithm, data)?;
        Ok(code == b"good")
    }

    async fn state_get(&self, key: String) -> Result<Option<state::Entry>, state::StateError> {
        let stored = self.stored.lock().unwrap();
        let entry = |(value, version): &(String, u64)| state::Entry {
            value: value.clone(),
            version: *version,
        };
        Ok(stored.get(&key).map(entry))
    }

    async fn state_set(
        &self,
        key: String,
        value: String,
        expected: Option<u64>,
    ) -> Result<u64, state::StateError> {
        let mut stored = self.stored.lock().unwrap();
        // Steps of ten: a guest that counts by itself is found out.
        let version = present(&stored, &key, expected)? + 10;
        stored.insert(key, (value, version));
        Ok(version)
    }

    async fn state_delete(
        &self,
        key: String,
        expected: Option<u64>,
    ) -> Result<(), state::StateError> {
        let mut stored = self.stored.lock().unwrap();
        present(&stored, &key, expected)?;
        stored.remove(&key);
        Ok(())
    }

    fn reveal(&self, slot: &str) -> Result<String, String> {
        let value = self.revealed.get(slot).cloned();
        value.ok_or_else(|| format!("the slot `{slot}` stays sealed"))
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.lines.lock().unwrap().push((level, message.to_owned()));
    }
}
