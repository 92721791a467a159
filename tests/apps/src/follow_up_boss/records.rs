//! What distinguishes one resource from another, said as data.
//!
//! A further resource needs a [`Kind`] and a description under `resources`,
//! with its blank record when it can be created. Paging, filters, sorting,
//! field selection, validation, rights, deletion, limits and logging come
//! from the description; `finish` and `derive` are for the few rules that a
//! table cannot say.

use serde_json::{Map, Value};

use super::filters::Filter;
use super::reply::Refusal;
use super::resources;
use super::shapes::Shape;
use super::store::Store;
use super::write::Draft;

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
    /// Logged phone calls. One made by request can be changed by the same
    /// system only, which `_system` names (empty for an unregistered one).
    Calls,
    /// Groups of users with leaders.
    Teams,
    /// Saved searches of people. `_criteria`, a query such as `tags=Buyer`,
    /// says who is in it.
    SmartLists,
    /// Kinds of appointments.
    AppointmentTypes,
    /// What can come of an appointment.
    AppointmentOutcomes,
    /// Appointments with users and people.
    Appointments,
    /// What people did on websites and the like.
    Events,
    /// Logged text messages. `_threadId` is what `threadId` finds.
    TextMessages,
    /// Emails to and from people.
    Emails,
    /// Deals, with the people and users they belong to.
    Deals,
    /// Pipelines with the stages of their deals.
    Pipelines,
    /// Definitions of the `custom...` fields of deals.
    DealCustomFields,
    /// The stages of people.
    Stages,
    /// Relatives of people. Those of a person are also in its `relationships`.
    PeopleRelationships,
    /// Pools of people that belong to nobody yet.
    Ponds,
    /// When people want to buy or sell.
    Timeframes,
    /// Groups of users among whom new people are shared out.
    Groups,
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
    /// The field which names a record where others refer to it.
    pub(super) label: &'static str,
    /// Whether `fields=` chooses what is sent.
    pub(super) selectable: bool,
    /// Where its `custom...` fields are defined, if it has any.
    pub(super) customs: Option<Kind>,
    /// Fields sent only when named in `fields=`.
    pub(super) on_request: &'static [&'static str],
    /// The fields with the time of creation and of the last change.
    pub(super) created: Option<&'static str>,
    pub(super) updated: Option<&'static str>,
    /// Field and direction (descending?) of a list without `sort`.
    pub(super) default_order: (&'static str, bool),
    pub(super) sortable: &'static [&'static str],
    pub(super) filters: &'static [&'static [Filter]],
    /// Parameters of which a list needs one, and what is said without.
    pub(super) scope: Option<Scope>,
    /// Two parameters that are given both or not at all.
    pub(super) pair: Option<(&'static str, &'static str)>,
    pub(super) hidden: &'static [Hidden],
    pub(super) next: NextForm,
    pub(super) seen: Seen,
    pub(super) creating: Right,
    pub(super) updating: Right,
    pub(super) deleting: Right,
    pub(super) removal: Removal,
    /// A new record: every field, in the order in which they are sent.
    pub(super) blank: fn(&Birth) -> Value,
    /// What bodies may contain.
    pub(super) fields: &'static [(&'static str, Shape)],
    /// Needed at creation: one of each group, named by the first.
    pub(super) required: &'static [&'static [&'static str]],
    /// Rules for the record after the body was applied to it.
    pub(super) finish: fn(&Draft<'_>, &mut Record, &Record) -> Result<(), Refusal>,
    /// What is worked out when a record is sent.
    pub(super) derive: Option<fn(&Store, &mut Record)>,
    /// Whether a new record moves its person's `lastActivity`.
    pub(super) activity: bool,
}

/// What a blank record says of its making.
#[derive(Debug)]
pub(super) struct Birth {
    /// The user who creates it, by id and name.
    pub(super) author: u64,
    pub(super) author_name: Value,
    /// The present, as the API writes it.
    pub(super) now: String,
    /// The registered system which creates it; empty for any other.
    pub(super) system: String,
}

/// What a list has to be narrowed by.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) any: &'static [&'static str],
    pub(super) refusal: &'static str,
}

/// Records left out unless a parameter asks for them.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) field: &'static str,
    pub(super) value: &'static str,
    /// The switch which shows them.
    pub(super) unless: &'static str,
    /// The parameter which shows them when it has their value.
    pub(super) named_by: Option<&'static str>,
    /// Whether they count as deleted: then they are not found by id either.
    pub(super) gone: bool,
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

/// Which records users without the rights of an admin see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// All of them.
    ByAll,
    /// People they look after.
    Assigned,
    /// What belongs to people they see, and their own.
    WithPerson,
    /// Their own, and those whose list (first) has their id in a field (second).
    ByMembers(&'static str, &'static str),
}

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// Nobody: the method does not exist.
    Nobody,
    Anyone,
    /// Brokers and the owner.
    Admins,
    Owner,
    /// Anyone, by way of a registered system.
    Systems,
    /// Anyone, by way of the system that created the record.
    ItsSystem,
}

/// What `DELETE` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    Erase,
    /// Moves a person to the stage of deleted ones.
    Trash,
    /// Sets a field to a text and keeps the record, which is hidden then.
    Mark(&'static str, &'static str),
    /// Erases the record when a parameter names one of the same kind which
    /// takes over what refers to it.
    Replace(&'static str),
}

impl Resource {
    pub(super) fn of(kind: Kind) -> &'static Self {
        resources::of(kind)
    }

    pub(super) fn at(path: &str) -> Option<&'static Self> {
        resources::ALL
            .into_iter()
            .find(|resource| resource.path == path)
    }

    pub(super) fn is_custom(&self, field: &str) -> bool {
        self.customs.is_some() && field.starts_with("custom")
    }

    /// Whether a record counts as deleted.
    pub(super) fn hides(&self, record: &Record) -> bool {
        self.hidden
            .iter()
            .any(|hidden| hidden.gone && hidden.hides(record))
    }
}

/// The stages of people at first; an unknown name falls to the first.
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
