//! Child processes that never outlive this one.
//!
//! Each child has a watchdog, a shell that reads from a pipe of ours. The pipe ends
//! when we close it to stop the child, and just so when this process is killed: then
//! the watchdog sends SIGTERM. Child and watchdog are in process groups of their own,
//! so that Ctrl-C reaches only us and we end them in order.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tree::shown;

/// How long a child may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lines of a child's log that are shown when it ended unasked.
const LAST_LINES: usize = 20;

const WATCHDOG: &str = r#"read -r line; kill -TERM "$1" 2>/dev/null"#;

/// A running child. Dropping it stops it.
pub(crate) struct Tethered {
    name: &'static str,
    child: Child,
    watchdog: Child,
    log: PathBuf,
}

impl Tethered {
    /// Starts a child; all its output goes to `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let output =
            File::create(log).with_context(|| format!("can't write the log {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let watchdog = match watchdog {
            Ok(watchdog) => watchdog,
            Err(error) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                return Err(error).with_context(|| format!("can't watch over {name}"));
            }
        };
        Ok(Self {
            name,
            child,
            watchdog,
            log: log.to_owned(),
        })
    }

    /// An error with the end of its log if the child has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        // Its process id may be another process's soon.
        let _ = self.watchdog.kill();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        bail!(
            "{} ended ({status}). The end of {}:\n{}",
            self.name,
            shown(&self.log),
            last_lines(&log)
        );
    }

    /// Where its output goes.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            let _ = self.watchdog.kill();
        } else {
            drop(self.watchdog.stdin.take());
            let asked = Instant::now();
            while self.child.try_wait()?.is_none() && asked.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.child.kill()?;
            self.child.wait()?;
        }
        self.watchdog.wait()?;
        Ok(())
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        // Nobody is left to tell; the watchdog does what can still be done.
        let _ = self.stop();
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(LAST_LINES);
    let last: Vec<&str> = lines.into_iter().skip(skipped).collect();
    last.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(10), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_child_is_asked_to_end_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script =
            "trap 'sleep 0.2; echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
        let child = Tethered::start("the child", shell(script), &log).unwrap();
        eventually("the child is up", || {
            fs::read_to_string(&log).unwrap() == "up\n"
        });
        drop(child);
        assert_eq!(fs::read_to_string(&log).unwrap(), "up\nbye\n");
    }

    #[test]
    fn a_child_ends_when_our_end_of_the_pipe_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Tethered::start(
            "the child",
            shell("exec sleep 600"),
            &folder.path().join("log"),
        )
        .unwrap();
        assert!(child.child.try_wait().unwrap().is_none());
        // What the kernel does when this process is killed.
        drop(child.watchdog.stdin.take());
        let started = Instant::now();
        while child.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_child_that_ended_is_reported_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Tethered::start(
            "the child",
            shell("seq 1 100; echo 'rollout: port 8080 is taken' >&2; exit 2"),
            &folder.path().join("log"),
        )
        .unwrap();
        child.child.wait().unwrap();
        let told = child.check().unwrap_err().to_string();
        assert!(
            told.starts_with("the child ended (exit status: 2)"),
            "{told}"
        );
        assert!(told.ends_with("100\nrollout: port 8080 is taken"), "{told}");
        assert!(
            !told.contains("\n81\n") && told.contains("\n82\n"),
            "{told}"
        );
    }
}
