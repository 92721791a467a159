//! What is sent: which records, never what is in them.

use rollout_catalog::{Catalog, Category};
use rollout_connectors::Environment;
use rollout_store::{ANY_EVENT, CREDENTIAL, Delivery, Event, StoreError, Webhook};
use serde_json::{Map, Value, json};

use crate::names::names_event;

/// Where an event's records are read: the first of these categories that has its
/// entity, and the entity's path there.
pub fn place_of<'a>(
    catalog: &'a Catalog,
    categories: &[Category],
    event: &Event,
) -> Option<(Category, &'a str)> {
    categories.iter().find_map(|category| {
        let mut entities = catalog.entities_of(*category);
        let entity = entities.find(|entity| entity.name == event.kind)?;
        Some((*category, entity.path.as_str()))
    })
}

/// The address under which records are read. `base` is how the outside reaches this host.
pub fn uri(base: &str, (category, path): (Category, &str), ids: &[String]) -> String {
    format!("{base}/{category}/api/{path}?ids={}", ids.join(","))
}

/// What there is to say of an event about a credential.
pub fn credential_data(environment: &Environment, event: &Event) -> Value {
    let data = event.data.as_deref().unwrap_or("{}");
    let mut data = serde_json::from_str(data).unwrap_or(Value::Null);
    if let Some(key) = data.pointer_mut("/credential/appKey") {
        *key = environment.shown_key(&event.app_key).into();
    }
    data
}

/// The body of a delivery.
pub(crate) async fn payload(
    base: &str,
    catalog: &Catalog,
    environment: &Environment,
    (webhook, delivery, event): (&Webhook, &Delivery, &Event),
) -> Result<Value, StoreError> {
    let categories: Vec<Category> = catalog
        .categories()
        .filter(|one| webhook.category.is_empty() || one.to_string() == webhook.category)
        .collect();
    let own = webhook.credential_id.is_some();
    // A credential's subscription calls the event as it was asked for, unless it asks for
    // another one by now.
    let asked = &webhook.wanted.event;
    let name = if own && asked != ANY_EVENT && names_event(asked, event) {
        asked.clone()
    } else {
        event.name()
    };
    let mut payload = Map::new();
    let mut put = |name: &str, value: Value| {
        payload.insert(name.to_owned(), value);
    };
    put("eventId", event.id.clone().into());
    put("eventCreated", event.time().into());
    put("event", name.into());
    if event.kind == CREDENTIAL {
        put("resourceIds", json!([event.credential_id]));
    } else {
        let ids = delivery.ids.as_ref().unwrap_or(&event.ids);
        put("resourceIds", ids.clone().into());
        if let Some(place) = place_of(catalog, &categories, event) {
            put("uri", uri(base, place, ids).into());
        }
    }
    if event.initial {
        put("initialSync", true.into());
    }
    if !own {
        let data = credential_data(environment, event);
        // Of one that is gone the event itself says whose it was.
        let told = data.pointer("/consumerKeys/0").cloned();
        let consumer = match told {
            Some(key) => key,
            None => {
                let holders = environment.store().holders(&event.credential_id).await?;
                holders.into_iter().next().map(|one| one.key).into()
            }
        };
        put("credentialId", event.credential_id.clone().into());
        put("appKey", environment.shown_key(&event.app_key).into());
        put("consumerKey", consumer);
        if event.kind == CREDENTIAL {
            put("data", data);
        }
    }
    Ok(Value::Object(payload))
}
