//! Faults ordered by a test: what the next requests get instead of, or on top
//! of, their proper answer.

use std::time::Duration;

use parking_lot::Mutex;

/// One way in which an answer can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After`, even though the window has room: seen in the
    /// field with `X-RateLimit-Remaining` above zero.
    RateLimited {
        /// Seconds for `Retry-After`.
        retry_after: u64,
    },
    /// This status with an `errorMessage`; the request is not processed.
    Status(u16),
    /// The request is processed, but only the first half of the JSON arrives
    /// (with a matching `Content-Length`).
    Truncated,
    /// The request is processed after a pause.
    Delay(Duration),
}

#[derive(Debug)]
struct Order {
    prefix: String,
    left: usize,
    fault: Fault,
}

/// The faults still to be served, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    orders: Mutex<Vec<Order>>,
}

impl Faults {
    /// The next `count` requests whose path starts with `prefix` get `fault`.
    pub(super) fn order(&self, prefix: &str, count: usize, fault: Fault) {
        self.orders.lock().push(Order {
            prefix: prefix.to_owned(),
            left: count,
            fault,
        });
    }

    pub(super) fn clear(&self) {
        self.orders.lock().clear();
    }

    /// The fault for a request to `path`: the oldest order that fits it.
    pub(super) fn take(&self, path: &str) -> Option<Fault> {
        let mut orders = self.orders.lock();
        let order = orders
            .iter_mut()
            .find(|order| order.left > 0 && path.starts_with(&order.prefix))?;
        order.left -= 1;
        let fault = order.fault.clone();
        orders.retain(|order| order.left > 0);
        Some(fault)
    }
}
