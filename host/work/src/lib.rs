//! Runs the work that lies in the environments' databases.
//!
//! What there is to do are jobs with leases (`rollout_store::Lease`); this crate
//! is the loop around them. [`Workers`] claims due jobs for the handlers, fairly
//! between environments, and waits for signals or the next due time otherwise.
//! [`Leases`] renews what this process holds, and cuts off work whose lease was
//! lost. What a job means is its [`Handler`]'s business, and so is committing
//! what came of it under the lease.

mod house;
mod leases;
mod workers;

pub use house::{House, Keep};
pub use leases::{Hold, Leases, Until};
pub use workers::{Handler, Workers};

use std::time::Duration;

/// How long leases are.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a lease runs without being renewed: for so long the work of a
    /// process that was killed lies still.
    pub lease: Duration,
    /// How often leases are renewed.
    pub renew: Duration,
}

impl Settings {
    pub(crate) fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }
}
