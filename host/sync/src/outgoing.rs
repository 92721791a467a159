//! Writes: through the connector to the app, then what the app made of it into
//! the store, before the caller has his answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rollout_catalog::manifest::EntityOffer;
use rollout_catalog::{Entity, Issue};
use rollout_connectors::{Call, Connector, Connectors, Environment, Live};
use rollout_sandbox::{CallError, Error, Item, Write, Written};
use rollout_store::{CredentialStatus, StoreError};
use rollout_vault::VaultError;
use serde_json::Value;
use uuid::Uuid;

use crate::incoming::Incoming;

/// How long a record made through this host may be unknown to other parts of
/// its app.
const SETTLING: Duration = Duration::from_secs(10);
/// How long a record counts as just made.
const FRESH: Duration = Duration::from_secs(60);

/// Writes records for API clients.
pub struct Writer {
    connectors: Arc<Connectors>,
    /// One writer at a time per record: some apps only have read-modify-write.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Records made through this process a moment ago.
    fresh: Mutex<HashMap<String, Instant>>,
}

/// What is written where.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The credential.
    pub live: &'a Live,
    /// Its connector.
    pub connector: &'a Connector,
    /// The entity.
    pub entity: &'a Entity,
    /// What the connector offers for it.
    pub offer: &'a EntityOffer,
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
    /// The database did not answer; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret can't be opened; nothing was written.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// A body for the connector, and what had to be left out of it.
struct Prepared {
    body: String,
    ignored: Vec<String>,
    /// It names a record that was made a moment ago.
    names_fresh: bool,
}

impl Writer {
    /// A writer through these connectors.
    pub fn new(connectors: Arc<Connectors>) -> Self {
        Self {
            connectors,
            turns: Mutex::default(),
            fresh: Mutex::default(),
        }
    }

