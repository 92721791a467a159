//! Requests that the host must refuse, or must send as they are.

use rollout_connector::entities::crm::Person;
use rollout_connector::http::{Place, Source};
use rollout_connector::{Error, Item, Page, Request};

const PEOPLE: &str = "https://api.followupboss.com/v1/people";

/// A request and what it tries.
type Attempt = (String, Request);

/// Makes every request. The page has one record for each: what was tried is its
/// id, what came of it its last name.
pub(crate) fn outcomes(attempts: Vec<Attempt>) -> Result<Page, Error> {
    let items = attempts.into_iter().map(|(name, request)| {
        let outcome = match request.send() {
            Ok(response) => format!("answered {}", response.status),
            Err(error) => error.to_string(),
        };
        Item::new(name).body(&Person {
            last_name: Some(outcome.into()),
            ..Person::default()
        })
    });
    Page::last(items.collect(), &())
}

/// Makes the requests and fails with the first one that does.
pub(crate) fn refused(attempts: Vec<Attempt>) -> Result<Page, Error> {
    for (_, request) in attempts {
        request.send()?;
    }
    Page::last(Vec::new(), &())
}

pub(crate) fn urls(urls: &[String]) -> Vec<Attempt> {
    urls.iter()
        .map(|url| (url.clone(), Request::get(url).authenticate()))
        .collect()
}

/// Without a secret, and with little patience.
pub(crate) fn visits(urls: &[String]) -> Vec<Attempt> {
    urls.iter()
        .map(|url| (url.clone(), Request::get(url).timeout_ms(500)))
        .collect()
}

pub(crate) fn smuggled_headers() -> Vec<Attempt> {
    [
        ("crlf", "X-Note", "a\r\nX-System: smuggled"),
        ("lf", "X-Note", "a\nX-System: smuggled"),
        ("nul", "X-Note", "a\0b"),
        ("crlf-name", "X-Note\r\nX-System", "smuggled"),
        ("host", "Host", "evil.example"),
        ("authorization", "Authorization", "Basic c211Z2dsZWQ6"),
        ("cookie", "Cookie", "session=smuggled"),
        ("connection", "Connection", "X-System"),
        ("transfer-encoding", "Transfer-Encoding", "chunked"),
        ("content-length", "Content-Length", "0"),
        ("keep-alive", "Keep-Alive", "timeout=3600"),
        ("te", "TE", "trailers"),
        ("trailer", "Trailer", "X-System"),
        ("upgrade", "Upgrade", "h2c"),
        ("proxy", "Proxy-Authorization", "Basic c211Z2dsZWQ6"),
        ("override", "X-HTTP-Method-Override", "DELETE"),
    ]
    .map(|(attempt, name, value)| {
        let request = Request::get(PEOPLE).authenticate().header(name, value);
        (attempt.to_owned(), request)
    })
    .into_iter()
    .chain([two_lengths()])
    .collect()
}

/// Two lengths of one body: what comes after the shorter would be a request of its own.
fn two_lengths() -> Attempt {
    let mut request = Request::post(PEOPLE)
        .authenticate()
        .header("Content-Length", "4")
        .header("content-length", "30");
    request.body = Some(b"smug\r\n\r\nGET /v1/me HTTP/1.1".to_vec());
    ("two-lengths".to_owned(), request)
}

/// The slot `apiKey` everywhere but where the manifest binds it.
pub(crate) fn misplaced_slots() -> Vec<Attempt> {
    let user = || Place::BasicUser;
    let form = Request::get(PEOPLE).form(&[("a", "b")]);
    let json = Request::get(PEOPLE).json("{}");
    let at = |method: &str, url: &str| Request::new(method, url);
    [
        ("method", at("POST", PEOPLE).secret("apiKey", user())),
        (
            "path",
            at("GET", "https://api.followupboss.com/v2/people").secret("apiKey", user()),
        ),
        (
            "similar-path",
            at("GET", "https://api.followupboss.com/v10").secret("apiKey", user()),
        ),
        (
            "climbing-path",
            at("GET", "https://api.followupboss.com/v1/%2e%2e/v2").secret("apiKey", user()),
        ),
        (
            "host",
            at("GET", "https://app.followupboss.com/v1/people").secret("apiKey", user()),
        ),
        (
            "other-host",
            at("GET", "https://evil.example/v1/people").secret("apiKey", user()),
        ),
        (
            "header",
            at("GET", PEOPLE).secret("apiKey", Place::Header("X-System".into())),
        ),
        (
            "query",
            at("GET", PEOPLE).secret("apiKey", Place::Query("q".into())),
        ),
        (
            "password",
            at("GET", PEOPLE).secret("apiKey", Place::BasicPassword),
        ),
        (
            "form-field",
            form.secret("apiKey", Place::FormField("key".into())),
        ),
        (
            "json-pointer",
            json.secret("apiKey", Place::JsonPointer("/key".into())),
        ),
        (
            "twice",
            at("GET", PEOPLE).authenticate().secret("apiKey", user()),
        ),
        ("undeclared", at("GET", PEOPLE).secret("masterKey", user())),
        ("empty", at("GET", PEOPLE).secret("session", user())),
    ]
    .map(|(attempt, request)| (attempt.to_owned(), request))
    .into()
}

pub(crate) fn captures() -> Vec<Attempt> {
    let capture = |slot: &str| {
        Request::get("https://api.followupboss.com/v1/me")
            .authenticate()
            .capture(slot, Source::JsonPointer("/apiKey".into()))
    };
    let from = |source: Source| {
        Request::get("https://api.followupboss.com/v1/me")
            .authenticate()
            .capture("session", source)
    };
    [
        ("undeclared", capture("masterKey")),
        ("not-in-this-call", capture("session")),
        ("own", capture("apiKey")),
        ("header", from(Source::Header("Date".into()))),
        ("cookie", from(Source::Cookie("session".into()))),
        ("whole", from(Source::JsonPointer(String::new()))),
    ]
    .map(|(attempt, request)| (attempt.to_owned(), request))
    .into()
}

/// Slots named in a path, a query, a header and a body, where names are text.
pub(crate) fn named_in_text(names: &[String]) -> Vec<Attempt> {
    let names = names.join(" ");
    let mut request = Request::get(PEOPLE)
        .query("name", &names)
        .header("X-System", &names)
        .authenticate();
    request.body = Some(names.into_bytes());
    let path = Request::get(format!("{PEOPLE}/{{{{apiKey}}}}")).authenticate();
    vec![
        ("everywhere".to_owned(), request),
        ("path".to_owned(), path),
    ]
}
