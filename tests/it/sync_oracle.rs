//! What the host must show for a record of the app, written down a second time and
//! for the main fields: independent of the connector's mapping.

use std::collections::{BTreeMap, BTreeSet};

use rollout_test_apps::follow_up_boss::Simulator;
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Client};

/// An account as the host shows it, by the app's ids.
pub struct Shown {
    pub users: BTreeMap<u64, Value>,
    pub people: BTreeMap<u64, Value>,
    pub notes: BTreeMap<u64, Value>,
    pub tasks: BTreeMap<u64, Value>,
}

impl Shown {
    /// Reads all that the host has. An app's id twice fails.
    pub async fn read(account: &Client) -> Self {
        Self {
            users: by_id(account, "users").await,
            people: by_id(account, "people").await,
            notes: by_id(account, "notes").await,
            tasks: by_id(account, "tasks").await,
        }
    }

    /// Compares every record with the app's.
    pub async fn assert_equals(&self, app: &Simulator) {
        let users = live(app.users(), |user| user["status"] != "Deleted");
        let people = live(app.people(), |person| person["stage"] != "Trash");
        let mut notes = live(app.notes(), |_| true);
        let absent: Vec<u64> = notes
            .keys()
            .filter(|id| !self.notes.contains_key(id))
            .copied()
            .collect();
        for id in absent {
            // The app hides some notes from everybody.
            let note = format!("{}/v1/notes/{id}", app.url());
            let asked = reqwest::Client::new()
                .get(note)
                .basic_auth(API_KEY, Some(""));
            assert_eq!(
                asked.send().await.unwrap().status(),
                404,
                "note {id} is missing"
            );
            notes.remove(&id);
        }
        let tasks = live(app.tasks(), |_| true);
        for (shown, there) in [
            (&self.users, &users),
            (&self.people, &people),
            (&self.notes, &notes),
            (&self.tasks, &tasks),
        ] {
            let shown: BTreeSet<&u64> = shown.keys().collect();
            let there: BTreeSet<&u64> = there.keys().collect();
            assert_eq!(shown, there);
        }
        for (id, theirs) in &people {
            self.assert_person(&self.people[id], theirs);
        }
        for (id, theirs) in &notes {
            self.assert_note(&self.notes[id], theirs);
        }
        for (id, theirs) in &tasks {
            self.assert_task(&self.tasks[id], theirs);
        }
        for (id, theirs) in &users {
            for field in [
                "firstName",
                "lastName",
                "email",
                "phone",
                "role",
                "timezone",
                "created",
            ] {
                same(&self.users[id], field, text(&theirs[field]));
            }
        }
    }

    fn assert_person(&self, ours: &Value, theirs: &Value) {
        for field in [
            "name",
            "firstName",
            "lastName",
            "stage",
            "created",
            "updated",
            "lastActivity",
        ] {
            same(ours, field, text(&theirs[field]));
        }
        let source = match theirs["source"].as_str() {
            Some("<unspecified>") => Value::Null,
            _ => text(&theirs["source"]),
        };
        same(ours, "source", source);
        same(ours, "averagePrice", number(&theirs["price"]));
        same(ours, "assignedUserId", self.user(&theirs["assignedUserId"]));
        let tags = list(theirs, "tags").map(|tag| match tag {
            Value::Object(tag) => tag["name"].clone(),
            tag => tag.clone(),
        });
        same(ours, "tags", tags.collect());
        for field in ["emails", "phones"] {
            let entries = list(theirs, field).map(|entry| {
                json!({
                    "value": entry["value"], "type": entry["type"], "status": entry["status"],
                    "isPrimary": flag(&entry["isPrimary"]),
                })
            });
            let entries: Vec<Value> = entries.collect();
            assert_eq!(ours[field], json!(entries), "{field} of {ours}");
        }
        let streets: Value = list(theirs, "addresses")
            .map(|address| address["street"].clone())
            .collect();
        let shown: Value = list(ours, "addresses")
            .map(|address| address["street"].clone())
            .collect();
        assert_eq!(shown, streets, "addresses of {ours}");
        let custom = theirs.as_object().unwrap().iter();
        for (field, value) in custom.filter(|(field, _)| field.starts_with("custom")) {
            assert_eq!(&ours[field], value, "{field} of {ours}");
        }
        assert_eq!(ours["original"]["people"]["id"], theirs["id"], "{ours}");
    }

