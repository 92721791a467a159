//! The component bindings, generated from `wit/connector`.
//!
//! One world per capability, each with bindings of its own, because a component
//! exports only what it has. Types that they share come from `host`. This is
//! the only module with `unsafe` code, all of it generated.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::restriction
)]

pub mod host {
    wit_bindgen::generate!({
        path: "../../wit/connector",
        world: "host",
        generate_all,
    });
}

macro_rules! capability {
    ($module:ident, $world:literal, $path:literal, with: $with:tt) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit/connector",
                world: $world,
                pub_export_macro: true,
                default_bindings_module: $path,
                with: $with,
            });
        }
    };
    ($module:ident, $world:literal, $path:literal) => {
        capability!($module, $world, $path, with: {
            "rollout:connector/types@0.1.0": crate::bindings::host::rollout::connector::types,
            "rollout:connector/http@0.1.0": crate::bindings::host::rollout::connector::http,
            "rollout:connector/credential@0.1.0": crate::bindings::host::rollout::connector::credential,
            "rollout:connector/app@0.1.0": crate::bindings::host::rollout::connector::app,
            "rollout:connector/state@0.1.0": crate::bindings::host::rollout::connector::state,
            "rollout:connector/log@0.1.0": crate::bindings::host::rollout::connector::log,
        });
    };
}

capability!(manifest, "with-manifest", "rollout_connector::bindings::manifest", with: {
    "rollout:connector/types@0.1.0": crate::bindings::host::rollout::connector::types,
});
capability!(auth, "with-auth", "rollout_connector::bindings::auth");
capability!(login, "with-login", "rollout_connector::bindings::login");
capability!(
    entities,
    "with-entities",
    "rollout_connector::bindings::entities"
);
capability!(hooks, "with-hooks", "rollout_connector::bindings::hooks");
capability!(
    triggers,
    "with-triggers",
    "rollout_connector::bindings::triggers"
);
capability!(
    actions,
    "with-actions",
    "rollout_connector::bindings::actions"
);
capability!(forms, "with-forms", "rollout_connector::bindings::forms");

#[cfg(feature = "secrets")]
pub mod secrets {
    wit_bindgen::generate!({
        path: "../../wit/connector",
        world: "with-secrets",
    });
}
