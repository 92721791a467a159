//! P1: a fresh instance and a small call, with everything that bounds and
//! serves it, against bare wasmtime.
//!
//! The call is `entities.get` of an entity that the connector doesn't offer:
//! arguments go in, the connector looks, a typed refusal comes out, no import
//! is called.

use std::sync::Arc;

use anyhow::{Result, bail};
use rollout_sandbox::{CallError, Caller, Component, Error, Host, Limits, Sandbox};
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::canned::Canned;
use crate::measure::{Process, Round, Side};
use crate::report::{Goal, Report, Row};

/// No connector offers it.
const NOTHING: &str = "nothing";
const CALLS: u32 = 10_000;

/// The sandbox with the connector in it.
pub(crate) struct Ours {
    pub(crate) sandbox: Sandbox,
    pub(crate) component: Component,
}

impl Ours {
    pub(crate) async fn load(bytes: Vec<u8>) -> Result<Self> {
        let sandbox = Sandbox::new(Limits::default())?;
        if !sandbox.is_pooled() {
            bail!(
                "this machine has no room for the pool of instances: P1 would measure something else"
            );
        }
        let component = Component::load(&sandbox, bytes).await?;
        Ok(Self { sandbox, component })
    }

    /// A fresh instance and the small call.
    pub(crate) async fn refused_get(&self, host: &Arc<dyn Host>) -> Result<()> {
        let caller = Caller::new(&self.sandbox, &self.component, host.clone());
        match caller.get(NOTHING, &[]).await {
            Err(CallError::Connector(Error::Unsupported(_))) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => bail!("the connector offers the entity"),
        }
    }
}

pub(crate) fn measure(rounds: usize, component: &[u8]) -> Result<Report> {
    let runtime = runtime()?;
    let ours = runtime.block_on(Ours::load(component.to_vec()))?;
    let bare = Bare::load(ours.sandbox.limits(), component)?;
    let host: Arc<dyn Host> = Arc::new(Canned(Vec::new()));
    let mut sides = [
        Side::new("sandbox: limits, imports, WASI, permits"),
        Side::new("bare wasmtime"),
    ];
    // The first round warms both up.
    for round in 0..=rounds {
        for (at, side) in sides.iter_mut().enumerate() {
            let done = match at {
                0 => Round::of(CALLS, || runtime.block_on(ours.refused_get(&host)))?,
                _ => Round::of(CALLS, || runtime.block_on(bare.refused_get(NOTHING)))?,
            };
            if round > 0 {
                side.add(done, Process::own().peak_rss()?);
            }
        }
    }
    let [ours, bare] = &sides;
    Ok(Report {
        id: "P1",
        title: "a fresh instance and a small call (entities.get, refused by the connector)".into(),
        settings: vec![
            format!("{rounds} rounds of {CALLS} calls, interleaved, one thread; both sides share the process"),
            "both: pool, concurrency_support(false), async calls, epoch checks compiled in, same component".into(),
        ],
        rows: vec![Row::from(ours), Row::from(bare)],
        notes: vec![],
        goals: vec![
            Goal::at_most("time against bare wasmtime", ours.times(bare), 1.3, "x"),
            Goal::at_most("CPU against bare wasmtime", ours.cpu_times(bare), 1.3, "x"),
        ],
    })
}

/// One thread, so that the CPU time is the work's.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
