//! The manifest against its schema, itself and the catalogue.

use serde_json::Value;

use super::catalogue::{self, Entity, is_custom};
use super::nearest::did_you_mean;
use super::oauth;
use super::schema::{Schema, escaped, issue, texts};
use crate::error::Issue;

const SCHEMA: &str = include_str!("../../../../wit/manifest.schema.json");

/// What can be said of the document alone: its form, and, if that is right, whether its
/// parts fit together and into the catalogue.
pub fn document_faults(manifest: &Value) -> Vec<Issue> {
    let form = form_faults(manifest);
    if form.is_empty() {
        part_faults(manifest)
    } else {
        form
    }
}

/// What `wit/manifest.schema.json` says.
pub(super) fn form_faults(manifest: &Value) -> Vec<Issue> {
    match serde_json::from_str(SCHEMA) {
        Ok(schema) => Schema(&schema).faults(manifest),
        Err(error) => vec![issue("", format!("wit/manifest.schema.json: {error}"))],
    }
}

/// What the schema can't see.
pub(super) fn part_faults(manifest: &Value) -> Vec<Issue> {
    let mut parts = Parts {
        manifest,
        faults: Vec::new(),
    };
    parts.hosts();
    parts.bindings();
    parts.plans();
    for (name, offer) in members(manifest, "entities") {
        parts.entity(name, offer);
    }
    parts.automations();
    parts.faults.extend(oauth::faults(manifest));
    parts.faults
}

/// Whether the parts of a manifest fit together and into the catalogue.
struct Parts<'a> {
    manifest: &'a Value,
    faults: Vec<Issue>,
}

