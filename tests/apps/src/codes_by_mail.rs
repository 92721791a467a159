//! A simulator of an app of nobody's: people sign in to it with a password, and where they
//! wish so with a code that is mailed to them; machines with a client (RFC 6749, 4.4), and
//! a product that it trusts with the product's own tokens.
//!
//! - `POST /login {email, password, device?}` answers `{session, endsAt}`, or
//!   `{challenge, sentTo}` if a code was mailed. Who has entered one is known by his
//!   `device` from then on.
//! - `POST /login/code {challenge, code}` answers `{session, device, endsAt}`. A wrong code
//!   is 403; the challenge stays good.
//! - `POST /token` with Basic authentication answers `{access_token, expires_in}`.
//! - `GET /me`, `GET /people` take `X-Session`, `Authorization: Bearer` or
//!   `X-Product-Token`, and answer 401 to what they don't know.
//! - `GET /mails` answers the codes that were mailed, oldest first.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::serving::{Bound, Serving};

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery staple";
/// Who signs in with a password alone.
pub const ANNA: &str = "anna@codes.example";
/// Who is mailed a code.
pub const OTTO: &str = "otto@codes.example";
/// A machine's client.
pub const CLIENT: (&str, &str) = ("machine-7", "client-secret-of-machine-7");
/// What the tokens of a product begin with that is trusted; the rest names its user.
pub const PRODUCT: &str = "token-of-the-product-for-";

#[derive(Default)]
struct World {
    /// Made so far; makes every token another one.
    made: u64,
    /// Whose a session or access token is, and when it ends.
    open: HashMap<String, (String, u64)>,
    /// Challenge: the person and the code.
    challenges: HashMap<String, (String, String)>,
    devices: HashSet<String>,
    /// The codes that were mailed, oldest first.
    mailed: Vec<String>,
    life: Option<Duration>,
    password: String,
    /// How many sessions and access tokens were given out.
    given: usize,
    /// How often people were read.
    read: usize,
    slow: Duration,
}

type Shared = Arc<Mutex<World>>;
type Reply = (StatusCode, Json<Value>);

/// A running simulator. It stops when dropped.
pub struct Simulator {
    world: Shared,
    url: String,
    _serving: Serving,
}

impl Simulator {
    /// Starts one, whose sessions last for so long.
    pub fn start(life: Duration) -> io::Result<Self> {
        let world: Shared = Arc::default();
        {
            let mut world = locked(&world);
            world.life = Some(life);
            world.password = PASSWORD.to_owned();
        }
        let router = Router::new()
            .route("/login", post(login))
            .route("/login/code", post(code))
            .route("/token", post(token))
            .route("/me", get(me))
            .route("/people", get(people))
            .route("/mails", get(mails))
            .with_state(world.clone());
        let bound = Bound::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let serving = bound.serve("codes-by-mail", router)?;
        Ok(Self {
            world,
            url: format!("http://{}", serving.address),
            _serving: serving,
        })
    }

    /// Where it is: `http://127.0.0.1:4711`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The code that was mailed last.
    pub fn mailed(&self) -> Option<String> {
        locked(&self.world).mailed.last().cloned()
    }

    /// How many sessions and access tokens it gave out.
    pub fn given(&self) -> usize {
        locked(&self.world).given
    }

    /// How often somebody read its people.
    pub fn read(&self) -> usize {
        locked(&self.world).read
    }

    /// Everything that it gave out and that still is good: what must be found nowhere.
    pub fn secrets(&self) -> Vec<String> {
        let world = locked(&self.world);
        let open = world.open.keys().chain(&world.devices);
        open.cloned().collect()
    }

    /// Ends all sessions.
    pub fn end_sessions(&self) {
        locked(&self.world).open.clear();
    }

    /// Knows nobody's device any more.
    pub fn forget_devices(&self) {
        locked(&self.world).devices.clear();
    }

    /// Everybody has another password from now on.
    pub fn change_password(&self, password: &str) {
        locked(&self.world).password = password.to_owned();
    }

    /// Takes so long for a code from now on.
    pub fn slow_down(&self, by: Duration) {
        locked(&self.world).slow = by;
    }
}

async fn mails(State(world): State<Shared>) -> Json<Vec<String>> {
    Json(locked(&world).mailed.clone())
}

