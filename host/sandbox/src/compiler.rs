//! Compiling: strangers' code is compiled in a process of its own.
//!
//! A component that makes the compiler eat memory, run for ever or crash takes down
//! that process only. It gets the component on its standard input and nothing else
//! (no environment, no files of ours), and bounds its own memory before it begins;
//! its time is bounded from outside. What it writes is machine code that this host
//! will run: an [`Artifact`].
//!
//! Artifacts can be kept ([`Shelf`]). They are sealed with a code that only this
//! installation can make, over the component's hash, what the engine needs of its
//! machine code, and the code itself: one that was replaced or swapped is none.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use hmac::{Hmac, KeyInit, Mac};
use rustix::process::{Resource, Rlimit, setrlimit};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use wasmtime::Engine;

use crate::component::{LoadError, first_line};
use crate::{Limits, Sandbox, engine_config};

/// Bytes of the code that seals an artifact.
const CODE: usize = 32;
/// As much of what a compiler says on its standard error is heard.
const HEARD: u64 = 4096;
/// The exit code of a compiler that refused a component, and said why.
const REFUSED: i32 = 3;

/// The program that compiles, [`compile_here`] in a process of its own.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// What comes before the memory that it may use, in bytes.
    pub arguments: Vec<OsString>,
}

/// Machine code that this host compiled of a component.
pub(crate) struct Artifact {
    code: Vec<u8>,
}

/// Where artifacts are kept, by name. It may lose them, and others may write to it.
pub trait Shelf: Send + Sync {
    /// What is kept under a name.
    fn take(&self, name: &str) -> Option<Vec<u8>>;

    /// Keeps something under a name, if it can.
    fn put(&self, name: &str, artifact: &[u8]);
}

/// A shelf, and the key that seals what is on it.
pub(crate) struct Kept {
    pub(crate) shelf: Box<dyn Shelf>,
    pub(crate) key: Vec<u8>,
}

impl Artifact {
    pub(crate) fn code(&self) -> &[u8] {
        &self.code
    }

    /// The artifact, to be kept where others could write: good for this name alone.
    fn sealed(&self, key: &[u8], name: &str) -> Vec<u8> {
        let mut sealed = seal(key, name, &self.code);
        sealed.extend_from_slice(&self.code);
        sealed
    }

    /// What was kept, if it is what [`Artifact::sealed`] made.
    fn unsealed(key: &[u8], name: &str, mut sealed: Vec<u8>) -> Option<Self> {
        let (code, artifact) = sealed.split_at_checked(CODE)?;
        let right = seal(key, name, artifact);
        let differs = code
            .iter()
            .zip(&right)
            .fold(0, |differs, (given, right)| differs | (given ^ right));
        let code = (right.len() == CODE && differs == 0).then(|| sealed.split_off(CODE));
        code.map(|code| Self { code })
    }
}

fn seal(key: &[u8], name: &str, code: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(b"artifact\0");
    mac.update(&(name.len() as u64).to_be_bytes());
    mac.update(name.as_bytes());
    mac.update(code);
    mac.finalize().into_bytes().to_vec()
}

impl Sandbox {
    /// What a component is compiled to: as it was kept, or else compiled now, by the
    /// program that was given or in this process. `sha256` is that of the bytes.
    pub(crate) async fn artifact(
        &self,
        sha256: &str,
        bytes: Vec<u8>,
    ) -> Result<Artifact, LoadError> {
        // Code for another engine has another name.
        let name = format!("{sha256}-{}", compatibility(self.engine()));
        let kept = self.kept.as_ref();
        let found = kept.and_then(|kept| {
            let sealed = kept.shelf.take(&name)?;
            Artifact::unsealed(&kept.key, &name, sealed)
        });
        if let Some(artifact) = found {
            return Ok(artifact);
        }
        let artifact = match &self.compiler {
            Some(compiler) => compiler.compile(self.limits(), &bytes).await?,
            None => {
                let engine = self.engine().clone();
                tokio::task::spawn_blocking(move || precompile(&engine, &bytes))
                    .await
                    .map_err(|error| LoadError::Interrupted(error.to_string()))??
            }
        };
        if let Some(kept) = kept {
            kept.shelf.put(&name, &artifact.sealed(&kept.key, &name));
        }
        Ok(artifact)
    }
}

fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Artifact, LoadError> {
    let code = engine.precompile_component(bytes);
    let code = code.map_err(|error| LoadError::NotAComponent(first_line(&error)))?;
    Ok(Artifact { code })
}

impl Compiler {
    /// Compiles in a process of its own, within the limits.
    async fn compile(&self, limits: &Limits, bytes: &[u8]) -> Result<Artifact, LoadError> {
        let interrupted = |error: std::io::Error| LoadError::Interrupted(error.to_string());
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(limits.compile_memory.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(interrupted)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(mut stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(LoadError::Interrupted("it has no pipes".to_owned()));
        };
        let mut code = Vec::new();
        let mut said = String::new();
        let worked = async {
            let give = async {
                // If it ended early, its exit tells why.
                let _ = stdin.write_all(bytes).await;
                drop(stdin);
            };
            let mut heard = stderr.take(HEARD);
            let (_, read, _) = tokio::join!(
                give,
                stdout.read_to_end(&mut code),
                heard.read_to_string(&mut said)
            );
            read?;
            child.wait().await
        };
        match tokio::time::timeout(limits.compile, worked).await {
            Ok(ended) => judge(ended.map_err(interrupted)?, code, &said, limits),
            Err(_) => Err(LoadError::CompileTime(limits.compile)),
        }
    }
}

/// What a compiler's end means.
fn judge(
    ended: ExitStatus,
    code: Vec<u8>,
    said: &str,
    limits: &Limits,
) -> Result<Artifact, LoadError> {
    let line = said.lines().next().unwrap_or_default().to_owned();
    match ended.code() {
        Some(0) => Ok(Artifact { code }),
        Some(REFUSED) => Err(LoadError::NotAComponent(line)),
        // A signal: it aborts when its memory is used up, and may overflow its stack.
        None => Err(LoadError::CompilerDied {
            memory: limits.compile_memory,
            said: line,
        }),
        Some(_) => Err(LoadError::Interrupted(line)),
    }
}

/// Compiles the component on standard input to standard output, in at most `memory`
/// bytes: the whole work of a process of its own. Answers its exit code.
pub fn compile_here(memory: u64) -> u8 {
    match compile_bounded(memory) {
        Ok(()) => 0,
        Err((code, message)) => {
            // Nobody else would hear it.
            let _ = writeln!(std::io::stderr(), "{message}");
            code
        }
    }
}

fn compile_bounded(memory: u64) -> Result<(), (u8, String)> {
    let failed = |text: String| (1, text);
    for (resource, most) in [(Resource::As, memory), (Resource::Core, 0)] {
        let bound = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, bound).map_err(|error| failed(error.to_string()))?;
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| failed(error.to_string()))?;
    // Without a pool, which would reserve more than the bound; machine code is the same.
    let engine = Engine::new(&engine_config(&Limits::default(), false));
    let engine = engine.map_err(|error| failed(format!("{error:#}")))?;
    let refused = u8::try_from(REFUSED).unwrap_or(1);
    let artifact = precompile(&engine, &bytes).map_err(|error| (refused, error.to_string()))?;
    let mut out = std::io::stdout();
    out.write_all(artifact.code())
        .and_then(|()| out.flush())
        .map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn code_is_the_same_with_and_without_a_pool() {
        let of = |pooled| {
            let config = engine_config(&Limits::default(), pooled);
            compatibility(&Engine::new(&config).unwrap())
        };
        assert_eq!(of(true), of(false));
    }

    #[test]
    fn a_sealed_artifact_is_good_for_its_name_alone() {
        let artifact = Artifact {
            code: b"machine code".to_vec(),
        };
        let sealed = artifact.sealed(b"key", "name");
        let open = |key: &[u8], name: &str, sealed: &[u8]| {
            let found = Artifact::unsealed(key, name, sealed.to_vec());
            found.map(|artifact| artifact.code)
        };
        assert_eq!(open(b"key", "name", &sealed), Some(artifact.code));
        assert_eq!(open(b"other", "name", &sealed), None);
        assert_eq!(open(b"key", "other", &sealed), None);
        assert_eq!(open(b"key", "name", sealed.get(..20).unwrap()), None);
        assert_eq!(open(b"key", "name", b""), None);
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            *altered.get_mut(place).unwrap() ^= 1;
            assert_eq!(open(b"key", "name", &altered), None, "byte {place}");
        }
        let longer = [sealed.as_slice(), b"x"].concat();
        assert_eq!(open(b"key", "name", &longer), None);
    }
}
