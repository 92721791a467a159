//! What a person entered to connect an account, checked against the plan's
//! inputs and told apart into public fields and secrets.

use std::collections::BTreeMap;

use rollout_catalog::Issue;
use rollout_catalog::manifest::{Input, InputKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest input, in bytes.
pub(crate) const LONGEST: usize = 10 * 1024;

/// Inputs that fit the plan.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// Public fields by name. A list is joined by line breaks.
    pub(crate) fields: BTreeMap<String, String>,
    /// Secrets by slot. A list is joined by line breaks.
    pub(crate) secrets: BTreeMap<String, String>,
}

impl Inputs {
    /// Checks all inputs and reports every complaint at once, with pointers into
    /// the body (`/userInputs/apiKey`). Surrounding white space, which comes with
    /// copying and pasting, is taken off.
    pub(crate) fn check(plan: &[Input], entered: &Map<String, Value>) -> Result<Self, Vec<Issue>> {
        let mut inputs = Self::default();
        let mut issues = Vec::new();
        for input in plan {
            match value(input, entered.get(&input.key)) {
                Ok(None) => {}
                Ok(Some(text)) => {
                    let place = if input.kind.is_secret() {
                        &mut inputs.secrets
                    } else {
                        &mut inputs.fields
                    };
                    place.insert(input.key.clone(), text);
                }
                Err(message) => issues.push(Issue {
                    pointer: format!("/userInputs/{}", input.key),
                    message,
                }),
            }
        }
        for key in entered.keys() {
            if !plan.iter().any(|input| &input.key == key) {
                let names: Vec<&str> = plan.iter().map(|input| input.key.as_str()).collect();
                let message = if names.is_empty() {
                    "this app has no inputs".to_owned()
                } else {
                    format!(
                        "is not an input of this app; its inputs are: {}",
                        names.join(", ")
                    )
                };
                let key = key.replace('~', "~0").replace('/', "~1");
                issues.push(Issue {
                    pointer: format!("/userInputs/{key}"),
                    message,
                });
            }
        }
        if issues.is_empty() {
            Ok(inputs)
        } else {
            Err(issues)
        }
    }
}

/// The text of one input; none if it is optional and empty.
fn value(input: &Input, entered: Option<&Value>) -> Result<Option<String>, String> {
    let label = input.label.as_deref().unwrap_or(&input.key);
    let values = match entered {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(items)) if input.kind.is_list() => items
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| format!("{label} must be a list of texts"))?,
        Some(_) if input.kind.is_list() => return Err(format!("{label} must be a list of texts")),
        Some(_) => return Err(format!("{label} must be a text")),
    };
    let values: Vec<&str> = values
        .into_iter()
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .collect();
    if values.is_empty() {
        return if input.optional {
            Ok(None)
        } else {
            Err(format!("{label} is required"))
        };
    }
    for value in &values {
        if value.len() > LONGEST {
            return Err(format!("{label} is longer than {LONGEST} bytes"));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("{label} contains a control character"));
        }
        if !input.accepts(value) {
            return Err(if input.kind == InputKind::Dropdown {
                let options: Vec<&str> =
                    input.options.iter().map(|choice| choice.value()).collect();
                format!("{label} must be one of: {}", options.join(", "))
            } else {
                format!("{label} does not have the form that the app's keys have")
            });
        }
    }
    Ok(Some(values.join("\n")))
}

#[cfg(test)]
mod tests;