    /// Creates a record.
    pub async fn create(&self, target: Target<'_>, body: Value) -> Result<Wrote, WriteError> {
        target
            .entity
            .check_create(&body)
            .map_err(WriteError::Invalid)?;
        let prepared = self.prepare(target, body).await?;
        let write = write(&prepared, Vec::new());
        let call = self.call(target).await?;
        let began = Instant::now();
        let mut pause = Duration::from_millis(250);
        let written = loop {
            match call.create(&target.entity.name, &write).await {
                Err(CallError::Connector(error))
                    if prepared.names_fresh
                        && began.elapsed() + pause < SETTLING
                        && about_a_reference(target.entity, &error) =>
                {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Ok(written) => break written,
                Err(error) => return Err(failed(target, &call, error).await),
            }
        };
        let wrote = self.store(target, &call, written, prepared.ignored).await?;
        if let Wrote::Record { json, .. } = &wrote
            && let Some(id) = id_of(json)
        {
            let mut fresh = self.fresh.lock();
            fresh.retain(|_, made| made.elapsed() < FRESH);
            fresh.insert(id, Instant::now());
        }
        Ok(wrote)
    }

    /// Changes a record. `merge` names the list fields whose values are added.
    pub async fn update(
        &self,
        target: Target<'_>,
        id: &str,
        body: Value,
        merge: Vec<String>,
    ) -> Result<Wrote, WriteError> {
        target
            .entity
            .check_update(&body)
            .map_err(WriteError::Invalid)?;
        let turn = self.turn(target, id);
        let _turn = turn.lock().await;
        let upstream = self.upstream(target, id).await?;
        let prepared = self.prepare(target, body).await?;
        let write = write(&prepared, merge);
        let call = self.call(target).await?;
        let written = call.update(&target.entity.name, &upstream, &write).await;
        let written = match written {
            Ok(written) => written,
            Err(error) => return Err(failed(target, &call, error).await),
        };
        self.store(target, &call, written, prepared.ignored).await
    }

    /// Carries out an operation of the catalogue on a record.
    pub async fn perform(
        &self,
        target: Target<'_>,
        id: &str,
        operation: &str,
        body: Value,
    ) -> Result<Wrote, WriteError> {
        target
            .entity
            .check_operation(operation, &body)
            .map_err(WriteError::Invalid)?;
        let turn = self.turn(target, id);
        let _turn = turn.lock().await;
        let upstream = self.upstream(target, id).await?;
        let prepared = Prepared {
            body: body.to_string(),
            ignored: Vec::new(),
            names_fresh: false,
        };
        let write = write(&prepared, Vec::new());
        let call = self.call(target).await?;
        let written = call
            .perform(&target.entity.name, &upstream, operation, &write)
            .await;
        let written = match written {
            Ok(written) => written,
            Err(error) => return Err(failed(target, &call, error).await),
        };
        self.store(target, &call, written, Vec::new()).await
    }

    /// Deletes a record. One that the app no longer has is deleted here too.
    pub async fn delete(&self, target: Target<'_>, id: &str) -> Result<(), WriteError> {
        let turn = self.turn(target, id);
        let _turn = turn.lock().await;
        let upstream = self.upstream(target, id).await?;
        let call = self.call(target).await?;
        let key = Uuid::now_v7().to_string();
        match call.delete(&target.entity.name, &upstream, &key).await {
            Ok(()) | Err(CallError::Connector(Error::NotFound(_))) => {}
            Err(error) => return Err(failed(target, &call, error).await),
        }
        let store = target.environment.store();
        store
            .delete_one(&target.live.credential, &target.entity.name, &upstream)
            .await
            .map_err(unstored)?;
        Ok(())
    }

    async fn call<'a>(&'a self, target: Target<'a>) -> Result<Call<'a>, WriteError> {
        let call = self
            .connectors
            .call_for(target.environment, target.connector, target.live)
            .await?;
        Ok(call)
    }

    /// The app's id of a record that is stored.
    async fn upstream(&self, target: Target<'_>, id: &str) -> Result<String, WriteError> {
        let store = target.environment.store();
        let credential = &target.live.credential.id;
        if store
            .get_json(credential, target.entity, id)
            .await?
            .is_none()
        {
            return Err(WriteError::NotFound);
        }
        let ids = [id.to_owned()];
        let mut found = store
            .upstream_ids(credential, &target.entity.name, &ids)
            .await?;
        found.remove(id).ok_or(WriteError::NotFound)
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
        let names_fresh = {
            let fresh = self.fresh.lock();
            references.iter().any(|one| {
                fresh
                    .get(&one.id)
                    .is_some_and(|made| made.elapsed() < FRESH)
            })
        };
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
    ) -> Result<Wrote, WriteError> {
        let item = match written {
            Written::Accepted => return Ok(Wrote::Accepted),
            Written::Item(item) => item,
            Written::Id(id) => self.look_up(target, call, id).await?,
        };
        let incoming = Incoming {
            entity: target.entity,
            offer: target.offer,
            resource: target.connector.manifest.resource(&target.entity.name),
            credential: &target.live.credential,
        };
        let one = incoming.one(&item).map_err(|unfit| {
            WriteError::MaybeApplied(format!(
                "{} answered with a record that does not fit its schema: {unfit}",
                target.connector.manifest.name
            ))
        })?;
        let store = target.environment.store();
        let (id, _) = store.land_one(one).await.map_err(unstored)?;
        let json = store
            .get_json(&target.live.credential.id, target.entity, &id)
            .await
            .map_err(unstored)?;
        let json = json.ok_or(WriteError::NotFound)?;
        Ok(Wrote::Record { json, ignored })
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

fn write(prepared: &Prepared, merge: Vec<String>) -> Write {
    Write {
        body: prepared.body.clone(),
        merge,
        idempotency_key: Uuid::now_v7().to_string(),
        extra: None,
    }
}

/// Tells "it was refused" from "it may have happened". A credential that the app
/// no longer accepts is marked as broken.
async fn failed(target: Target<'_>, call: &Call<'_>, error: CallError) -> WriteError {
    let error = call.blank_error(error);
    if let CallError::Connector(Error::Unauthorized(said)) = &error {
        let broken = CredentialStatus::Broken(said.clone());
        let id = &target.live.credential.id;
        if let Err(error) = target.environment.set_status(id, broken).await {
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
