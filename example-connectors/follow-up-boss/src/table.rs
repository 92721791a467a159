//! How the fields of a record correspond: the code's half of `mapping.md`.
//!
//! A record that is little more than a list of fields is a table of these, in
//! both directions. People and users, whose records have a structure of their
//! own, are read by types instead (`mapping/people.rs`, `mapping/users.rs`).

use serde_json::Value;

use crate::mapping::Members;

/// A field of the catalogue and the app's for it.
pub(crate) struct Field {
    /// The catalogue's name.
    pub(crate) ours: &'static str,
    /// The app's name.
    pub(crate) theirs: &'static str,
    /// How the app's value is read; `None`: it shows none.
    pub(crate) reads: Option<Reads>,
    /// What the app wants to be sent; `None`: it takes none.
    pub(crate) writes: Option<Writes>,
}

/// How a value of the app is read. One that doesn't fit is left out.
#[derive(Clone, Copy)]
pub(crate) enum Reads {
    /// A text, or a number as text.
    Text,
    /// A number or text; 0 and `""` are none.
    Id,
    /// A moment or a day.
    Moment,
    /// 0/1 or true/false.
    Flag,
    /// A number, or a text that is one.
    Number,
    /// A list of texts.
    Texts,
    /// A list of emails or phones.
    Contacts,
    /// A list of addresses.
    Addresses,
    /// The ids in a list of objects.
    Ids,
    /// What this makes of the whole record.
    By(fn(&Members<'_>) -> Option<Value>),
}

/// What the app wants of a value, and what null becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// A text; null is the empty text.
    Text,
    /// A text; null is null.
    TextOrNull,
    /// A text that can't be taken away.
    FixedText,
    /// The id of another record; null is null.
    Id,
    /// The id of another record that there must be.
    RequiredId,
    /// A list of ids; null is the empty list.
    Ids,
    Number,
    Flag,
    /// A list of texts; null is the empty list.
    Texts,
    /// A moment; a day is its beginning in UTC.
    Moment,
    /// A day; a moment is the day that it is in UTC.
    Day,
    /// A list of `{value, type}`, the primary one first.
    Contacts,
    Addresses,
    /// A stage's id: the app wants its name.
    StageId,
    /// A moment or a day, which the app keeps apart.
    Due,
    /// The stages of a pipeline.
    PipelineStages,
    /// Somebody among those invited, under this name.
    Invitee(&'static str),
    /// The id of a person, in an object of its own.
    Person,
}

/// A field that goes both ways.
pub(crate) const fn field(
    ours: &'static str,
    theirs: &'static str,
    reads: Reads,
    writes: Writes,
) -> Field {
    Field {
        ours,
        theirs,
        reads: Some(reads),
        writes: Some(writes),
    }
}

/// A field that the app shows and does not take.
pub(crate) const fn read(ours: &'static str, theirs: &'static str, reads: Reads) -> Field {
    Field {
        ours,
        theirs,
        reads: Some(reads),
        writes: None,
    }
}

/// A field that the app takes and does not show under that name.
pub(crate) const fn write(ours: &'static str, theirs: &'static str, writes: Writes) -> Field {
    Field {
        ours,
        theirs,
        reads: None,
        writes: Some(writes),
    }
}
