//! One call: a slot, a fresh instance, limits around it, and the reason when it
//! fails.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Instance;
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::component::{Component, Interface};
use crate::contract::exports::{auth, entities, login, manifest};
use crate::contract::{Account, Error, Item, Outcome, Page, ReadScope, Write, Written};
use crate::guest::Guest;
use crate::limits::{Exhausted, Limits};
use crate::meter::{Meter, Metered};
use crate::{Host, Sandbox};

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

/// Calls a component on behalf of one credential.
pub struct Caller<'a> {
    sandbox: &'a Sandbox,
    component: &'a Component,
    host: Arc<dyn Host>,
}

/// An instance in its store, with the permits that let it run.
pub(crate) struct Running {
    pub(crate) store: Store<Guest>,
    pub(crate) instance: Instance,
    _slots: Vec<OwnedSemaphorePermit>,
}

impl<'a> Caller<'a> {
    /// A caller whose calls use `host`.
    pub fn new(sandbox: &'a Sandbox, component: &'a Component, host: Arc<dyn Host>) -> Self {
        Self {
            sandbox,
            component,
            host,
        }
    }

    /// `auth.probe`
    pub async fn probe(&self) -> Result<Account, CallError> {
        let auth = self.interface(Interface::Auth, &self.component.auth)?;
        self.run(self.limits().wall, async |running| {
            let auth: auth::Guest = auth.load(&mut running.store, &running.instance)?;
            auth.call_probe(&mut running.store).await
        })
        .await
    }

    /// `login.sign-in`
    pub async fn sign_in(&self, public_inputs: &str) -> Result<Outcome, CallError> {
        let login = self.interface(Interface::Login, &self.component.login)?;
        self.run(self.limits().wall, async |running| {
            let login: login::Guest = login.load(&mut running.store, &running.instance)?;
            login
                .call_sign_in(&mut running.store, &public_inputs.to_owned())
                .await
        })
        .await
    }

    /// `login.answer`
    pub async fn answer(&self, state: &str) -> Result<Outcome, CallError> {
        let login = self.interface(Interface::Login, &self.component.login)?;
        self.run(self.limits().wall, async |running| {
            let login: login::Guest = login.load(&mut running.store, &running.instance)?;
            login
                .call_answer(&mut running.store, &state.to_owned())
                .await
        })
        .await
    }

    /// `entities.changes`
    pub async fn changes(
        &self,
        entity: &str,
        scope: &ReadScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, CallError> {
        let cursor = cursor.map(str::to_owned);
        self.entities(self.limits().wall_page, async |entities, store| {
            entities
                .call_changes(store, entity, scope, cursor.as_ref(), limit)
                .await
        })
        .await
    }

    /// `entities.get`
    pub async fn get(&self, entity: &str, ids: &[String]) -> Result<Vec<Item>, CallError> {
        self.entities(self.limits().wall, async |entities, store| {
            entities.call_get(store, entity, ids).await
        })
        .await
    }

    /// `entities.create`
    pub async fn create(&self, entity: &str, write: &Write) -> Result<Written, CallError> {
        self.entities(self.limits().wall, async |entities, store| {
            entities.call_create(store, entity, write).await
        })
        .await
    }

    /// `entities.update`
    pub async fn update(
        &self,
        entity: &str,
        id: &str,
        write: &Write,
    ) -> Result<Written, CallError> {
        self.entities(self.limits().wall, async |entities, store| {
            entities.call_update(store, entity, id, write).await
        })
        .await
    }

    /// `entities.delete`
    pub async fn delete(
        &self,
        entity: &str,
        id: &str,
        idempotency_key: &str,
    ) -> Result<(), CallError> {
        self.entities(self.limits().wall, async |entities, store| {
            entities
                .call_delete(store, entity, id, idempotency_key)
                .await
        })
        .await
    }

    /// `entities.perform`
    pub async fn perform(
        &self,
        entity: &str,
        id: &str,
        operation: &str,
        write: &Write,
    ) -> Result<Written, CallError> {
        self.entities(self.limits().wall, async |entities, store| {
            entities
                .call_perform(store, entity, id, operation, write)
                .await
        })
        .await
    }

    fn limits(&self) -> &Limits {
        self.sandbox.limits()
    }

    fn interface<'i, I>(&self, name: Interface, found: &'i Option<I>) -> Result<&'i I, CallError> {
        found.as_ref().ok_or(CallError::Missing(name.as_str()))
    }

    async fn entities<T>(
        &self,
        wall: Duration,
        call: impl AsyncFnOnce(
            &entities::Guest,
            &mut Store<Guest>,
        ) -> wasmtime::Result<Result<T, Error>>,
    ) -> Result<T, CallError> {
        let found = self.interface(Interface::Entities, &self.component.entities)?;
        self.run(wall, async |running| {
            let guest = found.load(&mut running.store, &running.instance)?;
            call(&guest, &mut running.store).await
        })
        .await
    }

    async fn run<T>(
        &self,
        wall: Duration,
        call: impl AsyncFnOnce(&mut Running) -> wasmtime::Result<Result<T, Error>>,
    ) -> Result<T, CallError> {
        let guest = Guest::new(self.host.clone(), self.limits());
        run(self.sandbox, self.component, guest, wall, call)
            .await?
            .map_err(CallError::Connector)
    }
}

/// `manifest.describe`, with stand-ins for everything that the guest imports.
pub(crate) async fn describe_manifest(
    sandbox: &Sandbox,
    component: &Component,
    host: Arc<dyn Host>,
) -> Result<String, CallError> {
    let guest = Guest::stand_in(host, sandbox.limits());
    let wall = sandbox.limits().wall;
    run(sandbox, component, guest, wall, async |running| {
        let manifest: manifest::Guest = component
            .manifest
            .load(&mut running.store, &running.instance)?;
        manifest.call_describe(&mut running.store).await
    })
    .await
}

/// Instantiates and calls, under all limits.
pub(crate) async fn run<T>(
    sandbox: &Sandbox,
    component: &Component,
    guest: Guest,
    wall: Duration,
    call: impl AsyncFnOnce(&mut Running) -> wasmtime::Result<T>,
) -> Result<T, CallError> {
    let limits = sandbox.limits();
    let slots = tokio::time::timeout(limits.queue, async {
        // The connector's own share first: who waits for it holds no slot.
        let share = component.share.clone().acquire_owned().await;
        let slot = sandbox.slots().clone().acquire_owned().await;
        [share, slot].into_iter().flatten().collect::<Vec<_>>()
    })
    .await
    .map_err(|_| CallError::Busy(limits.queue))?;

    let meter = Arc::new(Meter::default());
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
