//! What a manifest asks an operator to trust a connector with.

use std::fmt;

use super::{Binding, CapturedIn, HostPattern, Manifest, OAuth2, Plan, UrlPattern};

/// One thing that a connector may do, beyond computing.
#[derive(Clone, Debug)]
pub enum Permission<'a> {
    /// It sends requests to this host.
    Calls(&'a HostPattern),
    /// A secret goes to a host, at one place of requests.
    Places(&'a Binding),
    /// It has codes made with a secret.
    Signs(&'a str),
    /// It puts secrets of the app's answers into a slot, in this call.
    Captures(&'a str, CapturedIn),
    /// People are sent to the first address to sign in, and their codes to the second.
    SignsIn(&'a UrlPattern, &'a UrlPattern),
    /// A secret goes to an address by which tokens are got or given back.
    Exchanges(&'a str, &'a UrlPattern),
    /// It reads secrets in clear.
    Reveals,
}

impl Manifest {
    /// Everything that the connector may do. `reveals`: its component imports the
    /// interface that shows secrets.
    pub fn permissions(&self, reveals: bool) -> Vec<Permission<'_>> {
        let mut all: Vec<Permission<'_>> = self.hosts.iter().map(Permission::Calls).collect();
        all.extend(self.bindings.iter().map(Permission::Places));
        for (name, slot) in &self.slots {
            if slot.signing {
                all.push(Permission::Signs(name));
            }
            let captures = slot.captured.iter();
            all.extend(captures.map(|call| Permission::Captures(name, *call)));
        }
        for oauth in self.plans.iter().filter_map(Plan::oauth2) {
            all.extend(oauth.permissions());
        }
        if reveals {
            all.push(Permission::Reveals);
        }
        all
    }

    /// What the connector offers, one line each.
    pub fn offers(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, offer) in &self.entities {
            let verbs = offer.verbs.iter().map(|verb| verb.as_str());
            let verbs: Vec<&str> = verbs
                .chain(offer.operations.iter().map(String::as_str))
                .collect();
            all.push(format!("entity {name}: {}", verbs.join(", ")));
        }
        let mut keys = |kind: &str, key: &str| all.push(format!("{kind} {key}"));
        self.hooks.iter().for_each(|(key, _)| keys("hook", key));
        self.triggers
            .iter()
            .for_each(|(key, _)| keys("trigger", key));
        self.actions.iter().for_each(|(key, _)| keys("action", key));
        for plan in &self.plans {
            let inputs = plan.auth.inputs.iter().map(|input| input.key.as_str());
            let inputs: Vec<&str> = inputs.collect();
            all.push(format!("plan {}: {}", plan.key, inputs.join(", ")));
        }
        all
    }
}

impl OAuth2 {
    fn permissions(&self) -> impl Iterator<Item = Permission<'_>> {
        let refresh = self.captures.refresh_token.as_ref();
        let secrets = [
            self.client_secret.as_deref(),
            refresh.map(|one| one.slot.as_str()),
        ];
        let urls = [Some(&self.token_url), self.revoke_url.as_ref()];
        let exchanges = urls.into_iter().flatten().flat_map(move |url| {
            let secrets = secrets.into_iter().flatten();
            secrets.map(move |slot| Permission::Exchanges(slot, url))
        });
        let authorize = self.authorize_url.as_ref();
        let sign_in = authorize.map(|url| Permission::SignsIn(url, &self.token_url));
        sign_in.into_iter().chain(exchanges)
    }
}

impl Permission<'_> {
    /// Whether whoever has this permission may do what the other one says.
    pub fn covers(&self, other: &Permission<'_>) -> bool {
        match (self, other) {
            (Self::Calls(mine), Permission::Calls(theirs)) => mine.covers(theirs),
            (Self::Places(mine), Permission::Places(theirs)) => mine.covers(theirs),
            (Self::Signs(mine), Permission::Signs(theirs)) => mine == theirs,
            (Self::Captures(mine, here), Permission::Captures(theirs, there)) => {
                mine == theirs && here == there
            }
            (Self::SignsIn(mine, my_tokens), Permission::SignsIn(theirs, their_tokens)) => {
                mine == theirs && my_tokens == their_tokens
            }
            (Self::Exchanges(mine, here), Permission::Exchanges(theirs, there)) => {
                mine == theirs && here == there
            }
            (Self::Reveals, Permission::Reveals) => true,
            _ => false,
        }
    }
}

