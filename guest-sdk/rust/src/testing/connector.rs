//! The connector against its manifest.

use serde_json::Value;

use super::FakeApp;
use super::manifest::{form_faults, list, members, part_faults, text};
use super::schema::{escaped, issue};
use crate::automations::{Inputs, Mode};
use crate::capability::{Actions, Entities, Manifest, Triggers};
use crate::error::{Error, Issue};
use crate::records::{Cursor, Scope, Write};

/// What [`export!`](crate::export) exports of a connector, and how to try it.
#[doc(hidden)]
pub trait Exported: Manifest {
    /// The capabilities beside manifest and auth.
    const CAPABILITIES: &'static [Capability];
}

/// A capability of a connector: its interface's name, and a function that tries what
/// the manifest says of it: `(entity, verb)`, `(trigger, "")`, `(action, "")`.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Capability {
    /// The section of the manifest, and the name of the interface.
    pub name: &'static str,
    /// Tries one thing; only whether it is unsupported counts.
    pub attempt: fn(&str, &str) -> Result<(), Error>,
}

/// Checks that the connector's manifest is right: against
/// `wit/manifest.schema.json`, itself (every slot declared and bound, every host
/// known), the catalogue (entities, verbs, operations, fields) and the connector
/// (what is described is exported and implemented, and the other way round).
///
/// `rollout connector inspect` sees a little more: the patterns of inputs, and the
/// schemas of triggers and actions.
///
/// ```
/// # use rollout_connector::*;
/// # struct TinyCrm;
/// # rollout_connector::export!(TinyCrm);
/// # impl Auth for TinyCrm { fn probe() -> Result<Account, Error> { Ok(Account::default()) } }
/// # impl Manifest for TinyCrm { fn describe() -> String { r#"{
/// #     "contract": "0.1.0", "key": "tiny-crm", "name": "Tiny CRM", "version": "0.1.0",
/// #     "categories": ["crm"], "hosts": ["api.tinycrm.example"],
/// #     "plans": [{ "key": "open", "auth": { "method": "none" } }]
/// # }"#.into() } }
/// testing::assert_manifest::<TinyCrm>();
/// ```
///
/// # Panics
/// If there is a fault; the message lists all of them.
#[track_caller]
pub fn assert_manifest<T: Exported>() {
    let faults: Vec<String> = manifest_faults::<T>()
        .into_iter()
        .map(|fault| format!("\n  {fault}"))
        .collect();
    assert!(
        faults.is_empty(),
        "the manifest is not right:{}",
        faults.concat()
    );
}

/// The faults that [`assert_manifest`] would find.
pub fn manifest_faults<T: Exported>() -> Vec<Issue> {
    let text = T::describe();
    if text != T::describe() {
        return vec![issue("", "`describe` must answer the same each time")];
    }
    let manifest: Value = match serde_json::from_str(&text) {
        Ok(manifest) => manifest,
        Err(error) => return vec![issue("", format!("is not JSON: {error}"))],
    };
    let mut faults = form_faults(&manifest);
    // What does not have the right form can't be compared.
    if faults.is_empty() {
        faults.extend(part_faults(&manifest));
        faults.extend(export_faults(&manifest, T::CAPABILITIES));
    }
    faults
}

/// Whether the connector has what the manifest describes, and the other way round.
fn export_faults(manifest: &Value, capabilities: &[Capability]) -> Vec<Issue> {
    let mut faults = Vec::new();
    for name in ["entities", "hooks", "triggers", "actions"] {
        let described: Vec<_> = members(manifest, name).collect();
        let exported = capabilities.iter().find(|one| one.name == name);
        let polled = |(_, trigger): &(&str, &Value)| text(trigger, "delivery") == "polling";
        let needed = !described.is_empty() && (name != "triggers" || described.iter().any(polled));
        match exported {
            None if needed => faults.push(issue(
                format!("/{name}"),
                format!("the connector does not export them; add `{}` to `export!`", title(name)),
            )),
            Some(_) if described.is_empty() => faults.push(issue(
                "",
                format!("`export!` names `{}`, of which the manifest says nothing; describe them in `{name}`, or leave them out there", title(name)),
            )),
            Some(exported) => faults.extend(
                described
                    .iter()
                    .filter(|one| name != "triggers" || polled(one))
                    .flat_map(|(key, offer)| unsupported(exported, key, offer)),
            ),
            None => {}
        }
    }
    faults
}

/// What the manifest says of a capability and the connector answers `unsupported` to.
fn unsupported(exported: &Capability, key: &str, offer: &Value) -> Vec<Issue> {
    // Whatever it asks its app for is denied: nobody has to know here what it would be.
    let _app = FakeApp::new().start();
    let pointer = format!("/{}/{}", exported.name, escaped(key));
    let attempt = |what: &str| matches!((exported.attempt)(key, what), Err(Error::Unsupported(_)));
    if exported.name != "entities" {
        let message = "the connector answers `unsupported`; implement it, or leave it out here";
        return attempt("")
            .then(|| issue(pointer, message))
            .into_iter()
            .collect();
    }
    let by_parent = text(offer, "listing") == "parent";
    let verbs = list(offer, "verbs").chain(list(offer, "operations"));
    verbs
        .filter(|verb| match *verb {
            "list" if by_parent => attempt("list by parent"),
            verb => attempt(verb),
        })
        .map(|verb| {
            let message = format!(
                "the connector answers `unsupported` to {verb}; implement it, or take it out of the manifest"
            );
            issue(pointer.as_str(), message)
        })
        .collect()
}

/// Tries a verb or an operation of an entity.
#[doc(hidden)]
pub fn attempt_entities<T: Entities>(entity: &str, verb: &str) -> Result<(), Error> {
    let (id, write) = ("1", Write::default());
    let changes = |scope| T::changes(entity, scope, Cursor::START, 1).map(drop);
    match verb {
        "list" => changes(Scope::Incremental),
        "list by parent" => changes(Scope::Parents(vec![id.to_owned()])),
        "get" => T::get(entity, &[id.to_owned()]).map(drop),
        "create" => T::create(entity, write).map(drop),
        "update" => T::update(entity, id, write).map(drop),
        "delete" => T::delete(entity, id, "key"),
        operation => T::perform(entity, id, operation, write).map(drop),
    }
}

/// Tries a trigger.
#[doc(hidden)]
pub fn attempt_triggers<T: Triggers>(trigger: &str, _: &str) -> Result<(), Error> {
    T::poll(trigger, Inputs::default(), Mode::Prime, Cursor::START).map(drop)
}

/// Tries an action.
#[doc(hidden)]
pub fn attempt_actions<T: Actions>(action: &str, _: &str) -> Result<(), Error> {
    T::execute(action, Inputs::default(), "key").map(drop)
}

/// What needs an argument that nobody can make up is not tried.
#[doc(hidden)]
pub fn attempt_nothing(_: &str, _: &str) -> Result<(), Error> {
    Ok(())
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
