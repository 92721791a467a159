//! `POST /api/credentials/{id}/sync`, and how far an account's sync is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use http::StatusCode;
use rollout_connectors::{Live, Readiness};
use rollout_store::{Ask, StoreError, SyncRow, SyncStatus, api_time, now};
use serde_json::{Map, Value, json};

use crate::asker::Asker;
use crate::credentials::{known, wrong};
use crate::edge::read_json;
use crate::error::ApiError;
use crate::host::Host;

/// How often an account can be asked for changes: every ten seconds to once a day.
const POLL_SECONDS: std::ops::RangeInclusive<i64> = 10..=86_400;

/// What a request asks for.
#[derive(Default)]
struct Wanted {
    /// Only of these entities.
    entities: Option<Vec<String>>,
    ask: Ask,
    paused: Option<bool>,
    /// The inner none: as configured.
    poll_seconds: Option<Option<i64>>,
}

impl Wanted {
    fn read(body: &Map<String, Value>) -> Result<Self, ApiError> {
        known(
            body,
            &[
                "entities",
                "full",
                "confirmDeletes",
                "paused",
                "pollSeconds",
            ],
        )?;
        let flag = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name, "must be true or false")),
        };
        let entities = match body.get("entities") {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) => {
                let names = list.iter().map(|one| one.as_str().map(str::to_owned));
                let names: Option<Vec<String>> = names.collect();
                Some(names.ok_or_else(|| wrong("entities", "must be a list of names"))?)
            }
            Some(_) => return Err(wrong("entities", "must be a list of names")),
        };
        let poll_seconds = match body.get("pollSeconds") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(value) => {
                let seconds = value.as_i64().filter(|one| POLL_SECONDS.contains(one));
                let (least, most) = (POLL_SECONDS.start(), POLL_SECONDS.end());
                let problem = format!(
                    "must be a whole number from {least} to {most}, or null for the configured interval"
                );
                Some(Some(seconds.ok_or_else(|| wrong("pollSeconds", &problem))?))
            }
        };
        Ok(Self {
            entities,
            ask: Ask {
                full: flag("full")?.unwrap_or(false),
                confirm_deletes: flag("confirmDeletes")?.unwrap_or(false),
            },
            paused: flag("paused")?,
            poll_seconds,
        })
    }
}

/// Syncs an account at once, all of it or some `entities`: what changed or, with `full`,
/// everything. `confirmDeletes` says that what the last full pass missed is deleted.
/// `paused` stops its syncs and lets them go on; `pollSeconds`, for tokens of the
/// environment, says how often it is asked for changes.
pub(crate) async fn at_once(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    let live = asker.own_credential(&id).await?;
    let wanted = match read_json(request, host.settings.body_bytes).await? {
        None => Wanted::default(),
        Some(Value::Object(body)) => Wanted::read(&body)?,
        Some(_) => {
            let problem = "The body must be a JSON object, or there is none".to_owned();
            return Err(ApiError::invalid_body([(String::new(), problem)]));
        }
    };
    if wanted.poll_seconds.is_some() {
        asker.for_environment()?;
    }
    let store = asker.environment.store();
    let id = &live.credential.id;
    let rows = store.sync_rows(id).await;
    let rows = rows.map_err(ApiError::store_unavailable)?;
    let chosen = chosen(&rows, wanted.entities.as_deref())?;
    let settings = if wanted.paused.is_some() || wanted.poll_seconds.is_some() {
        let set = store.set_sync_settings(id, |settings| {
            settings.paused = wanted.paused.unwrap_or(settings.paused);
            settings.poll_seconds = wanted.poll_seconds.unwrap_or(settings.poll_seconds);
        });
        set.await
    } else {
        store.sync_settings(id).await
    };
    let settings = settings.map_err(refused)?;
    if !settings.paused {
        // What is let go on is let go on as a whole.
        let chosen = match wanted.paused {
            Some(_) => self::chosen(&rows, None)?,
            None => chosen,
        };
        for entity in chosen {
            let asked = store.ask_sync(id, entity, now(), wanted.ask).await;
            asked.map_err(refused)?;
        }
    } else if wanted.paused.is_none() && wanted.poll_seconds.is_none() {
        return Err(ApiError::conflict(
            "The account's syncs are paused: let them go on with {\"paused\": false}.",
        ));
    }
    let rows = store.sync_rows(id).await;
    let rows = rows.map_err(ApiError::store_unavailable)?;
    Ok((StatusCode::ACCEPTED, Json(shown(&live, &rows))))
}

