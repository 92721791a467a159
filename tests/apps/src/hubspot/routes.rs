//! The way of every request: log, fault, token, limits, then the endpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::Response;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::account::{Account, Caller};
use super::contacts::Contacts;
use super::properties::{self, Values};
use super::reply::{Reply, paging, with};
use super::{LoggedRequest, READ, WRITE, search};

const MAX_BODY: usize = 4 << 20;
/// The largest page of a list, and the largest batch.
const MOST: usize = 100;

/// Answers one request.
pub(super) async fn serve(State(account): State<Arc<Account>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let (reply, body) = match to_bytes(body, MAX_BODY).await {
        Ok(body) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            (answer(&account, &head, &body), body)
        }
        Err(_) => (Reply::invalid("Request body too large."), String::new()),
    };
    account.log.lock().push(LoggedRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        body,
        status: reply.status,
    });
    reply.into_response()
}

fn answer(account: &Account, head: &Parts, body: &str) -> Reply {
    let fault = account.faults.lock().pop_front();
    let Some(fault) = fault else {
        return processed(account, head, body);
    };
    if fault.processed {
        processed(account, head, body);
    }
    Reply::json(fault.status, &fault.body)
}

fn processed(account: &Account, head: &Parts, body: &str) -> Reply {
    if head.uri.path().starts_with("/oauth/") {
        return account.oauth.answer(account.hub_id, head, body);
    }
    let caller = match account.caller(&head.headers) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let searches = head.uri.path().ends_with("/search");
    let standing = match account.limiter.lock().admit(searches, Instant::now()) {
        Ok(standing) => standing,
        Err(refusal) => return refusal,
    };
    let reply = called(account, head, body, &caller).unwrap_or_else(|refusal| refusal);
    match standing {
        Some(standing) => standing.announce(reply, caller.signed_in),
        None => reply,
    }
}

fn called(account: &Account, head: &Parts, body: &str, caller: &Caller) -> Result<Reply, Reply> {
    let path = head.uri.path();
    let query: HashMap<String, String> = Query::try_from_uri(&head.uri)
        .map(|Query(query)| query)
        .unwrap_or_default();
    let json = || match serde_json::from_str::<Value>(body) {
        Ok(body) if body.is_object() => Ok(body),
        _ => Err(Reply::invalid("Invalid input JSON on line 1, column 1")),
    };
    let method = head.method.as_str();
    if (method, path) == ("GET", "/account-info/v3/details") {
        return Ok(Reply::json(200, &details(account.hub_id)));
    }
    if (method, path) == ("GET", "/crm/v3/properties/contacts") {
        return Ok(Reply::json(
            200,
            &json!({ "results": properties::described() }),
        ));
    }
    // By its name, or by the number of the type.
    let below = ["/crm/v3/objects/contacts", "/crm/v3/objects/0-1"];
    let below = below.iter().find_map(|prefix| path.strip_prefix(prefix));
    let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
    let below = below.ok_or_else(Reply::not_found)?;
    let mut contacts = account.contacts.lock();
    let reads = method == "GET" || ["/search", "/batch/read"].contains(&below);
    caller.needs(if reads { READ } else { WRITE })?;
    match (method, below) {
        ("GET", "") => list(&contacts, &query),
        ("POST", "") => create(&mut contacts, &json()?),
        ("POST", "/search") => search::answer(&contacts, &json()?),
        ("POST", "/batch/read") => read_batch(&contacts, &json()?),
        ("POST", "/batch/archive") => {
            for id in inputs(&json()?)? {
                contacts.archive(id.parse().unwrap_or_default());
            }
            Ok(Reply::no_content())
        }
        ("GET" | "PATCH" | "DELETE", below) => {
            let id = below.trim_start_matches('/');
            one(&mut contacts, method, id, &query, &json)
        }
        _ => Err(Reply::refusal(
            405,
            "METHOD_NOT_ALLOWED",
            "Method not allowed",
        )),
    }
}

fn details(hub_id: u64) -> Value {
    json!({
        "portalId": hub_id, "accountType": "STANDARD", "timeZone": "US/Eastern", "companyCurrency": "USD",
        "additionalCurrencies": [], "utcOffset": "-05:00", "utcOffsetMilliseconds": -18_000_000,
        "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
    })
}

/// The texts of a list, or none.
pub(super) fn names(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect()
}

fn asked(query: &HashMap<String, String>) -> Vec<String> {
    let asked = query
        .get("properties")
        .map(String::as_str)
        .unwrap_or_default();
    let asked = asked.split(',').filter(|name| !name.is_empty());
    asked.map(str::to_owned).collect()
}

fn list(contacts: &Contacts, query: &HashMap<String, String>) -> Result<Reply, Reply> {
    let limit = match query.get("limit").map(|limit| limit.parse::<usize>()) {
        None => 10,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(Reply::invalid("limit must be between 1 and 100")),
    };
    let after = match query.get("after") {
        None => 0,
        Some(token) => {
            token_id(token).ok_or_else(|| Reply::invalid("The after token is invalid"))?
        }
    };
    let archived = query.get("archived").is_some_and(|it| it == "true");
    let asked = asked(query);
    let mut rest = contacts.listed(archived).filter(|one| one.id() >= after);
    let results: Vec<Value> = rest
        .by_ref()
        .take(limit)
        .map(|one| one.answer(&asked))
        .collect();
    let mut answer = json!({ "results": results });
    if let Some(next) = rest.next() {
        let token = STANDARD.encode(format!("{}\n", next.id()));
        answer = with(answer, "paging", paging(&token));
    }
    Ok(Reply::json(200, &answer))
}

