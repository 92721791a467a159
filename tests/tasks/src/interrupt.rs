//! Ctrl-C, SIGTERM and SIGHUP as a question that waiting code asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a waiting loop sleeps between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether somebody asked this process to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on such a signal is noted instead of ending the process.
    pub(crate) fn listen() -> Result<Self> {
        let interrupt = Self::default();
        let asked = interrupt.clone();
        ctrlc::set_handler(move || asked.0.store(true, Ordering::SeqCst))
            .context("can't listen for Ctrl-C")?;
        Ok(interrupt)
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Sleeps a little; an error if somebody asked to end.
    pub(crate) fn pause(&self) -> Result<()> {
        std::thread::sleep(PAUSE);
        if self.asked() {
            bail!("interrupted");
        }
        Ok(())
    }
}
