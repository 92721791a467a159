//! The connector: what the host calls. How the records correspond is in `records`.

mod records;

use rollout_connector::http::path_segment;
use rollout_connector::paging::{self, Part};
use rollout_connector::{
    Account, Auth, Cursor, Entities, Error, Item, Manifest, Page, Request, Response, Scope, Write,
    Written, send_all,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use records::{Me, Resource};

const API: &str = "https://api.tinycrm.example/v2";

/// How many records the app gives at once, at most.
const PAGE: u32 = 100;

struct TinyCrm;

rollout_connector::export!(TinyCrm: Entities);

impl Manifest for TinyCrm {
    fn describe() -> String {
        include_str!("../manifest.json").into()
    }
}

impl Auth for TinyCrm {
    fn probe() -> Result<Account, Error> {
        let response = request("GET", "me").send()?.success()?;
        let me: Me = response.json()?;
        // Every key of an account sees the same, so the account is what counts.
        Ok(Account::new(me.account_id, me.name))
    }
}

/// A page of a list. The records are kept as the app sent them.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    /// By what the next page is asked for.
    next: Option<String>,
    total: Option<u64>,
}

impl Entities for TinyCrm {
    fn changes(entity: &str, scope: Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
        let resource = Resource::of(entity)?;
        paging::read(&scope, &cursor, limit, |place| {
            let response = request("GET", resource.path())
                .query("sort", "id")
                .query("per_page", PAGE)
                .query_if("updated_since", place.since())
                .query_if("cursor", place.token())
                .send()?
                .listed()?;
            let list: List = response.json()?;
            let records = list.data.iter();
            let items = records
                .map(|record| resource.item(record.get()))
                .collect::<Result<_, _>>()?;
            Ok(Part::of(&response, items)
                .next_token(list.next)
                .total(list.total))
        })
    }

    fn get(entity: &str, ids: &[String]) -> Result<Vec<Item>, Error> {
        let resource = Resource::of(entity)?;
        let requests = ids
            .iter()
            .map(|id| request("GET", &one(resource, id)))
            .collect();
        let mut items = Vec::new();
        for response in send_all(requests) {
            match response?.success() {
                Ok(response) => items.push(resource.item(response.text()?)?),
                // What is not in the answer is unknown.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(items)
    }

    fn create(entity: &str, write: Write) -> Result<Written, Error> {
        let resource = Resource::of(entity)?;
        let body = resource.app_record(&write)?;
        written(resource, request("POST", resource.path()).json(&body))
    }

    fn update(entity: &str, id: &str, write: Write) -> Result<Written, Error> {
        let resource = Resource::of(entity)?;
        let body = resource.app_record(&write)?;
        written(resource, request("PATCH", &one(resource, id)).json(&body))
    }
}

/// A request to the app, with the credential's key.
fn request(method: &str, path: &str) -> Request {
    Request::new(method, format!("{API}/{path}")).authenticate()
}

/// The path of one record.
fn one(resource: Resource, id: &str) -> String {
    format!("{}/{}", resource.path(), path_segment(id))
}

/// Sends a write; the app answers with the record as it is then.
fn written(resource: Resource, request: Request) -> Result<Written, Error> {
    let response = accepted(request.send()?)?;
    Ok(Written::Item(resource.item(response.text()?)?))
}

/// A complaint of the app about a field becomes one about the caller's field.
fn accepted(response: Response) -> Result<Response, Error> {
    #[derive(Deserialize)]
    struct Complaint {
        field: String,
        message: String,
    }
    if response.status == 422
        && let Ok(complaint) = response.json::<Complaint>()
    {
        let pointer = Resource::pointer(&complaint.field);
        return Err(Error::invalid(pointer, complaint.message));
    }
    response.success()
}

#[cfg(test)]
mod tests;
