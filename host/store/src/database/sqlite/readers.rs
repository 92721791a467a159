//! Connections that read: opened when they are needed, closed when they have had
//! nothing to do for a while, so that an idle database takes no memory for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::{BUSY_TIMEOUT, READER_CACHE_KIB, at_length, closed, prepare};
use crate::Result;

const READERS: u32 = 4;
/// A reader that had nothing to do for so long gives its memory back.
const IDLE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    turns: Arc<Semaphore>,
    /// The first that is free is taken, so that the last ones become idle.
    slots: Vec<Arc<Mutex<Slot>>>,
    /// Somebody looks after those that are idle.
    watched: AtomicBool,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<Connection>,
    taken_at: Option<Instant>,
}

/// A connection that is lent to a call.
pub(crate) struct Reader {
    connection: OwnedMappedMutexGuard<Slot, Connection>,
    _turn: OwnedSemaphorePermit,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            turns: Arc::new(Semaphore::new(READERS as usize)),
            slots: (0..READERS).map(|_| Arc::default()).collect(),
            watched: AtomicBool::new(false),
        })
    }

    pub(super) async fn take(self: Arc<Self>) -> Result<Reader> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| closed())?;
        // There are as many slots as turns, so one is free.
        let mut slots = self.slots.iter();
        let free = slots.find_map(|slot| Arc::clone(slot).try_lock_owned().ok());
        let mut slot = free.ok_or_else(closed)?;
        if slot.connection.is_none() {
            slot.connection = Some(at_length(|| self.open())?);
            Arc::clone(&self).watch();
        }
        slot.taken_at = Some(Instant::now());
        let connection = OwnedMutexGuard::try_map(slot, |slot| slot.connection.as_mut());
        Ok(Reader {
            connection: connection.map_err(|_| closed())?,
            _turn: turn,
        })
    }

    fn open(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "cache_size", -i64::from(READER_CACHE_KIB))?;
        prepare(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    /// Closes what becomes idle, until nothing is open.
    fn watch(self: Arc<Self>) {
        if self.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let home = Arc::downgrade(&self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE).await;
                let Some(home) = home.upgrade() else {
                    return;
                };
                home.watched.store(false, Ordering::Release);
                if !home.close_idle() || home.watched.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
    }

    /// Whether any are left.
    fn close_idle(&self) -> bool {
        // With all turns: whoever has one finds a slot.
        let Ok(_turns) = self.turns.try_acquire_many(READERS) else {
            return true;
        };
        let mut left = false;
        for slot in &self.slots {
            let Ok(mut slot) = slot.try_lock() else {
                continue;
            };
            if slot.taken_at.is_none_or(|taken| taken.elapsed() >= IDLE) {
                let idle = slot.connection.take();
                at_length(|| drop(idle));
            }
            left |= slot.connection.is_some();
        }
        left
    }

    /// Waits for those that are lent, and closes all.
    pub(super) async fn close(&self) {
        let all = self.turns.acquire_many(READERS).await;
        self.turns.close();
        drop(all);
        for slot in &self.slots {
            let idle = slot.lock().await.connection.take();
            at_length(|| drop(idle));
        }
    }
}

impl std::ops::Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}
