//! What an account is connected with, in clear: handed out to the product, written back
//! by it, and taken over from where it was connected before.
//!
//! All three have one shape: public inputs, secrets by slot, and tokens under the names
//! that every product knows, whatever the manifest calls their slots.

use std::collections::BTreeMap;
use std::time::Duration;

use rollout_catalog::Issue;
use rollout_catalog::manifest::{AuthMethod, Input, OAuth2, Plan, SlotScope};
use rollout_store::{
    Consumer, CredentialChange, CredentialStatus, NewTokens, api_time, now, parse_time,
};
use rollout_vault::VaultError;
use serde_json::{Map, Value, json};

use crate::attempt::{Attempt, Connected};
use crate::connect::{Proven, check_flags, plan, public};
use crate::environment::{Environment, Live};
use crate::inputs::{Inputs, LONGEST};
use crate::outbound::Cause;
use crate::{Change, Connect, ConnectError, Connector, Connectors};

/// Names of tokens.
const ACCESS_TOKEN: &str = "accessToken";
const REFRESH_TOKEN: &str = "refreshToken";
/// Until when the access token is good, a time as the API writes it.
const EXPIRES_AT: &str = "expiresAt";

/// An account that was connected somewhere else.
#[derive(Default)]
pub struct Import {
    /// The app, however its key is spelled.
    pub app_key: String,
    /// The plan; the manifest's first without it.
    pub plan: Option<String>,
    /// What it is connected with.
    pub data: Map<String, Value>,
    /// What is opted in to.
    pub entities_to_sync: Option<Map<String, Value>>,
}

impl Connectors {
    /// What a credential is connected with, in clear.
    pub fn data(
        &self,
        environment: &Environment,
        live: &Live,
    ) -> Result<Map<String, Value>, VaultError> {
        let connector = self.find(environment, &live.credential.app_key);
        let plan = connector
            .as_ref()
            .and_then(|connector| connector.manifest.plan(&live.credential.plan));
        let oauth = plan.and_then(signed_in_with);
        let mut data: Map<String, Value> = Map::new();
        // What the connector learned from the app it learns anew: it connects nothing.
        let connects = |name: &str| {
            plan.is_none_or(|plan| plan.auth.inputs.iter().any(|input| input.key == name))
                || oauth.is_some_and(|oauth| oauth.captures.fields.contains_key(name))
        };
        for (name, text) in live.fields().iter().filter(|(name, _)| connects(name)) {
            data.insert(name.clone(), entered(plan, name, text));
        }
        for slot in live.slots() {
            if let Some(secret) = environment.secret(live, slot)? {
                let name = oauth.map_or(slot, |oauth| name_of(oauth, slot));
                data.insert(name.to_owned(), entered(plan, slot, secret.expose()));
            }
        }
        let expires = live.tokens.as_ref().and_then(|tokens| tokens.expires_at);
        if let Some(time) = expires.and_then(|at| api_time(at).ok()) {
            data.insert(EXPIRES_AT.to_owned(), json!(time));
        }
        Ok(data)
    }

