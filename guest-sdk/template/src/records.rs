//! Which of the app's fields is which of the catalogue's, in both directions.

use std::borrow::Cow;

use rollout_connector::entities::crm::{Person, PersonEmail, PersonPhone, User};
use rollout_connector::{Error, Item, Write, time};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the app has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resource {
    Contacts,
    Staff,
}

/// The answer of `/me`.
#[derive(Deserialize)]
pub(crate) struct Me {
    pub(crate) account_id: u64,
    pub(crate) name: String,
}

/// A contact. Fields that the app leaves out or sends as null are none.
#[derive(Deserialize)]
struct Contact<'a> {
    id: u64,
    #[serde(borrow, default)]
    first: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    last: Option<Cow<'a, str>>,
    #[serde(default)]
    owner_id: Option<u64>,
    #[serde(borrow, default)]
    emails: Vec<Contactable<'a>>,
    #[serde(borrow, default)]
    phones: Vec<Contactable<'a>>,
    #[serde(borrow, default)]
    labels: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    created_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    updated_at: Option<Cow<'a, str>>,
}

/// An email address or a telephone number.
#[derive(Deserialize)]
struct Contactable<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
}

/// A member of the staff.
#[derive(Deserialize)]
struct Member<'a> {
    id: u64,
    #[serde(borrow, default)]
    first: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    last: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    email: Option<Cow<'a, str>>,
}

/// The catalogue's fields that can be written, and the app's for them.
const WRITABLE: [(&str, &str); 5] = [
    ("firstName", "first"),
    ("lastName", "last"),
    ("assignedUserId", "owner_id"),
    ("emails", "emails"),
    ("phones", "phones"),
];

impl Resource {
    /// The app's resource for an entity of the catalogue.
    pub(crate) fn of(entity: &str) -> Result<Self, Error> {
        match entity {
            "people" => Ok(Self::Contacts),
            "users" => Ok(Self::Staff),
            _ => Err(Error::Unsupported(format!("{entity} are not offered"))),
        }
    }

    /// Its path in the app's API.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Staff => "staff",
        }
    }

    /// A record of the app as one of the catalogue.
    pub(crate) fn item(self, raw: &str) -> Result<Item, Error> {
        match self {
            Self::Contacts => read(raw).map(|contact| person(raw, contact)),
            Self::Staff => read(raw).map(|member| user(raw, member)),
        }
    }

    /// What is to be written, as the app wants it. Null clears a field.
    pub(crate) fn app_record(self, write: &Write) -> Result<Value, Error> {
        if let Self::Staff = self {
            return Err(Error::Unsupported("users can't be written".into()));
        }
        let mut record = Map::new();
        for (ours, theirs) in WRITABLE {
            let Some(value) = write.body.get(ours) else {
                continue;
            };
            let value = match ours {
                "assignedUserId" => app_id(ours, value)?,
                "emails" | "phones" => contactables(value),
                _ => value.clone(),
            };
            record.insert(theirs.to_owned(), value);
        }
        Ok(Value::Object(record))
    }

    /// Where the caller finds a field of the app: `emails.0.address` is
    /// `/emails/0/value`.
    pub(crate) fn pointer(theirs: &str) -> String {
        let segments = theirs.split('.').map(|segment| {
            let known = WRITABLE.iter().find(|(_, theirs)| *theirs == segment);
            match (segment, known) {
                ("address", _) => "value",
                ("kind", _) => "type",
                (_, Some((ours, _))) => ours,
                (other, None) => other,
            }
        });
        segments.map(|segment| format!("/{segment}")).collect()
    }
}

/// Reads a record; one that can't be read is the app's fault.
fn read<'a, T: Deserialize<'a>>(raw: &'a str) -> Result<T, Error> {
    serde_json::from_str(raw)
        .map_err(|error| Error::unexpected(format!("a record of the app is unreadable: {error}")))
}

fn person(raw: &str, contact: Contact<'_>) -> Item {
    let item = Item::new(contact.id).native_raw(raw);
    let item = match &contact.updated_at {
        Some(moment) => item.updated_at_rfc3339(moment),
        None => item,
    };
    let emails = contact.emails.into_iter().map(|email| PersonEmail {
        value: Some(email.address),
        r#type: email.kind,
        ..PersonEmail::default()
    });
    let phones = contact.phones.into_iter().map(|phone| PersonPhone {
        value: Some(phone.address),
        r#type: phone.kind,
        ..PersonPhone::default()
    });
    item.body(&Person {
        first_name: contact.first,
        last_name: contact.last,
        // The app says 0 for nobody.
        assigned_user_id: contact.owner_id.filter(|id| *id > 0).map(Into::into),
        emails: Some(emails.collect()),
        phones: Some(phones.collect()),
        tags: Some(contact.labels),
        created: contact.created_at.and_then(time::normalize),
        updated: contact.updated_at.and_then(time::normalize),
        ..Person::default()
    })
}

fn user(raw: &str, member: Member<'_>) -> Item {
    Item::new(member.id).native_raw(raw).body(&User {
        first_name: member.first,
        last_name: member.last,
        email: member.email,
        ..User::default()
    })
}

/// An id as the app wants it: a number. The catalogue's are texts.
fn app_id(field: &str, value: &Value) -> Result<Value, Error> {
    match value.as_str() {
        None => Ok(Value::Null),
        Some(text) => text.parse::<u64>().map(Value::from).map_err(|_| {
            Error::invalid(format!("/{field}"), format!("`{text}` is no id of the app"))
        }),
    }
}

/// Emails or phones as the app wants them.
fn contactables(value: &Value) -> Value {
    let entries = value.as_array().into_iter().flatten();
    entries
        .map(|entry| json!({ "address": entry.get("value"), "kind": entry.get("type") }))
        .collect()
}
