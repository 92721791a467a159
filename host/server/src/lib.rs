//! The HTTP server. [`router`] is the table of contents; `edge` is what every
//! request passes, `token` and `asker` say who asks, `error` is how we refuse;
//! then one file per resource.
//!
//! The server holds no state between requests but what [`Host`] shares, writes
//! no SQL and calls no app.

mod asker;
mod connectors;
mod credentials;
mod cursor;
mod docs;
pub mod edge;
pub mod error;
mod failure;
mod feed;
mod health;
mod host;
mod link;
mod oauth;
mod openapi;
mod otp;
mod outbound;
mod proxy;
mod rate;
mod records;
mod router;
mod sanitize;
mod sync;
pub mod token;
mod webhooks;

pub use host::{Host, Settings};
pub use link::LinkSettings;
pub use router::{Access, Route, health_router, router, routes};
