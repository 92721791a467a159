//! The app's own webhooks.
//!
//! ```
//! use rollout_connector::hooks::{Accepted, Inbound, News, Subscription, Topic};
//! use rollout_connector::{Error, Hooks, MacAlgorithm, Request, app};
//! use serde_json::{Value, json};
//!
//! const API: &str = "https://api.tinycrm.example/v2";
//! struct TinyCrm;
//!
//! impl Hooks for TinyCrm {
//!     fn subscribe(topic: Topic) -> Result<Subscription, Error> {
//!         let made = Request::post(format!("{API}/webhooks"))
//!             .json(&json!({ "event": "contacts", "url": topic.url }))
//!             .authenticate()
//!             .send()?
//!             .success()?;
//!         let made: Value = made.json()?;
//!         Ok(Subscription::new(json!({ "id": made["id"] })))
//!     }
//!
//!     fn unsubscribe(data: Value) -> Result<(), Error> {
//!         let url = format!("{API}/webhooks/{}", data["id"]);
//!         Request::delete(url).authenticate().send()?.success().map(drop)
//!     }
//!
//!     fn accept(_: Value, request: Inbound) -> Result<Accepted, Error> {
//!         let code = request.header("x-signature").unwrap_or_default();
//!         if !app::verify_mac("systemKey", MacAlgorithm::HmacSha256, &request.body, code.as_bytes())? {
//!             return Err(Error::Unauthorized("the signature is wrong".into()));
//!         }
//!         let told: Value = request.json()?;
//!         Ok(Accepted::of([News::changed("people", told["contact"].as_u64())]))
//!     }
//! }
//! ```

use serde::Deserialize;
use serde_json::Value;

use crate::automations::{Event, Inputs};
use crate::error::Error;
use crate::http::query_value;
use crate::json;
use crate::records::Item;

/// What to subscribe to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topic {
    /// The hook's key in the manifest.
    pub hook: String,
    /// Where the app shall send: an `https` URL that can't be guessed.
    pub url: String,
    /// The hook's entities that this account syncs.
    pub entities: Vec<String>,
    /// The trigger that wants it; `None` when it is for the entities.
    pub trigger: Option<String>,
    /// The trigger's inputs.
    pub inputs: Inputs,
}

/// A subscription at the app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subscription {
    /// What the other functions need to know of it. No secrets.
    pub data: Value,
    /// When it ends, in milliseconds since the Unix epoch, if the app says.
    pub expires_at: Option<u64>,
    /// With a shared hook: the keys under which [`Hooks::route`] names it.
    ///
    /// [`Hooks::route`]: crate::Hooks::route
    pub keys: Vec<String>,
}

impl Subscription {
    /// A subscription that the other functions know by `data`.
    pub fn new(data: Value) -> Self {
        Self {
            data,
            ..Self::default()
        }
    }

    /// Adds when it ends.
    #[must_use]
    pub fn expires_at(mut self, moment_ms: Option<u64>) -> Self {
        self.expires_at = moment_ms;
        self
    }

    /// Adds a key under which [`Hooks::route`](crate::Hooks::route) names it.
    #[must_use]
    pub fn key(mut self, key: impl ToString) -> Self {
        self.keys.push(key.to_string());
        self
    }
}

/// A request that the app made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbound {
    /// The method in upper case.
    pub method: String,
    /// Scheme and host as the app called them, for example `https://hooks.example.com`.
    pub origin: String,
    /// The path, percent-encoded as it came.
    pub path: String,
    /// What stood after `?`, percent-encoded as it came.
    pub query: Option<String>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, byte by byte as it came.
    pub body: Vec<u8>,
    /// When it came, in milliseconds since the Unix epoch.
    pub received_at: u64,
}

impl Inbound {
    /// The URL that the app called, which some apps sign.
    pub fn url(&self) -> String {
        let mut url = format!("{}{}", self.origin, self.path);
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query);
        }
        url
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        query_value(self.query.as_deref()?, name)
    }

    /// The value of a field of an `application/x-www-form-urlencoded` body, decoded.
    pub fn form_value(&self, name: &str) -> Option<String> {
        query_value(self.text().ok()?, name)
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Error::invalid("", format!("the body is not UTF-8: {error}")))
    }

    /// The body as a JSON document. Types may borrow from the request.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_str(self.text()?)
            .map_err(|error| Error::invalid("", format!("the body is not as expected: {error}")))
    }
}

