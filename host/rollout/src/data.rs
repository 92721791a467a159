//! The data directory: opened once as a capability; every file access of the
//! host goes through it.
//!
//! ```text
//! DATA/lock                  held by the one `serve` that uses the directory
//! DATA/keys.lock             held by the one process that changes keys
//! DATA/master.key            wraps the keys that seal secrets; mode 0600
//! DATA/control.sqlite        environments and their settings
//! DATA/env/NAME.sqlite       one environment
//! DATA/artifacts             compiled connectors, sealed with artifacts.key
//! DATA/dev.credentials.json  client id and secret of the first environment; mode 0600
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rollout_vault::{KEY_FILE, KeySource};

use crate::artifacts::ArtifactsDir;
use crate::config::Keys;
use crate::installation::random;

/// An open data directory.
pub(crate) struct DataDir {
    dir: Dir,
    path: PathBuf,
}

/// A lock that this process holds until it drops this.
pub(crate) struct FileLock(
    #[expect(dead_code, reason = "the lock goes when the file is closed")] std::fs::File,
);

impl DataDir {
    /// Opens the directory; `create` makes it if it is missing.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self> {
        let shown = path.display();
        if create {
            let mut builder = std::fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder
                .recursive(true)
                .create(path)
                .with_context(|| format!("can't make the data directory {shown}"))?;
        }
        let dir = Dir::open_ambient_dir(path, ambient_authority()).with_context(|| {
            format!("can't open the data directory {shown}; `rollout serve` makes it")
        })?;
        if create {
            dir.create_dir_all("env")
                .with_context(|| format!("can't write to the data directory {shown}"))?;
        }
        Ok(Self {
            dir,
            path: path.to_owned(),
        })
    }

    /// Takes the directory for this process alone.
    pub(crate) fn lock(&self) -> Result<FileLock> {
        self.hold("lock")?.with_context(|| {
            format!(
                "the data directory {} is in use by another `rollout serve`",
                self.path.display()
            )
        })
    }

    /// Locks a file of this name; none: another process has it.
    fn hold(&self, name: &str) -> Result<Option<FileLock>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = self
            .dir
            .open_with(name, &options)
            .with_context(|| format!("can't write to the data directory {}", self.path.display()))?
            .into_std();
        match file.try_lock() {
            Ok(()) => Ok(Some(FileLock(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("can't lock {}", self.shown(name)))
            }
        }
    }

    /// The control database's file.
    pub(crate) fn control(&self) -> PathBuf {
        self.path.join("control.sqlite")
    }

    /// Whether a `rollout serve` uses the directory.
    pub(crate) fn is_served(&self) -> bool {
        self.dir.exists("lock") && self.lock().is_err()
    }

    /// Removes the database files of an environment.
    pub(crate) fn remove_environment(&self, name: &str) -> Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let file = format!("env/{name}.sqlite{suffix}");
            match self.dir.remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("can't remove {}", self.shown(&file)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The database file of an environment.
    pub(crate) fn environment(&self, name: &str) -> PathBuf {
        self.path.join("env").join(format!("{name}.sqlite"))
    }

    /// True once there is a control database.
    pub(crate) fn has_control(&self) -> bool {
        self.dir.exists("control.sqlite")
    }

    /// Where master keys come from.
    pub(crate) fn key_source(&self, keys: &Keys) -> Result<KeySource> {
        if !keys.variable.is_empty() {
            return Ok(KeySource::variable(&keys.variable));
        }
        if !keys.command.is_empty() {
            return Ok(KeySource::command(&keys.command, keys.command_timeout));
        }
        if keys.file.as_os_str().is_empty() {
            let dir = self.dir.try_clone()?;
            return Ok(KeySource::file(dir, KEY_FILE, &self.shown(KEY_FILE)));
        }
        let shown = keys.file.display();
        let name = keys.file.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("keys.file: {shown} names no file"))?;
        let folder = match keys.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let dir = Dir::open_ambient_dir(folder, ambient_authority())
            .with_context(|| format!("the master key {shown}: can't open its folder"))?;
        Ok(KeySource::file(dir, name, &shown.to_string()))
    }

    /// Takes the keys for this process alone; none: another one has them.
    pub(crate) fn hold_keys(&self) -> Result<Option<FileLock>> {
        self.hold("keys.lock")
    }

    /// Where compiled connectors are kept, and the key that seals them: a file of its
    /// own, as nothing else depends on it.
    pub(crate) fn artifacts(&self) -> Result<(ArtifactsDir, Vec<u8>)> {
        const KEY: &str = "artifacts.key";
        let key = match self.dir.read(KEY) {
            Ok(key) if key.len() >= 32 => key,
            _ => {
                let key = random(32);
                self.write_private(KEY, &key)?;
                key.into_bytes()
            }
        };
        Ok((ArtifactsDir::open(&self.dir)?, key))
    }

    /// Writes a new file that only its owner can read.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> Result<()> {
        use std::io::Write;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = self
            .dir
            .open_with(name, &options)
            .with_context(|| format!("can't write {}", self.path.join(name).display()))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(())
    }

    /// A path in the directory as it is shown to people.
    pub(crate) fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}
