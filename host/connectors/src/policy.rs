//! The manifest's rules for one credential, in the terms of the egress.

use std::collections::BTreeMap;

use rollout_catalog::Manifest;
use rollout_catalog::manifest;
use rollout_egress as egress;

/// Public fields, by name.
pub(crate) type Fields = BTreeMap<String, String>;

/// The rules under which a credential's requests leave, with `{field}` in hosts
/// taken from the credential's public fields, then the environment's settings.
pub(crate) fn rules(
    manifest: &Manifest,
    plan: &str,
    fields: &Fields,
    settings: &Fields,
) -> egress::Policy {
    egress::Policy {
        connector: manifest.key.clone(),
        hosts: manifest
            .hosts
            .iter()
            .map(|host| {
                egress::HostRule::new(host.as_str(), |name| {
                    fields.get(name).or_else(|| settings.get(name)).cloned()
                })
            })
            .collect(),
        bindings: manifest.bindings.iter().map(binding).collect(),
        placements: manifest
            .plan(plan)
            .into_iter()
            .flat_map(|plan| &plan.auth.placements)
            .map(placement)
            .collect(),
    }
}

fn binding(binding: &manifest::Binding) -> egress::Binding {
    egress::Binding {
        slot: binding.slot.clone(),
        host: binding.host.as_str().to_owned(),
        methods: some(&binding.methods),
        paths: some(&binding.paths),
        place: place(&binding.place),
    }
}

/// An empty list means "all".
fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn placement(placement: &manifest::Placement) -> egress::Placement {
    egress::Placement {
        slot: placement.slot.clone(),
        prefix: placement.prefix.clone(),
        place: place(&placement.place),
        optional: placement.optional,
    }
}

fn place(place: &manifest::Place) -> egress::Place {
    match place.clone() {
        manifest::Place::Header(name) => egress::Place::Header(name),
        manifest::Place::Query(name) => egress::Place::Query(name),
        manifest::Place::FormField(name) => egress::Place::FormField(name),
        manifest::Place::JsonPointer(pointer) => egress::Place::JsonPointer(pointer),
        manifest::Place::BasicUser => egress::Place::BasicUser,
        manifest::Place::BasicPassword => egress::Place::BasicPassword,
    }
}
