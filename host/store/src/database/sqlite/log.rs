//! The write-ahead log on its way to the disk.
//!
//! Commits are numbered as they are written. Whoever waits for one first
//! synchronises the file, for all that were written by then; the others find that
//! done. Together with what SQLite does at `synchronous = normal` that is as durable
//! as `full`: a frame is either in the log, which was synchronised after it was
//! written, or a checkpoint copied it and synchronised both files.
//! <https://www.sqlite.org/wal.html#performance_considerations>

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::at_length;
use crate::{Result, StoreError};

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// The last commit that was written.
    written: AtomicU64,
    disk: Mutex<Disk>,
}

#[derive(Debug, Default)]
struct Disk {
    /// The log. It stays the same file while its writer is open.
    file: Option<File>,
    /// The last commit that is on disk.
    synced: u64,
    /// A disk that failed once may have lost what it said it had.
    failed: Option<String>,
}

impl Log {
    pub(super) fn new(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: path.into(),
            written: AtomicU64::new(0),
            disk: Mutex::default(),
        }
    }

    /// Notes a commit, under the write lock; answers its number.
    pub(super) fn written(&self) -> u64 {
        self.written.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The last commit's number.
    pub(super) fn last(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Waits until a commit is on disk.
    pub(super) async fn synced(&self, place: u64) -> Result<()> {
        let mut disk = self.disk.lock().await;
        if disk.synced >= place {
            return Ok(());
        }
        if let Some(failed) = &disk.failed {
            return Err(lost(failed));
        }
        let last = self.last();
        match at_length(|| disk.sync(&self.path)) {
            Ok(()) => {
                disk.synced = last;
                Ok(())
            }
            Err(error) => {
                let failed = disk.failed.insert(error.to_string());
                Err(lost(failed))
            }
        }
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
