//! Category hosts: `https://crm.universal.example.com/api/people` is `/crm/api/people`.
//!
//! A request whose host begins with a category's name finds that category at `/api/…`, and without `/api` too, because the
//! documented `uri` of events has none. What belongs to the whole server stays where it is on every host.

use axum::extract::Request;
use http::Uri;
use http::header::HOST;
use http::uri::PathAndQuery;

/// Categories that have an API of their own, as they stand in paths and host names.
pub(super) const CATEGORIES: &[&str] = &["crm", "tms", "los", "email", "calendar"];

/// Rollout's own resources below `/api`; no entity has one of these names.
const ROLLOUT_API: &[&str] = &["connectors", "credentials", "oauth", "auth", "mcp"];

/// First segments that belong to the whole server.
const WHOLE_SERVER: &[&str] = &[
    "healthz",
    "readyz",
    "docs",
    "metrics",
    "hooks",
    "link",
    "dashboard",
    "mcp",
];

/// Which hosts are category hosts.
#[derive(Debug, Clone, Default)]
pub struct CategoryHosts {
    /// Host name of `server.public_url`: never a category host, even if it is `crm.example.com`.
    pub own: Option<String>,
}

/// Extension of a request that came by a category host: the category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViaCategoryHost(pub &'static str);

impl CategoryHosts {
    /// Rewrites the path, before routing.
    pub(super) fn rewrite(&self, request: &mut Request) {
        let Some(category) = self.category(request) else {
            return;
        };
        let Some(rewritten) = rewritten(request.uri(), category) else {
            return;
        };
        *request.uri_mut() = rewritten;
        request.extensions_mut().insert(ViaCategoryHost(category));
    }

    fn category(&self, request: &Request) -> Option<&'static str> {
        let host = match request.uri().host() {
            Some(host) => host,
            None => request.headers().get(HOST)?.to_str().ok()?,
        };
        let name = host.split(':').next().unwrap_or(host);
        if self
            .own
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(name))
        {
            return None;
        }
        let (first, _) = name.split_once('.')?;
        CATEGORIES
            .iter()
            .find(|category| category.eq_ignore_ascii_case(first))
            .copied()
    }
}

fn rewritten(uri: &Uri, category: &str) -> Option<Uri> {
    let path = uri.path();
    let mut segments = path.split('/').skip(1);
    let (first, second) = (segments.next()?, segments.next());
    let path = match (first, second) {
        ("api", Some(resource)) if ROLLOUT_API.contains(&resource) => return None,
        ("api", _) => format!("/{category}{path}"),
        (other, Some("api")) if CATEGORIES.contains(&other) => return None,
        ("", None) => return None,
        (other, _) if WHOLE_SERVER.contains(&other) => return None,
        _ => format!("/{category}/api{path}"),
    };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}
