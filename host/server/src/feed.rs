//! `GET /api/events-feed` and `GET /{category}/api/events-feed`: what happened, in
//! order and without a gap, for who would rather ask than be called.
//!
//! Numbers belong to the environment, so a reader of one account sees some only;
//! `next` is behind everything that was looked at.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::{Request, State};
use rollout_catalog::Category;
use rollout_connectors::Environment;
use rollout_store::{CREDENTIAL, EVENTS_MAX, Event, EventQuery, Events};
use rollout_webhooks::{credential_data, place_of, uri};
use serde_json::{Map, Value, json};

use crate::edge::Query;
use crate::error::ApiError;
use crate::host::Host;

const DEFAULT_LIMIT: u32 = 100;

/// Everything of the environment.
pub(crate) async fn all(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.for_environment()?;
    let query = Query::of(request.uri())?;
    answer(&host, &asker.environment, None, query).await
}

/// One account's records of a category.
pub(crate) async fn of_account(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    let query = Query::of(request.uri())?;
    let (parts, _) = request.into_parts();
    let live = asker.account(&parts.headers).await?;
    let account = Some((category, live.credential.id.as_str()));
    answer(&host, &asker.environment, account, query).await
}

async fn answer(
    host: &Host,
    environment: &Environment,
    account: Option<(Category, &str)>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let after = query.number("after", 0..)?.unwrap_or(0);
    let limit = query.number("limit", 1..)?.unwrap_or(DEFAULT_LIMIT.into());
    let limit = u32::try_from(limit).unwrap_or(EVENTS_MAX).min(EVENTS_MAX);
    let wanted = EventQuery {
        after: i64::try_from(after).unwrap_or(i64::MAX),
        limit,
        credential_id: account.map(|(_, credential)| credential),
        initial: query.flag("includeInitialSync")?.unwrap_or(false),
    };
    let found = environment.store().events(&wanted).await;
    let Events {
        events,
        next,
        more,
        first,
    } = found.map_err(ApiError::store_unavailable)?;
    let catalog = host.catalog();
    let categories: Vec<Category> = match account {
        Some((category, _)) => vec![category],
        None => catalog.categories().collect(),
    };
    let shown = events.iter().filter_map(|event| {
        let place = place_of(catalog, &categories, event);
        // An account is told of what it can read in its category.
        let told = account.is_none() || place.is_some();
        told.then(|| shown(host, environment, event, place))
    });
    let shown: Vec<Value> = shown.collect();
    Ok(Json(json!({
        "_metadata": {
            "collection": "events",
            "after": wanted.after,
            "limit": limit,
            "next": next,
            "hasMore": more,
            "first": first,
        },
        "events": shown,
    })))
}

fn shown(
    host: &Host,
    environment: &Environment,
    event: &Event,
    place: Option<(Category, &str)>,
) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    put("number", event.number.into());
    put("eventId", event.id.clone().into());
    put("event", event.name().into());
    put("eventCreated", event.time().into());
    put("credentialId", event.credential_id.clone().into());
    put("appKey", environment.shown_key(&event.app_key).into());
    if event.kind == CREDENTIAL {
        put("resourceIds", json!([event.credential_id]));
        put("data", credential_data(environment, event));
        return Value::Object(shown);
    }
    put("resourceIds", event.ids.clone().into());
    if let Some((category, path)) = place {
        let base = &host.settings.public_url;
        put("uri", uri(base, (category, path), &event.ids).into());
    }
    if event.initial {
        put("initialSync", true.into());
    }
    Value::Object(shown)
}
