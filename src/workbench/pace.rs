//! The rate of operations: when the next one begins.

use std::time::Duration;

use rand::Rng;

use super::random::Random;

/// Spaces the operations of all clients together as Jepsen's `stagger` does: the gaps are uniform between zero and twice
/// the mean. Operations that were due while no client was free are not made up for.
pub struct Pace {
    /// `None` at a rate of zero.
    mean_gap: Option<Duration>,
    next_at: Duration,
    is_held: bool,
}

impl Pace {
    /// Operations at `rate_per_s`, the first one at time zero.
    pub fn new(rate_per_s: f64) -> Self {
        Pace {
            mean_gap: (rate_per_s > 0.0).then(|| Duration::from_secs_f64(1.0 / rate_per_s)),
            next_at: Duration::ZERO,
            is_held: false,
        }
    }

    /// When the next operation begins; none at a rate of zero.
    pub fn next_at(&self) -> Option<Duration> {
        self.mean_gap.map(|_| self.next_at)
    }

    /// Takes note that the next operation is due but no client is free.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Takes note that an operation has begun.
    pub fn step(&mut self, now: Duration, random: &mut Random) {
        let Some(mean_gap) = self.mean_gap else {
            return;
        };
        // A gap begins when the operation was due, so that a driver that wakes up late does not lower the rate.
        let began_at = if self.is_held { now } else { self.next_at };
        self.is_held = false;
        self.next_at = began_at + random.random_range(Duration::ZERO..=2 * mean_gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::random::Stream;

    #[test]
    fn operations_come_at_the_rate_that_was_asked_for_however_late_the_driver_wakes() {
        let mut random = Stream::Generator.seeded(1);
        let mut pace = Pace::new(1000.0);
        for _ in 0..20_000 {
            let late = pace.next_at().unwrap() + Duration::from_millis(1);
            pace.step(late, &mut random);
        }
        let took_s = pace.next_at().unwrap().as_secs_f64();
        assert!(
            (19.5..20.5).contains(&took_s),
            "{took_s} s for 20 s of operations"
        );
    }

    #[test]
    fn time_without_a_free_client_is_not_made_up_for() {
        let mut random = Stream::Generator.seeded(1);
        let mut pace = Pace::new(1000.0);
        pace.hold();
        let now = Duration::from_secs(5);
        pace.step(now, &mut random);
        assert!(pace.next_at() >= Some(now));
    }

    #[test]
    fn a_rate_of_zero_asks_nothing() {
        assert_eq!(Pace::new(0.0).next_at(), None);
    }
}
