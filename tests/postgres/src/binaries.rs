//! Finding the programs of Postgres.
//!
//! Distributions keep them in a folder of their version, away from `PATH`.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// Names the folder, if it is to be another than the one that would be found.
const VARIABLE: &str = "ROLLOUT_POSTGRES_BIN";
/// The oldest version that Rollout runs on.
const OLDEST: u32 = 15;
/// Where Debian has a folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs that are needed.
pub(crate) struct Binaries {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) psql: PathBuf,
}

impl Binaries {
    /// In the folder that the environment names, else in the first likely one.
    pub(crate) fn find() -> Result<Self, Error> {
        if let Some(folder) = env::var_os(VARIABLE).map(PathBuf::from) {
            return Self::of(&folder).ok_or(Error::NotThere {
                variable: VARIABLE,
                folder,
                oldest: OLDEST,
            });
        }
        configured()
            .into_iter()
            .chain(debian())
            .chain(on_path())
            .find_map(|folder| Self::of(&folder))
            .ok_or(Error::NotInstalled {
                oldest: OLDEST,
                variable: VARIABLE,
            })
    }

    /// Those of a folder, if all are there and not too old.
    fn of(folder: &Path) -> Option<Self> {
        let found = Self {
            initdb: folder.join("initdb"),
            postgres: folder.join("postgres"),
            psql: folder.join("psql"),
        };
        let complete = found.initdb.is_file() && found.psql.is_file();
        let says = output(Command::new(&found.postgres).arg("--version"))?;
        (complete && version(&says)? >= OLDEST).then_some(found)
    }
}

fn configured() -> Option<PathBuf> {
    output(Command::new("pg_config").arg("--bindir")).map(|folder| folder.trim().into())
}

/// Newest first.
fn debian() -> Vec<PathBuf> {
    let mut versions: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by_key(|version| Reverse(*version));
    versions
        .into_iter()
        .map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin"))
        .collect()
}

/// A folder of links may lack some of the programs, so it's the links' target.
fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter_map(|folder| fs::canonicalize(folder.join("postgres")).ok())
        .filter_map(|postgres| postgres.parent().map(Path::to_owned))
        .collect()
}

fn output(command: &mut Command) -> Option<String> {
    String::from_utf8(command.output().ok()?.stdout).ok()
}

/// The 15 of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version(says: &str) -> Option<u32> {
    let number = says.split_whitespace().nth(2)?;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        assert_eq!(version(debian), Some(15));
        assert_eq!(version("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(version("postgres: command not found"), None);
    }

    #[test]
    fn an_old_server_will_not_do() {
        let folder = tempfile::tempdir().unwrap();
        let place = |version: &str| {
            for program in ["initdb", "postgres", "psql"] {
                let file = folder.path().join(program);
                let script = format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n");
                fs::write(&file, script).unwrap();
                fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
            }
        };
        place("14.19");
        assert!(Binaries::of(folder.path()).is_none());
        place("15.0");
        assert!(Binaries::of(folder.path()).is_some());
        fs::remove_file(folder.path().join("psql")).unwrap();
        assert!(Binaries::of(folder.path()).is_none());
    }
}
