//! OAuth 2 as an app speaks it: addresses, parameters, and where tokens stand.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::plan::pattern_of;
use super::{BadHost, HostPattern, Plan};

/// How tokens are got: for people who sign in at the app, or by a client that was entered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// Where the person signs in and consents; none with `client-credentials`.
    pub authorize_url: Option<UrlPattern>,
    /// Where codes, refresh tokens and clients are turned into tokens.
    pub token_url: UrlPattern,
    /// Where a token is given back when its account is disconnected.
    pub revoke_url: Option<UrlPattern>,
    /// The setting in `fields`, or the input, that holds the client id.
    pub client_id: String,
    /// The slot that holds the client secret, of scope app unless a person enters it; none for a public client.
    pub client_secret: Option<String>,
    /// How the client shows itself to the token endpoint.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// `response_type` of the authorization.
    #[serde(default = "code")]
    pub response_type: String,
    /// What is asked for; may be empty.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What stands between scopes.
    #[serde(default = "space")]
    pub separator: String,
    /// Whether a code challenge is sent (RFC 7636, S256).
    #[serde(default = "yes")]
    pub pkce: bool,
    /// Further parameters of the authorization.
    #[serde(default)]
    pub authorize_parameters: BTreeMap<String, String>,
    /// Further fields of every request to the token endpoint.
    #[serde(default)]
    pub token_parameters: BTreeMap<String, String>,
    /// Whether `state` is sent with the code, too.
    #[serde(default)]
    pub token_state: bool,
    /// Parameters of the redirect, all with these values, that mean that the person refused.
    #[serde(default)]
    pub denied_when: BTreeMap<String, String>,
    /// What `iss` of the redirect must be (RFC 9207).
    pub issuer: Option<String>,
    /// The code that the redirect carries over itself.
    pub callback_mac: Option<CallbackMac>,
    /// What is taken out of the token endpoint's answers.
    pub captures: TokenCaptures,
    /// The access token's life in seconds if the answer does not say.
    pub expires_in: Option<u32>,
    /// What becomes of refresh tokens.
    #[serde(default)]
    pub refresh: Refresh,
    /// A refresh token that is not used for so many days dies.
    pub refresh_idle_days: Option<u32>,
    /// Where an answer that refuses says why.
    #[serde(default = "error")]
    pub error_pointer: String,
    /// The errors that say that the refresh token, or the client, is no longer good.
    #[serde(default)]
    pub refused_errors: Vec<String>,
}

fn code() -> String {
    "code".to_owned()
}

fn space() -> String {
    " ".to_owned()
}

fn yes() -> bool {
    true
}

fn error() -> String {
    "/error".to_owned()
}

/// How a client shows itself to the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// By HTTP Basic authentication.
    #[default]
    Basic,
    /// By the fields `client_id` and `client_secret` of the form.
    Body,
}

/// What becomes of a refresh token that is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refresh {
    /// It is used once; the answer brings the next.
    Rotates,
    /// It stays.
    Keeps,
    /// There is none.
    #[default]
    None,
}

/// The code that a redirect carries over itself: HMAC-SHA256 in hex.
#[derive(Clone, Debug, Deserialize)]
pub struct CallbackMac {
    /// The parameter with the code.
    pub parameter: String,
    /// The app slot that is its key.
    pub slot: String,
}

/// What is taken out of the token endpoint's answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenCaptures {
    /// The access token.
    pub access_token: TokenCapture,
    /// The refresh token.
    pub refresh_token: Option<TokenCapture>,
    /// JSON pointer to the access token's life in seconds.
    pub expires_in: Option<String>,
    /// Public fields of the credential, by name.
    #[serde(default)]
    pub fields: BTreeMap<String, LearnedField>,
}

/// A slot, and where an answer has its value.
#[derive(Clone, Debug, Deserialize)]
pub struct TokenCapture {
    /// The slot, of scope credential.
    pub slot: String,
    /// JSON pointer to the value.
    pub pointer: String,
}

/// A public field that the token endpoint tells.
#[derive(Clone, Debug, Deserialize)]
pub struct LearnedField {
    /// JSON pointer to a text or a number.
    pub pointer: String,
    /// What the whole text must match.
    pub pattern: Option<String>,
}

impl LearnedField {
    /// The field's value for a text: the pattern's first group if it has one. None if the text does not match.
    pub fn value(&self, text: &str) -> Option<String> {
        let Some(pattern) = &self.pattern else {
            return Some(text.to_owned());
        };
        let found = pattern_of(pattern).ok()?.captures(text)?;
        let value = found.get(1).or_else(|| found.get(0))?;
        Some(value.as_str().to_owned())
    }
}

/// An address with `{field}` in its host: `https://{shop}.example.com/oauth/token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPattern {
    /// The host.
    pub host: HostPattern,
    /// The path, beginning with `/`.
    pub path: String,
}

impl FromStr for UrlPattern {
    type Err = BadHost;

    /// The form has been checked by the schema; here it is only taken apart.
    fn from_str(text: &str) -> Result<Self, BadHost> {
        let rest = text.strip_prefix("https://").unwrap_or(text);
        let at = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        Ok(UrlPattern {
            host: host.parse()?,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
        })
    }
}

impl<'de> Deserialize<'de> for UrlPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|error| serde::de::Error::custom(format!("`{text}`: {error}")))
    }
}

impl UrlPattern {
    /// Scheme and host as the manifest has them: what a client secret is entered for.
    pub fn origin(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The address with the fields filled in; none while one has no value, or one that is not a single DNS label.
    pub fn resolve(&self, field: impl Fn(&str) -> Option<String>) -> Option<String> {
        let host = self.host.resolve(field)?;
        Some(format!("https://{host}{}", self.path))
    }
}

impl fmt::Display for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.host, self.path)
    }
}

impl OAuth2 {
    /// Its addresses by their names in the manifest.
    pub fn urls(&self) -> impl Iterator<Item = (&'static str, &UrlPattern)> {
        let urls = [
            ("authorizeUrl", self.authorize_url.as_ref()),
            ("tokenUrl", Some(&self.token_url)),
            ("revokeUrl", self.revoke_url.as_ref()),
        ];
        urls.into_iter()
            .filter_map(|(name, url)| url.map(|url| (name, url)))
    }

    /// Whether an error of the token endpoint means that what the account was connected with is no longer good
    /// (RFC 6749, section 5.2). A client that people sign in with is the operator's: an app that refuses it says
    /// nothing of their accounts.
    pub fn refuses(&self, error: &str) -> bool {
        let own = &self.refused_errors;
        if !own.is_empty() {
            return own.iter().any(|one| one == error);
        }
        let of_clients = ["invalid_client", "unauthorized_client"];
        error == "invalid_grant" || self.authorize_url.is_none() && of_clients.contains(&error)
    }

    /// The captures of tokens by their names in the manifest.
    pub fn tokens(&self) -> impl Iterator<Item = (&'static str, &TokenCapture)> {
        let captures = &self.captures;
        let access = ("accessToken", &captures.access_token);
        let refresh = captures.refresh_token.as_ref();
        std::iter::once(access).chain(refresh.map(|one| ("refreshToken", one)))
    }
}

impl Plan {
    /// How one signs in at the app, if that is this plan's method.
    pub fn oauth2(&self) -> Option<&OAuth2> {
        self.auth.oauth2.as_ref()
    }
}
