//! Where master keys come from.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use parking_lot::RwLock;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::file::KeyFile;
use crate::masters::LONGEST_TEXT;
use crate::{MasterKeys, VaultError};

/// How much of what a command complains of is shown, in bytes.
const COMPLAINT: usize = 400;

/// Where master keys come from: a file, an environment variable, or what a command
/// prints.
#[derive(Debug)]
pub struct KeySource(Kind);

#[derive(Debug)]
enum Kind {
    File(KeyFile),
    Variable(String),
    Command { words: Vec<String>, limit: Duration },
}

impl KeySource {
    /// A file in a directory; `place` is how it is shown to people.
    #[must_use]
    pub fn file(dir: Dir, name: &str, place: &str) -> Self {
        Self(Kind::File(KeyFile {
            dir,
            name: name.to_owned(),
            place: place.to_owned(),
        }))
    }

    /// An environment variable of this process.
    #[must_use]
    pub fn variable(name: &str) -> Self {
        Self(Kind::Variable(name.to_owned()))
    }

    /// A program with its arguments, run without a shell for at most `limit`.
    #[must_use]
    pub fn command(words: &[String], limit: Duration) -> Self {
        Self(Kind::Command {
            words: words.to_vec(),
            limit,
        })
    }

    /// Whether the host itself may make and change keys there.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.0, Kind::File(_))
    }

    /// Reads the keys.
    pub async fn read(&self) -> Result<MasterKeys, VaultError> {
        match &self.0 {
            Kind::File(file) => file.load(),
            Kind::Variable(name) => {
                let text = std::env::var(name).map_err(|_| VaultError::KeyUnset {
                    place: self.to_string(),
                })?;
                MasterKeys::parse(Zeroizing::new(text).as_bytes(), &self.to_string())
            }
            Kind::Command { words, limit } => self.run(words, *limit).await,
        }
    }

    /// Reads the keys, or makes the first one if there is no file. Only for where nothing
    /// is sealed.
    pub async fn read_or_create(&self) -> Result<MasterKeys, VaultError> {
        match (self.read().await, &self.0) {
            (Err(VaultError::KeyMissing { .. }), Kind::File(file)) => file.create(),
            (read, _) => read,
        }
    }

    /// Puts these keys into the file. Answers false if it is none.
    pub fn replace(&self, keys: &MasterKeys) -> Result<bool, VaultError> {
        match &self.0 {
            Kind::File(file) => file.replace(keys).map(|()| true),
            _ => Ok(false),
        }
    }

    async fn run(&self, words: &[String], limit: Duration) -> Result<MasterKeys, VaultError> {
        let failed = |reason: String| VaultError::KeyCommand {
            place: self.to_string(),
            reason,
        };
        let Some((program, arguments)) = words.split_first() else {
            return Err(failed("it has no name".to_owned()));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (printed, complained) = (child.stdout.take(), child.stderr.take());
        let done = async {
            let (printed, complained) =
                tokio::join!(take(printed, LONGEST_TEXT + 1), take(complained, COMPLAINT));
            Ok::<_, std::io::Error>((child.wait().await?, printed?, complained?))
        };
        let (status, printed, complained) = tokio::time::timeout(limit, done)
            .await
            .map_err(|_| failed(format!("it took longer than {limit:?}")))?
            .map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            let said = String::from_utf8_lossy(&complained);
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            return Err(failed(format!("{status}, {said:?}")));
        }
        MasterKeys::parse(&printed, &self.to_string())
    }
}

/// Reads a stream to its end, and keeps this many bytes of it.
async fn take(
    stream: Option<impl AsyncRead + Unpin>,
    most: usize,
) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut kept = Zeroizing::new(Vec::with_capacity(most + 1));
    if let Some(stream) = stream {
        let mut stream = stream.take(most as u64);
        stream.read_to_end(&mut kept).await?;
        // A writer must not be cut off by what is too much.
        let mut rest = stream.into_inner();
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// As people read it in messages; of a command its name alone, as its arguments may be
/// secret.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::File(file) => f.write_str(&file.place),
            Kind::Variable(name) => write!(f, "the variable `{name}`"),
            Kind::Command { words, .. } => {
                let program = words.first().map_or("", String::as_str);
                write!(f, "the command `{program}`")
            }
        }
    }
}

