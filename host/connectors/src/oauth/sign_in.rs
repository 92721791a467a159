//! Signing in: the address that a person is sent to, and what comes back from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rollout_catalog::Issue;
use rollout_catalog::manifest::{AuthMethod, CallbackMac, OAuth2, Plan, UrlPattern};
use rollout_egress::{self as egress, Access, MacAlgorithm};
use rollout_store::{Consumer, NewTokens, OAuthState, StoreError};
use rollout_vault::VaultError;
use serde_json::{Map, Value};

use super::endpoint::{TokenEndpoint, TokenError, client_of};
use super::state::{Pending, hash, new_state, random};
use crate::attempt::{Attempt, Wish};
use crate::connect::{check_flags, plan};
use crate::environment::{Environment, Live};
use crate::inputs::Inputs;
use crate::outbound::Cause;
use crate::{ConnectError, Connector, Connectors};

/// How long a person may take to sign in and consent.
const LIFE: Duration = Duration::from_secs(10 * 60);

/// What a consumer sends to connect an account by signing in.
#[derive(Debug, Default)]
pub struct SignIn {
    /// The app, however its key is spelled.
    pub app_key: String,
    /// The plan; the manifest's first of the method `oauth2` without it.
    pub plan: Option<String>,
    /// What the person entered.
    pub custom_params: Map<String, Value>,
    /// What is opted in to.
    pub entities_to_sync: Option<Map<String, Value>>,
    /// The origin of the page that began it, if it is known.
    pub opener: Option<String>,
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the person signs in.
    pub url: String,
    /// What the window that began it knows the outcome by.
    pub request_id: String,
}

/// A sign-in that the app's redirect came back to.
pub struct Finished {
    /// What the window that began it knows it by; none if it is not known here.
    pub request_id: Option<String>,
    /// The origin of the page that it is told to, if it is known.
    pub opener: Option<String>,
    /// The account, or why it is not connected.
    pub outcome: Result<Arc<Live>, SignInError>,
}

/// Why signing in did not connect an account. Texts are for the person who did it.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// There is no sign-in of this state.
    #[error("This sign-in is not known here. Go back to where you came from and begin again.")]
    Unknown,
    /// It took too long.
    #[error("This sign-in took longer than ten minutes. Go back and begin again.")]
    Expired,
    /// Its redirect came before.
    #[error("This sign-in has been used already. Go back and begin again if it did not work.")]
    Used,
    /// The environment may only be read.
    #[error("Accounts can't be connected here at the moment.")]
    Held,
    /// The connector is gone or another one than it was begun with.
    #[error("What connects this app was changed meanwhile. Go back and begin again.")]
    Changed,
    /// The person refused.
    #[error("{app} was not allowed to be connected.")]
    Denied {
        /// The app's name.
        app: String,
    },
    /// The app says that something is wrong.
    #[error("{app} ended the sign-in: {said}")]
    Said {
        /// The app's name.
        app: String,
        /// In its words.
        said: String,
    },
    /// The redirect is not the app's.
    #[error("What came back is not from {app}: {problem}. Go back and begin again.")]
    Forged {
        /// The app's name.
        app: String,
        /// What is wrong.
        problem: String,
    },
    /// The token endpoint gave no tokens.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The account was not recognised or not stored.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Connect(error.into())
    }
}

impl From<VaultError> for SignInError {
    fn from(error: VaultError) -> Self {
        Self::Connect(error.into())
    }
}

