//! The connector for Follow Up Boss.
//!
//! `resources` says what the app has and which field is which (the table for
//! people is `mapping.md`), [`mapping`] turns the app's records into the
//! catalogue's, `changes` reads them completely and then incrementally,
//! `parents` reads what the app lists per person only, `writes` goes the other
//! way. Natively the crate is a library, for tests and benchmarks.

mod api;
mod changes;
pub mod mapping;
mod parents;
mod resources;
mod table;
mod writes;

use rollout_connector::{
    Account, Auth, Cursor, Entities, Error, Item, Manifest, Page, Scope, Write, Written,
};

use resources::{PEOPLE, Pass, Resource};

/// The connector.
#[derive(Debug, Clone, Copy)]
pub struct FollowUpBoss;

rollout_connector::export!(FollowUpBoss: Entities);

impl Manifest for FollowUpBoss {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for FollowUpBoss {
    fn probe() -> Result<Account, Error> {
        api::identity()
    }
}

impl Entities for FollowUpBoss {
    fn changes(entity: &str, scope: Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
        let resource = Resource::of(entity)?;
        match (scope, resource.pass) {
            (Scope::Parents(people), Pass::PerPerson) => {
                parents::read(resource, &people, &cursor, limit)
            }
            (Scope::Parents(_), _) => Err(Error::unsupported(entity, "listing by parent")),
            (_, Pass::PerPerson) => Err(Error::unsupported(entity, "listing but by parent")),
            (Scope::Incremental, _) => changes::incremental(resource, &cursor, limit),
            (Scope::Full, _) => changes::full(resource, &cursor, limit),
        }
    }

    fn get(entity: &str, ids: &[String]) -> Result<Vec<Item>, Error> {
        api::get(Resource::of(entity)?, ids)
    }

    fn create(entity: &str, write: Write) -> Result<Written, Error> {
        writes::create(Resource::of(entity)?, &write)
    }

    fn update(entity: &str, id: &str, write: Write) -> Result<Written, Error> {
        writes::update(Resource::of(entity)?, id, &write)
    }

    fn delete(entity: &str, id: &str, _idempotency_key: &str) -> Result<(), Error> {
        writes::delete(Resource::of(entity)?, id)
    }

    fn perform(entity: &str, id: &str, operation: &str, write: Write) -> Result<Written, Error> {
        match (Resource::of(entity)?.is(&PEOPLE), operation) {
            (true, "tags/apply") => writes::apply_tags(id, &write),
            (true, "tags/delete") => writes::delete_tags(id, &write),
            _ => Err(Error::unsupported(entity, operation)),
        }
    }
}
