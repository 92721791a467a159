//! The functions of the contract, as the host calls them.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

use crate::call::{CallError, run};
use crate::component::Component;
use crate::contract::{
    Account, Error, Item, Outcome, Page, PollMode, PollOutput, ReadScope, Write, Written, forms,
    hooks,
};
use crate::exports::{Exports, Found};
use crate::guest::Guest;
use crate::limits::Limits;
use crate::{Host, Sandbox};

/// Calls a component on behalf of one credential. Every call runs in a fresh
/// instance, under the sandbox's limits; documents are JSON text that nobody has
/// checked yet, in both directions.
///
/// A connector that does not export the interface answers [`CallError::Missing`].
pub struct Caller<'a> {
    sandbox: &'a Sandbox,
    component: &'a Component,
    host: Arc<dyn Host>,
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
        self.call(&self.exports().auth, async |auth, store| {
            auth.call_probe(store).await
        })
        .await
    }

    /// `login.sign-in`
    pub async fn sign_in(&self, public_inputs: &str) -> Result<Outcome, CallError> {
        let inputs = public_inputs.to_owned();
        self.call(&self.exports().login, async |login, store| {
            login.call_sign_in(store, &inputs).await
        })
        .await
    }

    /// `login.answer`
    pub async fn answer(&self, state: &str) -> Result<Outcome, CallError> {
        let state = state.to_owned();
        self.call(&self.exports().login, async |login, store| {
            login.call_answer(store, &state).await
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
        let found = &self.exports().entities;
        self.call_within(self.limits().wall_page, found, async |entities, store| {
            entities
                .call_changes(store, entity, scope, cursor.as_ref(), limit)
                .await
        })
        .await
    }

    /// `entities.get`
    pub async fn get(&self, entity: &str, ids: &[String]) -> Result<Vec<Item>, CallError> {
        self.call(&self.exports().entities, async |entities, store| {
            entities.call_get(store, entity, ids).await
        })
        .await
    }

    /// `entities.create`
    pub async fn create(&self, entity: &str, write: &Write) -> Result<Written, CallError> {
        self.call(&self.exports().entities, async |entities, store| {
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
        self.call(&self.exports().entities, async |entities, store| {
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
        self.call(&self.exports().entities, async |entities, store| {
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
        self.call(&self.exports().entities, async |entities, store| {
            entities
                .call_perform(store, entity, id, operation, write)
                .await
        })
        .await
    }

    /// `hooks.subscribe`
    pub async fn subscribe(&self, topic: &hooks::Topic) -> Result<hooks::Subscription, CallError> {
        self.call(&self.exports().hooks, async |hooks, store| {
            hooks.call_subscribe(store, topic).await
        })
        .await
    }

    /// `hooks.renew`
    pub async fn renew(
        &self,
        topic: &hooks::Topic,
        data: &str,
    ) -> Result<hooks::Subscription, CallError> {
        let data = data.to_owned();
        self.call(&self.exports().hooks, async |hooks, store| {
            hooks.call_renew(store, topic, &data).await
        })
        .await
    }

    /// `hooks.unsubscribe`
    pub async fn unsubscribe(&self, data: &str) -> Result<(), CallError> {
        let data = data.to_owned();
        self.call(&self.exports().hooks, async |hooks, store| {
            hooks.call_unsubscribe(store, &data).await
        })
        .await
    }

    /// `hooks.route`. The host behind this caller has no credential.
    pub async fn route(&self, request: &hooks::Inbound) -> Result<hooks::Routed, CallError> {
        self.call(&self.exports().hooks, async |hooks, store| {
            hooks.call_route(store, request).await
        })
        .await
    }

    /// `hooks.accept`
    pub async fn accept(
        &self,
        data: &str,
        request: &hooks::Inbound,
    ) -> Result<hooks::Accepted, CallError> {
        let data = data.to_owned();
        self.call(&self.exports().hooks, async |hooks, store| {
            hooks.call_accept(store, &data, request).await
        })
        .await
    }

    /// `triggers.poll`
    pub async fn poll(
        &self,
        trigger: &str,
        inputs: &str,
        mode: PollMode,
        cursor: Option<&str>,
    ) -> Result<PollOutput, CallError> {
        let (inputs, cursor) = (inputs.to_owned(), cursor.map(str::to_owned));
        self.call(&self.exports().triggers, async |triggers, store| {
            triggers
                .call_poll(store, trigger, &inputs, mode, cursor.as_ref())
                .await
        })
        .await
    }

    /// `actions.execute`
    pub async fn execute(
        &self,
        action: &str,
        inputs: &str,
        idempotency_key: &str,
    ) -> Result<String, CallError> {
        let inputs = inputs.to_owned();
        self.call(&self.exports().actions, async |actions, store| {
            actions
                .call_execute(store, action, &inputs, idempotency_key)
                .await
        })
        .await
    }

    /// `forms.options`
    pub async fn options(&self, question: &forms::Question) -> Result<forms::Choices, CallError> {
        self.call(&self.exports().forms, async |forms, store| {
            forms.call_options(store, question).await
        })
        .await
    }

    /// `forms.input-schema`
    pub async fn input_schema(
        &self,
        subject: &forms::Subject,
        inputs: &str,
    ) -> Result<String, CallError> {
        let inputs = inputs.to_owned();
        self.call(&self.exports().forms, async |forms, store| {
            forms.call_input_schema(store, subject, &inputs).await
        })
        .await
    }

    /// `forms.payload-schema`
    pub async fn payload_schema(
        &self,
        subject: &forms::Subject,
        inputs: &str,
    ) -> Result<String, CallError> {
        let inputs = inputs.to_owned();
        self.call(&self.exports().forms, async |forms, store| {
            forms.call_payload_schema(store, subject, &inputs).await
        })
        .await
    }

    fn limits(&self) -> &Limits {
        self.component.limits()
    }

    fn exports(&self) -> &Exports {
        &self.component.exports
    }

    /// Calls within the usual time.
    async fn call<I: Found, T>(
        &self,
        found: &Option<I>,
        call: impl AsyncFnOnce(&I::Guest, &mut Store<Guest>) -> wasmtime::Result<Result<T, Error>>,
    ) -> Result<T, CallError> {
        self.call_within(self.limits().wall, found, call).await
    }

    async fn call_within<I: Found, T>(
        &self,
        wall: Duration,
        found: &Option<I>,
        call: impl AsyncFnOnce(&I::Guest, &mut Store<Guest>) -> wasmtime::Result<Result<T, Error>>,
    ) -> Result<T, CallError> {
        let found = found
            .as_ref()
            .ok_or(CallError::Missing(I::INTERFACE.as_str()))?;
        let guest = Guest::new(self.host.clone(), self.limits());
        run(self.sandbox, self.component, guest, wall, async |running| {
            let functions = found.load(&mut running.store, &running.instance)?;
            call(&functions, &mut running.store).await
        })
        .await?
        .map_err(CallError::Connector)
    }
}
