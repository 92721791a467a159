//! Reads the file of a connector, which may be anything.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

/// The file's bytes, if it is a file and not larger than `limit`.
pub(crate) fn read(file: &Path, limit: usize) -> Result<Vec<u8>> {
    let shown = file.display();
    let unreadable = || format!("can't read {shown}");
    // Looked at before it is opened: a pipe would wait for somebody to write, and a
    // device may have no end.
    let there = std::fs::metadata(file).with_context(unreadable)?;
    if there.is_dir() {
        bail!("{shown} is a folder: name the .wasm file in it");
    }
    ensure!(
        there.is_file(),
        "{shown} is a pipe or a device, not a file: save the component as a .wasm file and name that"
    );
    let size = there.len();
    let too_large = |size: u64| {
        format!("{shown} has {size} bytes; a component may have {limit} (sandbox.component_bytes)")
    };
    // Not read at all if it can't be one.
    ensure!(size <= limit as u64, too_large(size));
    let mut bytes = Vec::new();
    let mut content = File::open(file)
        .with_context(unreadable)?
        .take(limit as u64 + 1);
    // It may have grown.
    let read = content.read_to_end(&mut bytes).with_context(unreadable)?;
    ensure!(read <= limit, too_large(read as u64));
    Ok(bytes)
}
