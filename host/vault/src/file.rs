//! The file of master keys.
//!
//! It is made with mode 0600, exclusively (processes that start at once agree on one),
//! and is on disk before anything is wrapped with it. A file that others may read, or
//! that is short or damaged, is refused instead of repaired: a new key in its place
//! would make everything that is sealed unreadable for good.

use std::io::{self, Read, Write};

use cap_std::fs::{Dir, OpenOptions};
use chacha20poly1305::aead::Generate;
use zeroize::Zeroizing;

use crate::masters::LONGEST_TEXT;
use crate::{MasterKeys, VaultError};

/// A file in a directory.
#[derive(Debug)]
pub(crate) struct KeyFile {
    pub(crate) dir: Dir,
    pub(crate) name: String,
    /// As it is shown to people.
    pub(crate) place: String,
}

impl KeyFile {
    pub(crate) fn load(&self) -> Result<MasterKeys, VaultError> {
        let file = self
            .dir
            .open(&self.name)
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => VaultError::KeyMissing {
                    place: self.place.clone(),
                },
                _ => self.unusable(source),
            })?;
        let metadata = file.metadata().map_err(|source| self.unusable(source))?;
        if !metadata.is_file() || metadata.len() > LONGEST_TEXT as u64 {
            return Err(VaultError::KeyFormat {
                place: self.place.clone(),
            });
        }
        self.refuse_exposed(&metadata)?;
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_TEXT + 1));
        file.take(LONGEST_TEXT as u64)
            .read_to_end(&mut text)
            .map_err(|source| self.unusable(source))?;
        MasterKeys::parse(&text, &self.place)
    }

    /// Makes the file with a new key; what another process made meanwhile is kept.
    pub(crate) fn create(&self) -> Result<MasterKeys, VaultError> {
        let keys = MasterKeys::generate()?;
        match self.place_new(&keys) {
            Ok(()) => Ok(keys),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.load(),
            Err(source) => Err(self.unusable(source)),
        }
    }

    /// Puts these keys into the place of those that are there, at once. Callers see to
    /// it that nobody else does at the same time.
    pub(crate) fn replace(&self, keys: &MasterKeys) -> Result<(), VaultError> {
        let unnamed = format!("{}.new", self.name);
        // What a process left that was killed here.
        let replaced = match self.dir.remove_file(&unnamed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.write_private(&unnamed, keys),
        };
        replaced
            .and_then(|()| self.dir.rename(&unnamed, &self.dir, &self.name))
            .and_then(|()| self.sync_directory())
            .map_err(|source| self.unusable(source))
    }

    /// Writes the key beside its place and then gives it its name, which fails if the
    /// name is taken: nobody ever sees half a key, and a key is never replaced.
    fn place_new(&self, keys: &MasterKeys) -> io::Result<()> {
        let nonce = u64::try_generate().map_err(io::Error::other)?;
        let unnamed = format!("{}.{nonce:016x}.new", self.name);
        let named = self
            .write_private(&unnamed, keys)
            .and_then(|()| self.dir.hard_link(&unnamed, &self.dir, &self.name));
        // The name stays; where it could not be given, the key is of no use.
        let removed = self.dir.remove_file(&unnamed);
        named.and(removed)?;
        self.sync_directory()
    }

    fn write_private(&self, name: &str, keys: &MasterKeys) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use cap_std::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = self.dir.open_with(name, &options)?;
        file.write_all(keys.to_text().as_bytes())?;
        file.sync_all()
    }

    /// Makes a new name itself durable.
    #[cfg(unix)]
    fn sync_directory(&self) -> io::Result<()> {
        self.dir.open(".")?.sync_all()
    }

    #[cfg(not(unix))]
    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    /// Refuses a file that anybody but its owner may read or write. Judged on the open
    /// file, not on its name.
    #[cfg(unix)]
    fn refuse_exposed(&self, metadata: &cap_std::fs::Metadata) -> Result<(), VaultError> {
        use cap_std::fs::MetadataExt;

        let mode = metadata.mode() & 0o777;
        if mode & 0o077 == 0 {
            return Ok(());
        }
        Err(VaultError::KeyExposed {
            place: self.place.clone(),
            mode,
        })
    }

    #[cfg(not(unix))]
    fn refuse_exposed(&self, _: &cap_std::fs::Metadata) -> Result<(), VaultError> {
        Ok(())
    }

    fn unusable(&self, source: io::Error) -> VaultError {
        VaultError::KeyFile {
            place: self.place.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use cap_std::ambient_authority;

    use super::*;

    fn file_in(folder: &std::path::Path) -> KeyFile {
        KeyFile {
            dir: Dir::open_ambient_dir(folder, ambient_authority()).unwrap(),
            name: "master.key".to_owned(),
            place: "data/master.key".to_owned(),
        }
    }

    fn place() -> (tempfile::TempDir, KeyFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(folder.path());
        (folder, file)
    }

    fn ids(keys: &MasterKeys) -> Vec<String> {
        keys.ids().map(str::to_owned).collect()
    }

    #[cfg(unix)]
    fn write(folder: &tempfile::TempDir, text: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join("master.key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_made_once_and_then_loaded() {
        let (folder, file) = place();
        let made = file.create().unwrap();
        assert_eq!(ids(&made), ids(&file.create().unwrap()));
        assert_eq!(ids(&made), ids(&file.load().unwrap()));
        assert_eq!(made.current().len(), 16);
        let text = std::fs::read_to_string(folder.path().join("master.key")).unwrap();
        assert_eq!(text.len(), 45, "44 characters of base64 and a line feed");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let metadata = std::fs::metadata(folder.path().join("master.key")).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
        let (_other, elsewhere) = place();
        assert_ne!(ids(&made), ids(&elsewhere.create().unwrap()));
    }

    #[test]
    fn many_starts_at_once_agree_on_one_key() {
        let (folder, _file) = place();
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let file = file_in(folder.path());
                std::thread::spawn(move || file.create())
            })
            .collect();
        let keys: Vec<_> = starts
            .into_iter()
            .map(|start| ids(&start.join().unwrap().unwrap()))
            .collect();
        assert!(keys.iter().all(|key| *key == keys[0]));
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "nothing is left behind");
    }

    #[test]
    fn a_new_version_comes_first_and_an_old_one_can_go() {
        let (folder, file) = place();
        let first = file.create().unwrap();
        let second = first.with_new().unwrap();
        // A process was killed before it gave the file its name.
        std::fs::write(folder.path().join("master.key.new"), "half").unwrap();
        file.replace(&second).unwrap();
        let loaded = file.load().unwrap();
        assert_eq!(ids(&loaded), ids(&second));
        assert_eq!(ids(&loaded)[1], first.current());
        assert!(loaded.without(loaded.current()).is_none());
        assert!(loaded.without("0123456789abcdef").is_none());
        file.replace(&loaded.without(first.current()).unwrap())
            .unwrap();
        assert_eq!(ids(&file.load().unwrap()), [second.current()]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_key_is_not_replaced() {
        let (folder, file) = place();
        let error = file.load().unwrap_err();
        assert!(matches!(error, VaultError::KeyMissing { .. }), "{error}");
        assert!(error.to_string().contains("backup"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(unix)]
    fn an_exposed_key_is_refused() {
        let good = STANDARD.encode([7_u8; 32]);
        for mode in [0o604, 0o640, 0o644, 0o660, 0o602, 0o610, 0o777] {
            let (folder, file) = place();
            write(&folder, &good, mode);
            let error = file.load().unwrap_err();
            assert!(
                matches!(error, VaultError::KeyExposed { mode: found, .. } if found == mode),
                "{mode:o}: {error}"
            );
        }
        for mode in [0o600, 0o400, 0o700] {
            let (folder, file) = place();
            write(&folder, &good, mode);
            file.load().unwrap();
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_damaged_key_is_refused_and_left_alone() {
        let good = STANDARD.encode([7_u8; 32]);
        let cases = [
            (String::new(), false),
            ("\n\n".to_owned(), false),
            (STANDARD.encode([7_u8; 31]), true),
            (STANDARD.encode([7_u8; 33]), true),
            (format!("{good}\n{}", STANDARD.encode([7_u8; 16])), true),
            (format!("{good}\nnot base64 at all"), false),
            (format!("{good} {good}"), false),
            (good.replace('=', ""), false),
            (format!("{good}\n").repeat(92), false),
        ];
        for (text, length) in cases {
            let (folder, file) = place();
            write(&folder, &text, 0o600);
            match file.load().unwrap_err() {
                VaultError::KeyLength { .. } => assert!(length, "{text}"),
                VaultError::KeyFormat { .. } => assert!(!length, "{text}"),
                other => panic!("{text}: {other}"),
            }
            let there = std::fs::read_to_string(folder.path().join("master.key")).unwrap();
            assert_eq!(there, text);
        }
    }

    #[test]
    fn a_folder_or_a_way_out_is_not_a_key() {
        let (_folder, file) = place();
        file.dir.create_dir("master.key").unwrap();
        assert!(matches!(file.load(), Err(VaultError::KeyFormat { .. })));
        let outside = KeyFile {
            name: "../master.key".to_owned(),
            ..file
        };
        assert!(matches!(outside.load(), Err(VaultError::KeyFile { .. })));
    }
}
