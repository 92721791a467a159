//! The catalogue: which entities exist, what their records look like, and what a connector says of itself.
//!
//! Every entity is described by one JSON Schema file in `wit/entities`, compiled into this crate. From it come:
//!
//! - [`Entity::land`]: a connector's record, read in one pass into the cells of a table's row;
//! - [`Entity::check_create`] and its siblings: a client's body, checked with messages that help;
//! - [`Catalog::tables`]: the SQL tables;
//! - [`openapi::openapi`]: the document that clients are generated from.
//!
//! [`Manifest`] is the other half: a connector's own description, checked against the catalogue. Nothing here does I/O.

mod catalog;
mod category;
mod check;
mod embedded;
mod entity;
mod error;
mod filter;
pub mod json;
mod land;
pub mod manifest;
mod moment;
mod nearest;
mod node;
pub mod openapi;
mod references;
mod schema;
mod table;

pub use catalog::Catalog;
pub use category::{Category, UnknownCategory, Verb};
pub use embedded::EntityFile;
pub use entity::{Entity, Field, Only, Operation, Rule};
pub use error::{CatalogError, Issue};
pub use filter::{Filter, Match, STANDARD_PARAMS, Sort};
pub use land::{Cell, Landed, MAX_DEPTH, References, Reject};
pub use manifest::{Manifest, ManifestError, Place};
pub use moment::second_of;
pub use references::HostId;
pub use table::{Column, Kind, Table};
