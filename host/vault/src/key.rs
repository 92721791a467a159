//! The master key and its file.
//!
//! The file is one line: the base64 text of 32 random bytes. It is made with
//! mode 0600, exclusively (processes that start at once agree on one), and is on
//! disk before anything is sealed with it. A file that others
//! may read, or that is short or damaged, is refused instead of repaired: a new
//! key in its place would make everything that is sealed unreadable for good.

use std::fmt;
use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::{Dir, OpenOptions};
use chacha20poly1305::Key;
use chacha20poly1305::aead::Generate;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::VaultError;

/// Bytes of a master key.
pub(crate) const KEY_BYTES: usize = 32;

/// No key file is longer; what is longer is not a key file.
const LONGEST_FILE: u64 = 1024;

/// The key that seals everything. Wiped from memory when dropped.
pub struct MasterKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: String,
}

impl MasterKey {
    /// Makes a key from 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> MasterKey {
        let bytes = Zeroizing::new(bytes);
        let digest = Sha256::digest(bytes.as_slice());
        let id = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        MasterKey { bytes, id }
    }

    /// Makes a key from the system's random bytes.
    pub fn generate() -> Result<MasterKey, VaultError> {
        let bytes = Key::try_generate().map_err(|_| VaultError::Random)?;
        Ok(MasterKey::from_bytes(bytes.into()))
    }

    /// Loads the key from the file `name` in `dir`. Where there is none and
    /// `may_create` is true (nothing is sealed yet), makes one.
    ///
    /// Blocking; called once at start.
    pub fn load_or_create(
        dir: &Dir,
        name: &str,
        may_create: bool,
    ) -> Result<MasterKey, VaultError> {
        match load(dir, name) {
            Err(VaultError::KeyMissing { .. }) if may_create => {}
            answer => return answer,
        }
        let key = MasterKey::generate()?;
        match store(dir, name, &key) {
            Ok(()) => Ok(key),
            // Another process was faster: its key is the key.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(dir, name),
            Err(source) => Err(VaultError::KeyFile {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// The key's id: the first 8 bytes of its SHA-256, as 16 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, [redacted])", self.id)
    }
}

fn load(dir: &Dir, name: &str) -> Result<MasterKey, VaultError> {
    let unusable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => VaultError::KeyMissing {
            name: name.to_owned(),
        },
        _ => VaultError::KeyFile {
            name: name.to_owned(),
            source,
        },
    };
    let format = || VaultError::KeyFormat {
        name: name.to_owned(),
    };

    let file = dir.open(name).map_err(unusable)?;
    let metadata = file.metadata().map_err(unusable)?;
    if !metadata.is_file() || metadata.len() > LONGEST_FILE {
        return Err(format());
    }
    refuse_exposed(name, &metadata)?;

    let mut text = Zeroizing::new(Vec::new());
    file.take(LONGEST_FILE)
        .read_to_end(&mut text)
        .map_err(unusable)?;
    let decoded = Zeroizing::new(STANDARD.decode(text.trim_ascii()).map_err(|_| format())?);
    let bytes =
        <[u8; KEY_BYTES]>::try_from(decoded.as_slice()).map_err(|_| VaultError::KeyLength {
            name: name.to_owned(),
            found: decoded.len(),
        })?;
    Ok(MasterKey::from_bytes(bytes))
}

/// Refuses a file that anybody but its owner may read or write. Judged on the
/// open file, not on its name.
#[cfg(unix)]
fn refuse_exposed(name: &str, metadata: &cap_std::fs::Metadata) -> Result<(), VaultError> {
    use cap_std::fs::MetadataExt;

    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(VaultError::KeyExposed {
            name: name.to_owned(),
            mode,
        })
    }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &str, _: &cap_std::fs::Metadata) -> Result<(), VaultError> {
    Ok(())
}

/// Writes the key beside its place and then gives it its name, which fails if
/// the name is taken: nobody ever sees half a key, and a key is never replaced.
fn store(dir: &Dir, name: &str, key: &MasterKey) -> io::Result<()> {
    let nonce = u64::try_generate().map_err(io::Error::other)?;
    let unnamed = format!("{name}.{nonce:016x}.new");
    let named = write_private(dir, &unnamed, key).and_then(|()| dir.hard_link(&unnamed, dir, name));
    // The name stays; where it could not be given, the key is of no use.
    let removed = dir.remove_file(&unnamed);
    named.and(removed)?;
    sync_directory(dir)
}

