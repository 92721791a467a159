//! Tokens: who asks, and for which environment.
//!
//! A token is a JWT signed with HS512; the key is the UTF-8 text of the environment's client secret as printed. The algorithm is
//! the server's choice: the header may say `alg: HS512` and `typ: JWT`, and nothing else, so that no key, address or extension
//! named in a token is ever looked at. The signature is checked before the claims are read; `issuer` alone looks at an
//! unverified token, to find the environment whose secrets are to be tried.
//!
//! HTTP answers every refusal with one 401 body. [`TokenError`] names the cause for the log and for `rollout token verify`.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Seconds by which clocks may differ: Link cannot renew its token after a 401 on a write.
pub const LEEWAY: u64 = 60;
/// Bytes; a longer token is not looked at.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Bytes; longer consumer keys would not index well.
pub const MAX_SUBJECT: usize = 512;
/// A time beyond the year 9999 is a mistake, mostly milliseconds taken for seconds.
const LATEST: u64 = 253_402_300_799;
/// Members of the claims object; more are refused before they cost time.
const MAX_CLAIMS: usize = 64;

/// A verified token's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: the client id of the environment.
    pub issuer: Option<String>,
    /// `sub`: the consumer key; absent only with [`Scope::Environment`].
    pub subject: Option<String>,
    /// Whose data the token reaches.
    pub scope: Scope,
    /// `exp`, Unix seconds.
    pub expires_at: u64,
    /// `"rollout.com": {"authData": {…}}`: what the product's own apps are connected with.
    pub auth_data: Option<Map<String, Value>>,
}

/// Whose data a token reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One consumer, named by `sub`.
    Consumer(String),
    /// Every consumer of the environment (`scope: "environment"`).
    Environment,
    /// One consumer, raw proxy included (`scope: "proxy"`).
    Proxy {
        /// The consumer key.
        sub: String,
    },
}

/// Why a token was refused. The texts are for the operator; a client only ever sees the one 401 body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization` header.
    #[error("there is no Authorization header")]
    Missing,
    /// Two `Authorization` headers.
    #[error("there is more than one Authorization header")]
    SeveralHeaders,
    /// Not `Bearer TOKEN`.
    #[error("the Authorization header is not \"Bearer <token>\"")]
    NotBearer,
    /// Over [`MAX_TOKEN`].
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// Not three parts.
    #[error("the token is not three parts joined by dots")]
    NotThreeParts,
    /// Padding, a foreign alphabet, or spare bits.
    #[error("the token's {0} is not base64url without padding")]
    Encoding(&'static str),
    /// The header is not the one allowed.
    #[error("the token's header is not allowed: {0}")]
    Header(String),
    /// Another algorithm.
    #[error("the token's algorithm is {0}, only HS512 is accepted")]
    Algorithm(String),
    /// No secret verifies it.
    #[error("the signature does not match: another client secret, or an altered token")]
    Signature,
    /// The claims have a wrong form.
    #[error("the token's claims are not valid: {0}")]
    Claims(String),
    /// Past its `exp`.
    #[error("the token expired {0} seconds ago")]
    Expired(u64),
    /// Before its `nbf`.
    #[error("the token is not valid for another {0} seconds (nbf)")]
    NotYetValid(u64),
    /// `iat` in the future.
    #[error("the token was issued {0} seconds in the future (iat): compare the clocks")]
    IssuedInFuture(u64),
    /// No usable `sub`.
    #[error(
        "the token has no usable sub: one to {MAX_SUBJECT} bytes naming the consumer, unless scope is \"environment\""
    )]
    Subject,
    /// The library refused to sign.
    #[error("the token could not be signed: {0}")]
    Signing(String),
}

impl From<TokenError> for ApiError {
    fn from(cause: TokenError) -> ApiError {
        ApiError::unauthorized(cause)
    }
}

/// The token of a request: exactly one `Authorization` header, `Bearer` in any case, one space, the token.
pub fn bearer(headers: &HeaderMap) -> Result<&str, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(TokenError::Missing)?;
    if values.next().is_some() {
        return Err(TokenError::SeveralHeaders);
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(TokenError::NotBearer)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(TokenError::NotBearer);
    }
    Ok(token)
}

/// The `iss` that a token claims, *unverified*: good only for choosing the secrets to [`verify`] with.
pub fn issuer(token: &str) -> Result<Option<String>, TokenError> {
    Ok(Parts::of(token)?.claims()?.iss)
}

