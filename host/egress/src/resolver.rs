//! Names become addresses here, once per connection, and the connection is made
//! to exactly the addresses that were judged: there is no second look-up that
//! could answer otherwise.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A look-up under way.
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Asks for the addresses of a name. The answer is not trusted.
pub trait Lookup: Send + Sync {
    /// All addresses of `name`.
    fn lookup(&self, name: String) -> LookupFuture;
}

/// Asks the operating system.
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> LookupFuture {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// The name has addresses, but none that may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address that may be called")]
pub(crate) struct AddressRefused;

/// Whether an address of a name may be called.
type Allowed = dyn Fn(&str, IpAddr) -> bool + Send + Sync;

/// Lets through only the addresses that `allowed` accepts.
pub(crate) struct GuardedResolver {
    lookup: Arc<dyn Lookup>,
    allowed: Arc<Allowed>,
}

impl GuardedResolver {
    pub(crate) fn new(lookup: Arc<dyn Lookup>, allowed: fn(IpAddr) -> bool) -> GuardedResolver {
        GuardedResolver::by_name(lookup, move |_, address| allowed(address))
    }

    /// The same where it also depends on the name.
    pub(crate) fn by_name(
        lookup: Arc<dyn Lookup>,
        allowed: impl Fn(&str, IpAddr) -> bool + Send + Sync + 'static,
    ) -> GuardedResolver {
        GuardedResolver {
            lookup,
            allowed: Arc::new(allowed),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.lookup.lookup(name.as_str().to_owned());
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let found = looking.await?;
            let kept: Vec<SocketAddr> = found
                .iter()
                .filter(|address| allowed(name.as_str(), **address))
                // Port 0: the connection takes the one of the URL.
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            if kept.is_empty() {
                tracing::warn!(
                    name = name.as_str(),
                    ?found,
                    "refused: no address that may be called"
                );
                return Err(AddressRefused.into());
            }
            let kept: Addrs = Box::new(kept.into_iter());
            Ok(kept)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::address::is_public;

    /// Answers differently every time, as a rebinding name server does.
    struct Rebinding {
        answers: Vec<Vec<&'static str>>,
        asked: AtomicUsize,
    }

    impl Lookup for Rebinding {
        fn lookup(&self, _: String) -> LookupFuture {
            let turn = self.asked.fetch_add(1, Ordering::SeqCst);
            let answer = self.answers[turn]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
            Box::pin(async move { Ok(answer) })
        }
    }

    #[tokio::test]
    async fn each_answer_is_judged_and_used_once() {
        let lookup = Arc::new(Rebinding {
            answers: vec![
                vec!["8.8.8.8"],
                vec!["127.0.0.1"],
                vec![
                    "10.0.0.1",
                    "8.8.4.4",
                    "::1",
                    "::ffff:169.254.169.254",
                    "2606:4700::1111",
                ],
                vec![],
            ],
            asked: AtomicUsize::new(0),
        });
        let resolver = GuardedResolver::new(lookup.clone(), is_public);
        let resolve = || async {
            let addresses = resolver
                .resolve("rebind.example.com".parse().unwrap())
                .await;
            addresses.map(|found| {
                found
                    .map(|address| address.ip().to_string())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(resolve().await.unwrap(), ["8.8.8.8"]);
        assert!(resolve().await.unwrap_err().is::<AddressRefused>());
        assert_eq!(resolve().await.unwrap(), ["8.8.4.4", "2606:4700::1111"]);
        assert!(resolve().await.is_err());
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 4, "one look-up each");
    }

    #[tokio::test]
    async fn a_failed_look_up_is_not_a_refusal() {
        struct Failing;
        impl Lookup for Failing {
            fn lookup(&self, _: String) -> LookupFuture {
                Box::pin(async { Err(io::Error::other("no such name")) })
            }
        }
        let resolver = GuardedResolver::new(Arc::new(Failing), is_public);
        let error = resolver
            .resolve("x.example.com".parse().unwrap())
            .await
            .err()
            .unwrap();
        assert!(!error.is::<AddressRefused>());
    }
}
