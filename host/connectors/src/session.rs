//! What one call of a connector can reach: the sandbox's [`Host`], made of the
//! egress, the credential's public fields and its small values.
//!
//! Secrets stay in the egress's [`Access`]; only `reveal` reads one, for a connector
//! that its operator granted it to.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rollout_egress::{self as egress, Access, Grant, Redactor};
use rollout_sandbox::{Header, Host, LogLevel, MacAlgorithm, Scope, SlotError, http, state};
use rollout_store::{EnvStore, Expected, StateValue, StoreError};

use crate::policy::Fields;
use crate::way::Way;

/// An account as connectors see it: public fields, and access without insight.
#[derive(Clone)]
pub struct Account {
    pub(crate) connector: String,
    /// The credential's id; none while it is being connected.
    pub(crate) credential: Option<String>,
    pub(crate) access: Arc<Access>,
    pub(crate) fields: Arc<Fields>,
    pub(crate) settings: Arc<Fields>,
    /// Its operator allows the connector to read secrets.
    pub(crate) reveals: bool,
}

/// One call.
pub(crate) struct Session {
    account: Account,
    way: Way,
    store: Arc<EnvStore>,
}

impl Session {
    pub(crate) fn new(account: Account, way: Way, store: Arc<EnvStore>) -> Self {
        Self {
            account,
            way,
            store,
        }
    }

    /// What the call may do.
    pub(crate) fn grant(&self) -> &Grant {
        self.way.grant()
    }

    /// Why the app gives out no more tokens, if that came up.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.way.refused()
    }

    /// The connector's app key.
    pub(crate) fn connector(&self) -> &str {
        &self.account.connector
    }

    /// Blanks the credential's secrets in what a connector answers.
    pub(crate) fn redactor(&self) -> Arc<Redactor> {
        self.grant().redactor()
    }

    /// Blanks the credential's secrets in a text that people will see.
    pub(crate) fn blank(&self, text: &str) -> String {
        self.grant().redactor().redact_strict(text).into_owned()
    }

    /// A compare-and-set that lost is told which version is there.
    async fn state_failed(
        &self,
        credential: &str,
        key: &str,
        error: StoreError,
    ) -> state::StateError {
        let found = match &error {
            StoreError::Conflict(_) => self.store.state(credential, key).await.ok().flatten(),
            _ => None,
        };
        state_error(error, found.map_or(0, |found| found.version.unsigned_abs()))
    }

    fn credential(&self) -> Result<&str, state::StateError> {
        self.account.credential.as_deref().ok_or_else(|| {
            state::StateError::Unavailable(
                "there is no state before the account is connected".into(),
            )
        })
    }
}

#[async_trait]
impl Host for Session {
    async fn send(&self, request: http::Request) -> Result<http::Response, http::Failure> {
        match self.way.send(outgoing(request)).await {
            Ok(response) => Ok(http::Response {
                status: response.status,
                headers: response
                    .headers
                    .into_iter()
                    .map(|(name, value)| Header { name, value })
                    .collect(),
                body: response.body.into(),
                extra: None,
            }),
            Err(failure) => Err(match failure {
                egress::Failure::Denied(reason) => http::Failure::Denied(reason),
                egress::Failure::Timeout => http::Failure::Timeout,
                egress::Failure::Connection(reason) => http::Failure::Connection(reason),
                egress::Failure::TooLarge(bytes) => http::Failure::TooLarge(bytes),
                egress::Failure::Budget(wait) => http::Failure::Budget(
                    wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                ),
                // Nothing was sent, so it must not look like a broken connection.
                unavailable @ egress::Failure::Unavailable(_) => {
                    http::Failure::Denied(unavailable.to_string())
                }
            }),
        }
    }

    fn requests_left(&self) -> usize {
        usize::try_from(self.grant().requests_left()).unwrap_or(usize::MAX)
    }

    fn placements(&self, url: &str) -> Vec<http::Placement> {
        let placements = self.grant().placements(url).into_iter();
        placements
            .map(
                |egress::Placement {
                     slot,
                     prefix,
                     place,
                     ..
                 }| http::Placement {
                    slot,
                    prefix,
                    place: contract_place(place),
                },
            )
            .collect()
    }

    fn field(&self, scope: Scope, name: &str) -> Option<String> {
        match scope {
            Scope::Credential => self.account.fields.get(name),
            Scope::App => self.account.settings.get(name),
        }
        .cloned()
    }

    fn reveal(&self, slot: &str) -> Result<String, String> {
        if !self.account.reveals {
            return Err(rollout_sandbox::stays_sealed(slot));
        }
        let secret = self
            .grant()
            .reveal(slot)
            .map_err(|error| error.to_string())?;
        Ok(secret.expose().to_owned())
    }

    fn mac(
        &self,
        scope: Scope,
        slot: &str,
        algorithm: MacAlgorithm,
        data: &[u8],
    ) -> Result<Vec<u8>, SlotError> {
        self.account
            .access
            .mac(slot_scope(scope), slot, mac_algorithm(algorithm), data)
            .map_err(slot_error)
    }

    fn verify_mac(
        &self,
        scope: Scope,
        slot: &str,
        algorithm: MacAlgorithm,
        data: &[u8],
        code: &[u8],
    ) -> Result<bool, SlotError> {
        self.account
            .access
            .verify_mac(
                slot_scope(scope),
                slot,
                mac_algorithm(algorithm),
                data,
                code,
            )
            .map_err(slot_error)
    }

    async fn state_get(&self, key: String) -> Result<Option<state::Entry>, state::StateError> {
        let found = self.store.state(self.credential()?, &key).await;
        found
            .map(|found| found.map(entry))
            .map_err(|error| state_error(error, 0))
    }

