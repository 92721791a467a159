//! Connections: how many, how slow, how long.
//!
//! Each connection is a task. A client must send a request's head within `header_read_timeout`; a connection without a request
//! for that long is closed, whether it speaks HTTP/1 (the library's own timer), HTTP/2, or has not said yet which (our watch, for
//! the library waits without end to learn the version). At `max_connections` no more are accepted; the rest queue in the kernel. On shutdown the
//! listener closes first, requests in flight are finished, and after `drain_timeout` what is left is cut.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, sleep, timeout};
use tower_service::Service as _;

use super::wire::Wire;

/// How connections are treated.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// Time for a request's head to arrive, and longest pause between requests of one connection.
    pub header_read_timeout: Duration,
    /// Headers that are still parsed; [`super::HeadLimits`] refuses fewer, in words.
    pub max_headers: usize,
    /// Bytes of a head that are still read.
    pub max_head_bytes: usize,
    /// Connections at once.
    pub max_connections: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long requests in flight may take after a shutdown began.
    pub drain_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            header_read_timeout: Duration::from_secs(10),
            max_headers: 256,
            max_head_bytes: 128 * 1024,
            max_connections: 10_000,
            max_streams: 200,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy after `drain_timeout` and were cut.
    pub cut: usize,
}

/// Serves until `shutdown` ends, then drains. Requests carry [`ConnectInfo<SocketAddr>`] of the peer.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let http = Arc::new(protocols(&options));
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let room = connections.len() < options.max_connections;
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, app.clone(), Arc::clone(&http), options, stopping.clone()));
                }
                Err(problem) => pause_after(&problem).await,
            },
        }
    }
    drop(listener);
    drop(stop);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let in_time = timeout(options.drain_timeout, all_done).await.is_ok();
    let cut = if in_time { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { cut }
}

fn protocols(options: &ServeOptions) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_headers(options.max_headers)
        .max_buf_size(options.max_head_bytes);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(u32::try_from(options.max_head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(options.header_read_timeout)
        .keep_alive_timeout(options.header_read_timeout);
    http
}

/// A peer that hung up is his own affair; no more file descriptors is ours, and passes.
async fn pause_after(problem: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        problem.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::warn!(%problem, "cannot accept connections; trying again");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    http: Arc<Builder<TokioExecutor>>,
    options: ServeOptions,
    mut stopping: watch::Receiver<()>,
) {
    // Answers leave in one piece; waiting for more to send would only add the peer's delayed ACK.
    let _ = stream.set_nodelay(true);
    let requests = AtomicU64::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        requests.fetch_add(1, Ordering::Relaxed);
        let mut app = app.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            app.call(request).await
        }
    });
    let mut conversation =
        pin!(http.serve_connection_with_upgrades(TokioIo::new(Wire::new(stream)), service));
    let period = options.header_read_timeout;
    let mut watch = interval_at(tokio::time::Instant::now() + period, period);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut closing) = (0, false);
    loop {
        tokio::select! {
            biased;
            ended = conversation.as_mut() => {
                if let Err(problem) = ended {
                    tracing::debug!(%peer, problem = %Causes(&*problem), "connection ended");
                }
                return;
            }
            // The sender is dropped, not used: an error is the signal.
            _ = stopping.changed(), if !closing => {
                closing = true;
                conversation.as_mut().graceful_shutdown();
            }
            _ = watch.tick(), if !closing => match requests.load(Ordering::Relaxed) {
                // Before the first request there is nothing to be polite about.
                0 => return,
                // None came in a whole period; one that takes longer is still answered.
                same if same == seen => {
                    closing = true;
                    conversation.as_mut().graceful_shutdown();
                }
                more => seen = more,
            },
        }
    }
}

/// An error with its causes, for the log.
struct Causes<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(next) = cause {
            write!(out, ": {next}")?;
            cause = next.source();
        }
        Ok(())
    }
}
