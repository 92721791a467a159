//! The user who runs the server.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::{Doing, Error};

/// Whose files and processes the server's are.
pub(crate) enum Account {
    /// The one who runs the tests.
    Ours,
    /// The user `postgres`, because ours is root.
    Postgres { user: u32, group: u32 },
}

impl Account {
    pub(crate) fn find() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ours);
        }
        Ok(Self::Postgres {
            user: id("-u")?,
            group: id("-g")?,
        })
    }

    /// Makes a folder of ours the account's.
    pub(crate) fn give(&self, folder: &Path) -> Result<(), Error> {
        match self {
            Self::Ours => Ok(()),
            Self::Postgres { user, group } => chown(folder, Some(*user), Some(*group))
                .doing(format!("give {} to postgres", folder.display())),
        }
    }

    /// A program that will run as the account.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Postgres { user, group } = self {
            command.uid(*user).gid(*group);
        }
        command
    }
}

fn id(which: &str) -> Result<u32, Error> {
    let output = Command::new("id")
        .args([which, "postgres"])
        .output()
        .doing("run id")?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .map_err(|_| Error::NoAccount)
}
