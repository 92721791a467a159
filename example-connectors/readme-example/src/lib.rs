//! A connector for Tiny CRM: an API key, people and users.

use rollout_connector::entities::crm::{Person, PersonEmail, User};
use rollout_connector::{
    Account, Auth, Cursor, Entities, Error, Item, Manifest, Page, Request, Scope, Write, Written,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

const API: &str = "https://api.tinycrm.example/v2";

struct TinyCrm;
rollout_connector::export!(TinyCrm: Entities);

impl Manifest for TinyCrm {
    fn describe() -> String {
        include_str!("../manifest.json").into()
    }
}

/// A contact or a member of staff: Tiny CRM sends both alike.
#[derive(Deserialize)]
struct Party {
    id: u64,
    first: String,
    last: String,
    email: Option<String>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    next_page: Option<u32>,
}

impl Auth for TinyCrm {
    fn probe() -> Result<Account, Error> {
        let response = Request::get(format!("{API}/me"))
            .authenticate()
            .send()?
            .success()?;
        let me: Party = response.json()?;
        Ok(Account::new(me.id, format!("{} {}", me.first, me.last)))
    }
}

impl Entities for TinyCrm {
    fn changes(entity: &str, _: Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
        let page: u32 = cursor.read()?.unwrap_or(1);
        let response = Request::get(format!("{API}/{}", path(entity)?))
            .query("page", page)
            .query("per_page", limit.min(100))
            .authenticate()
            .send()?
            .success()?;
        let List { data, next_page } = response.json()?;
        let items = data
            .iter()
            .map(|record| item(entity, record.get()))
            .collect::<Result<_, _>>()?;
        match next_page {
            Some(page) => Page::more(items, &page),
            None => Page::last(items, &()),
        }
    }

    fn create(entity: &str, write: Write) -> Result<Written, Error> {
        let body = json!({ "first": write.text("firstName"), "last": write.text("lastName") });
        let request = Request::post(format!("{API}/{}", path(entity)?)).json(&body);
        let response = request.authenticate().send()?.success()?;
        Ok(Written::Item(item(entity, response.text()?)?))
    }
}

fn path(entity: &str) -> Result<&'static str, Error> {
    match entity {
        "people" => Ok("contacts"),
        "users" => Ok("staff"),
        _ => Err(Error::unsupported(entity, "reading")),
    }
}

fn item(entity: &str, raw: &str) -> Result<Item, Error> {
    let party: Party = serde_json::from_str(raw).map_err(|e| Error::unexpected(e.to_string()))?;
    let item = Item::new(party.id).native_raw(raw);
    let (first, last) = (Some(party.first.into()), Some(party.last.into()));
    let email = party.email.map(Into::into);
    Ok(match entity {
        "users" => item.body(&User {
            first_name: first,
            last_name: last,
            email,
            ..User::default()
        }),
        _ => item.body(&Person {
            first_name: first,
            last_name: last,
            emails: email.map(|value| {
                vec![PersonEmail {
                    value: Some(value),
                    ..PersonEmail::default()
                }]
            }),
            ..Person::default()
        }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use rollout_connector::testing::{FakeApp, Reply};

    use super::*;

    #[test]
    fn reads_people_page_by_page() {
        let app = FakeApp::new()
            .on(
                "GET https://api.tinycrm.example/v2/contacts",
                Reply::json(
                    200,
                    r#"{"data": [{"id": 7, "first": "Ada", "last": "Byron"}], "next_page": 2}"#,
                ),
            )
            .on(
                "GET https://api.tinycrm.example/v2/contacts",
                Reply::json(200, r#"{"data": [], "next_page": null}"#),
            )
            .start();

        let first = TinyCrm::changes("people", Scope::Incremental, Cursor::START, 500).unwrap();
        assert_eq!(first.items[0].id, "7");
        assert_eq!(first.items[0].document()["firstName"], "Ada");

        let last = TinyCrm::changes("people", Scope::Incremental, first.next, 500).unwrap();
        assert!(last.done && last.items.is_empty());
        assert_eq!(app.requests()[1].query_value("page").as_deref(), Some("2"));
    }
}
