//! The state behind one instance, and the interfaces it can import.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings;
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::contract::{self, http, imports, secrets, state};
use crate::exports;
use crate::limits::{Exhausted, Limits};
use crate::wasi_http::{self, Exchanges, Outgoing};
use crate::{Host, LogLevel, MacAlgorithm, Scope, SlotError};

/// WASI interfaces that are offered, without their versions.
const WASI: &[&str] = &[
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:cli/exit",
    "wasi:cli/environment",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:http/types",
    "wasi:http/outgoing-handler",
];

/// Interfaces of the contract that are offered.
const CONTRACT: &[&str] = &["types", "http", "credential", "app", "state", "log"];

/// The contract's package, and the version this host serves.
pub(crate) const PACKAGE: &str = "rollout:connector";
/// See [`PACKAGE`].
pub(crate) const VERSION: &str = "0.1.0";

/// True if a component may import this name.
pub(crate) fn offered(import: &str) -> bool {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    match name.strip_prefix(PACKAGE).and_then(|n| n.strip_prefix('/')) {
        Some(interface) => version == VERSION && CONTRACT.contains(&interface),
        None => version.starts_with("0.2.") && WASI.contains(&name),
    }
}

/// True for the interface that needs a grant.
pub(crate) fn is_secrets(import: &str) -> bool {
    import == exports::full_name("secrets")
}

/// What one instance has.
pub(crate) struct Guest {
    host: Arc<dyn Host>,
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) memory: MemoryLimiter,
    parallel_requests: usize,
    log: LogBudget,
    outgoing: Outgoing,
    /// Taken by the call.
    pub(crate) exchanges: Option<Exchanges>,
}

impl Guest {
    /// A guest for one call.
    pub(crate) fn new(host: Arc<dyn Host>, limits: &Limits) -> Self {
        let log = LogBudget::new(host.clone(), limits);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(StdioLog {
            log: log.clone(),
            level: LogLevel::Info,
        })
        .stderr(StdioLog {
            log: log.clone(),
            level: LogLevel::Warn,
        })
        .max_random_size(limits.host_call_bytes as u64);
        Self::with_wasi(host, limits, wasi.build(), log)
    }

    /// A guest that describes itself: fixed clocks and a seeded generator, so
    /// that two answers can be compared.
    pub(crate) fn stand_in(host: Arc<dyn Host>, limits: &Limits) -> Self {
        use rand::SeedableRng;
        use rand::rngs::StdRng;
        let log = LogBudget::new(host.clone(), limits);
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(FixedClock)
            .monotonic_clock(FixedClock)
            .secure_random(StdRng::seed_from_u64(1))
            .insecure_random(StdRng::seed_from_u64(2))
            .insecure_random_seed(3)
            .max_random_size(64 * 1024);
        Self::with_wasi(host, limits, wasi.build(), log)
    }

