//! Connecting an account: what was entered is proven with the app before
//! anything is stored.

use std::sync::Arc;

use rollout_catalog::manifest::{AuthMethod, Plan};
use rollout_catalog::{Catalog, Issue};
pub(crate) use rollout_sandbox::Account as Proof;
use rollout_sandbox::CallError;
use rollout_store::{
    Consumer, Credential, CredentialChange, CredentialStatus, NewTokens, StoreError,
    new_credential_id, now,
};
use rollout_vault::VaultError;
use serde_json::{Map, Value, json};

use crate::attempt::{Attempt, Connected, Wish, brought};
use crate::environment::{Environment, EnvironmentError, Live};
use crate::inputs::Inputs;
use crate::oauth::TokenError;
use crate::outbound::Cause;
use crate::{Connector, Connectors};

/// What a consumer sends to connect an account.
#[derive(Debug, Default)]
pub struct Connect {
    /// The app, however its key is spelled.
    pub app_key: String,
    /// The plan; the manifest's first without it.
    pub plan: Option<String>,
    /// What the person entered.
    pub user_inputs: Map<String, Value>,
    /// What the product's token brings for its own apps.
    pub auth_data: Option<Map<String, Value>>,
    /// What is opted in to.
    pub entities_to_sync: Option<Map<String, Value>>,
}

/// What is changed about a connected account.
#[derive(Debug, Default)]
pub struct Change {
    /// New inputs, proven first.
    pub user_inputs: Option<Map<String, Value>>,
    /// What the product's token brings for its own apps.
    pub auth_data: Option<Map<String, Value>>,
    /// What is opted in to.
    pub entities_to_sync: Option<Map<String, Value>>,
    /// What a person calls the account.
    pub label: Option<String>,
}

/// Why an account was not connected or changed. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No such connector is loaded.
    #[error("there is no connector `{0}`")]
    UnknownConnector(String),
    /// The connector has no such plan.
    #[error("{connector} has no plan `{plan}`; it has: {}", .plans.join(", "))]
    UnknownPlan {
        /// The connector.
        connector: String,
        /// What was asked for.
        plan: String,
        /// What there is.
        plans: Vec<String>,
    },
    /// What was sent does not fit.
    #[error("{}", issues_text(.0))]
    Invalid(Vec<Issue>),
    /// The app refuses what was entered.
    #[error("{0}")]
    Refused(String),
    /// The credential belongs to another account of the app.
    #[error("these inputs belong to another account: connect it as a credential of its own")]
    OtherAccount,
    /// Others were faster: what was sent was made from tokens that are no longer there.
    #[error("the tokens were replaced meanwhile: read them again, and decide anew")]
    Replaced,
    /// The app or its connector failed.
    #[error(transparent)]
    Call(CallError),
    /// The app gave no token.
    #[error(transparent)]
    Token(TokenError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret can't be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn issues_text(issues: &[Issue]) -> String {
    let texts: Vec<&str> = issues.iter().map(|issue| issue.message.as_str()).collect();
    texts.join("; ")
}

impl From<EnvironmentError> for ConnectError {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Store(error) => Self::Store(error),
            EnvironmentError::Vault(error) => Self::Vault(error),
        }
    }
}

/// An account that its app has recognised.
pub(crate) struct Proven<'a> {
    pub(crate) connector: &'a Connector,
    pub(crate) plan: &'a Plan,
    pub(crate) inputs: &'a Inputs,
    /// The tokens among the inputs, if it was proven by signing in.
    pub(crate) tokens: Option<NewTokens>,
    pub(crate) proof: &'a Proof,
}

impl Proven<'_> {
    /// Stores it: the same account again keeps its credential. Answers the credential's
    /// id.
    async fn enter(
        &self,
        environment: &Environment,
        consumer: &Consumer,
        entities_to_sync: Option<Map<String, Value>>,
    ) -> Result<String, ConnectError> {
        let Self {
            connector,
            plan,
            inputs,
            tokens,
            proof,
        } = self;
        let store = environment.store();
        let found = store
            .find_by_external(&consumer.id, connector.key(), &proof.external_id)
            .await?;
        if let Some(credential) = found {
            let change = CredentialChange {
                plan: Some(plan.key.clone()),
                label: Some(proof.label.clone()),
                avatar: proof.avatar.clone(),
                fields: Some(public(connector, inputs, proof)),
                entities_to_sync: entities_to_sync.map(Value::Object),
                status: Some(CredentialStatus::Ok),
                secrets: Some(environment.seal(&credential.id, &inputs.secrets)?),
                tokens: *tokens,
            };
            store.update_credential(&credential.id, &change).await?;
            return Ok(credential.id);
        }
        let (id, now) = new_credential_id();
        let credential = Credential {
            app_key: connector.key().to_owned(),
            plan: plan.key.clone(),
            label: Some(proof.label.clone()),
            avatar: proof.avatar.clone(),
            external_id: proof.external_id.clone(),
            fields: public(connector, inputs, proof),
            entities_to_sync: Value::Object(entities_to_sync.unwrap_or_default()),
            status: CredentialStatus::Ok,
            created_at: now,
            updated_at: now,
            id,
        };
        let sealed = environment.seal(&credential.id, &inputs.secrets)?;
        store
            .insert_with_tokens(&credential, &consumer.id, &sealed, *tokens)
            .await?;
        Ok(credential.id)
    }
}