impl Connectors {
    /// Begins to connect an account by signing in. `redirect_url` is where the app sends
    /// the person back to, exactly as the app knows it.
    pub async fn begin_sign_in(
        &self,
        environment: &Environment,
        consumer: &Consumer,
        sign_in: SignIn,
        redirect_url: &str,
    ) -> Result<Begun, ConnectError> {
        let connector = self
            .find(environment, &sign_in.app_key)
            .ok_or(ConnectError::UnknownConnector(sign_in.app_key))?;
        let (plan, oauth, authorize_url) = oauth_plan(&connector, sign_in.plan.as_deref())?;
        if let Some(flags) = &sign_in.entities_to_sync {
            check_flags(self.catalog(), flags)?;
        }
        let inputs = Inputs::check(&plan.auth.inputs, &sign_in.custom_params);
        let inputs = inputs.map_err(|issues| ConnectError::Invalid(of_params(issues)))?;
        let settings = environment.settings_of(connector.key());
        let client_id = client_of(&connector, oauth, &inputs.fields, &settings)
            .map_err(|problem| wrong("/appKey", problem.to_string()))?;
        let field = |name: &str| {
            let own = inputs.fields.get(name);
            own.or_else(|| settings.fields.get(name)).cloned()
        };
        let url = authorize_url;
        let address = url.resolve(field);
        let address = address.and_then(|text| url::Url::parse(&text).ok());
        let mut address = address.ok_or_else(|| {
            wrong(
                "/customParams",
                format!("{url} needs values that are parts of a host name"),
            )
        })?;

        let state = new_state(&environment.client_id);
        let verifier = oauth.pkce.then(random);
        {
            let mut query = address.query_pairs_mut();
            query.append_pair("response_type", &oauth.response_type);
            query.append_pair("client_id", &client_id);
            query.append_pair("redirect_uri", redirect_url);
            if !oauth.scopes.is_empty() {
                query.append_pair("scope", &oauth.scopes.join(&oauth.separator));
            }
            query.append_pair("state", &state);
            if let Some(verifier) = &verifier {
                query.append_pair("code_challenge", &hash(verifier));
                query.append_pair("code_challenge_method", "S256");
            }
            query.extend_pairs(&oauth.authorize_parameters);
        }
        let pending = Pending {
            consumer: consumer.key.clone(),
            connector: connector.key().to_owned(),
            version: connector.manifest.version.to_string(),
            plan: plan.key.clone(),
            fields: inputs.fields,
            secrets: inputs.secrets,
            entities_to_sync: sign_in.entities_to_sync,
            verifier,
            redirect_url: redirect_url.to_owned(),
            opener: sign_in.opener,
        };
        let (hash, request_id) = (hash(&state), random());
        let text = serde_json::to_string(&pending).map_err(StoreError::from)?;
        let sealed = environment.seal_sign_in(&hash, &text)?;
        let store = environment.store();
        store.begin_oauth(&hash, &request_id, &sealed, LIFE).await?;
        Ok(Begun {
            url: address.into(),
            request_id,
        })
    }

    /// Ends a sign-in with the parameters of the app's redirect, `state` among them.
    pub async fn finish_sign_in(
        &self,
        environment: &Environment,
        parameters: &[(String, String)],
        cause: &Cause,
    ) -> Finished {
        let told = |request_id, outcome| Finished {
            request_id,
            opener: None,
            outcome,
        };
        let Some(state) = single(parameters, "state") else {
            return told(None, Err(SignInError::Unknown));
        };
        let hash = hash(state);
        let (request_id, sealed) = match environment.store().use_oauth(&hash).await {
            Ok(OAuthState::Unknown) => return told(None, Err(SignInError::Unknown)),
            Ok(OAuthState::Expired { request_id }) => {
                return told(Some(request_id), Err(SignInError::Expired));
            }
            Ok(OAuthState::Used { request_id }) => {
                return told(Some(request_id), Err(SignInError::Used));
            }
            Ok(OAuthState::Fresh { request_id, sealed }) => (request_id, sealed),
            Err(error) => return told(None, Err(error.into())),
        };
        let pending = match pending(environment, &hash, &sealed) {
            Ok(pending) => pending,
            Err(error) => return told(Some(request_id), Err(error)),
        };
        Finished {
            request_id: Some(request_id),
            opener: pending.opener.clone(),
            outcome: self
                .go_on(environment, pending, parameters, state, cause)
                .await,
        }
    }

    async fn go_on(
        &self,
        environment: &Environment,
        pending: Pending,
        parameters: &[(String, String)],
        state: &str,
        cause: &Cause,
    ) -> Result<Arc<Live>, SignInError> {
        if environment.is_held() {
            return Err(SignInError::Held);
        }
        let connector = self.find(environment, &pending.connector);
        let connector = connector.ok_or(SignInError::Changed)?;
        if connector.manifest.version.to_string() != pending.version {
            return Err(SignInError::Changed);
        }
        let plan = plan(&connector, Some(&pending.plan)).map_err(|_| SignInError::Changed)?;
        let oauth = plan.oauth2().ok_or(SignInError::Changed)?;
        let code = returned_code(environment, &connector, oauth, parameters)?;
        let endpoint = TokenEndpoint {
            egress: self.egress(),
            limits: self.limits(),
            environment,
            connector: &connector,
            plan: &plan.key,
            oauth,
            fields: &pending.fields,
            entered: &pending.secrets,
            live: None,
            cause,
        };
        let granted = endpoint
            .redeem(
                code,
                pending.verifier.as_deref(),
                &pending.redirect_url,
                state,
            )
            .await?;
        let tokens = NewTokens { life: granted.life };
        let mut inputs = Inputs {
            fields: pending.fields.clone(),
            secrets: pending.secrets,
        };
        inputs.fields.extend(granted.fields);
        inputs.secrets.extend(granted.secrets);
        let attempt = Attempt {
            connectors: self,
            environment,
            connector: &connector,
            plan,
            cause,
        };
        let wish = Wish::Connect {
            consumer: pending.consumer,
            entities_to_sync: pending.entities_to_sync,
        };
        Ok(attempt.fulfil(wish, &inputs, Some(tokens)).await?)
    }

