//! Everything a Rollout connector needs.
//!
//! A connector is a type that implements small traits ([`Manifest`], [`Auth`],
//! [`Entities`], [`Login`], [`Hooks`], [`Triggers`], [`Actions`], [`Forms`]) and is
//! exported as a WebAssembly component by [`export!`]. It talks to its app with
//! [`Request`], reads its lists with [`paging`], maps records to the types of
//! [`entities`] and hands them over as [`Item`]s. The same code compiles natively,
//! where [`testing`] stands in for the app.
//!
//! `rollout connector new NAME` makes a folder with a connector to begin with. A whole
//! one, as small as it gets:
//!
//! ```
//! use rollout_connector::entities::crm::User;
//! use rollout_connector::paging::{self, Part};
//! use rollout_connector::{
//!     Account, Auth, Cursor, Entities, Error, Item, Manifest, Page, Request, Scope,
//! };
//! use serde::Deserialize;
//!
//! struct TinyCrm;
//! rollout_connector::export!(TinyCrm: Entities);
//!
//! impl Manifest for TinyCrm {
//!     fn describe() -> String {
//!         // Usually include_str!("../manifest.json").
//!         r#"{
//!             "contract": "0.1.0",
//!             "key": "tiny-crm",
//!             "name": "Tiny CRM",
//!             "version": "0.1.0",
//!             "categories": ["crm"],
//!             "hosts": ["api.tinycrm.example"],
//!             "slots": { "apiKey": { "scope": "credential" } },
//!             "bindings": [
//!                 { "slot": "apiKey", "host": "api.tinycrm.example", "place": { "header": "X-Key" } }
//!             ],
//!             "plans": [{
//!                 "key": "api-key",
//!                 "auth": {
//!                     "method": "fields",
//!                     "inputs": [{ "key": "apiKey", "type": "secret", "label": "API key" }],
//!                     "placements": [{ "slot": "apiKey", "place": { "header": "X-Key" } }]
//!                 }
//!             }],
//!             "entities": { "users": { "categories": ["crm"], "verbs": ["list"] } }
//!         }"#.into()
//!     }
//! }
//!
//! #[derive(Deserialize)]
//! struct Member {
//!     id: u64,
//!     first: String,
//!     email: Option<String>,
//! }
//!
//! #[derive(Deserialize)]
//! struct List {
//!     data: Vec<Member>,
//!     next: Option<String>,
//! }
//!
//! fn get(path: &str) -> Request {
//!     Request::get(format!("https://api.tinycrm.example/v2/{path}")).authenticate()
//! }
//!
//! impl Auth for TinyCrm {
//!     fn probe() -> Result<Account, Error> {
//!         let me: Member = get("me").send()?.success()?.json()?;
//!         Ok(Account::new(me.id, me.first))
//!     }
//! }
//!
//! impl Entities for TinyCrm {
//!     fn changes(_: &str, scope: Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
//!         paging::read(&scope, &cursor, limit, |place| {
//!             let response = get("staff").query_if("cursor", place.token()).send()?.listed()?;
//!             let list: List = response.json()?;
//!             let user = |member: Member| {
//!                 Item::new(member.id).body(&User {
//!                     first_name: Some(member.first.into()),
//!                     email: member.email.map(Into::into),
//!                     ..User::default()
//!                 })
//!             };
//!             let items = list.data.into_iter().map(user).collect();
//!             Ok(Part::of(&response, items).next_token(list.next))
//!         })
//!     }
//! }
//!
//! // Its test:
//! use rollout_connector::testing::{FakeApp, Reply, assert_items, assert_manifest};
//!
//! assert_manifest::<TinyCrm>();
//! let staff = r#"{"data": [{"id": 7, "first": "Ada", "email": null}], "next": null}"#;
//! let app = FakeApp::new()
//!     .on("GET https://api.tinycrm.example/v2/staff", Reply::json(200, staff))
//!     .start();
//! let page = TinyCrm::changes("users", Scope::Full, Cursor::START, 100)?;
//! assert!(page.done && page.items.len() == 1);
//! assert_items("users", &page.items);
//! # assert_eq!(app.sent().len(), 1);
//! # Ok::<(), Error>(())
//! ```

