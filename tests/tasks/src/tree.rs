//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// The component target that connectors are built for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let tasks = Path::new(env!("CARGO_MANIFEST_DIR"));
    tasks
        .ancestors()
        .nth(2)
        .map_or_else(|| tasks.to_owned(), Path::to_owned)
}

/// The workspace of the connectors.
pub(crate) fn connectors_workspace() -> PathBuf {
    root().join("example-connectors")
}

/// Where built connectors are left, as `KEY.wasm`.
pub(crate) fn connectors() -> PathBuf {
    root().join("target/connectors")
}

/// The workspace of the connector that misbehaves.
pub(crate) fn misbehaving_workspace() -> PathBuf {
    root().join("tests/misbehaving")
}

/// Where the connector that misbehaves is left: apart from the others, so that no
/// demo shows it.
pub(crate) fn misbehaving() -> PathBuf {
    root().join("target/misbehaving/connectors")
}

/// The workspace of the connectors that try out the contract.
pub(crate) fn conformance_workspace() -> PathBuf {
    root().join("tests/conformance")
}

/// Where they are left.
pub(crate) fn conformance() -> PathBuf {
    root().join("target/conformance/connectors")
}

/// Everything a demo writes.
pub(crate) fn demo() -> PathBuf {
    root().join("target/demo")
}

/// A path as people type it at the top of the repository.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file());
        assert!(root().join("tests/tasks/Cargo.toml").is_file());
    }

    #[test]
    fn paths_are_shown_as_seen_from_the_root() {
        assert_eq!(
            shown(&demo().join("data/env/dev.sqlite")),
            "target/demo/data/env/dev.sqlite"
        );
        assert_eq!(shown(Path::new("/elsewhere/x")), "/elsewhere/x");
    }
}