    async fn state_set(
        &self,
        key: String,
        value: String,
        expected: Option<u64>,
    ) -> Result<u64, state::StateError> {
        let credential = self.credential()?;
        let blanking = self.redactor();
        let (key, value) = (blanking.redact(&key), blanking.redact(&value));
        let stored = self
            .store
            .set_state(credential, &key, value.as_bytes(), wanted(expected))
            .await;
        match stored {
            Ok(version) => Ok(version.unsigned_abs()),
            Err(error) => Err(self.state_failed(credential, &key, error).await),
        }
    }

    async fn state_delete(
        &self,
        key: String,
        expected: Option<u64>,
    ) -> Result<(), state::StateError> {
        let credential = self.credential()?;
        let deleted = self
            .store
            .delete_state(credential, &key, wanted(expected))
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) => Err(self.state_failed(credential, &key, error).await),
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        let line = self.blank(message);
        let connector = self.account.connector.as_str();
        let credential = self.account.credential.as_deref().unwrap_or("-");
        match level {
            LogLevel::Trace => {
                tracing::trace!(target: "connector", connector, credential, "{line}")
            }
            LogLevel::Debug => {
                tracing::debug!(target: "connector", connector, credential, "{line}")
            }
            LogLevel::Info => tracing::info!(target: "connector", connector, credential, "{line}"),
            LogLevel::Warn => tracing::warn!(target: "connector", connector, credential, "{line}"),
            LogLevel::Error => {
                tracing::error!(target: "connector", connector, credential, "{line}")
            }
        }
    }
}

fn outgoing(request: http::Request) -> egress::Request {
    egress::Request {
        method: request.method,
        url: request.url,
        headers: request
            .headers
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect(),
        body: request.body.map(Bytes::from),
        authenticate: request.authenticate,
        secrets: request
            .secrets
            .into_iter()
            .map(|placement| egress::Placement {
                slot: placement.slot,
                prefix: placement.prefix,
                place: place(placement.place),
                optional: false,
            })
            .collect(),
        capture: request
            .capture
            .into_iter()
            .map(|capture| egress::Capture {
                slot: capture.slot,
                source: match capture.source {
                    http::Source::JsonPointer(pointer) => egress::Source::JsonPointer(pointer),
                    http::Source::Header(name) => egress::Source::Header(name),
                    http::Source::Cookie(name) => egress::Source::Cookie(name),
                },
            })
            .collect(),
        timeout: request
            .timeout_ms
            .map(|ms| std::time::Duration::from_millis(ms.into())),
        max_bytes: request.max_bytes,
    }
}

fn place(place: http::Place) -> egress::Place {
    match place {
        http::Place::Header(name) => egress::Place::Header(name),
        http::Place::Query(name) => egress::Place::Query(name),
        http::Place::FormField(name) => egress::Place::FormField(name),
        http::Place::JsonPointer(pointer) => egress::Place::JsonPointer(pointer),
        http::Place::BasicUser => egress::Place::BasicUser,
        http::Place::BasicPassword => egress::Place::BasicPassword,
    }
}

fn contract_place(place: egress::Place) -> http::Place {
    match place {
        egress::Place::Header(name) => http::Place::Header(name),
        egress::Place::Query(name) => http::Place::Query(name),
        egress::Place::FormField(name) => http::Place::FormField(name),
        egress::Place::JsonPointer(pointer) => http::Place::JsonPointer(pointer),
        egress::Place::BasicUser => http::Place::BasicUser,
        egress::Place::BasicPassword => http::Place::BasicPassword,
    }
}

fn slot_scope(scope: Scope) -> egress::Scope {
    match scope {
        Scope::Credential => egress::Scope::Credential,
        Scope::App => egress::Scope::App,
    }
}

fn mac_algorithm(algorithm: MacAlgorithm) -> egress::MacAlgorithm {
    match algorithm {
        MacAlgorithm::HmacSha1 => egress::MacAlgorithm::HmacSha1,
        MacAlgorithm::HmacSha256 => egress::MacAlgorithm::HmacSha256,
        MacAlgorithm::HmacSha512 => egress::MacAlgorithm::HmacSha512,
        MacAlgorithm::Sha256OfSlotAndData => egress::MacAlgorithm::Sha256OfSlotAndData,
    }
}

fn slot_error(error: egress::SlotError) -> SlotError {
    match error {
        egress::SlotError::Unknown(slot) => SlotError::Unknown(slot),
        egress::SlotError::NotSigning(slot) => SlotError::NotSigning(slot),
        egress::SlotError::Empty(slot) => SlotError::Empty(slot),
    }
}

fn entry(found: StateValue) -> state::Entry {
    state::Entry {
        value: String::from_utf8_lossy(&found.value).into_owned(),
        version: found.version.unsigned_abs(),
    }
}

/// Version 0 is "there is nothing".
fn wanted(expected: Option<u64>) -> Expected {
    match expected {
        None => Expected::Any,
        Some(0) => Expected::Absent,
        Some(version) => Expected::Version(i64::try_from(version).unwrap_or(i64::MAX)),
    }
}

fn state_error(error: StoreError, version: u64) -> state::StateError {
    match error {
        StoreError::Conflict(_) => state::StateError::Changed(version),
        StoreError::Limit(reason) => state::StateError::TooLarge(reason.to_owned()),
        error => {
            tracing::warn!(%error, "a connector's state can't be stored");
            state::StateError::Unavailable("the host's store did not answer".into())
        }
    }
}
