//! The only way out of the host: "can this reach our network, and with which
//! secret?" is answered here and nowhere else.
//!
//! A connector's request passes these gates, in this order:
//!
//! 1. **Limits of the call.** Every request counts, refused ones too ([`Grant`]).
//! 2. **Policy.** The URL is parsed once. `https` only, a host that the manifest
//!    names, no addresses in place of names, no user name, the default port
//!    ([`Policy`]). Headers that belong to the connection, or that make a server
//!    act on something else than what was checked, are refused.
//! 3. **Placements.** Secrets are put into exactly the places that are named,
//!    after everything else is fixed; each must be covered by a binding of its
//!    slot to this host, method, path and place. No text is ever searched for
//!    the name of a secret.
//! 4. **Budgets.** A request that is in order counts against the app's rate limits,
//!    which all processes keep together ([`Budgets`]). It waits a little for its
//!    turn, or is refused.
//! 5. **Dialling.** A name is looked up once per connection; addresses that are
//!    not public are dropped, and the connection goes to what is left. Redirects
//!    come back as they are, no proxy is taken from the environment, no cookie
//!    is kept. Only `[dev.upstreams]` leads to a loopback address.
//! 6. **Reading.** Sizes are counted on decoded bytes while they arrive; one
//!    timeout holds from the dialling to the last byte.
//! 7. **Blanking.** Captured values are taken out, and exact values of the
//!    credential's secrets are blanked ([`Redactor`]).
//!
//! A request whose connection was never made is tried once more; one that only reads
//! also when its connection broke before an answer. Each try is recorded
//! ([`Recorder`]).
//!
//! A refusal names the thing, the reason, and the line to add to the manifest.
//!
//! What the host tells receivers of webhooks leaves by [`Receivers`]: no manifest says
//! who they are, so there is no policy and no secret, but the same address filter, which
//! only the operator's list of private receivers opens ([`Private`]).
//!
//! This crate must never follow a redirect, send a request a second time that may
//! have changed something, log a query or a secret, or know what a connector, an
//! entity or a database is.

mod address;
mod budget;
mod capture;
mod egress;
mod exchange;
mod grant;
mod headers;
mod mac;
mod path;
mod placement;
mod policy;
mod private;
mod receivers;
mod record;
mod redact;
mod resolver;
mod retry_after;
mod secret;
mod tries;
mod upstream;

pub use address::is_public;
pub use budget::{Allowance, Ask, Budgets, Lender, Lent, Loan, Rule, Unlent};
pub use capture::{Capture, Source};
pub use egress::{Egress, EgressConfig, EgressError};
pub use exchange::{Failure, Request, Response};
pub use grant::{Access, CallLimits, Grant};
pub use headers::{MAX_HEADER_BYTES, MAX_HEADERS, may_be_set};
pub use mac::{MacAlgorithm, SlotError};
pub use placement::{Place, Placement};
pub use policy::{Binding, HostRule, MAX_URL_BYTES, Policy};
pub use private::{Private, PrivateError};
pub use receivers::{Call, Received, Receivers, ReceiversConfig, RefusedUrl};
pub use record::{Exchange, Outcome, Recorder, Trace};
pub use redact::{BLANK, LONG, Redactor, SHORT};
pub use resolver::{Lookup, LookupFuture};
pub use secret::{Scope, Secret, Slot};

/// What a fuzzer tries directly.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::Policy;

    /// The URL as it would be requested, if the policy admits it.
    pub fn admitted(policy: &Policy, text: &str) -> Option<url::Url> {
        policy.admit(text).ok().map(|target| target.url)
    }

    /// The headers as they would be sent, if they may be.
    pub fn outgoing(headers: &[(String, String)]) -> Option<http::HeaderMap> {
        super::headers::outgoing(headers).ok()
    }
}
