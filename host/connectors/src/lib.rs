//! Connectors at work: which are loaded ([`Registry`]), which accounts are
//! connected ([`Environment`]), and one call of a connector for one credential
//! ([`Connectors::call`]).
//!
//! This is where sandbox, egress, vault and store meet; they don't know each
//! other. It holds opened secrets only inside the egress's `Access`, for as long
//! as calls run, and hands none of them to a connector, a log or a caller.

mod call;
mod connect;
mod environment;
mod environments;
mod inputs;
mod policy;
mod proxy;
mod registry;
mod session;

pub use call::{Call, Connectors};
pub use connect::{Change, Connect, ConnectError};
pub use environment::{
    Environment, EnvironmentError, Installed, Live, Readiness, Secrets, app_slot_context,
    client_secret_context, credential_slot_context, database_url_context,
};
pub use environments::Environments;
pub use proxy::{ProxyError, ProxyFailure, ProxyRequest};
pub use registry::{Connector, KeyTaken, LoadDirError, RefusedFile, Registry};
pub use session::Account;
