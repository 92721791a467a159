//! Loading a component: is it one, does it fit the contract, what does it say of
//! itself.
//!
//! It is compiled once per file. The compiler runs in this process for now; a
//! bounded child process and a cache of artifacts that this host made belong
//! here, behind [`Component::load`].

use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component as Compiled, InstancePre};

use crate::call::{CallError, describe_manifest};
use crate::contract::exports::{auth, entities, login, manifest};
use crate::guest::{self, Guest, PACKAGE, VERSION};
use crate::{Host, LogLevel, MacAlgorithm, Sandbox, Scope, SlotError, http, state};

/// A component that fits the contract, ready to be called.
pub struct Component {
    pub(crate) pre: InstancePre<Guest>,
    /// No connector holds more than a quarter of the slots.
    pub(crate) share: Arc<Semaphore>,
    pub(crate) manifest: manifest::GuestIndices,
    pub(crate) auth: Option<auth::GuestIndices>,
    pub(crate) login: Option<login::GuestIndices>,
    pub(crate) entities: Option<entities::GuestIndices>,
    sha256: String,
    description: String,
}

/// The interfaces that a connector may export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// What the connector says of itself. Required.
    Manifest,
    /// Proof that a credential works. Required.
    Auth,
    /// Signing in.
    Login,
    /// Records.
    Entities,
}

impl Interface {
    const ALL: [Self; 4] = [Self::Manifest, Self::Auth, Self::Login, Self::Entities];

    /// The interface's name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Auth => "auth",
            Self::Login => "login",
            Self::Entities => "entities",
        }
    }
}

/// Why a file is not a connector. Each says in one line what and where.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is larger than a component may be.
    #[error("the file has {size} bytes; a component may have {limit}")]
    TooLarge {
        /// The file's size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The file is a core module, or no WebAssembly at all.
    #[error("{0}")]
    NotAComponent(String),
    /// It imports something that is not offered.
    #[error(
        "it imports `{0}`, which this host does not offer: a connector gets rollout:connector@0.1.0 and WASI 0.2 clocks, random, stdio and io; no files, sockets or environment"
    )]
    UnknownImport(String),
    /// It lacks an interface that every connector has.
    #[error("it does not export `rollout:connector/{0}@0.1.0`, which every connector has")]
    MissingExport(&'static str),
    /// It exports another version of the contract.
    #[error("it exports `{0}`; this host serves rollout:connector@0.1.0")]
    OtherVersion(String),
    /// An interface has other functions or types than the contract's.
    #[error("its {what} does not match rollout:connector@0.1.0: {detail}")]
    WrongType {
        /// Which import or export.
        what: String,
        /// What differs.
        detail: String,
    },
    /// `describe` failed.
    #[error("manifest.describe failed: {0}")]
    Describe(CallError),
    /// `describe` answers differently from call to call.
    #[error(
        "manifest.describe answered twice and the answers differ: it must not depend on time, randomness or network"
    )]
    Unsteady,
    /// The compiler's task was lost.
    #[error("compiling was interrupted: {0}")]
    Interrupted(String),
}

impl Component {
    /// Compiles a component, checks it against the contract, and asks it twice to
    /// describe itself.
    pub async fn load(sandbox: &Sandbox, bytes: Vec<u8>) -> Result<Self, LoadError> {
        let limit = sandbox.limits().component_bytes;
        if bytes.len() > limit {
            return Err(LoadError::TooLarge {
                size: bytes.len(),
                limit,
            });
        }
        recognise(&bytes)?;
        let engine = sandbox.engine().clone();
        let (sha256, compiled) = tokio::task::spawn_blocking(move || {
            let sha256 = hex(&Sha256::digest(&bytes));
            (sha256, Compiled::new(&engine, &bytes))
        })
        .await
        .map_err(|error| LoadError::Interrupted(error.to_string()))?;
        let compiled = compiled.map_err(|error| LoadError::NotAComponent(first_line(&error)))?;

        check_names(sandbox, &compiled)?;
        let pre = sandbox
            .linker()
            .instantiate_pre(&compiled)
            .map_err(|error| LoadError::WrongType {
                what: "imports".into(),
                detail: first_line(&error),
            })?;
        let mut component = Self {
            manifest: manifest::GuestIndices::new(&pre).map_err(mismatch(Interface::Manifest))?,
            auth: Some(auth::GuestIndices::new(&pre).map_err(mismatch(Interface::Auth))?),
            login: exported(&pre, Interface::Login, login::GuestIndices::new)?,
            entities: exported(&pre, Interface::Entities, entities::GuestIndices::new)?,
            share: Arc::new(Semaphore::new((sandbox.limits().calls / 4).max(1))),
            pre,
            sha256,
            description: String::new(),
        };
        component.description = component.describe(sandbox).await?;
        Ok(component)
    }

    /// The manifest as the component gave it: JSON text, not yet checked.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// True if the component exports the interface.
    pub fn has(&self, interface: Interface) -> bool {
        match interface {
            Interface::Manifest | Interface::Auth => true,
            Interface::Login => self.login.is_some(),
            Interface::Entities => self.entities.is_some(),
        }
    }

