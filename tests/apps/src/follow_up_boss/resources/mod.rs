//! The descriptions of all resources.

mod activities;
mod calendar;
mod deals;
mod people;
mod setup;

use serde_json::json;

use super::filters::{Filter, Test};
use super::records::{Kind, NextForm, Removal, Resource, Right, Seen};

/// All resources served.
pub(super) static ALL: [&Resource; 22] = [
    &people::PEOPLE,
    &people::USERS,
    &activities::NOTES,
    &activities::TASKS,
    &setup::CUSTOM_FIELDS,
    &activities::CALLS,
    &setup::TEAMS,
    &setup::SMART_LISTS,
    &calendar::TYPES,
    &calendar::OUTCOMES,
    &calendar::APPOINTMENTS,
    &activities::EVENTS,
    &activities::TEXT_MESSAGES,
    &activities::EMAILS,
    &deals::DEALS,
    &deals::PIPELINES,
    &deals::CUSTOM_FIELDS,
    &setup::STAGES,
    &people::RELATIONSHIPS,
    &setup::PONDS,
    &setup::TIMEFRAMES,
    &setup::GROUPS,
];

/// The description of a kind.
pub(super) fn of(kind: Kind) -> &'static Resource {
    match kind {
        Kind::People => &people::PEOPLE,
        Kind::Users => &people::USERS,
        Kind::Notes => &activities::NOTES,
        Kind::Tasks => &activities::TASKS,
        Kind::CustomFields => &setup::CUSTOM_FIELDS,
        Kind::Calls => &activities::CALLS,
        Kind::Teams => &setup::TEAMS,
        Kind::SmartLists => &setup::SMART_LISTS,
        Kind::AppointmentTypes => &calendar::TYPES,
        Kind::AppointmentOutcomes => &calendar::OUTCOMES,
        Kind::Appointments => &calendar::APPOINTMENTS,
        Kind::Events => &activities::EVENTS,
        Kind::TextMessages => &activities::TEXT_MESSAGES,
        Kind::Emails => &activities::EMAILS,
        Kind::Deals => &deals::DEALS,
        Kind::Pipelines => &deals::PIPELINES,
        Kind::DealCustomFields => &deals::CUSTOM_FIELDS,
        Kind::Stages => &setup::STAGES,
        Kind::PeopleRelationships => &people::RELATIONSHIPS,
        Kind::Ponds => &setup::PONDS,
        Kind::Timeframes => &setup::TIMEFRAMES,
        Kind::Groups => &setup::GROUPS,
    }
}

/// What most resources have in common; a description says the rest.
const PLAIN: Resource = Resource {
    kind: Kind::Notes,
    path: "",
    collection: "",
    noun: "",
    label: "name",
    selectable: false,
    customs: None,
    on_request: &[],
    created: Some("created"),
    updated: Some("updated"),
    default_order: ("id", true),
    sortable: &["id", "created", "updated"],
    filters: &[COMMON],
    scope: None,
    pair: None,
    hidden: &[],
    next: NextForm::Keyset,
    seen: Seen::ByAll,
    creating: Right::Nobody,
    updating: Right::Nobody,
    deleting: Right::Nobody,
    removal: Removal::Erase,
    blank: |_| json!({ "id": null }),
    fields: &[],
    required: &[],
    finish: |_, _, _| Ok(()),
    derive: None,
    activity: false,
};

/// A short list that is part of how an account is set up: without times, and
/// without `next`.
const SMALL: Resource = Resource {
    created: None,
    updated: None,
    sortable: &["id", "name"],
    filters: &[IDS],
    next: NextForm::Absent,
    ..PLAIN
};

const fn filter(param: &'static str, test: Test) -> Filter {
    Filter { param, test }
}

/// Filters by id, which every list has.
const IDS: &[Filter] = &[
    filter("ids", Test::Numbers("id")),
    filter("id", Test::Numbers("id")),
    filter("idGreaterThan", Test::Above("id")),
    filter("idLessThan", Test::Below("id")),
];

/// Filters of every list whose records have both times.
const COMMON: &[Filter] = &[
    filter("ids", Test::Numbers("id")),
    filter("id", Test::Numbers("id")),
    filter("idGreaterThan", Test::Above("id")),
    filter("idLessThan", Test::Below("id")),
    filter("createdAfter", Test::After("created")),
    filter("createdBefore", Test::Before("created")),
    filter("updatedAfter", Test::After("updated")),
    filter("updatedBefore", Test::Before("updated")),
];
