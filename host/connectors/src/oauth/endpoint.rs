//! The app's token endpoint: one request, and what its answer means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rollout_catalog::manifest::{ClientAuth, OAuth2, SlotScope, UrlPattern};
use rollout_egress::{
    self as egress, Access, CallLimits, Capture, Egress, Failure, Grant, Response, Source,
};
use rollout_vault::VaultError;
use serde_json::Value;

use crate::environment::{Environment, Live, Settings};
use crate::outbound::{Cause, Rates};
use crate::policy::{self, Fields};
use crate::registry::Connector;

/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(30);
const LARGEST: u64 = 256 * 1024;
/// Longest text of an app that people are shown.
const SHOWN: usize = 200;

/// Slots that no manifest declares: their names have a space.
const CLIENT_ID: &str = "client id";

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The operator has not set it up.
    #[error("signing in at {app} is not set up here: {problem}")]
    NotConfigured {
        /// The app's name.
        app: String,
        /// What is missing.
        problem: String,
    },
    /// The app says that code or refresh token are no longer good.
    #[error("{app} no longer accepts this sign-in: {said}")]
    Refused {
        /// The app's name.
        app: String,
        /// In its words.
        said: String,
    },
    /// The app refuses for another reason.
    #[error("{app} answered {status} when it was asked for tokens: {said}")]
    Said {
        /// The app's name.
        app: String,
        /// The HTTP status.
        status: u16,
        /// In its words.
        said: String,
        /// When to ask again, if it says so.
        retry_after: Option<Duration>,
    },
    /// The connector could not sign in again.
    #[error("{app} could not be signed in to again: {said}")]
    NotSignedIn {
        /// The app's name.
        app: String,
        /// Why.
        said: String,
        /// When to try again, if it is known.
        retry_after: Option<Duration>,
    },
    /// No answer came.
    #[error("{app} could not be asked for tokens: {failure}")]
    Failed {
        /// The app's name.
        app: String,
        /// What happened.
        failure: Failure,
    },
    /// A secret can't be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// What a token endpoint gave.
pub(crate) struct Granted {
    /// Tokens by slot.
    pub(crate) secrets: BTreeMap<String, String>,
    /// How long the access token is good, if that is known.
    pub(crate) life: Option<Duration>,
    /// The public fields that were told.
    pub(crate) fields: Fields,
}

/// A token endpoint, and who asks it.
pub(crate) struct TokenEndpoint<'a> {
    pub(crate) egress: &'a Egress,
    pub(crate) limits: CallLimits,
    pub(crate) environment: &'a Environment,
    pub(crate) connector: &'a Connector,
    pub(crate) plan: &'a str,
    pub(crate) oauth: &'a OAuth2,
    /// The credential's public fields.
    pub(crate) fields: &'a Fields,
    /// The secrets that a person has just entered, by slot.
    pub(crate) entered: &'a BTreeMap<String, String>,
    /// The credential; none while it is being connected.
    pub(crate) live: Option<&'a Live>,
    pub(crate) cause: &'a Cause,
}

/// A field of the form that holds a secret.
pub(super) struct SecretField {
    pub(super) name: &'static str,
    pub(super) value: egress::Secret,
}

/// What a request is made of.
struct Prepared {
    url: String,
    access: Access,
    secrets: Vec<egress::Placement>,
    form: Vec<(String, String)>,
}

/// The client at an app: the environment's, or the one that a person entered.
pub(super) fn client_of(
    connector: &Connector,
    oauth: &OAuth2,
    entered: &Fields,
    settings: &Settings,
) -> Result<String, TokenError> {
    let missing = |problem: String| TokenError::NotConfigured {
        app: connector.manifest.name.clone(),
        problem,
    };
    let key = connector.key();
    let id = entered.get(&oauth.client_id);
    let Some(id) = id.or_else(|| settings.fields.get(&oauth.client_id)) else {
        let name = &oauth.client_id;
        return Err(missing(format!(
            "`rollout connector configure {key} --env NAME {name}=…` sets the client id"
        )));
    };
    if let Some(slot) = app_slot(connector, oauth) {
        let set = format!("`rollout connector configure {key} --env NAME {slot}=-` sets it");
        if !settings.slots.contains_key(slot) {
            return Err(missing(format!("the client secret is missing; {set}")));
        }
        let wanted = oauth.token_url.origin();
        let entered_for = settings.fields.get(&secret_origin_field(slot));
        if let Some(other) = entered_for.filter(|origin| **origin != wanted) {
            return Err(missing(format!(
                "the client secret was entered for {other}, and would go to {wanted}; {set} anew"
            )));
        }
    }
    Ok(id.clone())
}

