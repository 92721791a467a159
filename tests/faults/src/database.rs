//! What the hosts keep their data in, and how it fails.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollout_test_postgres::{Error, Options, Server};

use crate::options::Store;
use crate::process::Disk;

/// Room on the disk of a SQLite host, in megabytes: several times what a run writes.
const DISK: u32 = 512;
/// More connections than a server ever gives.
const MOST_CONNECTIONS: usize = 10_000;

/// The place of the hosts' data.
pub(crate) enum Database {
    /// Files, on a disk of their own if this machine allows it.
    Files(Option<Disk>),
    /// A server.
    Server(Arc<Server>),
}

impl Database {
    /// Sets it up; answers also what is not possible on this machine.
    pub(crate) async fn start(store: Store, folder: &Path) -> Result<(Self, Option<String>)> {
        match store {
            Store::Sqlite => match Disk::mount(&folder.join("disk"), DISK) {
                Ok(disk) => Ok((Self::Files(Some(disk)), None)),
                Err(error) => {
                    let left_out =
                        format!("left out: full disk, since none can be mounted: {error}");
                    Ok((Self::Files(None), Some(left_out)))
                }
            },
            Store::Postgres => {
                let options = Options {
                    fsync: true,
                    ..Options::default()
                };
                let server = tokio::task::spawn_blocking(|| Server::start(options)).await??;
                Ok((Self::Server(Arc::new(server)), None))
            }
        }
    }

    /// There is a disk that can be filled.
    pub(crate) fn has_disk(&self) -> bool {
        matches!(self, Self::Files(Some(_)))
    }

    /// Where data directories go, if not beside everything else.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Files(disk) => disk.as_ref().map(Disk::folder),
            Self::Server(_) => None,
        }
    }

    /// URLs of two empty databases.
    pub(crate) async fn urls(&self) -> Result<Option<(String, String)>> {
        if let Self::Files(_) = self {
            return Ok(None);
        }
        let both = |server: &Server| Ok((server.database()?, server.database()?));
        self.with_server(both).await.map(Some)
    }

    /// Does something with the server that takes its time.
    pub(crate) async fn with_server<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Server) -> Result<T, Error> + Send + 'static,
    ) -> Result<T> {
        let Self::Server(server) = self else {
            bail!("there is no database server");
        };
        let server = server.clone();
        Ok(tokio::task::spawn_blocking(move || work(&server)).await??)
    }

    /// Opens connections until the server refuses, again and again for a time.
    pub(crate) async fn exhaust(&self, hold: Duration) -> Result<usize> {
        self.with_server(move |server| Ok(taken(server.port(), hold)))
            .await?
    }

    /// Fills the disk for a time.
    pub(crate) async fn fill(&self, hold: Duration) -> Result<()> {
        match self {
            Self::Files(Some(disk)) => disk.fill(hold).await,
            _ => bail!("there is no disk to fill"),
        }
    }
}

/// How many connections could be held.
fn taken(port: u16, hold: Duration) -> Result<usize> {
    let until = std::time::Instant::now() + hold;
    let mut held = Vec::new();
    while std::time::Instant::now() < until {
        while held.len() < MOST_CONNECTIONS {
            match connect(port)? {
                Some(connection) => held.push(connection),
                None => break,
            }
        }
        // Somebody may close one, and open it again.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(held.len())
}

/// A session of the superuser, who needs no password; none if there are too many.
fn connect(port: u16) -> Result<Option<TcpStream>> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(&startup())?;
    let mut answer = [0];
    match connection.read_exact(&mut answer) {
        Ok(()) if answer == *b"R" => Ok(Some(connection)),
        Ok(()) => Ok(None),
        // It may also just hang up.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error).context("the database server doesn't answer"),
    }
}

/// The first message of the protocol, version 3.0.
fn startup() -> Vec<u8> {
    let rest = [
        &196_608_u32.to_be_bytes()[..],
        b"user\0postgres\0database\0postgres\0\0",
    ]
    .concat();
    let length = u32::try_from(rest.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &rest].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_connections_are_taken_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let (database, left_out) = Database::start(Store::Postgres, folder.path())
            .await
            .unwrap();
        assert_eq!(left_out, None);
        let held = database.exhaust(Duration::from_millis(300)).await.unwrap();
        assert!((50..=100).contains(&held), "{held}");
        assert!(database.urls().await.unwrap().is_some());
    }
}
