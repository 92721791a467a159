//! The traits of [`capability`](crate::capability) as the component's exports.

mod automations;
mod hooks;

use crate::bindings::host::rollout::connector::types as wire;
use crate::bindings::{auth, entities, login, manifest};
use crate::capability::{Auth, Entities, Login, Manifest, SignIn};
use crate::error::Error;
use crate::json::Reader;
use crate::records::{Cursor, Item, Page, Scope, Write, Written};

use serde_json::{Map, Value};

use auth::exports::rollout::connector::auth as auth_wire;
use entities::exports::rollout::connector::entities as entities_wire;
use login::exports::rollout::connector::login as login_wire;
use manifest::exports::rollout::connector::manifest as manifest_wire;

impl<T: Manifest> manifest_wire::Guest for T {
    fn describe() -> String {
        <T as Manifest>::describe()
    }
}

impl<T: Auth> auth_wire::Guest for T {
    fn probe() -> Result<auth_wire::Account, wire::Error> {
        let account = <T as Auth>::probe()?;
        Ok(auth_wire::Account {
            label: account.label,
            avatar: account.avatar,
            external_id: account.external_id,
            fields: account.fields,
            extra: None,
        })
    }
}

impl<T: Login> login_wire::Guest for T {
    fn sign_in(public_inputs: String) -> Result<login_wire::Outcome, wire::Error> {
        Ok(outcome(<T as Login>::sign_in(document(&public_inputs)?)?))
    }

    fn answer(state: String) -> Result<login_wire::Outcome, wire::Error> {
        Ok(outcome(<T as Login>::answer(document(&state)?)?))
    }
}

fn outcome(sign_in: SignIn) -> login_wire::Outcome {
    match sign_in {
        SignIn::Done { expires_at } => {
            login_wire::Outcome::Done(login_wire::Session { expires_at })
        }
        SignIn::Challenge {
            title,
            message,
            state,
        } => login_wire::Outcome::Challenge(login_wire::Challenge {
            title,
            message,
            state: state.to_string(),
        }),
    }
}

impl<T: Entities> entities_wire::Guest for T {
    fn changes(
        entity: String,
        scope: entities_wire::Scope,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<entities_wire::Page, wire::Error> {
        let scope = match scope {
            entities_wire::Scope::Incremental => Scope::Incremental,
            entities_wire::Scope::Full => Scope::Full,
            entities_wire::Scope::Parents(ids) => Scope::Parents(ids),
        };
        let Page {
            items,
            next,
            done,
            total,
        } = <T as Entities>::changes(&entity, scope, Cursor(cursor), limit)?;
        Ok(entities_wire::Page {
            items: items.into_iter().map(item).collect(),
            next: next.0,
            done,
            total,
            extra: None,
        })
    }

    fn get(entity: String, ids: Vec<String>) -> Result<Vec<wire::Item>, wire::Error> {
        let items = <T as Entities>::get(&entity, &ids)?;
        Ok(items.into_iter().map(item).collect())
    }

    fn create(
        entity: String,
        write: entities_wire::Write,
    ) -> Result<entities_wire::Written, wire::Error> {
        Ok(written(<T as Entities>::create(&entity, read(write)?)?))
    }

    fn update(
        entity: String,
        id: String,
        write: entities_wire::Write,
    ) -> Result<entities_wire::Written, wire::Error> {
        Ok(written(<T as Entities>::update(
            &entity,
            &id,
            read(write)?,
        )?))
    }

    fn delete(entity: String, id: String, idempotency_key: String) -> Result<(), wire::Error> {
        Ok(<T as Entities>::delete(&entity, &id, &idempotency_key)?)
    }

    fn perform(
        entity: String,
        id: String,
        operation: String,
        write: entities_wire::Write,
    ) -> Result<entities_wire::Written, wire::Error> {
        Ok(written(<T as Entities>::perform(
            &entity,
            &id,
            &operation,
            read(write)?,
        )?))
    }
}

fn document(text: &str) -> Result<Value, Error> {
    Reader::new(text)
        .value()
        .map_err(|error| Error::Internal(format!("the host's document is unreadable: {error}")))
}

fn read(write: entities_wire::Write) -> Result<Write, Error> {
    Ok(Write {
        body: object(&write.body)?,
        merge: write.merge,
        idempotency_key: write.idempotency_key,
    })
}

fn object(text: &str) -> Result<Map<String, Value>, Error> {
    match document(text)? {
        Value::Object(members) => Ok(members),
        _ => Err(Error::Internal("the host's document is no object".into())),
    }
}

fn item(item: Item) -> wire::Item {
    wire::Item {
        id: item.id,
        body: item.body,
        native: item.native,
        updated_at: item.updated_at,
        deleted: item.deleted,
        merged_ids: item.merged_ids,
        extra: None,
    }
}

fn written(written: Written) -> entities_wire::Written {
    match written {
        Written::Item(record) => entities_wire::Written::Item(item(record)),
        Written::Id(id) => entities_wire::Written::Id(id),
        Written::Accepted => entities_wire::Written::Accepted,
    }
}

impl From<Error> for wire::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidInput(issues) => Self::InvalidInput(
                issues
                    .into_iter()
                    .map(|issue| wire::FieldIssue {
                        pointer: issue.pointer,
                        message: issue.message,
                    })
                    .collect(),
            ),
            Error::Unauthorized(message) => Self::Unauthorized(message),
            Error::Forbidden(message) => Self::Forbidden(message),
            Error::NotFound(message) => Self::NotFound(message),
            Error::Conflict(message) => Self::Conflict(message),
            Error::RateLimited {
                retry_after_ms,
                message,
            } => Self::RateLimited(wire::RateLimit {
                retry_after_ms,
                message,
            }),
            Error::Upstream(upstream) => Self::Upstream(wire::Upstream {
                status: upstream.status,
                retryable: upstream.retryable,
                maybe_applied: upstream.maybe_applied,
                message: upstream.message,
            }),
            Error::Unsupported(message) => Self::Unsupported(message),
            Error::Halted(message) => Self::Halted(message),
            Error::Internal(message) => Self::Internal(message),
            Error::Other { code, message } => Self::Other((code, message)),
        }
    }
}
