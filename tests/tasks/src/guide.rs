//! What a demo prints: a person, a note, and calls to try.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::tree::shown;

/// Longest text that is shown of a record, in characters.
const LONGEST_TEXT: usize = 100;

/// What is there to show.
pub(crate) struct Guide {
    pub(crate) host: String,
    pub(crate) credential: String,
    pub(crate) token: String,
    /// A key of the account, to connect it once more.
    pub(crate) key: &'static str,
    /// How many people the account has, if the host said so.
    pub(crate) people: Option<u64>,
    pub(crate) person_id: String,
    pub(crate) person: Value,
    /// A note about this person.
    pub(crate) note: Option<Value>,
    pub(crate) database: PathBuf,
    pub(crate) logs: [PathBuf; 2],
    /// The file with client id and secret.
    pub(crate) secret: PathBuf,
}

impl fmt::Display for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            credential,
            token,
            person_id,
            ..
        } = self;
        if let Some(people) = self.people {
            writeln!(
                f,
                "\nThe account has {people} people. One of them (empty fields left out):\n"
            )?;
        } else {
            writeln!(f, "\nA person (empty fields left out):\n")?;
        }
        writeln!(f, "{:#}", shorten(&self.person))?;
        if let Some(note) = &self.note {
            writeln!(f, "\nA note about this person:\n\n{:#}", shorten(note))?;
        }
        let database = shown(&self.database);
        let [host_log, simulator_log] = &self.logs;
        write!(
            f,
            r#"
Try it from another shell. First these, good for 24 hours:

HOST={host}
PERSON={person_id}
ID="X-Rollout-Credential-Id: {credential}"
AUTH="Authorization: Bearer {token}"
JSON="Content-Type: application/json"

# People, newest first; then the next page
curl -s "$HOST/crm/api/people?limit=2" -H "$AUTH" -H "$ID"
NEXT=$(curl -s "$HOST/crm/api/people?limit=2" -H "$AUTH" -H "$ID" | sed -n 's/.*"next": *"\([^"]*\)".*/\1/p')
curl -s "$HOST/crm/api/people?limit=2&next=$NEXT" -H "$AUTH" -H "$ID"

# The person above, and notes
curl -s "$HOST/crm/api/people/$PERSON" -H "$AUTH" -H "$ID"
curl -s "$HOST/crm/api/notes?personId=$PERSON" -H "$AUTH" -H "$ID"

# Create, update, tag, delete: each is in the app and in the store when it returns
curl -s "$HOST/crm/api/people" -H "$AUTH" -H "$ID" -H "$JSON" -d '{{"firstName":"Ada","lastName":"Lovelace","emails":[{{"value":"ada@example.com"}}],"tags":["Buyer"]}}'
curl -s -X PUT "$HOST/crm/api/people/$PERSON?mergeTags=true" -H "$AUTH" -H "$ID" -H "$JSON" -d '{{"tags":["Met in person"]}}'
curl -s "$HOST/crm/api/people/$PERSON/tags/apply" -H "$AUTH" -H "$ID" -H "$JSON" -d '{{"tags":["Hot"]}}'
curl -s "$HOST/crm/api/people/$PERSON/tags/delete" -H "$AUTH" -H "$ID" -H "$JSON" -d '{{"tags":["Hot"]}}'
curl -s -X DELETE "$HOST/crm/api/people/$PERSON" -H "$AUTH" -H "$ID"

# Accounts with their sync, connectors, and the API as OpenAPI
curl -s "$HOST/api/credentials" -H "$AUTH"
curl -s "$HOST/api/connectors" -H "$AUTH"
curl -s "$HOST/crm/api/openapi.json"

# The same records in SQL
sqlite3 -readonly {database} 'select "firstName", "lastName", "stage" from rollout_people limit 5'

# What customers see, in a browser: connect another account with the key {}
{host}/link/demo

database   {database}
client     {}
logs       {}, {}
"#,
            self.key,
            shown(&self.secret),
            shown(host_log),
            shown(simulator_log),
        )
    }
}

/// A record to look at: without what is empty, without the app's own copy, and with
/// long texts cut.
fn shorten(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: Map<String, Value> = members
                .iter()
                .filter(|(name, _)| *name != "original")
                .map(|(name, value)| (name.clone(), shorten(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect();
            Value::Object(members)
        }
        Value::Array(values) => values.iter().map(shorten).collect(),
        Value::String(text) => match text.char_indices().nth(LONGEST_TEXT) {
            Some((cut, _)) => Value::String(format!("{}…", text.get(..cut).unwrap_or_default())),
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_shortened_for_reading() {
        let person = json!({
            "firstName": "Ada",
            "lastName": "",
            "emails": [{"value": "ada@example.com", "type": null}],
            "phones": [],
            "price": 0,
            "source": {"name": null},
            "background": "ä".repeat(101),
            "original": {"people": {"id": 1}},
        });
        assert_eq!(
            shorten(&person),
            json!({
                "firstName": "Ada",
                "emails": [{"value": "ada@example.com"}],
                "price": 0,
                "background": format!("{}…", "ä".repeat(100)),
            })
        );
    }

    #[test]
    fn the_calls_name_this_demos_host_token_and_person() {
        let guide = Guide {
            host: "http://127.0.0.1:8080".into(),
            credential: "019c".into(),
            token: "eyJ.x.y".into(),
            key: "fka_demo",
            people: Some(12),
            person_id: "p-1".into(),
            person: json!({"id": "p-1"}),
            note: Some(json!({"body": "Called twice"})),
            database: crate::tree::demo().join("data/env/dev.sqlite"),
            logs: ["/h.log".into(), "/s.log".into()],
            secret: "/c.json".into(),
        };
        let printed = guide.to_string();
        for expected in [
            "has 12 people",
            "\"body\": \"Called twice\"",
            "\nHOST=http://127.0.0.1:8080\n",
            "\nPERSON=p-1\n",
            "\nID=\"X-Rollout-Credential-Id: 019c\"\n",
            "\nAUTH=\"Authorization: Bearer eyJ.x.y\"\n",
            "-d '{\"tags\":[\"Hot\"]}'",
            "with the key fka_demo\nhttp://127.0.0.1:8080/link/demo\n",
            "sqlite3 -readonly target/demo/data/env/dev.sqlite ",
        ] {
            assert!(
                printed.contains(expected),
                "{expected} is not in\n{printed}"
            );
        }
    }
}
