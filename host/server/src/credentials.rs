//! `/api/credentials`: the accounts that are connected.

pub(crate) mod consumers;
pub(crate) mod data;
pub(crate) mod import;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use rollout_catalog::Issue;
use rollout_connectors::{
    Change, Connect, ConnectError, Connected, Environment, EnvironmentError, Live,
};
use rollout_store::{CredentialStatus, Records, StoreError, SyncRow, api_time};
use serde_json::{Map, Value, json};

use crate::asker::Asker;
use crate::edge::{Query, RequestId, read_json};
use crate::error::ApiError;
use crate::failure;
use crate::host::{Host, cause};
use crate::sanitize::harmless;
use crate::sync;

/// A bare array, oldest first. `appKey` narrows it; `includeProfile=true` adds
/// the older form of the label, `includeData=true` what an account is connected with.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = host.asker(request.headers())?;
    let query = Query::of(request.uri())?;
    let profile = query.flag("includeProfile")?.unwrap_or(false);
    let data = data::is_wanted(&asker, &query)?;
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
    let mut credentials = Vec::new();
    for live in &all {
        let rows = rows.get(&live.credential.id);
        let rows = rows.map(Vec::as_slice).unwrap_or_default();
        let mut shown = shown(&asker.environment, live, rows, profile);
        if data && asker.owns(live).await? {
            data::put(&host, &asker, live, request_id(&request), &mut shown)?;
        }
        credentials.push(shown);
    }
    Ok(private(Value::Array(credentials)))
}

/// One account. `includeData=true` adds what it is connected with.
pub(crate) async fn read(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = host.asker(request.headers())?;
    let query = Query::of(request.uri())?;
    let data = data::is_wanted(&asker, &query)?;
    let live = asker
        .credential(&id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let mut shown = show(&asker, &live).await?;
    sync::put_budget(&host, &asker, &live, &mut shown).await?;
    if data && asker.owns(&live).await? {
        data::put(&host, &asker, &live, request_id(&request), &mut shown)?;
    }
    Ok(private(shown))
}

/// Connects an account: what was entered is proven with the app first.
pub(crate) async fn connect(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    let cause = cause(&request);
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["appKey", "userInputs", "plan", "entitiesToSync"])?;
    let connect = Connect {
        app_key: text(&mut body, "appKey")?.ok_or_else(|| wrong("appKey", "is required"))?,
        plan: text(&mut body, "plan")?,
        user_inputs: map(&mut body, "userInputs")?.unwrap_or_default(),
        auth_data: asker.auth_data.clone(),
        entities_to_sync: map(&mut body, "entitiesToSync")?,
    };
    let consumer = asker.consumer().await?;
    // Whoever hangs up has connected it all the same, with all that belongs to it.
    let connecting = tokio::spawn({
        let (host, environment) = (host.clone(), asker.environment.clone());
        async move {
            let connectors = &host.connectors;
            connectors
                .connect(&environment, &consumer, connect, &cause)
                .await
        }
    });
    let connected = connecting.await.map_err(ApiError::internal)?;
    answer(&asker, connected).await
}

/// Changes an account's inputs, entities or label.
pub(crate) async fn change(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    let live = asker.own_credential(&id).await?;
    let cause = cause(&request);
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["userInputs", "entitiesToSync", "label"])?;
    let change = Change {
        user_inputs: map(&mut body, "userInputs")?,
        auth_data: asker.auth_data.clone(),
        entities_to_sync: map(&mut body, "entitiesToSync")?,
        label: text(&mut body, "label")?,
    };
    let changing = tokio::spawn({
        let (host, environment) = (host.clone(), asker.environment.clone());
        async move {
            let connectors = &host.connectors;
            connectors.change(&environment, &live, change, &cause).await
        }
    });
    let changed = changing.await.map_err(ApiError::internal)?;
    answer(&asker, changed).await
}

/// Deletes an account: its secrets, and its records unless `keepRecords=true`. One that is
/// shared with the asker is taken from him only. A token of the environment erases the
/// records that were kept of a deleted account in the same way.
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
    let records = match query.flag("keepRecords")? {
        Some(true) => Records::Keep,
        Some(false) | None => Records::Erase,
    };
    let environment = &asker.environment;
    let Some(live) = asker.credential(id).await? else {
        asker.for_environment().map_err(|_| ApiError::not_found())?;
        let kept = match records {
            Records::Keep => false,
            Records::Erase => {
                let erased = environment.erase_kept(id).await;
                ended(erased.map_err(EnvironmentError::Store))?
            }
        };
        return kept
            .then_some(StatusCode::NO_CONTENT)
            .ok_or_else(ApiError::not_found);
    };
    let gone = if asker.owns(&live).await? {
        let forgotten = environment.forget(&live.credential.id, records).await;
        if forgotten.is_ok() {
            // Nobody waits for what the app says to it.
            let (host, environment) = (host.clone(), environment.clone());
            tokio::spawn(async move {
                let revoking = host.connectors.revoke_tokens(&environment, &live, &cause);
                revoking.await;
            });
        }
        forgotten.map_err(EnvironmentError::Store)
    } else {
        let consumer = asker.consumer().await?;
        environment.unshare(&live.credential.id, &consumer).await
    };
    // Somebody else was faster: it is gone either way.
    ended(gone)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether it was there, if that is how it ended.
pub(super) fn ended(ended: Result<(), EnvironmentError>) -> Result<bool, ApiError> {
    match ended {
        Ok(()) => Ok(true),
        Err(EnvironmentError::Store(StoreError::NotFound(_))) => Ok(false),
        Err(error) => Err(ApiError::store_unavailable(error)),
    }
}

/// What is said of an account that was connected or changed, or what its app wants to
/// know first.
async fn answer(
    asker: &Asker,
    connected: Result<Connected, ConnectError>,
) -> Result<Response, ApiError> {
    let shown = match connected.map_err(refused)? {
        Connected::Account(live) => show(asker, &live).await?,
        Connected::Challenge(challenge) => json!({
            "action": "OTP_REQUEST",
            "titleHTML": harmless(&challenge.title),
            "messageHTML": harmless(&challenge.message),
            "otpChallengeId": challenge.id,
        }),
    };
    Ok(private(shown))
}

async fn show(asker: &Asker, live: &Live) -> Result<Value, ApiError> {
    let rows = asker.environment.store().sync_rows(&live.credential.id);
    let rows = rows.await.map_err(ApiError::store_unavailable)?;
    Ok(shown(&asker.environment, live, &rows, true))
}

/// An answer that nothing on its way keeps: it may hold secrets.
fn private(body: Value) -> Response {
    let headers = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, Json(body)).into_response()
}

fn request_id(request: &Request) -> &str {
    let id = request.extensions().get::<RequestId>();
    id.map(RequestId::as_str).unwrap_or_default()
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
        other @ (ConnectError::OtherAccount | ConnectError::Replaced) => {
            ApiError::conflict(other.to_string())
        }
        ConnectError::Token(error) => failure::of_token(error),
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
        "sync": sync::shown(live, rows),
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
