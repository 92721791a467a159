//! Loading a component: is it one, does it fit the contract, what does it say of
//! itself.
//!
//! It is compiled once per file, see `compiler`, and asked twice to describe itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component as Compiled, InstancePre};

use crate::call::{CallError, run};
use crate::compiler::Artifact;
use crate::exports::{Exports, Found, Interface, full_name};
use crate::guest::{self, Guest, PACKAGE, VERSION};
use crate::{Host, Limits, Sandbox, http};

/// A component that fits the contract, ready to be called.
pub struct Component {
    pub(crate) pre: InstancePre<Guest>,
    /// No connector holds more than a quarter of the slots.
    pub(crate) share: Arc<Semaphore>,
    pub(crate) exports: Exports,
    limits: Limits,
    sha256: String,
    description: String,
    reads_secrets: bool,
}

/// What an operator lets a component import beyond what all get. The default is
/// nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    /// `secrets`: reading slots in clear. Each call still asks [`Host::reveal`].
    pub secrets: bool,
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
        "it imports `{0}`, which this host does not offer: a connector gets rollout:connector@0.1.0 and WASI 0.2 clocks, random, stdio, io and outgoing HTTP; no files, sockets or environment"
    )]
    UnknownImport(String),
    /// It imports something that only an operator's grant allows.
    #[error(
        "it imports `{0}`, which shows it secrets in clear; this host gives that to no connector without its operator's grant: \
         install it, and see `rollout connector grant`"
    )]
    NotGranted(String),
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
    /// It begins with more memories, tables or instances than any connector may have, or
    /// with larger ones.
    #[error("it needs more than a connector may have: {0}")]
    DoesNotFit(String),
    /// The compiler took longer than it may.
    #[error("compiling it takes longer than {} s, its limit", .0.as_secs())]
    CompileTime(Duration),
    /// The compiler died: mostly of the memory that it may use.
    #[error(
        "compiling it ended in the compiler's death: it may use {} MiB, and no more stack than others ({said})",
        .memory / (1024 * 1024)
    )]
    CompilerDied {
        /// The memory that it may use, in bytes.
        memory: u64,
        /// Its last words.
        said: String,
    },
    /// The compiler could not do its work, for reasons that are not the component's.
    #[error("compiling was interrupted: {0}")]
    Interrupted(String),
}

impl Component {
    /// Compiles a component, checks it against the contract, and asks it twice to
    /// describe itself. It gets what every connector gets.
    pub async fn load(sandbox: &Sandbox, bytes: Vec<u8>) -> Result<Self, LoadError> {
        Self::load_with(sandbox, bytes, Grants::default()).await
    }

    /// Loads a component that may import what is granted to it.
    pub async fn load_with(
        sandbox: &Sandbox,
        bytes: Vec<u8>,
        grants: Grants,
    ) -> Result<Self, LoadError> {
        let limit = sandbox.limits().component_bytes;
        if bytes.len() > limit {
            return Err(LoadError::TooLarge {
                size: bytes.len(),
                limit,
            });
        }
        recognise(&bytes)?;
        // Megabytes: not on a thread that others' requests wait for.
        let hashed = tokio::task::spawn_blocking(move || (hex(&Sha256::digest(&bytes)), bytes));
        let (sha256, bytes) = hashed
            .await
            .map_err(|error| LoadError::Interrupted(error.to_string()))?;
        let artifact = sandbox.artifact(&sha256, bytes).await?;
        Self::of(sandbox, sha256, &artifact, grants).await
    }