    /// Writes parts of it back, after the app has recognised the same account by them.
    /// Tokens get a new number: whoever is replacing the old ones stores nothing.
    pub async fn write_back(
        &self,
        environment: &Environment,
        live: &Live,
        data: Map<String, Value>,
        cause: &Cause,
    ) -> Result<Connected, ConnectError> {
        const PLACE: &str = "currentData";
        let credential = &live.credential;
        let connector = self
            .find(environment, &credential.app_key)
            .ok_or_else(|| ConnectError::UnknownConnector(credential.app_key.clone()))?;
        let plan = plan(&connector, Some(&credential.plan))?;
        let present = self.data(environment, live)?;
        let oauth = signed_in_with(plan);
        // A product may send all that it was told. When a new token ends is said with it.
        let is_new = |(name, value): &(String, Value)| {
            present.get(name) != Some(value) || oauth.is_some() && name == EXPIRES_AT
        };
        let data: Map<String, Value> = data.into_iter().filter(is_new).collect();
        let Some(oauth) = oauth else {
            let mut inputs: Map<String, Value> = present
                .into_iter()
                .filter(|(name, _)| plan.auth.inputs.iter().any(|input| input.key == *name))
                .collect();
            inputs.extend(data);
            let (user_inputs, auth_data) = given(plan, inputs);
            let change = Change {
                user_inputs: Some(user_inputs),
                auth_data,
                ..Change::default()
            };
            let changed = self.change(environment, live, change, cause).await;
            return changed.map_err(|error| at(PLACE, error));
        };
        let tokens = live.tokens.as_ref();
        let mut taken = Taken {
            inputs: Inputs {
                fields: live.fields().clone(),
                secrets: BTreeMap::new(),
            },
            expires_at: tokens.and_then(|tokens| tokens.expires_at),
        };
        for slot in live.slots() {
            if let Some(secret) = environment.secret(live, slot)? {
                let secret = secret.expose().to_owned();
                taken.inputs.secrets.insert(slot.to_owned(), secret);
            }
        }
        if data.contains_key(ACCESS_TOKEN) {
            taken.expires_at = default_end(oauth);
        }
        taken.take(&connector, plan, oauth, data, PLACE)?;
        let Taken { inputs, expires_at } = taken;
        let attempt = Attempt {
            connectors: self,
            environment,
            connector: &connector,
            plan,
            cause,
        };
        let proof = attempt.probe(&inputs).await?;
        if proof.external_id != credential.external_id {
            return Err(ConnectError::OtherAccount);
        }
        let change = CredentialChange {
            fields: Some(public(&connector, &inputs, &proof)),
            secrets: Some(environment.seal(&credential.id, &inputs.secrets)?),
            tokens: Some(NewTokens {
                life: life(expires_at),
            }),
            status: Some(CredentialStatus::Ok),
            ..CredentialChange::default()
        };
        let number = tokens.map(|tokens| tokens.number);
        let store = environment.store();
        let written = store.update_credential_over(&credential.id, number, &change);
        written.await?.ok_or(ConnectError::Replaced)?;
        let taken_up = self.take_up(environment, &connector, &credential.id).await;
        taken_up.map(Connected::Account)
    }

    /// Connects an account for a consumer with what it was connected with elsewhere. The
    /// app has to recognise it. An access token that has ended is replaced first, with
    /// the refresh token, which some apps take once only.
    pub async fn import(
        &self,
        environment: &Environment,
        consumer: &Consumer,
        import: Import,
        cause: &Cause,
    ) -> Result<Connected, ConnectError> {
        const PLACE: &str = "data";
        let connector = self
            .find(environment, &import.app_key)
            .ok_or_else(|| ConnectError::UnknownConnector(import.app_key.clone()))?;
        let plan = plan(&connector, import.plan.as_deref())?;
        let Some(oauth) = signed_in_with(plan) else {
            let (user_inputs, auth_data) = given(plan, import.data);
            let connect = Connect {
                app_key: import.app_key,
                plan: Some(plan.key.clone()),
                user_inputs,
                auth_data,
                entities_to_sync: import.entities_to_sync,
            };
            let connected = self.connect(environment, consumer, connect, cause).await;
            return connected.map_err(|error| at(PLACE, error));
        };
        if let Some(flags) = &import.entities_to_sync {
            check_flags(self.catalog(), flags)?;
        }
        let mut taken = Taken {
            inputs: Inputs::default(),
            expires_at: default_end(oauth),
        };
        taken.take(&connector, plan, oauth, import.data, PLACE)?;
        let missing = plan.auth.inputs.iter().find(|input| {
            let Inputs { fields, secrets } = &taken.inputs;
            !input.optional && !fields.contains_key(&input.key) && !secrets.contains_key(&input.key)
        });
        if let Some(input) = missing {
            return Err(invalid(PLACE, &input.key, "is required".to_owned()));
        }
        let (access, refresh) = slots(oauth);
        let Taken {
            mut inputs,
            mut expires_at,
        } = taken;
        let held = |inputs: &Inputs, slot: &str| inputs.secrets.contains_key(slot);
        let refreshable = refresh.is_some_and(|slot| held(&inputs, slot));
        let ended = expires_at.is_some_and(|at| at <= now());
        if !held(&inputs, access) && !refreshable {
            return Err(invalid(PLACE, ACCESS_TOKEN, "is required".to_owned()));
        }
        let attempt = Attempt {
            connectors: self,
            environment,
            connector: &connector,
            plan,
            cause,
        };
        let mut proof = None;
        if held(&inputs, access) && !(ended && refreshable) {
            match attempt.probe(&inputs).await {
                Ok(proven) => proof = Some(proven),
                // Its life may have been shorter than was said.
                Err(ConnectError::Refused(_)) if refreshable => {}
                Err(error) => return Err(error),
            }
        }
        let proof = match proof {
            Some(proof) => proof,
            None => {
                expires_at = attempt.renew_entered(oauth, &mut inputs).await?;
                attempt.probe_patiently(&inputs).await?
            }
        };
        let proven = Proven {
            connector: &connector,
            plan,
            inputs: &inputs,
            tokens: Some(NewTokens {
                life: life(expires_at),
            }),
            proof: &proof,
        };
        let flags = import.entities_to_sync;
        let entered = self.enter(environment, consumer, &proven, flags).await;
        entered.map(Connected::Account)
    }
}

