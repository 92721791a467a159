//! The methods `oauth2` and `client-credentials` against the rest of its manifest.

use regex_lite::Regex;
use serde_json::{Value, json};

use super::manifest::{auth, items, members, text};
use super::schema::{escaped, issue};
use crate::error::Issue;

/// Parameters that the host sets itself.
const AUTHORIZE: [&str; 7] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
];
const TOKEN: [&str; 8] = [
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "state",
];

/// Everything of the plans' `oauth2` that does not fit.
pub(super) fn faults(manifest: &Value) -> Vec<Issue> {
    let mut faults = Vec::new();
    for (at, plan) in items(manifest, "plans").enumerate() {
        let Some(oauth) = auth(plan).get("oauth2") else {
            continue;
        };
        let pointer = format!("/plans/{at}/auth/oauth2");
        let method = text(auth(plan), "method");
        if method != "oauth2" && method != "client-credentials" {
            let message =
                "goes with the methods `oauth2` and `client-credentials` only; leave it out";
            faults.push(issue(pointer, message));
            continue;
        }
        let mut check = Check {
            manifest,
            plan,
            oauth,
            pointer,
            faults: &mut faults,
        };
        if method == "client-credentials" {
            check.nobody_signs_in();
        }
        check.urls();
        check.client();
        check.captures();
        check.refresh();
    }
    faults
}

/// The public fields that token endpoints tell.
pub(super) fn learned(manifest: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let plans = items(manifest, "plans").filter_map(|plan| auth(plan).get("oauth2"));
    plans.flat_map(|oauth| members(oauth.get("captures").unwrap_or(&Value::Null), "fields"))
}

/// Whether the host itself uses a slot to sign people in.
pub(super) fn uses(manifest: &Value, slot: &str) -> bool {
    let mut plans = items(manifest, "plans").filter_map(|plan| auth(plan).get("oauth2"));
    plans.any(|oauth| {
        let of = |pointer: &str| oauth.pointer(pointer).and_then(Value::as_str);
        [
            of("/clientSecret"),
            of("/callbackMac/slot"),
            of("/captures/refreshToken/slot"),
        ]
        .contains(&Some(slot))
    })
}

struct Check<'a> {
    manifest: &'a Value,
    plan: &'a Value,
    oauth: &'a Value,
    pointer: String,
    faults: &'a mut Vec<Issue>,
}

impl<'a> Check<'a> {
    fn fault(&mut self, place: &str, message: impl Into<String>) {
        let pointer = format!("{}/{place}", self.pointer);
        self.faults.push(issue(pointer, message));
    }

    fn has_input(&self, key: &str) -> bool {
        items(auth(self.plan), "inputs").any(|input| text(input, "key") == key)
    }

    fn has(&self, section: &str, name: &str) -> bool {
        members(self.manifest, section).any(|(known, _)| known == name)
    }

    /// What needs a person at the app, or what only he gets.
    fn nobody_signs_in(&mut self) {
        for place in [
            "authorizeUrl",
            "authorizeParameters",
            "tokenState",
            "deniedWhen",
            "issuer",
            "callbackMac",
            "captures/refreshToken",
        ] {
            let given = self.oauth.pointer(&format!("/{place}"));
            let nothing = [json!(false), json!({})];
            if given.is_some_and(|given| !nothing.contains(given)) {
                let message =
                    "is of people who sign in at the app; with `client-credentials` leave it out";
                self.fault(place, message);
            }
        }
    }

    fn urls(&mut self) {
        for name in ["authorizeUrl", "tokenUrl", "revokeUrl"] {
            let url = text(self.oauth, name);
            let host = url.strip_prefix("https://").unwrap_or_default();
            let host = host.split('/').next().unwrap_or_default();
            let field = |label: &'a str| label.strip_prefix('{')?.strip_suffix('}');
            if host.rsplit('.').take(2).any(|label| field(label).is_some()) {
                let message = "the last two labels of its host must be literal: the one who enters a field must not choose whose host it is";
                self.fault(name, message);
            }
            for field in host.split('.').filter_map(field) {
                let open = |input: &Value| matches!(text(input, "type"), "textfield" | "dropdown");
                let input = items(auth(self.plan), "inputs")
                    .any(|input| text(input, "key") == field && open(input));
                if !input && !self.has("fields", field) {
                    let message = format!(
                        "`{{{field}}}` is neither an input of this plan nor a setting; add an input of type textfield or dropdown with the key `{field}`, or a setting in `fields`"
                    );
                    self.fault(name, message);
                }
            }
            let declared = items(self.manifest, "hosts").any(|known| known == host);
            if !url.is_empty() && name != "authorizeUrl" && !declared {
                let message =
                    format!("`{host}` is not one of the hosts; add it to `hosts`, spelled alike");
                self.fault(name, message);
            }
        }
    }

