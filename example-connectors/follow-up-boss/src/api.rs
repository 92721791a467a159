//! The app's HTTP interface: resources, single records, identity.

use std::borrow::Cow;

use rollout_connector::http::path_segment;
use rollout_connector::json::{Malformed, Object, Reader, Records, Scalar};
use rollout_connector::{Account, Error, Item, Request, send_all};

use crate::mapping;
use crate::resources::{PEOPLE, Resource};

const API: &str = "https://api.followupboss.com/v1";

/// The largest page the app serves, and the most ids it is asked for at once.
pub(crate) const MAX_LIMIT: usize = 100;

impl Resource {
    /// A list request.
    pub(crate) fn list(&self) -> Request {
        self.shown(self.request("GET", ""))
    }

    /// A request for one record.
    pub(crate) fn one(&self, method: &str, id: &str) -> Request {
        self.request(method, &format!("/{}", path_segment(id)))
    }

    /// A request for the collection.
    pub(crate) fn request(&self, method: &str, below: &str) -> Request {
        Request::new(method, format!("{API}/{}{below}", self.path)).authenticate()
    }

    fn shown(&self, request: Request) -> Request {
        let shows = self.shows.iter();
        shows.fold(request, |request, (name, value)| request.query(name, value))
    }
}

/// Reads records by id. A single one is read by its own path, which every
/// resource documents; people always by the list, which shows the trash too.
pub(crate) fn get(resource: &Resource, ids: &[String]) -> Result<Vec<Item>, Error> {
    if let ([id], false) = (ids, resource.is(&PEOPLE)) {
        let response = resource.shown(resource.one("GET", id)).send()?;
        return match response.status {
            404 => Ok(Vec::new()),
            _ => Ok(mapping::one(resource, response.success()?.text()?)?
                .into_iter()
                .collect()),
        };
    }
    let parameter = match resource.is(&PEOPLE) {
        true => "id",
        false => "ids",
    };
    let requests = ids
        .chunks(MAX_LIMIT)
        .map(|ids| {
            resource
                .list()
                .query(parameter, ids.join(","))
                .query("limit", MAX_LIMIT)
        })
        .collect();
    let mut items = Vec::with_capacity(ids.len());
    for response in send_all(requests) {
        let response = response?.success()?;
        items.extend(mapping::page(resource, response.text()?)?.items);
    }
    // A list that ignores the filter must not pass for an answer to it.
    items.retain(|item| ids.contains(&item.id));
    Ok(items)
}

/// The name of a stage of people.
pub(crate) fn stage_name(id: &str) -> Result<Option<String>, Error> {
    let response = Request::get(format!("{API}/stages"))
        .query("limit", MAX_LIMIT)
        .authenticate()
        .send()?
        .success()?;
    for stage in Records::<Party<'_>>::in_answer(response.text()?, "stages")? {
        let (_, stage) = stage?;
        if stage.id.text().as_deref() == Some(id) {
            return Ok(known(stage.name).map(Cow::into_owned));
        }
    }
    Ok(None)
}

/// An account, a user or a stage: something with an id and a name.
#[derive(Default)]
struct Party<'a> {
    id: Scalar<'a>,
    name: Scalar<'a>,
    email: Scalar<'a>,
    domain: Scalar<'a>,
    role: Scalar<'a>,
    is_owner: Scalar<'a>,
}

impl<'a> Object<'a> for Party<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "id" => self.id = value.scalar()?,
            "name" => self.name = value.scalar()?,
            "email" => self.email = value.scalar()?,
            "domain" => self.domain = value.scalar()?,
            "role" => self.role = value.scalar()?,
            "isOwner" => self.is_owner = value.scalar()?,
            _ => {}
        }
        Ok(())
    }
}

/// The answer of `/identity`.
#[derive(Default)]
struct Identity<'a> {
    account: Party<'a>,
    user: Party<'a>,
}

impl<'a> Object<'a> for Identity<'a> {
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
        match name.as_ref() {
            "account" => self.account = value.object()?,
            "user" => self.user = value.object()?,
            _ => {}
        }
        Ok(())
    }
}

/// Whose key it is. What a key sees depends on its user, so both the account
/// and the user make up the external id.
pub(crate) fn identity() -> Result<Account, Error> {
    let response = Request::get(format!("{API}/identity"))
        .authenticate()
        .send()?
        .success()?;
    let Identity { account, user } = Reader::new(response.text()?).object()?;
    let (Some(account_id), Some(user_id)) = (account.id.id(), user.id.id()) else {
        return Err(Error::unexpected(
            "the app's answer names no account and user",
        ));
    };

    let (account_name, domain) = (known(account.name), known(account.domain));
    let (name, email) = (known(user.name), known(user.email));
    let person = name.as_ref().or(email.as_ref());
    let company = account_name.as_ref().or(domain.as_ref());
    let label = match (person, company) {
        (Some(person), Some(company)) => format!("{person} ({company})"),
        (Some(one), None) | (None, Some(one)) => one.to_string(),
        (None, None) => format!("Account {account_id}"),
    };
    let mut learned = Account::new(format!("{account_id}:{user_id}"), label)
        .field("accountId", &account_id)
        .field("userId", &user_id);
    for (field, value) in [
        ("accountName", account_name),
        ("domain", domain),
        ("userName", name),
        ("userEmail", email),
        ("userRole", known(user.role)),
    ] {
        if let Some(value) = value {
            learned = learned.field(field, value);
        }
    }
    if let Some(is_owner) = user.is_owner.flag() {
        learned = learned.field("isOwner", is_owner);
    }
    Ok(learned)
}

fn known(value: Scalar<'_>) -> Option<Cow<'_, str>> {
    value.text().filter(|text| !text.trim().is_empty())
}
