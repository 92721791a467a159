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
mod oauth;
mod openapi;
mod outbound;
mod proxy;
mod rate;
mod records;
mod router;
mod sanitize;
pub mod token;

pub use host::{Host, Settings};
pub use router::{health_router, router};
