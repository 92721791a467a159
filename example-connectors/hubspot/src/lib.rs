//! The connector for HubSpot: its contacts are the catalogue's people.
//!
//! `contacts` turns the app's records into the catalogue's (the table is
//! `mapping.md`), `changes` reads them completely and then incrementally, `writes`
//! goes the other way, `api` knows how the app is asked and what its refusals mean.
//! Natively the crate is a library, for tests.

mod api;
mod changes;
mod contacts;
mod writes;

use rollout_connector::{
    Account, Auth, Cursor, Entities, Error, Item, Manifest, Page, Scope, Write, Written,
};

/// The connector.
#[derive(Debug, Clone, Copy)]
pub struct HubSpot;

rollout_connector::export!(HubSpot: Entities);

impl Manifest for HubSpot {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for HubSpot {
    fn probe() -> Result<Account, Error> {
        api::account()
    }
}

impl Entities for HubSpot {
    fn changes(entity: &str, scope: Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
        offered(entity, "listing")?;
        changes::read(&scope, &cursor, limit)
    }

    fn get(entity: &str, ids: &[String]) -> Result<Vec<Item>, Error> {
        offered(entity, "get")?;
        api::get(ids)
    }

    fn create(entity: &str, write: Write) -> Result<Written, Error> {
        offered(entity, "create")?;
        writes::create(&write)
    }

    fn update(entity: &str, id: &str, write: Write) -> Result<Written, Error> {
        offered(entity, "update")?;
        writes::update(id, &write)
    }

    fn delete(entity: &str, id: &str, _idempotency_key: &str) -> Result<(), Error> {
        offered(entity, "delete")?;
        writes::delete(id)
    }
}

fn offered(entity: &str, verb: &str) -> Result<(), Error> {
    match entity {
        "people" => Ok(()),
        _ => Err(Error::unsupported(entity, verb)),
    }
}
