//! A fake app, so that a connector is tested with plain `cargo test`, and two
//! checks that every connector wants: of its manifest ([`assert_manifest`]) and of
//! its records ([`assert_items`]).
//!
//! A test says what the app answers, starts the fake, calls the connector's
//! own functions and looks at what was sent. The fake belongs to the thread of
//! the test; requests that it has no answer for are denied.
//!
//! ```
//! use rollout_connector::testing::{FakeApp, Reply};
//! use rollout_connector::{Error, Request};
//!
//! fn first_name(id: u32) -> Result<String, Error> {
//!     let url = format!("https://api.tinycrm.example/contacts/{id}");
//!     let contact: serde_json::Value = Request::get(url).authenticate().send()?.success()?.json()?;
//!     Ok(contact["first"].as_str().unwrap_or_default().to_owned())
//! }
//!
//! let app = FakeApp::new()
//!     .on("GET https://api.tinycrm.example/contacts/7", Reply::json(200, r#"{"first": "Ada"}"#))
//!     .on("GET https://api.tinycrm.example/contacts/8", Reply::json(404, r#"{"message": "gone"}"#))
//!     .start();
//!
//! assert_eq!(first_name(7)?, "Ada");
//! assert_eq!(first_name(8), Err(Error::NotFound("gone".into())));
//! assert_eq!(app.sent(), [
//!     "GET https://api.tinycrm.example/contacts/7",
//!     "GET https://api.tinycrm.example/contacts/8",
//! ]);
//! assert!(app.requests().iter().all(|request| request.authenticate));
//! # Ok::<(), Error>(())
//! ```

pub(crate) mod backend;
mod catalogue;
mod connector;
mod guard;
mod items;
mod manifest;
mod nearest;
mod oauth;
mod schema;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use connector::{
    Capability, Exported, attempt_actions, attempt_entities, attempt_nothing, attempt_triggers,
};
pub use connector::{assert_manifest, manifest_faults};
use guard::Guard;
pub use items::{assert_items, item_faults};
pub use manifest::document_faults;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::capability::Manifest;
use crate::http::{Failure, Request, Response};
use crate::log::Level;
use crate::settings::{Holder, MacAlgorithm};
use crate::state::Entry;

thread_local! {
    static RUNNING: RefCell<Option<Rc<RefCell<App>>>> = const { RefCell::new(None) };
}

/// A file of the connector's own crate, by its path from the crate's folder, for
/// example `fixtures/contacts.json`.
///
/// # Panics
/// If it can't be read; the message names it.
#[track_caller]
pub fn fixture(path: &str) -> String {
    // Set by cargo for the tests that it runs.
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let file = std::path::Path::new(&folder).join(path);
    let text = std::fs::read_to_string(&file);
    assert!(text.is_ok(), "can't read {}: {text:?}", file.display());
    text.unwrap_or_default()
}

/// What the fake app answers to one request: a response or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Result<Response, Failure>);

impl Reply {
    /// A JSON answer: text, or a `serde_json::Value`.
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self::text(status, body).header("content-type", "application/json")
    }

    /// A JSON answer out of a [`fixture`].
    ///
    /// # Panics
    /// If the file can't be read.
    #[track_caller]
    pub fn fixture(status: u16, path: &str) -> Self {
        Self::json(status, fixture(path))
    }

    /// An answer with any body.
    pub fn text(status: u16, body: impl ToString) -> Self {
        Self(Ok(Response::new(
            status,
            Vec::new(),
            body.to_string().into_bytes(),
        )))
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self::text(status, "")
    }

    /// No answer.
    pub fn failure(failure: Failure) -> Self {
        Self(Err(failure))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(response) = &mut self.0 {
            response
                .headers
                .push((name.to_ascii_lowercase(), value.to_owned()));
        }
        self
    }
}

type Answerer = Box<dyn FnMut(&Request) -> Option<Reply>>;
type Mac = Box<dyn Fn(&str, MacAlgorithm, &[u8]) -> Vec<u8>>;

#[derive(Default)]
struct App {
    routes: BTreeMap<String, VecDeque<Reply>>,
    answerer: Option<Answerer>,
    requests: Vec<Request>,
    fields: BTreeMap<(&'static str, String), String>,
    mac: Option<Mac>,
    #[cfg(feature = "secrets")]
    secrets: BTreeMap<String, String>,
    state: BTreeMap<String, Entry<String>>,
    log: Vec<(Level, String)>,
    now_ms: Option<u64>,
    guard: Option<Guard>,
}

/// A fake app in the making. See the [module](self).
#[derive(Default)]
pub struct FakeApp(App);

impl FakeApp {
    /// A fake app that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The app of this connector, behind its manifest: a request that the host would
    /// deny by it is denied (a host that is not named, a slot that is not bound to the
    /// place, a header that is not the connector's to set). The plan is the first one.
    pub fn of<T: Manifest>() -> Self {
        let manifest = serde_json::from_str(&T::describe()).unwrap_or_default();
        Self(App {
            guard: Some(Guard(manifest)),
            ..App::default()
        })
    }