/// What the host answers to the app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A reply without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// A reply of plain text, as handshakes want it.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            body: body.into().into_bytes(),
            ..Self::empty(status)
        }
        .header("content-type", "text/plain")
    }

    /// A reply of JSON.
    pub fn json(status: u16, body: &impl json::Write) -> Self {
        Self {
            body: json::text_of(body).into_bytes(),
            ..Self::empty(status)
        }
        .header("content-type", "application/json")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Whom a request is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routed {
    /// The keys of the subscriptions that it concerns.
    pub keys: Vec<String>,
    /// What to answer; 200 with an empty body without it.
    pub reply: Option<Reply>,
}

impl Routed {
    /// A request for the subscriptions with these keys.
    pub fn to(keys: impl IntoIterator<Item = impl ToString>) -> Self {
        Self {
            keys: keys.into_iter().map(|key| key.to_string()).collect(),
            reply: None,
        }
    }

    /// A handshake: nobody is told.
    pub fn handshake(reply: Reply) -> Self {
        Self {
            keys: Vec::new(),
            reply: Some(reply),
        }
    }
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Records changed or are gone; the host reads them.
    Changed {
        /// The entity.
        entity: String,
        /// Their ids; empty if the app says only that something changed.
        ids: Vec<String>,
    },
    /// Records changed, and here they are, whole.
    Items {
        /// The entity.
        entity: String,
        /// The records.
        items: Vec<Item>,
    },
    /// A trigger's event happened.
    Event {
        /// The trigger's key in the manifest.
        trigger: String,
        /// What happened.
        event: Event,
    },
    /// The host polls this trigger now.
    Due(String),
    /// The host renews the subscription now.
    Lapsed,
}

impl News {
    /// Records that changed; without ids: something did.
    pub fn changed(
        entity: impl Into<String>,
        ids: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        Self::Changed {
            entity: entity.into(),
            ids: ids.into_iter().map(|id| id.to_string()).collect(),
        }
    }

    /// Records that changed, whole.
    pub fn items(entity: impl Into<String>, items: Vec<Item>) -> Self {
        Self::Items {
            entity: entity.into(),
            items,
        }
    }

    /// An event of a trigger.
    pub fn event(trigger: impl Into<String>, event: Event) -> Self {
        Self::Event {
            trigger: trigger.into(),
            event,
        }
    }
}

/// What a request said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The news, oldest first; empty for handshakes and pings.
    pub news: Vec<News>,
    /// What to answer; 200 with an empty body without it.
    pub reply: Option<Reply>,
}

impl Accepted {
    /// A request with this news.
    pub fn of(news: impl IntoIterator<Item = News>) -> Self {
        Self {
            news: news.into_iter().collect(),
            reply: None,
        }
    }

    /// Adds what to answer.
    #[must_use]
    pub fn reply(mut self, reply: Reply) -> Self {
        self.reply = Some(reply);
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::Hooks;

    fn inbound(query: Option<&str>, body: &[u8]) -> Inbound {
        Inbound {
            method: "POST".into(),
            origin: "https://hooks.example.com".into(),
            path: "/h/a%20b".into(),
            query: query.map(str::to_owned),
            headers: vec![("x-signature".into(), "abc".into())],
            body: body.to_vec(),
            received_at: 1,
        }
    }

    #[test]
    fn a_request_is_read_in_the_usual_ways() {
        let request = inbound(Some("a=1&token=x%20%2By&a=2"), br#"{"n":1}"#);
        assert_eq!(
            request.url(),
            "https://hooks.example.com/h/a%20b?a=1&token=x%20%2By&a=2"
        );
        assert_eq!(request.query_value("token").as_deref(), Some("x +y"));
        assert_eq!(request.query_value("a").as_deref(), Some("1"));
        assert_eq!(request.query_value("none"), None);
        assert_eq!(request.header("X-Signature"), Some("abc"));
        assert_eq!(request.json::<Value>().unwrap(), json!({ "n": 1 }));

        let form = inbound(None, b"payload=%7B%7D&x=1");
        assert_eq!(form.form_value("payload").as_deref(), Some("{}"));
        assert_eq!(form.url(), "https://hooks.example.com/h/a%20b");
        let odd = inbound(None, &[0xff]);
        assert!(matches!(odd.text(), Err(Error::InvalidInput(_))));
        assert_eq!(odd.form_value("x"), None);
    }

    struct Nothing;
    impl Hooks for Nothing {}

    struct OnlyNew;
    impl Hooks for OnlyNew {
        fn subscribe(topic: Topic) -> Result<Subscription, Error> {
            Ok(Subscription::new(json!(topic.hook)).key(7))
        }
    }

    #[test]
    fn what_is_not_implemented_is_unsupported_and_renewing_is_making_anew() {
        let unsupported = |error| matches!(error, Error::Unsupported(_));
        let topic = || Topic {
            hook: "people".into(),
            ..Topic::default()
        };
        let request = || inbound(None, b"");
        assert!(unsupported(Nothing::subscribe(topic()).unwrap_err()));
        assert!(unsupported(
            Nothing::renew(topic(), Value::Null).unwrap_err()
        ));
        assert!(unsupported(Nothing::unsubscribe(Value::Null).unwrap_err()));
        assert!(unsupported(Nothing::route(request()).unwrap_err()));
        assert!(unsupported(
            Nothing::accept(Value::Null, request()).unwrap_err()
        ));

        let renewed = OnlyNew::renew(topic(), Value::Null).unwrap();
        assert_eq!(
            (renewed.data, renewed.keys),
            (json!("people"), vec!["7".to_owned()])
        );
    }
}
