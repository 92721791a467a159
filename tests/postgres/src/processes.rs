//! A process and all that descend from it.
//!
//! Each backend of Postgres is in a process group of its own, so they are found by
//! their parents.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Doing, Error};

/// Stops `root` and all its descendants where they are, and says which these are.
pub(crate) fn freeze(root: Pid) -> Result<Vec<Pid>, Error> {
    let mut frozen = Vec::new();
    loop {
        // One that was forking gets its child: look again until there is none new.
        let mut new = tree(root)?;
        new.retain(|process| !frozen.contains(process));
        if new.is_empty() {
            return Ok(frozen);
        }
        signal(&new, Signal::STOP);
        frozen.extend(new);
    }
}

/// Lets `root` and all its descendants go on.
pub(crate) fn thaw(root: Pid) -> Result<(), Error> {
    signal(&tree(root)?, Signal::CONT);
    Ok(())
}

/// Kills `root` and all its descendants, none of whom sees another die, and waits for
/// the descendants' end.
pub(crate) fn kill(root: Pid) -> Result<(), Error> {
    let all = freeze(root)?;
    signal(&all, Signal::KILL);
    while running()?.iter().any(|process| all.contains(&process.pid)) {
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Signals whoever is still there.
fn signal(processes: &[Pid], signal: Signal) {
    for process in processes {
        let _ = kill_process(*process, signal);
    }
}

/// `root`, then its descendants.
fn tree(root: Pid) -> Result<Vec<Pid>, Error> {
    let running = running()?;
    let mut found = vec![root];
    let mut generation = found.clone();
    while !generation.is_empty() {
        generation = running
            .iter()
            .filter(|process| generation.contains(&process.parent))
            .map(|process| process.pid)
            .collect();
        found.extend(&generation);
    }
    Ok(found)
}

struct Process {
    pid: Pid,
    parent: Pid,
}

/// All processes of the system but those that only wait to be reaped.
fn running() -> Result<Vec<Process>, Error> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "state="])
        .output()
        .doing("run ps")?;
    if !output.status.success() {
        return Err(Error::Failed {
            program: "ps",
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    let table = String::from_utf8_lossy(&output.stdout);
    Ok(table.lines().filter_map(process).collect())
}

fn process(line: &str) -> Option<Process> {
    let mut columns = line.split_whitespace();
    let mut pid = || Pid::from_raw(columns.next()?.parse().ok()?);
    let (pid, parent) = (pid()?, pid()?);
    let zombie = columns.next()?.starts_with('Z');
    (!zombie).then_some(Process { pid, parent })
}
