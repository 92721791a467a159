//! Sending: policy and placements here, then one try or two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use url::Url;

use crate::address::is_public;
use crate::grant::{Grant, SlotValue};
use crate::placement::{Draft, Placement};
use crate::policy::Target;
use crate::record::Entry;
use crate::resolver::{GuardedResolver, Lookup, SystemLookup};
use crate::tries::Tries;
use crate::upstream::{Upstreams, is_loopback};
use crate::{Failure, MAX_HEADER_BYTES, Request, Response, headers};

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections kept per host, for how long: enough for a page of parallel
/// requests to find them warm.
const IDLE_CONNECTIONS: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest text of a refusal, in bytes. A guest chooses parts of it.
const MAX_REFUSAL_BYTES: usize = 2048;

/// How the egress is set up.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// `[dev.upstreams]`: an app's origin and the simulator that stands in for it.
    pub dev_upstreams: BTreeMap<String, String>,
    /// Most bytes of a request's body.
    pub request_bytes: usize,
    /// Most decoded bytes of a response's body.
    pub response_bytes: u64,
    /// Longest time for one exchange, a second try included.
    pub timeout: Duration,
    /// Whether requests to simulators count against the apps' rate limits.
    pub limit_simulators: bool,
    /// `User-Agent` of requests that bring none.
    pub user_agent: String,
}

impl Default for EgressConfig {
    /// 8 MiB each way, 30 seconds.
    fn default() -> EgressConfig {
        EgressConfig {
            dev_upstreams: BTreeMap::new(),
            request_bytes: 8 * 1024 * 1024,
            response_bytes: 8 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            limit_simulators: true,
            user_agent: concat!("rollout/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why the egress could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// An entry of `[dev.upstreams]` is wrong.
    #[error(
        "dev.upstreams: `{origin}`: {problem}; write for example \
         \"https://api.example.com\" = \"http://127.0.0.1:9101\""
    )]
    Upstream {
        /// The entry's origin.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client could not be made.
    #[error(
        "the HTTP client cannot be made: {0}; check that the system's CA certificates are installed"
    )]
    Client(#[source] reqwest::Error),
}

/// The way out. One per process; its connections are shared by all calls.
pub struct Egress {
    config: EgressConfig,
    upstreams: Upstreams,
    /// Dials public addresses, by `https`.
    public: reqwest::Client,
    /// Dials loopback addresses; only there if simulators are configured.
    simulators: Option<reqwest::Client>,
}

impl Egress {
    /// An egress that asks the operating system for addresses.
    pub fn new(config: EgressConfig) -> Result<Egress, EgressError> {
        Egress::with_lookup(config, Arc::new(SystemLookup))
    }