    /// Answers a route, written `GET https://host/path` without a query. Given
    /// several times, the replies come one after another, and the last stays.
    #[must_use]
    pub fn on(mut self, route: &str, reply: Reply) -> Self {
        self.0
            .routes
            .entry(route.to_owned())
            .or_default()
            .push_back(reply);
        self
    }

    /// Answers whatever no route answers.
    #[must_use]
    pub fn answer(mut self, answer: impl FnMut(&Request) -> Option<Reply> + 'static) -> Self {
        self.0.answerer = Some(Box::new(answer));
        self
    }

    /// Sets a public field of the credential.
    #[must_use]
    pub fn credential_field(self, name: &str, value: &str) -> Self {
        self.set_field(Holder::Credential, name, value)
    }

    /// Sets a public setting of the environment.
    #[must_use]
    pub fn app_field(self, name: &str, value: &str) -> Self {
        self.set_field(Holder::App, name, value)
    }

    fn set_field(mut self, holder: Holder, name: &str, value: &str) -> Self {
        self.0
            .fields
            .insert((key(holder), name.to_owned()), value.to_owned());
        self
    }

    /// Makes the codes of `mac` and `verify_mac`, given slot, algorithm and data.
    #[must_use]
    pub fn mac(mut self, mac: impl Fn(&str, MacAlgorithm, &[u8]) -> Vec<u8> + 'static) -> Self {
        self.0.mac = Some(Box::new(mac));
        self
    }

    /// Lets [`secrets::reveal`](crate::secrets::reveal) answer for a slot.
    #[cfg(feature = "secrets")]
    #[must_use]
    pub fn secret(mut self, slot: &str, value: &str) -> Self {
        self.0.secrets.insert(slot.to_owned(), value.to_owned());
        self
    }

    /// Sets the clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(mut self, now_ms: u64) -> Self {
        self.0.now_ms = Some(now_ms);
        self
    }

    /// Starts the fake on this thread, in place of one that may be running.
    /// It ends when the answer is dropped.
    pub fn start(self) -> Running {
        let app = Rc::new(RefCell::new(self.0));
        RUNNING.set(Some(Rc::clone(&app)));
        Running(app)
    }
}

/// A fake app at work.
pub struct Running(Rc<RefCell<App>>);

impl Running {
    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// The requests so far, as `GET https://host/path?query`.
    pub fn sent(&self) -> Vec<String> {
        let line = |request: &Request| format!("{} {}", request.method, request.url);
        self.0.borrow().requests.iter().map(line).collect()
    }

    /// Takes the requests so far.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.borrow_mut().requests)
    }

    /// The lines logged so far.
    pub fn log(&self) -> Vec<(Level, String)> {
        self.0.borrow().log.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| {
            if running.as_ref().is_some_and(|app| Rc::ptr_eq(app, &self.0)) {
                *running = None;
            }
        });
    }
}

fn key(holder: Holder) -> &'static str {
    match holder {
        Holder::Credential => "credential",
        Holder::App => "app",
    }
}

impl App {
    fn reply(&mut self, request: Request) -> Result<Response, Failure> {
        let fields = &self.fields;
        let field = |name: &str| {
            let of = |holder| fields.get(&(key(holder), name.to_owned()));
            of(Holder::Credential).or_else(|| of(Holder::App)).cloned()
        };
        let guard = self.guard.as_ref();
        if let Some(why) = guard.and_then(|guard| guard.refusal(&request, field)) {
            self.requests.push(request);
            return Err(Failure::Denied(why));
        }
        let path = request.url.split('?').next().unwrap_or_default();
        let route = format!("{} {path}", request.method);
        let scripted = self
            .routes
            .get_mut(&route)
            .and_then(|replies| match replies.len() {
                1 => replies.front().cloned(),
                _ => replies.pop_front(),
            });
        let reply = match (scripted, &mut self.answerer) {
            (Some(reply), _) => Some(reply),
            (None, Some(answer)) => answer(&request),
            (None, None) => None,
        };
        self.requests.push(request);
        match reply {
            Some(Reply(answer)) => answer,
            None => Err(Failure::Denied(format!(
                "the fake app has no answer to {route}"
            ))),
        }
    }
}
