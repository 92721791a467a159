//! The folders that servers live in, named after the process that started them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::error::{Doing, Error};

const PREFIX: &str = "rollout-postgres-";

/// A file system in memory, on Linux.
const MEMORY: &str = "/dev/shm";
/// How much must be free there: a database takes 8 MB, and containers have 64.
const PLENTY: u64 = 8 << 30;

/// The system's folder for temporary files.
pub(crate) fn on_disk() -> PathBuf {
    env::temp_dir()
}

/// In memory if there is plenty, else on disk. A database is three hundred files, and to
/// create them takes some file systems a quarter of a second.
pub(crate) fn in_memory() -> PathBuf {
    match statvfs(MEMORY) {
        Ok(memory) if memory.f_bavail * memory.f_frsize >= PLENTY => MEMORY.into(),
        _ => on_disk(),
    }
}

/// A new folder of this process.
pub(crate) fn create(parent: &Path) -> Result<PathBuf, Error> {
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", std::process::id()))
        .tempdir_in(parent)
        .map(tempfile::TempDir::keep)
        .doing(format!("create a folder in {}", parent.display()))
}

/// Removes the folders of processes that are gone, as far as they are ours: those whose
/// watchdog was killed too. A server that still runs in one ends when it misses it.
pub(crate) fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(owner).is_some_and(gone) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn owner(name: &str) -> Option<Pid> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Pid::from_raw(pid.parse().ok()?)
}

fn gone(pid: Pid) -> bool {
    test_kill_process(pid) == Err(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use super::*;

    #[test]
    fn folders_of_the_dead_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = parent.path().join(format!("{PREFIX}{}-abc", child.id()));
        fs::create_dir_all(dead.join("data")).unwrap();
        let foreign = parent.path().join("rollout-postgres-notes");
        fs::create_dir(&foreign).unwrap();
        let ours = create(parent.path()).unwrap();

        remove_leftovers(parent.path());
        assert!(!dead.exists());
        assert!(foreign.is_dir());
        assert!(ours.is_dir());
    }
}
