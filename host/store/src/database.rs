//! One open database: a single writer and a few readers.
//!
//! Every change runs in a transaction of the writer, which takes the write
//! lock when it begins. Dropping a transaction undoes it, so a cancelled call
//! leaves nothing behind. Readers see the last commit and never wait for it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Transaction;

use crate::Result;
use crate::dialect::{self, Database, Pool};

/// Commits between two looks at the size of the write-ahead log.
const COMMITS_PER_LOOK: u32 = 64;

pub(crate) type Tx = Transaction<'static, Database>;

#[derive(Debug)]
pub(crate) struct Db {
    writer: Pool,
    readers: Pool,
    commits: AtomicU32,
}

impl Db {
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let (writer, readers) = dialect::open(path).await?;
        Ok(Self {
            writer,
            readers,
            commits: AtomicU32::new(0),
        })
    }

    /// Begins a writing transaction; waits for the one before it.
    pub(crate) async fn write(&self) -> Result<Tx> {
        Ok(self.writer.begin_with(dialect::BEGIN_WRITE).await?)
    }

    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        tx.commit().await?;
        if self.commits.fetch_add(1, Ordering::Relaxed) % COMMITS_PER_LOOK == COMMITS_PER_LOOK - 1 {
            dialect::bound_log(&self.writer).await?;
        }
        Ok(())
    }

    pub(crate) fn readers(&self) -> &Pool {
        &self.readers
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