    /// Makes a component of what it was compiled to.
    #[expect(
        unsafe_code,
        reason = "an Artifact is only ever what this host compiled: see its makers"
    )]
    async fn of(
        sandbox: &Sandbox,
        sha256: String,
        artifact: &Artifact,
        grants: Grants,
    ) -> Result<Self, LoadError> {
        // SAFETY: the bytes come from `Engine::precompile_component`, in this process
        // or in one that this program began for it, or were sealed by this host.
        let compiled = unsafe { Compiled::deserialize(sandbox.engine(), artifact.code()) };
        let compiled = compiled.map_err(|error| LoadError::of_artifact(first_line(&error)))?;
        check_names(sandbox, &compiled, grants)?;
        let pre = sandbox
            .linker(grants)
            .and_then(|linker| linker.instantiate_pre(&compiled))
            .map_err(|error| LoadError::wrong_type("imports".into(), &error))?;
        let mut component = Self {
            exports: Exports::of(&pre)?,
            share: Arc::new(Semaphore::new(sandbox.limits().share())),
            limits: sandbox.limits().of_strangers(),
            pre,
            sha256,
            description: String::new(),
            reads_secrets: imports_secrets(sandbox, &compiled),
        };
        component.description = component.describe(sandbox).await?;
        Ok(component)
    }

    /// The limits that its calls run under.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Gives it the limits of the connector that it is.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.share = Arc::new(Semaphore::new(limits.share()));
        self.limits = limits;
        self
    }

    /// The manifest as the component gave it: JSON text, not yet checked.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// True if it imports the interface that shows secrets in clear.
    pub fn reads_secrets(&self) -> bool {
        self.reads_secrets
    }

    /// True if the component exports the interface.
    pub fn has(&self, interface: Interface) -> bool {
        self.exports.has(interface)
    }

    /// Compares all types, then asks twice for the manifest, with stand-ins for
    /// everything that the component imports.
    async fn describe(&self, sandbox: &Sandbox) -> Result<String, LoadError> {
        let guest = || Guest::stand_in(Arc::new(Nothing), &self.limits);
        let wall = self.limits.wall;
        run(sandbox, self, guest(), wall, async |running| {
            self.exports.check(&mut running.store, &running.instance)
        })
        .await
        .map_err(LoadError::Describe)?;
        let Some(manifest) = &self.exports.manifest else {
            return Err(LoadError::MissingExport(Interface::Manifest.as_str()));
        };
        let mut said = Vec::new();
        for _ in 0..2 {
            let description = run(sandbox, self, guest(), wall, async |running| {
                let manifest = Found::load(manifest, &mut running.store, &running.instance)?;
                manifest.call_describe(&mut running.store).await
            });
            said.push(description.await.map_err(LoadError::Describe)?);
        }
        match said.as_slice() {
            [first, second] if first == second => Ok(first.clone()),
            _ => Err(LoadError::Unsteady),
        }
    }
}

impl LoadError {
    /// What is wrong with machine code of ours. The engine compares what the component
    /// begins with with its pool only now, and has no type for that error.
    fn of_artifact(text: String) -> Self {
        if text.contains("pooling allocator") {
            Self::DoesNotFit(text)
        } else {
            Self::Interrupted(text)
        }
    }

    pub(crate) fn wrong_type(what: String, error: &wasmtime::Error) -> Self {
        Self::WrongType {
            what,
            detail: first_line(error),
        }
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

fn imports_secrets(sandbox: &Sandbox, compiled: &Compiled) -> bool {
    let kind = compiled.component_type();
    let mut imports = kind.imports(sandbox.engine());
    imports.any(|(name, _)| guest::is_secrets(name))
}

/// Imports that are offered, and exports of this version.
fn check_names(sandbox: &Sandbox, compiled: &Compiled, grants: Grants) -> Result<(), LoadError> {
    let kind = compiled.component_type();
    for (name, _) in kind.imports(sandbox.engine()) {
        if guest::is_secrets(name) {
            if !grants.secrets {
                return Err(LoadError::NotGranted(name.to_owned()));
            }
        } else if !guest::offered(name) {
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
    for required in Interface::REQUIRED {
        if !found.iter().any(|name| name == required.as_str()) {
            return Err(LoadError::MissingExport(required.as_str()));
        }
    }
    for name in found {
        if !Interface::ALL.iter().any(|known| known.as_str() == name) {
            return Err(LoadError::OtherVersion(full_name(&name)));
        }
    }
    Ok(())
}

pub(crate) fn first_line(error: &wasmtime::Error) -> String {
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
}
