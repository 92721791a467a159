//! The way of every request: log, fault, credentials, limits, then the
//! endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use super::account::Account;
use super::faults::{Fault, Faults};
use super::journal::{Journal, LoggedRequest};
use super::limits::{Context, Limiter, Party};
use super::moments;
use super::oauth::OAuth;
use super::reply::{Refusal, Reply};
use super::routes::{self, Call};
use super::store::View;
use super::troubles::{Awkward, Luck};
use super::{Config, System};

const MAX_BODY: usize = 4 << 20;

/// Everything the server knows.
#[derive(Debug)]
pub(super) struct World {
    pub(super) url: String,
    pub(super) accounts: Vec<Arc<Account>>,
    pub(super) systems: Vec<System>,
    pub(super) limiter: Mutex<Limiter>,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    pub(super) settling: Mutex<Duration>,
    pub(super) oauth: OAuth,
    pub(super) luck: Luck,
    /// Seconds that the dates of answers are ahead.
    pub(super) clock: AtomicI64,
}

/// Who is calling.
struct Caller<'a> {
    account: &'a Account,
    user: u64,
    view: View,
    key: String,
}

impl World {
    pub(super) fn new(url: String, config: Config) -> Self {
        Self {
            url,
            accounts: config
                .accounts
                .into_iter()
                .map(|account| Arc::new(Account::new(account)))
                .collect(),
            systems: config.systems,
            limiter: Mutex::new(Limiter::new(config.limits)),
            faults: Faults::default(),
            journal: Journal::new(config.journal_capacity),
            settling: Mutex::new(config.settling),
            oauth: OAuth::new(config.oauth),
            luck: Luck::default(),
            clock: AtomicI64::new(0),
        }
    }

    /// The caller named by an access token, or by HTTP Basic credentials: the key is the
    /// user, the password is blank.
    fn authenticate(&self, headers: &HeaderMap) -> Result<Caller<'_>, Refusal> {
        let bearer =
            header(headers, AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        if let Some(token) = bearer {
            let owner = self.oauth.owner(token).and_then(|(place, user)| {
                let account = self.accounts.get(place)?;
                Some((account, user))
            });
            let (account, user) = owner.ok_or_else(Refusal::unauthorized)?;
            return Ok(Caller {
                account,
                user,
                view: account.view_of(user),
                key: String::new(),
            });
        }
        let key = header(headers, AUTHORIZATION.as_str())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, credentials)| STANDARD.decode(credentials.trim()).ok())
            .and_then(|credentials| String::from_utf8(credentials).ok())
            .and_then(|credentials| Some(credentials.strip_suffix(':')?.to_owned()))
            .ok_or_else(Refusal::unauthorized)?;
        let (account, user) = self
            .accounts
            .iter()
            .find_map(|account| Some((account, account.user_of(&key)?)))
            .ok_or_else(Refusal::unauthorized)?;
        Ok(Caller {
            account,
            user,
            view: account.view_of(user),
            key,
        })
    }

    /// The registered system a request identifies itself as.
    fn system(&self, headers: &HeaderMap) -> Option<String> {
        let name = header(headers, "x-system")?;
        let key = header(headers, "x-system-key")?;
        self.systems
            .iter()
            .find(|system| system.name == name && system.key == key)
            .map(|system| system.name.clone())
    }

    fn process(&self, head: &Parts, body: &[u8], fault: Option<&Fault>, awkward: Awkward) -> Reply {
        if head.uri.path().starts_with("/oauth/") {
            return self.oauth.answer(self, head, body);
        }
        let caller = match self.authenticate(&head.headers) {
            Ok(caller) => caller,
            Err(refusal) => return refusal.into(),
        };
        let segments: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        let resource = segments.get(1).copied().unwrap_or_default();
        let party = Party {
            account: caller.account.id,
            system: self.system(&head.headers),
        };
        let verdict = Context::of(&head.method, resource)
            .and_then(|context| self.limiter.lock().admit(party, context, Instant::now()));
        let refusal = match (fault, &verdict) {
            (Some(Fault::RateLimited { retry_after }), _) => {
                Some(Refusal::too_many_requests(*retry_after))
            }
            (_, Some(verdict)) => verdict.retry_after.map(Refusal::too_many_requests),
            _ => None,
        };
        let refusal = refusal.or_else(|| {
            (caller.account.expired && !takes_events(head))
                .then(|| Refusal::forbidden("This account has expired."))
        });
        let mut reply = match refusal {
            Some(refusal) => refusal.into(),
            None => self
                .call(head, body, &caller, awkward)
                .and_then(|call| routes::answer(&call, &segments))
                .unwrap_or_else(Reply::from),
        };
        if let Some(verdict) = &verdict {
            verdict.announce(&mut reply);
        }
        reply.set("fub-account-id", &caller.account.id.to_string());
        reply.set("fub-user-id", &caller.user.to_string());
        reply
    }

    fn call<'a>(
        &'a self,
        head: &'a Parts,
        body: &'a [u8],
        caller: &Caller<'a>,
        awkward: Awkward,
    ) -> Result<Call<'a>, Refusal> {
        let Query(params) = Query::<Vec<(String, String)>>::try_from_uri(&head.uri)
            .map_err(|_| Refusal::bad_request("Invalid query string."))?;
        Ok(Call {
            method: head.method.as_str(),
            query: head.uri.query().unwrap_or_default(),
            params,
            body,
            url: &self.url,
            account: caller.account,
            user: caller.user,
            view: caller.view,
            is_owner: caller.account.is_owner(caller.user),
            key: caller.key.clone(),
            system: self.system(&head.headers),
            settling: *self.settling.lock(),
            awkward,
        })
    }
}

