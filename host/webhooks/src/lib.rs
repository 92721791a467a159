//! Tells subscribers what happened.
//!
//! [`FanOut`] follows an environment's numbered events and notes a delivery for each
//! event and subscription that belong together; [`Deliver`] makes deliveries, again and
//! again until the receiver takes them. Both are handlers of leased jobs, so what a killed
//! host was at goes out from another one, under the same event id. [`Sender`] makes and
//! signs what is sent; the way out, with its filter of addresses, is the egress's
//! ([`rollout_egress::Receivers`]).
//!
//! This crate must never send a record's content or a secret, follow a redirect, call an
//! app, or count a delivery as made before the receiver has said so.

mod deliver;
mod fan_out;
mod filters;
mod names;
mod payload;
mod schedule;
mod sender;
mod sign;

pub use deliver::Deliver;
pub use fan_out::FanOut;
pub use filters::{Filters, WrongFilter};
pub use names::{EntityEvent, known, names};
pub use payload::{credential_data, place_of, uri};
pub use schedule::Schedule;
pub use sender::Sender;
