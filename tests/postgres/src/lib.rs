//! Real Postgres servers for tests: started in a second, crashed and paused at will,
//! and gone without a trace when the test process is, however that ended.
//!
//! ```no_run
//! use rollout_test_postgres::{Options, Server};
//!
//! let url = Server::shared().database()?;            // an empty database, for nearly every test
//!
//! let own = Server::start(Options::default())?;      // a server to be cruel to
//! own.kill()?;
//! own.restart()?;
//! # Ok::<(), rollout_test_postgres::Error>(())
//! ```
//!
//! A server lives in one folder, `rollout-postgres-PID-…`: its data, its log, and no
//! socket, since it listens on 127.0.0.1 alone. Over each stands a watchdog, a shell
//! that outlives this process for as long as it takes to stop the server and remove
//! the folder. Postgres refuses to run as root, so root runs it as the user `postgres`.
//!
//! The superuser `postgres` needs no password; every other role needs its own.

mod account;
mod binaries;
mod error;
mod folder;
mod processes;
mod server;
mod sql;
mod watchdog;

pub use error::Error;
pub use server::{Options, Server};
pub use sql::Right;
