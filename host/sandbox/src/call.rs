//! One call: a slot, a fresh instance, limits around it, and the reason when it
//! fails.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Instance;
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::Sandbox;
use crate::component::Component;
use crate::contract::Error;
use crate::guest::Guest;
use crate::limits::Exhausted;
use crate::meter::{Meter, Metered};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connector answered with an error of the contract.
    #[error("{}", describe(.0))]
    Connector(Error),
    /// The connector does not export this interface.
    #[error("the connector has no interface `{0}`")]
    Missing(&'static str),
    /// The call reached a limit.
    #[error("the connector reached {0}")]
    Limit(Exhausted),
    /// The connector crashed.
    #[error("the connector crashed: {0}")]
    Trap(String),
    /// No slot became free in time.
    #[error("no slot for a call became free within {} s", .0.as_secs())]
    Busy(Duration),
}

/// The contract's error in one line.
fn describe(error: &Error) -> String {
    match error {
        Error::InvalidInput(issues) => issues
            .iter()
            .map(|issue| format!("{}: {}", issue.pointer, issue.message))
            .collect::<Vec<_>>()
            .join("; "),
        Error::Unauthorized(m)
        | Error::Forbidden(m)
        | Error::NotFound(m)
        | Error::Conflict(m)
        | Error::Unsupported(m)
        | Error::Halted(m)
        | Error::Internal(m) => m.clone(),
        Error::RateLimited(limit) => limit.message.clone(),
        Error::Upstream(upstream) => upstream.message.clone(),
        Error::Other((code, message)) => format!("{code}: {message}"),
    }
}

/// An instance in its store, with the permits that let it run.
pub(crate) struct Running {
    pub(crate) store: Store<Guest>,
    pub(crate) instance: Instance,
    _slots: Vec<OwnedSemaphorePermit>,
}

/// Instantiates and calls, under all limits.
pub(crate) async fn run<T>(
    sandbox: &Sandbox,
    component: &Component,
    mut guest: Guest,
    wall: Duration,
    call: impl AsyncFnOnce(&mut Running) -> wasmtime::Result<T>,
) -> Result<T, CallError> {
    let (limits, queue) = (component.limits(), sandbox.limits().queue);
    let slots = tokio::time::timeout(queue, async {
        // The connector's own share first: who waits for it holds no slot.
        let share = component.share.clone().acquire_owned().await;
        let slot = sandbox.slots().clone().acquire_owned().await;
        [share, slot].into_iter().flatten().collect::<Vec<_>>()
    })
    .await
    .map_err(|_| CallError::Busy(queue))?;

    let meter = Arc::new(Meter::default());
    let exchanges = guest.exchanges.take();
    let mut store = Store::new(sandbox.engine(), guest);
    store.limiter(|guest| &mut guest.memory);
    store.set_hostcall_fuel(limits.host_call_bytes);
    store.set_max_component_handles(limits.handles);
    store.set_epoch_deadline(1);
    let watch = meter.clone();
    let cpu = limits.cpu;
    store.epoch_deadline_callback(move |mut context| {
        if watch.used() > cpu {
            context.data_mut().memory.denied = Some(Exhausted::Cpu(cpu));
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(UpdateDeadline::Yield(1))
    });

    // The store outlives the future, so that the reason can be read from it.
    let denied = Arc::new(std::sync::Mutex::new(None));
    let report = denied.clone();
    let work = async move {
        let called = match component.pre.instantiate_async(&mut store).await {
            Ok(instance) => {
                let mut running = Running {
                    store,
                    instance,
                    _slots: slots,
                };
                let called = call(&mut running).await;
                store = running.store;
                called
            }
            Err(error) => Err(error),
        };
        if called.is_err()
            && let Ok(mut report) = report.lock()
        {
            *report = store.data().memory.denied;
        }
        called
    };
    let work = async move {
        match exchanges {
            Some(exchanges) => exchanges.beside(work).await,
            None => work.await,
        }
    };
    let called = within(wall, Metered::new(work, meter)).await;
    match called {
        None => Err(CallError::Limit(Exhausted::Wall(wall))),
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => {
            let denied = denied.lock().ok().and_then(|mut denied| denied.take());
            Err(match denied {
                Some(limit) => CallError::Limit(limit),
                None => CallError::Trap(reason(&error)),
            })
        }
    }
}

async fn within<F: Future>(wall: Duration, work: F) -> Option<F::Output> {
    tokio::time::timeout(wall, work).await.ok()
}

/// The trap in one line, with the innermost frame that has a name.
fn reason(error: &wasmtime::Error) -> String {
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let frame = error
        .downcast_ref::<wasmtime::WasmBacktrace>()
        .and_then(|trace| trace.frames().iter().find_map(|frame| frame.func_name()));
    let text = match frame {
        Some(name) => format!("{cause} in {name}"),
        None => cause,
    };
    text.lines()
        .next()
        .unwrap_or("unknown")
        .chars()
        .take(300)
        .collect()
}
