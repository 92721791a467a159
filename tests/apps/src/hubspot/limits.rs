//! Rate limits: a rolling window for everything, and one of a second for searches.
//!
//! A refused request was not processed and does not count. Searches count in their
//! own window only, and their answers say nothing of limits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::reply::Reply;

/// How requests are limited; none: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests of ten seconds.
    pub burst: Option<u32>,
    /// Searches of a second.
    pub search: Option<u32>,
    /// Requests of a day, counted from the start.
    pub daily: Option<u32>,
}

impl RateLimits {
    /// No limiting at all.
    pub fn off() -> Self {
        Self {
            burst: None,
            search: None,
            daily: None,
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            burst: Some(100),
            search: Some(5),
            daily: Some(250_000),
        }
    }
}

const BURST: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// What was counted.
#[derive(Debug)]
pub(super) struct Limiter {
    rules: RateLimits,
    burst: VecDeque<Instant>,
    search: VecDeque<Instant>,
    today: u32,
}

/// What an answer says of the limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    max: u32,
    remaining: u32,
    daily: Option<(u32, u32)>,
}

impl Limiter {
    pub(super) fn new(rules: RateLimits) -> Self {
        Self {
            rules,
            burst: VecDeque::new(),
            search: VecDeque::new(),
            today: 0,
        }
    }

    /// Counts a request made `now`, or refuses it.
    pub(super) fn admit(&mut self, search: bool, now: Instant) -> Result<Option<Standing>, Reply> {
        if self.rules.daily.is_some_and(|daily| self.today >= daily) {
            return Err(Reply::limited(
                "DAILY",
                "You have reached your daily limit.",
            ));
        }
        if search {
            if used(&mut self.search, SECOND, now) >= self.rules.search.unwrap_or(u32::MAX) {
                let said = "You have reached your secondly limit.";
                return Err(Reply::limited("SECONDLY", said));
            }
            self.search.push_back(now);
            self.today += 1;
            return Ok(None);
        }
        let used = used(&mut self.burst, BURST, now);
        if used >= self.rules.burst.unwrap_or(u32::MAX) {
            let said = "You have reached your ten_secondly_rolling limit.";
            return Err(Reply::limited("TEN_SECONDLY_ROLLING", said).header(
                "x-hubspot-ratelimit-interval-milliseconds",
                BURST.as_millis(),
            ));
        }
        self.burst.push_back(now);
        self.today += 1;
        let left = |limit: u32| (limit, limit.saturating_sub(self.today));
        Ok(self.rules.burst.map(|max| Standing {
            max,
            remaining: max.saturating_sub(used + 1),
            daily: self.rules.daily.map(left),
        }))
    }
}

impl Standing {
    /// Who signed in is told nothing of the day, which is the account's.
    pub(super) fn announce(self, reply: Reply, signed_in: bool) -> Reply {
        let reply = reply
            .header("x-hubspot-ratelimit-max", self.max)
            .header("x-hubspot-ratelimit-remaining", self.remaining)
            .header(
                "x-hubspot-ratelimit-interval-milliseconds",
                BURST.as_millis(),
            );
        match self.daily {
            Some((daily, left)) if !signed_in => reply
                .header("x-hubspot-ratelimit-daily", daily)
                .header("x-hubspot-ratelimit-daily-remaining", left),
            _ => reply,
        }
    }
}

/// How many of the requests are in the window still.
fn used(requests: &mut VecDeque<Instant>, window: Duration, now: Instant) -> u32 {
    while requests
        .front()
        .is_some_and(|earlier| now.duration_since(*earlier) >= window)
    {
        requests.pop_front();
    }
    u32::try_from(requests.len()).unwrap_or(u32::MAX)
}
