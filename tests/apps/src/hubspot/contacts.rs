//! The contacts themselves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::properties::{self, STAGES, Values, iso};
use super::reply::with;

/// What a contact's answer always has.
const ALWAYS: [&str; 3] = ["createdate", "hs_object_id", "lastmodifieddate"];
/// What it has besides, unless the request names properties.
const DEFAULT: [&str; 3] = ["email", "firstname", "lastname"];

/// All contacts, archived ones included.
#[derive(Debug)]
pub(super) struct Contacts {
    there: BTreeMap<u64, Contact>,
    /// Those that are gone, and what each became part of.
    merged: BTreeMap<u64, u64>,
    last_id: u64,
    indexing: Duration,
}

/// A contact.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    id: u64,
    values: Values,
    archived: Option<u64>,
    /// As searches see it until the moment beside it; `None`: not at all.
    before: Option<Values>,
    indexed: Instant,
}

impl Contacts {
    pub(super) fn new(indexing: Duration) -> Self {
        Self {
            there: BTreeMap::new(),
            merged: BTreeMap::new(),
            // Ids are not small numbers.
            last_id: 100,
            indexing,
        }
    }

    /// Makes so many contacts, of many kinds, in the past; every ten share a moment.
    pub(super) fn fill(&mut self, count: u64) {
        const NAMES: [(&str, &str); 6] = [
            ("Ada", "Lovelace"),
            ("Łucja", "Ørsted ☀"),
            ("محمد", "علي"),
            ("", "O'Brien; Jr."),
            ("Zoë \"Z\"", ""),
            ("{{apiKey}}", "\\u0000"),
        ];
        let began = properties::now().saturating_sub(400 * 24 * 3600 * 1000);
        let some = |text: String, number: u64, each: u64| match number.is_multiple_of(each) {
            true => text,
            false => String::new(),
        };
        for number in 0..count {
            let place = usize::try_from(number).unwrap_or_default();
            let (first, last) = NAMES.get(place % NAMES.len()).copied().unwrap_or_default();
            let stage = STAGES
                .get(place % STAGES.len())
                .copied()
                .unwrap_or_default();
            let moment = iso(began + (number / 10) * 61_003);
            let values = json!({
                "firstname": first, "lastname": last, "lifecyclestage": stage,
                "email": some(format!("contact{number}@example.com"), number + 1, 2),
                "hs_additional_emails": some(format!("c{number}@work.example;c{number}@home.example"), number + 1, 4),
                "phone": some(format!("(503) 555-{number:04}"), number, 3),
                "mobilephone": some(format!("+1503555{number:04}"), number, 5),
                "address": some(format!("{number} Main Street"), number, 4),
                "city": some("Portland".to_owned(), number, 2),
                "zip": some("97201".to_owned(), number, 4),
                "company": some("Acme & Söhne".to_owned(), number, 3),
                "jobtitle": some("Analyst".to_owned(), number, 6),
                "hubspot_owner_id": some((number % 7 + 1).to_string(), number, 2),
                "date_of_birth": some("1985-12-10".to_owned(), number, 9),
                "hs_analytics_source": "OFFLINE", "hs_object_source_label": "IMPORT",
                "notes_last_updated": some(moment.clone(), number, 3),
                "createdate": moment, "lastmodifieddate": moment,
            });
            self.insert(properties::of(&values));
        }
        for contact in self.there.values_mut() {
            contact.indexed = Instant::now();
        }
    }

    /// Makes a contact. Its times are now unless the values have them.
    pub(super) fn insert(&mut self, mut values: Values) -> u64 {
        // Ids have gaps.
        self.last_id += 1 + self.last_id % 3;
        let id = self.last_id;
        let now = iso(properties::now());
        for name in ["createdate", "lastmodifieddate"] {
            values.entry(name.to_owned()).or_insert_with(|| now.clone());
        }
        values.insert("hs_object_id".to_owned(), id.to_string());
        values
            .entry("lifecyclestage".to_owned())
            .or_insert_with(|| "lead".to_owned());
        values.retain(|_, value| !value.is_empty());
        let contact = Contact {
            id,
            values,
            archived: None,
            before: None,
            indexed: Instant::now() + self.indexing,
        };
        self.there.insert(id, contact);
        id
    }

    /// A contact that is not archived; one that was merged is what it became part of.
    pub(super) fn get(&self, id: u64) -> Option<&Contact> {
        let id = self.merged.get(&id).copied().unwrap_or(id);
        self.there.get(&id).filter(|one| one.archived.is_none())
    }