/// Checks signature (against any of `secrets`: during a rotation there are two), header, times and claims.
///
/// `now` is in Unix seconds. The caller has found `secrets` by [`issuer`], so the issuer is not compared again.
pub fn verify(token: &str, secrets: &[&[u8]], now: u64) -> Result<Claims, TokenError> {
    let parts = Parts::of(token)?;
    parts.check_header()?;
    parts.check_signature(secrets)?;
    let claims = parts.claims()?;
    claims.check_times(now)?;
    claims.into_scope()
}

/// Makes a token, as a product's backend does. `now` in Unix seconds; `scope` is absent, `"environment"` or `"proxy"`.
pub fn mint(
    client_id: &str,
    secret: &str,
    subject: Option<&str>,
    scope: Option<&str>,
    now: u64,
    ttl: Duration,
) -> Result<String, TokenError> {
    if secret.is_empty() {
        return Err(TokenError::Signing("the client secret is empty".to_owned()));
    }
    let mut claims = serde_json::Map::new();
    claims.insert("iss".to_owned(), client_id.into());
    if let Some(subject) = subject {
        claims.insert("sub".to_owned(), subject.into());
    }
    if let Some(scope) = scope {
        claims.insert("scope".to_owned(), scope.into());
    }
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(ttl.as_secs()).into());
    let claims = serde_json::Value::Object(claims).to_string();
    // A token that we would refuse ourselves is not handed out.
    serde_json::from_str::<RawClaims>(&claims)
        .map_err(|problem| TokenError::Claims(without_place(&problem)))?
        .into_scope()?;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS512)
        .map_err(|problem| TokenError::Signing(problem.to_string()))?;
    Ok(format!("{signed}.{signature}"))
}

/// A token's three parts, still encoded.
struct Parts<'a> {
    /// Header and claims with the dot between: what is signed.
    signed: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Parts<'a>, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotThreeParts)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotThreeParts)?;
        if claims.contains('.') {
            return Err(TokenError::NotThreeParts);
        }
        Ok(Parts {
            signed,
            header,
            claims,
            signature,
        })
    }

    fn check_header(&self) -> Result<(), TokenError> {
        let json = decode(self.header, "header")?;
        let Header(alg) = serde_json::from_slice(&json)
            .map_err(|problem| TokenError::Header(without_place(&problem)))?;
        match alg {
            Some(alg) if alg == "HS512" => Ok(()),
            Some(alg) => Err(TokenError::Algorithm(crate::error::quoted(&alg))),
            None => Err(TokenError::Header("it names no alg".to_owned())),
        }
    }

    fn check_signature(&self, secrets: &[&[u8]]) -> Result<(), TokenError> {
        let message = self.signed.as_bytes();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            let key = DecodingKey::from_secret(secret);
            // The library decodes the signature strictly and compares in constant time.
            let fits = crypto::verify(self.signature, message, &key, Algorithm::HS512)
                .map_err(|_| TokenError::Encoding("signature"))?;
            if fits {
                return Ok(());
            }
        }
        Err(TokenError::Signature)
    }

    fn claims(&self) -> Result<RawClaims, TokenError> {
        let json = decode(self.claims, "claims")?;
        serde_json::from_slice(&json).map_err(|problem| TokenError::Claims(without_place(&problem)))
    }
}

fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Encoding(name))
}

/// serde_json's message without line and column, which mean nothing inside a token.
fn without_place(problem: &serde_json::Error) -> String {
    let text = problem.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// The header's `alg`. Any member other than `alg` and `typ` is refused, `crit`, `kid`, `jku` and `jwk` among them.
struct Header(Option<String>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Header, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Header;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object with alg and typ")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Header, A::Error> {
                let (mut alg, mut typ) = (None::<String>, None::<String>);
                while let Some(name) = members.next_key::<String>()? {
                    match name.as_str() {
                        "alg" => once(&mut alg, &mut members, "alg")?,
                        "typ" => once(&mut typ, &mut members, "typ")?,
                        other => {
                            return Err(A::Error::custom(format!(
                                "unexpected member {}",
                                crate::error::quoted(other)
                            )));
                        }
                    }
                }
                match typ {
                    Some(typ) if !typ.eq_ignore_ascii_case("JWT") => {
                        Err(A::Error::custom("typ is not JWT"))
                    }
                    _ => Ok(Header(alg)),
                }
            }
        }
        from.deserialize_map(Members)
    }
}

