//! What cleans up when this process is gone.
//!
//! A shell reads from a pipe of ours. The pipe ends when we close it, and just so when
//! this process exits or is killed: then the shell stops the server and removes its
//! folder. It is in a process group of its own, so that Ctrl-C reaches only us.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::{Doing, Error};

/// Each line is the process id of the running postmaster, or empty when there is none.
/// SIGQUIT stops a server at once; SIGCONT, because it may be paused. It removes the file
/// about itself last; its process may stay as a zombie, since its parent is gone.
const SCRIPT: &str = r#"
while read -r line; do postmaster=$line; done
if [ -n "$postmaster" ] && kill -QUIT "$postmaster"; then
    kill -CONT "$postmaster"
    waits=200
    while [ $waits -gt 0 ] && [ -e "$1/data/postmaster.pid" ]; do
        sleep 0.05
        waits=$((waits - 1))
    done
fi
rm -rf "$1"
"#;

/// The guard of a folder and of the server in it. Dropping it removes the folder.
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(crate) fn over(folder: &Path) -> Result<Self, Error> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .doing("start a watchdog")?;
        Ok(Self { shell })
    }

    /// Tells it whom to stop.
    pub(crate) fn guard(&mut self, postmaster: u32) -> Result<(), Error> {
        self.tell(&postmaster.to_string())
    }

    /// Tells it that the postmaster is no more: its process id may be another's soon.
    pub(crate) fn forget(&mut self) -> Result<(), Error> {
        self.tell("")
    }

    fn tell(&mut self, line: &str) -> Result<(), Error> {
        self.shell
            .stdin
            .as_mut()
            .map_or(Ok(()), |pipe| writeln!(pipe, "{line}"))
            .doing("speak to the watchdog")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
