use core::time::Duration;

use crate::node::{Limits, Random};

/// How long to wait for a reply before asking again.
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    rpc_timeout: Duration,
    wait_max: Duration,
    random: Random,
}

/// A wait doubles up to this often.
const DOUBLINGS_MAX: u32 = 3;

impl RetryPolicy {
    /// Waits `rpc_timeout` at first, at least a millisecond. No wait exceeds half of `op_timeout`, unless `rpc_timeout`
    /// does: when the store can be reached again, what waits for it is to be answered in time.
    pub(super) fn new(limits: &Limits, random: Random) -> Self {
        let rpc_timeout = limits.rpc_timeout.max(Duration::from_millis(1));
        RetryPolicy {
            rpc_timeout,
            wait_max: rpc_timeout.max(limits.op_timeout / 2),
            random,
        }
    }

    /// The wait after `attempts` tries without a reply: it doubles with each, with up to a quarter more by chance, so
    /// that nodes that failed together don't try again together.
    pub(super) fn wait(&mut self, attempts: u32) -> Duration {
        let doublings = attempts.min(DOUBLINGS_MAX);
        let wait = self.rpc_timeout.saturating_mul(1 << doublings);
        let wait = wait.min(self.wait_max);
        wait.saturating_add(wait / 1024 * self.random.below(256) as u32)
    }

    /// The wait after a service has refused: a tenth of the time, since a reply did come.
    pub(super) fn pause(&mut self, attempts: u32) -> Duration {
        self.wait(attempts) / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_grows_to_half_of_what_an_operation_may_take_and_no_further() {
        for seed in 0..100 {
            let mut policy = RetryPolicy::new(&Limits::default(), Random::new(seed));
            let waits = [0, 1, 2, 100].map(|attempts| policy.wait(attempts));
            for (wait, least_ms) in waits.into_iter().zip([1000, 2000, 2250, 2250]) {
                let least = Duration::from_millis(least_ms);
                assert!((least..least * 5 / 4).contains(&wait), "{wait:?}");
            }
        }
    }
}