    /// Its requests by `wasi:http`.
    pub(crate) fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    fn with_wasi(host: Arc<dyn Host>, limits: &Limits, wasi: WasiCtx, log: LogBudget) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let (outgoing, exchanges) = wasi_http::outgoing(host.clone(), log.clone(), limits);
        Self {
            host,
            wasi,
            table,
            memory: MemoryLimiter {
                memory: limits.memory,
                memory_used: 0,
                elements: limits.table_elements,
                elements_used: 0,
                denied: None,
            },
            parallel_requests: limits.parallel_requests,
            log,
            outgoing,
            exchanges: Some(exchanges),
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.outgoing.view(&mut self.table)
    }
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links WASI's offered part.
pub(crate) fn link_wasi(linker: &mut Linker<Guest>) -> Result<()> {
    use bindings::{cli, clocks, random};
    use wasmtime_wasi_io::bindings::wasi::io;
    let l = linker;
    io::error::add_to_linker::<Guest, Io>(l, |g| &mut g.table)?;
    io::poll::add_to_linker::<Guest, Io>(l, |g| &mut g.table)?;
    io::streams::add_to_linker::<Guest, Io>(l, |g| &mut g.table)?;
    clocks::wall_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    clocks::monotonic_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    random::random::add_to_linker::<Guest, WasiRandom>(l, |g| g.wasi.random())?;
    random::insecure::add_to_linker::<Guest, WasiRandom>(l, |g| g.wasi.random())?;
    random::insecure_seed::add_to_linker::<Guest, WasiRandom>(l, |g| g.wasi.random())?;
    cli::exit::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::environment::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_input::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_output::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    Ok(())
}

/// Links what is offered to those alone to whom it was granted.
pub(crate) fn link_secrets(linker: &mut Linker<Guest>) -> Result<()> {
    secrets::add_to_linker::<Guest, HasSelf<Guest>>(linker, |g| g)
}

/// Links everything that is offered to all.
pub(crate) fn link(linker: &mut Linker<Guest>) -> Result<()> {
    link_wasi(linker)?;
    wasi_http::link(linker)?;
    imports::http::add_to_linker::<Guest, HasSelf<Guest>>(linker, |g| g)?;
    imports::credential::add_to_linker::<Guest, HasSelf<Guest>>(linker, |g| g)?;
    imports::app::add_to_linker::<Guest, HasSelf<Guest>>(linker, |g| g)?;
    imports::state::add_to_linker::<Guest, HasSelf<Guest>>(linker, |g| g)?;
    imports::log::add_to_linker::<Guest, HasSelf<Guest>>(linker, |g| g)?;
    imports::types::add_to_linker::<Guest, HasSelf<Guest>>(linker, |g| g)
}

impl imports::types::Host for Guest {}

impl imports::http::Host for Guest {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> Result<Result<http::Response, http::Failure>> {
        Ok(self.host.send(request).await)
    }

    async fn send_all(
        &mut self,
        requests: Vec<http::Request>,
    ) -> Result<Vec<Result<http::Response, http::Failure>>> {
        let host = &self.host;
        // Not asked one by one: they would hold the thread for nothing.
        if requests.len() > host.requests_left() {
            let refused = |_| Err(http::Failure::Budget(None));
            return Ok(requests.into_iter().map(refused).collect());
        }
        Ok(stream::iter(requests)
            .map(|request| host.send(request))
            .buffered(self.parallel_requests)
            .collect()
            .await)
    }
}

impl imports::credential::Host for Guest {
    fn field(&mut self, name: String) -> Result<Option<String>> {
        Ok(self.host.field(Scope::Credential, &name))
    }

    fn mac(
        &mut self,
        slot: String,
        algorithm: MacAlgorithm,
        data: Vec<u8>,
    ) -> Result<Result<Vec<u8>, SlotError>> {
        Ok(self.host.mac(Scope::Credential, &slot, algorithm, &data))
    }

    fn verify_mac(
        &mut self,
        slot: String,
        algorithm: MacAlgorithm,
        data: Vec<u8>,
        code: Vec<u8>,
    ) -> Result<Result<bool, SlotError>> {
        Ok(self
            .host
            .verify_mac(Scope::Credential, &slot, algorithm, &data, &code))
    }
}

impl imports::app::Host for Guest {
    fn field(&mut self, name: String) -> Result<Option<String>> {
        Ok(self.host.field(Scope::App, &name))
    }

    fn mac(
        &mut self,
        slot: String,
        algorithm: MacAlgorithm,
        data: Vec<u8>,
    ) -> Result<Result<Vec<u8>, SlotError>> {
        Ok(self.host.mac(Scope::App, &slot, algorithm, &data))
    }

    fn verify_mac(
        &mut self,
        slot: String,
        algorithm: MacAlgorithm,
        data: Vec<u8>,
        code: Vec<u8>,
    ) -> Result<Result<bool, SlotError>> {
        Ok(self
            .host
            .verify_mac(Scope::App, &slot, algorithm, &data, &code))
    }
}

impl imports::state::Host for Guest {
    async fn get(
        &mut self,
        key: String,
    ) -> Result<Result<Option<state::Entry>, state::StateError>> {
        Ok(self.host.state_get(key).await)
    }