    /// Gives the tokens of an account that is forgotten back to its app, if it takes
    /// them. What fails is in the log.
    pub async fn revoke_tokens(&self, environment: &Environment, live: &Live, cause: &Cause) {
        let credential = &live.credential;
        let Some(connector) = self.find(environment, &credential.app_key) else {
            return;
        };
        let plan = connector.manifest.plan(&credential.plan);
        let Some(oauth) = plan.and_then(Plan::oauth2) else {
            return;
        };
        let Some(url) = oauth.revoke_url.as_ref().filter(|_| !environment.is_held()) else {
            return;
        };
        // Many apps take the whole consent back with a token: another consumer's, too.
        let same = |other: &Arc<Live>| {
            let other = &other.credential;
            other.app_key == credential.app_key && other.external_id == credential.external_id
        };
        if environment.credentials().iter().any(same) {
            return;
        }
        let captures = &oauth.captures;
        let token = captures.refresh_token.as_ref();
        let slot = &token.unwrap_or(&captures.access_token).slot;
        let endpoint = TokenEndpoint {
            egress: self.egress(),
            limits: self.limits(),
            environment,
            connector: &connector,
            plan: &credential.plan,
            oauth,
            fields: live.fields(),
            entered: &BTreeMap::new(),
            live: Some(live),
            cause,
        };
        let revoked = match environment.secret(live, slot) {
            Ok(Some(token)) => endpoint.revoke(url, token).await,
            Ok(None) => return,
            Err(error) => Err(error.into()),
        };
        let id = &credential.id;
        match revoked {
            Ok(200..300) => {}
            Ok(status) => tracing::warn!(credential = id, status, "the app took no token back"),
            Err(error) => tracing::warn!(credential = id, %error, "the app took no token back"),
        }
    }
}

/// What was stored when a sign-in began.
fn pending(environment: &Environment, hash: &str, sealed: &str) -> Result<Pending, SignInError> {
    let text = environment.open_sign_in(hash, sealed)?;
    Ok(serde_json::from_slice(text.expose()).map_err(StoreError::from)?)
}

/// Whether accounts can be connected by a plan: the operator has set up its client, or it
/// needs none.
pub fn is_set_up(environment: &Environment, connector: &Connector, plan: &Plan) -> bool {
    let Some(oauth) = plan.oauth2() else {
        return true;
    };
    let settings = environment.settings_of(connector.key());
    let inputs = plan.auth.inputs.iter();
    let entered = inputs.map(|input| (input.key.clone(), String::new()));
    client_of(connector, oauth, &entered.collect(), &settings).is_ok()
}

fn oauth_plan<'a>(
    connector: &'a Connector,
    key: Option<&str>,
) -> Result<(&'a Plan, &'a OAuth2, &'a UrlPattern), ConnectError> {
    let found = match key {
        Some(key) => plan(connector, Some(key))?,
        None => {
            let mut plans = connector.manifest.plans.iter();
            let found = plans.find(|plan| plan.auth.method == AuthMethod::OAuth2);
            let app = &connector.manifest.name;
            found.ok_or_else(|| {
                wrong(
                    "/appKey",
                    format!("{app} is not connected by signing in: POST /api/credentials"),
                )
            })?
        }
    };
    let oauth = found.oauth2();
    let signs_in = oauth.and_then(|oauth| Some((oauth, oauth.authorize_url.as_ref()?)));
    let (oauth, authorize_url) = signs_in.ok_or_else(|| {
        let key = &found.key;
        wrong(
            "/plan",
            format!("the plan `{key}` is not connected by signing in: POST /api/credentials"),
        )
    })?;
    Ok((found, oauth, authorize_url))
}

