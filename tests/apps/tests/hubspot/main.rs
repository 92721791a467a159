//! The simulator seen through a real HTTP client, rule by rule.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod contacts;
mod oauth;
mod search;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use rollout_test_apps::hubspot::{Config, RateLimits, Simulator};
use serde_json::{Value, json};

/// Where contacts are.
pub(crate) const CONTACTS: &str = "/crm/v3/objects/contacts";

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// The category and the message of a refusal of this status.
    pub(crate) fn refused(&self, status: u16) -> (String, String) {
        assert_eq!(self.status, status, "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], "error");
        assert!(body["correlationId"].is_string());
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (text("category"), text("message"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The ids of a list's records, in order.
pub(crate) fn ids(list: &Value) -> Vec<String> {
    let records = list["results"].as_array().unwrap();
    records
        .iter()
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A client with a token.
pub(crate) struct Api {
    client: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    pub(crate) fn new(simulator: &Simulator) -> Self {
        Self::with_token(simulator, Some(Config::TOKEN))
    }

    pub(crate) fn with_token(simulator: &Simulator, token: Option<&str>) -> Self {
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            base: simulator.url(),
            token: token.map(str::to_owned),
        }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, properties: Value) -> Answer {
        let body = json!({ "properties": properties });
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub(crate) async fn create(&self, properties: Value) -> Answer {
        self.post(CONTACTS, json!({ "properties": properties }))
            .await
    }

    pub(crate) async fn search(&self, body: Value) -> Answer {
        self.post(&format!("{CONTACTS}/search"), body).await
    }
}

/// A simulator with so many contacts and without limits.
pub(crate) fn unlimited(contacts: u64) -> Simulator {
    let config = Config::default().contacts(contacts);
    Simulator::start(config.limits(RateLimits::off())).unwrap()
}
