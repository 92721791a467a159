//! How often an environment may ask, if the operator limits it.
//!
//! Whoever shows a valid token spends one request of its environment, in this process;
//! a request that is refused before that costs nobody anything. Every answer then says
//! how much is left, errors too: what was spent goes beside the request to where its
//! answer leaves.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::response::Response;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderName, HeaderValue};

use crate::error::ApiError;

tokio::task_local! {
    /// What the request at hand left of its environment's allowance.
    static LEFT: Cell<Option<Left>>;
}

/// What is left after a request.
#[derive(Clone, Copy)]
struct Left {
    /// Requests a second.
    limit: u32,
    /// Requests that can be sent at once.
    remaining: u32,
    /// How long until that is `limit` again, in whole seconds.
    reset: u32,
}

/// The allowance of each environment, by its client id.
pub(crate) struct Rate(Option<Limiter>);

type Limiter =
    RateLimiter<String, HashMapStateStore<String>, DefaultClock, StateInformationMiddleware>;

impl Rate {
    /// So many requests a second, that many at once; none: any number.
    pub(crate) fn new(requests_per_second: Option<NonZeroU32>) -> Self {
        let limiter = |requests| RateLimiter::hashmap(Quota::per_second(requests));
        Self(requests_per_second.map(|requests| limiter(requests).with_middleware()))
    }

    /// Spends one request of an environment.
    pub(crate) fn spend(&self, client_id: &String) -> Result<(), ApiError> {
        let Some(limiter) = &self.0 else {
            return Ok(());
        };
        let checked = limiter.check_key(client_id);
        let (quota, remaining) = match &checked {
            Ok(left) => (left.quota(), left.remaining_burst_capacity()),
            Err(refusal) => (refusal.quota(), 0),
        };
        let limit = quota.burst_size().get();
        let spent = limit.saturating_sub(remaining);
        let reset = quota.replenish_interval().saturating_mul(spent);
        // Outside of a request nobody asks.
        let _ = LEFT.try_with(|left| {
            left.set(Some(Left {
                limit,
                remaining,
                reset: u32::try_from(reset.as_millis().div_ceil(1000)).unwrap_or(u32::MAX),
            }));
        });
        checked.map(drop).map_err(|refusal| {
            let wait = refusal.wait_time_from(limiter.clock().now());
            ApiError::rate_limited(wait.max(Duration::from_millis(1)))
        })
    }
}

/// Answers a request, and says on the answer what it left.
pub(crate) async fn told(answer: impl Future<Output = Response>) -> Response {
    let answered = async {
        let mut response = answer.await;
        if let Some(left) = LEFT.with(Cell::take) {
            let headers = [
                ("x-ratelimit-limit", left.limit),
                ("x-ratelimit-remaining", left.remaining),
                ("x-ratelimit-reset", left.reset),
            ];
            for (name, number) in headers {
                let name = HeaderName::from_static(name);
                response
                    .headers_mut()
                    .insert(name, HeaderValue::from(number));
            }
        }
        response
    };
    LEFT.scope(Cell::new(None), answered).await
}
