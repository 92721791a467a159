//! Where every connection ends: it is counted by the address that was called, and
//! closed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// The ports that attempts name.
pub(crate) const PORTS: [u16; 4] = [443, 80, 8080, 8443];
/// Nobody else calls this address.
const SENTINEL: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 99, 99, 99));
/// A connection is told of much sooner.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Sink {
    called: Receiver<SocketAddr>,
}

impl Sink {
    /// Listens on every address there is.
    pub(crate) fn open() -> Self {
        let (tell, called) = channel();
        for port in PORTS {
            // Those of IPv4 come mapped.
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
            let tell: Sender<SocketAddr> = tell.clone();
            std::thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    // Told once the test is over, it is of no use.
                    let _ = tell.send(connection.local_addr().unwrap());
                }
            });
        }
        Self { called }
    }

    /// The addresses that were called since this was last asked. Connections are told
    /// of in their order, so one of our own says that all before it were.
    pub(crate) fn called(&self) -> Vec<SocketAddr> {
        let mut all = Vec::new();
        for port in PORTS {
            TcpStream::connect((SENTINEL, port)).unwrap();
        }
        let mut waiting = PORTS.to_vec();
        while !waiting.is_empty() {
            let called = self.called.recv_timeout(PATIENCE).unwrap();
            if called.ip().to_canonical() == SENTINEL {
                waiting.retain(|port| *port != called.port());
            } else {
                all.push(called);
            }
        }
        all
    }
}