/// The master keys that this process knows.
#[derive(Debug)]
pub struct Masters {
    source: KeySource,
    known: RwLock<Arc<MasterKeys>>,
}

impl Masters {
    /// Keys as they were read from their source.
    #[must_use]
    pub fn new(source: KeySource, keys: MasterKeys) -> Self {
        Self {
            source,
            known: RwLock::new(Arc::new(keys)),
        }
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// The keys as they were last read.
    #[must_use]
    pub fn known(&self) -> Arc<MasterKeys> {
        self.known.read().clone()
    }

    /// Reads the keys again.
    pub async fn reread(&self) -> Result<Arc<MasterKeys>, VaultError> {
        let keys = Arc::new(self.source.read().await?);
        *self.known.write() = keys.clone();
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    fn shell(script: &str, limit: Duration) -> KeySource {
        let words = ["sh", "-c", script].map(str::to_owned);
        KeySource::command(&words, limit)
    }

    async fn refusal(source: &KeySource) -> String {
        let error = source.read().await.unwrap_err();
        assert!(!error.to_string().contains(KEY), "{error}");
        error.to_string()
    }

    #[tokio::test]
    async fn a_command_prints_the_keys() {
        let minute = Duration::from_secs(60);
        let keys = shell(&format!("echo {KEY}; echo ignored >&2"), minute);
        assert_eq!(keys.read().await.unwrap().current(), "4bb06f8e4e3a7715");
        assert!(!keys.is_file());
        assert!(!keys.replace(&keys.read().await.unwrap()).unwrap());

        let failing = shell(
            &format!("echo {KEY}; echo 'no such\n vault' >&2; exit 3"),
            minute,
        );
        let line = refusal(&failing).await;
        assert!(
            line.contains("no such vault") && line.contains('3'),
            "{line}"
        );
        // It is not made to wait by what nobody reads.
        let chatty = shell("yes | head -c 1000000 >&2; yes | head -c 1000000", minute);
        assert!(refusal(&chatty).await.contains("base64"));
        for (script, word) in [("true", "base64"), ("echo AAAA", "3 bytes")] {
            let line = refusal(&shell(script, minute)).await;
            assert!(
                line.contains(word) && line.contains("the command `sh`"),
                "{line}"
            );
        }
        let none = KeySource::command(&["/nowhere/keys".to_owned()], minute);
        assert!(refusal(&none).await.contains("/nowhere/keys"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended() {
        let line = refusal(&shell("exec sleep 600", Duration::from_millis(100))).await;
        assert!(line.contains("longer than 100ms"), "{line}");
    }

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named() {
        let line = refusal(&KeySource::variable("ROLLOUT_NO_SUCH_KEY")).await;
        assert!(
            line.contains("`ROLLOUT_NO_SUCH_KEY`") && line.contains("not set"),
            "{line}"
        );
    }

    #[tokio::test]
    async fn a_key_that_was_put_there_later_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let ambient = cap_std::ambient_authority();
        let open = || Dir::open_ambient_dir(folder.path(), ambient).unwrap();
        let source = || KeySource::file(open(), "master.key", "data/master.key");
        let first = source().read_or_create().await.unwrap();
        let masters = Masters::new(source(), first.clone());
        let second = first.with_new().unwrap();
        assert!(source().replace(&second).unwrap());
        assert_eq!(masters.known().current(), first.current());
        assert_eq!(masters.reread().await.unwrap().current(), second.current());
        assert_eq!(masters.known().current(), second.current());
        // What is refused changes nothing.
        open().remove_file("master.key").unwrap();
        assert!(masters.reread().await.is_err());
        assert_eq!(masters.known().current(), second.current());
    }
}
