//! Link: what a product's page shows for connecting accounts.
//!
//! `/link.js` is a custom element, `/link-react.js` the same as a React component, and
//! `/link.d.ts` their types. They are in the binary, made once, compressed, and known by
//! a hash of what is in them: an address with `?v=HASH` never changes what it means.
//!
//! `/link/demo` is a page with the element, in development only: it makes tokens for
//! whoever can open it, and so only for a browser on this machine.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LOCATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, HeaderName, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::credentials::{known, object, text};
use crate::error::ApiError;
use crate::host::Host;
use crate::token;

/// What the configuration says about Link.
#[derive(Debug, Clone, Default)]
pub struct LinkSettings {
    /// The origins whose pages may show a page of Link in a frame, as
    /// `Content-Security-Policy` has them; none: nobody.
    pub frame_ancestors: Vec<String>,
    /// Whether there is a page to try it on, which makes tokens.
    pub demo: bool,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Letters of an asset's hash that are enough to know it by.
const HASH_LETTERS: usize = 12;
/// Of an address that says which version it means.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Of one that means the version there is.
const A_WHILE: &str = "public, max-age=300, stale-while-revalidate=86400";
/// How long the page's tokens are good.
const DEMO_TOKEN: Duration = Duration::from_secs(15 * 60);

/// A file that browsers load.
struct Asset {
    /// Its path, without a version.
    path: &'static str,
    format: &'static str,
    hash: String,
    plain: Bytes,
    /// None if it could not be compressed.
    compressed: Option<Bytes>,
}

static ELEMENT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("/link.js", SCRIPT, element().into_bytes()));
static REACT: LazyLock<Asset> = LazyLock::new(|| {
    let file = include_bytes!("link/react.js");
    Asset::new("/link-react.js", SCRIPT, file.to_vec())
});
static TYPES: LazyLock<Asset> = LazyLock::new(|| {
    let file = include_bytes!("link/link.d.ts");
    Asset::new("/link.d.ts", "text/plain; charset=utf-8", file.to_vec())
});
static DEMO_SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let file = include_bytes!("link/demo.js");
    Asset::new("/link/demo.js", SCRIPT, file.to_vec())
});
static DEMO_STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let file = include_bytes!("link/demo.css");
    Asset::new("/link/demo.css", "text/css; charset=utf-8", file.to_vec())
});

/// The element's script: its parts one after the other, in a scope of their own.
fn element() -> String {
    let parts = [
        include_str!("link/texts.js"),
        include_str!("link/dom.js"),
        include_str!("link/options.js"),
        include_str!("link/api.js"),
        include_str!("link/sign-in.js"),
        include_str!("link/code.js"),
        include_str!("link/form.js"),
        include_str!("link/element.js"),
    ];
    let constants = [
        ("VERSION", env!("CARGO_PKG_VERSION")),
        ("STYLE", include_str!("link/link.css")),
    ];
    let constants: String = constants
        .iter()
        .map(|(name, value)| format!("const {name} = {};\n", json!(value)))
        .collect();
    let begin = include_str!("link/begin.js");
    let parts = parts.join("\n");
    format!("(() => {{\n\"use strict\";\n{constants}{begin}\n{parts}}})();\n")
}

impl Asset {
    fn new(path: &'static str, format: &'static str, plain: Vec<u8>) -> Self {
        let mut hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&plain));
        hash.truncate(HASH_LETTERS);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let written = encoder.write_all(&plain).and_then(|()| encoder.finish());
        Self {
            path,
            format,
            hash,
            plain: plain.into(),
            compressed: written.ok().map(Bytes::from),
        }
    }

    /// Its address for this version only.
    fn address(&self) -> String {
        format!("{}?v={}", self.path, self.hash)
    }

    fn answer(&self, uri: &Uri, headers: &HeaderMap) -> Response {
        // Weak: the same content, compressed or not.
        let tag = format!("W/\"{}\"", self.hash);
        let mut query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let versioned = query.any(|(name, value)| name == "v" && value == self.hash);
        let kept = if versioned { FOREVER } else { A_WHILE };
        let has = |name: &HeaderName, wanted: &str| {
            let values = headers.get_all(name).iter();
            let mut values = values.filter_map(|value| value.to_str().ok());
            values.any(|value| {
                let mut entries = value.split(',').map(str::trim);
                entries.any(|entry| entry == wanted || entry == "*")
            })
        };
        let head = [
            (CONTENT_TYPE, self.format.to_owned()),
            (CACHE_CONTROL, kept.to_owned()),
            (ETAG, tag.clone()),
            (CONTENT_LOCATION, self.address()),
            (VARY, "Accept-Encoding".to_owned()),
            (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            // Every page may load it, as a module too, and where it isolates itself.
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
            (CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin".to_owned()),
        ];
        if has(&IF_NONE_MATCH, &tag) {
            return (StatusCode::NOT_MODIFIED, head).into_response();
        }
        match self.compressed.as_ref().filter(|_| has_gzip(headers)) {
            Some(compressed) => {
                (head, [(CONTENT_ENCODING, "gzip")], compressed.clone()).into_response()
            }
            None => (head, self.plain.clone()).into_response(),
        }
    }
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Whether a client takes gzip.
fn has_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let mut entries = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    entries.any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| matches!(name, "gzip" | "*"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|it| it > 0.0))
    })
}

/// `GET /link.js`
pub(crate) async fn script(uri: Uri, headers: HeaderMap) -> Response {
    ELEMENT.answer(&uri, &headers)
}

/// `GET /link-react.js`
pub(crate) async fn react(uri: Uri, headers: HeaderMap) -> Response {
    REACT.answer(&uri, &headers)
}

