//! The names of events, as subscriptions give them.

use std::sync::Arc;

use rollout_catalog::{Catalog, Category, Entity};
use rollout_store::{ANY_EVENT, CREDENTIAL, Event, Happened};

/// What can happen to records.
const OF_RECORDS: [Happened; 3] = [Happened::Created, Happened::Updated, Happened::Deleted];
/// What can happen to credentials.
const OF_CREDENTIALS: [Happened; 5] = [
    Happened::Created,
    Happened::Deleted,
    Happened::Broken,
    Happened::Restored,
    Happened::SyncCompleted,
];
/// Entities that events may also be called by: how apps call them, and their names here.
const ALIASES: [(&str, &str); 1] = [("emails", "emailMessages")];

/// An event of an entity's records.
#[derive(Debug, Clone)]
pub struct EntityEvent {
    /// Whose records.
    pub entity: Arc<Entity>,
    /// What happens to them.
    pub happened: Happened,
}

/// What a name means; the inner none: it is about no entity.
pub fn known(
    catalog: &Catalog,
    category: Option<Category>,
    name: &str,
) -> Option<Option<EntityEvent>> {
    if category.is_none() {
        let mut others = OF_CREDENTIALS.iter();
        let is_other = |one: &Happened| name == format!("{CREDENTIAL}{}", one.as_str());
        if name == ANY_EVENT || others.any(is_other) {
            return Some(None);
        }
    }
    let name = canonical(name);
    let entities = entities(catalog, category).into_iter();
    let mut found = entities.filter_map(|entity| {
        let change = name.strip_prefix(entity.name.as_str())?;
        let happened = OF_RECORDS.into_iter().find(|one| one.as_str() == change)?;
        Some(EntityEvent { entity, happened })
    });
    found.next().map(Some)
}

/// All names that a subscription can give.
pub fn names(catalog: &Catalog, category: Option<Category>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if category.is_none() {
        names.push(ANY_EVENT.to_owned());
        let others = OF_CREDENTIALS.iter();
        names.extend(others.map(|one| format!("{CREDENTIAL}{}", one.as_str())));
    }
    for entity in entities(catalog, category) {
        names.extend(OF_RECORDS.map(|one| format!("{}{}", entity.name, one.as_str())));
    }
    names
}

/// Whether a subscription to this name is told of the event.
pub(crate) fn names_event(name: &str, event: &Event) -> bool {
    name == ANY_EVENT || canonical(name) == event.name()
}

fn entities(catalog: &Catalog, category: Option<Category>) -> Vec<Arc<Entity>> {
    match category {
        Some(category) => catalog.entities_of(category).cloned().collect(),
        None => catalog.names().cloned().collect(),
    }
}

fn canonical(name: &str) -> String {
    let mut aliases = ALIASES.iter();
    let found = aliases.find_map(|(alias, entity)| {
        let change = name.strip_prefix(alias)?;
        let mut changes = OF_RECORDS.iter();
        changes
            .any(|one| one.as_str() == change)
            .then(|| format!("{entity}{change}"))
    });
    found.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_name_is_known_and_no_other() {
        let catalog = Catalog::embedded().unwrap();
        for category in catalog.categories().map(Some).chain([None]) {
            for name in names(&catalog, category) {
                assert!(known(&catalog, category, &name).is_some(), "{name}");
            }
        }
        let crm = "crm".parse().ok();
        assert!(crm.is_some());
        for wrong in [
            "",
            "*",
            "people",
            "peopleMoved",
            "PeopleCreated",
            "peoplecreated",
            "credentialBroken",
            "Created",
        ] {
            assert!(known(&catalog, crm, wrong).is_none(), "{wrong}");
        }
        let found = known(&catalog, crm, "emailsUpdated").unwrap().unwrap();
        assert_eq!(
            (found.entity.name.as_str(), found.happened),
            ("emailMessages", Happened::Updated)
        );
        assert!(known(&catalog, None, "credentialBroken").unwrap().is_none());
    }
}