impl HostPattern {
    fn covers(&self, other: &HostPattern) -> bool {
        let below = |suffix: &str| {
            let rest = other.as_str().strip_suffix(suffix);
            rest.is_some_and(|rest| rest.ends_with('.'))
        };
        self == other || self.as_str().strip_prefix("*.").is_some_and(below)
    }
}

impl Binding {
    fn covers(&self, other: &Binding) -> bool {
        let below = |path: &String| {
            self.paths.iter().any(|mine| {
                let rest = path.strip_prefix(mine.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let paths =
            self.paths.is_empty() || !other.paths.is_empty() && other.paths.iter().all(below);
        let known = |method| self.methods.contains(method);
        let methods =
            self.methods.is_empty() || !other.methods.is_empty() && other.methods.iter().all(known);
        self.slot == other.slot
            && self.host == other.host
            && self.place == other.place
            && paths
            && methods
    }
}

impl fmt::Display for Permission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls(host) => write!(f, "calls {}", host.as_str()),
            Self::Places(binding) => {
                let or = |list: &[String], all: &str| match list {
                    [] => all.to_owned(),
                    some => some.join(" "),
                };
                write!(
                    f,
                    "secret {} to {} {} as {}, {}",
                    binding.slot,
                    binding.host.as_str(),
                    or(&binding.paths, "/"),
                    binding.place,
                    or(&binding.methods, "all methods"),
                )
            }
            Self::Signs(slot) => write!(f, "signs with {slot}"),
            Self::Captures(slot, call) => {
                write!(f, "takes {slot} out of answers in {}", call.as_str())
            }
            Self::SignsIn(authorize, token) => {
                write!(
                    f,
                    "has people sign in at {authorize}, and their codes go to {token}"
                )
            }
            Self::Exchanges(slot, url) => write!(f, "exchanges {slot} for tokens at {url}"),
            Self::Reveals => f.write_str("reads secrets in clear"),
        }
    }
}

impl CapturedIn {
    fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Answer => "answer",
            Self::Subscribe => "subscribe",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::{Value, json};

    use super::*;
    use crate::Catalog;

    /// A manifest with these hosts and one binding of each kind of difference.
    fn manifest(changes: &Value) -> Manifest {
        let mut manifest = json!({
            "contract": "0.1.0", "key": "tiny-crm", "name": "Tiny CRM", "version": "1.0.0",
            "categories": ["crm"],
            "hosts": ["api.tiny.example"],
            "slots": { "apiKey": { "scope": "credential" } },
            "bindings": [{
                "slot": "apiKey", "host": "api.tiny.example", "paths": ["/v1"], "methods": ["GET", "POST"],
                "place": { "header": "Authorization" }
            }],
            "plans": [{ "key": "api-key", "auth": { "method": "fields",
                "inputs": [{ "key": "apiKey", "type": "secret", "label": "Key" }],
                "placements": [{ "slot": "apiKey", "place": { "header": "Authorization" } }] } }],
            "entities": {
                "users": { "categories": ["crm"], "verbs": ["list"], "deletions": "full-pass" },
                "people": { "categories": ["crm"], "verbs": ["list"], "deletions": "full-pass" }
            }
        });
        for (pointer, value) in changes.as_object().unwrap() {
            let (object, key) = pointer.rsplit_once('/').unwrap();
            let object = manifest.pointer_mut(object).unwrap();
            if let Ok(at) = key.parse::<usize>() {
                object[at] = value.clone();
                continue;
            }
            let object = object.as_object_mut().unwrap();
            match value {
                Value::Null => drop(object.remove(key)),
                value => drop(object.insert(key.to_owned(), value.clone())),
            }
        }
        Manifest::parse(&manifest.to_string(), &Catalog::embedded().unwrap()).unwrap()
    }

