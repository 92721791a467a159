//! The guests, built and loaded once.

use std::sync::Arc;

use rollout_sandbox::{Caller, Component, Grants, Limits, Sandbox};
use tokio::sync::OnceCell;

use crate::app::App;

/// A guest with the bytes it was loaded from.
pub(crate) struct Guest {
    /// Its name in `tests/conformance`.
    pub(crate) name: &'static str,
    /// The component's file.
    pub(crate) bytes: Vec<u8>,
    /// The component, loaded.
    pub(crate) component: Component,
}

/// The engine and all guests.
pub(crate) struct Guests {
    /// The engine.
    pub(crate) sandbox: Sandbox,
    /// In Rust, every interface.
    pub(crate) everything: Guest,
    /// In Rust, as little as there can be.
    pub(crate) minimal: Guest,
    /// In C, written from the contract alone.
    pub(crate) c: Guest,
    /// In Rust, reading a secret in clear; loaded with the grant.
    pub(crate) revealing: Guest,
}

/// The component of the guest in C, as it is checked in.
const C: &[u8] = include_bytes!("../../../../tests/conformance/c/connector.wasm");

/// The guests; the first call builds them.
pub(crate) async fn guests() -> &'static Guests {
    static GUESTS: OnceCell<Guests> = OnceCell::const_new();
    GUESTS
        .get_or_init(|| async {
            let folder = tokio::task::spawn_blocking(rollout_tasks::build_conformance)
                .await
                .unwrap()
                .expect("the guests are built");
            let built = |name: &str| std::fs::read(folder.join(format!("{name}.wasm"))).unwrap();
            let sandbox = Sandbox::new(Limits::default()).unwrap();
            let granted = Grants { secrets: true };
            Guests {
                everything: load(
                    &sandbox,
                    "everything",
                    built("everything"),
                    Grants::default(),
                )
                .await,
                minimal: load(&sandbox, "minimal", built("minimal"), Grants::default()).await,
                c: load(&sandbox, "c", C.to_vec(), Grants::default()).await,
                revealing: load(&sandbox, "revealing", built("revealing"), granted).await,
                sandbox,
            }
        })
        .await
}

async fn load(sandbox: &Sandbox, name: &'static str, bytes: Vec<u8>, grants: Grants) -> Guest {
    match Component::load_with(sandbox, bytes.clone(), grants).await {
        Ok(component) => Guest {
            name,
            bytes,
            component,
        },
        Err(error) => panic!("{name}: {error}"),
    }
}

impl Guests {
    /// All guests.
    pub(crate) fn all(&self) -> [&Guest; 4] {
        [&self.everything, &self.minimal, &self.c, &self.revealing]
    }

    /// Those that do all that README.md says of auth and entities.
    pub(crate) fn with_records(&self) -> [&Guest; 2] {
        [&self.everything, &self.c]
    }

    /// A caller of a guest.
    pub(crate) fn call<'a>(&'a self, guest: &'a Guest, app: &Arc<App>) -> Caller<'a> {
        Caller::new(&self.sandbox, &guest.component, app.clone())
    }
}
