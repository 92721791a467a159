//! The store on a real Postgres server: what it does on every database, and
//! what only a server has.

#[path = "it/mod.rs"]
mod it;
#[path = "postgres/mod.rs"]
mod only;