    /// The contact that has this email, primary or further.
    pub(super) fn of_email(&self, email: &str) -> Option<&Contact> {
        self.listed(false).find(|contact| {
            let further = contact.value("hs_additional_emails").split(';');
            let mut emails = further.chain([contact.value("email")]);
            emails.any(|one| !one.is_empty() && one.eq_ignore_ascii_case(email))
        })
    }

    /// The contacts that are archived, or those that are not, by id.
    pub(super) fn listed(&self, archived: bool) -> impl Iterator<Item = &Contact> {
        let all = self.there.values();
        all.filter(move |contact| contact.archived.is_some() == archived)
    }

    /// Changes values; `None` if there is no such contact.
    pub(super) fn change(&mut self, id: u64, changes: Values) -> Option<u64> {
        let id = self.merged.get(&id).copied().unwrap_or(id);
        let indexing = self.indexing;
        let contact = self.there.get_mut(&id)?;
        if contact.archived.is_some() {
            return None;
        }
        let now = Instant::now();
        if contact.indexed <= now {
            contact.before = Some(contact.values.clone());
        }
        contact.indexed = now + indexing;
        let moment = iso(properties::now());
        contact.values.insert("lastmodifieddate".to_owned(), moment);
        for (name, value) in changes {
            if name == "lifecyclestage" && is_back(contact.value(&name), &value) {
                continue;
            }
            contact.values.insert(name, value);
        }
        contact.values.retain(|_, value| !value.is_empty());
        Some(id)
    }

    /// Archives a contact; false if there is none.
    pub(super) fn archive(&mut self, id: u64) -> bool {
        let contact = self.there.get_mut(&id);
        let contact = contact.filter(|contact| contact.archived.is_none());
        contact.is_some_and(|contact| {
            contact.archived = Some(properties::now());
            true
        })
    }

    /// Merges a contact into another; false if one of them is missing.
    pub(super) fn merge(&mut self, primary: u64, other: u64) -> bool {
        let Some(contact) = self.get(primary) else {
            return false;
        };
        let merged = match contact.value("hs_merged_object_ids") {
            "" => format!("{primary};{other}"),
            known => format!("{known};{other}"),
        };
        if primary == other || self.there.remove(&other).is_none() {
            return false;
        }
        let changes = Values::from([("hs_merged_object_ids".to_owned(), merged)]);
        self.merged.insert(other, primary);
        self.change(primary, changes).is_some()
    }

    /// What is not archived, with all its properties.
    pub(super) fn whole(&self) -> Vec<Value> {
        self.listed(false)
            .map(|contact| contact.shown(contact.values.keys().map(String::as_str)))
            .collect()
    }
}

/// Whether a stage lies before the one that a contact has.
fn is_back(present: &str, next: &str) -> bool {
    let place = |stage| STAGES.iter().position(|one| *one == stage);
    place(next)
        .zip(place(present))
        .is_some_and(|(next, present)| next < present)
}

impl Contact {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// A value; empty if there is none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    /// The values that a search finds it by now.
    pub(super) fn searched(&self, now: Instant) -> Option<&Values> {
        match self.indexed <= now {
            true => Some(&self.values),
            false => self.before.as_ref(),
        }
    }

    /// The contact with the properties that a request asks for; with the usual ones if
    /// it asks for none.
    pub(super) fn answer(&self, asked: &[String]) -> Value {
        match asked {
            [] => self.shown(DEFAULT.into_iter()),
            asked => self.shown(asked.iter().map(String::as_str)),
        }
    }

    fn shown<'a>(&'a self, names: impl Iterator<Item = &'a str>) -> Value {
        let names = names
            .chain(ALWAYS)
            .filter(|name| properties::known(name).is_some());
        let values: BTreeMap<&str, Value> = names
            .map(|name| match self.value(name) {
                "" => (name, Value::Null),
                value => (name, value.into()),
            })
            .collect();
        let values: Map<String, Value> = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let shown = json!({
            "id": self.id.to_string(), "properties": values,
            "createdAt": self.value("createdate"), "updatedAt": self.value("lastmodifieddate"),
            "archived": self.archived.is_some(),
        });
        match self.archived {
            Some(at) => with(shown, "archivedAt", iso(at)),
            None => shown,
        }
    }
}
