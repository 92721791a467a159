//! Signing in: the login and consent pages and the token endpoint, under `/oauth`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::reply::Reply;
use super::{READ, WRITE};
use crate::forms::{Form, encoded, escaped, form_of, hidden};

/// The person's email address.
pub const EMAIL: &str = "owner@hubspot.example";
/// The person's password.
pub const PASSWORD: &str = "password";

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(60);
/// The person's id.
const USER: u64 = 456;

/// The app that people sign in for.
#[derive(Debug, Clone)]
pub struct OAuthApp {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The scopes that it may ask for.
    pub scopes: Vec<String>,
    /// How long access tokens are good.
    pub life: Duration,
}

impl Default for OAuthApp {
    fn default() -> Self {
        let scopes = ["oauth", READ, WRITE];
        Self {
            client_id: "7fff1e36-2d40-4ae1-bbb1-5266d59564fb".to_owned(),
            client_secret: "hs-secret-0123456789abcdef-demo".to_owned(),
            redirect_uris: vec!["http://127.0.0.1:8080/api/oauth/redirect".to_owned()],
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            life: Duration::from_secs(30 * 60),
        }
    }
}

/// What was given out.
#[derive(Debug, Default)]
pub(super) struct OAuth {
    app: Mutex<OAuthApp>,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    drawn: u64,
    refreshes: usize,
    /// Consent pages that wait for an answer.
    asked: HashMap<String, Form>,
    codes: HashMap<String, (Form, Instant)>,
    /// Access tokens with their scopes and end.
    access: HashMap<String, (Vec<String>, Instant)>,
    /// Refresh tokens with their scopes.
    refresh: HashMap<String, Vec<String>>,
}

impl Given {
    /// A text that was not given out before.
    fn draw(&mut self, kind: &str) -> String {
        self.drawn += 1;
        format!("{kind}-{:032}", self.drawn)
    }
}

impl OAuth {
    pub(super) fn new(app: OAuthApp) -> Self {
        Self {
            app: Mutex::new(app),
            given: Mutex::default(),
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut OAuthApp)) {
        change(&mut self.app.lock());
    }

    pub(super) fn refreshes(&self) -> usize {
        self.given.lock().refreshes
    }

    pub(super) fn end_access(&self) {
        for (_, ends) in self.given.lock().access.values_mut() {
            *ends = Instant::now();
        }
    }

    pub(super) fn end_everything(&self) {
        let mut given = self.given.lock();
        given.access.clear();
        given.refresh.clear();
    }

    /// What the holder of an access token may do.
    pub(super) fn scopes(&self, token: &str) -> Result<Vec<String>, Reply> {
        match self.given.lock().access.get(token) {
            Some((scopes, ends)) if *ends > Instant::now() => Ok(scopes.clone()),
            Some(_) => Err(Reply::refusal(
                401,
                "EXPIRED_AUTHENTICATION",
                "The OAuth token used to make this call expired.",
            )),
            None => Err(Reply::refusal(
                401,
                "INVALID_AUTHENTICATION",
                "The access token is unknown.",
            )),
        }
    }

    /// Answers a request to `/oauth/…`.
    pub(super) fn answer(&self, hub_id: u64, head: &Parts, body: &str) -> Reply {
        let path = head.uri.path();
        let token = |prefix: &str| path.strip_prefix(prefix).map(str::to_owned);
        // An account may be named before `authorize`.
        let chosen = format!("/oauth/{hub_id}/authorize");
        match head.method.as_str() {
            "GET" if path == "/oauth/authorize" || path == chosen => {
                self.login_page(&form_of(head.uri.query().unwrap_or_default()))
            }
            "POST" if path == "/oauth/login" => self.login(form_of(body)),
            "POST" if path == "/oauth/consent" => self.consent(&form_of(body)),
            "POST" if path == "/oauth/v1/token" => {
                let kind = head
                    .headers
                    .get(CONTENT_TYPE)
                    .and_then(|it| it.to_str().ok());
                let is_form = |kind: &str| kind.starts_with("application/x-www-form-urlencoded");
                match kind.is_some_and(is_form) {
                    true => self.token(hub_id, &form_of(body)),
                    false => refusal(415, "UNSUPPORTED_MEDIA_TYPE", "a form is expected"),
                }
            }
            "GET" => match token("/oauth/v1/access-tokens/") {
                Some(token) => self.access_token(hub_id, &token),
                None => Reply::not_found(),
            },
            "DELETE" => match token("/oauth/v1/refresh-tokens/") {
                Some(token) => {
                    self.given.lock().refresh.remove(&token);
                    Reply::no_content()
                }
                None => Reply::not_found(),
            },
            _ => Reply::not_found(),
        }
    }

