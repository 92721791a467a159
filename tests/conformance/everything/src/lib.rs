//! A connector that exports every interface and answers as `README.md` says: the
//! same to the same call, whatever it is asked.

mod automations;
mod errors;
mod hooks;
mod imports;
mod records;

use rollout_connector::{Account, Auth, Error, Login, Manifest, Place, Request, SignIn};
use rollout_connector::{app, credential, http};
use serde_json::{Value, json};

const API: &str = "https://api.conformance.example";

struct Everything;

rollout_connector::export!(Everything: Login, Entities, Hooks, Triggers, Actions, Forms);

impl Manifest for Everything {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for Everything {
    fn probe() -> Result<Account, Error> {
        let me = Request::get(format!("{API}/me"))
            .authenticate()
            .send()?
            .success()?;
        let or_none = |field: Option<String>| field.unwrap_or_else(|| "none".to_owned());
        let mut account = Account::new(or_none(credential::field("account")), me.text()?)
            .field("region", or_none(app::field("region")));
        account.avatar = Some(format!("{API}/me.svg"));
        Ok(account)
    }
}

impl Login for Everything {
    fn sign_in(inputs: Value) -> Result<SignIn, Error> {
        if inputs.get("challenge") == Some(&Value::Bool(true)) {
            return Ok(SignIn::Challenge {
                title: "Code".to_owned(),
                message: "Enter the code".to_owned(),
                state: json!({ "user": inputs.get("user") }),
            });
        }
        Ok(SignIn::Done {
            expires_at: inputs.get("expiresAt").and_then(Value::as_u64),
        })
    }

    fn answer(state: Value) -> Result<SignIn, Error> {
        Request::post(format!("{API}/answer"))
            .json(&state)
            .secret("answer", Place::JsonPointer("/code".to_owned()))
            .capture("session", http::Source::Cookie("session".to_owned()))
            .send()?
            .success()?;
        Ok(SignIn::Done { expires_at: None })
    }
}
