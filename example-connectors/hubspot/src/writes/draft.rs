//! A write's fields as the app's properties.

use rollout_connector::{Error, Issue, Write};
use serde_json::{Map, Value};

use crate::contacts::{MOBILE, SEPARATOR};

/// What a draft is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Update,
}

/// The catalogue's fields that are one property, and the property.
const FIELDS: [(&str, &str); 7] = [
    ("firstName", "firstname"),
    ("lastName", "lastname"),
    ("assignedUserId", "hubspot_owner_id"),
    ("stage", "lifecyclestage"),
    ("birthday", "date_of_birth"),
    ("jobTitle", "jobtitle"),
    ("companyName", "company"),
];

/// The parts of an address, and the property of each.
const ADDRESS: [(&str, &str); 5] = [
    ("street", "address"),
    ("city", "city"),
    ("state", "state"),
    ("code", "zip"),
    ("country", "country"),
];

/// The properties of a write, and where the caller finds each.
pub(super) struct Draft {
    verb: Verb,
    /// What goes over.
    pub(super) properties: Map<String, Value>,
    pointers: Vec<(&'static str, String)>,
    issues: Vec<Issue>,
}

impl Draft {
    /// The draft of a write. All complaints are made at once.
    pub(super) fn of(write: &Write, verb: Verb) -> Result<Self, Error> {
        let mut draft = Self {
            verb,
            properties: Map::new(),
            pointers: Vec::new(),
            issues: Vec::new(),
        };
        for (name, value) in &write.body {
            let field = FIELDS.iter().find(|(ours, _)| ours == name);
            match (name.as_str(), field) {
                (_, Some((ours, theirs))) => draft.text(theirs, format!("/{ours}"), value),
                ("emails", _) => draft.emails(value),
                ("phones", _) => draft.phones(value),
                ("addresses", _) => draft.addresses(value),
                _ => draft.refuse(format!("/{name}"), "HubSpot has no such field to write"),
            }
        }
        match draft.issues.is_empty() {
            true => Ok(draft),
            false => Err(draft.issues.into()),
        }
    }

    /// Where the caller finds what became a property; empty for one that did not come
    /// of the caller.
    pub(super) fn pointer(&self, property: &str) -> String {
        let known = self.pointers.iter().find(|(name, _)| *name == property);
        known
            .map(|(_, pointer)| pointer.clone())
            .unwrap_or_default()
    }

    fn refuse(&mut self, pointer: String, message: &str) {
        self.issues.push(Issue {
            pointer,
            message: message.to_owned(),
        });
    }

    /// Sets a property; a new contact needs no empty ones.
    fn set(&mut self, property: &'static str, pointer: String, text: &str) {
        if text.is_empty() && self.verb == Verb::Create {
            return;
        }
        self.properties.insert(property.to_owned(), text.into());
        self.pointers.push((property, pointer));
    }

    fn text(&mut self, property: &'static str, pointer: String, value: &Value) {
        match value {
            Value::Null => self.set(property, pointer, ""),
            Value::String(text) => self.set(property, pointer, text),
            _ => self.refuse(pointer, "expected a text"),
        }
    }

    /// The entries of a list; null is the empty list.
    fn list<'v>(&mut self, name: &str, value: &'v Value) -> Option<&'v [Value]> {
        match value {
            Value::Null => Some(&[]),
            Value::Array(entries) if entries.iter().all(Value::is_object) => Some(entries),
            _ => {
                self.refuse(format!("/{name}"), "expected a list of objects");
                None
            }
        }
    }

    /// The values of a list of emails or phones with their places in it.
    fn values<'v>(
        &mut self,
        name: &str,
        list: &'v Value,
    ) -> Option<Vec<(usize, &'v Value, &'v str)>> {
        let mut values = Vec::new();
        for (at, entry) in self.list(name, list)?.iter().enumerate() {
            match entry.get("value").and_then(Value::as_str).map(str::trim) {
                Some(value) if !value.is_empty() => values.push((at, entry, value)),
                _ => self.refuse(format!("/{name}/{at}/value"), "expected a text"),
            }
        }
        Some(values)
    }

    /// The primary email, or the first, and the others.
    fn emails(&mut self, list: &Value) {
        let Some(emails) = self.values("emails", list) else {
            return;
        };
        let pointer = |at: usize| format!("/emails/{at}/value");
        for (at, _, _) in emails
            .iter()
            .filter(|(.., email)| email.contains(SEPARATOR))
        {
            self.refuse(pointer(*at), "an email address holds no semicolon");
        }
        let is_primary = |entry: &Value| entry.get("isPrimary") == Some(&Value::Bool(true));
        let marked = emails.iter().find(|(_, entry, _)| is_primary(entry));
        let primary = marked.or(emails.first()).copied();
        let (at, _, email) = primary.unwrap_or((0, &Value::Null, ""));
        self.set(
            "email",
            primary.map_or("/emails".into(), |_| pointer(at)),
            email,
        );

        let others = emails.iter().filter(|(place, ..)| *place != at);
        let others: Vec<&(usize, &Value, &str)> = others.collect();
        let place = match others.as_slice() {
            [(at, ..)] => pointer(*at),
            _ => "/emails".to_owned(),
        };
        let others: Vec<&str> = others.iter().map(|(.., email)| *email).collect();
        self.set(
            "hs_additional_emails",
            place,
            &others.join(&SEPARATOR.to_string()),
        );
    }

    /// One number, and one of the type `mobile`.
    fn phones(&mut self, list: &Value) {
        let Some(phones) = self.values("phones", list) else {
            return;
        };
        let (mobile, other): (Vec<_>, Vec<_>) = phones.into_iter().partition(|(_, entry, _)| {
            let kind = entry.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case(MOBILE))
        });
        for (property, phones) in [("phone", other), ("mobilephone", mobile)] {
            for (at, ..) in phones.iter().skip(1) {
                self.refuse(
                    format!("/phones/{at}"),
                    "HubSpot keeps one number of a contact, and one of the type `mobile`",
                );
            }
            match phones.first() {
                Some((at, _, number)) => self.set(property, format!("/phones/{at}/value"), number),
                None => self.set(property, "/phones".into(), ""),
            }
        }
    }

    /// The one address; parts that are left out are cleared.
    fn addresses(&mut self, list: &Value) {
        let Some(addresses) = self.list("addresses", list) else {
            return;
        };
        for at in 1..addresses.len() {
            self.refuse(
                format!("/addresses/{at}"),
                "HubSpot keeps one address of a contact",
            );
        }
        let address = addresses.first().unwrap_or(&Value::Null);
        for (part, property) in ADDRESS {
            let value = address.get(part).unwrap_or(&Value::Null);
            self.text(property, format!("/addresses/0/{part}"), value);
        }
    }
}
