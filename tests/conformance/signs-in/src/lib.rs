//! A connector whose accounts are connected by signing in at an OpenID provider: the
//! account is whoever the provider says it is, and its label says what was granted.

use rollout_connector::{Account, Auth, Error, Manifest, Request, credential};
use serde_json::Value;

struct SignsIn;

rollout_connector::export!(SignsIn);

impl Manifest for SignsIn {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for SignsIn {
    fn probe() -> Result<Account, Error> {
        let me = Request::get("https://op.conformance.example/me")
            .authenticate()
            .send()?
            .success()?;
        let me: Value =
            serde_json::from_str(me.text()?).map_err(|error| Error::Internal(error.to_string()))?;
        let name = me.get("sub").and_then(Value::as_str).unwrap_or_default();
        let granted = credential::field("granted").unwrap_or_default();
        Ok(Account::new(name, format!("{name}: {granted}")))
    }
}
