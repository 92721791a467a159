//! Rate limits: sliding windows per account, system and context.
//!
//! A request counts in one context only, the most specific that fits it. A
//! refused request was not processed and does not count. Sizes for clients
//! without a valid `X-System` pair are half of the registered ones: the
//! Follow Up Boss API reference says so for `global` and `events`, for the
//! other contexts it is assumed.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use axum::http::Method;

use super::reply::Reply;

/// Requests allowed per window, by context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowances {
    /// Everything without a context of its own.
    pub global: u32,
    /// `GET /events`; `POST /events` is unlimited.
    pub events: u32,
    /// `PUT /people/{id}`.
    pub put_people: u32,
    /// Every method on `/notes`.
    pub notes: u32,
}

impl Allowances {
    fn of(&self, context: Context) -> u32 {
        match context {
            Context::Global => self.global,
            Context::Events => self.events,
            Context::PutPeople => self.put_people,
            Context::Notes => self.notes,
        }
    }
}

/// How requests are limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// When false nothing is counted and no `X-RateLimit-*` header is sent,
    /// so that clients do not pace themselves by it either.
    pub enabled: bool,
    /// Length of the sliding window.
    pub window: Duration,
    /// Sizes for a valid `X-System` and `X-System-Key` pair.
    pub registered: Allowances,
    /// Sizes for all other clients.
    pub unregistered: Allowances,
}

impl RateLimits {
    /// No limiting at all.
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            window: Duration::from_secs(10),
            registered: Allowances {
                global: 250,
                events: 20,
                put_people: 25,
                notes: 10,
            },
            unregistered: Allowances {
                global: 125,
                events: 10,
                put_people: 12,
                notes: 5,
            },
        }
    }
}

/// What a request is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Context {
    Global,
    Events,
    PutPeople,
    Notes,
}

impl Context {
    /// The most specific context of a request, or none when it is unlimited.
    pub(super) fn of(method: &Method, resource: &str) -> Option<Self> {
        match (method.as_str(), resource) {
            ("POST", "events") => None,
            (_, "events") => Some(Self::Events),
            ("PUT", "people") => Some(Self::PutPeople),
            (_, "notes") => Some(Self::Notes),
            _ => Some(Self::Global),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Events => "events",
            Self::PutPeople => "PUT.people",
            Self::Notes => "notes",
        }
    }
}

/// Whose window a request falls into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Party {
    pub(super) account: u64,
    /// The registered system's name; all unregistered clients share one.
    pub(super) system: Option<String>,
}

/// What the limiter says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    context: Context,
    limit: u32,
    remaining: u32,
    window: u64,
    /// Set when the request is refused: seconds until one fits again.
    pub(super) retry_after: Option<u64>,
}

impl Verdict {
    pub(super) fn announce(&self, reply: &mut Reply) {
        reply.set("x-ratelimit-limit", &self.limit.to_string());
        reply.set("x-ratelimit-remaining", &self.remaining.to_string());
        reply.set("x-ratelimit-window", &self.window.to_string());
        reply.set("x-ratelimit-context", self.context.name());
    }
}

/// The windows of all parties.
#[derive(Debug)]
pub(super) struct Limiter {
    rules: RateLimits,
    windows: HashMap<(Party, Context), VecDeque<Instant>>,
}

impl Limiter {
    pub(super) fn new(rules: RateLimits) -> Self {
        Self {
            rules,
            windows: HashMap::new(),
        }
    }

    /// Counts a request made `now`, or refuses it. Nothing is said when
    /// limiting is off.
    pub(super) fn admit(
        &mut self,
        party: Party,
        context: Context,
        now: Instant,
    ) -> Option<Verdict> {
        if !self.rules.enabled {
            return None;
        }
        let allowances = match party.system {
            Some(_) => &self.rules.registered,
            None => &self.rules.unregistered,
        };
        let limit = allowances.of(context);
        let window = self.rules.window;
        let taken = self.windows.entry((party, context)).or_default();
        while taken
            .front()
            .is_some_and(|earlier| now.duration_since(*earlier) >= window)
        {
            taken.pop_front();
        }
        let used = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        let refused = used >= limit;
        let wait = match taken.front() {
            Some(earlier) if refused => window.saturating_sub(now.duration_since(*earlier)),
            _ => window,
        };
        if !refused {
            taken.push_back(now);
        }
        Some(Verdict {
            context,
            limit,
            remaining: limit.saturating_sub(used.saturating_add(1)),
            window: window.as_secs(),
            retry_after: refused.then(|| wait.as_secs_f64().ceil().max(1.0) as u64),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn party(system: Option<&str>) -> Party {
        Party {
            account: 1,
            system: system.map(str::to_owned),
        }
    }

    #[test]
    fn the_window_slides() {
        let mut limiter = Limiter::new(RateLimits {
            unregistered: Allowances {
                global: 2,
                ..RateLimits::default().unregistered
            },
            ..RateLimits::default()
        });
        let start = Instant::now();
        let mut admit = |seconds: f64| {
            limiter
                .admit(
                    party(None),
                    Context::Global,
                    start + Duration::from_secs_f64(seconds),
                )
                .unwrap()
        };
        assert_eq!(admit(0.0).remaining, 1);
        assert_eq!(admit(4.0).remaining, 0);
        assert_eq!(admit(5.0).retry_after, Some(5));
        assert_eq!(admit(9.9).retry_after, Some(1));
        assert_eq!(admit(10.0).retry_after, None, "the first has left");
        assert_eq!(admit(10.1).retry_after, Some(4));
    }

    #[test]
    fn parties_and_contexts_do_not_share() {
        let mut limiter = Limiter::new(RateLimits::default());
        let now = Instant::now();
        let notes = |limiter: &mut Limiter, system| {
            limiter.admit(party(system), Context::Notes, now).unwrap()
        };
        for _ in 0..5 {
            assert_eq!(notes(&mut limiter, None).retry_after, None);
        }
        assert!(notes(&mut limiter, None).retry_after.is_some());
        assert_eq!(notes(&mut limiter, Some("Rollout")).limit, 10);
        assert_eq!(Context::of(&Method::POST, "events"), None);
    }
}