    /// What is wrong with an authorization request. Nobody is sent anywhere then.
    fn fault(&self, form: &Form) -> Option<&'static str> {
        let app = self.app.lock();
        let is = |name: &str, value: &str| form.get(name).is_some_and(|found| found == value);
        if !is("client_id", &app.client_id) {
            return Some("Unknown client.");
        }
        if !app.redirect_uris.iter().any(|uri| is("redirect_uri", uri)) {
            return Some("This redirect URI is not registered.");
        }
        let scopes = scopes(form, "scope");
        if scopes.is_empty() {
            return Some("A scope is required.");
        }
        let known = |scope: &String| app.scopes.contains(scope);
        (!scopes.iter().all(known)).then_some("The app may not ask for one of these scopes.")
    }

    fn login_page(&self, form: &Form) -> Reply {
        if let Some(fault) = self.fault(form) {
            return Reply::page(400, fault);
        }
        let hidden: String = form
            .iter()
            .map(|(name, value)| hidden(name, value))
            .collect();
        Reply::page(
            200,
            &format!(
                "<form method=\"post\" action=\"/oauth/login\">{hidden}<input name=\"email\">\
                 <input name=\"password\" type=\"password\"><button>Log in</button></form>"
            ),
        )
    }

    fn login(&self, mut form: Form) -> Reply {
        if let Some(fault) = self.fault(&form) {
            return Reply::page(400, fault);
        }
        let email = form.remove("email").unwrap_or_default();
        let password = form.remove("password").unwrap_or_default();
        if email != EMAIL || password != PASSWORD {
            return Reply::page(401, "Wrong email or password.");
        }
        let mut given = self.given.lock();
        let session = given.draw("session");
        let asked = scopes(&form, "scope").join(", ");
        let hidden = hidden("session", &session);
        given.asked.insert(session, form);
        Reply::page(
            200,
            &format!(
                "<form method=\"post\" action=\"/oauth/consent\"><p>{}</p>{hidden}\
                 <button name=\"answer\" value=\"approved\">Connect app</button>\
                 <button name=\"answer\" value=\"denied\">Cancel</button></form>",
                escaped(&asked)
            ),
        )
    }

    /// The consent page is good for one answer.
    fn consent(&self, form: &Form) -> Reply {
        let of = |form: &Form, name: &str| form.get(name).cloned().unwrap_or_default();
        let mut given = self.given.lock();
        let Some(request) = given.asked.remove(&of(form, "session")) else {
            return Reply::page(400, "This page was answered already.");
        };
        let back = of(&request, "redirect_uri");
        let mut parameters = match of(form, "answer").as_str() {
            "approved" => {
                let code = given.draw("code");
                given
                    .codes
                    .insert(code.clone(), (request.clone(), Instant::now()));
                vec![("code", code)]
            }
            _ => vec![
                ("error", "access_denied".to_owned()),
                ("error_description", "The user denied access.".to_owned()),
            ],
        };
        parameters.extend(request.get("state").map(|state| ("state", state.clone())));
        let query: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let joint = if back.contains('?') { '&' } else { '?' };
        Reply::redirect(&format!("{back}{joint}{}", query.join("&")))
    }

    fn token(&self, hub_id: u64, form: &Form) -> Reply {
        let app = self.app.lock().clone();
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if of("client_id") != app.client_id || of("client_secret") != app.client_secret {
            return refusal(
                401,
                "BAD_CLIENT_ID",
                "missing or unknown client id or secret",
            );
        }
        let mut given = self.given.lock();
        let (refresh, granted) = match of("grant_type") {
            "authorization_code" => {
                let good = given.codes.remove(of("code")).filter(|(request, at)| {
                    let same = request.get("redirect_uri") == form.get("redirect_uri");
                    same && at.elapsed() < CODE_LIFE && is_proven(request, of("code_verifier"))
                });
                let Some((request, _)) = good else {
                    return refusal(400, "BAD_AUTH_CODE", "missing or unknown auth code");
                };
                let mut granted = scopes(&request, "scope");
                let further = scopes(&request, "optional_scope");
                granted.extend(further.into_iter().filter(|one| app.scopes.contains(one)));
                let refresh = given.draw("refresh");
                given.refresh.insert(refresh.clone(), granted.clone());
                (refresh, granted)
            }
            "refresh_token" => {
                given.refreshes += 1;
                let refresh = of("refresh_token").to_owned();
                match given.refresh.get(&refresh).cloned() {
                    Some(granted) => (refresh, granted),
                    None => {
                        let said = "missing or invalid refresh token";
                        return refusal(400, "BAD_REFRESH_TOKEN", said);
                    }
                }
            }
            _ => return refusal(400, "BAD_GRANT_TYPE", "missing or unknown grant type"),
        };
        let access = given.draw("access");
        let ends = Instant::now() + app.life;
        given.access.insert(access.clone(), (granted.clone(), ends));
        let body = json!({
            "token_type": "bearer", "access_token": access, "refresh_token": refresh,
            "expires_in": app.life.as_secs(), "hub_id": hub_id, "user_id": USER, "scopes": granted,
        });
        Reply::json(200, &body)
    }

    fn access_token(&self, hub_id: u64, token: &str) -> Reply {
        let given = self.given.lock();
        let found = given.access.get(token);
        let Some((scopes, ends)) = found.filter(|(_, ends)| *ends > Instant::now()) else {
            return Reply::not_found();
        };
        let left = ends.saturating_duration_since(Instant::now()).as_secs();
        let body = json!({
            "token": token, "token_type": "access", "user": EMAIL, "user_id": USER, "hub_id": hub_id,
            "hub_domain": "demo.hubspot.example", "app_id": 1_160_452, "expires_in": left, "scopes": scopes,
        });
        Reply::json(200, &body)
    }
}

/// Whether a verifier fits the challenge that a code was asked for with; who sent none
/// needs none (RFC 7636).
fn is_proven(request: &Form, verifier: &str) -> bool {
    request.get("code_challenge").is_none_or(|challenge| {
        *challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
    })
}

fn scopes(form: &Form, name: &str) -> Vec<String> {
    let scopes = form.get(name).map(String::as_str).unwrap_or_default();
    scopes.split_whitespace().map(str::to_owned).collect()
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({"status": code, "message": message, "correlationId": "c033cdaa-2c40-4a64-ae48-b4cec88dad24"});
    Reply::json(status, &body)
}
