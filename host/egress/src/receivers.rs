//! The way to receivers of webhooks: addresses that customers enter, and that may be
//! anything. Judged by their text when they are entered and each time they are called,
//! and by the addresses that are dialled.

use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::timeout;
use url::{Host, Url};

use crate::address::is_public;
use crate::private::Private;
use crate::resolver::{AddressRefused, GuardedResolver, Lookup, SystemLookup};
use crate::{MAX_HEADER_BYTES, retry_after};

/// Longest address of a receiver, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// Shorter than servers keep idle connections for, so that a delivery seldom goes into
/// one that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const IDLE_CONNECTIONS: usize = 8;

/// How receivers are called.
#[derive(Clone, Debug)]
pub struct ReceiversConfig {
    /// Those inside of our own network.
    pub allowed_private: Vec<Private>,
    /// How long a connection may take to be made, look-up and TLS included.
    pub connect: Duration,
    /// How long the head of the answer may take from then on.
    pub head: Duration,
    /// How long the body may take after that.
    pub body: Duration,
    /// How many bytes of the body are kept.
    pub kept: usize,
    /// `User-Agent` of all calls.
    pub user_agent: String,
}

impl Default for ReceiversConfig {
    /// 5, 10 and 5 seconds, 64 KiB, nobody private.
    fn default() -> ReceiversConfig {
        ReceiversConfig {
            allowed_private: Vec::new(),
            connect: Duration::from_secs(5),
            head: Duration::from_secs(10),
            body: Duration::from_secs(5),
            kept: 64 * 1024,
            user_agent: concat!("rollout/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why an address can't be a receiver's: a sentence that says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RefusedUrl(String);

/// What is sent, by POST.
#[derive(Clone, Debug)]
pub struct Call {
    /// The address as it was entered.
    pub url: String,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// Why there was none, or none to its end.
    pub failure: Option<String>,
    /// The beginning of the answer's body.
    pub body: Vec<u8>,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// How long it all took.
    pub took: Duration,
}

impl Received {
    /// Whether the receiver took it: what its head says counts.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// Calls receivers. One per process; connections are shared.
pub struct Receivers {
    config: ReceiversConfig,
    /// By the port for which something private is allowed; all others are under none.
    clients: HashMap<Option<u16>, reqwest::Client>,
}

impl Receivers {
    /// Asks the operating system for addresses.
    pub fn new(config: ReceiversConfig) -> Result<Receivers, reqwest::Error> {
        Receivers::with_lookup(config, Arc::new(SystemLookup))
    }

    /// Asks `lookup` for addresses. They are judged all the same.
    pub fn with_lookup(
        config: ReceiversConfig,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Receivers, reqwest::Error> {
        let mut clients = HashMap::new();
        let ports = config.allowed_private.iter().map(Private::port);
        for port in ports.chain([None]) {
            if let std::collections::hash_map::Entry::Vacant(place) = clients.entry(port) {
                place.insert(client(&config, port, lookup.clone())?);
            }
        }
        Ok(Receivers { config, clients })
    }

    /// Judges an address by its text. Names are looked up when they are called only.
    pub fn admit(&self, text: &str) -> Result<Url, RefusedUrl> {
        let refused = |reason: String| Err(RefusedUrl(reason));
        if text.len() > MAX_URL_BYTES {
            return refused(format!("must have at most {MAX_URL_BYTES} bytes"));
        }
        // The parser would drop some of these silently.
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return refused("has a space or control character: percent-encode it".into());
        }
        let url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            _ => return refused("must be an address like https://example.com/hooks".into()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("has a user name or password: verify the signature instead".into());
        }
        if url.fragment().is_some() {
            return refused("has a fragment (`#`), which is never sent: leave it out".into());
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let entries = || {
            self.config
                .allowed_private
                .iter()
                .filter(|entry| entry.is_of(port))
        };
        let (listed, public) = match url.host() {
            Some(Host::Ipv4(address)) => {
                let address = IpAddr::V4(address);
                (
                    entries().any(|entry| entry.has_address(address)),
                    is_public(address),
                )
            }
            Some(Host::Ipv6(address)) => {
                let address = IpAddr::V6(address);
                (
                    entries().any(|entry| entry.has_address(address)),
                    is_public(address),
                )
            }
            Some(Host::Domain(name)) => {
                if name.ends_with('.') {
                    return refused("names a host that ends with a dot: leave it out".into());
                }
                let own = name == "localhost" || name.ends_with(".localhost");
                (entries().any(|entry| entry.has_name(name)), !own)
            }
            None => return refused("has no host".into()),
        };
        let line = || {
            let host = url.host_str().unwrap_or_default();
            format!("webhooks.allowed_private = [\"{host}:{port}\"]")
        };
        match (listed, public, url.scheme()) {
            (true, ..) | (_, true, "https") => Ok(url),
            (_, true, _) => refused(format!(
                "must begin with https; http is for receivers inside the host's own network, which its \
                 operator allows with the line {}",
                line()
            )),
            _ => refused(format!(
                "leads into the host's own network, which its operator allows with the line {}",
                line()
            )),
        }
    }

    /// Calls a receiver. Redirects are answers like others; nothing is sent twice.
    pub async fn call(&self, call: Call) -> Received {
        let began = Instant::now();
        let mut received = Received::default();
        let failure = self.exchange(call, &mut received).await.err();
        received.failure = failure;
        received.took = began.elapsed();
        received
    }

    async fn exchange(&self, call: Call, received: &mut Received) -> Result<(), String> {
        // Also what was admitted once: the operator's list may be another now.
        let admitted = self.admit(&call.url);
        let url = admitted.map_err(|refused| format!("not called: the address {refused}"))?;
        let client = url
            .port_or_known_default()
            .and_then(|port| self.clients.get(&Some(port)))
            .or_else(|| self.clients.get(&None));
        let client = client.ok_or("not called: there is no client")?;
        let mut request = reqwest::Request::new(Method::POST, url);
        *request.headers_mut() = call.headers;
        *request.body_mut() = Some(call.body.into());
        let ReceiversConfig {
            connect,
            head,
            body,
            kept,
            ..
        } = self.config;
        let answered = timeout(connect + head, client.execute(request)).await;
        let answered = answered.map_err(|_| format!("no answer within {head:?}"))?;
        let mut response = answered.map_err(|error| told(&error))?;
        received.status = Some(response.status().as_u16());
        received.retry_after = retry_after::said(response.headers());
        let reading = async {
            while received.body.len() < kept
                && let Some(chunk) = response.chunk().await.map_err(|error| told(&error))?
            {
                let room = kept - received.body.len();
                received.body.extend(chunk.iter().take(room));
            }
            Ok(())
        };
        let read = timeout(body, reading).await;
        read.unwrap_or_else(|_| Err(format!("the answer's body took longer than {body:?}")))
    }
}

fn client(
    config: &ReceiversConfig,
    port: Option<u16>,
    lookup: Arc<dyn Lookup>,
) -> Result<reqwest::Client, reqwest::Error> {
    let entries = config.allowed_private.iter();
    let entries: Vec<Private> = entries
        .filter(|entry| entry.port().is_none() || entry.port() == port)
        .cloned()
        .collect();
    let allowed = move |name: &str, address: IpAddr| {
        let mut entries = entries.iter();
        is_public(address) || entries.any(|one| one.has_address(address) || one.has_name(name))
    };
    reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .connect_timeout(config.connect)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .http2_max_header_list_size(MAX_HEADER_BYTES as u32)
        .dns_resolver(GuardedResolver::by_name(lookup, allowed))
        .build()
}

/// What went wrong, in the words of whoever knows most, without the address.
fn told(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
        if cause.is::<AddressRefused>() {
            return "its name leads to no address that may be called: it is in the host's own \
                    network, and webhooks.allowed_private does not allow it"
                .to_owned();
        }
    }
    let what = if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    format!("{what}: {cause}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::resolver::LookupFuture;

    /// Every name leads to this machine.
    struct Home;

    impl Lookup for Home {
        fn lookup(&self, _: String) -> LookupFuture {
            Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
        }
    }

    /// Answers 204 to all; counts connections.
    async fn sink() -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut some = [0; 4096];
                let _ = stream.read(&mut some).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        });
        (port, count)
    }

    fn receivers(allowed: &[String]) -> Receivers {
        let allowed = allowed.iter().map(|entry| entry.parse().unwrap());
        let config = ReceiversConfig {
            allowed_private: allowed.collect(),
            ..ReceiversConfig::default()
        };
        Receivers::with_lookup(config, Arc::new(Home)).unwrap()
    }

    async fn call(receivers: &Receivers, url: String) -> Received {
        let call = Call {
            url,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
        };
        receivers.call(call).await
    }

    #[tokio::test]
    async fn only_what_the_operator_lists_is_dialled_in_our_network() {
        let ((port, count), (other, others)) = (sink().await, sink().await);
        let address = format!("127.0.0.1:{port}");
        let name = format!("app.internal:{port}");
        let listed = receivers(&[address.clone(), name.clone()]);
        for url in [format!("http://{address}/x"), format!("http://{name}/x")] {
            let received = call(&listed, url.clone()).await;
            assert_eq!(received.status, Some(204), "{url}: {received:?}");
        }
        let reached = count.load(Ordering::SeqCst);
        assert!(reached > 0);

        // By another port, another name, and not at all.
        let nobody = receivers(&[]);
        for (receivers, url) in [
            (&listed, format!("http://127.0.0.1:{other}/")),
            (&listed, format!("http://app.internal:{other}/")),
            (&listed, format!("https://hooks.example.com:{other}/")),
            (&nobody, format!("http://{address}/")),
            (&nobody, format!("https://{address}/")),
            (&nobody, format!("https://{name}/")),
            (&nobody, format!("https://hooks.example.com:{port}/")),
        ] {
            let received = call(receivers, url.clone()).await;
            assert_eq!(received.status, None, "{url}");
            let failure = received.failure.unwrap();
            assert!(
                failure.contains("webhooks.allowed_private"),
                "{url}: {failure}"
            );
        }
        assert_eq!(count.load(Ordering::SeqCst), reached);
        assert_eq!(others.load(Ordering::SeqCst), 0);
    }
}
