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
pub use workers::{Handler, Queued, Workers};

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

/// How long to wait after a failure: twice as long as after the one before.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Backoff {
    /// How long after this many failures.
    pub fn wait(&self, failures: i64) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1).clamp(0, 20)).unwrap_or(20);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}
