//! Connectors at work: which are loaded ([`Registry`]), which accounts are
//! connected ([`Environment`]), and one call of a connector for one credential
//! ([`Connectors::call`]).
//!
//! This is where sandbox, egress, vault and store meet; they don't know each
//! other. It holds opened secrets only inside the egress's `Access`, for as long
//! as calls run, and hands none of them to a connector, a log or a caller.

mod answers;
mod attempt;
mod call;
mod challenge;
mod connect;
mod data;
mod environment;
mod environments;
mod inputs;
mod keyring;
mod login;
mod oauth;
mod outbound;
mod policy;
mod proxy;
mod registry;
mod session;
mod way;

pub use attempt::Connected;
pub use call::{Call, Connectors};
pub use challenge::{Answered, Challenge, Standing};
pub use connect::{Change, Connect, ConnectError};
pub use data::Import;
pub use environment::{
    Environment, EnvironmentError, Installed, Live, Readiness, Secrets, app_slot_context,
    client_secret_context, credential_slot_context, database_url_context,
};
pub use environments::Environments;
pub use keyring::Keyring;
pub use oauth::{
    Begun, Finished, SignIn, SignInError, TokenError, environment_of_state, is_set_up, random,
    secret_origin_field,
};
pub use outbound::Cause;
pub use proxy::{ProxyError, ProxyFailure, ProxyRequest};
pub use registry::{Connector, KeyTaken, LoadDirError, RefusedFile, Registry, loads_at_once};
pub use session::Account;