/// The claims we read. Each at most once and exactly of its type; null is not absence; other claims are the product's own.
#[derive(Debug, Default)]
struct RawClaims {
    iss: Option<String>,
    sub: Option<String>,
    scope: Option<String>,
    exp: Option<u64>,
    nbf: Option<u64>,
    iat: Option<u64>,
    own: Option<Value>,
}

/// The claim that is ours.
const OWN: &str = "rollout.com";

impl<'de> Deserialize<'de> for RawClaims {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RawClaims, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RawClaims;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<RawClaims, A::Error> {
                let mut claims = RawClaims::default();
                let mut others: Vec<String> = Vec::new();
                while let Some(name) = members.next_key::<String>()? {
                    match name.as_str() {
                        "iss" => once(&mut claims.iss, &mut members, "iss")?,
                        "sub" => once(&mut claims.sub, &mut members, "sub")?,
                        "scope" => once(&mut claims.scope, &mut members, "scope")?,
                        "exp" => once(&mut claims.exp, &mut members, "exp")?,
                        "nbf" => once(&mut claims.nbf, &mut members, "nbf")?,
                        "iat" => once(&mut claims.iat, &mut members, "iat")?,
                        OWN => once(&mut claims.own, &mut members, OWN)?,
                        _ if others.contains(&name) => {
                            return Err(A::Error::custom("a claim stands there twice"));
                        }
                        _ if others.len() >= MAX_CLAIMS => {
                            return Err(A::Error::custom("too many claims"));
                        }
                        _ => {
                            members.next_value::<IgnoredAny>()?;
                            others.push(name);
                        }
                    }
                }
                Ok(claims)
            }
        }
        from.deserialize_map(Members)
    }
}

/// Reads a member's value into its place, which must be empty.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    place: &mut Option<T>,
    members: &mut A,
    name: &'static str,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::custom(format!("{name} stands there twice")));
    }
    let value = members
        .next_value::<T>()
        .map_err(|problem| A::Error::custom(format!("{name}: {problem}")))?;
    *place = Some(value);
    Ok(())
}

impl RawClaims {
    fn check_times(&self, now: u64) -> Result<(), TokenError> {
        let exp = self
            .exp
            .ok_or_else(|| TokenError::Claims("exp is missing".to_owned()))?;
        for (name, time) in [("exp", Some(exp)), ("nbf", self.nbf), ("iat", self.iat)] {
            if time.is_some_and(|time| time > LATEST) {
                return Err(TokenError::Claims(format!(
                    "{name} is beyond the year 9999 (milliseconds?)"
                )));
            }
        }
        if now > exp.saturating_add(LEEWAY) {
            return Err(TokenError::Expired(now.saturating_sub(exp)));
        }
        let horizon = now.saturating_add(LEEWAY);
        if let Some(nbf) = self.nbf.filter(|nbf| *nbf > horizon) {
            return Err(TokenError::NotYetValid(nbf.saturating_sub(now)));
        }
        if let Some(iat) = self.iat.filter(|iat| *iat > horizon) {
            return Err(TokenError::IssuedInFuture(iat.saturating_sub(now)));
        }
        Ok(())
    }

    fn into_scope(self) -> Result<Claims, TokenError> {
        let usable =
            |sub: &String| !sub.is_empty() && sub.len() <= MAX_SUBJECT && !sub.contains('\0');
        if self.sub.as_ref().is_some_and(|sub| !usable(sub)) {
            return Err(TokenError::Subject);
        }
        let scope = match (self.scope.as_deref(), &self.sub) {
            (Some("environment"), _) => Scope::Environment,
            (_, None) => return Err(TokenError::Subject),
            (Some("proxy"), Some(sub)) => Scope::Proxy { sub: sub.clone() },
            // Scopes of other systems give nothing here, so they take nothing either.
            (_, Some(sub)) => Scope::Consumer(sub.clone()),
        };
        let expires_at = self
            .exp
            .ok_or_else(|| TokenError::Claims("exp is missing".to_owned()))?;
        let auth_data = self
            .own
            .and_then(|mut own| match own.get_mut("authData")?.take() {
                Value::Object(data) => Some(data),
                _ => None,
            });
        Ok(Claims {
            auth_data,
            issuer: self.iss,
            subject: self.sub,
            scope,
            expires_at,
        })
    }
}

#[cfg(test)]
mod tests;