fn write_private(dir: &Dir, name: &str, key: &MasterKey) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = dir.open_with(name, &options)?;
    let mut line = Zeroizing::new(STANDARD.encode(key.bytes()));
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// Makes the new name itself durable.
#[cfg(unix)]
fn sync_directory(dir: &Dir) -> io::Result<()> {
    dir.open(".")?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Dir) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use cap_std::ambient_authority;

    use super::*;

    fn directory() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        (folder, dir)
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
        let (folder, dir) = directory();
        let made = MasterKey::load_or_create(&dir, "master.key", true).unwrap();
        let again = MasterKey::load_or_create(&dir, "master.key", true).unwrap();
        let later = MasterKey::load_or_create(&dir, "master.key", false).unwrap();
        assert_eq!(made.bytes(), again.bytes());
        assert_eq!(made.bytes(), later.bytes());
        assert_eq!(made.id(), later.id());
        assert_eq!(made.id().len(), 16);

        let text = std::fs::read_to_string(folder.path().join("master.key")).unwrap();
        assert_eq!(text.len(), 45, "44 characters of base64 and a line feed");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(folder.path().join("master.key"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn two_directories_get_two_keys() {
        let (_a, first) = directory();
        let (_b, second) = directory();
        let first = MasterKey::load_or_create(&first, "master.key", true).unwrap();
        let second = MasterKey::load_or_create(&second, "master.key", true).unwrap();
        assert_ne!(first.bytes(), second.bytes());
    }

    #[test]
    fn many_starts_at_once_agree_on_one_key() {
        let (folder, _dir) = directory();
        let path = folder.path().to_owned();
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let dir = Dir::open_ambient_dir(path, ambient_authority()).unwrap();
                    MasterKey::load_or_create(&dir, "master.key", true)
                })
            })
            .collect();
        let keys: Vec<_> = starts
            .into_iter()
            .map(|start| start.join().unwrap().unwrap())
            .collect();
        assert!(keys.iter().all(|key| key.bytes() == keys[0].bytes()));
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }

    #[test]
    fn a_missing_key_is_not_replaced_once_something_is_sealed() {
        let (folder, dir) = directory();
        let error = MasterKey::load_or_create(&dir, "master.key", false).unwrap_err();
        assert!(matches!(error, VaultError::KeyMissing { .. }), "{error}");
        assert!(error.to_string().contains("backup"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(unix)]
    fn an_exposed_key_is_refused() {
        let good = STANDARD.encode([7_u8; 32]);
        for mode in [0o604, 0o640, 0o644, 0o660, 0o602, 0o610, 0o777] {
            let (folder, dir) = directory();
            write(&folder, &good, mode);
            let error = MasterKey::load_or_create(&dir, "master.key", true).unwrap_err();
            assert!(
                matches!(error, VaultError::KeyExposed { mode: found, .. } if found == mode),
                "{mode:o}: {error}"
            );
            assert!(
                error.to_string().contains("chmod 600 master.key"),
                "{error}"
            );
        }
        for mode in [0o600, 0o400] {
            let (folder, dir) = directory();
            write(&folder, &good, mode);
            assert!(
                MasterKey::load_or_create(&dir, "master.key", false).is_ok(),
                "{mode:o}"
            );
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_damaged_key_is_refused_and_left_alone() {
        let cases: [(String, bool); 8] = [
            (String::new(), true),
            (STANDARD.encode([7_u8; 31]), true),
            (STANDARD.encode([7_u8; 33]), true),
            (STANDARD.encode([7_u8; 16]), true),
            ("not base64 at all".into(), false),
            (STANDARD.encode([7_u8; 32]).replace('=', ""), false),
            (
                format!(
                    "{}\n{}",
                    STANDARD.encode([7_u8; 32]),
                    STANDARD.encode([7_u8; 32])
                ),
                false,
            ),
            ("A".repeat(2000), false),
        ];
        for (text, length) in cases {
            let (folder, dir) = directory();
            write(&folder, &text, 0o600);
            let error = MasterKey::load_or_create(&dir, "master.key", true).unwrap_err();
            match error {
                VaultError::KeyLength { .. } => assert!(length, "{text}"),
                VaultError::KeyFormat { .. } => assert!(!length, "{text}"),
                other => panic!("{text}: {other}"),
            }
            assert_eq!(
                std::fs::read_to_string(folder.path().join("master.key")).unwrap(),
                text
            );
        }
    }

    #[test]
    fn a_folder_or_a_way_out_is_not_a_key() {
        let (_folder, dir) = directory();
        dir.create_dir("master.key").unwrap();
        assert!(MasterKey::load_or_create(&dir, "master.key", true).is_err());
        assert!(matches!(
            MasterKey::load_or_create(&dir, "../master.key", true),
            Err(VaultError::KeyFile { .. })
        ));
    }

    #[test]
    fn debug_shows_only_the_id() {
        let key = MasterKey::from_bytes([7; 32]);
        assert_eq!(key.id(), "4bb06f8e4e3a7715");
        assert_eq!(
            format!("{key:?}"),
            "MasterKey(4bb06f8e4e3a7715, [redacted])"
        );
    }
}
