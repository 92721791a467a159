//! The table of resources: everything that differs between `/people`,
//! `/notes` and the rest, said as data.
//!
//! A further resource needs a [`Kind`], a static [`Resource`] listed in
//! [`RESOURCES`], a collection in the store and, when it can be created, its
//! blank record in `write.rs`. Paging, filters, sorting, field selection,
//! validation, deletion, limits and logging come from this table.

use serde_json::{Map, Value};

use super::filters::{Filter, Test};
use super::write::{Shape, Writes};

/// A stored record: its fields in the order the API sends them. Fields whose
/// name starts with `_` are the simulator's own and never sent.
pub(super) type Record = Map<String, Value>;

/// The kinds of records an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Contacts.
    People,
    /// Members of the account.
    Users,
    /// Notes about people.
    Notes,
    /// Tasks about people.
    Tasks,
    /// Definitions of the `custom...` fields of people.
    CustomFields,
}

/// What distinguishes one resource from another.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) kind: Kind,
    /// Path segment after `/v1`.
    pub(super) path: &'static str,
    /// Name of the array in a list, which is not always the path.
    pub(super) collection: &'static str,
    /// What error texts call one record.
    pub(super) noun: &'static str,
    /// Whether `fields=` chooses what is sent.
    pub(super) selectable: bool,
    /// Whether records carry `custom...` fields.
    pub(super) custom_fields: bool,
    /// Fields sent only when named in `fields=`.
    pub(super) on_request: &'static [&'static str],
    /// Field and direction (descending?) of a list without `sort`.
    pub(super) default_order: (&'static str, bool),
    pub(super) sortable: &'static [&'static str],
    pub(super) filters: &'static [&'static [Filter]],
    pub(super) hidden: Option<Hidden>,
    pub(super) next: NextForm,
    pub(super) writes: Option<Writes>,
    pub(super) removal: Removal,
}

/// Records left out unless a parameter asks for them.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) field: &'static str,
    pub(super) value: &'static str,
    pub(super) unless: &'static str,
}

impl Hidden {
    pub(super) fn hides(&self, record: &Record) -> bool {
        record.get(self.field).and_then(Value::as_str) == Some(self.value)
    }
}

/// How a list points to its next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextForm {
    /// Stable: continues after the last record sent.
    Keyset,
    /// An offset in disguise.
    Offset,
    /// Not at all: small lists have neither `next` nor `nextLink`.
    Absent,
}

/// What `DELETE` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    Refused,
    Erase,
    Trash,
}

/// All resources served.
pub(super) static RESOURCES: [&Resource; 5] = [&PEOPLE, &USERS, &NOTES, &TASKS, &CUSTOM_FIELDS];

impl Resource {
    pub(super) fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::People => &PEOPLE,
            Kind::Users => &USERS,
            Kind::Notes => &NOTES,
            Kind::Tasks => &TASKS,
            Kind::CustomFields => &CUSTOM_FIELDS,
        }
    }

    pub(super) fn at(path: &str) -> Option<&'static Self> {
        RESOURCES.into_iter().find(|resource| resource.path == path)
    }

    pub(super) fn is_custom(&self, field: &str) -> bool {
        self.custom_fields && field.starts_with("custom")
    }

    pub(super) fn hides(&self, record: &Record) -> bool {
        self.hidden
            .as_ref()
            .is_some_and(|hidden| hidden.hides(record))
    }
}

/// The stages of people; an unknown name falls to the first.
pub(super) const STAGES: [(&str, u64); 12] = [
    ("Lead", 2),
    ("Attempted contact", 3),
    ("Spoke with customer", 4),
    ("Appointment set", 5),
    ("Met with customer", 6),
    ("Showing homes", 7),
    ("Submitting offers", 8),
    ("Under contract", 9),
    ("Sale closed", 10),
    ("Nurture", 11),
    ("Rejected", 12),
    (TRASH, 13),
];

/// The stage of deleted people.
pub(super) const TRASH: &str = "Trash";

/// The types a task can have.
const TASK_TYPES: &[&str] = &[
    "Follow Up",
    "Call",
    "Text",
    "Email",
    "Appointment",
    "Showing",
    "Closing",
    "Open House",
    "Thank You",
];

const fn filter(param: &'static str, test: Test) -> Filter {
    Filter { param, test }
}

/// Filters of every list.
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