    async fn set(
        &mut self,
        key: String,
        value: String,
        expected: Option<u64>,
    ) -> Result<Result<u64, state::StateError>> {
        Ok(self.host.state_set(key, value, expected).await)
    }

    async fn delete(
        &mut self,
        key: String,
        expected: Option<u64>,
    ) -> Result<Result<(), state::StateError>> {
        Ok(self.host.state_delete(key, expected).await)
    }
}

impl secrets::Host for Guest {
    fn reveal(&mut self, slot: String) -> Result<Result<String, String>> {
        Ok(self.host.reveal(&slot))
    }
}

impl imports::log::Host for Guest {
    fn write(&mut self, level: contract::LogLevel, message: String) -> Result<()> {
        self.log.write(level, &message);
        Ok(())
    }
}

/// Refuses growth beyond the call's limits and remembers that it did: the guest
/// only sees an allocation fail, and traps on its own account.
pub(crate) struct MemoryLimiter {
    memory: usize,
    memory_used: usize,
    elements: usize,
    elements_used: usize,
    pub(crate) denied: Option<Exhausted>,
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let total = self.memory_used + desired.saturating_sub(current);
        if total > self.memory {
            self.denied = Some(Exhausted::Memory(self.memory));
            return Ok(false);
        }
        self.memory_used = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let total = self.elements_used + desired.saturating_sub(current);
        if total > self.elements {
            self.denied = Some(Exhausted::Table(self.elements));
            return Ok(false);
        }
        self.elements_used = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        4
    }
}

/// Passes log lines on until the call's budget is used up, then says so once.
#[derive(Clone)]
pub(crate) struct LogBudget {
    host: Arc<dyn Host>,
    left: Arc<AtomicUsize>,
    said_so: Arc<AtomicBool>,
}

impl LogBudget {
    fn new(host: Arc<dyn Host>, limits: &Limits) -> Self {
        Self {
            host,
            left: Arc::new(limits.log_bytes.into()),
            said_so: Arc::default(),
        }
    }

    pub(crate) fn write(&self, level: LogLevel, message: &str) {
        // A short line costs the host more than its bytes.
        let cost = message.len().max(64);
        match self.left.load(Ordering::Relaxed).checked_sub(cost) {
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                self.host.log(level, message);
            }
            None if !self.said_so.swap(true, Ordering::Relaxed) => self.host.log(
                LogLevel::Warn,
                "log limit of this call reached: further lines are dropped",
            ),
            None => {}
        }
    }
}

/// Standard output and error of the guest, line by line into the log.
struct StdioLog {
    log: LogBudget,
    level: LogLevel,
}

impl IsTerminal for StdioLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StdioLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this form, and it is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn wasmtime_wasi::p2::OutputStream> {
        Box::new(LineWriter {
            log: self.log.clone(),
            level: self.level,
            line: Vec::new(),
        })
    }
}

struct LineWriter {
    log: LogBudget,
    level: LogLevel,
    line: Vec<u8>,
}

impl LineWriter {
    /// A longer line is cut: the rest becomes a line of its own.
    const LONGEST: usize = 8 * 1024;

    fn flush_line(&mut self) {
        if !self.line.is_empty() {
            self.log
                .write(self.level, &String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
}

#[async_trait::async_trait]
impl wasmtime_wasi::p2::Pollable for LineWriter {
    async fn ready(&mut self) {}
}

impl wasmtime_wasi::p2::OutputStream for LineWriter {
    fn write(&mut self, bytes: Bytes) -> wasmtime_wasi::p2::StreamResult<()> {
        if bytes.len() > Self::LONGEST {
            let text = "more was written than `check-write` allows";
            return Err(wasmtime_wasi::p2::StreamError::trap(text));
        }
        for byte in bytes {
            if byte == b'\n' || self.line.len() >= Self::LONGEST {
                self.flush_line();
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> wasmtime_wasi::p2::StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> wasmtime_wasi::p2::StreamResult<usize> {
        Ok(Self::LONGEST)
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.flush_line();
    }
}

/// A clock that stands at the epoch.
struct FixedClock;

impl wasmtime_wasi::HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl wasmtime_wasi::HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}
