//! Sending: policy, placements, dialling, reading, blanking, in this order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use url::Url;

use crate::address::is_public;
use crate::capture::{Capture, Source};
use crate::grant::{Grant, SlotValue};
use crate::placement::{Draft, Placement};
use crate::policy::Target;
use crate::redact::BLANK;
use crate::resolver::{AddressRefused, GuardedResolver, Lookup, SystemLookup};
use crate::upstream::{Upstreams, is_loopback};
use crate::{Failure, MAX_HEADER_BYTES, Request, Response, capture, headers};

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections kept per host, for how long: enough for a page of parallel
/// requests to find them warm.
const IDLE_CONNECTIONS: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Room made for a body before its first byte is there: what an app announces
/// is not yet what it sends.
const BODY_AT_FIRST: u64 = 256 * 1024;

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
    /// Longest time for one exchange.
    pub timeout: Duration,
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
    /// Waits while the grant has its full number of requests under way.
    /// Dropping the future ends the exchange.
    pub async fn send(&self, grant: &Grant, request: Request) -> Result<Response, Failure> {
        let started = Instant::now();
        let sent = request.body.as_ref().map_or(0, Bytes::len);
        let method = request.method.clone();
        let mut place = (String::new(), String::new());
        let outcome = self
            .exchange(grant, request, &mut place)
            .await
            .map_err(tidy);
        let (host, path) = place;
        let milliseconds = started.elapsed().as_millis();
        let connector = &grant.access().policy().connector;
        match &outcome {
            Ok(Response { status, body, .. }) => {
                let received = body.len();
                tracing::debug!(
                    connector,
                    method,
                    host,
                    path,
                    status,
                    sent,
                    received,
                    milliseconds,
                    "exchange"
                );
            }
            Err(failure) => {
                tracing::debug!(connector, method, host, path, %failure, sent, milliseconds, "no exchange");
            }
        }
        outcome
    }

    async fn exchange(
        &self,
        grant: &Grant,
        request: Request,
        place: &mut (String, String),
    ) -> Result<Response, Failure> {
        if !grant.draw_request() {
            return Err(Failure::Budget(None));
        }
        let timeout = request
            .timeout
            .unwrap_or(self.config.timeout)
            .min(self.config.timeout);
        let cap = request
            .max_bytes
            .unwrap_or(u64::MAX)
            .min(self.config.response_bytes);
        let captures = request.capture.clone();

        let (method, target, draft) = self.prepare(grant, request)?;
        *place = (target.host, target.url.path().to_owned());
        let host = &place.0;
        let (client, url) = self.route(draft.url)?;
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = draft.headers;
        *outgoing.body_mut() = draft.body.map(reqwest::Body::from);

        // The semaphore is never closed, so there is always a permit to wait for.
        let _permit = grant
            .permits()
            .acquire()
            .await
            .map_err(|_| Failure::Budget(None))?;
        let exchange = async {
            let response = client
                .execute(outgoing)
                .await
                .map_err(|error| broken(grant, host, error))?;
            receive(grant, host, response, cap).await
        };
        let received = tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| Failure::Timeout)??;
        Ok(hand_over(grant, &captures, received))
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

    /// The client that may dial this URL, and the URL that it dials.
    fn route(&self, url: Url) -> Result<(&reqwest::Client, Url), Failure> {
        match (self.upstreams.stand_in(&url), &self.simulators) {
            (Some(mapped), Some(simulators)) => Ok((simulators, mapped)),
            _ => Ok((&self.public, url)),
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

/// A response as the app sent it, decoded.
struct Received {
    status: u16,
    sent_headers: http::HeaderMap,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Reads a response, counting what is kept against the caps.
async fn receive(
    grant: &Grant,
    host: &str,
    mut response: reqwest::Response,
    cap: u64,
) -> Result<Received, Failure> {
    let status = response.status().as_u16();
    let headers = headers::incoming(response.headers())?;
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    grant
        .draw_bytes(header_bytes as u64)
        .map_err(Failure::TooLarge)?;

    let announced = response.content_length().unwrap_or(0);
    if announced > cap {
        return Err(Failure::TooLarge(cap));
    }
    let mut body = Vec::with_capacity(announced.min(BODY_AT_FIRST) as usize);
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| broken(grant, host, error))?
    {
        let length = body.len() as u64 + chunk.len() as u64;
        if length > cap {
            return Err(Failure::TooLarge(cap));
        }
        grant
            .draw_bytes(chunk.len() as u64)
            .map_err(|left| Failure::TooLarge(body.len() as u64 + left))?;
        body.extend_from_slice(&chunk);
    }
    // The client takes the encoding away with the header. What is left was
    // never asked for, and nobody could look into it.
    let encoding = response
        .headers()
        .get(CONTENT_ENCODING)
        .filter(|one| *one != "identity");
    if let Some(encoding) = encoding.filter(|_| !body.is_empty()) {
        return Err(Failure::Connection(format!(
            "{host} answered in the encoding {encoding:?}, which was not asked for"
        )));
    }
    Ok(Received {
        status,
        sent_headers: std::mem::take(response.headers_mut()),
        headers,
        body,
    })
}

/// Captures what is asked for and blanks what the guest must not see.
fn hand_over(grant: &Grant, captures: &[Capture], received: Received) -> Response {
    let Received {
        status,
        sent_headers,
        mut headers,
        mut body,
    } = received;
    let taken = capture::take(captures, &sent_headers, &mut body);
    let fresh = !taken.is_empty();
    if fresh {
        grant.keep(&taken);
    }
    let redactor = grant.redactor();
    // A captured value is blanked throughout the response it came in, however
    // short it is.
    let clean = if fresh {
        redactor.redact_bytes_strict(&body)
    } else {
        redactor.redact_bytes(&body)
    };
    let changed = match clean {
        Cow::Borrowed(_) => false,
        Cow::Owned(clean) => {
            body = clean;
            true
        }
    };
    for source in captures.iter().map(|capture| &capture.source) {
        if let Source::Header(captured) = source {
            let named = headers
                .iter_mut()
                .filter(|(name, _)| captured.eq_ignore_ascii_case(name));
            named.for_each(|(_, value)| BLANK.clone_into(value));
        }
    }
    headers.retain_mut(|(name, value)| {
        let clean = if fresh {
            redactor.redact_strict(value)
        } else {
            redactor.redact(value)
        };
        if let Cow::Owned(clean) = clean {
            *value = clean;
        }
        // The length is no longer true, and a name is not a place for a secret.
        !((changed || fresh) && name == CONTENT_LENGTH.as_str())
            && matches!(redactor.redact(name), Cow::Borrowed(_))
    });
    Response {
        status,
        headers,
        body: Bytes::from(body),
    }
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

/// Why the connection failed, without URL and secrets.
fn broken(grant: &Grant, host: &str, error: reqwest::Error) -> Failure {
    let mut root: &(dyn std::error::Error + 'static) = &error;
    while let Some(source) = root.source() {
        root = source;
        if root.is::<AddressRefused>() {
            return Failure::Denied(format!(
                "host `{host}` has no public address: connectors reach public addresses only; for a simulator \
                 add \"https://{host}\" = \"http://127.0.0.1:PORT\" to [dev.upstreams] of the host's configuration"
            ));
        }
    }
    if error.is_timeout() {
        return Failure::Timeout;
    }
    let what = if error.is_connect() {
        "could not be connected to"
    } else if error.is_builder() {
        return Failure::Denied(
            "the URL has characters that cannot be sent: percent-encode them".into(),
        );
    } else {
        "broke the connection off"
    };
    let reason = if error.source().is_some() {
        root.to_string()
    } else {
        String::new()
    };
    let text = format!("{host} {what}: {reason}");
    Failure::Connection(grant.redactor().redact_strict(&text).into_owned())
}