/// The names that are meant, all if none are said.
fn chosen<'a>(rows: &'a [SyncRow], wanted: Option<&[String]>) -> Result<Vec<&'a str>, ApiError> {
    let all = rows.iter().map(|row| row.entity.as_str());
    let all: Vec<&str> = all.collect();
    let Some(wanted) = wanted else {
        return Ok(all);
    };
    let unknown = wanted.iter().enumerate();
    let unknown: Vec<(String, String)> = unknown
        .filter(|(_, name)| !all.contains(&name.as_str()))
        .map(|(at, _)| {
            let message = format!(
                "is not synced for this account; there are: {}",
                all.join(", ")
            );
            (format!("/entities/{at}"), message)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(ApiError::invalid_body(unknown));
    }
    let meant = all
        .into_iter()
        .filter(|name| wanted.iter().any(|one| one == name));
    Ok(meant.collect())
}

fn refused(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound(_) => ApiError::not_found(),
        error => ApiError::store_unavailable(error),
    }
}

/// How far the account's entities are, in the terms in which they can be read:
/// nothing is shown as done that still answers 409.
pub(crate) fn shown(live: &Live, rows: &[SyncRow]) -> Value {
    let readable = |row: &SyncRow| live.readiness(&row.entity).unwrap_or(Readiness::Syncing);
    let entities = rows
        .iter()
        .map(|row| (row.entity.clone(), shown_entity(row, &readable(row))));
    let entities: Map<String, Value> = entities.collect();
    let readiness: Vec<Readiness> = rows.iter().map(readable).collect();
    let settled = |one: &Readiness| matches!(one, Readiness::Complete | Readiness::Unavailable(_));
    let failed = |one: &Readiness| matches!(one, Readiness::Failed(_));
    let begun = |row: &SyncRow| row.schedule.status != SyncStatus::Pending;
    let status = if rows.iter().any(|row| row.missing.is_some()) {
        "needs-confirmation"
    } else if readiness.iter().all(settled) {
        "done"
    } else if readiness.iter().any(failed) {
        "failed"
    } else if rows.iter().any(begun) {
        "running"
    } else {
        "pending"
    };
    let mut shown = Map::from_iter([
        ("status".to_owned(), json!(status)),
        ("entities".to_owned(), Value::Object(entities)),
    ]);
    if let Some(settings) = rows.first().map(|row| row.settings) {
        if settings.paused {
            shown.insert("paused".into(), json!(true));
        }
        if let Some(seconds) = settings.poll_seconds {
            shown.insert("pollSeconds".into(), json!(seconds));
        }
    }
    Value::Object(shown)
}

fn shown_entity(row: &SyncRow, readable: &Readiness) -> Value {
    let status = match (row.schedule.status, readable) {
        (SyncStatus::Done, Readiness::Syncing) => SyncStatus::Running.as_str(),
        _ if row.missing.is_some() => "needs-confirmation",
        (status, _) => status.as_str(),
    };
    let mut entity = Map::from_iter([
        ("status".to_owned(), json!(status)),
        ("records".to_owned(), json!(row.records)),
        ("total".to_owned(), json!(row.total)),
    ]);
    let mut put = |name: &str, value: Value| {
        entity.insert(name.to_owned(), value);
    };
    if row.quarantined > 0 {
        put("quarantined", json!(row.quarantined));
    }
    if let Some(missing) = row.missing {
        put("missing", json!(missing));
    }
    // Under way, or about to begin.
    if row.full.is_some() || row.full_at.is_some_and(|at| at <= now()) {
        put("fullPass", json!("running"));
    }
    let full_error = row.full.as_ref().and_then(|full| full.error.as_ref());
    if let Some(error) = row.schedule.error.as_ref().or(full_error) {
        put("error", json!(error));
    }
    let times = [
        ("firstCompletedAt", row.schedule.first_done_at),
        ("syncedAt", row.synced_at),
        ("fullPassAt", row.full_done_at),
    ];
    for (name, at) in times {
        if let Some(at) = at.and_then(|at| api_time(at).ok()) {
            put(name, json!(at));
        }
    }
    Value::Object(entity)
}

/// Adds what the app's tightest rate limit leaves.
pub(crate) async fn put_budget(
    host: &Host,
    asker: &Asker,
    live: &Live,
    shown: &mut Value,
) -> Result<(), ApiError> {
    let budget = host.connectors.budget(&asker.environment, live).await;
    let budget = budget.map_err(ApiError::store_unavailable)?;
    let sync = shown.get_mut("sync").and_then(Value::as_object_mut);
    if let (Some(budget), Some(sync)) = (budget, sync) {
        let budget = json!({
            "limit": budget.limit,
            "remaining": budget.remaining,
            "resetAt": budget.reset_at.and_then(|at| api_time(at).ok()),
        });
        sync.insert("budget".into(), budget);
    }
    Ok(())
}