/// What was sent, told apart.
struct Taken {
    inputs: Inputs,
    /// Milliseconds since 1970; none: until the app refuses it.
    expires_at: Option<i64>,
}

impl Taken {
    /// Takes values over, each to where it belongs; complains about all others at once.
    fn take(
        &mut self,
        connector: &Connector,
        plan: &Plan,
        oauth: &OAuth2,
        data: Map<String, Value>,
        place: &str,
    ) -> Result<(), ConnectError> {
        let mut issues = Vec::new();
        for (name, value) in data {
            if let Err(message) = self.take_one(connector, plan, oauth, &name, value) {
                issues.push(issue(place, &name, message));
            }
        }
        if issues.is_empty() {
            Ok(())
        } else {
            Err(ConnectError::Invalid(issues))
        }
    }

    fn take_one(
        &mut self,
        connector: &Connector,
        plan: &Plan,
        oauth: &OAuth2,
        name: &str,
        value: Value,
    ) -> Result<(), String> {
        if name == EXPIRES_AT {
            self.expires_at = match &value {
                Value::Null => None,
                Value::String(text) => Some(parse_time(text).ok_or_else(not_a_time)?),
                _ => return Err(not_a_time()),
            };
            return Ok(());
        }
        if let Some(input) = plan.auth.inputs.iter().find(|input| input.key == name) {
            let one = Map::from_iter([(name.to_owned(), value)]);
            let checked = Inputs::check(std::slice::from_ref(input), &one);
            let checked = checked.map_err(|issues| {
                let messages: Vec<String> = issues.into_iter().map(|issue| issue.message).collect();
                messages.join("; ")
            })?;
            self.inputs.fields.extend(checked.fields);
            self.inputs.secrets.extend(checked.secrets);
            return Ok(());
        }
        if let Some(learned) = oauth.captures.fields.get(name) {
            let text = text_of(&value)?;
            let value = learned
                .value(text)
                .ok_or("does not have the form that it should have")?;
            self.inputs.fields.insert(name.to_owned(), value);
            return Ok(());
        }
        let slot = slot_of(oauth, name);
        let slots = &connector.manifest.slots;
        let declared = slots
            .get(slot)
            .is_some_and(|slot| slot.scope == SlotScope::Credential);
        if !declared {
            return Err(format!(
                "is not known; there are: {}",
                known(connector, plan, oauth)
            ));
        }
        let text = text_of(&value)?.to_owned();
        self.inputs.secrets.insert(slot.to_owned(), text);
        Ok(())
    }
}

