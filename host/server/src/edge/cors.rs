//! CORS: browsers may call what Link calls, and the category APIs.
//!
//! No cookie is ever used, so `*` gives a page nothing that its script could not ask for with the token it holds. A configured
//! list narrows that to the product's own pages; an origin outside it gets no CORS header, and the browser refuses.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::category_host::CATEGORIES;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, x-rollout-user-agent, x-rollout-credential-id, x-rollout-allow-partial, idempotency-key, \
     x-request-id",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, Retry-After, X-Rollout-Credential-Status, X-Rollout-Ignored-Fields, X-RateLimit-Limit, \
     X-RateLimit-Remaining, X-RateLimit-Reset",
);
/// Seconds a browser may remember a preflight; the longest that Chromium honours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Who may call from a browser, and what.
#[derive(Debug, Clone)]
pub struct Cors {
    /// The origins allowed.
    pub origins: Origins,
    /// Path prefixes that answer browsers, each ending at a segment; `/CATEGORY/api` always does.
    pub paths: Vec<String>,
}

/// The origins allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    #[default]
    Any,
    /// These only, as browsers write them: `https://app.example.com`, lower case, no slash at the end.
    Only(BTreeSet<String>),
}

impl Default for Cors {
    fn default() -> Cors {
        let paths = ["/api/connectors", "/api/credentials", "/api/oauth"];
        Cors {
            origins: Origins::Any,
            paths: paths.map(str::to_owned).to_vec(),
        }
    }
}

/// What the answer must say to the browser behind a request.
#[derive(Debug)]
pub(super) struct Caller {
    /// The `Origin`, if there is one and the path answers browsers.
    origin: Option<HeaderValue>,
    asks_first: bool,
}

impl Cors {
    pub(super) fn caller(&self, request: &Request) -> Caller {
        let headers = request.headers();
        let origin = headers
            .get(ORIGIN)
            .filter(|_| self.covers(request.uri().path()))
            .cloned();
        let asks_first = request.method() == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Caller { origin, asks_first }
    }

    fn covers(&self, path: &str) -> bool {
        let under = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let of_category = || {
            let mut segments = path.split('/').skip(1);
            segments
                .next()
                .is_some_and(|first| CATEGORIES.contains(&first))
                && segments.next() == Some("api")
        };
        self.paths.iter().any(|prefix| under(prefix)) || of_category()
    }

    fn allows(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Only(list) => origin
                .to_str()
                .is_ok_and(|text| list.contains(text))
                .then(|| origin.clone()),
        }
    }
}

impl Caller {
    /// The answer to a preflight; never reaches a route, and says the same for paths that do not exist.
    pub(super) fn preflight(&self, cors: &Cors) -> Option<Response> {
        let origin = self.origin.as_ref().filter(|_| self.asks_first)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if cors.allows(origin).is_some() {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        Some(response)
    }

    /// The headers of every answer, errors included: without them a page cannot even read a 401.
    pub(super) fn stamp(&self, cors: &Cors, headers: &mut HeaderMap) {
        let Some(origin) = &self.origin else { return };
        if cors.origins != Origins::Any {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(allowed) = cors.allows(origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
