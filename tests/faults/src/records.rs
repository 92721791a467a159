//! The records that the run makes, and how they are recognised again.
//!
//! Each has a *marker*, which nothing else has and which stays, and a *value*,
//! which every change replaces by another that is used once. Both are in fields
//! that app and API call the same, so one reader reads both.

use rollout_test_apps::follow_up_boss::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What every marker begins with.
const MARK: &str = "fault-";

/// The kinds of records that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Entity {
    People,
    Notes,
    Tasks,
}

impl Entity {
    /// All, people first: the others belong to them.
    pub(crate) const ALL: [Self; 3] = [Self::People, Self::Notes, Self::Tasks];

    /// As API, app and events call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Notes => "notes",
            Self::Tasks => "tasks",
        }
    }

    /// What the simulator calls it.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::People => Kind::People,
            Self::Notes => Kind::Notes,
            Self::Tasks => Kind::Tasks,
        }
    }

    /// The fields in which app and copy are compared.
    pub(crate) fn compared(self) -> &'static [&'static str] {
        match self {
            Self::People => &["firstName", "lastName", "stage"],
            Self::Notes => &["subject", "body"],
            Self::Tasks => &["name", "type"],
        }
    }

    /// The fields that hold marker and value.
    pub(crate) fn text(self, marker: &str, value: &str) -> Value {
        match self {
            Self::People => json!({"lastName": marker, "firstName": value}),
            Self::Notes => json!({"subject": marker, "body": value}),
            Self::Tasks => json!({"name": format!("{marker} {value}")}),
        }
    }

    /// The body that creates a record through the API. `person` is our id.
    pub(crate) fn body(self, marker: &str, value: &str, person: Option<&str>) -> Value {
        with(self.text(marker, value), "personId", json!(person))
    }

    /// A record as somebody who works in the app makes it. `person` is the app's id.
    pub(crate) fn native(self, marker: &str, value: &str, person: u64) -> Value {
        let text = self.text(marker, value);
        let rest = match self {
            Self::People => return with(text, "stage", json!("Lead")),
            Self::Notes => json!({
                "createdBy": null, "updatedBy": null, "createdById": 1,
                "type": "Note", "isHtml": false,
            }),
            Self::Tasks => json!({
                "completed": null, "createdById": 1, "assignedUserId": 1,
                "type": "Call", "isCompleted": 0, "dueDate": "2030-01-02", "dueDateTime": null,
            }),
        };
        let mut record = with(text, "personId", person.into());
        if let (Some(record), Value::Object(rest)) = (record.as_object_mut(), rest) {
            record.extend(rest);
        }
        record
    }

    /// Marker and value of a record of the app or of ours, if the run made it.
    pub(crate) fn read(self, record: &Value) -> Option<(String, String)> {
        let text = |name: &str| record.get(name)?.as_str();
        let (marker, value) = match self {
            Self::People => (text("lastName")?, text("firstName")?),
            Self::Notes => (text("subject")?, text("body")?),
            Self::Tasks => text("name")?.split_once(' ')?,
        };
        marker
            .starts_with(MARK)
            .then(|| (marker.to_owned(), value.to_owned()))
    }

    /// What an event of this entity did: `peopleCreated` is of people, `Created`.
    pub(crate) fn of_event(event: &str) -> Option<(Self, &str)> {
        Self::ALL
            .into_iter()
            .find_map(|entity| Some((entity, event.strip_prefix(entity.name())?)))
    }
}

/// The marker of the record that an operation makes.
pub(crate) fn marker(operation: u64) -> String {
    format!("{MARK}{operation}")
}

/// The value that an operation writes.
pub(crate) fn value(operation: u64) -> String {
    format!("value-{operation}")
}

fn with(mut record: Value, name: &str, value: Value) -> Value {
    if let Some(record) = record.as_object_mut()
        && !value.is_null()
    {
        record.insert(name.to_owned(), value);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_recognised() {
        for entity in Entity::ALL {
            let expected = Some(("fault-7".to_owned(), "value-9".to_owned()));
            let (marker, value) = (marker(7), value(9));
            assert_eq!(entity.read(&entity.native(&marker, &value, 1)), expected);
            assert_eq!(
                entity.read(&entity.body(&marker, &value, Some("p"))),
                expected
            );
        }
        assert_eq!(Entity::People.read(&json!({"lastName": "Doe"})), None);
        assert_eq!(Entity::Tasks.read(&json!({"name": "Call Ada"})), None);
    }

    #[test]
    fn people_belong_to_nobody() {
        let body = Entity::People.body("fault-1", "value-1", None);
        assert_eq!(body, json!({"lastName": "fault-1", "firstName": "value-1"}));
    }

    #[test]
    fn events_name_their_entity() {
        assert_eq!(
            Entity::of_event("notesDeleted"),
            Some((Entity::Notes, "Deleted"))
        );
        assert_eq!(Entity::of_event("usersCreated"), None);
    }
}
