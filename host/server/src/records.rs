//! `/{category}/api/{entity}`: the records of a connected account.
//!
//! One set of handlers serves every entity of the catalogue. Reads come from the
//! store; writes go through the connector and are in the store when they return.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rollout_catalog::json::push_text;
use rollout_catalog::manifest::EntityOffer;
use rollout_catalog::{Category, Entity, Match, Operation, Verb, second_of};
use rollout_connectors::{Cause, Connector, Live, Readiness};
use rollout_store::{CredentialStatus, IDS_MAX, LIMIT_MAX, List, ListQuery, Narrow, OFFSET_MAX};
use rollout_sync::{Act, Target, Wrote};
use serde_json::Value;

use crate::asker::{Asker, must_work, seconds};
use crate::cursor::Binding;
use crate::edge::{Query, read_json};
use crate::error::ApiError;
use crate::failure;
use crate::host::{Host, cause};

/// Records on a page that asks for no number.
const DEFAULT_LIMIT: u32 = 100;

const STATUS: HeaderName = HeaderName::from_static("x-rollout-credential-status");
const IGNORED: HeaderName = HeaderName::from_static("x-rollout-ignored-fields");
const PARTIAL: &str = "x-rollout-allow-partial";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LONGEST_KEY: usize = 255;

/// An entity of an account, as a request means it.
struct Resource {
    asker: Asker,
    live: Arc<Live>,
    connector: Arc<Connector>,
    entity: Arc<Entity>,
}

/// What is asked of the entity.
#[derive(Clone, Copy)]
enum Ask<'a> {
    Verb(Verb),
    Operation(&'a str),
}

impl Resource {
    /// Checks token, account and entity, in this order.
    async fn of(
        host: &Host,
        category: Category,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        let asker = host.asker(headers)?;
        let entity = host.catalog().entity(category, path).cloned();
        let entity = entity.ok_or_else(ApiError::unknown_route)?;
        let live = asker.account(headers).await?;
        Ok(Self {
            connector: host.connector(&asker.environment, &live)?,
            asker,
            live,
            entity,
        })
    }

    /// What the connector offers, if it offers what is asked.
    fn offer(&self, ask: Ask<'_>) -> Result<&EntityOffer, ApiError> {
        let offer = self.connector.manifest.entity(&self.entity.name);
        let has = |verb| offer.is_some_and(|offer: &EntityOffer| offer.has(verb));
        let (name, offered) = match ask {
            Ask::Verb(verb) => (verb.as_str(), has(verb)),
            Ask::Operation(name) => (
                name,
                offer.is_some_and(|offer| offer.operations.iter().any(|one| one == name)),
            ),
        };
        if let (Some(offer), true) = (offer, offered) {
            return Ok(offer);
        }
        let on_collection = matches!(ask, Ask::Verb(Verb::List | Verb::Create));
        let verbs = match ask {
            Ask::Operation(_) => &[],
            Ask::Verb(_) => methods(on_collection),
        };
        let allowed: Vec<&str> = verbs
            .iter()
            .filter(|(verb, _)| has(*verb))
            .map(|(_, method)| *method)
            .collect();
        Err(ApiError::verb_unsupported(
            &self.connector.manifest.name,
            &self.entity.path,
            name,
            &allowed,
        ))
    }

    /// Refuses while the data is not there. With `partial`, an entity that is
    /// still coming in can be read; answers whether it is.
    fn ready(&self, host: &Host, partial: bool) -> Result<bool, ApiError> {
        let live = &self.live;
        let Some(own) = live.readiness(&self.entity.name) else {
            return Err(match &self.entity.flag {
                Some(flag) => ApiError::entity_not_synced(flag),
                None => ApiError::data_not_ready("It is about to be synced."),
            });
        };
        let name = self.entity.name.as_str();
        let core = host.catalog().names();
        let core = core.filter(|entity| entity.core && entity.name != name);
        let core = core.filter_map(|one| Some((one.name.as_str(), live.readiness(&one.name)?)));
        let mut coming = false;
        for (of, readiness) in core.chain([(name, own)]) {
            match readiness {
                Readiness::Complete => {}
                Readiness::Unavailable(reason) if of == name => {
                    return Err(ApiError::entity_unavailable(reason));
                }
                // Of another entity: it doesn't hold this one up.
                Readiness::Unavailable(_) => {}
                Readiness::Failed(reason) if !partial => {
                    return Err(ApiError::first_sync_failed(format!("{of}: {reason}")));
                }
                Readiness::Syncing if !partial => {
                    return Err(ApiError::data_not_ready(format!(
                        "The first sync of {of} is not complete; GET /api/credentials shows how far it is."
                    )));
                }
                Readiness::Failed(_) | Readiness::Syncing => coming = true,
            }
        }
        Ok(coming)
    }

