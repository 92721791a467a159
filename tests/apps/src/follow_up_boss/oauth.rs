//! Signing in: the login and consent pages, and the token endpoint, under `/oauth`.
//!
//! Where the reference says nothing, this was chosen: a user signs in with the email
//! address of a user record and [`PASSWORD`]; the consent page is good for one answer; a
//! code is bound to its redirect address and to `state`; a refresh token that was
//! replaced is refused, together with everything given out for it since.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::json;

use super::records::Kind;
use super::reply::Reply;
use super::world::World;
use crate::forms::{Form, encoded, form_of, hidden};

/// Everybody's.
pub const PASSWORD: &str = "password";

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(15 * 60);

/// The client app that products sign people in with.
#[derive(Debug, Clone)]
pub struct OAuthApp {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// How long access tokens are good.
    pub life: Duration,
    /// Whether a refresh token is replaced when it is used.
    pub rotates: bool,
}

impl Default for OAuthApp {
    fn default() -> Self {
        Self {
            client_id: "fub-client-demo".to_owned(),
            client_secret: "fub-secret-0123456789abcdef-demo".to_owned(),
            redirect_uris: vec!["http://127.0.0.1:8080/api/oauth/redirect".to_owned()],
            life: Duration::from_secs(3600),
            rotates: true,
        }
    }
}

/// Whose something is: the account's place among the accounts, and the user.
type Owner = (usize, u64);

/// What was given out.
#[derive(Debug, Default)]
pub(super) struct OAuth {
    app: Mutex<OAuthApp>,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    drawn: u64,
    /// Consent pages that wait for an answer: the request, and who signed in.
    asked: HashMap<String, (Form, Owner)>,
    codes: HashMap<String, (Form, Owner, Instant)>,
    /// Access tokens with their family and end.
    access: HashMap<String, (u64, Owner, Instant)>,
    /// Refresh tokens with their family, and whether they were used.
    refresh: HashMap<String, (u64, Owner, bool)>,
    refreshes: usize,
}

impl Given {
    /// A text that was not given out before.
    fn draw(&mut self, kind: &str) -> String {
        self.drawn += 1;
        // Long enough to be blanked wherever it turns up.
        format!("{kind}-{:032}", self.drawn)
    }