fn locked(world: &Shared) -> std::sync::MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

fn refused(status: StatusCode, error: &str) -> Reply {
    (status, Json(json!({ "error": error })))
}

impl World {
    fn new_name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-of-codes-by-mail-{:012}", self.made)
    }

    /// Gives out something that is good for a while.
    fn open(&mut self, kind: &str, whose: &str) -> (String, u64) {
        let name = self.new_name(kind);
        let life = self.life.unwrap_or_default();
        let ends = now() + u64::try_from(life.as_millis()).unwrap_or(0);
        self.open.insert(name.clone(), (whose.to_owned(), ends));
        self.given += 1;
        (name, ends)
    }
}

async fn login(State(world): State<Shared>, Json(said): Json<Value>) -> Reply {
    let mut world = locked(&world);
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    let email = text("email");
    if text("password") != world.password || ![ANNA, OTTO].contains(&email) {
        return refused(StatusCode::UNAUTHORIZED, "wrong email or password");
    }
    if email == OTTO && !world.devices.contains(text("device")) {
        let challenge = world.new_name("challenge");
        let code = format!("{:06}", 100_000 + world.made * 7919 % 900_000);
        let kept = (email.to_owned(), code.clone());
        world.challenges.insert(challenge.clone(), kept);
        world.mailed.push(code);
        let asked = json!({ "challenge": challenge, "sentTo": email });
        return (StatusCode::OK, Json(asked));
    }
    let (session, ends) = world.open("session", email);
    let opened = json!({ "session": session, "endsAt": ends });
    (StatusCode::OK, Json(opened))
}

async fn code(State(world): State<Shared>, Json(said): Json<Value>) -> Reply {
    let slow = locked(&world).slow;
    tokio::time::sleep(slow).await;
    let mut world = locked(&world);
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = world.challenges.get(text("challenge")).cloned();
    let Some((email, code)) = found else {
        return refused(StatusCode::FORBIDDEN, "there is no such challenge");
    };
    if text("code") != code {
        return refused(StatusCode::FORBIDDEN, "that is not the code");
    }
    world.challenges.remove(text("challenge"));
    let device = world.new_name("device");
    world.devices.insert(device.clone());
    let (session, ends) = world.open("session", &email);
    let opened = json!({ "session": session, "device": device, "endsAt": ends });
    (StatusCode::OK, Json(opened))
}

async fn token(State(world): State<Shared>, headers: HeaderMap) -> Reply {
    let mut world = locked(&world);
    let shown = headers.get("authorization").and_then(|it| it.to_str().ok());
    // base64 of `id:secret`.
    let wanted = "Basic bWFjaGluZS03OmNsaWVudC1zZWNyZXQtb2YtbWFjaGluZS03";
    if shown != Some(wanted) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let (token, _) = world.open("access", CLIENT.0);
    let seconds = world.life.unwrap_or_default().as_secs();
    let given = json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds });
    (StatusCode::OK, Json(given))
}

/// Who asks.
fn asker(world: &Shared, headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    if let Some(user) = header("x-product-token").and_then(|it| it.strip_prefix(PRODUCT)) {
        return Some(user.to_owned());
    }
    let bearer = header("authorization").and_then(|it| it.strip_prefix("Bearer "));
    let shown = header("x-session").or(bearer)?;
    let world = locked(world);
    let (whose, ends) = world.open.get(shown)?;
    (*ends > now()).then(|| whose.clone())
}

async fn me(State(world): State<Shared>, headers: HeaderMap) -> Reply {
    match asker(&world, &headers) {
        Some(whose) => (StatusCode::OK, Json(json!({ "id": whose, "email": whose }))),
        None => refused(StatusCode::UNAUTHORIZED, "sign in"),
    }
}

async fn people(State(world): State<Shared>, headers: HeaderMap) -> Reply {
    if asker(&world, &headers).is_none() {
        return refused(StatusCode::UNAUTHORIZED, "sign in");
    }
    locked(&world).read += 1;
    let person = |id: u32| json!({ "id": id.to_string(), "name": format!("Person {id}"), "email": format!("p{id}@codes.example") });
    (StatusCode::OK, Json((1..=3).map(person).collect()))
}
