//! What the JSON Schema cannot see: whether the parts of a manifest fit together and into the catalogue.
//!
//! Every refusal names the thing and what to change.

use std::collections::BTreeSet;

use super::offer::covers;
use super::plan::pattern_of;
use super::{
    ANSWER, AuthMethod, CapturedIn, EntityOffer, Input, InputKind, Listing, Manifest, Placement,
    Plan, SlotScope,
};
use crate::catalog::Catalog;
use crate::category::Verb;
use crate::entity::{Entity, Rule};
use crate::error::Issue;
use crate::nearest::nearest;

/// Everything that is wrong, in the manifest's order.
pub(super) fn faults(manifest: &Manifest, catalog: &Catalog) -> Vec<Issue> {
    let mut cross = Cross {
        manifest,
        catalog,
        faults: Vec::new(),
    };
    cross.icon();
    cross.hosts();
    cross.fields();
    cross.bindings();
    cross.plans();
    for (name, offer) in &manifest.entities {
        cross.entity(name, offer);
    }
    cross.faults
}

struct Cross<'a> {
    manifest: &'a Manifest,
    catalog: &'a Catalog,
    faults: Vec<Issue>,
}

impl<'a> Cross<'a> {
    fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Issue::new(pointer, message));
    }

    fn icon(&mut self) {
        let icon = self.manifest.icon.as_deref().map(str::trim_start);
        if icon.is_some_and(|icon| !icon.starts_with("<svg") && !icon.starts_with("<?xml")) {
            self.fault(
                "/icon",
                "is not an SVG document; it must begin with `<svg` or `<?xml`",
            );
        }
    }

    fn inputs(&self) -> impl Iterator<Item = &'a Input> {
        self.manifest
            .plans
            .iter()
            .flat_map(|plan| &plan.auth.inputs)
    }

    fn hosts(&mut self) {
        for (at, host) in self.manifest.hosts.iter().enumerate() {
            for field in host.fields() {
                let setting = self.manifest.fields.contains_key(field);
                let input = self.inputs().any(|input| {
                    input.key == field
                        && matches!(input.kind, InputKind::TextField | InputKind::Dropdown)
                });
                let mut oauth = self.manifest.plans.iter().filter_map(Plan::oauth2);
                let input = input || oauth.any(|one| one.captures.fields.contains_key(field));
                let pointer = format!("/hosts/{at}");
                match (setting, input) {
                    (false, false) => self.fault(
                        pointer,
                        format!(
                            "`{{{field}}}` is no public field; add an input of type textfield or dropdown with the \
                             key `{field}`, a setting in `fields`, or a field that the token endpoint tells"
                        ),
                    ),
                    (true, true) => self.fault(
                        pointer,
                        format!("`{{{field}}}` is both an input and a setting in `fields`; rename one of them"),
                    ),
                    _ => {}
                }
            }
        }
    }

    fn fields(&mut self) {
        for name in self
            .manifest
            .fields
            .keys()
            .filter(|name| self.manifest.slots.contains_key(*name))
        {
            self.faults.push(Issue::new(
                format!("/fields/{name}"),
                "is also a slot, and `rollout connector configure` could not tell them apart; rename one of them",
            ));
        }
    }

    /// Complains of a slot that is not declared.
    fn declared(&mut self, pointer: String, slot: &str) {
        if self.manifest.slots.contains_key(slot) {
            return;
        }
        let message = match nearest(slot, self.manifest.slots.keys().map(String::as_str)) {
            Some(meant) => format!("there is no slot `{slot}`; did you mean `{meant}`?"),
            None => {
                format!(
                    "there is no slot `{slot}`; add `\"{slot}\": {{ \"scope\": \"credential\" }}` to `slots`"
                )
            }
        };
        self.fault(pointer, message);
    }

    fn bindings(&mut self) {
        for (at, binding) in self.manifest.bindings.iter().enumerate() {
            self.declared(format!("/bindings/{at}/slot"), &binding.slot);
            let host = binding.host.as_str();
            if binding.host.is_wildcard() {
                let message =
                    format!("`{host}` is a wildcard, which never receives a secret; name the host");
                self.fault(format!("/bindings/{at}/host"), message);
            } else if !self.manifest.hosts.contains(&binding.host) {
                let message =
                    format!("`{host}` is not one of the hosts; add it to `hosts`, spelled alike");
                self.fault(format!("/bindings/{at}/host"), message);
            }
        }
    }

    fn plans(&mut self) {
        let mut keys = BTreeSet::new();
        for (at, plan) in self.manifest.plans.iter().enumerate() {
            let pointer = format!("/plans/{at}");
            if !keys.insert(plan.key.as_str()) {
                self.fault(
                    format!("{pointer}/key"),
                    format!("another plan has the key `{}`", plan.key),
                );
            }
            self.method(&pointer, plan);
            let mut names = BTreeSet::new();
            for (at, input) in plan.auth.inputs.iter().enumerate() {
                let pointer = format!("{pointer}/auth/inputs/{at}");
                if !names.insert(input.key.as_str()) {
                    self.fault(
                        format!("{pointer}/key"),
                        format!("another input has the key `{}`", input.key),
                    );
                }
                self.input(&pointer, input);
            }
            for (at, placement) in plan.auth.placements.iter().enumerate() {
                self.placement(&format!("{pointer}/auth/placements/{at}"), placement);
            }
        }
    }

    fn method(&mut self, pointer: &str, plan: &Plan) {
        match plan.auth.method {
            AuthMethod::None if !plan.auth.inputs.is_empty() => {
                self.fault(
                    format!("{pointer}/auth/inputs"),
                    "method `none` asks for nothing; use method `fields`",
                );
            }
            AuthMethod::Fields if plan.auth.inputs.is_empty() => {
                self.fault(
                    format!("{pointer}/auth"),
                    "method `fields` needs `inputs`; without any use method `none`",
                );
            }
            AuthMethod::ConsumerToken if plan.auth.inputs.is_empty() => {
                self.fault(
                    format!("{pointer}/auth"),
                    "method `consumer-token` needs `inputs`: what the product's tokens bring",
                );
            }
            AuthMethod::SignIn => self.login(pointer, plan),
            _ => {}
        }
    }

    /// What `login` needs: something to sign in with, a slot for what it gets, and one for what a person answers.
    fn login(&mut self, pointer: &str, plan: &Plan) {
        let inputs = &plan.auth.inputs;
        if inputs.is_empty() {
            self.fault(
                format!("{pointer}/auth"),
                "method `sign-in` needs `inputs`: what the person signs in with",
            );
        }
        let sessions: Vec<&str> = self.manifest.session_slots().collect();
        if sessions.is_empty() {
            self.fault(
                format!("{pointer}/auth"),
                "method `sign-in` needs a slot of scope credential for what it gets; add `\"captured\": [\"sign-in\"]` \
                 to it",
            );
        }
        for (at, input) in inputs.iter().enumerate() {
            if sessions.contains(&input.key.as_str()) || input.key == ANSWER {
                self.fault(
                    format!("{pointer}/auth/inputs/{at}/key"),
                    "is filled while signing in; rename the input",
                );
            }
        }
        let slots = self.manifest.slots.values();
        let answers = slots
            .clone()
            .any(|slot| slot.captured.contains(&CapturedIn::Answer));
        let answer = self.manifest.slots.get(ANSWER).map(|slot| slot.scope);
        if answers && answer != Some(SlotScope::Credential) {
            self.fault(
                "/slots",
                "what a person answers is in the slot `answer`; add `\"answer\": { \"scope\": \"credential\" }`",
            );
        }
    }

    fn input(&mut self, pointer: &str, input: &Input) {
        let Input { key, kind, .. } = input;
        let scope = self.manifest.slots.get(key).map(|slot| slot.scope);
        match (kind.is_secret(), scope) {
            (true, Some(SlotScope::Credential)) | (false, None) => {}
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
        if let Some(Err(error)) = input.pattern.as_deref().map(pattern_of) {
            let error = error.to_string();
            let reason = error
                .lines()
                .last()
                .unwrap_or("it cannot be read")
                .trim_start_matches("error: ");
            self.fault(
                format!("{pointer}/pattern"),
                format!("is not a regular expression: {reason}"),
            );
        }
    }

    fn placement(&mut self, pointer: &str, placement: &Placement) {
        let Placement { slot, place, .. } = placement;
        self.declared(format!("{pointer}/slot"), slot);
        let bound = self
            .manifest
            .bindings
            .iter()
            .any(|binding| binding.slot == *slot && binding.place.is(place));
        if self.manifest.slots.contains_key(slot) && !bound {
            self.fault(
                pointer,
                format!(
                    "no binding lets `{slot}` go there; add `{{ \"slot\": \"{slot}\", \"host\": …, \"place\": {place} \
                     }}` to `bindings`"
                ),
            );
        }
    }

    fn entity(&mut self, name: &str, offer: &EntityOffer) {
        let pointer = format!("/entities/{name}");
        let Some(entity) = self.catalog.by_name(name) else {
            let message = match nearest(
                name,
                self.catalog.names().map(|entity| entity.name.as_str()),
            ) {
                Some(meant) => {
                    format!("is not an entity of the catalogue; did you mean `{meant}`?")
                }
                None => "is not an entity of the catalogue".to_owned(),
            };
            return self.fault(pointer, message);
        };
        for (at, category) in offer.categories.iter().enumerate() {
            let pointer = format!("{pointer}/categories/{at}");
            if !entity.categories.contains(category) {
                self.fault(
                    pointer,
                    format!("the catalogue has no {name} in {category}"),
                );
            } else if !self.manifest.categories.contains(category) {
                self.fault(
                    pointer,
                    format!(
                        "the connector is not in {category}; add it to the manifest's `categories`"
                    ),
                );
            }
        }
        for (at, verb) in offer
            .verbs
            .iter()
            .enumerate()
            .filter(|(_, verb)| !entity.verbs.contains(verb))
        {
            self.fault(
                format!("{pointer}/verbs/{at}"),
                format!("the catalogue has no {verb} of {name}"),
            );
        }
        for (at, operation) in offer.operations.iter().enumerate() {
            if entity.operation(operation).is_none() {
                let known: Vec<&str> = entity
                    .operations
                    .iter()
                    .map(|known| known.name.as_str())
                    .collect();
                let message = match known.as_slice() {
                    [] => format!("{name} has no operations"),
                    known => format!(
                        "{name} has no operation `{operation}`; it has {}",
                        known.join(", ")
                    ),
                };
                self.fault(format!("{pointer}/operations/{at}"), message);
            }
        }
        for (at, field) in offer.writable.iter().flatten().enumerate() {
            self.writable(&format!("{pointer}/writable/{at}"), entity, field);
        }
        self.listing(&pointer, offer);
    }

    fn writable(&mut self, pointer: &str, entity: &Entity, field: &str) {
        let settable = || {
            entity
                .fields
                .iter()
                .filter(|known| known.create != Rule::No || known.update != Rule::No)
        };
        let custom = entity.is_custom(field) || (entity.custom_fields && field == "custom*");
        if custom || settable().any(|known| covers(field, &known.name)) {
            return;
        }
        let message = match nearest(
            field.trim_end_matches('*'),
            settable().map(|known| known.name.as_str()),
        ) {
            Some(meant) => format!(
                "`{field}` is no field of {} that can be set; did you mean `{meant}`?",
                entity.name
            ),
            None => format!("`{field}` is no field of {} that can be set", entity.name),
        };
        self.fault(pointer, message);
    }

    fn listing(&mut self, pointer: &str, offer: &EntityOffer) {
        match (offer.listing, &offer.parent) {
            (Listing::Account, None) => {}
            (Listing::Account, Some(_)) => {
                self.fault(
                    format!("{pointer}/parent"),
                    "goes with `\"listing\": \"parent\"` only; leave it out",
                );
            }
            (Listing::Parent, None) => {
                self.fault(
                    pointer,
                    "`\"listing\": \"parent\"` needs `parent`, the entity of the parents",
                );
            }
            (Listing::Parent, Some(parent)) => {
                let listed = self
                    .manifest
                    .entity(parent)
                    .is_some_and(|offer| offer.has(Verb::List));
                if !listed {
                    let message = format!(
                        "`{parent}` is no entity that this manifest offers with the verb list"
                    );
                    self.fault(format!("{pointer}/parent"), message);
                }
            }
        }
    }
}