/// The slot of the client secret, if the operator enters it.
fn app_slot<'a>(connector: &Connector, oauth: &'a OAuth2) -> Option<&'a String> {
    let slot = oauth.client_secret.as_ref()?;
    let declared = connector.manifest.slots.get(slot)?;
    (declared.scope == SlotScope::App).then_some(slot)
}

/// The setting that says for which origin a client secret was entered. No manifest can
/// declare it.
pub fn secret_origin_field(slot: &str) -> String {
    format!("{slot}@origin")
}

impl TokenEndpoint<'_> {
    /// Turns a code into tokens.
    pub(super) async fn redeem(
        &self,
        code: &str,
        verifier: Option<&str>,
        redirect_url: &str,
        state: &str,
    ) -> Result<Granted, TokenError> {
        let mut form = vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("redirect_uri".to_owned(), redirect_url.to_owned()),
        ];
        if self.oauth.token_state {
            form.push(("state".to_owned(), state.to_owned()));
        }
        let secret = |name, text: &str| SecretField {
            name,
            value: egress::Secret::from(text.to_owned()),
        };
        let mut secrets = vec![secret("code", code)];
        secrets.extend(verifier.map(|verifier| secret("code_verifier", verifier)));
        self.ask(&self.oauth.token_url, form, secrets).await
    }

    /// Turns a refresh token into tokens.
    pub(super) async fn refresh(&self, token: egress::Secret) -> Result<Granted, TokenError> {
        let form = vec![("grant_type".to_owned(), "refresh_token".to_owned())];
        let token = SecretField {
            name: "refresh_token",
            value: token,
        };
        self.ask(&self.oauth.token_url, form, vec![token]).await
    }

    /// Gets a token for the client itself (RFC 6749, 4.4).
    pub(crate) async fn grant(&self) -> Result<Granted, TokenError> {
        let mut form = vec![("grant_type".to_owned(), "client_credentials".to_owned())];
        if !self.oauth.scopes.is_empty() {
            let scopes = self.oauth.scopes.join(&self.oauth.separator);
            form.push(("scope".to_owned(), scopes));
        }
        self.ask(&self.oauth.token_url, form, Vec::new()).await
    }

    /// The client secret: the operator's, what was just entered, or what is stored.
    fn client_secret(&self, slot: &str) -> Result<Option<egress::Secret>, VaultError> {
        if app_slot(self.connector, self.oauth).is_some() {
            return self.environment.app_secret(self.connector, slot);
        }
        match (self.entered.get(slot), self.live) {
            (Some(entered), _) => Ok(Some(egress::Secret::from(entered.clone()))),
            (None, Some(live)) => self.environment.secret(live, slot),
            (None, None) => Ok(None),
        }
    }

    /// Gives a token back.
    pub(super) async fn revoke(
        &self,
        url: &UrlPattern,
        token: egress::Secret,
    ) -> Result<u16, TokenError> {
        let token = SecretField {
            name: "token",
            value: token,
        };
        let prepared = self.prepare(url, Vec::new(), vec![token])?;
        let (response, _) = self.send(prepared).await?;
        Ok(response.status)
    }

    async fn ask(
        &self,
        url: &UrlPattern,
        mut form: Vec<(String, String)>,
        secrets: Vec<SecretField>,
    ) -> Result<Granted, TokenError> {
        let own = self.oauth.token_parameters.iter();
        form.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        let prepared = self.prepare(url, form, secrets)?;
        let (response, taken) = self.send(prepared).await?;
        self.read(&response, taken)
    }

    fn prepare(
        &self,
        url: &UrlPattern,
        mut form: Vec<(String, String)>,
        secrets: Vec<SecretField>,
    ) -> Result<Prepared, TokenError> {
        let settings = self.environment.settings_of(self.connector.key());
        let client_id = client_of(self.connector, self.oauth, self.fields, &settings)?;
        let field = |name: &str| {
            let own = self.fields.get(name);
            own.or_else(|| settings.fields.get(name)).cloned()
        };
        let Some(address) = url.resolve(field) else {
            return Err(TokenError::NotConfigured {
                app: self.connector.manifest.name.clone(),
                problem: format!("{url} has a field without a value"),
            });
        };
        let mut placed: Vec<(String, egress::Scope, egress::Secret, egress::Place)> = Vec::new();
        for SecretField { name, value } in secrets {
            let place = egress::Place::FormField(name.to_owned());
            placed.push((
                format!("form {name}"),
                egress::Scope::Credential,
                value,
                place,
            ));
        }
        let secret = match &self.oauth.client_secret {
            None => None,
            Some(slot) => {
                let opened = self.client_secret(slot)?;
                opened.map(|secret| (slot.clone(), secret))
            }
        };
        match (self.oauth.client_auth, secret) {
            (ClientAuth::Basic, Some((slot, secret))) => {
                let id = egress::Secret::from(client_id);
                let (user, password) = (egress::Place::BasicUser, egress::Place::BasicPassword);
                placed.push((CLIENT_ID.to_owned(), egress::Scope::App, id, user));
                placed.push((slot, egress::Scope::App, secret, password));
            }
            (_, secret) => {
                form.push(("client_id".to_owned(), client_id));
                if let Some((slot, secret)) = secret {
                    let place = egress::Place::FormField("client_secret".to_owned());
                    placed.push((slot, egress::Scope::App, secret, place));
                }
            }
        }
        let mut rules = policy::rules(
            &self.connector.manifest,
            self.plan,
            self.fields,
            &settings.fields,
        );
        rules.placements.clear();
        rules.bindings = placed
            .iter()
            .map(|(slot, _, _, place)| egress::Binding {
                slot: slot.clone(),
                host: url.host.as_str().to_owned(),
                methods: Some(vec!["POST".to_owned()]),
                paths: Some(vec![url.path.clone()]),
                place: place.clone(),
            })
            .collect();
        let secrets = placed
            .iter()
            .map(|(slot, _, _, place)| egress::Placement {
                slot: slot.clone(),
                prefix: String::new(),
                place: place.clone(),
                optional: false,
            })
            .collect();
        let mut slots: BTreeMap<String, egress::Slot> = placed
            .into_iter()
            .map(|(slot, scope, value, _)| (slot, slot_with(scope, Some(value))))
            .collect();
        for (_, token) in self.oauth.tokens() {
            let empty = || slot_with(egress::Scope::Credential, None);
            slots.entry(token.slot.clone()).or_insert_with(empty);
        }
        Ok(Prepared {
            url: address,
            access: Access::new(rules, slots),
            secrets,
            form,
        })
    }

    /// Sends it, and takes the tokens out of the answer.
    async fn send(
        &self,
        prepared: Prepared,
    ) -> Result<(Response, BTreeMap<String, egress::Secret>), TokenError> {
        let tokens = || self.oauth.tokens().map(|(_, token)| token);
        let capturable: BTreeSet<String> = tokens().map(|token| token.slot.clone()).collect();
        let grant = Grant::new(Arc::new(prepared.access), capturable, self.limits);
        let credential = self.live.map(|live| &live.credential);
        let rates = Rates::of(&self.connector.manifest, credential);
        let id = credential.map(|credential| credential.id.as_str());
        let outbound = self.environment.outbound();
        let grant = outbound.watch(grant, rates, id, self.cause);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = egress::Request {
            method: "POST".to_owned(),
            url: prepared.url,
            headers: vec![
                header("accept", "application/json"),
                header("content-type", "application/x-www-form-urlencoded"),
            ],
            body: Some(Bytes::from(encoded(&prepared.form))),
            secrets: prepared.secrets,
            capture: tokens()
                .map(|token| Capture {
                    slot: token.slot.clone(),
                    source: Source::JsonPointer(token.pointer.clone()),
                })
                .collect(),
            timeout: Some(PATIENCE),
            max_bytes: Some(LARGEST),
            ..egress::Request::default()
        };
        let response = self.egress.send(&grant, request).await;
        let response = response.map_err(|failure| TokenError::Failed {
            app: self.connector.manifest.name.clone(),
            failure,
        })?;
        Ok((response, grant.take_captured()))
    }

    fn read(
        &self,
        response: &Response,
        taken: BTreeMap<String, egress::Secret>,
    ) -> Result<Granted, TokenError> {
        let document: Option<Value> = serde_json::from_slice(&response.body).ok();
        let at = |pointer: &str| document.as_ref().and_then(|it| it.pointer(pointer));
        let captures = &self.oauth.captures;
        let succeeded = (200..300).contains(&response.status);
        if !succeeded || !taken.contains_key(&captures.access_token.slot) {
            let error = at(&self.oauth.error_pointer).and_then(Value::as_str);
            let described = at("/error_description").and_then(Value::as_str);
            return Err(self.refusal(response, error, described, document.is_some()));
        }
        let seconds = captures.expires_in.as_deref().and_then(at);
        let seconds = seconds.and_then(|value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        let seconds = seconds
            .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
            .or(self.oauth.expires_in.map(f64::from));
        let mut fields = Fields::new();
        for (name, learned) in &captures.fields {
            let text = match at(&learned.pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => continue,
            };
            let Some(value) = learned.value(&text) else {
                let said =
                    format!("its answer has a `{name}` that is not of the form it should have");
                return Err(self.said(response, said));
            };
            fields.insert(name.clone(), value);
        }
        Ok(Granted {
            secrets: taken
                .into_iter()
                .map(|(slot, secret)| (slot, secret.expose().to_owned()))
                .collect(),
            // More than ten years is as good as for ever.
            life: seconds.map(|seconds| Duration::from_secs_f64(seconds.min(315_360_000.0))),
            fields,
        })
    }

    fn refusal(
        &self,
        response: &Response,
        error: Option<&str>,
        described: Option<&str>,
        is_json: bool,
    ) -> TokenError {
        let said = match (error, described) {
            (Some(error), Some(described)) => format!("{error}, {described}"),
            (Some(error), None) => error.to_owned(),
            (None, _) if response.body.is_empty() => "the answer is empty".to_owned(),
            (None, _) if !is_json => "the answer is not JSON".to_owned(),
            (None, _) => "the answer has no token".to_owned(),
        };
        if error.is_some_and(|error| self.oauth.refuses(error)) {
            return TokenError::Refused {
                app: self.connector.manifest.name.clone(),
                said: short(&said),
            };
        }
        self.said(response, said)
    }

    fn said(&self, response: &Response, said: String) -> TokenError {
        let mut headers = response.headers.iter();
        let retry_after = headers
            .find(|(name, _)| name == "retry-after")
            .and_then(|(_, value)| value.parse().ok())
            .map(Duration::from_secs);
        TokenError::Said {
            app: self.connector.manifest.name.clone(),
            status: response.status,
            said: short(&said),
            retry_after,
        }
    }
}

fn encoded(form: &[(String, String)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(form).finish()
}

fn slot_with(scope: egress::Scope, value: Option<egress::Secret>) -> egress::Slot {
    egress::Slot {
        scope,
        signing: false,
        withheld: false,
        values: value.into_iter().collect(),
    }
}

/// A text of the app in one line of bearable length.
fn short(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one })
        .take(SHOWN)
        .collect();
    line.trim().to_owned()
}
