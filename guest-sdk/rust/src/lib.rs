//! Everything a Rollout connector needs.
//!
//! A connector is a type that implements small traits ([`Manifest`], [`Auth`],
//! [`Entities`], [`Login`], [`Hooks`], [`Triggers`], [`Actions`], [`Forms`]) and is
//! exported as a WebAssembly component by [`export!`]. It talks to its app with [`Request`], maps records to the types
//! of [`entities`] and hands them over as [`Item`]s. The same code compiles
//! natively, where [`testing`] stands in for the app.
//!
//! ```
//! use rollout_connector::entities::crm::Person;
//! use rollout_connector::{Account, Auth, Entities, Error, Item, Manifest, Request};
//!
//! struct TinyCrm;
//! rollout_connector::export!(TinyCrm: Entities);
//!
//! impl Manifest for TinyCrm {
//!     fn describe() -> String {
//!         r#"{"contract": "0.1.0"}"#.into() // usually include_str!("../manifest.json")
//!     }
//! }
//!
//! impl Auth for TinyCrm {
//!     fn probe() -> Result<Account, Error> {
//!         let me = Request::get("https://api.tinycrm.example/me").authenticate().send()?.success()?;
//!         Ok(Account::new("1", me.text()?))
//!     }
//! }
//!
//! impl Entities for TinyCrm {
//!     fn get(_entity: &str, ids: &[String]) -> Result<Vec<Item>, Error> {
//!         let person = Person { first_name: Some("Ada".into()), ..Person::default() };
//!         Ok(ids.iter().map(|id| Item::new(id).body(&person)).collect())
//!     }
//! }
//! ```
//!
//! The README holds a complete connector and the way from `cargo new` to a
//! running host.

pub mod automations;
pub mod capability;
pub mod entities;
pub mod error;
pub mod hooks;
pub mod http;
pub mod json;
pub mod log;
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
        #[cfg(target_arch = "wasm32")]
        $crate::__export_component!($connector Manifest Auth $($($capability)+)?);
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
