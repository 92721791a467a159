//! A connector of an app that people sign in to with a password, and sometimes with a code
//! that comes by mail; machines sign in with a client, and a product with its own token.
//! The plans in `manifest.json` are these three.

use rollout_connector::entities::crm::User;
use rollout_connector::http::{Place, Source};
use rollout_connector::{
    Account, Auth, Cursor, Entities, Error, Item, Login, Manifest, Page, Request, Scope, SignIn,
};
use serde_json::{Value, json};

struct CodesByMail;

rollout_connector::export!(CodesByMail: Entities, Login);

const APP: &str = "https://api.codes.conformance.example";

impl Manifest for CodesByMail {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for CodesByMail {
    fn probe() -> Result<Account, Error> {
        let me = get("/me")?;
        let text = |name: &str| me.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(Account::new(text("id"), text("email")))
    }
}

impl Login for CodesByMail {
    fn sign_in(public_inputs: Value) -> Result<SignIn, Error> {
        let attempt = |device: bool| {
            let email = public_inputs.get("email").cloned().unwrap_or_default();
            let mut request = Request::post(format!("{APP}/login"))
                .json(&json!({ "email": email, "password": "", "device": "" }))
                .secret("password", Place::JsonPointer("/password".to_owned()))
                .capture("session", Source::JsonPointer("/session".to_owned()));
            if device {
                request = request.secret("device", Place::JsonPointer("/device".to_owned()));
            }
            request.send()
        };
        // The first time there is no device yet, and a request that names it is denied.
        let response = attempt(true).or_else(|_| attempt(false))?;
        outcome(response.success()?.json()?)
    }

    fn answer(state: Value) -> Result<SignIn, Error> {
        let response = Request::post(format!("{APP}/login/code"))
            .json(&json!({ "challenge": state, "code": "" }))
            .secret("answer", Place::JsonPointer("/code".to_owned()))
            .capture("session", Source::JsonPointer("/session".to_owned()))
            .capture("device", Source::JsonPointer("/device".to_owned()))
            .send()?;
        outcome(response.success()?.json()?)
    }
}

impl Entities for CodesByMail {
    fn changes(_: &str, _: Scope, _: Cursor, _: u32) -> Result<Page, Error> {
        let people = get("/people")?;
        let user = |person: Value| {
            let text = |name: &str| person.get(name).and_then(Value::as_str).map(str::to_owned);
            Item::new(text("id").unwrap_or_default()).body(&User {
                first_name: text("name").map(Into::into),
                email: text("email").map(Into::into),
                ..User::default()
            })
        };
        let people = people.as_array().cloned().unwrap_or_default();
        Page::last(people.into_iter().map(user).collect(), &true)
    }
}

fn get(path: &str) -> Result<Value, Error> {
    let response = Request::get(format!("{APP}{path}")).authenticate().send()?;
    response.success()?.json()
}

/// What the app says of an attempt to sign in.
fn outcome(said: Value) -> Result<SignIn, Error> {
    if let Some(challenge) = said.get("challenge") {
        let sent_to = said.get("sentTo").and_then(Value::as_str);
        return Ok(SignIn::Challenge {
            title: "Check your mail".to_owned(),
            message: format!(
                "Enter the code that was sent to <b>{}</b>.",
                sent_to.unwrap_or("you")
            ),
            state: challenge.clone(),
        });
    }
    let ends = said.get("endsAt").and_then(Value::as_u64);
    Ok(SignIn::Done { expires_at: ends })
}