    /// What the changed manifest may do that the original may not, in words.
    fn wider(changes: &Value) -> Vec<String> {
        let (old, new) = (manifest(&json!({})), manifest(changes));
        let old = old.permissions(false);
        let new = new.permissions(false);
        let wider = new
            .iter()
            .filter(|one| !old.iter().any(|mine| mine.covers(one)));
        wider.map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_as_narrow_or_narrower_is_not_new() {
        for changes in [
            json!({}),
            json!({"/version": "2.0.0"}),
            json!({"/bindings/0/paths": ["/v1/people", "/v1"]}),
            json!({"/bindings/0/methods": ["GET"]}),
        ] {
            assert_eq!(wider(&changes), Vec::<String>::new(), "{changes}");
        }
    }

    #[test]
    fn what_reaches_further_is_said_in_words() {
        let cases = [
            (
                json!({"/hosts": ["api.tiny.example", "evil.example.net"]}),
                "calls evil.example.net",
            ),
            (
                json!({"/hosts": ["api.tiny.example", "*.tiny.example"]}),
                "calls *.tiny.example",
            ),
            (
                json!({"/bindings/0/paths": ["/v1", "/v10"]}),
                "secret apiKey to api.tiny.example /v1 /v10 as {\"header\":\"Authorization\"}, GET POST",
            ),
            (
                json!({"/bindings/0/paths": null}),
                "secret apiKey to api.tiny.example / as {\"header\":\"Authorization\"}, GET POST",
            ),
            (
                json!({"/bindings/0/methods": null}),
                "secret apiKey to api.tiny.example /v1 as {\"header\":\"Authorization\"}, all methods",
            ),
            (
                json!({"/slots/apiKey": {"scope": "credential", "signing": true}}),
                "signs with apiKey",
            ),
        ];
        for (changes, expected) in cases {
            assert_eq!(wider(&changes), [expected], "{changes}");
        }
    }

    #[test]
    fn a_way_to_sign_in_is_new_with_every_address_of_it() {
        let plan = |token: &str| {
            json!({ "key": "oauth", "auth": {
                "method": "oauth2",
                "oauth2": {
                    "authorizeUrl": "https://tiny.example/authorize", "tokenUrl": token,
                    "clientId": "clientId", "clientSecret": "clientSecret",
                    "captures": { "accessToken": { "slot": "access", "pointer": "/access_token" } },
                    "refresh": "none"
                }
            } })
        };
        let with = |token: &str| {
            manifest(&json!({
                "/fields": { "clientId": {} },
                "/hosts": ["api.tiny.example", "login.tiny.example"],
                "/slots/clientSecret": { "scope": "app" }, "/slots/access": { "scope": "credential" },
                "/plans/0": plan(token),
            }))
        };
        let (before, after) = (
            with("https://api.tiny.example/token"),
            with("https://login.tiny.example/token"),
        );
        let (old, new) = (before.permissions(false), after.permissions(false));
        let wider = new
            .iter()
            .filter(|one| !old.iter().any(|mine| mine.covers(one)));
        let wider: Vec<String> = wider.map(ToString::to_string).collect();
        assert_eq!(
            wider,
            [
                "has people sign in at https://tiny.example/authorize, and their codes go to \
                 https://login.tiny.example/token",
                "exchanges clientSecret for tokens at https://login.tiny.example/token"
            ]
        );
    }

    #[test]
    fn a_wildcard_covers_what_is_below_it() {
        let covers = |mine: &str, theirs: &str| {
            let (mine, theirs): (HostPattern, HostPattern) =
                (mine.parse().unwrap(), theirs.parse().unwrap());
            mine.covers(&theirs)
        };
        assert!(covers("*.tiny.example", "a.tiny.example"));
        assert!(covers("*.tiny.example", "*.b.tiny.example"));
        assert!(!covers("*.tiny.example", "tiny.example"));
        assert!(!covers("*.tiny.example", "eviltiny.example"));
        assert!(!covers("a.tiny.example", "*.tiny.example"));
    }
}
