//! The simulator seen through a real HTTP client, rule by rule.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod bulk;
mod calendar;
mod calls_and_texts;
mod deals;
mod events;
mod faults;
mod lists;
mod notes_and_tasks;
mod people;
mod setup;

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use rollout_test_apps::follow_up_boss::{Config, Dataset, RateLimits, Simulator};
use serde_json::Value;

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

    pub(crate) fn error(&self) -> String {
        self.json()["errorMessage"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The ids of a list's records, in order.
    pub(crate) fn ids(&self) -> Vec<u64> {
        let json = self.json();
        let collection = json["_metadata"]["collection"].as_str().unwrap();
        let records = json[collection].as_array().unwrap();
        records
            .iter()
            .map(|record| record["id"].as_u64().unwrap())
            .collect()
    }
}

/// A client with a key.
pub(crate) struct Api {
    client: Client,
    base: String,
    key: Option<String>,
    system: Option<(String, String)>,
}

impl Api {
    pub(crate) fn new(simulator: &Simulator) -> Self {
        Self::with_key(simulator, Config::API_KEY)
    }

    pub(crate) fn with_key(simulator: &Simulator, key: &str) -> Self {
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            base: simulator.url().to_owned(),
            key: Some(key.to_owned()),
            system: None,
        }
    }

    pub(crate) fn anonymous(simulator: &Simulator) -> Self {
        Self {
            key: None,
            ..Self::new(simulator)
        }
    }

    pub(crate) fn system(mut self, name: &str, key: &str) -> Self {
        self.system = Some((name.to_owned(), key.to_owned()));
        self
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}/v1{path}", self.base)
        };
        let mut request = self.client.request(method, url);
        if let Some(key) = &self.key {
            request = request.basic_auth(key, Some(""));
        }
        if let Some((name, key)) = &self.system {
            request = request.header("X-System", name).header("X-System-Key", key);
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

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// The ids of all pages, following `nextLink`, and the number of pages.
    pub(crate) async fn walk(&self, path: &str) -> (Vec<u64>, usize) {
        let (mut ids, mut pages, mut path) = (Vec::new(), 0, path.to_owned());
        loop {
            let page = self.get(&path).await;
            assert_eq!(page.status, 200, "{}", page.text);
            ids.extend(page.ids());
            pages += 1;
            match page.json()["_metadata"]["nextLink"].as_str() {
                Some(link) => path = link.to_owned(),
                None => return (ids, pages),
            }
        }
    }
}

/// A simulator without limits.
pub(crate) fn unlimited(dataset: Dataset) -> Simulator {
    Simulator::start(Config::new(dataset).limits(RateLimits::off())).unwrap()
}

pub(crate) fn distinct(ids: &[u64]) -> usize {
    ids.iter().collect::<BTreeSet<_>>().len()
}