impl Connectors {
    /// Connects an account for a consumer. The same account again keeps its
    /// credential and replaces its secrets.
    pub async fn connect(
        &self,
        environment: &Environment,
        consumer: &Consumer,
        connect: Connect,
        cause: &Cause,
    ) -> Result<Connected, ConnectError> {
        let connector = self
            .find(environment, &connect.app_key)
            .ok_or(ConnectError::UnknownConnector(connect.app_key))?;
        let plan = plan_by_inputs(&connector, connect.plan.as_deref())?;
        if let Some(flags) = &connect.entities_to_sync {
            check_flags(self.catalog(), flags)?;
        }
        let inputs = entered(plan, &connect.user_inputs, connect.auth_data.as_ref())?;
        let attempt = Attempt {
            connectors: self,
            environment,
            connector: &connector,
            plan,
            cause,
        };
        let wish = Wish::Connect {
            consumer: consumer.key.clone(),
            entities_to_sync: connect.entities_to_sync,
        };
        attempt.begin(inputs, wish).await
    }

    /// Stores an account that its app has recognised, and takes it into use.
    pub(crate) async fn enter(
        &self,
        environment: &Environment,
        consumer: &Consumer,
        proven: &Proven<'_>,
        flags: Option<Map<String, Value>>,
    ) -> Result<Arc<Live>, ConnectError> {
        let id = match proven.enter(environment, consumer, flags.clone()).await {
            // Another request with the same account was faster: now it is there.
            Err(ConnectError::Store(StoreError::Conflict(_))) => {
                proven.enter(environment, consumer, flags).await?
            }
            entered => entered?,
        };
        self.take_up(environment, proven.connector, &id).await
    }

    /// Changes a connected account.
    pub async fn change(
        &self,
        environment: &Environment,
        live: &Live,
        change: Change,
        cause: &Cause,
    ) -> Result<Connected, ConnectError> {
        let id = &live.credential.id;
        let connector = self
            .find(environment, &live.credential.app_key)
            .ok_or_else(|| ConnectError::UnknownConnector(live.credential.app_key.clone()))?;
        if let Some(flags) = &change.entities_to_sync {
            check_flags(self.catalog(), flags)?;
        }
        if let Some(user_inputs) = change.user_inputs {
            let plan = plan_by_inputs(&connector, Some(&live.credential.plan))?;
            let inputs = entered(plan, &user_inputs, change.auth_data.as_ref())?;
            let attempt = Attempt {
                connectors: self,
                environment,
                connector: &connector,
                plan,
                cause,
            };
            let wish = Wish::Change {
                credential: id.clone(),
                entities_to_sync: change.entities_to_sync,
                label: change.label,
            };
            return attempt.begin(inputs, wish).await;
        }
        let stored = CredentialChange {
            label: change.label,
            entities_to_sync: change.entities_to_sync.map(Value::Object),
            ..CredentialChange::default()
        };
        environment.store().update_credential(id, &stored).await?;
        let live = self.take_up(environment, &connector, id).await?;
        Ok(Connected::Account(live))
    }

    /// Plans the sync of what is opted in, forgets what is opted out, and takes
    /// the credential into use.
    pub(crate) async fn take_up(
        &self,
        environment: &Environment,
        connector: &Connector,
        id: &str,
    ) -> Result<Arc<Live>, ConnectError> {
        let store = environment.store();
        let gone = || StoreError::NotFound("credential");
        // What is scheduled here may begin at once, and needs its new secrets.
        let loaded = environment.load_with_syncs(id).await?;
        let (live, known) = loaded.ok_or_else(gone)?;
        let wanted = live.entities(self.catalog(), connector);
        let names: Vec<&str> = wanted.iter().map(|entity| entity.name.as_str()).collect();
        let (known, unwanted): (Vec<_>, Vec<_>) = known
            .into_iter()
            .partition(|row| names.contains(&row.entity.as_str()));
        for row in unwanted {
            store.forget_sync(id, &row.entity).await?;
        }
        let now = now();
        // Those that are new may be under way already, and have their order.
        store.plan_sync(id, &names, now).await?;
        // What failed under the old keys gets its chance with the new ones.
        for row in known {
            store.sync_at_once(id, &row.entity, now).await?;
        }
        Ok(environment.load(id).await?.ok_or_else(gone)?)
    }

