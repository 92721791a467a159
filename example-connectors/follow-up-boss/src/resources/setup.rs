//! How an account is set up: stages, teams, custom fields and lists.

use serde_json::Value;

use super::{Resource, SHORT, Verbs};
use crate::mapping::Members;
use crate::table::{Reads, Writes, field, read};

pub(super) static STAGES: Resource = Resource {
    entity: "stages",
    path: "stages",
    verbs: Verbs::CREATE_AND_UPDATE,
    fields: &[
        field("name", "name", Reads::Text, Writes::FixedText),
        field("orderWeight", "orderWeight", Reads::Number, Writes::Number),
        read("isProtected", "isProtected", Reads::Flag),
    ],
    ..SHORT
};

/// Of a team the catalogue knows only that it is there; the rest is in the
/// native record.
pub(super) static TEAMS: Resource = Resource {
    entity: "teams",
    path: "teams",
    fields: &[
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..SHORT
};

pub(super) static CUSTOM_FIELDS: Resource = Resource {
    entity: "customFields",
    path: "customFields",
    verbs: Verbs::CREATE_AND_UPDATE,
    fields: &[
        field("label", "label", Reads::Text, Writes::FixedText),
        read("name", "name", Reads::Text),
        field("type", "type", Reads::By(kind), Writes::FixedText),
        field("isRecurring", "isRecurring", Reads::Flag, Writes::Flag),
        field("choices", "choices", Reads::Texts, Writes::Texts),
    ],
    ..SHORT
};

/// A type that is new to us is read as text.
fn kind(field: &Members<'_>) -> Option<Value> {
    let known = ["text", "date", "number", "dropdown"];
    let kind = field.scalar("type");
    let kind = kind.as_str()?.to_lowercase();
    let kind = known.into_iter().find(|known| *known == kind);
    Some(kind.unwrap_or("text").into())
}

pub(super) static SMART_LISTS: Resource = Resource {
    entity: "smartLists",
    path: "smartLists",
    fields: &[
        read("name", "name", Reads::Text),
        read("description", "description", Reads::Text),
        read("isFub2", "isFub2", Reads::Flag),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..SHORT
};