    /// Refuses writes where reads would be, and where the app would refuse.
    fn writable(&self, host: &Host) -> Result<(), ApiError> {
        self.asker.may_change()?;
        self.ready(host, false)?;
        must_work(&self.live)
    }

    fn target<'a>(&'a self, offer: &'a EntityOffer, cause: &'a Cause) -> Target<'a> {
        Target {
            environment: &self.asker.environment,
            live: &self.live,
            connector: &self.connector,
            entity: &self.entity,
            offer,
            cause,
        }
    }

    /// Reads of a broken credential show the last copy, and say so.
    fn stamp(&self, mut response: Response) -> Response {
        if matches!(self.live.credential.status, CredentialStatus::Broken(_)) {
            let broken = HeaderValue::from_static("broken");
            response.headers_mut().insert(STATUS, broken);
        }
        response
    }
}

/// The methods of a collection's path, or of a record's.
fn methods(on_collection: bool) -> &'static [(Verb, &'static str)] {
    match on_collection {
        true => &[(Verb::List, "GET"), (Verb::Create, "POST")],
        false => &[
            (Verb::Get, "GET"),
            (Verb::Update, "PUT"),
            (Verb::Delete, "DELETE"),
        ],
    }
}

/// Refuses a method that no entity has, and says which this one has.
pub(crate) async fn other_method(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    Path(path): Path<HashMap<String, String>>,
) -> ApiError {
    let entity = path.get("entity");
    let entity = entity.and_then(|path| host.catalog().entity(category, path));
    let Some(entity) = entity else {
        return ApiError::unknown_route();
    };
    let verbs = methods(!path.contains_key("id")).iter();
    let verbs = verbs.filter(|(verb, _)| entity.verbs.contains(verb));
    let methods: Vec<&str> = verbs.map(|(_, method)| *method).collect();
    let error = ApiError::method_not_allowed();
    match HeaderValue::from_str(&methods.join(", ")) {
        Ok(methods) => error.header(ALLOW, methods),
        Err(_) => error,
    }
}

/// A page of records, newest first.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let resource = Resource::of(&host, category, &path, request.headers()).await?;
    resource.offer(Ask::Verb(Verb::List))?;
    let partial = resource.ready(&host, allow_partial(request.headers())?)?;

    let query = Query::of(request.uri())?;
    let (entity, live) = (&resource.entity, &resource.live);
    let limit = query.number("limit", 1..)?.unwrap_or(DEFAULT_LIMIT.into());
    let limit = u32::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let mut wanted = ListQuery::new(&live.credential.id, entity, limit);
    let filters = filters(&query, entity, &mut wanted)?;
    let secrets = resource.asker.environment.secrets();
    let now = seconds(rollout_store::now());
    let binding = Binding {
        key: secrets.current(),
        credential: &live.credential.id,
        entity: &entity.name,
        filters: &filters,
    };
    match query.text("next").filter(|next| !next.is_empty()) {
        Some(next) => {
            let place = binding.place(next, now);
            wanted.after = Some(place.map_err(ApiError::invalid_cursor)?);
        }
        None => {
            let offset = query.number("offset", 0..)?.unwrap_or(0);
            wanted.offset = u32::try_from(offset)
                .ok()
                .filter(|offset| *offset <= OFFSET_MAX)
                .ok_or_else(|| {
                    ApiError::invalid_query(
                        "offset",
                        format_args!("may be at most {OFFSET_MAX}; use `next` from `_metadata` to go on from page to page"),
                    )
                })?;
        }
    }
    let mut items = Vec::with_capacity(16 * 1024);
    let store = resource.asker.environment.store();
    let list = store
        .list_json(&wanted, &mut items)
        .await
        .map_err(ApiError::store_unavailable)?;
    let next = list.next.as_ref().map(|place| binding.cursor(place, now));
    let next_link = next.as_ref().map(|next| {
        let base = format!(
            "{}/{category}/api/{}",
            host.settings.public_url, entity.path
        );
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.pairs() {
            if !matches!(name, "next" | "offset" | "limit") {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("limit", &limit.to_string());
        pairs.append_pair("next", next);
        format!("{base}?{}", pairs.finish())
    });
    let body = envelope(&Envelope {
        collection: &entity.collection,
        offset: wanted.offset,
        limit,
        list,
        next: next.as_deref(),
        next_link: next_link.as_deref(),
        partial,
        items: &items,
    });
    Ok(resource.stamp(json(StatusCode::OK, body)))
}

struct Envelope<'a> {
    collection: &'a str,
    offset: u32,
    limit: u32,
    list: List,
    next: Option<&'a str>,
    next_link: Option<&'a str>,
    partial: bool,
    items: &'a [u8],
}

