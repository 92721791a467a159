//! The connectors, built and left as `target/connectors/KEY.wasm`; beside them, for
//! the tests, the one that misbehaves and those that try out the contract.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cargo::{self, Artifact};
use crate::progress::Step;
use crate::target;
use crate::tree::{self, GUEST_TARGET};

/// Builds every connector of the repository and answers the folder with the
/// components, one `KEY.wasm` per connector; KEY is the name of its package. A file
/// is replaced in one go and only if its bytes differ, so tests and hosts may read
/// the folder meanwhile. Adds the compiler target if it is missing.
///
/// # Errors
/// What cargo said, if a connector doesn't compile; or the target can't be added.
pub fn build_connectors() -> Result<PathBuf> {
    let step = Step::silent();
    target::ensure(&step)?;
    build(&step)
}

/// Builds the connector that misbehaves, which is no connector to ship, and answers
/// the folder that holds it as `misbehaving.wasm`.
///
/// # Errors
/// As [`build_connectors`].
pub fn build_misbehaving() -> Result<PathBuf> {
    let step = Step::silent();
    target::ensure(&step)?;
    build_misbehaving_at(&step)
}

/// Builds the connectors that do as `tests/conformance/README.md` says, which are none
/// to ship, and answers the folder that holds them as `NAME.wasm`.
///
/// # Errors
/// As [`build_connectors`].
pub fn build_conformance() -> Result<PathBuf> {
    let step = Step::silent();
    target::ensure(&step)?;
    build_conformance_at(&step)
}

pub(crate) fn build(step: &Step) -> Result<PathBuf> {
    build_all(&tree::connectors_workspace(), tree::connectors(), step)
}

pub(crate) fn build_misbehaving_at(step: &Step) -> Result<PathBuf> {
    build_all(&tree::misbehaving_workspace(), tree::misbehaving(), step)
}

pub(crate) fn build_conformance_at(step: &Step) -> Result<PathBuf> {
    build_all(&tree::conformance_workspace(), tree::conformance(), step)
}

/// Builds the connectors of a workspace and leaves them in `folder`.
fn build_all(workspace: &Path, folder: PathBuf, step: &Step) -> Result<PathBuf> {
    let arguments = ["--release", "--target", GUEST_TARGET];
    let artifacts = cargo::build(workspace, &arguments, step)?;
    fs::create_dir_all(&folder)
        .with_context(|| format!("can't make the folder {}", folder.display()))?;
    let mut components = 0;
    for (key, file) in artifacts.iter().filter_map(component) {
        place(file, &folder.join(format!("{key}.wasm")))?;
        components += 1;
    }
    if components == 0 {
        bail!("{} holds no connector", tree::shown(workspace));
    }
    Ok(folder)
}

/// The key and the file of a connector.
fn component(artifact: &Artifact) -> Option<(&str, &Path)> {
    artifact.kinds.iter().find(|kind| *kind == "cdylib")?;
    let file = artifact
        .files
        .iter()
        .find(|file| file.extension().is_some_and(|end| end == "wasm"))?;
    Some((&artifact.package, file))
}

/// Puts a copy of `file` at `destination`, by renaming.
fn place(file: &Path, destination: &Path) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    if fs::read(destination).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let name = format!(
        "new-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    );
    let new = destination.with_extension(name);
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, destination))
        .with_context(|| format!("can't write {}", destination.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::SystemTime;

    use super::*;

    fn artifact(kind: &str, file: &str) -> Artifact {
        Artifact {
            package: "follow-up-boss".into(),
            target: "follow_up_boss".into(),
            kinds: vec![kind.into()],
            files: vec!["/t/x.rlib".into(), file.into()],
            executable: None,
        }
    }

    #[test]
    fn a_component_is_a_cdylib_and_has_its_packages_name() {
        assert_eq!(
            component(&artifact("cdylib", "/t/follow_up_boss.wasm")),
            Some(("follow-up-boss", Path::new("/t/follow_up_boss.wasm")))
        );
        assert_eq!(component(&artifact("lib", "/t/x.wasm")), None);
        assert_eq!(component(&artifact("cdylib", "/t/x.so")), None);
    }

    #[test]
    fn a_file_is_replaced_only_if_its_bytes_differ() {
        let folder = tempfile::tempdir().unwrap();
        let (built, placed) = (folder.path().join("b"), folder.path().join("key.wasm"));
        fs::write(&built, "one").unwrap();
        place(&built, &placed).unwrap();

        let old = fs::File::options().write(true).open(&placed).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        place(&built, &placed).unwrap();
        assert_eq!(
            fs::metadata(&placed).unwrap().modified().unwrap(),
            SystemTime::UNIX_EPOCH
        );

        fs::write(&built, "two").unwrap();
        place(&built, &placed).unwrap();
        assert_eq!(fs::read(&placed).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
