use core::time::Duration;

use crate::node::{Limits, Random};

/// How long to wait for a reply before asking again: as long as the measured round trips suggest.
///
/// The estimate is that of TCP (RFC 6298): the smoothed round trip and four times its variation. By Karn's rule only a
/// request that was sent once gives a measurement, as the reply to one that was sent again may be to any of its copies.
///
/// Times are in nanoseconds: whole numbers make this a small part of what an operation costs.
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    /// The wait before anything was measured, and the longest.
    rpc_timeout: u64,
    /// The smoothed round trip and its variation.
    estimate: Option<(u64, u64)>,
    /// The least wait: twice as long as was waited in vain for a reply, if nothing was measured since.
    wait_min: u64,
    /// When a round trip was last measured.
    measured_at: Duration,
    random: Random,
}

/// A wait is longer than the smoothed round trip by at least this time, however steady round trips are: now and then a
/// store that shares its machine with other programs does not run for some milliseconds.
const MARGIN_MIN: u64 = 20_000_000;

/// A store is asked again after this time at the earliest: 1 ms.
const PAUSE_MIN: u64 = 1_000_000;

/// A wait doubles at most this often: 20 ms become 20 s.
const DOUBLINGS_MAX: u32 = 10;

/// No time counts for more than a year, so that sums of a few cannot overflow.
const NANOSECONDS_MAX: u64 = 365 * 24 * 3600 * 1_000_000_000;

impl RetryPolicy {
    /// Nothing is measured yet. `rpc_timeout` counts as a millisecond at least.
    pub(super) fn new(limits: &Limits, random: Random) -> Self {
        RetryPolicy {
            rpc_timeout: nanoseconds(limits.rpc_timeout).max(1_000_000),
            estimate: None,
            wait_min: 0,
            measured_at: Duration::ZERO,
            random,
        }
    }

    /// Takes in the time from a request that was sent once to its reply, which has come now.
    pub(super) fn on_round_trip(&mut self, round_trip: Duration, now: Duration) {
        let round_trip = nanoseconds(round_trip);
        (self.wait_min, self.measured_at) = (0, now);
        self.estimate = Some(match self.estimate {
            None => (round_trip, round_trip / 2),
            Some((smoothed, variation)) => (
                smoothed - smoothed / 8 + round_trip / 8,
                variation - variation / 4 + smoothed.abs_diff(round_trip) / 4,
            ),
        });
    }

    /// The smoothed round trip; before anything was measured, the longest wait.
    pub(super) fn round_trip(&self) -> Duration {
        let smoothed = self.estimate.map(|(smoothed, _)| smoothed);
        Duration::from_nanos(smoothed.unwrap_or(self.rpc_timeout))
    }

    /// The smoothed variation of round trips; before anything was measured, 0.
    pub(super) fn variation(&self) -> Duration {
        let variation = self.estimate.map(|(_, variation)| variation);
        Duration::from_nanos(variation.unwrap_or(0))
    }

    /// Takes note that there is no reply to a request that was sent again `attempts` times, the last time at `sent_at`.
    ///
    /// A request that is lost once, or while others are replied to, says nothing of the store. Otherwise the store may have
    /// become slow, and no request is waited for less than twice as long as this one.
    pub(super) fn on_timeout(&mut self, attempts: u32, sent_at: Duration, now: Duration) {
        let is_again = attempts > 0 || self.wait_min > 0;
        if is_again && self.measured_at <= sent_at {
            let waited = nanoseconds(now.saturating_sub(sent_at));
            self.wait_min = self.wait_min.max(2 * waited);
        }
    }

    /// The wait after a request that was sent again `attempts` times: it doubles with each, with up to a quarter more by
    /// chance, so that nodes that failed together don't try again together.
    pub(super) fn wait(&mut self, attempts: u32) -> Duration {
        let wait = self
            .estimate
            .map_or(self.rpc_timeout, |(smoothed, variation)| {
                smoothed + (4 * variation).max(MARGIN_MIN)
            });
        let wait = wait.saturating_mul(1 << attempts.min(DOUBLINGS_MAX));
        self.with_jitter(wait.max(self.wait_min).min(self.rpc_timeout))
    }

    /// The wait after the store has replied that it can't serve an operation, or with a value too old to be of use, for which
    /// it was waited `pauses` times before: a round trip, which doubles with each up to a tenth of the RPC timeout.
    pub(super) fn pause(&mut self, pauses: u32) -> Duration {
        let round_trip = nanoseconds(self.round_trip()).max(PAUSE_MIN);
        let pause = round_trip.saturating_mul(1 << pauses.min(DOUBLINGS_MAX));
        self.with_jitter(pause.min(self.rpc_timeout / 10))
    }

    fn with_jitter(&mut self, wait: u64) -> Duration {
        Duration::from_nanos(wait + wait / 1024 * self.random.below(256))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().min(NANOSECONDS_MAX.into()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    /// A policy that has measured these round trips.
    fn measured(round_trips_ms: impl IntoIterator<Item = u64>) -> RetryPolicy {
        let mut policy = RetryPolicy::new(&Limits::default(), Random::new(1));
        for round_trip_ms in round_trips_ms {
            policy.on_round_trip(Duration::from_millis(round_trip_ms), NOW);
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
    fn the_wait_is_longer_than_round_trips_that_vary() {
        let round_trips = (0..100).map(|index| 50 + index * 37 % 100);
        let wait = measured(round_trips).wait(0);
        assert!(wait > Duration::from_millis(150), "{wait:?}");
    }

    #[test]
    fn after_a_request_is_lost_twice_new_ones_are_waited_for_longer_until_something_is_measured() {
        let ms = Duration::from_millis;
        let mut policy = measured([100; 100]);
        policy.on_timeout(0, NOW, NOW + ms(120));
        assert_about(120, policy.wait(0));
        policy.on_timeout(1, NOW, NOW + ms(250));
        assert_about(500, policy.wait(0));
        // Another one after that, and one that was lost together with the first.
        policy.on_timeout(0, NOW, NOW + ms(450));
        policy.on_timeout(1, NOW, NOW + ms(250));
        assert_about(900, policy.wait(0));
        policy.on_round_trip(ms(100), NOW);
        assert_about(120, policy.wait(0));
    }

    #[test]
    fn a_request_that_is_lost_while_others_are_replied_to_lets_no_other_wait_longer() {
        let mut policy = measured([100; 100]);
        policy.on_timeout(1, NOW - Duration::from_millis(1), NOW);
        assert_about(120, policy.wait(0));
    }
}
