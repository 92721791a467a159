//! Charges a call for the CPU it uses.
//!
//! Epochs come by wall clock, and a thread may be off the processor meanwhile; a
//! guest that only waits would be charged for its neighbours. So the thread's CPU
//! time is read when a poll of the call begins and when it ends, and while a poll
//! runs the epoch callback looks at the sum so far.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time used by one call.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Sum over the polls that ended, in nanoseconds.
    used: AtomicU64,
    /// The thread's CPU time when the running poll began; 0 between polls.
    poll_began: AtomicU64,
}

impl Meter {
    /// CPU time used so far. Call it on the thread that polls the call.
    pub(crate) fn used(&self) -> Duration {
        let began = self.poll_began.load(Ordering::Relaxed);
        let running = if began == 0 {
            0
        } else {
            thread_cpu().saturating_sub(began)
        };
        Duration::from_nanos(self.used.load(Ordering::Relaxed) + running)
    }
}

/// A call whose polls are metered.
pub(crate) struct Metered<F> {
    call: Pin<Box<F>>,
    meter: Arc<Meter>,
}

impl<F: Future> Metered<F> {
    pub(crate) fn new(call: F, meter: Arc<Meter>) -> Self {
        Self {
            call: Box::pin(call),
            meter,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let began = thread_cpu().max(1);
        self.meter.poll_began.store(began, Ordering::Relaxed);
        let polled = self.call.as_mut().poll(cx);
        let used = thread_cpu().saturating_sub(began);
        self.meter.used.fetch_add(used, Ordering::Relaxed);
        self.meter.poll_began.store(0, Ordering::Relaxed);
        polled
    }
}

/// CPU time of the current thread in nanoseconds.
fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
