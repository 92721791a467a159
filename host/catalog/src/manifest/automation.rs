//! Hooks, triggers and actions: what the app tells, what automations begin with, and what they have done.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the app tells of its own accord.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookOffer {
    /// What it is; may be empty.
    #[serde(default)]
    pub description: String,
    /// Where the app sends.
    pub delivery: HookDelivery,
    /// The entities whose changes it tells.
    #[serde(default)]
    pub entities: Vec<String>,
    /// The triggers that it tells: their events, or of those that are polled that a poll is due.
    #[serde(default)]
    pub triggers: Vec<String>,
    /// How often a subscription must be renewed, in seconds; none: never, unless the app says when one ends.
    pub renew_every_seconds: Option<u32>,
}

/// Where the app sends what a hook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookDelivery {
    /// To an address of each subscription's own.
    Subscription,
    /// To one address for all accounts.
    Shared,
}

/// Events that automations begin with.
#[derive(Clone, Debug, Deserialize)]
pub struct TriggerOffer {
    /// What people read.
    pub label: String,
    /// What it is; may be empty.
    #[serde(default)]
    pub description: String,
    /// How its events come.
    pub delivery: TriggerDelivery,
    /// Which events fire.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// The JSON Schema of the inputs.
    #[serde(default = "no_inputs")]
    pub inputs: Value,
    /// The JSON Schema of the events' payloads.
    pub payload: Value,
    /// An example of a payload.
    #[serde(default, deserialize_with = "present")]
    pub sample: Option<Value>,
    /// What `forms` describes more exactly for an account.
    #[serde(default)]
    pub dynamic: Vec<Dynamic>,
}

/// How a trigger's events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerDelivery {
    /// The host polls.
    Polling,
    /// A hook tells them.
    Hook,
}

/// Which of a trigger's events fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dedupe {
    /// Those whose ids did not come before.
    #[default]
    Unique,
    /// Those whose ids are whole numbers greater than all before.
    Greatest,
    /// All.
    None,
}

/// What automations can have done in the app.
#[derive(Clone, Debug, Deserialize)]
pub struct ActionOffer {
    /// What people read.
    pub label: String,
    /// What it is; may be empty.
    #[serde(default)]
    pub description: String,
    /// True if doing it again with the same key changes nothing more.
    #[serde(default)]
    pub idempotent: bool,
    /// The JSON Schema of the inputs.
    #[serde(default = "no_inputs")]
    pub inputs: Value,
    /// The JSON Schema of the answer; none: anything.
    pub output: Option<Value>,
    /// An example of an answer.
    #[serde(default, deserialize_with = "present")]
    pub sample: Option<Value>,
    /// What `forms` describes more exactly for an account.
    #[serde(default)]
    pub dynamic: Vec<Dynamic>,
}

/// What `forms` describes more exactly for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dynamic {
    /// The inputs.
    Inputs,
    /// A trigger's payload.
    Payload,
    /// An action's answer.
    Output,
}

impl TriggerOffer {
    /// Whether `forms` is asked for anything.
    pub(super) fn needs_forms(&self) -> bool {
        !self.dynamic.is_empty() || has_options(&self.inputs)
    }
}

impl ActionOffer {
    /// Whether `forms` is asked for anything.
    pub(super) fn needs_forms(&self) -> bool {
        !self.dynamic.is_empty() || has_options(&self.inputs)
    }
}

/// Whether a schema marks an input whose choices are asked for.
fn has_options(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("x-options") == Some(&Value::Bool(true))
                || members.values().any(has_options)
        }
        Value::Array(items) => items.iter().any(has_options),
        _ => false,
    }
}

/// The schema of no inputs.
fn no_inputs() -> Value {
    Value::Object(Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("additionalProperties".to_owned(), json!(false)),
    ]))
}

/// A null that stands there is a value.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}