    fn client(&mut self) {
        let id = text(self.oauth, "clientId");
        let is_client = text(auth(self.plan), "method") == "client-credentials";
        let entered = |name: &str| is_client && self.has_input(name);
        let secret_entered = entered(text(self.oauth, "clientSecret"));
        if !self.has("fields", id) && !entered(id) {
            let message = format!("there is no setting `{id}`; add `\"{id}\": {{}}` to `fields`");
            self.fault("clientId", message);
        }
        for place in ["clientSecret", "callbackMac/slot"] {
            let slot = self.oauth.pointer(&format!("/{place}"));
            if let Some(slot) = slot.and_then(Value::as_str) {
                let entered = place == "clientSecret" && secret_entered;
                self.slot(place, slot, if entered { "credential" } else { "app" });
            }
        }
        for (section, reserved) in [
            ("authorizeParameters", &AUTHORIZE[..]),
            ("tokenParameters", &TOKEN[..]),
        ] {
            for (name, _) in members(self.oauth, section) {
                if reserved.contains(&name) {
                    let place = format!("{section}/{}", escaped(name));
                    self.fault(&place, "is set by the host; leave it out");
                }
            }
        }
    }

    fn slot(&mut self, place: &str, slot: &str, scope: &str) {
        let found = members(self.manifest, "slots").find(|(name, _)| *name == slot);
        match found {
            Some((_, found)) if text(found, "scope") == scope => {}
            Some(_) => self.fault(place, format!("the slot `{slot}` must have the scope {scope}")),
            None => self.fault(
                place,
                format!("there is no slot `{slot}`; add `\"{slot}\": {{ \"scope\": \"{scope}\" }}` to `slots`"),
            ),
        }
    }

    fn captures(&mut self) {
        let slot = |name: &str| {
            let pointer = format!("/captures/{name}/slot");
            self.oauth.pointer(&pointer).and_then(Value::as_str)
        };
        let (access, refresh) = (slot("accessToken"), slot("refreshToken"));
        for (name, slot) in [("accessToken", access), ("refreshToken", refresh)] {
            let Some(slot) = slot else { continue };
            let place = format!("captures/{name}/slot");
            self.slot(&place, slot, "credential");
            if self.has_input(slot) {
                self.fault(&place, "is an input, too; rename one of them");
            }
        }
        if access.is_some() && access == refresh {
            let message = "is the slot of the access token; declare one for each";
            self.fault("captures/refreshToken/slot", message);
        }
        let captures = self.oauth.get("captures").unwrap_or(&Value::Null);
        for (name, field) in members(captures, "fields") {
            let place = format!("captures/fields/{name}");
            if self.has_input(name) || self.has("fields", name) || self.has("slots", name) {
                let message = "is an input, a setting or a slot, too; rename one of them";
                self.fault(&place, message);
            }
            if Regex::new(text(field, "pattern")).is_err() {
                let message = "is not a regular expression";
                self.fault(&format!("{place}/pattern"), message);
            }
        }
    }

    fn refresh(&mut self) {
        let captured = self.oauth.pointer("/captures/refreshToken").is_some();
        match (text(self.oauth, "refresh"), captured) {
            ("" | "none", true) => self.fault(
                "refresh",
                "a refresh token is captured; say `rotates` or `keeps`",
            ),
            ("rotates" | "keeps", false) => self.fault(
                "captures",
                "lacks `refreshToken`; say where it stands, or `\"refresh\": \"none\"`",
            ),
            ("" | "none", false) if self.oauth.get("refreshIdleDays").is_some() => {
                self.fault("refreshIdleDays", "there is no refresh token; leave it out");
            }
            _ => {}
        }
    }
}
