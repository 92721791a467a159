//! Many connectors of one: copies that differ in their app key.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const KEY: &str = r#""key": "follow-up-boss""#;

/// The connector under the app key `bench-crm-NUMBER`. Its code is the same; its
/// bytes are other ones, so it is compiled by itself.
pub(crate) fn copy(component: &[u8], number: u32) -> Result<Vec<u8>> {
    let mut bytes = component.to_vec();
    let at = bytes
        .windows(KEY.len())
        .position(|part| part == KEY.as_bytes());
    let place = at.and_then(|at| bytes.get_mut(at..at + KEY.len()));
    let key = format!(r#""key": "bench-crm-{number:04}""#);
    place
        .context("the connector's manifest has no key")?
        .copy_from_slice(key.as_bytes());
    Ok(bytes)
}

/// Writes so many copies into a folder; answers their files.
pub(crate) fn write(component: &[u8], number: u32, folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    (0..number)
        .map(|number| {
            let file = folder.join(format!("{number:04}.wasm"));
            std::fs::write(&file, copy(component, number)?)?;
            Ok(file)
        })
        .collect()
}
