use core::{mem, time::Duration};

use crate::node::{Limits, Random};

/// How long to wait for a reply before asking again: as long as the measured round trips suggest.
///
/// The estimate is that of TCP (RFC 6298): the smoothed round trip and four times its variation. As each copy of a request has
/// an id of its own, Karn's rule, to measure only what was sent once, is not needed.
///
/// Times are in nanoseconds: whole numbers make this a small part of what an operation costs.
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    /// The wait before anything was measured, and the longest.
    rpc_timeout: u64,
    is_measured: bool,
    /// The smoothed round trip; before anything was measured, the RPC timeout.
    pub(super) round_trip: u64,
    /// Its smoothed variation; before anything was measured, 0.
    pub(super) variation: u64,
    random: Random,
}

/// A wait is longer than the smoothed round trip by at least this time, however steady round trips are: now and then a
/// store that shares its machine with other programs does not run for some milliseconds.
const MARGIN_MIN: u64 = 20_000_000;

/// A store is asked again after this time at the earliest: 1 ms.
const PAUSE_MIN: u64 = 1_000_000;

/// A wait doubles at most this often: 20 ms become 20 s, if the RPC timeout is that long.
const DOUBLINGS_MAX: u32 = 10;

/// No time counts for more than a year, so that sums of a few cannot overflow.
const NANOSECONDS_MAX: u64 = 365 * 24 * 3600 * 1_000_000_000;

impl RetryPolicy {
    /// Nothing is measured yet. `rpc_timeout` counts as a millisecond at least.
    pub(super) fn new(limits: &Limits, random: Random) -> Self {
        let rpc_timeout = nanoseconds(limits.rpc_timeout).max(1_000_000);
        RetryPolicy {
            rpc_timeout,
            is_measured: false,
            round_trip: rpc_timeout,
            variation: 0,
            random,
        }
    }

    /// Takes in the time from a request to its reply. It counts as the RPC timeout at most: a node that did not run for some
    /// seconds has not measured them.
    pub(super) fn on_round_trip(&mut self, round_trip: Duration) {
        let round_trip = nanoseconds(round_trip).min(self.rpc_timeout);
        if mem::replace(&mut self.is_measured, true) {
            let deviation = self.round_trip.abs_diff(round_trip);
            self.round_trip = self.round_trip - self.round_trip / 8 + round_trip / 8;
            self.variation = self.variation - self.variation / 4 + deviation / 4;
        } else {
            (self.round_trip, self.variation) = (round_trip, round_trip / 2);
        }
    }

    /// The wait after a request that was sent again `attempts` times.
    pub(super) fn wait(&mut self, attempts: u32) -> Duration {
        let wait = self.round_trip + (4 * self.variation).max(MARGIN_MIN);
        self.doubled(wait, attempts, self.rpc_timeout)
    }

    /// The wait after the store has replied that it can't serve an operation, or with a value too old to be of use, for which
    /// it was waited `pauses` times before: a round trip at first, and a tenth of the RPC timeout at most.
    pub(super) fn pause(&mut self, pauses: u32) -> Duration {
        let pause = self.round_trip.max(PAUSE_MIN);
        self.doubled(pause, pauses, self.rpc_timeout / 10)
    }

    /// A time that is doubled so often, up to `most`, with up to a quarter more by chance, so that nodes that failed together
    /// don't try again together.
    fn doubled(&mut self, time: u64, count: u32, most: u64) -> Duration {
        let time = time.saturating_mul(1 << count.min(DOUBLINGS_MAX)).min(most);
        Duration::from_nanos(time + time / 1024 * self.random.below(256))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().min(NANOSECONDS_MAX.into()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy that has measured these round trips.
    fn measured(round_trips_ms: impl IntoIterator<Item = u64>) -> RetryPolicy {
        let mut policy = RetryPolicy::new(&Limits::default(), Random::new(1));
        for round_trip_ms in round_trips_ms {
            policy.on_round_trip(Duration::from_millis(round_trip_ms));
        }
        policy
    }

    /// Asserts that a time is `least_ms`, with up to a quarter more.
    fn assert_about(least_ms: u64, time: Duration) {
        let least = Duration::from_millis(least_ms);
        assert!(
            (least..least * 5 / 4).contains(&time),
            "{time:?}, not {least:?}"
        );
    }

    #[test]
    fn a_store_that_can_not_serve_is_asked_again_after_a_round_trip_that_doubles() {
        for (round_trips_ms, pauses, least_ms) in [
            (vec![5; 100], 0, 5),
            (vec![5; 100], 1, 10),
            (vec![5; 100], 4, 80),
            (vec![5; 100], 5, 100),
            (vec![5; 100], u32::MAX, 100),
            (vec![0], 0, 1),
            (vec![], 0, 100),
        ] {
            assert_about(least_ms, measured(round_trips_ms).pause(pauses));
        }
    }

    #[test]
    fn a_silent_store_is_asked_again_after_little_more_than_a_round_trip_that_doubles() {
        for (round_trips_ms, attempts, least_ms) in [
            (vec![1; 100], 0, 21),
            (vec![200; 100], 0, 220),
            (vec![100; 100], 1, 240),
            (vec![100; 100], 3, 960),
            // At most, and before anything is measured, the RPC timeout.
            (vec![100; 100], 4, 1000),
            (vec![60_000], 0, 1000),
            (vec![u64::MAX, 0, u64::MAX], 0, 1000),
            (vec![], 0, 1000),
            (vec![], 100, 1000),
        ] {
            assert_about(least_ms, measured(round_trips_ms).wait(attempts));
        }
    }

    #[test]
    fn a_round_trip_counts_as_the_rpc_timeout_at_most() {
        let mut policy = measured([60_000; 10]);
        assert_eq!(policy.round_trip, policy.rpc_timeout);
        policy.on_round_trip(Duration::MAX);
        assert!(policy.variation < policy.rpc_timeout);
    }

    #[test]
    fn the_wait_is_longer_than_round_trips_that_vary() {
        let round_trips = (0..100).map(|index| 50 + index * 37 % 100);
        let wait = measured(round_trips).wait(0);
        assert!(wait > Duration::from_millis(150), "{wait:?}");
    }
}
