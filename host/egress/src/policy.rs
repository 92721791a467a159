//! What a connector may do on the network: which hosts it may call, and where
//! each of its slots may go. Plain data made from the manifest; a check answers
//! yes, or the sentence that tells the author what to change.

use serde_json::{Value, json};
use url::{Host, Url};

use crate::Failure;
use crate::path::{is_plain, is_under};
use crate::placement::{Place, Placement};

/// Longest URL that a request may have, in bytes.
pub const MAX_URL_BYTES: usize = 16 * 1024;

/// The rules of one connector for one credential.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The connector's key, for logs.
    pub connector: String,
    /// The hosts it may call.
    pub hosts: Vec<HostRule>,
    /// Where its slots may be used.
    pub bindings: Vec<Binding>,
    /// What `authenticate: true` adds.
    pub placements: Vec<Placement>,
}

/// One entry of the manifest's `hosts`, its fields replaced by the credential's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    pattern: String,
    names: Names,
    /// `None`: 443.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    One(String),
    /// Everything that ends in this text, which begins with a dot.
    Below(String),
    /// Nothing, for this reason.
    None(String),
}

impl HostRule {
    /// Reads `api.example.com`, `{field}.example.com` or `*.example.com`, each
    /// also with `:port`. `field` gives the public field of that name.
    ///
    /// Never fails: a rule whose field has no value, or a value that is not
    /// one DNS label, matches no host, and a denial says why.
    #[must_use]
    pub fn new(pattern: &str, field: impl Fn(&str) -> Option<String>) -> HostRule {
        let (host, port) = match pattern.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().map(Some)),
            None => (pattern, Some(None)),
        };
        let (below, host) = match host.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, host),
        };
        let labels: Result<Vec<String>, String> =
            host.split('.').map(|label| filled(label, &field)).collect();
        let names = match (labels, port) {
            (Err(reason), _) => Names::None(reason),
            (_, None) => Names::None("its port is not a number".to_owned()),
            (Ok(labels), _) if labels.len() < 2 => Names::None("it has only one label".to_owned()),
            (Ok(labels), _) if below => Names::Below(format!(".{}", labels.join("."))),
            (Ok(labels), _) => Names::One(labels.join(".")),
        };
        HostRule {
            pattern: pattern.to_owned(),
            names,
            port: port.flatten(),
        }
    }

    /// The entry as the manifest spells it.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Where it is, if it is one host: `https://api.example.com`.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let Names::One(name) = &self.names else {
            return None;
        };
        let port = self.port.filter(|port| *port != 443);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("https://{name}{port}"))
    }

    fn matches(&self, host: &str, port: Option<u16>) -> bool {
        let named = match &self.names {
            Names::One(name) => name == host,
            Names::Below(end) => host.len() > end.len() && host.ends_with(end.as_str()),
            Names::None(_) => false,
        };
        // The default port is never written in a parsed URL.
        named && port.unwrap_or(443) == self.port.unwrap_or(443)
    }

    /// A `*.` host may be called but never receives a secret.
    fn takes_secrets(&self) -> bool {
        matches!(self.names, Names::One(_))
    }
}

fn filled(label: &str, field: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let value = match label
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        None => label.to_owned(),
        Some(name) => {
            let value = field(name)
                .ok_or_else(|| format!("the credential has no value for the field `{name}`"))?
                .to_ascii_lowercase();
            if !is_label(&value) {
                return Err(format!(
                    "the value of the field `{name}` is not one DNS label"
                ));
            }
            value
        }
    };
    if is_label(&value) {
        Ok(value)
    } else {
        Err(format!("`{value}` is not a DNS label"))
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// One entry of the manifest's `bindings`: where a slot may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The slot.
    pub slot: String,
    /// An entry of `hosts`, spelled alike.
    pub host: String,
    /// The methods, in upper case; `None`: all.
    pub methods: Option<Vec<String>>,
    /// Path prefixes, which end at segments; `None`: all paths.
    pub paths: Option<Vec<String>>,
    /// The place.
    pub place: Place,
}

/// A URL that the policy admits, with the rules that it was admitted by.
#[derive(Debug)]
pub(crate) struct Target<'p> {
    pub(crate) url: Url,
    pub(crate) host: String,
    rules: Vec<&'p HostRule>,
}