    fn tokens(&mut self, app: &OAuthApp, family: u64, owner: Owner, refresh: String) -> Reply {
        let access = self.draw("access");
        let ends = Instant::now() + app.life;
        self.access.insert(access.clone(), (family, owner, ends));
        let body = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": app.life.as_secs(), "refresh_token": refresh,
        });
        Reply::value(StatusCode::OK, &body)
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
        self.given.lock().access.clear();
    }

    pub(super) fn end_everything(&self) {
        let mut given = self.given.lock();
        given.access.clear();
        given.refresh.clear();
    }

    /// Whose access token this is, if it is good.
    pub(super) fn owner(&self, token: &str) -> Option<Owner> {
        let given = self.given.lock();
        let (_, owner, ends) = given.access.get(token)?;
        (*ends > Instant::now()).then_some(*owner)
    }

    /// Answers a request to `/oauth/…`.
    pub(super) fn answer(&self, world: &World, head: &Parts, body: &[u8]) -> Reply {
        let form = || form_of(&String::from_utf8_lossy(body));
        match (head.method.as_str(), head.uri.path()) {
            ("GET", "/oauth/authorize") => {
                self.login_page(&form_of(head.uri.query().unwrap_or_default()))
            }
            ("POST", "/oauth/login") => self.login(world, form()),
            ("POST", "/oauth/consent") => self.consent(&form()),
            ("POST", "/oauth/token") => self.token(&head.headers, &form()),
            _ => page(StatusCode::NOT_FOUND, "There is nothing here."),
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
        (!is("response_type", "auth_code")).then_some("response_type must be auth_code.")
    }

    fn login_page(&self, form: &Form) -> Reply {
        if let Some(fault) = self.fault(form) {
            return page(StatusCode::BAD_REQUEST, fault);
        }
        let hidden: String = form
            .iter()
            .map(|(name, value)| hidden(name, value))
            .collect();
        page(
            StatusCode::OK,
            &format!(
                "<form method=\"post\" action=\"/oauth/login\">{hidden}<input name=\"email\">\
                 <input name=\"password\" type=\"password\"><button>Log in</button></form>"
            ),
        )
    }

    fn login(&self, world: &World, mut form: Form) -> Reply {
        if let Some(fault) = self.fault(&form) {
            return page(StatusCode::BAD_REQUEST, fault);
        }
        let email = form.remove("email").unwrap_or_default();
        let password = form.remove("password").unwrap_or_default();
        let mut accounts = world.accounts.iter().enumerate();
        let owner = accounts.find_map(|(place, account)| {
            let users = account.all(Kind::Users);
            let user = users.iter().find(|user| user["email"] == email.as_str())?;
            Some((place, user["id"].as_u64()?))
        });
        let Some(owner) = owner.filter(|_| password == PASSWORD) else {
            return page(StatusCode::UNAUTHORIZED, "Wrong email or password.");
        };
        let mut given = self.given.lock();
        let session = given.draw("session");
        let hidden = hidden("session", &session);
        given.asked.insert(session, (form, owner));
        page(
            StatusCode::OK,
            &format!(
                "<form method=\"post\" action=\"/oauth/consent\">\
                 {hidden}\
                 <button name=\"answer\" value=\"approved\">Allow</button>\
                 <button name=\"answer\" value=\"denied\">Deny</button></form>"
            ),
        )
    }

    fn consent(&self, form: &Form) -> Reply {
        let mut given = self.given.lock();
        let asked = form
            .get("session")
            .and_then(|session| given.asked.remove(session));
        let Some((request, owner)) = asked else {
            return page(StatusCode::BAD_REQUEST, "This page was answered before.");
        };
        let of = |name: &str| request.get(name).cloned().unwrap_or_default();
        let (mut to, state) = (of("redirect_uri"), of("state"));
        to.push(if to.contains('?') { '&' } else { '?' });
        if form
            .get("answer")
            .is_some_and(|answer| answer == "approved")
        {
            let code = given.draw("code");
            to += &format!("response=approved&code={code}&state={}", encoded(&state));
            given.codes.insert(code, (request, owner, Instant::now()));
        } else {
            to += &format!("response=denied&state={}", encoded(&state));
        }
        let mut reply = Reply::json(StatusCode::FOUND, Vec::new());
        reply.set("location", &to);
        reply
    }

    fn token(&self, headers: &HeaderMap, form: &Form) -> Reply {
        let app = self.app.lock().clone();
        let pair = format!("{}:{}", app.client_id, app.client_secret);
        let known = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
            .is_some_and(|sent| sent == STANDARD.encode(&pair));
        if !known {
            return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let mut given = self.given.lock();
        match of("grant_type") {
            "authorization_code" => {
                let Some((request, owner, at)) = given.codes.remove(of("code")) else {
                    return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
                };
                let same = |name: &str| request.get(name) == form.get(name);
                if at.elapsed() > CODE_LIFE || !same("redirect_uri") || !same("state") {
                    return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
                }
                let refresh = given.draw("refresh");
                let family = given.drawn;
                given
                    .refresh
                    .insert(refresh.clone(), (family, owner, false));
                given.tokens(&app, family, owner, refresh)
            }
            "refresh_token" => {
                given.refreshes += 1;
                let sent = of("refresh_token").to_owned();
                let Some((family, owner, used)) = given.refresh.get(&sent).copied() else {
                    return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
                };
                if used {
                    given.access.retain(|_, (of, ..)| *of != family);
                    given.refresh.retain(|_, (of, ..)| *of != family);
                    return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
                }
                if !app.rotates {
                    return given.tokens(&app, family, owner, sent);
                }
                given.refresh.insert(sent, (family, owner, true));
                let next = given.draw("refresh");
                given.refresh.insert(next.clone(), (family, owner, false));
                given.tokens(&app, family, owner, next)
            }
            _ => refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        }
    }
}

fn refusal(status: StatusCode, error: &str) -> Reply {
    let body = json!({ "error": error, "error_description": "Refused by the simulator." });
    Reply::value(status, &body)
}

fn page(status: StatusCode, content: &str) -> Reply {
    let page = format!("<!doctype html><title>Follow Up Boss</title>{content}");
    let mut reply = Reply::json(status, page.into_bytes());
    reply.set("content-type", "text/html; charset=utf-8");
    reply
}