static PEOPLE: Resource = Resource {
    kind: Kind::People,
    path: "people",
    collection: "people",
    noun: "Person",
    selectable: true,
    custom_fields: true,
    on_request: &["relationships"],
    default_order: ("created", true),
    sortable: &[
        "id",
        "created",
        "updated",
        "name",
        "firstName",
        "lastName",
        "price",
        "stage",
        "lastActivity",
    ],
    filters: &[
        COMMON,
        &[
            filter("name", Test::Like("name")),
            filter("firstName", Test::Like("firstName")),
            filter("lastName", Test::Like("lastName")),
            filter("email", Test::Value("emails")),
            filter("phone", Test::Phone),
            filter("stage", Test::Text("stage")),
            filter("source", Test::Text("source")),
            filter("tags", Test::Tags),
            filter("assignedTo", Test::Text("assignedTo")),
            filter("assignedUserId", Test::Numbers("assignedUserId")),
            filter("assignedPondId", Test::Numbers("assignedPondId")),
            filter("assignedLenderId", Test::Numbers("assignedLenderId")),
            filter("contacted", Test::Flag("contacted")),
            filter("priceAbove", Test::Above("price")),
            filter("priceBelow", Test::Below("price")),
            filter("lastActivityAfter", Test::After("lastActivity")),
            filter("lastActivityBefore", Test::Before("lastActivity")),
        ],
    ],
    hidden: Some(Hidden {
        field: "stage",
        value: TRASH,
        unless: "includeTrash",
    }),
    next: NextForm::Keyset,
    writes: Some(Writes {
        fields: &[
            ("createdAt", Shape::CreatedAt),
            ("firstName", Shape::Text),
            ("lastName", Shape::Text),
            ("stage", Shape::Stage),
            ("source", Shape::OnceText),
            ("sourceUrl", Shape::OnceText),
            ("contacted", Shape::Flag),
            ("price", Shape::Number),
            ("assignedTo", Shape::UserName("assignedTo")),
            ("assignedUserId", Shape::UserId("assignedTo")),
            ("assignedPondId", Shape::Number),
            ("assignedLenderName", Shape::Text),
            ("assignedLenderId", Shape::Number),
            ("emails", Shape::Emails),
            ("phones", Shape::Phones),
            ("addresses", Shape::Addresses),
            ("tags", Shape::Tags),
            ("background", Shape::Text),
            ("collaborators", Shape::Collaborators),
            ("timeframeId", Shape::Number),
        ],
        required: &[],
    }),
    removal: Removal::Trash,
};

static USERS: Resource = Resource {
    kind: Kind::Users,
    path: "users",
    collection: "users",
    noun: "User",
    selectable: true,
    custom_fields: false,
    on_request: &["calling"],
    default_order: ("id", true),
    sortable: &["id", "name", "created"],
    filters: &[
        COMMON,
        &[
            filter("name", Test::Text("name")),
            filter("email", Test::Text("email")),
            filter("role", Test::Text("role")),
        ],
    ],
    hidden: Some(Hidden {
        field: "status",
        value: "Deleted",
        unless: "includeDeleted",
    }),
    next: NextForm::Offset,
    writes: None,
    removal: Removal::Refused,
};

static NOTES: Resource = Resource {
    kind: Kind::Notes,
    path: "notes",
    collection: "notes",
    noun: "Note",
    selectable: false,
    custom_fields: false,
    on_request: &[],
    default_order: ("id", true),
    sortable: &["id", "created", "updated"],
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("createdById", Test::Numbers("createdById")),
        ],
    ],
    hidden: None,
    next: NextForm::Keyset,
    writes: Some(Writes {
        fields: &[
            ("personId", Shape::Person),
            ("subject", Shape::Text),
            ("body", Shape::Text),
            ("isHtml", Shape::Switch),
        ],
        required: &[&["personId"]],
    }),
    removal: Removal::Erase,
};

static TASKS: Resource = Resource {
    kind: Kind::Tasks,
    path: "tasks",
    collection: "tasks",
    noun: "Task",
    selectable: false,
    custom_fields: false,
    on_request: &[],
    default_order: ("id", true),
    sortable: &["id", "created", "updated", "name", "dueDate"],
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("assignedTo", Test::Text("AssignedTo")),
            filter("assignedUserId", Test::Numbers("assignedUserId")),
            filter("name", Test::Like("name")),
            filter("type", Test::Texts("type")),
            filter("isCompleted", Test::Flag("isCompleted")),
        ],
    ],
    hidden: None,
    next: NextForm::Keyset,
    writes: Some(Writes {
        fields: &[
            ("personId", Shape::Person),
            ("assignedTo", Shape::UserName("AssignedTo")),
            ("assignedUserId", Shape::UserId("AssignedTo")),
            ("name", Shape::Text),
            ("type", Shape::OneOf(TASK_TYPES)),
            ("isCompleted", Shape::Completion),
            ("dueDate", Shape::Date),
            ("dueDateTime", Shape::Moment),
            ("remindSecondsBefore", Shape::Unshown),
        ],
        required: &[&["personId"], &["assignedUserId", "assignedTo"]],
    }),
    removal: Removal::Erase,
};

static CUSTOM_FIELDS: Resource = Resource {
    kind: Kind::CustomFields,
    path: "customFields",
    collection: "customfields",
    noun: "Custom field",
    selectable: false,
    custom_fields: false,
    on_request: &[],
    default_order: ("id", true),
    sortable: &["id", "label", "name", "orderWeight"],
    filters: &[&[filter("label", Test::Text("label"))]],
    hidden: None,
    next: NextForm::Absent,
    writes: None,
    removal: Removal::Refused,
};
