//! Everything the server knows, and who is asking.

use std::collections::VecDeque;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use parking_lot::Mutex;
use serde_json::Value;

use super::contacts::Contacts;
use super::limits::Limiter;
use super::oauth::OAuth;
use super::reply::Reply;
use super::{Config, LoggedRequest, PrivateApp};

/// The account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) hub_id: u64,
    private_apps: Vec<PrivateApp>,
    pub(super) contacts: Mutex<Contacts>,
    pub(super) oauth: OAuth,
    pub(super) limiter: Mutex<Limiter>,
    pub(super) log: Mutex<Vec<LoggedRequest>>,
    pub(super) faults: Mutex<VecDeque<Fault>>,
}

/// An answer that a test ordered.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) body: Value,
    /// The request is processed all the same.
    pub(super) processed: bool,
}

/// Who is asking.
#[derive(Debug)]
pub(super) struct Caller {
    scopes: Vec<String>,
    /// Signed in, in place of a private app.
    pub(super) signed_in: bool,
}

impl Account {
    pub(super) fn new(config: Config) -> Self {
        let mut contacts = Contacts::new(config.indexing);
        contacts.fill(config.contacts);
        Self {
            hub_id: config.hub_id,
            private_apps: config.private_apps,
            contacts: Mutex::new(contacts),
            oauth: OAuth::new(config.oauth),
            limiter: Mutex::new(Limiter::new(config.limits)),
            log: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Whose bearer token a request has.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Reply> {
        let header = headers.get(AUTHORIZATION);
        let token = header
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .ok_or_else(|| {
                Reply::refusal(
                    401,
                    "INVALID_AUTHENTICATION",
                    "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
                )
            })?;
        if let Some(app) = self.private_apps.iter().find(|app| app.token == token) {
            return Ok(Caller {
                scopes: app.scopes.clone(),
                signed_in: false,
            });
        }
        let scopes = self.oauth.scopes(token)?;
        Ok(Caller {
            scopes,
            signed_in: true,
        })
    }
}

impl Caller {
    /// Refuses who lacks a scope.
    pub(super) fn needs(&self, scope: &str) -> Result<(), Reply> {
        match self.scopes.iter().any(|one| one == scope) {
            true => Ok(()),
            false => Err(Reply::missing_scope(scope)),
        }
    }
}
