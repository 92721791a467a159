//! Accounts that are connected by signing in at the app: OAuth 2 as the manifest puts it.
//!
//! All of it leaves through the egress, under the manifest's hosts, with every secret in
//! a slot of its own: codes, tokens and client secrets are placed and taken out there, and
//! blanked in what the app answers. No connector sees any of them, nor could it send them
//! to the token endpoint itself.

mod adopt;
mod endpoint;
mod refresh;
mod sign_in;
mod state;

pub(crate) use adopt::in_words;
pub(crate) use endpoint::TokenEndpoint;
pub use endpoint::{TokenError, secret_origin_field};
pub(crate) use refresh::{NotRenewed, Renewal, ends_soon};
pub use sign_in::{Begun, Finished, SignIn, SignInError, is_set_up};
pub use state::{environment_of_state, random};
pub(crate) use state::{hash, new_state};
