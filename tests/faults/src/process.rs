//! Child processes that never outlive this one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Does what is to be done when this process goes, however it goes: the pipe that
/// the shell reads from ends then.
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// `last` is a shell command in which `$1` is `about`.
    pub(crate) fn start(last: &str, about: &str) -> Result<Self> {
        let script = format!("read -r line; if [ -z \"$line\" ]; then {last}; fi");
        let watchdog = Command::new("sh")
            .args(["-c", &script, "watchdog", about])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("can't start a watchdog")?;
        Ok(Self(watchdog))
    }

    /// Sends it away: there is nothing left to do.
    pub(crate) fn release(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.0.wait();
    }
}

/// A running child. Dropped means killed.
pub(crate) struct Process {
    child: Child,
    watchdog: Watchdog,
}

impl Process {
    /// Starts a child; what it says is added to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("can't start a host")?;
        let watchdog = Watchdog::start("kill -KILL \"$1\"", &child.id().to_string())?;
        Ok(Self { child, watchdog })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("can't signal a host")
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let asked = Instant::now();
        while asked.elapsed() < patience {
            if let Some(status) = self.ended()? {
                // Its process id may be another's soon: the watchdog must not act any more.
                self.watchdog.release();
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("it doesn't end within {patience:?}")
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.watchdog.release();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A small disk of its own, which can be filled. Dropped means gone.
pub(crate) struct Disk {
    folder: std::path::PathBuf,
    watchdog: Watchdog,
}

impl Disk {
    /// Mounts a file system in memory at `folder`; only root may, and not everywhere.
    pub(crate) fn mount(folder: &Path, megabytes: u32) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m,mode=700"))
            .arg("rollout-faults")
            .arg(folder)
            .output()?;
        if !mounted.status.success() {
            bail!("{}", String::from_utf8_lossy(&mounted.stderr).trim());
        }
        let about = folder.display().to_string();
        Ok(Self {
            folder: folder.to_owned(),
            watchdog: Watchdog::start("sleep 1; umount -l \"$1\"", &about)?,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes all the room that is left, and more of it as some is freed; gives it
    /// back after a time.
    pub(crate) async fn fill(&self, hold: Duration) -> Result<()> {
        let path = self.folder.join("ballast");
        let mut ballast = File::create(&path)?;
        let until = Instant::now() + hold;
        let piece = vec![1; 64 << 10];
        while Instant::now() < until {
            while ballast.write_all(&piece).is_ok() {}
            // What is left is less than a piece.
            while ballast.write_all(&[1]).is_ok() {}
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::remove_file(path)?;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        if unmounted.is_ok_and(|status| status.success()) {
            self.watchdog.release();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_is_signalled_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap 'echo bye >&2; exit 7' TERM; echo up >&2; while :; do sleep 0.01; done",
        ]);
        let log = folder.path().join("log");
        let mut process = Process::start(command, &log).unwrap();
        while !std::fs::read_to_string(&log).unwrap().contains("up") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(process.ended().unwrap().is_none());
        process.signal(Signal::TERM).unwrap();
        let status = process.wait(Duration::from_secs(10)).await.unwrap();
        assert_eq!(status.code(), Some(7));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "up\nbye\n");
    }
}
