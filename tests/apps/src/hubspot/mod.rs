//! A simulator of the HubSpot API: the contacts of one account, and signing in to it.
//!
//! It serves `/crm/v3/objects/contacts` with lists, searches and batches,
//! `/crm/v3/properties/contacts`, `/account-info/v3/details`, and OAuth with its pages
//! and tokens, with the limits, errors and oddities of HubSpot's published
//! specifications. A test starts it with [`Simulator::start`], points its client at
//! [`Simulator::url`], and can look behind the scenes.
//!
//! Where the specifications say nothing, this was chosen:
//! - A list's `after` is the next id, in base64.
//! - What a write changed is answered with the properties that were written, not all.
//! - Emails are kept in lower case, and no two contacts share one, primary or further.
//! - `lifecyclestage` moves forward only; a step back is ignored without a word, unless
//!   the stage was cleared before.
//! - A search's values are compared as numbers or moments where the property is one,
//!   else as texts without regard to case. Without a sort it is by id.
//! - What was just written shows up in searches after [`Config::indexing`]; until then
//!   they find a contact as it was.
//! - A contact that was merged into another is gone, and reading it by id answers the
//!   other.
//! - Archived contacts can be neither read by id nor written.
//! - A person signs in with [`EMAIL`] and [`PASSWORD`].
//!
//! Not simulated: associations, histories of properties, other objects, lists, webhooks.

mod account;
mod contacts;
mod limits;
mod oauth;
mod properties;
mod reply;
mod routes;
mod search;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::Value;

use crate::serving::{Bound, Serving};

pub use limits::RateLimits;
pub use oauth::{EMAIL, OAuthApp, PASSWORD};

use account::{Account, Fault};

/// The scope to read contacts.
pub const READ: &str = "crm.objects.contacts.read";
/// The scope to write contacts.
pub const WRITE: &str = "crm.objects.contacts.write";

/// The token of a private app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateApp {
    /// The token.
    pub token: String,
    /// What it may do.
    pub scopes: Vec<String>,
}

impl PrivateApp {
    /// A private app with these scopes.
    pub fn new(token: &str, scopes: &[&str]) -> Self {
        Self {
            token: token.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        }
    }
}

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; by default a free port of the loopback interface.
    pub listen: SocketAddr,
    /// The account's id.
    pub hub_id: u64,
    /// Its private apps.
    pub private_apps: Vec<PrivateApp>,
    /// The app that people sign in for.
    pub oauth: OAuthApp,
    /// How requests are limited.
    pub limits: RateLimits,
    /// How long searches lag behind; not at all by default.
    pub indexing: Duration,
    /// How many contacts there are to begin with.
    pub contacts: u64,
}

impl Config {
    /// The token of the account's private app, which may read and write contacts.
    pub const TOKEN: &'static str = "pat-na1-11111111-2222-3333-4444-555555555555";

    /// The same with so many contacts to begin with.
    pub fn contacts(self, contacts: u64) -> Self {
        Self { contacts, ..self }
    }

    /// The same with other rate limits.
    pub fn limits(self, limits: RateLimits) -> Self {
        Self { limits, ..self }
    }

    /// The same with searches that lag behind.
    pub fn indexing(self, indexing: Duration) -> Self {
        Self { indexing, ..self }
    }

    /// The same with one more private app.
    pub fn private_app(mut self, app: PrivateApp) -> Self {
        self.private_apps.push(app);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            hub_id: 62515,
            private_apps: vec![PrivateApp::new(Self::TOKEN, &["oauth", READ, WRITE])],
            oauth: OAuthApp::default(),
            limits: RateLimits::default(),
            indexing: Duration::ZERO,
            contacts: 0,
        }
    }
}

/// One request as the simulator saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The body as text; empty when there was none.
    pub body: String,
    /// The status answered.
    pub status: u16,
}

/// A running simulator, on a thread of its own. It stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    account: Arc<Account>,
    serving: Serving,
}

impl Simulator {
    /// Starts to serve; requests are accepted from when this returns.
    pub fn start(config: Config) -> io::Result<Self> {
        let bound = Bound::to(config.listen)?;
        let account = Arc::new(Account::new(config));
        let state = Arc::clone(&account);
        let router = Router::new().fallback(routes::serve).with_state(state);
        let serving = bound.serve("hubspot-sim", router)?;
        Ok(Self { account, serving })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.serving.address)
    }

    /// Makes a contact with these properties, which are not checked; answers its id.
    pub fn insert(&self, properties: Value) -> String {
        let mut contacts = self.account.contacts.lock();
        contacts.insert(properties::of(&properties)).to_string()
    }

    /// Changes properties of a contact; false if there is none.
    pub fn update(&self, id: &str, properties: Value) -> bool {
        let mut contacts = self.account.contacts.lock();
        let changed = number(id).and_then(|id| contacts.change(id, properties::of(&properties)));
        changed.is_some()
    }

    /// Archives a contact; false if there is none.
    pub fn archive(&self, id: &str) -> bool {
        let mut contacts = self.account.contacts.lock();
        number(id).is_some_and(|id| contacts.archive(id))
    }

    /// Merges the second contact into the first; false if one of them is missing.
    pub fn merge(&self, primary: &str, other: &str) -> bool {
        let mut contacts = self.account.contacts.lock();
        let ids = number(primary).zip(number(other));
        ids.is_some_and(|(primary, other)| contacts.merge(primary, other))
    }

    /// The contacts that are not archived, with all their properties, by id.
    pub fn contacts(&self) -> Vec<Value> {
        self.account.contacts.lock().whole()
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.account.log.lock().clone()
    }

    /// The next `count` requests get this answer and are not processed.
    pub fn fail_next(&self, count: usize, status: u16, body: &Value) {
        self.order(count, status, body, false);
    }

    /// The next request is processed and gets this status, without a word of what was
    /// done.
    pub fn lose_next(&self, status: u16) {
        self.order(1, status, &Value::Null, true);
    }

    fn order(&self, count: usize, status: u16, body: &Value, processed: bool) {
        let fault = Fault {
            status,
            body: body.clone(),
            processed,
        };
        let mut faults = self.account.faults.lock();
        faults.extend(std::iter::repeat_n(fault, count));
    }

    /// Cancels the faults not yet served.
    pub fn clear_faults(&self) {
        self.account.faults.lock().clear();
    }

    /// Changes the app that people sign in for.
    pub fn change_oauth(&self, change: impl FnOnce(&mut OAuthApp)) {
        self.account.oauth.change(change);
    }

    /// Access tokens that were given out are no longer good.
    pub fn end_access(&self) {
        self.account.oauth.end_access();
    }

    /// The account takes the app off: nothing that was given out is good any more.
    pub fn uninstall(&self) {
        self.account.oauth.end_everything();
    }

    /// How often refresh tokens were used, successfully or not.
    pub fn refreshes(&self) -> usize {
        self.account.oauth.refreshes()
    }
}

fn number(id: &str) -> Option<u64> {
    id.parse().ok()
}