fn wrong(pointer: &str, message: String) -> ConnectError {
    ConnectError::Invalid(vec![Issue {
        pointer: pointer.to_owned(),
        message,
    }])
}

/// Complaints about inputs with the name that the body has for them.
fn of_params(issues: Vec<Issue>) -> Vec<Issue> {
    let issues = issues.into_iter().map(|Issue { pointer, message }| Issue {
        pointer: pointer.replacen("/userInputs", "/customParams", 1),
        message,
    });
    issues.collect()
}

/// The value of a parameter that is there once.
fn single<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = parameters.iter().filter(|(known, _)| known == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// The code that the app sent the person back with.
fn returned_code<'a>(
    environment: &Environment,
    connector: &Connector,
    oauth: &OAuth2,
    parameters: &'a [(String, String)],
) -> Result<&'a str, SignInError> {
    let app = || connector.manifest.name.clone();
    let forged = |problem: &str| SignInError::Forged {
        app: app(),
        problem: problem.to_owned(),
    };
    if let Some(mac) = &oauth.callback_mac {
        let key = environment.app_secret(connector, &mac.slot)?;
        if !key.is_some_and(|key| is_signed(mac, key, parameters)) {
            return Err(forged("its code over itself is missing or wrong"));
        }
    }
    if let Some(issuer) = &oauth.issuer
        && single(parameters, "iss") != Some(issuer)
    {
        return Err(forged("it names another issuer"));
    }
    let denied = &oauth.denied_when;
    let mut said = denied
        .iter()
        .map(|(name, value)| single(parameters, name) == Some(value));
    if !denied.is_empty() && said.all(|it| it) {
        return Err(SignInError::Denied { app: app() });
    }
    match single(parameters, "error") {
        Some("access_denied") => return Err(SignInError::Denied { app: app() }),
        Some(error) => {
            let described = single(parameters, "error_description").unwrap_or_default();
            let said: String = format!("{error} {described}")
                .chars()
                .filter(|one| !one.is_control())
                .take(200)
                .collect();
            return Err(SignInError::Said {
                app: app(),
                said: said.trim().to_owned(),
            });
        }
        None => {}
    }
    let code = single(parameters, "code").filter(|code| !code.is_empty());
    code.ok_or_else(|| forged("it has no code"))
}

/// Whether the redirect's code over itself was made with this key.
fn is_signed(mac: &CallbackMac, key: egress::Secret, parameters: &[(String, String)]) -> bool {
    let Some(code) = single(parameters, &mac.parameter).and_then(unhex) else {
        return false;
    };
    let mut lines: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| *name != mac.parameter)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    lines.sort();
    let slot = egress::Slot {
        scope: egress::Scope::App,
        signing: true,
        withheld: false,
        values: vec![key],
    };
    let access = Access::new(
        egress::Policy::default(),
        BTreeMap::from([(mac.slot.clone(), slot)]),
    );
    let data = lines.join("&");
    let verified = access.verify_mac(
        egress::Scope::App,
        &mac.slot,
        MacAlgorithm::HmacSha256,
        data.as_bytes(),
        &code,
    );
    verified.unwrap_or(false)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|one| one.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    rest.is_empty().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Vec<(String, String)> {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        pairs.into_owned().collect()
    }

    #[test]
    fn a_redirect_of_shopify_is_known_by_its_code() {
        let mac = CallbackMac {
            parameter: "hmac".into(),
            slot: "clientSecret".into(),
        };
        // The example of Shopify's documentation.
        let good = "code=0907a61c0c8d55e99db179b68161bc00&hmac=700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf\
                    &shop=some-shop.myshopify.com&state=0.6784241404160823&timestamp=1337178173";
        let signed = |text: &str| {
            is_signed(
                &mac,
                egress::Secret::from("hush".to_owned()),
                &parameters(text),
            )
        };
        assert!(signed(good));
        assert!(!signed(&good.replace("some-shop", "other-shop")));
        assert!(!signed(&good.replace("hmac=7", "hmac=8")));
        assert!(!signed(&good.replace("hmac=", "hmac=zz")));
        assert!(!signed(&good.replace("hmac=", "other=")));
        assert!(!signed(&format!("{good}&hmac=00")));
    }

    #[test]
    fn what_is_there_twice_is_not_there() {
        assert_eq!(single(&parameters("a=1&b=2"), "a"), Some("1"));
        assert_eq!(single(&parameters("a=1&a=1"), "a"), None);
        assert_eq!(single(&parameters("b=1"), "a"), None);
    }
}