/// A text as it can be sent to an app.
fn text_of(value: &Value) -> Result<&str, String> {
    let text = value.as_str().ok_or("must be a text")?;
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    Ok(text)
}

fn not_a_time() -> String {
    "must be a time like 2026-01-31T12:00:00Z".to_owned()
}

/// What an account can be made of.
fn known(connector: &Connector, plan: &Plan, oauth: &OAuth2) -> String {
    let inputs = plan.auth.inputs.iter().map(|input| input.key.as_str());
    let learned = oauth.captures.fields.keys().map(String::as_str);
    let slots = connector.manifest.slots.iter();
    let secrets = slots
        .filter(|(_, slot)| slot.scope == SlotScope::Credential)
        .map(|(slot, _)| name_of(oauth, slot));
    let mut names: Vec<&str> = inputs.chain(learned).chain(secrets).collect();
    names.push(EXPIRES_AT);
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// How accounts of a plan are signed in with, if people sign in at the app.
fn signed_in_with(plan: &Plan) -> Option<&OAuth2> {
    plan.oauth2()
        .filter(|_| plan.auth.method == AuthMethod::OAuth2)
}

/// Inputs as they come to a plan: from a person, or with the product's token.
fn given(
    plan: &Plan,
    data: Map<String, Value>,
) -> (Map<String, Value>, Option<Map<String, Value>>) {
    if plan.auth.method == AuthMethod::ConsumerToken {
        (Map::new(), Some(data))
    } else {
        (data, None)
    }
}

/// The slots of access and refresh token.
fn slots(oauth: &OAuth2) -> (&str, Option<&str>) {
    let captures = &oauth.captures;
    let refresh = captures.refresh_token.as_ref();
    (
        &captures.access_token.slot,
        refresh.map(|token| token.slot.as_str()),
    )
}

fn name_of<'a>(oauth: &OAuth2, slot: &'a str) -> &'a str {
    match slots(oauth) {
        (access, _) if access == slot => ACCESS_TOKEN,
        (_, Some(refresh)) if refresh == slot => REFRESH_TOKEN,
        _ => slot,
    }
}

fn slot_of<'a>(oauth: &'a OAuth2, name: &'a str) -> &'a str {
    match (name, slots(oauth)) {
        (ACCESS_TOKEN, (access, _)) => access,
        (REFRESH_TOKEN, (_, Some(refresh))) => refresh,
        _ => name,
    }
}

/// A value as a person entered it: lists are kept joined by line breaks.
fn entered(plan: Option<&Plan>, name: &str, text: &str) -> Value {
    let inputs = plan.map(|plan| plan.auth.inputs.as_slice());
    let mut inputs = inputs.unwrap_or_default().iter();
    let is_list = |input: &Input| input.kind.is_list();
    if inputs.any(|input| input.key == name && is_list(input)) {
        text.split('\n').collect()
    } else {
        json!(text)
    }
}

/// When an access token ends of which nothing is said.
fn default_end(oauth: &OAuth2) -> Option<i64> {
    let seconds = oauth.expires_in.map(i64::from)?;
    Some(now() + seconds * 1000)
}

fn life(expires_at: Option<i64>) -> Option<Duration> {
    let left = expires_at? - now();
    Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

fn issue(place: &str, name: &str, message: String) -> Issue {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    Issue {
        pointer: format!("/{place}/{escaped}"),
        message: format!("{name} {message}"),
    }
}

fn invalid(place: &str, name: &str, message: String) -> ConnectError {
    ConnectError::Invalid(vec![issue(place, name, message)])
}

/// Complaints about inputs with the name that the body has for them.
fn at(place: &str, error: ConnectError) -> ConnectError {
    let ConnectError::Invalid(mut issues) = error else {
        return error;
    };
    for issue in &mut issues {
        let rest = issue.pointer.strip_prefix("/userInputs");
        if let Some(rest) = rest {
            issue.pointer = format!("/{place}{rest}");
        }
    }
    ConnectError::Invalid(issues)
}
