//! The app's HTTP interface: how it is asked, what its refusals mean, and whose
//! token it is.

use rollout_connector::http::path_segment;
use rollout_connector::json::Reader;
use rollout_connector::{Account, Error, Item, Request, Response, Upstream, send_all};
use serde_json::{Map, Value, json};

use crate::contacts;

const API: &str = "https://api.hubapi.com";
const CONTACTS: &str = "https://api.hubapi.com/crm/v3/objects/contacts";

/// The most ids that are read at once.
const BATCH: usize = 100;

/// How long a record is locked at least that the app is at work on.
const LOCKED_MS: u64 = 2000;
/// The app's window for requests, unless it says another.
const WINDOW_MS: u64 = 10_000;
/// The window for searches.
const SECOND_MS: u64 = 1000;
/// A used-up day ends at the account's midnight, which the refusal doesn't tell: it is
/// tried again after so long.
const DAY_USED_UP_MS: u64 = 15 * 60 * 1000;
/// How long to wait for an account that is being moved, unless the app says it.
const MOVING_MS: u64 = 60_000;

/// A request for all contacts.
pub(crate) fn collection(method: &str) -> Request {
    Request::new(method, CONTACTS).authenticate()
}

/// A request for what lies below: `search`.
pub(crate) fn below(method: &str, path: &str) -> Request {
    Request::new(method, format!("{CONTACTS}/{path}")).authenticate()
}

/// A request for one contact.
pub(crate) fn one(method: &str, id: &str) -> Request {
    below(method, &path_segment(id))
}

/// Sends a request that only reads, though it may be a `POST`: nothing of it can have
/// been applied, and no refusal is the caller's fault.
pub(crate) fn asked(request: Request) -> Result<Response, Error> {
    answered(request.send())
}

fn answered(answer: Result<Response, Error>) -> Result<Response, Error> {
    answer.and_then(accepted).map_err(|error| match error {
        Error::Upstream(upstream) => Error::Upstream(Upstream {
            maybe_applied: false,
            ..upstream
        }),
        Error::InvalidInput(_) => Error::Upstream(Upstream {
            status: Some(400),
            message: error.to_string(),
            ..Upstream::default()
        }),
        error => error,
    })
}

/// The answer if it is no refusal, else what the refusal means.
pub(crate) fn accepted(response: Response) -> Result<Response, Error> {
    if (200..300).contains(&response.status) {
        return Ok(response);
    }
    let limited = |retry_after_ms, message| {
        Err(Error::RateLimited {
            retry_after_ms: Some(retry_after_ms),
            message,
        })
    };
    match (response.status, Error::from_response(&response)) {
        (403, Error::Forbidden(message)) => Err(Error::Forbidden(lacking(&response, message))),
        (
            429,
            Error::RateLimited {
                retry_after_ms,
                message,
            },
        ) => {
            let wait = retry_after_ms.unwrap_or_else(|| window_ms(&response, &message));
            limited(wait, message)
        }
        // The app did nothing in both cases, so a write is not in doubt.
        (423, Error::Upstream(upstream)) => limited(LOCKED_MS, upstream.message),
        (477, Error::Upstream(upstream)) => {
            let seconds = response
                .header("retry-after")
                .and_then(|it| it.parse().ok());
            let wait = seconds.map_or(MOVING_MS, |seconds: u64| seconds.saturating_mul(1000));
            limited(wait, upstream.message)
        }
        (_, error) => Err(error),
    }
}

/// The body of a refusal; null if it is none of the app's.
pub(crate) fn refusal(response: &Response) -> Value {
    let text = response.text().unwrap_or_default();
    Reader::new(text).value().unwrap_or_default()
}

/// The app's message, with the scopes that the token has not, which it names apart.
fn lacking(response: &Response, message: String) -> String {
    let body = refusal(response);
    let places = [
        "/errors/0/context/requiredGranularScopes",
        "/context/missingScopes",
    ];
    let scopes = places
        .iter()
        .find_map(|place| body.pointer(place)?.as_array());
    let scopes: Vec<&str> = scopes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match scopes.is_empty() {
        true => message,
        false => format!("{message} Scopes needed: {}", scopes.join(", ")),
    }
}

/// How long the limit's window is that a refusal speaks of: in its `policyName`, in its
/// message where that is missing.
fn window_ms(response: &Response, message: &str) -> u64 {
    let body = refusal(response);
    let policy = body.get("policyName").and_then(Value::as_str);
    let policy = policy.unwrap_or(message).to_ascii_lowercase();
    if policy.contains("daily") {
        return DAY_USED_UP_MS;
    }
    if policy.contains("secondly") && !policy.contains("ten_secondly") {
        return SECOND_MS;
    }
    let interval = response.header("x-hubspot-ratelimit-interval-milliseconds");
    let interval = interval.and_then(|interval| interval.parse().ok());
    interval.unwrap_or(WINDOW_MS)
}

/// Whose token it is. Every token of an account sees the same contacts, so the account
/// is what counts. That the token may read them is tried out, too.
pub(crate) fn account() -> Result<Account, Error> {
    let details = Request::get(format!("{API}/account-info/v3/details")).authenticate();
    let contacts = collection("GET").query("limit", 1);
    let mut answers = Vec::with_capacity(2);
    for answer in send_all(vec![details, contacts]) {
        answers.push(answered(answer)?);
    }
    let details = answers.first().map_or(Value::Null, refusal);
    let id = match details.get("portalId") {
        Some(Value::Number(id)) => id.to_string(),
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        _ => return Err(Error::unexpected("the app's answer names no account")),
    };
    let mut account = Account::new(&id, format!("HubSpot account {id}")).field("hubId", &id);
    for name in ["accountType", "timeZone"] {
        if let Some(value) = details.get(name).and_then(Value::as_str) {
            account = account.field(name, value);
        }
    }
    Ok(account)
}

/// Reads contacts by id. What the app doesn't have is left out.
pub(crate) fn get(ids: &[String]) -> Result<Vec<Item>, Error> {
    let requests = ids.chunks(BATCH).map(|ids| {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let body = Map::from_iter([
            ("properties".to_owned(), contacts::properties()),
            ("inputs".to_owned(), inputs.into()),
        ]);
        below("POST", "batch/read").json_value(&body)
    });
    let mut items = Vec::with_capacity(ids.len());
    for answer in send_all(requests.collect()) {
        let response = answered(answer)?;
        items.extend(contacts::page(response.text()?)?.items);
    }
    // One that was merged away is answered with the one that it became part of.
    items.retain(|item| ids.contains(&item.id));
    Ok(items)
}
