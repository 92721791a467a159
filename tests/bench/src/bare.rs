//! Bare wasmtime: the same component on an engine with the same settings, and
//! nothing of ours around it. Imports trap, there is no limiter, no WASI
//! context, no deadline that could be reached, no permit to wait for, no
//! metering of CPU time. The generated code checks epochs here too, because
//! that is an engine setting; nobody advances them.

use anyhow::{Context, Result};
use rollout_sandbox::{Limits, engine_config};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};

mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wasmtime::component::bindgen!({
        path: "../../wit/connector",
        world: "everything",
        exports: { default: async },
    });
}

use generated::exports::rollout::connector::entities;

/// A component, ready to be instantiated.
pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
    entities: entities::GuestIndices,
}

impl Bare {
    pub(crate) fn load(limits: &Limits, component: &[u8]) -> Result<Self> {
        let engine = Engine::new(&engine_config(limits, true))?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        Ok(Self {
            entities: entities::GuestIndices::new(&pre)?,
            engine,
            pre,
        })
    }

    /// A fresh instance and a call of `entities.get` for an entity that the
    /// connector doesn't offer.
    pub(crate) async fn refused_get(&self, entity: &str) -> Result<()> {
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let guest = self.entities.load(&mut store, &instance)?;
        let answer = guest.call_get(&mut store, entity, &[]).await?;
        answer
            .err()
            .context("the connector offers the entity")
            .map(drop)
    }
}