    /// Plans what is not planned yet: the process may have ended between storing
    /// a credential and planning its sync, and a newer connector may offer more.
    /// For start-up.
    pub async fn plan_missing(&self, environment: &Environment) -> Result<(), ConnectError> {
        for live in environment.credentials() {
            let Some(connector) = self.find(environment, &live.credential.app_key) else {
                continue;
            };
            let entities = live.entities(self.catalog(), &connector);
            let missing: Vec<&str> = entities
                .iter()
                .map(|entity| entity.name.as_str())
                .filter(|name| live.readiness(name).is_none())
                .collect();
            if !missing.is_empty() {
                let store = environment.store();
                store
                    .plan_sync(&live.credential.id, &missing, now())
                    .await?;
                environment.load(&live.credential.id).await?;
            }
        }
        Ok(())
    }
}

/// What was entered for a plan, or what the product's token brings for it.
fn entered(
    plan: &Plan,
    user_inputs: &Map<String, Value>,
    auth_data: Option<&Map<String, Value>>,
) -> Result<Inputs, ConnectError> {
    if plan.auth.method != AuthMethod::ConsumerToken {
        return Inputs::check(&plan.auth.inputs, user_inputs).map_err(ConnectError::Invalid);
    }
    if user_inputs.is_empty() {
        return brought(plan, auth_data);
    }
    Err(ConnectError::Invalid(vec![Issue::new(
        "/userInputs",
        "nothing is entered for this app: the token's claim \"rollout.com\" brings it in `authData`",
    )]))
}

/// The plan for what a person enters: the one that is named, or the first for which he
/// need not sign in at the app.
fn plan_by_inputs<'a>(
    connector: &'a Connector,
    key: Option<&str>,
) -> Result<&'a Plan, ConnectError> {
    let signs_in = |plan: &Plan| plan.auth.method == AuthMethod::OAuth2;
    let first = || {
        let mut plans = connector.manifest.plans.iter();
        plans.find(|plan| !signs_in(plan))
    };
    let found = match key {
        None => first().map_or_else(|| plan(connector, None), Ok)?,
        Some(key) => plan(connector, Some(key))?,
    };
    if !signs_in(found) {
        return Ok(found);
    }
    let key = &found.key;
    Err(ConnectError::Invalid(vec![Issue {
        pointer: "/plan".into(),
        message: format!(
            "the plan `{key}` is connected by signing in at the app: POST /api/oauth/authorize-url"
        ),
    }]))
}

pub(crate) fn plan<'a>(
    connector: &'a Connector,
    key: Option<&str>,
) -> Result<&'a Plan, ConnectError> {
    let plans = &connector.manifest.plans;
    let found = match key {
        None => plans.first(),
        Some(key) => plans.iter().find(|plan| plan.key == key),
    };
    found.ok_or_else(|| ConnectError::UnknownPlan {
        connector: connector.key().to_owned(),
        plan: key.unwrap_or_default().to_owned(),
        plans: plans.iter().map(|plan| plan.key.clone()).collect(),
    })
}

/// Known names with true or false. A name that the connector does not offer is
/// accepted and ignored.
pub(crate) fn check_flags(
    catalog: &Catalog,
    flags: &Map<String, Value>,
) -> Result<(), ConnectError> {
    let known: Vec<&str> = catalog.flags().collect();
    let issues: Vec<Issue> = flags
        .iter()
        .filter_map(|(name, value)| {
            let message = if !known.contains(&name.as_str()) {
                format!(
                    "there is no entity `{name}` to opt in to; there are: {}",
                    known.join(", ")
                )
            } else if !value.is_boolean() {
                "must be true or false".to_owned()
            } else {
                return None;
            };
            let name = name.replace('~', "~0").replace('/', "~1");
            Some(Issue {
                pointer: format!("/entitiesToSync/{name}"),
                message,
            })
        })
        .collect();
    if issues.is_empty() {
        Ok(())
    } else {
        Err(ConnectError::Invalid(issues))
    }
}

/// The public fields: what was entered, and what the connector learned. It does not
/// change what its hosts are made of.
pub(crate) fn public(connector: &Connector, inputs: &Inputs, proof: &Proof) -> Value {
    let hosts = &connector.manifest.hosts;
    let in_host = |name: &String| {
        hosts
            .iter()
            .any(|host| host.fields().any(|one| one == name))
    };
    let mut fields = json!(inputs.fields);
    if let Some(object) = fields.as_object_mut() {
        for (name, value) in proof.fields.iter().filter(|(name, _)| !in_host(name)) {
            object.insert(name.clone(), Value::String(value.clone()));
        }
    }
    fields
}
