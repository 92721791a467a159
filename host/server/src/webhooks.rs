//! `/{category}/api/webhooks` and `/api/webhooks`: who is told when something happens.
//!
//! In a category a subscription belongs to the credential that the header names, and only
//! who owns it may have one. Those at `/api/webhooks` are the environment's: one address
//! for the events of all credentials.

mod deliveries;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use rollout_catalog::Category;
use rollout_connectors::{Environment, Live};
use rollout_egress::Received;
use rollout_store::{Place, StoreError, Subscriber, Wanted, Webhook, WebhookChange};
use rollout_webhooks::{Filters, known, names};
use serde_json::{Map, Value, json};

use crate::asker::{Asker, seconds};
use crate::credentials::{known as known_fields, map, object, text, wrong};
use crate::cursor::Binding;
use crate::edge::Query;
use crate::error::ApiError;
use crate::host::Host;

pub(crate) use deliveries::{deliveries, delivery, resend};

const COLLECTION: &str = "webhooks";
const DEFAULT_LIMIT: u32 = 100;
const ACTIVE: &str = "Active";
const DISABLED: &str = "Disabled";
/// Why a subscription is disabled that its owner disabled.
const BY_REQUEST: &str = "It was disabled by request.";

/// The category of a request; none: it is about the environment.
type In = Option<Extension<Category>>;

/// Whose subscriptions a request is about.
struct Owner {
    asker: Asker,
    live: Option<Arc<Live>>,
    category: Option<Category>,
    /// The category's name; empty for the environment.
    within: String,
}

impl Owner {
    /// Checks token and account.
    async fn of(host: &Host, category: In, headers: &HeaderMap) -> Result<Self, ApiError> {
        let asker = host.asker(headers)?;
        let category = category.map(|Extension(category)| category);
        let live = match category {
            None => {
                asker.for_environment()?;
                None
            }
            Some(_) => {
                let live = asker.account(headers).await?;
                if !asker.owns(&live).await? {
                    return Err(ApiError::forbidden(
                        "This account is shared with this consumer: only its owner, or an environment token, may subscribe to it.",
                    ));
                }
                Some(live)
            }
        };
        Ok(Self {
            within: category.map(|one| one.to_string()).unwrap_or_default(),
            asker,
            live,
            category,
        })
    }

    fn environment(&self) -> &Environment {
        &self.asker.environment
    }

    fn subscriber(&self) -> Subscriber<'_> {
        Subscriber {
            credential_id: self.live.as_ref().map(|live| live.credential.id.as_str()),
            category: &self.within,
        }
    }

    /// One of the owner's subscriptions.
    async fn webhook(&self, id: &str) -> Result<Webhook, ApiError> {
        let store = self.environment().store();
        let found = store.webhook(self.subscriber(), id).await;
        let found = found.map_err(ApiError::store_unavailable)?;
        found.ok_or_else(ApiError::not_found)
    }

    /// What is asked for, if it can be had.
    fn wanted(
        &self,
        host: &Host,
        url: String,
        event: String,
        filters: Map<String, Value>,
        initial: bool,
    ) -> Result<Wanted, ApiError> {
        let admitted = host.sender.admit(&url);
        admitted.map_err(|refused| wrong("url", &refused.to_string()))?;
        let about = known(host.catalog(), self.category, &event);
        let about = about.ok_or_else(|| {
            let names = names(host.catalog(), self.category).join(", ");
            wrong("event", &format!("is not one that there is: {names}"))
        })?;
        let entity = about.as_ref().map(|about| about.entity.as_ref());
        let filters = Filters::read(filters, entity).map_err(|error| {
            let field = error.field.replace('~', "~0").replace('/', "~1");
            let place = if field.is_empty() {
                "filters".to_owned()
            } else {
                format!("filters/{field}")
            };
            wrong(&place, &error.problem)
        })?;
        Ok(Wanted {
            event,
            url,
            filters: filters.text(),
            initial,
        })
    }
}

/// A page of them, oldest first.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    category: In,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let owner = Owner::of(&host, category, request.headers()).await?;
    let query = Query::of(request.uri())?;
    let most = u32::try_from(rollout_store::WEBHOOKS_MAX).unwrap_or(DEFAULT_LIMIT);
    let limit = query.number("limit", 1..)?.unwrap_or(DEFAULT_LIMIT.into());
    let limit = u32::try_from(limit).unwrap_or(most).min(most);
    let secrets = owner.environment().secrets();
    let subscriber = owner.subscriber();
    let binding = Binding {
        key: secrets.current(),
        credential: subscriber.credential_id.unwrap_or_default(),
        entity: COLLECTION,
        filters: subscriber.category,
    };
    let now = seconds(rollout_store::now());
    let offset = match query.text("next").filter(|next| !next.is_empty()) {
        Some(next) => {
            let place = binding.place(next, now);
            place.map_err(ApiError::invalid_cursor)?.seq.unsigned_abs()
        }
        None => query.number("offset", 0..)?.unwrap_or(0),
    };
    let found = owner.environment().store().webhooks(subscriber).await;
    let found = found.map_err(ApiError::store_unavailable)?;
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    let shown: Vec<Value> = found
        .iter()
        .skip(skipped)
        .take(limit as usize)
        .map(shown)
        .collect();
    let behind = skipped.saturating_add(shown.len());
    let next = (behind < found.len() && !shown.is_empty()).then(|| {
        let seq = i64::try_from(behind).unwrap_or(i64::MAX);
        binding.cursor(&Place { seq, value: None }, now)
    });
    let link = next.as_ref().map(|next| {
        let within = match owner.category {
            Some(category) => format!("/{category}"),
            None => String::new(),
        };
        let base = &host.settings.public_url;
        format!("{base}{within}/api/{COLLECTION}?limit={limit}&next={next}")
    });
    Ok(Json(json!({
        "_metadata": {
            "collection": COLLECTION,
            "offset": offset,
            "limit": limit,
            "total": found.len(),
            "next": next,
            "nextLink": link,
        },
        COLLECTION: shown,
    })))
}