/// Answers one request.
pub(super) async fn serve(State(world): State<Arc<World>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut entry = world.journal.open(LoggedRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: header(&head.headers, AUTHORIZATION.as_str()).map(str::to_owned),
        system: header(&head.headers, "x-system").map(str::to_owned),
        body: String::new(),
        status: 0,
    });
    let reply = match to_bytes(body, MAX_BODY).await {
        Err(_) => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large.").into(),
        Ok(body) => {
            entry.body(&body);
            reply(&world, &head, &body).await
        }
    };
    if !reply.cut {
        entry.status(reply.status.as_u16());
    }
    reply.into_response()
}

async fn reply(world: &World, head: &Parts, body: &[u8]) -> Reply {
    let (mut faults, awkward) = world.luck.next();
    // What was ordered counts, not chance.
    if let Some(ordered) = world.faults.take(head.uri.path()) {
        faults = vec![ordered];
    }
    for fault in &faults {
        match fault {
            Fault::Status(status) => return failure(*status),
            Fault::Cut => return Reply::cut(),
            Fault::Answer(status, body) => {
                return Reply::json(status_of(*status), body.clone().into_bytes());
            }
            Fault::Delay(pause) => tokio::time::sleep(*pause).await,
            _ => {}
        }
    }
    let mut reply = world.process(head, body, faults.last(), awkward);
    let date = moments::now() + world.clock.load(Ordering::Relaxed);
    reply.set("date", &moments::http_date(date));
    for fault in faults {
        match fault {
            Fault::Truncated => reply.body.truncate(reply.body.len() / 2),
            Fault::StatusAfter(status) => return failure(status),
            Fault::Lost => return Reply::cut(),
            Fault::Held(hold) => hold.pass().await,
            _ => {}
        }
    }
    reply
}

/// Expired accounts go on taking leads in.
fn takes_events(head: &Parts) -> bool {
    head.method == Method::POST && head.uri.path() == "/v1/events"
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn failure(status: u16) -> Reply {
    let status = status_of(status);
    let reason = status.canonical_reason().unwrap_or("Error");
    Refusal::new(status, format!("{reason}.")).into()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