fn envelope(page: &Envelope<'_>) -> Vec<u8> {
    let mut head = String::with_capacity(512);
    head.push_str("{\"_metadata\":{\"collection\":");
    push_text(&mut head, page.collection);
    // Writing to a String can't fail.
    let _ = write!(
        head,
        ",\"offset\":{},\"limit\":{},\"total\":{}",
        page.offset, page.limit, page.list.total
    );
    for (name, value) in [("next", page.next), ("nextLink", page.next_link)] {
        let _ = write!(head, ",\"{name}\":");
        match value {
            Some(value) => push_text(&mut head, value),
            None => head.push_str("null"),
        }
    }
    if page.list.total_is_at_least {
        head.push_str(",\"totalIsAtLeast\":true");
    }
    if page.partial {
        head.push_str(",\"partial\":true");
    }
    head.push_str("},");
    push_text(&mut head, page.collection);
    head.push_str(":[");
    let mut body = Vec::with_capacity(head.len() + page.items.len() + 2);
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(page.items);
    body.extend_from_slice(b"]}");
    body
}

/// Reads the entity's filters and the order into the query, and gives them as one
/// canonical text, which a cursor is bound to.
fn filters<'a>(
    query: &Query,
    entity: &'a Entity,
    wanted: &mut ListQuery<'a>,
) -> Result<String, ApiError> {
    let mut canonical = String::new();
    let mut note = |name: &str, value: &str| {
        let _ = write!(canonical, "{name}={}:{value};", value.len());
    };
    if let Some(ids) = query.list("ids", IDS_MAX)? {
        note("ids", &ids.join(","));
        wanted.ids = Some(ids.into_iter().map(str::to_owned).collect());
    }
    if let Some(text) = query.text("updatedSince") {
        let since = second_of(text).ok_or_else(|| {
            let problem = "is a date or a time, for example 2025-07-02T15:19:21Z";
            ApiError::invalid_query("updatedSince", problem)
        })?;
        note("updatedSince", &since);
        wanted.updated_since = Some(since);
    }
    if let Some(text) = query.text("sort") {
        let sort = entity.sort(text);
        wanted.sort = Some(sort.map_err(|problem| ApiError::invalid_query("sort", problem))?);
        note("sort", text);
    }
    for filter in entity.filters() {
        let Some(text) = query.text(&filter.param) else {
            continue;
        };
        note(&filter.param, text);
        let values = match filter.matches {
            Match::AnyItem => text
                .split(',')
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .collect(),
            Match::Equals | Match::Digits | Match::EntryValue | Match::EntryDigits => {
                vec![text.to_owned()]
            }
        };
        wanted.filters.push(Narrow {
            field: filter.field.clone(),
            values,
        });
    }
    Ok(canonical)
}