/// Makes one.
pub(crate) async fn create(
    State(host): State<Arc<Host>>,
    category: In,
    request: Request,
) -> Result<Response, ApiError> {
    let owner = Owner::of(&host, category, request.headers()).await?;
    owner.asker.may_change()?;
    let mut body = object(request, host.settings.body_bytes).await?;
    known_fields(&body, &["url", "event", "filters", "includeInitialSync"])?;
    let url = text(&mut body, "url")?.ok_or_else(|| wrong("url", "is required"))?;
    let event = text(&mut body, "event")?.ok_or_else(|| wrong("event", "is required"))?;
    let filters = map(&mut body, "filters")?.unwrap_or_default();
    let initial = flag(&mut body, "includeInitialSync")?.unwrap_or(false);
    let wanted = owner.wanted(&host, url, event, filters, initial)?;
    let store = owner.environment().store();
    let made = store.create_webhook(owner.subscriber(), &wanted).await;
    let made = made.map_err(refusal)?;
    Ok((StatusCode::CREATED, Json(shown(&made))).into_response())
}

/// One of them.
pub(crate) async fn read(
    State(host): State<Arc<Host>>,
    category: In,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let owner = Owner::of(&host, category, &headers).await?;
    Ok(Json(shown(&owner.webhook(&id).await?)))
}

/// Changes one; with `status` it is disabled or enabled, and what waits then goes out.
pub(crate) async fn update(
    State(host): State<Arc<Host>>,
    category: In,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let owner = Owner::of(&host, category, request.headers()).await?;
    owner.asker.may_change()?;
    let Wanted {
        event,
        url,
        filters,
        initial,
    } = owner.webhook(&id).await?.wanted;
    let mut body = object(request, host.settings.body_bytes).await?;
    known_fields(
        &body,
        &["url", "event", "filters", "includeInitialSync", "status"],
    )?;
    let url = text(&mut body, "url")?.unwrap_or(url);
    let event = text(&mut body, "event")?.unwrap_or(event);
    let filters = match map(&mut body, "filters")? {
        Some(filters) => filters,
        None => serde_json::from_str(&filters).map_err(ApiError::internal)?,
    };
    let initial = flag(&mut body, "includeInitialSync")?.unwrap_or(initial);
    let disabled = match text(&mut body, "status")?.as_deref() {
        None => None,
        Some(ACTIVE) => Some(None),
        Some(DISABLED) => Some(Some(BY_REQUEST.to_owned())),
        Some(_) => return Err(wrong("status", "must be \"Active\" or \"Disabled\"")),
    };
    let change = WebhookChange {
        wanted: Some(owner.wanted(&host, url, event, filters, initial)?),
        disabled,
    };
    let store = owner.environment().store();
    let changed = store.change_webhook(owner.subscriber(), &id, &change).await;
    Ok(Json(shown(&changed.map_err(refusal)?)))
}

/// Ends one. The answer is an empty array.
pub(crate) async fn delete(
    State(host): State<Arc<Host>>,
    category: In,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let owner = Owner::of(&host, category, &headers).await?;
    owner.asker.may_change()?;
    let store = owner.environment().store();
    let gone = store.delete_webhook(owner.subscriber(), &id).await;
    gone.map_err(refusal)?;
    Ok(Json(json!([])))
}

/// Sends a test to the receiver, once, whether it is enabled or not, and says what came of
/// it.
pub(crate) async fn ping(
    State(host): State<Arc<Host>>,
    category: In,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let owner = Owner::of(&host, category, &headers).await?;
    owner.asker.may_change()?;
    let webhook = owner.webhook(&id).await?;
    let received = host.sender.ping(owner.environment(), &webhook).await;
    let Received {
        status,
        failure,
        body,
        took,
        ..
    } = &received;
    Ok(Json(json!({
        "delivered": received.is_accepted(),
        "status": status,
        "failure": failure,
        "answer": String::from_utf8_lossy(body),
        "milliseconds": rollout_store::millis(*took),
    })))
}

fn shown(webhook: &Webhook) -> Value {
    let Wanted {
        event,
        url,
        filters,
        initial,
    } = &webhook.wanted;
    let filters: Value = serde_json::from_str(filters).unwrap_or_else(|_| json!({}));
    let status = match webhook.disabled {
        None => ACTIVE,
        Some(_) => DISABLED,
    };
    let mut shown = json!({
        "id": webhook.id,
        "status": status,
        "event": event,
        "url": url,
        "filters": filters,
    });
    let mut put = |name: &str, value: Value| {
        if let Some(shown) = shown.as_object_mut() {
            shown.insert(name.to_owned(), value);
        }
    };
    if *initial {
        put("includeInitialSync", true.into());
    }
    if let Some(reason) = &webhook.disabled {
        put("statusReason", reason.clone().into());
    }
    shown
}

fn flag(body: &mut Map<String, Value>, name: &str) -> Result<Option<bool>, ApiError> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(wrong(name, "must be true or false")),
    }
}

fn refusal(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict(_) => {
            ApiError::conflict("There is a webhook of this event and url already.")
        }
        StoreError::Limit(limit) => ApiError::conflict(format!("No more can be made: {limit}.")),
        // Of the subscription, or of its credential meanwhile.
        StoreError::NotFound(_) => ApiError::not_found(),
        error => ApiError::store_unavailable(error),
    }
}