    fn assert_note(&self, ours: &Value, theirs: &Value) {
        for field in ["subject", "body", "created", "updated"] {
            same(ours, field, text(&theirs[field]));
        }
        same(ours, "isHtml", flag(&theirs["isHtml"]));
        same(ours, "createdByUserId", self.user(&theirs["createdById"]));
        self.assert_person_of(ours, theirs);
    }

    fn assert_task(&self, ours: &Value, theirs: &Value) {
        for field in ["name", "type", "created", "updated"] {
            same(ours, field, text(&theirs[field]));
        }
        let due = match &theirs["dueDateTime"] {
            Value::Null => &theirs["dueDate"],
            due => due,
        };
        same(ours, "dueDateTime", text(due));
        same(ours, "isCompleted", flag(&theirs["isCompleted"]));
        same(ours, "assignedUserId", self.user(&theirs["assignedUserId"]));
        self.assert_person_of(ours, theirs);
    }

    fn assert_person_of(&self, ours: &Value, theirs: &Value) {
        match theirs["personId"].as_u64().unwrap_or(0) {
            0 => assert_eq!(ours["personId"], Value::Null, "{ours}"),
            id => match self.people.get(&id) {
                Some(person) => assert_eq!(ours["personId"], person["id"], "{ours}"),
                // In the trash: the reference stays.
                None => assert!(ours["personId"].is_string(), "{ours}"),
            },
        }
    }

    /// Our id of a user of the app.
    fn user(&self, id: &Value) -> Value {
        let known = id.as_u64().and_then(|id| self.users.get(&id));
        known.map(|user| user["id"].clone()).unwrap_or_default()
    }
}

/// The app's ids of the people that the host has.
pub async fn people_ids(account: &Client) -> BTreeSet<u64> {
    by_id(account, "people").await.into_keys().collect()
}

async fn by_id(account: &Client, entity: &str) -> BTreeMap<u64, Value> {
    let mut found = BTreeMap::new();
    for record in account.all(entity, "limit=1000").await {
        let id = record["originalIds"][entity].as_u64();
        let id = id.unwrap_or_else(|| panic!("no id of the app: {record}"));
        let twice = found.insert(id, record);
        assert!(twice.is_none(), "{entity} {id} is there twice");
    }
    found
}

fn live(records: Vec<Value>, is: impl Fn(&Value) -> bool) -> BTreeMap<u64, Value> {
    let records = records.into_iter().filter(is);
    records
        .map(|record| (record["id"].as_u64().unwrap(), record))
        .collect()
}

/// Nothing, the empty text and the empty list are one here: which of them stands
/// for "none" is the catalogue's matter.
#[track_caller]
fn same(ours: &Value, field: &str, expected: Value) {
    let none = |value: &Value| match value {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        value => value.clone(),
    };
    let shown = match &ours[field] {
        number @ Value::Number(_) => self::number(number),
        value => none(value),
    };
    assert_eq!(shown, none(&expected), "{field} of {ours}");
}

fn text(value: &Value) -> Value {
    match value {
        // No database holds it.
        Value::String(text) => text.replace('\0', "\u{fffd}").into(),
        _ => Value::Null,
    }
}

fn number(value: &Value) -> Value {
    value.as_f64().map(Value::from).unwrap_or_default()
}

fn flag(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_u64() == Some(1)),
        value => value.clone(),
    }
}

fn list<'a>(record: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    record[field].as_array().into_iter().flatten()
}