/// One record.
pub(crate) async fn read(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    Path((path, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let resource = Resource::of(&host, category, &path, request.headers()).await?;
    resource.offer(Ask::Verb(Verb::Get))?;
    resource.ready(&host, allow_partial(request.headers())?)?;
    let store = resource.asker.environment.store();
    let record = store
        .get_json(&resource.live.credential.id, &resource.entity, &id)
        .await
        .map_err(ApiError::store_unavailable)?;
    let record = record.ok_or_else(ApiError::not_found)?;
    Ok(resource.stamp(json(StatusCode::OK, record)))
}

/// Creates a record: 201.
pub(crate) async fn create(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let resource = Resource::of(&host, category, &path, request.headers()).await?;
    let offer = resource.offer(Ask::Verb(Verb::Create))?;
    resource.writable(&host)?;
    let key = idempotency_key(request.headers())?;
    let cause = cause(&request);
    let body = body(request, &host).await?;
    let wrote = write(
        &host,
        resource.target(offer, &cause),
        Act::Create { body },
        key,
    )
    .await?;
    Ok(written(StatusCode::CREATED, wrote))
}

/// Changes the fields that are sent.
pub(crate) async fn update(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    Path((path, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let resource = Resource::of(&host, category, &path, request.headers()).await?;
    let offer = resource.offer(Ask::Verb(Verb::Update))?;
    resource.writable(&host)?;
    let query = Query::of(request.uri())?;
    let mut merge = Vec::new();
    for field in &resource.entity.fields {
        if let Some(parameter) = &field.merge
            && query.flag(parameter)?.unwrap_or(false)
        {
            merge.push(field.name.clone());
        }
    }
    let key = idempotency_key(request.headers())?;
    let cause = cause(&request);
    let body = body(request, &host).await?;
    let act = Act::Update { id, body, merge };
    let wrote = write(&host, resource.target(offer, &cause), act, key).await?;
    Ok(written(StatusCode::OK, wrote))
}

/// Deletes a record: an empty array, as documented.
pub(crate) async fn delete(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    Path((path, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let resource = Resource::of(&host, category, &path, request.headers()).await?;
    let offer = resource.offer(Ask::Verb(Verb::Delete))?;
    resource.writable(&host)?;
    let key = idempotency_key(request.headers())?;
    let cause = cause(&request);
    write(
        &host,
        resource.target(offer, &cause),
        Act::Delete { id },
        key,
    )
    .await?;
    Ok(json(StatusCode::OK, "[]"))
}

/// Carries out an operation on a record, such as `tags/apply`.
pub(crate) async fn perform(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
    Path((path, id, sub_path)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let resource = Resource::of(&host, category, &path, request.headers()).await?;
    let operation = operation(&resource.entity, &sub_path, request.method())?;
    let offer = resource.offer(Ask::Operation(&operation.name))?;
    resource.writable(&host)?;
    let key = idempotency_key(request.headers())?;
    let cause = cause(&request);
    let body = body(request, &host).await?;
    let act = Act::Perform {
        id,
        operation: operation.name.clone(),
        body,
    };
    match write(&host, resource.target(offer, &cause), act, key).await? {
        Wrote::Record { .. } | Wrote::Deleted => Ok(json(StatusCode::OK, "[]")),
        Wrote::Accepted => Ok(json(StatusCode::ACCEPTED, "[]")),
    }
}

/// The catalogue's operation of a path and method.
fn operation<'a>(
    entity: &'a Entity,
    path: &str,
    method: &Method,
) -> Result<&'a Operation, ApiError> {
    let here: Vec<&Operation> = entity
        .operations
        .iter()
        .filter(|operation| operation.path == path)
        .collect();
    if here.is_empty() {
        return Err(ApiError::unknown_route());
    }
    let found = here
        .iter()
        .find(|operation| operation.method == method.as_str());
    found.copied().ok_or_else(|| {
        let methods: Vec<&str> = here.iter().map(|one| one.method.as_str()).collect();
        let error = ApiError::method_not_allowed();
        match HeaderValue::from_str(&methods.join(", ")) {
            Ok(methods) => error.header(ALLOW, methods),
            Err(_) => error,
        }
    })
}

/// Whether the client takes what is there while the first sync goes on.
fn allow_partial(headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(value) = headers.get(PARTIAL) else {
        return Ok(false);
    };
    let value = value.as_bytes();
    match value.eq_ignore_ascii_case(b"true") {
        true => Ok(true),
        false if value.eq_ignore_ascii_case(b"false") => Ok(false),
        false => Err(ApiError::invalid_request(
            "X-Rollout-Allow-Partial must be true or false",
        )),
    }
}

/// The client's name for a write, under which it is done once.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if values.next().is_some() || text.is_empty() || text.len() > LONGEST_KEY {
        return Err(ApiError::invalid_request(format!(
            "Idempotency-Key must be one text of 1 to {LONGEST_KEY} ASCII letters"
        )));
    }
    Ok(Some(text.to_owned()))
}

async fn write(
    host: &Host,
    target: Target<'_>,
    act: Act,
    key: Option<String>,
) -> Result<Wrote, ApiError> {
    let wrote = host.writer.write(target, act, key.as_deref()).await;
    wrote.map_err(failure::of_write)
}

async fn body(request: Request, host: &Host) -> Result<Value, ApiError> {
    let body = read_json(request, host.settings.body_bytes).await?;
    body.ok_or_else(|| {
        ApiError::invalid_body([(
            String::new(),
            "The body is empty; it must be a JSON object".to_owned(),
        )])
    })
}

fn written(status: StatusCode, wrote: Wrote) -> Response {
    match wrote {
        Wrote::Accepted => json(StatusCode::ACCEPTED, "{}"),
        Wrote::Deleted => json(StatusCode::OK, "[]"),
        Wrote::Record {
            json: record,
            ignored,
        } => {
            let mut response = json(status, record);
            if let Ok(names) = HeaderValue::from_str(&ignored.join(", "))
                && !ignored.is_empty()
            {
                response.headers_mut().insert(IGNORED, names);
            }
            response
        }
    }
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let format = [(CONTENT_TYPE, "application/json")];
    (status, format, body.into()).into_response()
}
