//! The sandbox: runs connectors, and is the only crate that knows wasmtime.
//!
//! A connector is strangers' code. Each call gets a fresh instance of its
//! component, so nothing survives in guest memory between calls, credentials or
//! tenants. What makes that cheap is wasmtime's pooling allocator and a
//! component that is linked once, when it is loaded.
//!
//! What a guest can reach is exactly what [`Host`] offers plus WASI's clocks,
//! random and stdio; WASI's outgoing HTTP leads to [`Host`] too. Files, sockets,
//! arguments and environment are not linked, and a component that imports them is
//! refused when it is loaded. Secrets in clear are linked for components only that
//! were loaded with [`Grants`].
//!
//! What a guest can use up is bounded by [`Limits`]: memory by the store's
//! resource limiter, CPU by thread time summed around each poll of the call
//! (epochs only give the chance to look), everything else by a wall-clock limit
//! around the whole call. Calls queue for a slot; none fails for lack of one
//! before its queue time is over.
//!
//! Strangers' code is compiled in a process of its own, see `compiler`.
//!
//! This crate must never make a network request, read a file or hold a secret.

mod arenas;
mod call;
mod caller;
mod compiler;
mod component;
mod contract;
mod exports;
mod guest;
mod limits;
mod meter;
mod wasi_http;

pub use arenas::share_arenas;
pub use call::CallError;
pub use caller::Caller;
pub use compiler::{Compiler, Shelf, compile_here};
pub use component::{Component, Grants, LoadError};
pub use contract::*;
pub use exports::Interface;
pub use limits::{Different, Exhausted, Limits};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

use crate::compiler::Kept;
use crate::guest::Guest;

/// How often running guests are interrupted so that their use of CPU can be
/// checked and other tasks of the thread get a turn.
const EPOCH: Duration = Duration::from_millis(10);

/// Whose fields and slots are meant: the credential's or the environment's
/// settings of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The credential that the call works for.
    Credential,
    /// The environment's own settings of the connector.
    App,
}

/// What a call may do outside its sandbox. One value serves one call.
///
/// Every effect a connector can have passes through here; policy is enforced by
/// the implementation, below every version of the contract. What an implementation
/// leaves out offers nothing.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Sends one HTTP request under the connector's policy.
    async fn send(&self, request: http::Request) -> Result<http::Response, http::Failure>;

    /// How many requests the call may still make. A list of more is refused as a whole.
    fn requests_left(&self) -> usize {
        1000
    }

    /// The secrets that a request to this URL carries if it can't name any, as those of
    /// a guest's own HTTP library can't: the placements of the credential's auth method
    /// whose slots are bound to the URL's host.
    fn placements(&self, url: &str) -> Vec<http::Placement> {
        let _ = url;
        Vec::new()
    }

    /// Reads a public field.
    fn field(&self, _scope: Scope, _name: &str) -> Option<String> {
        None
    }

    /// Makes a message authentication code with a signing slot.
    fn mac(
        &self,
        _scope: Scope,
        slot: &str,
        _algorithm: MacAlgorithm,
        _data: &[u8],
    ) -> Result<Vec<u8>, SlotError> {
        Err(SlotError::Empty(slot.to_owned()))
    }

    /// Compares a code in constant time with the one made from `data`.
    fn verify_mac(
        &self,
        _scope: Scope,
        slot: &str,
        _algorithm: MacAlgorithm,
        _data: &[u8],
        _code: &[u8],
    ) -> Result<bool, SlotError> {
        Err(SlotError::Empty(slot.to_owned()))
    }

    /// Reads a small value that the connector keeps for the credential.
    async fn state_get(&self, _key: String) -> Result<Option<state::Entry>, state::StateError> {
        Ok(None)
    }

    /// Stores such a value if its version is as expected.
    async fn state_set(
        &self,
        _key: String,
        _value: String,
        _expected: Option<u64>,
    ) -> Result<u64, state::StateError> {
        Err(nothing_is_stored())
    }

    /// Deletes such a value if its version is as expected.
    async fn state_delete(
        &self,
        _key: String,
        _expected: Option<u64>,
    ) -> Result<(), state::StateError> {
        Err(nothing_is_stored())
    }

    /// The value of a slot of the credential or of the environment's settings, in
    /// clear. Asked for components only that were loaded with the grant; refused
    /// unless the implementation, too, knows of one for this call. The error is for
    /// the connector's author.
    fn reveal(&self, slot: &str) -> Result<String, String> {
        Err(stays_sealed(slot))
    }

    /// Takes a line for the operator's log.
    fn log(&self, _level: LogLevel, _message: &str) {}
}

