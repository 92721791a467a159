//! An app to talk to, and a connector's rights to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request as Incoming;
use rollout_egress::{
    Access, Binding, CallLimits, Egress, EgressConfig, Failure, Grant, HostRule, Place, Placement,
    Policy, Request, Response, Scope, Secret, Slot,
};
use serde_json::{Value, json};

/// Long enough to be blanked everywhere.
pub(crate) const KEY: &str = "fka_0a1B2c3D4e5F6g7H8i9J";
/// Short: blanked in logs and errors only.
pub(crate) const PIN: &str = "hunter2";

/// A server, and an egress that takes it for `https://api.example.com`.
pub(crate) struct App {
    pub(crate) egress: Egress,
    pub(crate) port: u16,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl App {
    /// Tells back what it got: method, uri, headers and body.
    pub(crate) async fn echoing() -> App {
        App::serving(Router::new().fallback(echo)).await
    }

    pub(crate) async fn serving(router: Router) -> App {
        App::configured(router, EgressConfig::default()).await
    }

    pub(crate) async fn configured(router: Router, config: EgressConfig) -> App {
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let router = router.layer(axum::middleware::from_fn(
            move |request, next: axum::middleware::Next| {
                counter.fetch_add(1, Ordering::SeqCst);
                next.run(request)
            },
        ));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        App {
            egress: egress(port, config),
            port,
            requests,
        }
    }

    pub(crate) fn reached(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Response, Failure> {
        self.egress.send(&grant(policy()), request).await
    }

    /// What the echoing app got.
    pub(crate) async fn seen(&self, grant: &Grant, request: Request) -> Value {
        let response = self.egress.send(grant, request).await.unwrap();
        serde_json::from_slice(&response.body).unwrap()
    }
}

pub(crate) fn egress(port: u16, config: EgressConfig) -> Egress {
    let simulator = format!("http://127.0.0.1:{port}");
    let origins = [
        "https://api.example.com",
        "https://a.wild.example.com",
        "https://acme.tenant.example.com",
    ];
    let dev_upstreams = origins
        .map(|origin| (origin.to_owned(), simulator.clone()))
        .into();
    Egress::new(EgressConfig {
        dev_upstreams,
        ..config
    })
    .unwrap()
}

async fn echo(request: Incoming) -> String {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), reversed(value.to_str().unwrap())]))
        .collect();
    json!({
        "method": parts.method.as_str(), "uri": reversed(&parts.uri.to_string()), "headers": headers,
        "body": reversed(&String::from_utf8_lossy(&body)),
    })
    .to_string()
}

/// Told backwards, so that the egress does not blank the secrets in it.
pub(crate) fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// The values of a header in what the app got.
pub(crate) fn header(seen: &Value, name: &str) -> Vec<String> {
    seen["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pair| pair[0] == name)
        .map(|pair| reversed(pair[1].as_str().unwrap()))
        .collect()
}

/// Query or body in what the app got.
pub(crate) fn part(seen: &Value, name: &str) -> String {
    reversed(seen[name].as_str().unwrap())
}

pub(crate) fn get(url: &str) -> Request {
    Request {
        method: "GET".into(),
        url: url.into(),
        ..Request::default()
    }
}

pub(crate) fn post(url: &str, kind: &str, body: &str) -> Request {
    Request {
        method: "POST".into(),
        headers: vec![("content-type".into(), kind.into())],
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
        ..get(url)
    }
}

pub(crate) fn placement(slot: &str, prefix: &str, place: Place) -> Placement {
    Placement {
        slot: slot.into(),
        prefix: prefix.into(),
        place,
        optional: false,
    }
}

pub(crate) fn binding(slot: &str, place: Place) -> Binding {
    Binding {
        slot: slot.into(),
        host: "api.example.com".into(),
        methods: None,
        paths: None,
        place,
    }
}

/// Key as user name by default; `key` and `pin` bound to many places.
pub(crate) fn policy() -> Policy {
    let mut bindings = Vec::new();
    for slot in ["key", "pin", "odd", "empty"] {
        for place in [
            Place::Header("X-Api-Key".into()),
            Place::Header("Authorization".into()),
            Place::Header("Cookie".into()),
            Place::Header("Host".into()),
            Place::Header("Transfer-Encoding".into()),
            Place::Header("bad name".into()),
            Place::Query("api_key".into()),
            Place::FormField("api_key".into()),
            Place::JsonPointer("/auth/key".into()),
            Place::JsonPointer("/list/1".into()),
            Place::JsonPointer("/a~1b".into()),
            Place::BasicUser,
            Place::BasicPassword,
        ] {
            bindings.push(binding(slot, place));
        }
    }
    let field = |name: &str| (name == "tenant").then(|| "Acme".to_owned());
    Policy {
        connector: "example".into(),
        hosts: [
            "api.example.com",
            "*.wild.example.com",
            "{tenant}.tenant.example.com",
            "{unset}.tenant.example.com",
        ]
        .map(|pattern| HostRule::new(pattern, field))
        .into(),
        bindings,
        placements: vec![
            placement("key", "", Place::BasicUser),
            Placement {
                optional: true,
                ..placement("empty", "", Place::Header("X-Api-Key".into()))
            },
        ],
    }
}

pub(crate) fn slots() -> BTreeMap<String, Slot> {
    let slot = |values: &[&str]| Slot {
        scope: Scope::Credential,
        signing: false,
        withheld: false,
        values: values
            .iter()
            .map(|value| Secret::from((*value).to_owned()))
            .collect(),
    };
    BTreeMap::from([
        ("key".into(), slot(&[KEY])),
        ("pin".into(), slot(&[PIN])),
        ("odd".into(), slot(&["a&b=c d/é+\"\\"])),
        ("split".into(), slot(&["a\r\nX-Evil: 1"])),
        ("empty".into(), slot(&[])),
        ("token".into(), slot(&[])),
        ("session".into(), slot(&[])),
        (
            "code".into(),
            Slot {
                signing: true,
                ..slot(&["old-code", "new-code"])
            },
        ),
    ])
}

pub(crate) fn grant(policy: Policy) -> Grant {
    limited(policy, CallLimits::default())
}

pub(crate) fn limited(policy: Policy, limits: CallLimits) -> Grant {
    let capturable = BTreeSet::from(["token".to_owned(), "session".to_owned()]);
    Grant::new(Arc::new(Access::new(policy, slots())), capturable, limits)
}

/// The text of a refusal.
pub(crate) fn denied(outcome: Result<Response, Failure>) -> String {
    match outcome {
        Err(Failure::Denied(text)) => text,
        other => panic!("not denied: {other:?}"),
    }
}

/// The value of a header of a response.
pub(crate) fn value<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|(present, _)| present == name)
        .map(|(_, value)| value.as_str())
}
