//! The write-ahead log on its way to the disk.
//!
//! Commits are numbered as they are written. Whoever waits for one first
//! synchronises the file, for all that were written by then; the others find that
//! done. Together with what SQLite does at `synchronous = normal` that is as durable
//! as `full`: a frame is either in the log, which was synchronised after it was
//! written, or a checkpoint copied it and synchronised both files. Others see a commit
//! a little before it is on disk; who tells of what he sees waits for that.
//! <https://www.sqlite.org/wal.html#performance_considerations>

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::at_length;
use crate::{Result, StoreError};

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// The last commit that was written.
    written: AtomicU64,
    /// Held from when a commit becomes visible until it has its number.
    writing: parking_lot::Mutex<()>,
    /// A disk that failed once may have lost what it said it had.
    failed: AtomicBool,
    disk: Mutex<Disk>,
}

#[derive(Debug, Default)]
struct Disk {
    /// The log. It stays the same file while its writer is open.
    file: Option<File>,
    /// The last commit that is on disk.
    synced: u64,
}

impl Log {
    pub(super) fn new(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: path.into(),
            written: AtomicU64::new(0),
            writing: parking_lot::Mutex::default(),
            failed: AtomicBool::new(false),
            disk: Mutex::default(),
        }
    }

    /// Writes a commit, and answers its number. For whoever has the write lock.
    pub(super) fn write<T>(&self, commit: impl FnOnce() -> Result<T>) -> Result<u64> {
        let _writing = self.writing.lock();
        commit()?;
        Ok(self.written.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The number of the last commit that anybody may have seen.
    pub(super) fn last_visible(&self) -> u64 {
        let _writing = self.writing.lock();
        self.written.load(Ordering::Acquire)
    }

    /// Refuses when the disk has failed: nothing is to be written that is not kept.
    pub(super) fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(lost("it failed before"));
        }
        Ok(())
    }

    /// Waits until a commit is on disk.
    pub(super) async fn synced(&self, place: u64) -> Result<()> {
        let mut disk = self.disk.lock().await;
        if disk.synced >= place {
            return Ok(());
        }
        self.check()?;
        let last = self.written.load(Ordering::Acquire);
        if let Err(error) = at_length(|| disk.sync(&self.path)) {
            self.failed.store(true, Ordering::Release);
            return Err(lost(&error.to_string()));
        }
        disk.synced = last;
        Ok(())
    }
}

impl Disk {
    fn sync(&mut self, path: &Path) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(path)?),
        };
        file.sync_data()
    }
}

fn lost(why: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "its disk could not keep what was written ({why}): see to the disk, then start the host again"
    ))
}
