//! The app's resources that are entities of the catalogue: where they are, how
//! they are listed, and their fields.

mod activities;
mod calendar;
mod deals;
mod people;
mod setup;

use rollout_connector::Error;

use crate::table::Field;

/// A resource of the app.
pub(crate) struct Resource {
    /// The entity's name in the catalogue.
    pub(crate) entity: &'static str,
    /// The path below `/v1`. The key of the list in an answer is the same but for
    /// its case.
    pub(crate) path: &'static str,
    /// How what changed is found.
    pub(crate) pass: Pass,
    /// What every request that reads asks for: custom fields, and what was
    /// deleted where the app can still show it.
    pub(crate) shows: &'static [(&'static str, &'static str)],
    /// The field, and its value, that says of a record that it is deleted.
    pub(crate) deleted: Option<(&'static str, &'static str)>,
    pub(crate) record: Record,
    /// The fields, as far as a table says them.
    pub(crate) fields: &'static [Field],
    /// Whether there are custom fields.
    pub(crate) custom: bool,
    pub(crate) verbs: Verbs,
}

/// How what changed is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Lists are sorted by `updated` and filtered by it.
    Updated,
    /// Lists are filtered by `updated`, and sorted by id only.
    Filtered,
    /// Records have no `updated`; they are made and stay as they are.
    Made,
    /// Records have no `updated`; all are read every time.
    Whole,
    /// The same for lists so short that the app has no tokens for further pages.
    Short,
    /// Listed for one of the people only.
    PerPerson,
}

/// How records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    Person,
    User,
    /// By the table.
    Table,
}

/// What can be done beside reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verbs {
    pub(crate) create: bool,
    pub(crate) update: bool,
    pub(crate) delete: bool,
}

impl Verbs {
    const NONE: Self = Self {
        create: false,
        update: false,
        delete: false,
    };
    const CREATE: Self = Self {
        create: true,
        ..Self::NONE
    };
    const CREATE_AND_UPDATE: Self = Self {
        update: true,
        ..Self::CREATE
    };
    const ALL: Self = Self {
        delete: true,
        ..Self::CREATE_AND_UPDATE
    };
}

/// What most resources have in common.
const PLAIN: Resource = Resource {
    entity: "",
    path: "",
    pass: Pass::Updated,
    shows: &[],
    deleted: None,
    record: Record::Table,
    fields: &[],
    custom: false,
    verbs: Verbs::NONE,
};

/// A short list that is part of how an account is set up.
const SHORT: Resource = Resource {
    pass: Pass::Short,
    ..PLAIN
};

static ALL: [&Resource; 18] = [
    &people::PEOPLE,
    &people::USERS,
    &people::RELATIONSHIPS,
    &activities::NOTES,
    &activities::TASKS,
    &activities::CALLS,
    &activities::TEXT_MESSAGES,
    &activities::EMAILS,
    &activities::EVENTS,
    &calendar::APPOINTMENTS,
    &calendar::TYPES,
    &calendar::OUTCOMES,
    &deals::DEALS,
    &deals::PIPELINES,
    &setup::STAGES,
    &setup::TEAMS,
    &setup::CUSTOM_FIELDS,
    &setup::SMART_LISTS,
];

pub(crate) use people::PEOPLE;

impl Resource {
    /// The resource of an entity.
    pub(crate) fn of(entity: &str) -> Result<&'static Self, Error> {
        ALL.into_iter()
            .find(|resource| resource.entity == entity)
            .ok_or_else(|| Error::Unsupported(format!("{entity} are not offered")))
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.entity == other.entity
    }
}
