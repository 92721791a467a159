//! A simulator's HTTP server, on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running server. It stops, cutting its connections, when dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    /// The address listened on.
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// An address that is taken, and not yet served.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The address.
    pub(crate) address: SocketAddr,
    listener: std::net::TcpListener,
}

impl Bound {
    /// Takes an address; port 0 is any that is free.
    pub(crate) fn to(listen: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { address, listener })
    }

    /// Serves; requests are accepted from when this returns. It may be called inside or
    /// outside an async runtime.
    pub(crate) fn serve(self, name: &str, router: Router) -> io::Result<Serving> {
        let Self { address, listener } = self;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    // A socket that refuses the option works all the same.
                    let listener = listener.tap_io(|stream| {
                        let _ = stream.set_nodelay(true);
                    });
                    let serving = axum::serve(listener, router);
                    tokio::select! {
                        _ = serving.into_future() => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Serving {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only if the thread has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
