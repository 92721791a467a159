//! A simulator of the Follow Up Boss HTTP API.
//!
//! It serves people with all that belongs to them, users, deals, what an
//! account is set up with, `/identity` and `/me` under `/v1`, with the paging,
//! filters, rate limits, errors and oddities described in the Follow Up Boss
//! API reference and by its users. A test starts it with [`Simulator::start`],
//! points its client at [`Simulator::url`], and can look behind the scenes: the
//! records ([`Account`], which a simulator dereferences to), the log of
//! requests, the faults ordered with [`Simulator::fail_next`], and what goes
//! wrong by chance ([`Troubles`]).
//!
//! Where the reference says nothing, this was chosen:
//! - A trashed person keeps its record with the stage `Trash`. Lists show it
//!   with `includeTrash=true` only, and so does `GET /people/{id}`, which
//!   otherwise answers 404, as do writes. A deleted deal (`includeDeleted`,
//!   status `Deleted`) and a deleted appointment (`includeDeleted`; nothing in
//!   it tells) are kept likewise; all else is erased. An archived deal is found
//!   by its id.
//! - A 429, like any refusal, has the body `{"errorMessage": "..."}`.
//! - Credentials with a password are bad credentials.
//! - An expired account answers 403 everywhere but at `POST /events`.
//! - `fields=allCustom` sends the id and the custom fields, `allFields`
//!   everything but `relationships`. Only people and users know `fields`; deals
//!   always send their custom fields, unset ones as null.
//! - A task's `isCompleted` is 0 or 1, a note's `isHtml` a boolean (though old
//!   records differ), unknown query parameters are ignored.
//! - A method that a resource lacks is 405: `DELETE /calls/{id}`, changes of
//!   text messages and events, writes of emails, smart lists, ponds, timeframes,
//!   groups and deal custom fields.
//! - Deals have no time of change: `updatedAfter` is ignored there, and
//!   `sort=updated` refused. What an account is set up with (teams, stages,
//!   custom fields and so on) has no times at all.
//! - A call can be changed by the system that logged it; unregistered clients
//!   count as one system. Calls made in the app can't be changed (403).
//! - Teams and stages are changed by admins; types, outcomes, pipelines and
//!   custom fields by the owner; others are answered 403. Deleting a type, an
//!   outcome or a stage without naming its heir is 400, as is renaming or
//!   deleting a protected stage and deleting a pipeline with deals.
//! - Appointments between `start` and `end` are those which overlap the span;
//!   who makes one is not invited unless named.
//! - An email has `from`, `to`, `cc` and `bcc` as lists of `{name, email}`; who
//!   sent it is in `relatedPeople`.
//! - The array of `/peopleRelationships` is `peoplerelationships`; teams have a
//!   `next` with an offset, the other short lists none.
//! - Of two people that are merged one stays, with what belonged to both; the other
//!   one is erased.
//! - `teamLeaderOf` and `groups` of users do not follow teams and groups.
//!
//! More such choices are noted in `paging.rs`, `filters.rs`, `write.rs`,
//! `customs.rs`, `events.rs`, `relations.rs` and `limits.rs`. Not simulated:
//! webhooks and the resources that have no [`Kind`]. `records.rs` is
//! where a further resource begins.

mod account;
mod bulk;
mod columns;
mod customs;
mod data;
mod events;
mod faults;
mod filters;
mod journal;
mod limits;
mod made;
mod messy;
mod moments;
mod oauth;
mod paging;
mod records;
mod relations;
mod reply;
mod resources;
mod routes;
mod select;
mod setup;
mod shapes;
mod store;
mod troubles;
mod world;
mod write;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;

pub use account::{Account, AccountConfig};
pub use data::Dataset;
pub use faults::{Fault, Hold};
pub use journal::LoggedRequest;
pub use limits::{Allowances, RateLimits};
pub use oauth::{OAuthApp, PASSWORD};
pub use records::Kind;
pub use troubles::Troubles;

use limits::Limiter;
use world::World;

use crate::serving::{Bound, Serving};

/// A registered system: the pair sent as `X-System` and `X-System-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// The system's name.
    pub name: String,
    /// The key issued to it.
    pub key: String,
}

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; by default a free port of the loopback interface.
    pub listen: SocketAddr,
    /// The accounts, of which the first is the one a [`Simulator`] stands for.
    pub accounts: Vec<AccountConfig>,
    /// Systems that get the higher limits.
    pub systems: Vec<System>,
    /// How requests are limited.
    pub limits: RateLimits,
    /// How long a person created by request cannot be found by what is made
    /// for it: notes, tasks, calls and so on. None by default.
    pub settling: Duration,
    /// The client app that people are signed in with.
    pub oauth: OAuthApp,
    /// How many of the latest requests are kept in the log.
    pub journal_capacity: usize,
}

