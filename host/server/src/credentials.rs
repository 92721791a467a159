//! `/api/credentials`: the accounts that are connected.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use http::{HeaderMap, StatusCode};
use rollout_catalog::Issue;
use rollout_connectors::{Change, Connect, ConnectError, Environment, Live, Readiness};
use rollout_store::{CredentialStatus, StoreError, SyncRow, SyncStatus, api_time};
use serde_json::{Map, Value, json};

use crate::asker::Asker;
use crate::edge::{Query, read_json};
use crate::error::ApiError;
use crate::failure;
use crate::host::{Host, cause};

/// A bare array, oldest first. `appKey` narrows it; `includeProfile=true` adds
/// the older form of the label.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    let query = Query::of(request.uri())?;
    let profile = query.flag("includeProfile")?.unwrap_or(false);
    let app = query
        .text("appKey")
        .map(rollout_catalog::manifest::fold_key);
    let mut all = asker.credentials().await?;
    all.retain(|live| {
        let key = || rollout_catalog::manifest::fold_key(&live.credential.app_key);
        app.as_ref().is_none_or(|app| *app == key())
    });
    let ids: Vec<String> = all.iter().map(|live| live.credential.id.clone()).collect();
    let rows = asker.environment.store().sync_rows_of(&ids).await;
    let rows = rows.map_err(ApiError::store_unavailable)?;
    let credentials = all.iter().map(|live| {
        let rows = rows.get(&live.credential.id);
        let rows = rows.map(Vec::as_slice).unwrap_or_default();
        shown(&asker.environment, live, rows, profile)
    });
    Ok(Json(credentials.collect()))
}

/// One account.
pub(crate) async fn read(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(&headers)?;
    let live = asker
        .credential(&id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    show(&asker, &live).await
}

/// Connects an account: what was entered is proven with the app first.
pub(crate) async fn connect(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    let cause = cause(&request);
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["appKey", "userInputs", "plan", "entitiesToSync"])?;
    let connect = Connect {
        app_key: text(&mut body, "appKey")?.ok_or_else(|| wrong("appKey", "is required"))?,
        plan: text(&mut body, "plan")?,
        user_inputs: map(&mut body, "userInputs")?.unwrap_or_default(),
        entities_to_sync: map(&mut body, "entitiesToSync")?,
    };
    let consumer = asker.consumer().await?;
    let connected = host
        .connectors
        .connect(&asker.environment, &consumer, connect, &cause)
        .await;
    answer(&asker, connected).await
}

/// Changes an account's inputs, entities or label.
pub(crate) async fn change(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    let live = asker
        .credential(&id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let cause = cause(&request);
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["userInputs", "entitiesToSync", "label"])?;
    let change = Change {
        user_inputs: map(&mut body, "userInputs")?,
        entities_to_sync: map(&mut body, "entitiesToSync")?,
        label: text(&mut body, "label")?,
    };
    let changed = host
        .connectors
        .change(&asker.environment, &live, change, &cause)
        .await;
    answer(&asker, changed).await
}