    /// An egress that asks `lookup` for addresses. They are judged all the same.
    pub fn with_lookup(
        config: EgressConfig,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Egress, EgressError> {
        let upstreams = Upstreams::new(&config.dev_upstreams)?;
        let public = client(&config)
            .https_only(true)
            .dns_resolver(GuardedResolver::new(lookup.clone(), is_public))
            .build()
            .map_err(EgressError::Client)?;
        let simulators = if upstreams.is_empty() {
            None
        } else {
            let resolver = GuardedResolver::new(lookup, is_loopback);
            Some(
                client(&config)
                    .dns_resolver(resolver)
                    .build()
                    .map_err(EgressError::Client)?,
            )
        };
        Ok(Egress {
            config,
            upstreams,
            public,
            simulators,
        })
    }

    /// Sends one request and reads its response, within the grant.
    ///
    /// Waits while the grant has its full number of requests under way, and a little
    /// while a budget is used up. Dropping the future ends the exchange.
    pub async fn send(&self, grant: &Grant, request: Request) -> Result<Response, Failure> {
        let sent = request.body.as_ref().map_or(0, Bytes::len);
        let verb = request.method.clone();
        let mut entry = Entry::open(grant, &verb, sent, 1);
        let tries = match self.ready(grant, request) {
            Ok(tries) => tries,
            Err(failure) => return Err(refused(&mut entry, failure)),
        };
        entry.to(&tries.host, &tries.path);
        // The semaphore is never closed, so there is always a permit to wait for.
        let permit = grant.permits().acquire().await;
        let _permit = permit.map_err(|_| refused(&mut entry, Failure::Budget(None)))?;
        let deadline = Instant::now() + tries.timeout;
        let first = match tries.run(&mut entry, deadline).await {
            Ok(response) => return Ok(response),
            Err(trouble) => trouble,
        };
        let failure = refused(&mut entry, first.failure);
        if !first.again {
            return Err(failure);
        }
        drop(entry);
        let mut entry = Entry::open(grant, &verb, sent, 2);
        entry.to(&tries.host, &tries.path);
        if !grant.draw_request() {
            return Err(refused(&mut entry, Failure::Budget(None)));
        }
        let second = tries.run(&mut entry, deadline).await;
        second.map_err(|trouble| refused(&mut entry, trouble.failure))
    }

    /// Checks a request and makes it ready to be sent.
    fn ready<'a>(&'a self, grant: &'a Grant, request: Request) -> Result<Tries<'a>, Failure> {
        if !grant.draw_request() {
            return Err(Failure::Budget(None));
        }
        let timeout = request.timeout.unwrap_or(self.config.timeout);
        let cap = request.max_bytes.unwrap_or(u64::MAX);
        let captures = request.capture.clone();
        let (method, target, draft) = self.prepare(grant, request)?;
        let path = target.url.path().to_owned();
        let (client, url, simulated) = self.route(draft.url);
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = draft.headers;
        *outgoing.body_mut() = draft.body.map(reqwest::Body::from);
        let limited = !simulated || self.config.limit_simulators;
        Ok(Tries {
            grant,
            client,
            host: target.host,
            path,
            outgoing,
            captures,
            timeout: timeout.min(self.config.timeout),
            cap: cap.min(self.config.response_bytes),
            allowance: grant.allowance().filter(|_| limited),
        })
    }

    /// Everything that is decided before a name is looked up: method, host,
    /// headers, body, captures, and last the secrets.
    fn prepare<'g>(
        &self,
        grant: &'g Grant,
        request: Request,
    ) -> Result<(Method, Target<'g>, Draft), Failure> {
        let policy = grant.access().policy();
        let method = method(&request.method)?;
        let target = policy.admit(&request.url)?;
        let outgoing = headers::outgoing(&request.headers)?;
        let length = request.body.as_ref().map_or(0, Bytes::len);
        if length > self.config.request_bytes {
            return Err(Failure::Denied(format!(
                "the request's body is {length} bytes; at most {} are allowed",
                self.config.request_bytes
            )));
        }
        if let Some(capture) = request
            .capture
            .iter()
            .find(|one| !grant.may_capture(&one.slot))
        {
            let slot = &capture.slot;
            return Err(Failure::Denied(format!(
                "slot `{slot}` cannot be captured in this call: add \"captured\" with the call's name \
                 (\"sign-in\", \"answer\" or \"subscribe\") to it in the manifest's \"slots\""
            )));
        }

        let mut draft = Draft::new(target.url.clone(), outgoing, request.body);
        let own: &[Placement] = if request.authenticate {
            &policy.placements
        } else {
            &[]
        };
        for placement in own.iter().chain(&request.secrets) {
            let held = grant.value(&placement.slot);
            if matches!(held, SlotValue::Empty) && placement.optional {
                continue;
            }
            let slot = &placement.slot;
            if matches!(held, SlotValue::Undeclared) {
                return Err(Failure::Denied(format!(
                    "slot `{slot}` is not in the manifest: add it to \"slots\""
                )));
            }
            if matches!(held, SlotValue::Withheld) {
                return Err(Failure::Denied(format!(
                    "slot `{slot}` is for signing in: only the calls of `login` may use it"
                )));
            }
            policy.allow(placement, method.as_str(), &target)?;
            let SlotValue::Secret(secret) = held else {
                return Err(Failure::Denied(format!(
                    "slot `{slot}` has no value: it has to be entered first, or its placement marked \"optional\": true"
                )));
            };
            draft.fill(placement, &secret)?;
        }
        if let Some(pair) = draft.finish()? {
            grant.remember_pair(&pair);
        }
        Ok((method, target, draft))
    }

    /// The client that may dial this URL, the URL that it dials, and whether that is a
    /// simulator.
    fn route(&self, url: Url) -> (&reqwest::Client, Url, bool) {
        match (self.upstreams.stand_in(&url), &self.simulators) {
            (Some(mapped), Some(simulators)) => (simulators, mapped, true),
            _ => (&self.public, url, false),
        }
    }
}

fn client(config: &EgressConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .http2_max_header_list_size(MAX_HEADER_BYTES as u32)
}

fn method(text: &str) -> Result<Method, Failure> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "OPTIONS" => Ok(Method::OPTIONS),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        other => Err(Failure::Denied(format!(
            "method {other:?} is not allowed: use GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE, in upper case"
        ))),
    }
}

/// Notes a failure in the record, and hands it on.
fn refused(entry: &mut Entry<'_>, failure: Failure) -> Failure {
    let failure = tidy(failure);
    entry.failed(&failure);
    failure
}

/// Cuts a refusal to a size and a form that a log line can take.
fn tidy(failure: Failure) -> Failure {
    match failure {
        Failure::Denied(text)
            if text.len() > MAX_REFUSAL_BYTES || text.contains(char::is_control) =>
        {
            let end = text.floor_char_boundary(MAX_REFUSAL_BYTES);
            let kept = text.get(..end).unwrap_or_default();
            Failure::Denied(kept.replace(char::is_control, "?"))
        }
        other => other,
    }
}