impl<'a> Parts<'a> {
    fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.faults.push(issue(pointer, message));
    }

    fn inputs(&self) -> impl Iterator<Item = &'a Value> {
        items(self.manifest, "plans").flat_map(|plan| items(auth(plan), "inputs"))
    }

    fn hosts(&mut self) {
        let icon = text(self.manifest, "icon").trim_start();
        if !icon.is_empty() && !icon.starts_with("<svg") && !icon.starts_with("<?xml") {
            self.fault("/icon", "must begin with `<svg` or `<?xml`");
        }
        for (at, host) in items(self.manifest, "hosts").enumerate() {
            let pointer = format!("/hosts/{at}");
            let labels: Vec<&str> = host.as_str().unwrap_or_default().split('.').collect();
            let field = |label: &&str| {
                let name = label.strip_prefix('{')?.strip_suffix('}')?;
                Some(name.to_owned())
            };
            if labels
                .iter()
                .rev()
                .take(2)
                .any(|label| field(label).is_some() || *label == "*")
            {
                self.fault(
                    pointer.as_str(),
                    "its last two labels must be literal: the one who enters a field must not choose whose host it is",
                );
            }
            for name in labels.iter().filter_map(field) {
                let setting = self.manifest.pointer(&format!("/fields/{name}")).is_some();
                let open = |input: &Value| matches!(text(input, "type"), "textfield" | "dropdown");
                let input = self
                    .inputs()
                    .any(|input| text(input, "key") == name && open(input))
                    || oauth::learned(self.manifest).any(|(known, _)| known == name);
                match (setting, input) {
                    (false, false) => self.fault(
                        pointer.as_str(),
                        format!("`{{{name}}}` is no public field; add an input of type textfield or dropdown with the key `{name}`, a setting in `fields`, or a field that the token endpoint tells"),
                    ),
                    (true, true) => self.fault(
                        pointer.as_str(),
                        format!("`{{{name}}}` is both an input and a setting in `fields`; rename one of them"),
                    ),
                    _ => {}
                }
            }
        }
        for (name, _) in members(self.manifest, "fields") {
            if self.slot(name).is_some() {
                self.fault(
                    format!("/fields/{name}"),
                    "is also a slot; rename one of them",
                );
            }
        }
    }

    fn slot(&self, name: &str) -> Option<&'a Value> {
        self.manifest.get("slots")?.get(name)
    }

    fn declared(&mut self, pointer: String, slot: &str) {
        if self.slot(slot).is_some() {
            return;
        }
        let known: Vec<&str> = members(self.manifest, "slots")
            .map(|(name, _)| name)
            .collect();
        let message = match did_you_mean(slot, &known).as_str() {
            "" => format!(
                "there is no slot `{slot}`; add `\"{slot}\": {{ \"scope\": \"credential\" }}` to `slots`"
            ),
            meant => format!("there is no slot `{slot}`{meant}"),
        };
        self.fault(pointer, message);
    }

    fn bindings(&mut self) {
        let bindings = || items(self.manifest, "bindings");
        for (at, binding) in bindings().enumerate() {
            self.declared(format!("/bindings/{at}/slot"), text(binding, "slot"));
            let host = text(binding, "host");
            if host.starts_with("*.") {
                let message =
                    format!("`{host}` is a wildcard, which never receives a secret; name the host");
                self.fault(format!("/bindings/{at}/host"), message);
            } else if !items(self.manifest, "hosts").any(|known| known == host) {
                let message =
                    format!("`{host}` is not one of the hosts; add it to `hosts`, spelled alike");
                self.fault(format!("/bindings/{at}/host"), message);
            }
        }
        for (name, slot) in members(self.manifest, "slots") {
            // A secret that is read in clear needs no place.
            let used = cfg!(feature = "secrets")
                || bindings().any(|binding| text(binding, "slot") == name)
                || oauth::uses(self.manifest, name)
                || slot.get("signing").is_some_and(|signing| signing == true);
            if !used {
                let message = format!(
                    "nothing may use it; add `{{ \"slot\": \"{name}\", \"host\": …, \"place\": … }}` to `bindings`, or mark it `signing`"
                );
                self.fault(format!("/slots/{name}"), message);
            }
        }
    }

    fn plans(&mut self) {
        let mut keys = Vec::new();
        for (at, plan) in items(self.manifest, "plans").enumerate() {
            let (pointer, auth) = (format!("/plans/{at}"), auth(plan));
            self.once(&mut keys, &pointer, text(plan, "key"), "plan");
            let inputs = items(auth, "inputs").count();
            match text(auth, "method") {
                "none" if inputs > 0 => self.fault(
                    format!("{pointer}/auth/inputs"),
                    "method `none` asks for nothing; use method `fields`",
                ),
                "fields" if inputs == 0 => self.fault(
                    format!("{pointer}/auth"),
                    "method `fields` needs `inputs`; without any use method `none`",
                ),
                "consumer-token" if inputs == 0 => self.fault(
                    format!("{pointer}/auth"),
                    "method `consumer-token` needs `inputs`: what the product's tokens bring",
                ),
                "sign-in" => self.login(&pointer, auth),
                _ => {}
            }
            let mut names = Vec::new();
            for (at, input) in items(auth, "inputs").enumerate() {
                let pointer = format!("{pointer}/auth/inputs/{at}");
                self.once(&mut names, &pointer, text(input, "key"), "input");
                self.input(&pointer, input);
            }
            for (at, placement) in items(auth, "placements").enumerate() {
                self.placement(format!("{pointer}/auth/placements/{at}"), placement);
            }
        }
    }

    fn login(&mut self, pointer: &str, auth: &'a Value) {
        if items(auth, "inputs").count() == 0 {
            let message = "method `sign-in` needs `inputs`: what the person signs in with";
            self.fault(format!("{pointer}/auth"), message);
        }
        let captured = |slot: &'a Value, call: &str| list(slot, "captured").any(|one| one == call);
        let sessions: Vec<&str> = members(self.manifest, "slots")
            .filter(|(_, slot)| text(slot, "scope") == "credential")
            .filter(|(_, slot)| captured(slot, "sign-in") || captured(slot, "answer"))
            .map(|(name, _)| name)
            .collect();
        if sessions.is_empty() {
            let message = "method `sign-in` needs a slot of scope credential for what it gets; add `\"captured\": [\"sign-in\"]` to it";
            self.fault(format!("{pointer}/auth"), message);
        }
        for (at, input) in items(auth, "inputs").enumerate() {
            let key = text(input, "key");
            if sessions.contains(&key) || key == "answer" {
                let message = "is filled while signing in; rename the input";
                self.fault(format!("{pointer}/auth/inputs/{at}/key"), message);
            }
        }
        let answers = members(self.manifest, "slots").any(|(_, slot)| captured(slot, "answer"));
        let answer = self.slot("answer").map(|slot| text(slot, "scope"));
        if answers && answer != Some("credential") {
            let message = "what a person answers is in the slot `answer`; add `\"answer\": { \"scope\": \"credential\" }`";
            self.fault("/slots", message);
        }
    }

    fn once(&mut self, keys: &mut Vec<&'a str>, pointer: &str, key: &'a str, what: &str) {
        if keys.contains(&key) {
            let message = format!("another {what} has the key `{key}`");
            self.fault(format!("{pointer}/key"), message);
        }
        keys.push(key);
    }

    fn input(&mut self, pointer: &str, input: &Value) {
        let key = text(input, "key");
        let secret = text(input, "type").starts_with("secret");
        let scope = self.slot(key).map(|slot| text(slot, "scope"));
        match (secret, scope) {
            (true, Some("credential")) | (false, None) => {}
            (true, None) => self.fault(
                format!("{pointer}/key"),
                format!("a secret needs a slot; add `\"{key}\": {{ \"scope\": \"credential\" }}` to `slots`"),
            ),
            (true, Some(_)) => self.fault(
                format!("{pointer}/key"),
                format!("what a person enters belongs to the credential; give the slot `{key}` the scope credential"),
            ),
            (false, Some(_)) => self.fault(
                format!("{pointer}/type"),
                format!("`{key}` is a slot, so the input must be of type secret; otherwise rename one of them"),
            ),
        }
    }

    fn placement(&mut self, pointer: String, placement: &Value) {
        let slot = text(placement, "slot");
        self.declared(format!("{pointer}/slot"), slot);
        let place = placement.get("place").unwrap_or(&Value::Null);
        let bound = items(self.manifest, "bindings").any(|binding| {
            text(binding, "slot") == slot
                && binding
                    .get("place")
                    .is_some_and(|bound| same_place(bound, place))
        });
        if self.slot(slot).is_some() && !bound {
            let message = format!(
                "no binding lets `{slot}` go there; add `{{ \"slot\": \"{slot}\", \"host\": …, \"place\": {place} }}` to `bindings`"
            );
            self.fault(pointer, message);
        }
    }

    fn entity(&mut self, name: &str, offer: &'a Value) {
        let pointer = format!("/entities/{}", escaped(name));
        let Some(entity) = Entity::of(name) else {
            let meant = did_you_mean(name, &catalogue::names());
            return self.fault(pointer, format!("is not an entity of the catalogue{meant}"));
        };
        for (at, category) in list(offer, "categories").enumerate() {
            let pointer = format!("{pointer}/categories/{at}");
            if !entity.categories.contains(&category) {
                self.fault(
                    pointer,
                    format!("the catalogue has no {name} in {category}"),
                );
            } else if !list(self.manifest, "categories").any(|own| own == category) {
                let message = format!(
                    "the connector is not in {category}; add it to the manifest's `categories`"
                );
                self.fault(pointer, message);
            }
        }
        for (at, verb) in list(offer, "verbs").enumerate() {
            if !entity.has_verb(verb) {
                let message = format!("the catalogue has no {verb} of {name}");
                self.fault(format!("{pointer}/verbs/{at}"), message);
            }
        }
        let operations = entity.operations();
        for (at, operation) in list(offer, "operations").enumerate() {
            if !operations.contains(&operation) {
                let message = match operations.as_slice() {
                    [] => format!("{name} has no operations"),
                    known => format!("{name} has no `{operation}`; it has {}", known.join(", ")),
                };
                self.fault(format!("{pointer}/operations/{at}"), message);
            }
        }
        for (at, field) in list(offer, "writable").enumerate() {
            self.writable(format!("{pointer}/writable/{at}"), name, &entity, field);
        }
        self.listing(&pointer, offer);
    }

    fn writable(&mut self, pointer: String, name: &str, entity: &Entity, field: &str) {
        let settable: Vec<&str> = entity
            .fields()
            .filter(|(_, schema)| {
                schema.get("x-create").is_some() || schema.get("x-update").is_some()
            })
            .map(|(name, _)| name)
            .collect();
        let custom = entity.has_custom_fields() && (field == "custom*" || is_custom(field));
        let covers = |known: &&str| match field.strip_suffix('*') {
            Some(start) => known.starts_with(start),
            None => *known == field,
        };
        if !custom && !settable.iter().any(covers) {
            let meant = did_you_mean(field.trim_end_matches('*'), &settable);
            self.fault(
                pointer,
                format!("`{field}` is no field of {name} that can be set{meant}"),
            );
        }
    }

    fn listing(&mut self, pointer: &str, offer: &Value) {
        let by_parent = text(offer, "listing") == "parent";
        match (by_parent, text(offer, "parent")) {
            (false, "") => {}
            (false, _) => self.fault(
                format!("{pointer}/parent"),
                "goes with `\"listing\": \"parent\"` only; leave it out",
            ),
            (true, "") => self.fault(
                pointer,
                "`\"listing\": \"parent\"` needs `parent`, the entity of the parents",
            ),
            (true, parent) => {
                let listed = members(self.manifest, "entities").any(|(name, offer)| {
                    name == parent && list(offer, "verbs").any(|verb| verb == "list")
                });
                if !listed {
                    let message = format!(
                        "`{parent}` is no entity that this manifest offers with the verb list"
                    );
                    self.fault(format!("{pointer}/parent"), message);
                }
            }
        }
    }

    fn automations(&mut self) {
        for (hook, told) in members(self.manifest, "hooks") {
            for section in ["entities", "triggers"] {
                let known: Vec<&str> = members(self.manifest, section)
                    .map(|(key, _)| key)
                    .collect();
                for (at, name) in list(told, section).enumerate() {
                    if !known.contains(&name) {
                        let meant = did_you_mean(name, &known);
                        let message = format!("the manifest's `{section}` have no `{name}`{meant}");
                        self.fault(format!("/hooks/{hook}/{section}/{at}"), message);
                    }
                }
            }
        }
        for section in ["triggers", "actions"] {
            for (key, offer) in members(self.manifest, section) {
                if offer
                    .get("inputs")
                    .is_some_and(|inputs| text(inputs, "type") != "object")
                {
                    let message = "must have `\"type\": \"object\"`: inputs are one";
                    self.fault(format!("/{section}/{key}/inputs"), message);
                }
            }
        }
        for (key, trigger) in members(self.manifest, "triggers") {
            let told = members(self.manifest, "hooks")
                .any(|(_, hook)| list(hook, "triggers").any(|trigger| trigger == key));
            if text(trigger, "delivery") == "hook" && !told {
                let message =
                    format!("no hook tells `{key}`; add it to the `triggers` of one of `hooks`");
                self.fault(format!("/triggers/{key}/delivery"), message);
            }
        }
    }
}

pub(super) fn same_place(one: &Value, other: &Value) -> bool {
    match (text(one, "header"), text(other, "header")) {
        ("", _) | (_, "") => one == other,
        (one, other) => one.eq_ignore_ascii_case(other),
    }
}

pub(super) fn auth(plan: &Value) -> &Value {
    plan.get("auth").unwrap_or(&Value::Null)
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    value.get(key).map(texts).unwrap_or_default().into_iter()
}

pub(super) fn members<'a>(
    value: &'a Value,
    key: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    let members = value.get(key).and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}
