//! What one call may use up. Numbers have their reasons beside them; every one
//! is configuration.

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
    /// Pool slots kept warm, and the bytes of memory kept resident in each:
    /// together at most 32 MiB.
    pub warm_slots: u32,
    /// See `warm_slots`.
    pub keep_resident: usize,
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
            warm_slots: 16,
            keep_resident: 2 * MIB,
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