/// What a connector is told that nobody granted to read secrets.
pub fn stays_sealed(slot: &str) -> String {
    format!("the slot `{slot}` stays sealed: no operator granted this connector to read secrets")
}

fn nothing_is_stored() -> state::StateError {
    state::StateError::Unavailable("nothing is stored here".to_owned())
}

/// The engine that all connectors of a process share.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<Guest>,
    slots: Arc<Semaphore>,
    limits: Limits,
    pooled: bool,
    compiler: Option<Compiler>,
    kept: Option<Kept>,
}

/// The engine could not be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine can't start: {0}")]
pub struct EngineError(String);

impl Sandbox {
    /// Makes the engine, links the host's interfaces and starts the thread that
    /// advances the epoch. Falls back to on-demand allocation where the address
    /// space is too small for the pool.
    pub fn new(limits: Limits) -> Result<Self, EngineError> {
        let failed = |error: wasmtime::Error| EngineError(format!("{error:#}"));
        let (engine, pooled) = match Engine::new(&engine_config(&limits, true)) {
            Ok(engine) => (engine, true),
            Err(error) => {
                tracing::warn!(%error, "no room for a pool of instances: allocating on demand");
                (
                    Engine::new(&engine_config(&limits, false)).map_err(failed)?,
                    false,
                )
            }
        };
        let mut linker = Linker::new(&engine);
        guest::link(&mut linker).map_err(failed)?;
        tick(&engine)?;
        Ok(Self {
            slots: Arc::new(Semaphore::new(limits.calls)),
            engine,
            linker,
            limits,
            pooled,
            compiler: None,
            kept: None,
        })
    }

    /// Lets this program compile, in a process of its own for each component. Without
    /// one, this process does.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Keeps what was compiled on this shelf, sealed with this key.
    #[must_use]
    pub fn with_shelf(mut self, shelf: Box<dyn Shelf>, key: Vec<u8>) -> Self {
        self.kept = Some(Kept { shelf, key });
        self
    }

    /// The limits that calls run under.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// True if instances come from a pool.
    pub fn is_pooled(&self) -> bool {
        self.pooled
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The linker for components with these grants.
    pub(crate) fn linker(&self, grants: Grants) -> wasmtime::Result<Linker<Guest>> {
        let mut linker = self.linker.clone();
        if grants.secrets {
            guest::link_secrets(&mut linker)?;
        }
        Ok(linker)
    }

    pub(crate) fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }
}

/// The engine's settings; public so that benchmarks compare with wasmtime under
/// the same ones.
///
/// They are measured choices: epochs cost 25-30 % on parse loops but fuel costs
/// 40 %, and 2 MiB kept resident per slot saves the page faults that a fresh
/// instance would pay for its heap.
pub fn engine_config(limits: &Limits, pooled: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(false)
        .concurrency_support(false)
        .wasm_memory64(false)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(512 * 1024)
        .async_stack_size(2 * 1024 * 1024)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20))
        .memory_init_cow(true);
    if pooled {
        let calls = u32::try_from(limits.calls).unwrap_or(u32::MAX);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(calls)
            .total_core_instances(calls.saturating_mul(4))
            .total_memories(calls.saturating_mul(2))
            .total_tables(calls.saturating_mul(4))
            .total_stacks(calls)
            .max_core_instances_per_component(64)
            .max_memories_per_component(4)
            .max_tables_per_component(64)
            .max_memory_size(limits.largest_memory)
            .max_core_instance_size(16 * 1024 * 1024)
            .max_component_instance_size(16 * 1024 * 1024)
            .table_elements(limits.table_elements)
            .max_unused_warm_slots(limits.warm_slots)
            .linear_memory_keep_resident(limits.keep_resident)
            .table_keep_resident(64 * 1024)
            .pagemap_scan(Enabled::No);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// One thread advances the epoch for as long as the engine lives.
fn tick(engine: &Engine) -> Result<(), EngineError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })
        .map(drop)
        .map_err(|error| EngineError(format!("no thread for the epoch: {error}")))
}
