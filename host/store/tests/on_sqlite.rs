//! The store on SQLite files: what it does on every database, and what only
//! files have.

#[path = "it/mod.rs"]
mod it;
#[path = "sqlite/mod.rs"]
mod only;
