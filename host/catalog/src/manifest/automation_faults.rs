//! What the JSON Schema cannot see of hooks, triggers and actions, and whether the component exports what the manifest
//! describes.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::automation::TriggerDelivery;
use super::{Manifest, Plan, one_line};
use crate::error::Issue;
use crate::nearest::nearest;

/// Everything that is wrong with hooks, triggers and actions, in the manifest's order.
pub(super) fn faults(manifest: &Manifest) -> Vec<Issue> {
    let mut faults = Vec::new();
    for (key, hook) in &manifest.hooks {
        let entities = manifest.entities.iter().map(|(name, _)| name.as_str());
        let triggers = manifest.triggers.iter().map(|(name, _)| name.as_str());
        faults.extend(unknown(key, "entities", &hook.entities, entities));
        faults.extend(unknown(key, "triggers", &hook.triggers, triggers));
    }
    for (key, trigger) in &manifest.triggers {
        let pointer = format!("/triggers/{key}");
        let told = || {
            let mut hooks = manifest.hooks.iter();
            hooks.any(|(_, hook)| hook.triggers.contains(key))
        };
        if trigger.delivery == TriggerDelivery::Hook && !told() {
            faults.push(Issue::new(
                format!("{pointer}/delivery"),
                format!("no hook tells `{key}`; add it to the `triggers` of one of `hooks`"),
            ));
        }
        faults.extend(inputs(&pointer, &trigger.inputs));
        let payload = Some(("payload", &trigger.payload));
        faults.extend(shown(&pointer, payload, trigger.sample.as_ref()));
    }
    for (key, action) in &manifest.actions {
        let pointer = format!("/actions/{key}");
        faults.extend(inputs(&pointer, &action.inputs));
        let output = action.output.as_ref().map(|output| ("output", output));
        faults.extend(shown(&pointer, output, action.sample.as_ref()));
    }
    faults
}

/// Whether what is described is exported and what is exported is described. `exports` answers for an interface of the
/// contract by its name.
pub(super) fn mismatches(manifest: &Manifest, exports: impl Fn(&str) -> bool) -> Vec<Issue> {
    let polled =
        |(_, trigger): &(String, super::TriggerOffer)| trigger.delivery == TriggerDelivery::Polling;
    let triggers = manifest.triggers.iter();
    let actions = manifest.actions.iter();
    let forms = triggers.clone().any(|(_, trigger)| trigger.needs_forms())
        || actions.clone().any(|(_, action)| action.needs_forms());
    // The interface; whether the manifest describes anything of it, and whether that needs it.
    let sections = [
        ("entities", !manifest.entities.is_empty(), true),
        ("hooks", !manifest.hooks.is_empty(), true),
        // A trigger that a hook tells may be asked for samples, and need not.
        (
            "triggers",
            !manifest.triggers.is_empty(),
            triggers.clone().any(polled),
        ),
        ("actions", !manifest.actions.is_empty(), true),
        ("forms", forms, true),
        ("login", manifest.plans.iter().any(Plan::has_login), true),
    ];
    let remedy = |interface: &str| {
        match interface {
        "login" => "give a plan the method `sign-in`".to_owned(),
        "forms" => "list what it answers in `dynamic` of a trigger or an action, or mark an input `x-options`".to_owned(),
        other => format!("describe what it has in `{other}`"),
    }
    };
    sections
        .into_iter()
        .filter_map(|(interface, described, needed)| match (described, exports(interface)) {
            (true, false) if needed => Some(Issue::new(
                "",
                format!(
                    "it describes {interface}, but the component does not export \
                     `rollout:connector/{interface}@{}`; export it, or leave them out",
                    manifest.contract
                ),
            )),
            (false, true) => Some(Issue::new(
                "",
                format!(
                    "the component exports `rollout:connector/{interface}@{}`, of which the manifest says nothing; {}, \
                     or leave out the export",
                    manifest.contract,
                    remedy(interface)
                ),
            )),
            _ => None,
        })
        .collect()
}

/// Complaints of names in a hook's list that the manifest does not have.
fn unknown<'a>(
    hook: &str,
    list: &str,
    names: &[String],
    known: impl Iterator<Item = &'a str> + Clone,
) -> Vec<Issue> {
    let complain = |(at, name): (usize, &String)| {
        if known.clone().any(|known| known == name) {
            return None;
        }
        let meant = match nearest(name, known.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("add it to `{list}`"),
        };
        Some(Issue::new(
            format!("/hooks/{hook}/{list}/{at}"),
            format!("the manifest's `{list}` have no `{name}`; {meant}"),
        ))
    };
    names.iter().enumerate().filter_map(complain).collect()
}

/// A schema of inputs describes an object.
fn inputs(pointer: &str, schema: &Value) -> Option<Issue> {
    let pointer = format!("{pointer}/inputs");
    if schema.get("type") != Some(&Value::from("object")) {
        return Some(Issue::new(
            pointer,
            "must have `\"type\": \"object\"`: inputs are one",
        ));
    }
    compiled(&pointer, schema).err()
}

/// A schema is one, and its sample is what it says.
fn shown(pointer: &str, schema: Option<(&str, &Value)>, sample: Option<&Value>) -> Option<Issue> {
    let (name, schema) = schema?;
    let validator = match compiled(&format!("{pointer}/{name}"), schema) {
        Ok(validator) => validator,
        Err(issue) => return Some(issue),
    };
    let error = validator.iter_errors(sample?).next()?;
    Some(Issue::new(
        format!("{pointer}/sample{}", error.instance_path()),
        format!(
            "is not what `{name}` says: {}",
            one_line(&error.masked().to_string())
        ),
    ))
}

/// The schema, ready for use. Its patterns run in linear time: a stranger wrote them.
fn compiled(pointer: &str, schema: &Value) -> Result<Validator, Issue> {
    jsonschema::draft202012::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| {
            let place = format!("{pointer}{}", error.instance_path());
            let reason = one_line(&error.masked().to_string());
            Issue::new(place, format!("is not a JSON Schema: {reason}"))
        })
}
