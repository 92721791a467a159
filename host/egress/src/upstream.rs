//! Simulators in place of apps, for development: `[dev.upstreams]`.
//!
//! A mapped origin is the only way for a connector to reach a loopback address.
//! The policy is checked against the URL that the connector asked for; then
//! scheme, host and port are replaced and nothing else.

use std::collections::BTreeMap;
use std::net::IpAddr;

use url::{Host, Url};

use crate::EgressError;

/// Origins and the simulators that stand in for them.
#[derive(Debug, Default)]
pub(crate) struct Upstreams(BTreeMap<String, Url>);

impl Upstreams {
    pub(crate) fn new(entries: &BTreeMap<String, String>) -> Result<Upstreams, EgressError> {
        let mut map = BTreeMap::new();
        for (origin, target) in entries {
            let wrong = |problem: &str| EgressError::Upstream {
                origin: origin.clone(),
                problem: problem.to_owned(),
            };
            let from = bare(origin)
                .filter(|url| url.scheme() == "https")
                .ok_or_else(|| {
                    wrong("the app's origin must be `https://`, a host and nothing more")
                })?;
            let to = bare(target).ok_or_else(|| {
                wrong("the simulator must be `http://` or `https://`, a host and a port and nothing more")
            })?;
            let loopback = match to.host() {
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                Some(Host::Domain(name)) => name == "localhost",
                None => false,
            };
            if !loopback {
                return Err(wrong(
                    "the simulator must run on this machine: 127.0.0.1, [::1] or localhost",
                ));
            }
            tracing::warn!(
                origin,
                target,
                "DEVELOPMENT: calls to this app go to a simulator"
            );
            map.insert(from.origin().ascii_serialization(), to);
        }
        Ok(Upstreams(map))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URL at the simulator, if this origin has one.
    pub(crate) fn stand_in(&self, url: &Url) -> Option<Url> {
        if self.0.is_empty() {
            return None;
        }
        let target = self.0.get(&url.origin().ascii_serialization())?;
        let mut mapped = url.clone();
        let replaced = mapped.set_scheme(target.scheme()).is_ok()
            && mapped.set_host(target.host_str()).is_ok()
            && mapped.set_port(target.port()).is_ok();
        replaced.then_some(mapped)
    }
}

/// A simulator named `localhost` is looked up, and only loopback is dialled.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

/// A URL that is an origin and nothing more.
fn bare(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (plain && matches!(url.scheme(), "http" | "https")).then_some(url)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    fn upstreams(origin: &str, target: &str) -> Result<Upstreams, EgressError> {
        Upstreams::new(&BTreeMap::from([(origin.to_owned(), target.to_owned())]))
    }

    #[test]
    fn only_scheme_host_and_port_change() {
        let map = upstreams("https://API.example.com", "http://127.0.0.1:9101/").unwrap();
        let cases = [
            (
                "https://api.example.com/v1/a%2Fb?x=1&y=%20",
                Some("http://127.0.0.1:9101/v1/a%2Fb?x=1&y=%20"),
            ),
            (
                "https://api.example.com:443/",
                Some("http://127.0.0.1:9101/"),
            ),
            ("https://api.example.com:8443/", None),
            ("http://api.example.com/", None),
            ("https://other.example.com/", None),
            ("https://api.example.com.evil.com/", None),
        ];
        for (from, to) in cases {
            let mapped = map.stand_in(&Url::parse(from).unwrap());
            assert_eq!(mapped.as_ref().map(Url::as_str), to, "{from}");
        }
        let secure = upstreams("https://api.example.com:8443", "https://[::1]").unwrap();
        let mapped = secure
            .stand_in(&Url::parse("https://api.example.com:8443/x").unwrap())
            .unwrap();
        assert_eq!(mapped.as_str(), "https://[::1]/x");
    }

    #[test]
    fn wrong_entries_are_errors_with_an_example() {
        let cases = [
            ("api.example.com", "http://127.0.0.1:1"),
            ("http://api.example.com", "http://127.0.0.1:1"),
            ("https://api.example.com/v1", "http://127.0.0.1:1"),
            ("https://u:p@api.example.com", "http://127.0.0.1:1"),
            ("https://api.example.com", "127.0.0.1:1"),
            ("https://api.example.com", "ftp://127.0.0.1:1"),
            ("https://api.example.com", "http://127.0.0.1:1/base"),
            ("https://api.example.com", "http://10.0.0.1:1"),
            ("https://api.example.com", "http://192.168.1.1"),
            ("https://api.example.com", "http://localhost.example.com:1"),
            ("https://api.example.com", "http://169.254.169.254"),
        ];
        for (origin, target) in cases {
            let error = upstreams(origin, target).unwrap_err().to_string();
            assert!(
                error.contains(origin) && error.contains("http://127.0.0.1:9101"),
                "{error}"
            );
        }
    }
}
