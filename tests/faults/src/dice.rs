//! Seeded chance. Written out here (SplitMix64), so that a seed means the same
//! run whatever becomes of libraries.

use std::time::Duration;

/// One stream of numbers. Streams of the same seed don't depend on each other.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of this name.
    pub(crate) fn new(seed: u64, stream: &str) -> Self {
        let name = stream.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64)
        });
        Self(seed ^ name)
    }

    /// Any number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A time between two, in milliseconds.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most.saturating_sub(least) + 1))
    }

    /// One of them, unless there is none.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(all.len() as u64);
        all.get(usize::try_from(at).unwrap_or(0))
    }

    /// One of them, as often as its weight says.
    pub(crate) fn weighted<T: Copy>(&mut self, all: &[(u64, T)]) -> Option<T> {
        let sum = all.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(sum);
        for (weight, one) in all {
            if at < *weight {
                return Some(*one);
            }
            at -= weight;
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut dice = Dice::new(7, "plan");
        assert_eq!(dice.clone().roll(), dice.roll());
        assert_ne!(Dice::new(7, "plan").roll(), Dice::new(7, "client 1").roll());
        assert_ne!(Dice::new(7, "plan").roll(), Dice::new(8, "plan").roll());
    }

    #[test]
    fn weights_count() {
        let mut dice = Dice::new(1, "weights");
        let drawn = (0..1000).filter(|_| dice.weighted(&[(9, true), (1, false)]).unwrap());
        assert!((850..950).contains(&drawn.count()));
        assert_eq!(dice.weighted::<()>(&[]), None);
        assert_eq!(dice.weighted(&[(0, 'a'), (1, 'b')]), Some('b'));
    }
}
