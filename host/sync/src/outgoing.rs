//! Writes: through the connector to the app, then what the app made of it into
//! the store, before the caller has his answer.
//!
//! A write is a row with a lease before the app is asked, and settled in the
//! transaction that stores the record. What a write that was cut off came to is
//! found out in `settle`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rollout_catalog::manifest::EntityOffer;
use rollout_catalog::{Entity, Issue};
use rollout_connectors::{Call, Cause, Connector, Connectors, Environment, Live};
use rollout_sandbox::{CallError, Error, Item, Write, Written};
use rollout_store::{
    Begun, CredentialStatus, Lease, NewWrite, Page, StoreError, after, now, record_id,
};
use rollout_vault::VaultError;
use rollout_work::{Hold, Leases};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::fresh::Fresh;
use crate::incoming::Incoming;

/// How long a record made through this host may be unknown to other parts of
/// its app.
const SETTLING: Duration = Duration::from_secs(10);
/// How long a write waits for another one to the same record.
const TURN: Duration = Duration::from_secs(20);
const TURN_LOOK: Duration = Duration::from_millis(50);
/// When the outcome of a write that was cut off is looked for.
const SETTLE_FIRST: Duration = Duration::from_secs(1);

/// Writes records for API clients.
pub struct Writer {
    connectors: Arc<Connectors>,
    leases: Arc<Leases>,
    /// One writer at a time per record: some apps only have read-modify-write.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Records made through this process a moment ago.
    fresh: Fresh,
}

/// What is written where.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The environment.
    pub environment: &'a Arc<Environment>,
    /// The credential.
    pub live: &'a Live,
    /// Its connector.
    pub connector: &'a Arc<Connector>,
    /// The entity.
    pub entity: &'a Entity,
    /// What the connector offers for it.
    pub offer: &'a EntityOffer,
    /// The request that asks for it.
    pub cause: &'a Cause,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Act {
    /// Makes a record.
    Create {
        /// Its fields.
        body: Value,
    },
    /// Changes a record.
    Update {
        /// This host's id.
        id: String,
        /// The fields that change.
        body: Value,
        /// The list fields whose values are added.
        merge: Vec<String>,
    },
    /// Carries out an operation of the catalogue on a record.
    Perform {
        /// This host's id.
        id: String,
        /// The operation's name.
        operation: String,
        /// What it takes.
        body: Value,
    },
    /// Deletes a record. One that the app no longer has is deleted here too.
    Delete {
        /// This host's id.
        id: String,
    },
}

/// What came of a write.
#[derive(Debug)]
pub enum Wrote {
    /// The record as it is stored now.
    Record {
        /// The record as JSON.
        json: String,
        /// Fields that this app does not have, which were left out.
        ignored: Vec<String>,
    },
    /// It is gone.
    Deleted,
    /// The app will do it later.
    Accepted,
}

/// Why a write has no record to show.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The body does not fit.
    #[error("the body does not fit the schema")]
    Invalid(Vec<Issue>),
    /// There is no such record.
    #[error("there is no such record")]
    NotFound,
    /// The app or its connector refused or failed; nothing was written.
    #[error(transparent)]
    Call(CallError),
    /// The app may have done it, and we could not see or store the result.
    #[error("{0}")]
    MaybeApplied(String),
    /// A write with this key is under way, or its outcome is not known yet.
    #[error("a write with this Idempotency-Key is under way")]
    InProgress,
    /// A write with this key asked for something else.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// Other writes to the record take too long.
    #[error("other writes to this record are under way")]
    Busy,
    /// The database did not answer; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret can't be opened; nothing was written.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// A body for the connector, and what had to be left out of it.
#[derive(Default)]
struct Prepared {
    body: String,
    ignored: Vec<String>,
    /// It names a record that was made a moment ago.
    names_fresh: bool,
}

/// What a write came to, as it is kept for whoever asks again with its key.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Answer<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    record: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
    #[serde(default)]
    accepted: bool,
}

