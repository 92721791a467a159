//! Other programs of a measurement: started, watched from outside, and ended
//! with what is dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child as Started, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::measure::Process;

/// How long a program may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running program.
pub(crate) struct Child {
    name: String,
    started: Started,
}

impl Child {
    /// Starts a program whose output nobody waits for; it goes to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| log.display().to_string())?;
        let started = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            started,
        })
    }

    /// Starts a program and waits for the first line that it prints.
    pub(crate) fn start_and_read(name: &str, command: &mut Command) -> Result<(Self, String)> {
        let mut started = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let output = started.stdout.take().context("no output")?;
        let child = Self {
            name: name.to_owned(),
            started,
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(!line.is_empty(), "{name} ended before it printed a line");
        Ok((child, line.trim_end().to_owned()))
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.started.id())
    }

    /// An error if the program has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        let ended = self.started.try_wait()?;
        ensure!(ended.is_none(), "{} has ended: {ended:?}", self.name);
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let asked = Instant::now();
        let pid = i32::try_from(self.started.id())
            .ok()
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already: nothing is left to do then.
            let _ = kill_process(pid, Signal::TERM);
        }
        while matches!(self.started.try_wait(), Ok(None)) && asked.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.started.kill();
        let _ = self.started.wait();
    }
}
