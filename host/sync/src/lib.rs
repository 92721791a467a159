//! Keeps the store equal to the apps.
//!
//! Inwards, the [`Engine`] asks connectors for what changed, page by page: first
//! everything, users and people before the rest, then every poll interval what
//! is new. A page's records and the cursor behind it become true in one
//! transaction, so a process that is killed goes on where its last page ended.
//! The next page is fetched while the last one lands. Where an app does not tell what
//! was deleted, it is found by reading everything once in a while ([`full`]).
//!
//! Outwards, the [`Writer`] sends what API clients write to the app and stores
//! what the app made of it before it answers.
//!
//! Both turn a connector's items into rows in one place ([`incoming`]), where a
//! record that does not fit its schema is set aside without holding up the rest.

mod alike;
mod engine;
mod failure;
mod fresh;
mod full;
mod incoming;
mod outgoing;
mod parents;
mod pass;
mod plan;
mod settle;
mod source;

pub use engine::{Engine, Settings};
pub use outgoing::{Act, Target, WriteError, Writer, Wrote};
pub use plan::Intervals;
pub use settle::Settler;