impl Policy {
    /// Parses a guest's URL, once, and checks it against `hosts`.
    pub(crate) fn admit(&self, text: &str) -> Result<Target<'_>, Failure> {
        let denied = |reason: String| Failure::Denied(reason);
        if text.len() > MAX_URL_BYTES {
            return Err(denied(format!(
                "the URL is {} bytes long; at most {MAX_URL_BYTES} are allowed",
                text.len()
            )));
        }
        // The parser would drop some of these silently.
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(denied(
                "the URL has a space or control character: percent-encode it".into(),
            ));
        }
        let mut url =
            Url::parse(text).map_err(|error| denied(format!("the URL cannot be read: {error}")))?;
        if url.scheme() != "https" {
            return Err(denied(format!(
                "the URL's scheme is `{}`: only `https` is allowed",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(denied(
                "the URL has a user name or password: use a slot with the place \"basic-user\" or \"basic-password\"".into(),
            ));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(address) => {
                return Err(denied(format!(
                    "the URL names the address {address}: hosts are called by name only"
                )));
            }
            None => return Err(denied("the URL has no host".into())),
        };
        if host.ends_with('.') {
            return Err(denied(format!(
                "host `{host}` ends with a dot: leave the dot out"
            )));
        }
        url.set_fragment(None);

        let rules: Vec<&HostRule> = self
            .hosts
            .iter()
            .filter(|rule| rule.matches(&host, url.port()))
            .collect();
        if rules.is_empty() {
            return Err(denied(self.unknown_host(&host, url.port())));
        }
        Ok(Target { url, host, rules })
    }

    /// True if this slot may go somewhere in requests to the target's host. Whether
    /// it may go to a certain place is for [`Policy::allow`] to say.
    pub(crate) fn binds(&self, slot: &str, target: &Target<'_>) -> bool {
        self.bindings.iter().any(|binding| {
            let mut rules = target.rules.iter();
            binding.slot == slot
                && rules.any(|rule| rule.takes_secrets() && rule.pattern == binding.host)
        })
    }

    fn unknown_host(&self, host: &str, port: Option<u16>) -> String {
        let name = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if port.is_some() && self.hosts.iter().any(|rule| rule.matches(host, rule.port)) {
            return format!(
                "host `{name}`: this port is not allowed; leave the port out of the URL"
            );
        }
        let mut text = format!("host `{name}` is not in the manifest: add \"{name}\" to \"hosts\"");
        for rule in &self.hosts {
            if let Names::None(reason) = &rule.names {
                text += &format!(
                    "; the entry \"{}\" matches nothing now: {reason}",
                    rule.pattern
                );
            }
        }
        text
    }

    /// Checks that some binding lets this placement go with this request.
    pub(crate) fn allow(
        &self,
        placement: &Placement,
        method: &str,
        target: &Target<'_>,
    ) -> Result<(), Failure> {
        let path = target.url.path();
        let plain = is_plain(path);
        let covered = self.bindings.iter().any(|binding| {
            binding.slot == placement.slot
                && binding.place.is(&placement.place)
                && target
                    .rules
                    .iter()
                    .any(|rule| rule.takes_secrets() && rule.pattern == binding.host)
                && binding
                    .methods
                    .as_ref()
                    .is_none_or(|methods| methods.iter().any(|one| one == method))
                && binding.paths.as_ref().is_none_or(|prefixes| {
                    plain && prefixes.iter().any(|prefix| is_under(path, prefix))
                })
        });
        if covered {
            return Ok(());
        }
        Err(Failure::Denied(unbound(placement, method, target, plain)))
    }
}

/// Why no binding covers a placement, and the line that would.
fn unbound(placement: &Placement, method: &str, target: &Target<'_>, plain: bool) -> String {
    let Placement { slot, place, .. } = placement;
    let path = target.url.path();
    let what = format!(
        "slot `{slot}` may not go to {place} of {method} https://{}{path}",
        target.host
    );
    let Some(rule) = target.rules.iter().find(|rule| rule.takes_secrets()) else {
        return format!(
            "{what}: only a `*.` host matches, and those never receive a secret; add \"{}\" to \"hosts\" and bind the slot to it",
            target.host
        );
    };
    if !plain {
        return format!(
            "{what}: servers read this path in different ways, so no path prefix covers it; \
             send it without encoded dots and with every `%` as part of an escape"
        );
    }
    let line = json!({
        "slot": slot, "host": rule.pattern, "methods": [method], "paths": [path], "place": place.manifest(),
    });
    format!("{what}: no binding covers it; add to \"bindings\" in the manifest: {line}")
}

impl Place {
    /// The place as the manifest spells it.
    fn manifest(&self) -> Value {
        match self {
            Place::Header(name) => json!({ "header": name }),
            Place::Query(name) => json!({ "query": name }),
            Place::FormField(name) => json!({ "form-field": name }),
            Place::JsonPointer(pointer) => json!({ "json-pointer": pointer }),
            Place::BasicUser => json!("basic-user"),
            Place::BasicPassword => json!("basic-password"),
        }
    }
}