impl Config {
    /// The owner's key of the default account.
    pub const API_KEY: &'static str = "fka_demo";

    /// One account with these records; its owner's key is [`Self::API_KEY`].
    pub fn new(dataset: Dataset) -> Self {
        Self::of(AccountConfig::new(dataset).key(Self::API_KEY, 1))
    }

    /// One account.
    pub fn of(account: AccountConfig) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            accounts: vec![account],
            systems: Vec::new(),
            limits: RateLimits::default(),
            settling: Duration::ZERO,
            oauth: OAuthApp::default(),
            journal_capacity: 10_000,
        }
    }

    /// The same with one more account.
    pub fn account(mut self, account: AccountConfig) -> Self {
        self.accounts.push(account);
        self
    }

    /// The same with one more registered system.
    pub fn system(mut self, name: impl Into<String>, key: impl Into<String>) -> Self {
        self.systems.push(System {
            name: name.into(),
            key: key.into(),
        });
        self
    }

    /// The same with other rate limits.
    pub fn limits(self, limits: RateLimits) -> Self {
        Self { limits, ..self }
    }

    /// The same, listening elsewhere.
    pub fn listen(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new(Dataset::demo())
    }
}

/// A running simulator, on a thread of its own. It dereferences to its first
/// [`Account`] and stops, cutting its connections, when dropped.
#[derive(Debug)]
pub struct Simulator {
    world: Arc<World>,
    primary: Arc<Account>,
    serving: Serving,
}

impl Simulator {
    /// Starts to serve; requests are accepted from when this returns. It may
    /// be called inside or outside an async runtime.
    pub fn start(config: Config) -> io::Result<Self> {
        let bound = Bound::to(config.listen)?;
        let world = Arc::new(World::new(format!("http://{}", bound.address), config));
        let primary = world
            .accounts
            .first()
            .cloned()
            .ok_or_else(|| io::Error::other("a simulator needs an account"))?;
        let router = Router::new()
            .fallback(world::serve)
            .with_state(Arc::clone(&world));
        let serving = bound.serve("follow-up-boss-sim", router)?;
        Ok(Self {
            world,
            primary,
            serving,
        })
    }

    /// `http://127.0.0.1:PORT`, without the `/v1`.
    pub fn url(&self) -> &str {
        &self.world.url
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Stops at once; open connections are cut.
    pub fn shutdown(self) {
        drop(self);
    }

    /// The account with this id.
    pub fn account(&self, id: u64) -> Option<&Account> {
        self.world
            .accounts
            .iter()
            .find(|account| account.id == id)
            .map(Arc::as_ref)
    }

    /// The requests logged so far, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.world.journal.entries()
    }

    /// Waits until `count` requests were logged, and returns them. It waits
    /// for ever: wrap it in a timeout.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<LoggedRequest> {
        self.world.journal.wait_for(count).await;
        self.requests()
    }

    /// Forgets the logged requests and counts anew.
    pub fn clear_requests(&self) {
        self.world.journal.clear();
    }

    /// The next `count` requests get this fault. Several orders are served
    /// one after the other.
    pub fn fail_next(&self, count: usize, fault: Fault) {
        self.world.faults.order("", count, fault);
    }

    /// The next `count` requests to paths starting with `prefix`, such as
    /// `/v1/notes`, get this fault.
    pub fn fail_next_at(&self, prefix: &str, count: usize, fault: Fault) {
        self.world.faults.order(prefix, count, fault);
    }

    /// From now on things go wrong by chance; with none, nothing does.
    pub fn trouble(&self, troubles: Option<Troubles>) {
        self.world.luck.set(troubles);
    }

    /// Sets how many seconds the clock that answers are dated by is ahead of the one
    /// that records are; negative: behind.
    pub fn set_clock(&self, ahead: i64) {
        self.world.clock.store(ahead, Ordering::Relaxed);
    }

    /// Cancels the faults not yet served.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Changes the client app that people are signed in with.
    pub fn change_oauth(&self, change: impl FnOnce(&mut OAuthApp)) {
        self.world.oauth.change(change);
    }

    /// How often refresh tokens were used, successfully or not.
    pub fn refreshes(&self) -> usize {
        self.world.oauth.refreshes()
    }

    /// Access tokens that were given out are no longer good.
    pub fn end_access(&self) {
        self.world.oauth.end_access();
    }

    /// Nor are refresh tokens.
    pub fn end_sign_ins(&self) {
        self.world.oauth.end_everything();
    }

    /// Sets other limits and forgets what was counted.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        *self.world.limiter.lock() = Limiter::new(limits);
    }

    /// Sets how long new people cannot be found by new notes and tasks.
    pub fn set_settling(&self, settling: Duration) {
        *self.world.settling.lock() = settling;
    }
}

impl Deref for Simulator {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.primary
    }
}
