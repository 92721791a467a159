//! What a request is answered with: headers, and errors by status.
//!
//! An error answer is a component named by what was asked and the status, `list409`. Its codes are told apart by
//! examples, which all answers share.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schemas::reference;
use super::{Ask, Refusal};

/// The documented headers: name, whether every answer that names it has it, description, schema.
fn described() -> [(&'static str, &'static str, Value); 9] {
    let count = || json!({ "type": "integer", "minimum": 0 });
    let text = || json!({ "type": "string" });
    [
        (
            "X-Request-Id",
            "Names this request in the host's log.",
            text(),
        ),
        (
            "X-Rollout-Credential-Status",
            "`broken` if the app no longer accepts the credential; reads go on from the last copy.",
            json!({ "type": "string", "enum": ["broken"] }),
        ),
        (
            "X-Rollout-Ignored-Fields",
            "The sent fields that this app does not have, separated by commas. They were left out.",
            text(),
        ),
        (
            "Retry-After",
            "Seconds to wait before trying again.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        (
            "Allow",
            "The methods that this path answers to, with this app.",
            text(),
        ),
        ("WWW-Authenticate", "How to authenticate: `Bearer`.", text()),
        (
            "X-RateLimit-Limit",
            "Requests a second that the environment may make; only there if they are limited.",
            count(),
        ),
        (
            "X-RateLimit-Remaining",
            "How many can be sent at once.",
            count(),
        ),
        (
            "X-RateLimit-Reset",
            "Seconds until that many are the limit again.",
            count(),
        ),
    ]
}

/// The headers that an answer may have, whatever it is.
const COMMON: [&str; 3] = [
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
];

/// `components/headers`.
pub(super) fn headers() -> Value {
    let all = described().map(|(name, description, schema)| {
        let header = json!({ "description": description, "schema": schema });
        (name.to_owned(), header)
    });
    Value::Object(all.into_iter().collect())
}

/// The headers of an answer: those that all have, then `always`, and those that it may have.
fn headers_of(always: &[&str], sometimes: &[&str]) -> Value {
    let mut headers = Map::new();
    for (name, description, schema) in described() {
        let needed = name == "X-Request-Id" || always.contains(&name);
        if needed {
            let header = json!({ "description": description, "required": true, "schema": schema });
            headers.insert(name.to_owned(), header);
        } else if COMMON.contains(&name) || sometimes.contains(&name) {
            let header = json!({ "$ref": format!("#/components/headers/{name}") });
            headers.insert(name.to_owned(), header);
        }
    }
    Value::Object(headers)
}

/// All answers to a request: its own by status, and its refusals.
pub(super) fn all(ask: Ask, own: Vec<(&str, Value)>, refusals: &[Refusal]) -> Value {
    let mut answers: Map<String, Value> = Map::new();
    for (status, answer) in own {
        answers.insert(status.to_owned(), answer);
    }
    for status in by_status(ask, refusals).into_keys() {
        let component = format!("#/components/responses/{}", component(ask, status));
        answers.insert(status.to_string(), json!({ "$ref": component }));
    }
    Value::Object(answers)
}

/// A good answer.
pub(super) fn good(ask: Ask, description: &str, schema: Value, examples: Value) -> Value {
    let sometimes: &[&str] = match ask {
        Ask::List | Ask::Get => &["X-Rollout-Credential-Status"],
        Ask::Create | Ask::Update => &["X-Rollout-Ignored-Fields"],
        Ask::Delete | Ask::Perform | Ask::Feed => &[],
    };
    json!({
        "description": description,
        "headers": headers_of(&[], sometimes),
        "content": { "application/json": { "schema": schema, "examples": examples } }
    })
}

/// `components/responses`: the error answers.
pub(super) fn refused(refusals: &[Refusal]) -> Value {
    let mut responses = Map::new();
    for ask in Ask::ALL {
        for (status, refusals) in by_status(ask, refusals) {
            responses.insert(component(ask, status), refusal(&refusals));
        }
    }
    Value::Object(responses)
}

fn refusal(refusals: &[&Refusal]) -> Value {
    let causes: Vec<String> = refusals
        .iter()
        .map(|one| format!("- `{}`: {}", one.code, one.cause))
        .collect();
    let has = |header: &&str| {
        let name = header.to_ascii_lowercase();
        let having = refusals.iter().filter(|one| one.headers.contains(&name));
        having.count()
    };
    let names = described().map(|(name, _, _)| name);
    let always: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| has(name) == refusals.len())
        .collect();
    let sometimes: Vec<&str> = names.iter().copied().filter(|name| has(name) > 0).collect();
    let examples: Map<String, Value> = refusals
        .iter()
        .map(|one| {
            let example = format!("#/components/examples/{}", one.code);
            (one.code.to_owned(), json!({ "$ref": example }))
        })
        .collect();
    json!({
        "description": causes.join("\n"),
        "headers": headers_of(&always, &sometimes),
        "content": { "application/json": { "schema": reference("Error"), "examples": examples } }
    })
}

/// `components/examples`: a body for every code.
pub(super) fn examples(refusals: &[Refusal]) -> Value {
    let examples = refusals.iter().filter(|one| !one.to.is_empty());
    let examples = examples.map(|one| {
        let example = json!({ "summary": one.cause, "value": one.example });
        (one.code.to_owned(), example)
    });
    Value::Object(examples.collect())
}

fn by_status(ask: Ask, refusals: &[Refusal]) -> BTreeMap<u16, Vec<&Refusal>> {
    let mut statuses: BTreeMap<u16, Vec<&Refusal>> = BTreeMap::new();
    for refusal in refusals.iter().filter(|one| one.to.contains(&ask)) {
        statuses.entry(refusal.status).or_default().push(refusal);
    }
    statuses
}

fn component(ask: Ask, status: u16) -> String {
    format!("{ask:?}{status}")
}