impl Answer<'_> {
    /// The answer that shows a record, or that it is gone.
    pub(crate) fn of_record(record: Option<&str>, ignored: Vec<String>) -> String {
        let record = record.and_then(|record| serde_json::from_str(record).ok());
        let answer = Answer {
            record,
            ignored,
            accepted: false,
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }

    fn accepted() -> String {
        let answer = Answer {
            accepted: true,
            ..Answer::default()
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }

    fn read(text: &str) -> Wrote {
        let answer: Answer<'_> = serde_json::from_str(text).unwrap_or_default();
        match answer.record {
            Some(record) => Wrote::Record {
                json: record.get().to_owned(),
                ignored: answer.ignored,
            },
            None if answer.accepted => Wrote::Accepted,
            None => Wrote::Deleted,
        }
    }
}

impl Act {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Create { .. } => None,
            Self::Update { id, .. } | Self::Perform { id, .. } | Self::Delete { id } => Some(id),
        }
    }

    fn operation(&self) -> &str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
            Self::Perform { operation, .. } => operation,
        }
    }

    fn body(&self) -> Option<&Value> {
        match self {
            Self::Create { body } | Self::Update { body, .. } | Self::Perform { body, .. } => {
                Some(body)
            }
            Self::Delete { .. } => None,
        }
    }

    fn merge(&self) -> &[String] {
        match self {
            Self::Update { merge, .. } => merge,
            _ => &[],
        }
    }

    fn check(&self, entity: &Entity) -> Result<(), Vec<Issue>> {
        match self {
            Self::Create { body } => entity.check_create(body),
            Self::Update { body, .. } => entity.check_update(body),
            Self::Perform {
                operation, body, ..
            } => entity.check_operation(operation, body),
            Self::Delete { .. } => Ok(()),
        }
    }

    /// Tells one request from another under the same key.
    fn print(&self, entity: &Entity) -> String {
        let mut hash = Sha256::new();
        let body = self.body().map(Value::to_string).unwrap_or_default();
        let merge = self.merge().join(",");
        let id = self.id().unwrap_or_default();
        for part in [&entity.name, self.operation(), id, &merge, &body] {
            hash.update(part);
            hash.update([0]);
        }
        let digest = hash.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Writer {
    /// A writer through these connectors.
    pub fn new(connectors: Arc<Connectors>, leases: Arc<Leases>) -> Self {
        Self {
            connectors,
            leases,
            turns: Mutex::default(),
            fresh: Fresh::default(),
        }
    }

    /// Does it. `key` is the client's `Idempotency-Key`: with it, whoever asks
    /// again for the same is told what the first time came to.
    pub async fn write(
        &self,
        target: Target<'_>,
        act: Act,
        key: Option<&str>,
    ) -> Result<Wrote, WriteError> {
        act.check(target.entity).map_err(WriteError::Invalid)?;
        let store = target.environment.store();
        let credential = &target.live.credential.id;
        let request = act.print(target.entity);
        if let Some(key) = key
            && let Some(earlier) = store.earlier_write(credential, key, &request).await?
        {
            return replayed(earlier);
        }
        let turn = act.id().map(|id| self.turn(target, id));
        let _turn = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let upstream = match act.id() {
            Some(id) => Some(self.upstream(target, id).await?),
            None => None,
        };
        let prepared = match &act {
            Act::Create { body } | Act::Update { body, .. } => {
                self.prepare(target, body.clone()).await?
            }
            Act::Perform { body, .. } => Prepared {
                body: body.to_string(),
                ..Prepared::default()
            },
            Act::Delete { .. } => Prepared::default(),
        };
        let id = Uuid::now_v7().to_string();
        let body = act.body().map(Value::to_string).unwrap_or_default();
        let new = NewWrite {
            id: &id,
            credential_id: credential,
            entity: &target.entity.name,
            operation: act.operation(),
            record_id: act.id(),
            upstream_id: upstream.as_deref(),
            key,
            request: &request,
            body: &body,
        };
        let began = Instant::now();
        let hold = loop {
            let asked = Instant::now();
            match self.leases.begin_write(target.environment, &new).await? {
                Begun::New(lease) => break self.leases.hold(target.environment, lease, asked),
                Begun::Busy if began.elapsed() < TURN => tokio::time::sleep(TURN_LOOK).await,
                Begun::Busy => return Err(WriteError::Busy),
                earlier => return replayed(earlier),
            }
        };
        self.carry_out(target, &act, upstream.as_deref(), prepared, &hold)
            .await
    }

    /// Asks the app, under the lease.
    async fn carry_out(
        &self,
        target: Target<'_>,
        act: &Act,
        upstream: Option<&str>,
        prepared: Prepared,
        hold: &Hold,
    ) -> Result<Wrote, WriteError> {
        let lease = &hold.lease;
        let store = target.environment.store();
        let call = match self.call(target).await {
            Ok(call) => call,
            Err(error) => {
                store.drop_write(lease).await?;
                return Err(error);
            }
        };
        // Whoever has the lease after us may conclude from the app's silence that
        // nothing was sent, and a client may send it again.
        let until = hold.until.clone();
        call.write_while(move || until.runs());
        let written = match self
            .ask(target, &call, act, upstream, &prepared, lease)
            .await
        {
            Ok(written) => written,
            Err(error) => {
                let error = failed(target, &call, error).await;
                match &error {
                    WriteError::MaybeApplied(_) => self.leave(target, lease).await,
                    _ => store.drop_write(lease).await?,
                }
                return Err(error);
            }
        };
        let wrote = match written {
            Some(written) => {
                self.store(target, &call, written, prepared.ignored, lease)
                    .await
            }
            None => self.erase(target, act, upstream, lease).await,
        };
        match &wrote {
            // That is all there is to find out.
            Err(WriteError::NotFound) => {}
            Err(_) => self.leave(target, lease).await,
            Ok(Wrote::Record { json, .. }) if act.id().is_none() => {
                if let Some(id) = id_of(json) {
                    self.fresh.note(id);
                }
            }
            Ok(_) => {}
        }
        wrote
    }

    /// Leaves a write to whoever settles it.
    async fn leave(&self, target: Target<'_>, lease: &Lease) {
        let store = target.environment.store();
        // If that fails, the lease runs out, which comes to the same.
        let left = store.leave_write(lease, after(SETTLE_FIRST)).await;
        if let Err(error) = left {
            tracing::debug!(%error, write = lease.name, "a write is settled when its lease runs out");
        }
    }

    async fn ask(
        &self,
        target: Target<'_>,
        call: &Call<'_>,
        act: &Act,
        upstream: Option<&str>,
        prepared: &Prepared,
        lease: &Lease,
    ) -> Result<Option<Written>, CallError> {
        let entity = &target.entity.name;
        let write = Write {
            body: prepared.body.clone(),
            merge: act.merge().to_vec(),
            idempotency_key: lease.name.clone(),
            extra: None,
        };
        let upstream = upstream.unwrap_or_default();
        match act {
            Act::Create { .. } => {
                let began = Instant::now();
                let mut pause = Duration::from_millis(250);
                loop {
                    match call.create(entity, &write).await {
                        Err(CallError::Connector(error))
                            if prepared.names_fresh
                                && began.elapsed() + pause < SETTLING
                                && about_a_reference(target.entity, &error) =>
                        {
                            tokio::time::sleep(pause).await;
                            pause *= 2;
                        }
                        result => return result.map(Some),
                    }
                }
            }
            Act::Update { .. } => call.update(entity, upstream, &write).await.map(Some),
            Act::Perform { operation, .. } => {
                let done = call.perform(entity, upstream, operation, &write).await;
                done.map(Some)
            }
            Act::Delete { .. } => match call.delete(entity, upstream, &lease.name).await {
                Ok(()) | Err(CallError::Connector(Error::NotFound(_))) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    async fn call<'a>(&'a self, target: Target<'a>) -> Result<Call<'a>, WriteError> {
        let call = self
            .connectors
            .call_for(
                target.environment,
                target.connector,
                target.live,
                target.cause,
            )
            .await?;
        Ok(call)
    }

    /// The app's id of a record that is stored.
    async fn upstream(&self, target: Target<'_>, id: &str) -> Result<String, WriteError> {
        let store = target.environment.store();
        let credential = &target.live.credential.id;
        let found = store
            .upstream_id(credential, &target.entity.name, id)
            .await?;
        found.ok_or(WriteError::NotFound)
    }

    /// Leaves out what the app does not have, and puts the app's ids where the
    /// body has ours.
    async fn prepare(&self, target: Target<'_>, mut body: Value) -> Result<Prepared, WriteError> {
        let entity = target.entity;
        entity.normalise_times(&mut body);
        let mut ignored = Vec::new();
        if let Some(fields) = body.as_object_mut() {
            let sent = fields.len();
            fields.retain(|name, _| {
                let accepted = target.offer.accepts(name);
                if !accepted {
                    ignored.push(name.clone());
                }
                accepted
            });
            if fields.is_empty() && sent > 0 {
                let app = &target.connector.manifest.name;
                return Err(WriteError::Invalid(
                    ignored
                        .into_iter()
                        .map(|name| Issue {
                            message: format!("is not a field of {app}, and nothing else was sent"),
                            pointer: format!("/{name}"),
                        })
                        .collect(),
                ));
            }
        }
        let references = entity.references(&body);
        let names_fresh = self.fresh.any(references.iter().map(|one| &one.id));
        let mut by_entity: HashMap<String, Vec<String>> = HashMap::new();
        for reference in references {
            by_entity
                .entry(reference.entity)
                .or_default()
                .push(reference.id);
        }
        let mut upstream: HashMap<(String, String), String> = HashMap::new();
        let store = target.environment.store();
        for (name, ids) in by_entity {
            let found = store
                .upstream_ids(&target.live.credential.id, &name, &ids)
                .await?;
            for (id, theirs) in found {
                upstream.insert((name.clone(), id), theirs);
            }
        }
        let issues = entity.map_references(&mut body, |name, id| {
            upstream.get(&(name.to_owned(), id.to_owned())).cloned()
        });
        if !issues.is_empty() {
            return Err(WriteError::Invalid(issues));
        }
        Ok(Prepared {
            body: body.to_string(),
            ignored,
            names_fresh,
        })
    }

    /// Stores what the app made of a write, and reads it back.
    async fn store(
        &self,
        target: Target<'_>,
        call: &Call<'_>,
        written: Written,
        ignored: Vec<String>,
        lease: &Lease,
    ) -> Result<Wrote, WriteError> {
        let store = target.environment.store();
        let (credential, entity) = (&target.live.credential, target.entity);
        let item = match written {
            Written::Accepted => {
                let accepted = store.accept_write(lease, Answer::accepted()).await;
                accepted.map_err(unstored)?;
                return Ok(Wrote::Accepted);
            }
            Written::Item(item) if item.deleted => {
                // The app still takes changes of what lies in its trash.
                let stamp = store.next_stamp().await.map_err(unstored)?;
                let mut page = Page::new(credential, &entity.name, stamp, now());
                page.deleted.push(item.id);
                store.land(page).await.map_err(unstored)?;
                store.drop_write(lease).await.map_err(unstored)?;
                return Err(WriteError::NotFound);
            }
            Written::Item(item) => item,
            Written::Id(id) => self.look_up(target, call, id).await?,
        };
        let incoming = Incoming {
            entity,
            offer: target.offer,
            resource: target.connector.manifest.resource(&entity.name),
            credential,
        };
        let one = incoming.one(&item).map_err(|unfit| {
            WriteError::MaybeApplied(format!(
                "{} answered with a record that does not fit its schema: {unfit}",
                target.connector.manifest.name
            ))
        })?;
        let id = record_id(credential, &entity.name, &item.id);
        let stamp = store.next_stamp().await.map_err(unstored)?;
        let answer = |record: Option<&str>| Answer::of_record(record, ignored.clone());
        let settled = store
            .settle_write(lease, entity, &id, Some(one.page(stamp)), answer)
            .await;
        let (json, _) = settled.map_err(unstored)?;
        let json = json.ok_or(WriteError::NotFound)?;
        Ok(Wrote::Record { json, ignored })
    }

    /// Removes what the app has deleted.
    async fn erase(
        &self,
        target: Target<'_>,
        act: &Act,
        upstream: Option<&str>,
        lease: &Lease,
    ) -> Result<Wrote, WriteError> {
        let store = target.environment.store();
        let (credential, entity) = (&target.live.credential, target.entity);
        let stamp = store.next_stamp().await.map_err(unstored)?;
        let mut page = Page::new(credential, &entity.name, stamp, now());
        page.deleted.extend(upstream.map(str::to_owned));
        let id = act.id().unwrap_or_default();
        let answer = |_: Option<&str>| Answer::of_record(None, Vec::new());
        let settled = store.settle_write(lease, entity, id, Some(page), answer);
        settled.await.map_err(unstored)?;
        Ok(Wrote::Deleted)
    }

    async fn look_up(
        &self,
        target: Target<'_>,
        call: &Call<'_>,
        id: String,
    ) -> Result<Item, WriteError> {
        let ids = [id];
        let found = call.get(&target.entity.name, &ids).await.map_err(|error| {
            WriteError::MaybeApplied(format!(
                "it was written, but could not be read back: {}",
                call.blank_error(error)
            ))
        })?;
        let mut items = found.into_iter();
        items
            .find(|item| ids.contains(&item.id) && !item.deleted)
            .ok_or_else(|| {
                WriteError::MaybeApplied(
                    "it was written, but the app does not show it yet".to_owned(),
                )
            })
    }

    fn turn(&self, target: Target<'_>, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock();
        // Nobody else holds what only this map holds.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        let key = format!("{}/{}/{id}", target.live.credential.id, target.entity.name);
        turns.entry(key).or_default().clone()
    }
}

/// What an earlier write with the same key means for this one.
fn replayed(earlier: Begun) -> Result<Wrote, WriteError> {
    match earlier {
        Begun::Settled(answer) => Ok(Answer::read(&answer)),
        Begun::Other => Err(WriteError::KeyReused),
        Begun::Open | Begun::New(_) | Begun::Busy => Err(WriteError::InProgress),
    }
}

/// Tells "it was refused" from "it may have happened". A credential that the app
/// no longer accepts is marked as broken.
async fn failed(target: Target<'_>, call: &Call<'_>, error: CallError) -> WriteError {
    let error = call.blank_error(error);
    if let CallError::Connector(Error::Unauthorized(said)) = &error {
        let broken = CredentialStatus::Broken(said.clone());
        if let Err(error) = target.environment.judge(target.live, broken).await {
            let id = &target.live.credential.id;
            tracing::warn!(credential = id, %error, "it is refused by its app, and that can't be stored");
        }
    }
    let unknown = match &error {
        CallError::Connector(Error::Upstream(upstream)) => upstream.maybe_applied,
        CallError::Limit(_) | CallError::Trap(_) => call.wrote(),
        CallError::Connector(Error::Internal(_)) => call.wrote(),
        CallError::Connector(_) | CallError::Missing(_) | CallError::Busy(_) => false,
    };
    if unknown {
        WriteError::MaybeApplied(error.to_string())
    } else {
        WriteError::Call(error)
    }
}

/// The app did it, and our database failed.
fn unstored(error: StoreError) -> WriteError {
    WriteError::MaybeApplied(format!(
        "it was written, but could not be stored here: {error}"
    ))
}

/// True if the app complains of a record that the body refers to.
fn about_a_reference(entity: &Entity, error: &Error) -> bool {
    match error {
        Error::NotFound(_) => true,
        Error::InvalidInput(issues) => issues.iter().any(|issue| {
            let field = issue.pointer.trim_start_matches('/');
            entity
                .field(field)
                .is_some_and(|field| field.reference.is_some())
        }),
        _ => false,
    }
}

fn id_of(json: &str) -> Option<String> {
    let record: HashMap<&str, &serde_json::value::RawValue> = serde_json::from_str(json).ok()?;
    let id = record.get("id")?.get();
    Some(id.trim_matches('"').to_owned())
}
