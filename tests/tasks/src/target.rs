//! The compiler's part for connectors, the target `wasm32-wasip2`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::Step;
use crate::tree::GUEST_TARGET;

/// Adds the target through rustup unless the compiler has it, from rustup or from
/// a distribution's package.
pub(crate) fn ensure(step: &Step) -> Result<()> {
    if installed()? {
        return Ok(());
    }
    step.note("adding it: rustup target add wasm32-wasip2")?;
    let added = Command::new("rustup")
        .args(["target", "add", GUEST_TARGET])
        .output();
    match added {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "the Rust target {GUEST_TARGET} is missing, and there is no rustup to add it. Install \
             Rust from https://rustup.rs, or your distribution's package of this target"
        ),
        Err(error) => Err(error).context("can't run rustup"),
        Ok(output) if !output.status.success() => bail!(
            "rustup target add {GUEST_TARGET} failed\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        ),
        Ok(_) => Ok(()),
    }
}

fn installed() -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", GUEST_TARGET])
        .output()
        .context("can't run rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}
