//! What the host would deny of a request, as far as the manifest says.

use serde_json::{Value, json};

use super::manifest::{auth, items, list, same_place, text};
use crate::http::{Place, Placement, Request};

/// Headers that are not the connector's to set.
const HOSTS_OWN: [&str; 10] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A connector's manifest, as it stands before the app.
pub(super) struct Guard(pub(super) Value);

impl Guard {
    /// Why the host would deny the request; none if it would not. `field` knows the
    /// public fields, which some manifests have in their hosts.
    pub(super) fn refusal(
        &self,
        request: &Request,
        field: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let Some(rest) = request.url.strip_prefix("https://") else {
            return Some(format!("`{}` is no https URL", request.url));
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut hosts = list(&self.0, "hosts");
        let Some(pattern) = hosts.find(|pattern| is_host(pattern, host, &field)) else {
            return Some(format!(
                "`{host}` is none of the manifest's hosts; add it to `hosts`"
            ));
        };
        let own = |name: &&str| HOSTS_OWN.contains(&name.to_ascii_lowercase().as_str());
        let mut headers = request.headers.iter().map(|(name, _)| name.as_str());
        if let Some(name) = headers.find(own) {
            return Some(format!(
                "the header `{name}` is not yours to set; for secrets there are placements"
            ));
        }
        let target = Target {
            method: &request.method,
            pattern,
            path: if path.is_empty() { "/" } else { path },
        };
        let named = request.secrets.iter().map(of_request);
        let plan = items(&self.0, "plans")
            .take(usize::from(request.authenticate))
            .flat_map(|plan| items(auth(plan), "placements"))
            .map(of_plan);
        named
            .chain(plan)
            .find(|(slot, place)| !self.is_bound(slot, place, &target))
            .map(|(slot, place)| {
                let Target { method, pattern, path } = target;
                let line = json!({
                    "slot": slot, "host": pattern, "methods": [method], "paths": [path], "place": place
                });
                format!("no binding lets the slot `{slot}` go there; add to `bindings`: {line}")
            })
    }

    fn is_bound(&self, slot: &str, place: &Value, target: &Target<'_>) -> bool {
        items(&self.0, "bindings").any(|binding| {
            let any = |key: &str| binding.get(key).is_none();
            text(binding, "slot") == slot
                && text(binding, "host") == target.pattern
                && binding
                    .get("place")
                    .is_some_and(|bound| same_place(bound, place))
                && (any("methods") || list(binding, "methods").any(|known| known == target.method))
                && (any("paths")
                    || list(binding, "paths").any(|prefix| is_under(target.path, prefix)))
        })
    }
}

/// Where a request goes.
struct Target<'a> {
    method: &'a str,
    /// The host as the manifest has it.
    pattern: &'a str,
    path: &'a str,
}

fn of_request(placement: &Placement) -> (String, Value) {
    let place = match &placement.place {
        Place::Header(name) => json!({ "header": name }),
        Place::Query(name) => json!({ "query": name }),
        Place::FormField(name) => json!({ "form-field": name }),
        Place::JsonPointer(pointer) => json!({ "json-pointer": pointer }),
        Place::BasicUser => json!("basic-user"),
        Place::BasicPassword => json!("basic-password"),
    };
    (placement.slot.clone(), place)
}

fn of_plan(placement: &Value) -> (String, Value) {
    let place = placement.get("place").cloned().unwrap_or_default();
    (text(placement, "slot").to_owned(), place)
}

fn is_host(pattern: &str, host: &str, field: impl Fn(&str) -> Option<String>) -> bool {
    if let Some(parent) = pattern.strip_prefix('*') {
        return host.len() > parent.len() && host.ends_with(parent);
    }
    let (patterns, labels) = (pattern.split('.'), host.split('.'));
    patterns.clone().count() == labels.clone().count()
        && patterns.zip(labels).all(|(pattern, label)| {
            match pattern
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'))
            {
                Some(name) => field(name).is_some_and(|value| value.eq_ignore_ascii_case(label)),
                None => pattern.eq_ignore_ascii_case(label),
            }
        })
}

/// Whether a path begins with these segments.
fn is_under(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
