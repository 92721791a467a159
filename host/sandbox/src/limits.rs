//! What one call may use up. Numbers have their reasons beside them; every one
//! is configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls that run at once in this process, and so the size of the pool. The
    /// rest queue.
    pub calls: usize,
    /// How long a call may wait for its turn.
    #[serde(with = "humantime_serde")]
    pub queue: Duration,
    /// Linear memory of a call, all its memories together, in bytes.
    pub memory: usize,
    /// The largest memory that any connector may be allowed; the pool's slots
    /// have this size of address space.
    pub largest_memory: usize,
    /// Elements of all the tables of a call together.
    pub table_elements: usize,
    /// CPU time of a call.
    #[serde(with = "humantime_serde")]
    pub cpu: Duration,
    /// Wall-clock time of a call.
    #[serde(with = "humantime_serde")]
    pub wall: Duration,
    /// Wall-clock time of a call that reads a page of records.
    #[serde(with = "humantime_serde")]
    pub wall_page: Duration,
    /// HTTP requests of a call that run at once.
    pub parallel_requests: usize,
    /// Bytes that all host calls of a call may carry into the host at one time.
    pub host_call_bytes: usize,
    /// Handles (WASI streams, pollables) open at one time.
    pub handles: usize,
    /// Bytes that a call may log.
    pub log_bytes: usize,
    /// Size of a component file in bytes.
    pub component_bytes: usize,
    /// Memory that compiling a component may take, in bytes, and how long.
    pub compile_memory: u64,
    /// See `compile_memory`.
    #[serde(with = "humantime_serde")]
    pub compile: Duration,
    /// Pool slots kept warm, and the bytes of memory kept resident in each:
    /// together at most 32 MiB.
    pub warm_slots: u32,
    /// See `warm_slots`.
    pub keep_resident: usize,
    /// Calls of one connector that run at once; 0: a quarter of `calls`.
    pub calls_per_connector: usize,
    /// What is different for one connector, by its app key.
    pub connectors: BTreeMap<String, Different>,
}

/// Limits that a connector can have of its own, as a table with what differs.
macro_rules! different {
    ($($(#[$meta:meta])* $name:ident: $kind:ty,)+) => {
        /// What a connector's limits differ in; see [`Limits`] for each.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Different {
            $(
                #[serde(skip_serializing_if = "Option::is_none")]
                $(#[$meta])*
                #[doc = concat!("[`Limits::", stringify!($name), "`]")]
                pub $name: Option<$kind>,
            )+
        }

        impl Limits {
            /// The limits of one connector's calls.
            #[must_use]
            pub fn of(&self, key: &str) -> Self {
                let mut limits = self.clone();
                if let Some(different) = self.connectors.get(key) {
                    $(if let Some(limit) = different.$name {
                        limits.$name = limit;
                    })+
                }
                limits
            }
        }
    };
}

different! {
    memory: usize,
    table_elements: usize,
    #[serde(with = "humantime_serde::option")]
    cpu: Duration,
    #[serde(with = "humantime_serde::option")]
    wall: Duration,
    #[serde(with = "humantime_serde::option")]
    wall_page: Duration,
    parallel_requests: usize,
    host_call_bytes: usize,
    handles: usize,
    log_bytes: usize,
    calls_per_connector: usize,
}

impl Limits {
    /// Those of a component that has not said yet which connector it is: as much as
    /// any may have.
    pub(crate) fn of_strangers(&self) -> Self {
        let mut limits = self.clone();
        for different in self.connectors.values() {
            limits.memory = limits.memory.max(different.memory.unwrap_or_default());
            let elements = different.table_elements.unwrap_or_default();
            limits.table_elements = limits.table_elements.max(elements);
            limits.cpu = limits.cpu.max(different.cpu.unwrap_or_default());
            limits.handles = limits.handles.max(different.handles.unwrap_or_default());
        }
        limits
    }

    /// Calls of one connector that run at once.
    pub(crate) fn share(&self) -> usize {
        match self.calls_per_connector {
            0 => (self.calls / 4).max(1),
            share => share,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            calls: 64,
            queue: Duration::from_secs(30),
            memory: 64 * MIB,
            largest_memory: 256 * MIB,
            table_elements: 40_000,
            cpu: Duration::from_secs(2),
            wall: Duration::from_secs(30),
            wall_page: Duration::from_secs(120),
            parallel_requests: 20,
            host_call_bytes: 16 * MIB,
            handles: 1000,
            log_bytes: 256 * 1024,
            component_bytes: 16 * MIB,
            compile_memory: 1024 * MIB as u64,
            compile: Duration::from_secs(60),
            warm_slots: 16,
            keep_resident: 2 * MIB,
            calls_per_connector: 0,
            connectors: BTreeMap::new(),
        }
    }
}

/// The limit that ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// It asked for more linear memory, in bytes.
    Memory(usize),
    /// It asked for more table elements.
    Table(usize),
    /// It used up its CPU time.
    Cpu(Duration),
    /// It took too long.
    Wall(Duration),
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "its memory limit of {} MiB", bytes / (1024 * 1024)),
            Self::Table(elements) => write!(f, "its limit of {elements} table elements"),
            Self::Cpu(time) => write!(f, "its CPU limit of {} ms", time.as_millis()),
            Self::Wall(time) => write!(f, "its time limit of {} ms", time.as_millis()),
        }
    }
}
