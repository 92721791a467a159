//! Faults ordered by a test: what the next requests get instead of, or on top
//! of, their proper answer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

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
    /// This status and body are answered; the request is not processed.
    Answer(u16, String),
    /// The request is processed, but only the first half of the JSON arrives
    /// (with a matching `Content-Length`).
    Truncated,
    /// The request is processed after a pause.
    Delay(Duration),
    /// The request is processed, and this status with an `errorMessage` is answered.
    StatusAfter(u16),
    /// The request is processed, and the connection is cut instead of an answer.
    Lost,
    /// The connection is cut; the request is not processed.
    Cut,
    /// The request is processed, and its answer waits until the test lets it go.
    Held(Hold),
}

/// Holds answers back until it is released.
#[derive(Debug, Clone)]
pub struct Hold(Arc<Held>);

#[derive(Debug)]
struct Held {
    reached: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl Hold {
    /// One that holds back whatever comes.
    #[allow(clippy::new_without_default, reason = "it does something")]
    pub fn new() -> Self {
        Self(Arc::new(Held {
            reached: watch::Sender::new(0),
            released: watch::Sender::new(false),
        }))
    }

    /// Waits until a request was processed whose answer is held back. It waits
    /// for ever: wrap it in a timeout.
    pub async fn reached(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.reached.subscribe().wait_for(|all| *all > 0).await;
    }

    /// Lets the answers go, those that are held and those to come.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        self.0.reached.send_modify(|all| *all += 1);
        let _ = self.0.released.subscribe().wait_for(|free| *free).await;
    }
}

impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Hold {}

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
