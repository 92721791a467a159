//! The egress, and a client without its filter.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rollout_egress::{
    Access, CallLimits, Egress, EgressConfig, Grant, HostRule, Lookup, LookupFuture, Policy,
    Request,
};

/// A name server that gives one answer after the other, and then the last again.
#[derive(Clone)]
pub(crate) struct Names {
    answers: Arc<Vec<Vec<IpAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    pub(crate) fn of(answers: &[Vec<IpAddr>]) -> Self {
        Self {
            answers: Arc::new(answers.to_vec()),
            asked: Arc::default(),
        }
    }

    fn answer(&self) -> io::Result<Vec<IpAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let last = self.answers.len().checked_sub(1);
        let last = last.ok_or_else(|| io::Error::other("no such name"))?;
        Ok(self.answers[turn.min(last)].clone())
    }
}

impl Lookup for Names {
    fn lookup(&self, _: String) -> LookupFuture {
        let answer = self.answer();
        Box::pin(async move { answer })
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let answer = self.answer();
        Box::pin(async move {
            let addresses = answer?.into_iter();
            let addresses: reqwest::dns::Addrs =
                Box::new(addresses.map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Long enough for what is on this machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends by the egress, as a connector would whose manifest names these hosts.
pub(crate) async fn filtered(
    names: &Names,
    hosts: &[&str],
    stand_ins: &[(&str, String)],
    urls: &[String],
) -> Vec<String> {
    let upstreams = stand_ins.iter();
    let dev_upstreams: BTreeMap<String, String> = upstreams
        .map(|(origin, stand_in)| ((*origin).to_owned(), stand_in.clone()))
        .collect();
    let config = EgressConfig {
        dev_upstreams,
        timeout: PATIENCE,
        ..EgressConfig::default()
    };
    let egress = Egress::with_lookup(config, Arc::new(names.clone())).unwrap();
    let policy = Policy {
        connector: "addresses".into(),
        hosts: hosts
            .iter()
            .map(|host| HostRule::new(host, |_| None))
            .collect(),
        ..Policy::default()
    };
    let access = Arc::new(Access::new(policy, BTreeMap::new()));
    let grant = Grant::new(access, Default::default(), CallLimits::default());
    let mut came = Vec::new();
    for url in urls {
        let request = Request {
            method: "GET".into(),
            url: url.clone(),
            ..Request::default()
        };
        came.push(match egress.send(&grant, request).await {
            Ok(response) => response.status.to_string(),
            Err(failure) => failure.to_string(),
        });
    }
    came
}

/// Sends by the same library with nothing in between: what follows redirects, heeds the
/// environment and dials what it is told.
pub(crate) async fn unfiltered(names: &Names, proxied: bool, urls: &[String]) {
    let client = reqwest::Client::builder()
        .dns_resolver(Arc::new(names.clone()))
        .timeout(PATIENCE);
    let client = if proxied { client } else { client.no_proxy() };
    let client = client.build().unwrap();
    for url in urls {
        // Nothing here speaks TLS: only who was called counts.
        let _ = client.get(url).send().await;
    }
}
