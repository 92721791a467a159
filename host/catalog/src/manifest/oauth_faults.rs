//! What the JSON Schema cannot see of the methods `oauth2` and `client-credentials`.

use super::plan::pattern_of;
use super::{AuthMethod, InputKind, Manifest, OAuth2, Plan, Refresh, SlotScope};
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

/// Everything that is wrong, in the manifest's order.
pub(super) fn faults(manifest: &Manifest) -> Vec<Issue> {
    let mut faults = Vec::new();
    for (at, plan) in manifest.plans.iter().enumerate() {
        let pointer = format!("/plans/{at}/auth/oauth2");
        match (&plan.auth.oauth2, plan.auth.method) {
            (Some(oauth), AuthMethod::OAuth2 | AuthMethod::ClientCredentials) => {
                let mut check = Check {
                    manifest,
                    plan,
                    oauth,
                    pointer,
                    faults: &mut faults,
                };
                check.all();
            }
            (Some(_), _) => faults.push(Issue::new(
                pointer,
                "goes with the methods `oauth2` and `client-credentials` only; leave it out",
            )),
            (None, _) => {}
        }
    }
    faults
}

struct Check<'a> {
    manifest: &'a Manifest,
    plan: &'a Plan,
    oauth: &'a OAuth2,
    pointer: String,
    faults: &'a mut Vec<Issue>,
}

impl Check<'_> {
    fn fault(&mut self, place: &str, message: impl Into<String>) {
        let pointer = format!("{}/{place}", self.pointer);
        self.faults.push(Issue::new(pointer, message));
    }

    fn all(&mut self) {
        if self.plan.auth.method == AuthMethod::ClientCredentials {
            self.nobody_signs_in();
        }
        self.urls();
        self.client();
        let oauth = self.oauth;
        let own = [
            (
                "authorizeParameters",
                &oauth.authorize_parameters,
                &AUTHORIZE[..],
            ),
            ("tokenParameters", &oauth.token_parameters, &TOKEN[..]),
        ];
        for (place, parameters, reserved) in own {
            for name in parameters
                .keys()
                .filter(|name| reserved.contains(&&***name))
            {
                let message = "is set by the host; leave it out";
                self.fault(&format!("{place}/{}", escaped(name)), message);
            }
        }
        self.captures();
        self.refresh();
    }

    /// What needs a person at the app, or what only he gets.
    fn nobody_signs_in(&mut self) {
        let oauth = self.oauth;
        let given = [
            ("authorizeUrl", oauth.authorize_url.is_some()),
            (
                "authorizeParameters",
                !oauth.authorize_parameters.is_empty(),
            ),
            ("tokenState", oauth.token_state),
            ("deniedWhen", !oauth.denied_when.is_empty()),
            ("issuer", oauth.issuer.is_some()),
            ("callbackMac", oauth.callback_mac.is_some()),
            (
                "captures/refreshToken",
                oauth.captures.refresh_token.is_some(),
            ),
        ];
        for (place, _) in given.into_iter().filter(|(_, given)| *given) {
            let message =
                "is of people who sign in at the app; with `client-credentials` leave it out";
            self.fault(place, message);
        }
    }

    fn urls(&mut self) {
        for (name, url) in self.oauth.urls() {
            for field in url.host.fields() {
                let input = self.plan.auth.inputs.iter().any(|input| {
                    input.key == field
                        && matches!(input.kind, InputKind::TextField | InputKind::Dropdown)
                });
                if !input && !self.manifest.fields.contains_key(field) {
                    let message = format!(
                        "`{{{field}}}` is neither an input of this plan nor a setting; add an input of type textfield \
                         or dropdown with the key `{field}`, or a setting in `fields`"
                    );
                    self.fault(name, message);
                }
            }
            // The person's browser goes to the first, the host to the others.
            if name != "authorizeUrl" && !self.manifest.hosts.contains(&url.host) {
                let host = &url.host;
                let message =
                    format!("`{host}` is not one of the hosts; add it to `hosts`, spelled alike");
                self.fault(name, message);
            }
        }
    }

    fn client(&mut self) {
        let id = &self.oauth.client_id;
        let entered = |name: &str| {
            let mut inputs = self.plan.auth.inputs.iter();
            let entered = inputs.any(|input| input.key == name);
            entered && self.plan.auth.method == AuthMethod::ClientCredentials
        };
        let (id_entered, secret) = (entered(id), self.oauth.client_secret.as_ref());
        let secret = secret.map(|secret| (secret, entered(secret)));
        if !self.manifest.fields.contains_key(id) && !id_entered {
            self.fault(
                "clientId",
                format!("there is no setting `{id}`; add `\"{id}\": {{}}` to `fields`"),
            );
        }
        if let Some((secret, entered)) = secret {
            let scope = if entered {
                SlotScope::Credential
            } else {
                SlotScope::App
            };
            self.slot("clientSecret", secret, scope);
        }
        if let Some(mac) = &self.oauth.callback_mac {
            self.slot("callbackMac/slot", &mac.slot, SlotScope::App);
        }
    }

    fn slot(&mut self, place: &str, slot: &str, scope: SlotScope) {
        let wanted = match scope {
            SlotScope::App => "app",
            SlotScope::Credential => "credential",
            SlotScope::Subscription => "subscription",
        };
        match self.manifest.slots.get(slot).map(|slot| slot.scope) {
            Some(found) if found == scope => {}
            Some(_) => self.fault(place, format!("the slot `{slot}` must have the scope {wanted}")),
            None => self.fault(
                place,
                format!("there is no slot `{slot}`; add `\"{slot}\": {{ \"scope\": \"{wanted}\" }}` to `slots`"),
            ),
        }
    }

    fn captures(&mut self) {
        let oauth = self.oauth;
        for (name, capture) in oauth.tokens() {
            let place = format!("captures/{name}/slot");
            self.slot(&place, &capture.slot, SlotScope::Credential);
            let mut inputs = self.plan.auth.inputs.iter();
            if inputs.any(|input| input.key == capture.slot) {
                self.fault(&place, "is an input, too; rename one of them");
            }
        }
        let refresh = oauth.captures.refresh_token.as_ref();
        if refresh.is_some_and(|one| one.slot == oauth.captures.access_token.slot) {
            let message = "is the slot of the access token; declare one for each";
            self.fault("captures/refreshToken/slot", message);
        }
        for (name, field) in &oauth.captures.fields {
            let place = format!("captures/fields/{name}");
            let mut inputs = self.plan.auth.inputs.iter();
            let taken = inputs.any(|input| input.key == *name)
                || self.manifest.fields.contains_key(name)
                || self.manifest.slots.contains_key(name);
            if taken {
                self.fault(
                    &place,
                    "is an input, a setting or a slot, too; rename one of them",
                );
            }
            if field
                .pattern
                .as_deref()
                .is_some_and(|it| pattern_of(it).is_err())
            {
                self.fault(&format!("{place}/pattern"), "is not a regular expression");
            }
        }
    }

    fn refresh(&mut self) {
        let captured = self.oauth.captures.refresh_token.is_some();
        match (self.oauth.refresh, captured) {
            (Refresh::None, true) => self.fault(
                "refresh",
                "a refresh token is captured; say `rotates` or `keeps`",
            ),
            (Refresh::Rotates | Refresh::Keeps, false) => self.fault(
                "captures",
                "lacks `refreshToken`; say where it stands, or `\"refresh\": \"none\"`",
            ),
            (Refresh::None, false) if self.oauth.refresh_idle_days.is_some() => {
                self.fault("refreshIdleDays", "there is no refresh token; leave it out")
            }
            _ => {}
        }
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