/// Deletes an account: its secrets and its records.
pub(crate) async fn delete(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    let cause = cause(&request);
    let query = Query::of(request.uri())?;
    let id = query
        .text("credentialId")
        .ok_or_else(|| ApiError::invalid_query("credentialId", "is required"))?;
    let live = asker
        .credential(id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    match asker.environment.forget(&live.credential.id).await {
        Ok(()) => {
            // Nobody waits for what the app says to it.
            let (host, environment) = (host.clone(), asker.environment.clone());
            tokio::spawn(async move {
                let revoking = host.connectors.revoke_tokens(&environment, &live, &cause);
                revoking.await;
            });
            Ok(StatusCode::NO_CONTENT)
        }
        // Somebody else was faster: it is gone either way.
        Err(StoreError::NotFound(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(ApiError::store_unavailable(error)),
    }
}

async fn answer(
    asker: &Asker,
    connected: Result<Arc<Live>, ConnectError>,
) -> Result<Json<Value>, ApiError> {
    let live = connected.map_err(refused)?;
    show(asker, &live).await
}

async fn show(asker: &Asker, live: &Live) -> Result<Json<Value>, ApiError> {
    let rows = asker.environment.store().sync_rows(&live.credential.id);
    let rows = rows.await.map_err(ApiError::store_unavailable)?;
    Ok(Json(shown(&asker.environment, live, &rows, true)))
}

/// While connecting, the person who typed the key is the one who reads this.
pub(crate) fn refused(error: ConnectError) -> ApiError {
    match error {
        ConnectError::UnknownConnector(key) => ApiError::unknown_connector(&key),
        ConnectError::UnknownPlan {
            connector,
            plan,
            plans,
        } => {
            let plans: Vec<&str> = plans.iter().map(String::as_str).collect();
            ApiError::unknown_plan(&connector, &plan, &plans)
        }
        ConnectError::Invalid(issues) => ApiError::invalid_inputs(
            issues
                .into_iter()
                .map(|Issue { pointer, message }| (pointer, message)),
        ),
        ConnectError::Refused(words) => ApiError::invalid_credentials(words),
        other @ ConnectError::OtherAccount => ApiError::conflict(other.to_string()),
        ConnectError::Call(error) => failure::of_call(error),
        ConnectError::Store(StoreError::NotFound(_)) => ApiError::not_found(),
        ConnectError::Store(error) => ApiError::store_unavailable(error),
        ConnectError::Vault(error) => ApiError::internal(error),
    }
}

fn shown(environment: &Environment, live: &Live, rows: &[SyncRow], profile: bool) -> Value {
    let credential = &live.credential;
    let (status, reason) = match &credential.status {
        CredentialStatus::Ok => ("ok", None),
        CredentialStatus::Broken(reason) => ("broken", Some(reason)),
    };
    let mut shown = json!({
        "id": credential.id,
        "createdAt": api_time(credential.created_at).ok(),
        "appKey": environment.shown_key(&credential.app_key),
        "label": credential.label,
        "avatar": credential.avatar,
        "plan": credential.plan,
        "entitiesToSync": credential.entities_to_sync,
        "status": status,
        "sync": sync(live, rows),
    });
    if let Some(shown) = shown.as_object_mut() {
        if let Some(reason) = reason {
            shown.insert("statusReason".into(), json!(reason));
        }
        if profile {
            shown.insert("profile".into(), json!({"accountName": credential.label}));
        }
    }
    shown
}

/// How far the account's entities are, in the terms in which they can be read:
/// nothing is shown as done that still answers 409.
fn sync(live: &Live, rows: &[SyncRow]) -> Value {
    let readable = |row: &SyncRow| live.readiness(&row.entity).unwrap_or(Readiness::Syncing);
    let mut entities = Map::new();
    for row in rows {
        let status = match (row.schedule.status, readable(row)) {
            (SyncStatus::Done, Readiness::Syncing) => SyncStatus::Running,
            (status, _) => status,
        };
        let mut entity = json!({
            "status": status.as_str(),
            "records": row.records,
            "total": row.total,
        });
        if let Some(entity) = entity.as_object_mut() {
            if row.quarantined > 0 {
                entity.insert("quarantined".into(), json!(row.quarantined));
            }
            if let Some(error) = &row.schedule.error {
                entity.insert("error".into(), json!(error));
            }
            if let Some(done) = row.schedule.first_done_at {
                entity.insert("firstCompletedAt".into(), json!(api_time(done).ok()));
            }
        }
        entities.insert(row.entity.clone(), entity);
    }
    let readiness: Vec<Readiness> = rows.iter().map(readable).collect();
    let settled = |one: &Readiness| matches!(one, Readiness::Complete | Readiness::Unavailable(_));
    let status = if readiness.iter().all(settled) {
        "done"
    } else if readiness
        .iter()
        .any(|one| matches!(one, Readiness::Failed(_)))
    {
        "failed"
    } else if rows
        .iter()
        .any(|row| row.schedule.status != SyncStatus::Pending)
    {
        "running"
    } else {
        "pending"
    };
    json!({"status": status, "entities": entities})
}

pub(crate) async fn object(request: Request, limit: usize) -> Result<Map<String, Value>, ApiError> {
    match read_json(request, limit).await? {
        Some(Value::Object(object)) => Ok(object),
        _ => Err(ApiError::invalid_body([(
            String::new(),
            "The body must be a JSON object".to_owned(),
        )])),
    }
}

pub(crate) fn known(body: &Map<String, Value>, names: &[&str]) -> Result<(), ApiError> {
    let unknown: Vec<(String, String)> = body
        .keys()
        .filter(|key| !names.contains(&key.as_str()))
        .map(|key| {
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let message = format!("unknown field; there are: {}", names.join(", "));
            (pointer, message)
        })
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid_body(unknown))
    }
}

pub(crate) fn wrong(name: &str, problem: &str) -> ApiError {
    ApiError::invalid_body([(format!("/{name}"), format!("{name} {problem}"))])
}

pub(crate) fn text(body: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "must be a string")),
    }
}

pub(crate) fn map(
    body: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<Map<String, Value>>, ApiError> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(wrong(name, "must be an object")),
    }
}