pub mod automations;
pub mod capability;
pub mod entities;
pub mod error;
pub mod hooks;
pub mod http;
pub mod json;
pub mod log;
pub mod paging;
pub mod records;
#[cfg(feature = "secrets")]
pub mod secrets;
mod settings;
pub mod state;
pub mod time;

mod backend;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod exports;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use automations::{Event, Inputs, Mode, Polled};
pub use capability::{
    Account, Actions, Auth, Entities, Forms, Hooks, Login, Manifest, SignIn, Triggers,
};
pub use error::{Error, Issue, Upstream};
pub use http::{Place, Request, Response, send_all};
pub use records::{Cursor, Id, Item, Page, Scope, Write, Written};
pub use settings::{MacAlgorithm, app, credential};

/// The README's examples are compiled and run like those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The version of the WIT package `rollout:connector` that this SDK speaks; the
/// manifest's `contract`.
pub const CONTRACT: &str = "0.1.0";

/// Exports a connector: its manifest and auth always, and the capabilities
/// named after the colon, of `Entities`, `Login`, `Hooks`, `Triggers`, `Actions`
/// and `Forms`. Natively it only checks that the type implements them.
///
/// ```
/// # use rollout_connector::*;
/// # struct Crm;
/// # impl Manifest for Crm { fn describe() -> String { "{}".into() } }
/// # impl Auth for Crm { fn probe() -> Result<Account, Error> { Ok(Account::default()) } }
/// # impl Entities for Crm {}
/// # impl Actions for Crm {}
/// rollout_connector::export!(Crm: Entities, Actions);
/// ```
#[macro_export]
macro_rules! export {
    ($connector:ident $(: $($capability:ident),+)?) => {
        const _: () = {
            const fn every_connector<T: $crate::Manifest + $crate::Auth>() {}
            every_connector::<$connector>();
            $($({
                const fn this_connector<T: $crate::$capability>() {}
                this_connector::<$connector>();
            })+)?
        };
        #[cfg(not(target_arch = "wasm32"))]
        impl $crate::testing::Exported for $connector {
            const CAPABILITIES: &'static [$crate::testing::Capability] =
                &[$($($crate::__capability!($connector $capability)),+)?];
        }
        #[cfg(target_arch = "wasm32")]
        $crate::__export_component!($connector Manifest Auth $($($capability)+)?);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __capability {
    ($connector:ident Entities) => {
        $crate::testing::Capability {
            name: "entities",
            attempt: $crate::testing::attempt_entities::<$connector>,
        }
    };
    ($connector:ident Triggers) => {
        $crate::testing::Capability {
            name: "triggers",
            attempt: $crate::testing::attempt_triggers::<$connector>,
        }
    };
    ($connector:ident Actions) => {
        $crate::testing::Capability {
            name: "actions",
            attempt: $crate::testing::attempt_actions::<$connector>,
        }
    };
    ($connector:ident Hooks) => {
        $crate::__capability!($connector "hooks")
    };
    ($connector:ident Login) => {
        $crate::__capability!($connector "login")
    };
    ($connector:ident Forms) => {
        $crate::__capability!($connector "forms")
    };
    ($connector:ident $name:literal) => {
        $crate::testing::Capability {
            name: $name,
            attempt: $crate::testing::attempt_nothing,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_component {
    ($connector:ident) => {};
    ($connector:ident Manifest $($rest:ident)*) => {
        $crate::bindings::manifest::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
    ($connector:ident Auth $($rest:ident)*) => {
        $crate::bindings::auth::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
    ($connector:ident Login $($rest:ident)*) => {
        $crate::bindings::login::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
    ($connector:ident Entities $($rest:ident)*) => {
        $crate::bindings::entities::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
    ($connector:ident Hooks $($rest:ident)*) => {
        $crate::bindings::hooks::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
    ($connector:ident Triggers $($rest:ident)*) => {
        $crate::bindings::triggers::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
    ($connector:ident Actions $($rest:ident)*) => {
        $crate::bindings::actions::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
    ($connector:ident Forms $($rest:ident)*) => {
        $crate::bindings::forms::export!($connector);
        $crate::__export_component!($connector $($rest)*);
    };
}
