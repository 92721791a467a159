//! When a delivery is tried again.

use std::time::Duration;

/// What is added to a delay at most, as a part of it: what failed at the same time is not
/// tried again at the same time.
const JITTER: f64 = 0.2;
/// The longest that a receiver can ask to be left alone.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The delays before each try.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Before the first, the second and so on; the last one is for all that follow.
    pub delays: Vec<Duration>,
    /// For how long a receiver may fail, without one success, before nothing more is sent.
    pub disable_after: Duration,
}

impl Schedule {
    /// How long to wait after this many tries. `asked` is what the receiver asked for.
    pub(crate) fn wait(&self, tries: i64, asked: Option<Duration>) -> Duration {
        let place = usize::try_from(tries).unwrap_or(usize::MAX);
        let delay = self.delays.get(place).or(self.delays.last());
        let delay = delay.copied().unwrap_or_default();
        let delay = delay.mul_f64(1.0 + JITTER * rand::random::<f64>());
        delay.max(asked.unwrap_or_default().min(PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_end_and_yield_to_the_receiver() {
        let seconds = Duration::from_secs;
        let schedule = Schedule {
            delays: vec![seconds(0), seconds(5), seconds(60)],
            disable_after: seconds(100),
        };
        assert_eq!(schedule.wait(0, None), seconds(0));
        for _ in 0..100 {
            for (tries, least) in [(1, 5), (2, 60), (3, 60), (i64::MAX, 60)] {
                let wait = schedule.wait(tries, None);
                assert!(wait >= seconds(least) && wait <= seconds(least).mul_f64(1.21));
            }
        }
        assert_eq!(schedule.wait(1, Some(seconds(100))), seconds(100));
        assert!(schedule.wait(2, Some(seconds(1))) >= seconds(60));
        assert_eq!(schedule.wait(1, Some(seconds(1 << 40))), PATIENCE);
    }
}