fn token_id(token: &str) -> Option<u64> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    text.trim().parse().ok()
}

/// The values that a body wants to write, checked.
fn written(body: &Value) -> Result<Values, Reply> {
    let object = body.get("properties").filter(|object| object.is_object());
    let mut values =
        properties::of(object.ok_or_else(|| Reply::invalid("properties is required"))?);
    let complaints = properties::complaints(&values);
    if !complaints.is_empty() {
        let list = Value::from(complaints);
        return Err(Reply::invalid(&format!(
            "Property values were not valid: {list}"
        )));
    }
    for name in ["email", "hs_additional_emails"] {
        if let Some(value) = values.get_mut(name) {
            *value = value.trim().to_lowercase();
        }
    }
    Ok(values)
}

/// Refuses emails that another contact has.
fn unshared(contacts: &Contacts, values: &Values, own: Option<u64>) -> Result<(), Reply> {
    for name in ["email", "hs_additional_emails"] {
        let emails = values.get(name).map(String::as_str).unwrap_or_default();
        for email in emails.split(';').filter(|email| !email.is_empty()) {
            let holder = contacts.of_email(email).map(|one| one.id());
            if let Some(id) = holder.filter(|id| Some(*id) != own) {
                let said = format!("Contact already exists. Existing ID: {id}");
                return Err(Reply::refusal(409, "CONFLICT", &said));
            }
        }
    }
    Ok(())
}

fn create(contacts: &mut Contacts, body: &Value) -> Result<Reply, Reply> {
    let values = written(body)?;
    unshared(contacts, &values, None)?;
    let mut shown: Vec<String> = values.keys().cloned().collect();
    shown.push("lifecyclestage".to_owned());
    let label = (
        "hs_object_source_label".to_owned(),
        "INTEGRATION".to_owned(),
    );
    let id = contacts.insert(values.into_iter().chain([label]).collect());
    let contact = contacts.get(id).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(201, &contact.answer(&shown)))
}

fn one(
    contacts: &mut Contacts,
    method: &str,
    id: &str,
    query: &HashMap<String, String>,
    json: &dyn Fn() -> Result<Value, Reply>,
) -> Result<Reply, Reply> {
    let number = match query.get("idProperty").map(String::as_str) {
        Some("email") => contacts.of_email(id).map(|contact| contact.id()),
        _ => id.parse().ok(),
    };
    if method == "DELETE" {
        // Done is done, however often.
        contacts.archive(number.unwrap_or_default());
        return Ok(Reply::no_content());
    }
    let id = number
        .and_then(|number| contacts.get(number))
        .map(|contact| contact.id())
        .ok_or_else(Reply::not_found)?;
    let mut shown = asked(query);
    if method == "PATCH" {
        let values = written(&json()?)?;
        unshared(contacts, &values, Some(id))?;
        shown = values.keys().cloned().collect();
        contacts.change(id, values).ok_or_else(Reply::not_found)?;
    }
    let contact = contacts.get(id).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, &contact.answer(&shown)))
}

/// The ids of a batch.
fn inputs(body: &Value) -> Result<Vec<String>, Reply> {
    let inputs = body.get("inputs").and_then(Value::as_array);
    let inputs = inputs.ok_or_else(|| Reply::invalid("inputs is required"))?;
    if inputs.len() > MOST {
        return Err(Reply::invalid("The maximum batch size is 100"));
    }
    let id = |input: &Value| match input.get("id") {
        Some(Value::String(id)) => Ok(id.clone()),
        Some(Value::Number(id)) => Ok(id.to_string()),
        _ => Err(Reply::invalid("An input needs an id")),
    };
    inputs.iter().map(id).collect()
}

fn read_batch(contacts: &Contacts, body: &Value) -> Result<Reply, Reply> {
    let by_email = body.get("idProperty").and_then(Value::as_str) == Some("email");
    let asked = names(body.get("properties"));
    let (mut results, mut missing) = (Vec::new(), Vec::new());
    for id in inputs(body)? {
        let contact = match by_email {
            true => contacts.of_email(&id),
            false => id.parse().ok().and_then(|id| contacts.get(id)),
        };
        match contact {
            Some(contact) => results.push(contact.answer(&asked)),
            None => missing.push(id),
        }
    }
    // The order is not that of the inputs.
    results.reverse();
    let moment = properties::iso(properties::now());
    let answer = json!({
        "status": "COMPLETE", "results": results, "startedAt": moment, "completedAt": moment,
    });
    if missing.is_empty() {
        return Ok(Reply::json(200, &answer));
    }
    let errors = json!([{
        "status": "error", "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
        "context": {"ids": missing},
    }]);
    let answer = with(with(answer, "numErrors", 1), "errors", errors);
    Ok(Reply::json(207, &answer))
}