/// `GET /link.d.ts`
pub(crate) async fn types(uri: Uri, headers: HeaderMap) -> Response {
    TYPES.answer(&uri, &headers)
}

/// `GET /link/demo` and what it is made of.
pub(crate) async fn demo(
    State(host): State<Arc<Host>>,
    Path(part): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    is_local(&host, &headers)?;
    match part.as_str() {
        "demo" => Ok(page(&host.settings.link)),
        "demo.js" => Ok(DEMO_SCRIPT.answer(&uri, &headers)),
        "demo.css" => Ok(DEMO_STYLE.answer(&uri, &headers)),
        _ => Err(ApiError::unknown_route()),
    }
}

/// `POST /link/demo/token`: a token of a consumer, as a product's server makes it.
pub(crate) async fn demo_token(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    is_local(&host, request.headers())?;
    // Tokens are for whoever sits at this machine, not for who only says so.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if !peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback()) {
        return Err(ApiError::unknown_route());
    }
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["consumer"])?;
    let consumer = text(&mut body, "consumer")?;
    let named = host.settings.default_environment.as_deref();
    let environment = match named {
        Some(name) => host.environments.by_name(name),
        None => host.environments.only(),
    };
    let environment = environment.ok_or_else(|| {
        ApiError::invalid_request(
            "There are several environments: say which one with auth.default_environment.",
        )
    })?;
    let secrets = environment.secrets();
    let secret = std::str::from_utf8(secrets.current()).map_err(ApiError::internal)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let token = token::mint(
        &environment.client_id,
        secret,
        Some(consumer.as_deref().unwrap_or("demo-user")),
        None,
        now.map_err(ApiError::internal)?.as_secs(),
        DEMO_TOKEN,
    );
    let token = token.map_err(|error| ApiError::invalid_request(error.to_string()))?;
    Ok(Json(json!({"token": token})))
}

/// Only in development, and only by the names of this machine: a page elsewhere whose
/// name was made to lead here must get no token.
fn is_local(host: &Host, headers: &HeaderMap) -> Result<(), ApiError> {
    let named = headers.get(HOST).and_then(|value| value.to_str().ok());
    let named = named.and_then(|name| url::Url::parse(&format!("http://{name}")).ok());
    let own = url::Url::parse(&host.settings.public_url).ok();
    let local = named.is_some_and(|named| match named.host() {
        Some(url::Host::Ipv4(address)) if address.is_loopback() => true,
        Some(url::Host::Ipv6(address)) if address.is_loopback() => true,
        Some(url::Host::Domain("localhost")) => true,
        other => other.is_some() && other == own.as_ref().and_then(url::Url::host),
    });
    if host.settings.link.demo && local {
        Ok(())
    } else {
        Err(ApiError::unknown_route())
    }
}

fn page(settings: &LinkSettings) -> Response {
    let page = include_str!("link/demo.html")
        .replace("/link/demo.css", &DEMO_STYLE.address())
        .replace("/link/demo.js", &DEMO_SCRIPT.address())
        .replace("\"/link.js\"", &format!("\"{}\"", ELEMENT.address()));
    let headers: [(HeaderName, HeaderValue); 4] = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut response = (headers, page).into_response();
    if let Ok(policy) = HeaderValue::try_from(policy(&settings.frame_ancestors)) {
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// As strict as a product's page may be: the element has to work there.
fn policy(frame_ancestors: &[String]) -> String {
    let ancestors = if frame_ancestors.is_empty() {
        "'none'".to_owned()
    } else {
        frame_ancestors.join(" ")
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answered(query: &str, headers: &[(HeaderName, &str)]) -> Response {
        let uri: Uri = format!("/link.js{query}").parse().unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        ELEMENT.answer(&uri, &headers)
    }

    fn header<'a>(response: &'a Response, name: &HeaderName) -> &'a str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn the_script_is_small() {
        let compressed = ELEMENT.compressed.as_ref().unwrap().len();
        assert!(compressed < 30_000, "{compressed} bytes");
    }

    #[test]
    fn only_the_address_of_this_version_is_kept_for_good() {
        let query = format!("?v={}", ELEMENT.hash);
        assert_eq!(header(&answered(&query, &[]), &CACHE_CONTROL), FOREVER);
        for query in ["", "?v=", "?v=other", "?w=x"] {
            assert_eq!(header(&answered(query, &[]), &CACHE_CONTROL), A_WHILE);
        }
        let named = answered("", &[]);
        let named = header(&named, &CONTENT_LOCATION).to_owned();
        assert_eq!(named, format!("/link.js{query}"));
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = answered("", &[]);
        let tag = header(&first, &ETAG);
        for known in [tag, "*", &format!("\"old\", {tag}")] {
            let again = answered("", &[(IF_NONE_MATCH, known)]);
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(header(&again, &ETAG), tag);
        }
        let other = answered("", &[(IF_NONE_MATCH, "\"other\"")]);
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn it_is_compressed_for_who_takes_that() {
        for (accepted, encoding) in [
            ("gzip, deflate, br", "gzip"),
            ("br;q=1.0, gzip;q=0.8", "gzip"),
            ("*", "gzip"),
            ("gzip;q=0", ""),
            ("br", ""),
            ("xgzip", ""),
        ] {
            let response = answered("", &[(ACCEPT_ENCODING, accepted)]);
            assert_eq!(header(&response, &CONTENT_ENCODING), encoding, "{accepted}");
            assert_eq!(header(&response, &VARY), "Accept-Encoding");
        }
    }

    #[test]
    fn frames_are_for_those_who_are_named() {
        assert!(policy(&[]).contains("frame-ancestors 'none';"));
        let named = ["'self'".to_owned(), "https://app.example.com".to_owned()];
        assert!(policy(&named).contains("frame-ancestors 'self' https://app.example.com;"));
    }
}
