//! `GET /api/connectors`: what accounts can be connected, and how.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};
use rollout_catalog::Verb;
use rollout_catalog::manifest::{AuthMethod, Input, InputKind, Plan};
use rollout_connectors::{Connector, is_set_up};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::host::Host;
use crate::sanitize::harmless;

/// An object by app key. `auth` is for Link 0.5.1, `authByPlan` for later ones.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(&headers)?;
    let mut connectors = Map::new();
    for connector in host.connectors.all(&asker.environment) {
        let plans = connector.manifest.plans.iter();
        let plans = plans.filter(|plan| is_set_up(&asker.environment, &connector, plan));
        let plans: Vec<&Plan> = plans.collect();
        // Link crashes on a connector that can't be connected.
        if !plans.is_empty() {
            let key = asker.environment.shown_key(connector.key());
            connectors.insert(key, shown(&connector, &plans));
        }
    }
    Ok(Json(Value::Object(connectors)))
}

/// The connector's picture; public, because pages load it as an image.
pub(crate) async fn icon(
    State(host): State<Arc<Host>>,
    Path(key): Path<String>,
) -> Result<Response, ApiError> {
    // No token says which environment's version is meant; pictures hardly differ.
    let environments = host.environments.all();
    let mut found = environments
        .iter()
        .map(|one| host.connectors.find(one, &key));
    let connector = found.find_map(|found| found);
    let connector = connector.ok_or_else(ApiError::not_found)?;
    let manifest = &connector.manifest;
    let icon = manifest.icon.clone();
    let icon = icon.unwrap_or_else(|| lettered(&manifest.name));
    let headers: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=3600"),
        ),
    ];
    Ok((headers, icon).into_response())
}

/// The picture of a connector that has none: its first letter.
fn lettered(name: &str) -> String {
    let letter = name.chars().find(|one| one.is_alphanumeric());
    let letter = letter.map(|one| one.to_uppercase().to_string());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\">\
         <rect width=\"64\" height=\"64\" rx=\"14\" fill=\"#5b6472\"/>\
         <text x=\"32\" y=\"44\" font-family=\"system-ui, sans-serif\" font-size=\"34\" font-weight=\"600\" \
         text-anchor=\"middle\" fill=\"#fff\">{}</text></svg>",
        letter.unwrap_or_default()
    )
}

fn shown(connector: &Connector, plans: &[&Plan]) -> Value {
    let manifest = &connector.manifest;
    let mut by_plan = Map::new();
    for plan in plans {
        by_plan.insert(plan.key.clone(), auth(plan, real_kind));
    }
    // Link 0.5.1 crashes on input types other than these two.
    let first = plans.first().map(|plan| {
        auth(plan, |kind| match kind {
            InputKind::Dropdown => "dropdown",
            _ => "textfield",
        })
    });
    let mut entities = Map::new();
    for category in &manifest.categories {
        let mut of_category = Map::new();
        for (name, offer) in &manifest.entities {
            if !offer.categories.contains(category) {
                continue;
            }
            let mut verbs = Map::new();
            for verb in Verb::ALL {
                verbs.insert(verb.as_str().to_owned(), Value::Bool(offer.has(verb)));
            }
            of_category.insert(name.clone(), Value::Object(verbs));
        }
        entities.insert(category.to_string(), Value::Object(of_category));
    }
    json!({
        "name": manifest.name,
        "description": manifest.description,
        "version": manifest.version.to_string(),
        "auth": first,
        "authByPlan": by_plan,
        "entities": entities,
    })
}

fn auth(plan: &Plan, kind: impl Fn(InputKind) -> &'static str) -> Value {
    // The product's token brings them, nobody enters them.
    let entered = plan.auth.method != AuthMethod::ConsumerToken;
    let inputs = plan.auth.inputs.iter().filter(|_| entered);
    let inputs: Vec<Value> = inputs.map(|one| input(one, kind(one.kind))).collect();
    let kind = match plan.auth.method {
        AuthMethod::OAuth2 => "oauth2",
        AuthMethod::None
        | AuthMethod::Fields
        | AuthMethod::SignIn
        | AuthMethod::ClientCredentials
        | AuthMethod::ConsumerToken => "apiToken",
    };
    let mut shown = json!({"type": kind, "userInputsSchema": inputs});
    if let Some(shown) = shown.as_object_mut().filter(|_| !plan.name.is_empty()) {
        shown.insert("name".into(), json!(plan.name));
    }
    shown
}

fn real_kind(kind: InputKind) -> &'static str {
    match kind {
        InputKind::TextField => "textfield",
        InputKind::Secret => "secret",
        InputKind::TextFields => "textfield[]",
        InputKind::Secrets => "secret[]",
        InputKind::Dropdown => "dropdown",
    }
}

fn input(input: &Input, kind: &str) -> Value {
    let mut shown = Map::new();
    shown.insert("key".into(), json!(input.key));
    shown.insert("type".into(), json!(kind));
    let texts = [
        ("label", &input.label),
        ("placeholder", &input.placeholder),
        ("addButtonLabel", &input.add_button_label),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            shown.insert(name.into(), json!(text));
        }
    }
    if let Some(html) = &input.info_html {
        shown.insert("infoHTML".into(), json!(harmless(html)));
    }
    if input.optional {
        shown.insert("optional".into(), json!(true));
    }
    if !input.options.is_empty() {
        let options: Vec<Value> = input
            .options
            .iter()
            .map(|choice| json!({"value": choice.value(), "label": choice.label()}))
            .collect();
        shown.insert("options".into(), json!(options));
    }
    Value::Object(shown)
}