    async fn describe(&self, sandbox: &Sandbox) -> Result<String, LoadError> {
        let nothing: Arc<dyn Host> = Arc::new(Nothing);
        // Types are only compared when an interface is loaded from an instance.
        let guest = Guest::stand_in(nothing.clone(), sandbox.limits());
        crate::call::run(
            sandbox,
            self,
            guest,
            sandbox.limits().wall,
            async |running| {
                let (store, instance) = (&mut running.store, &running.instance);
                self.manifest.load(&mut *store, instance)?;
                if let Some(auth) = &self.auth {
                    auth.load(&mut *store, instance)?;
                }
                if let Some(login) = &self.login {
                    login.load(&mut *store, instance)?;
                }
                if let Some(entities) = &self.entities {
                    entities.load(&mut *store, instance)?;
                }
                Ok(())
            },
        )
        .await
        .map_err(LoadError::Describe)?;
        let first = describe_manifest(sandbox, self, nothing.clone())
            .await
            .map_err(LoadError::Describe)?;
        let second = describe_manifest(sandbox, self, nothing)
            .await
            .map_err(LoadError::Describe)?;
        if first != second {
            return Err(LoadError::Unsteady);
        }
        Ok(first)
    }
}

/// Tells common mistakes apart by the first bytes.
fn recognise(bytes: &[u8]) -> Result<(), LoadError> {
    let refuse = |text: &str| Err(LoadError::NotAComponent(text.into()));
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => refuse(
            "it is a core WebAssembly module, not a component: build it with --target wasm32-wasip2",
        ),
        Some([0x7f, b'E', b'L', b'F', ..]) => {
            refuse("it is machine code (ELF), maybe a precompiled artifact, not a component")
        }
        _ => refuse("it is not WebAssembly"),
    }
}

/// Imports that are offered, and exports of this version.
fn check_names(sandbox: &Sandbox, compiled: &Compiled) -> Result<(), LoadError> {
    let kind = compiled.component_type();
    for (name, _) in kind.imports(sandbox.engine()) {
        if !guest::offered(name) {
            return Err(LoadError::UnknownImport(name.to_owned()));
        }
    }
    let mut found = Vec::new();
    for (name, item) in kind.exports(sandbox.engine()) {
        let Some(rest) = name.strip_prefix(PACKAGE).and_then(|n| n.strip_prefix('/')) else {
            continue;
        };
        let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
        if version != VERSION {
            return Err(LoadError::OtherVersion(name.to_owned()));
        }
        if matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            found.push(interface.to_owned());
        }
    }
    for required in [Interface::Manifest, Interface::Auth] {
        if !found.iter().any(|name| name == required.as_str()) {
            return Err(LoadError::MissingExport(required.as_str()));
        }
    }
    for name in found {
        if !Interface::ALL.iter().any(|known| known.as_str() == name) {
            return Err(LoadError::OtherVersion(format!(
                "{PACKAGE}/{name}@{VERSION}"
            )));
        }
    }
    Ok(())
}

fn exported<I>(
    pre: &InstancePre<Guest>,
    interface: Interface,
    indices: impl FnOnce(&InstancePre<Guest>) -> wasmtime::Result<I>,
) -> Result<Option<I>, LoadError> {
    let name = format!("{PACKAGE}/{}@{VERSION}", interface.as_str());
    match pre.component().get_export_index(None, &name) {
        None => Ok(None),
        Some(_) => indices(pre).map(Some).map_err(mismatch(interface)),
    }
}

fn mismatch(interface: Interface) -> impl Fn(wasmtime::Error) -> LoadError {
    move |error| LoadError::WrongType {
        what: format!("export `{}`", interface.as_str()),
        detail: first_line(&error),
    }
}

fn first_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    text.lines()
        .next()
        .unwrap_or("unknown")
        .chars()
        .take(400)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The host of a component that describes itself: offers nothing.
struct Nothing;

#[async_trait]
impl Host for Nothing {
    async fn send(&self, _: http::Request) -> Result<http::Response, http::Failure> {
        Err(http::Failure::Denied(
            "no network while describing".to_owned(),
        ))
    }

    fn field(&self, _: Scope, _: &str) -> Option<String> {
        None
    }

    fn mac(&self, _: Scope, slot: &str, _: MacAlgorithm, _: &[u8]) -> Result<Vec<u8>, SlotError> {
        Err(SlotError::Empty(slot.to_owned()))
    }

    fn verify_mac(
        &self,
        _: Scope,
        slot: &str,
        _: MacAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Result<bool, SlotError> {
        Err(SlotError::Empty(slot.to_owned()))
    }

    async fn state_get(&self, _: String) -> Result<Option<state::Entry>, state::StateError> {
        Ok(None)
    }

    async fn state_set(
        &self,
        _: String,
        _: String,
        _: Option<u64>,
    ) -> Result<u64, state::StateError> {
        Err(unavailable())
    }

    async fn state_delete(&self, _: String, _: Option<u64>) -> Result<(), state::StateError> {
        Err(unavailable())
    }

    fn log(&self, _: LogLevel, _: &str) {}
}

fn unavailable() -> state::StateError {
    state::StateError::Unavailable("nothing is stored while describing".to_owned())
}
