use std::time::Duration;

/// The delay before the next attempt: twice as long after each one that fails.
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

/// The first delay.
const FIRST: Duration = Duration::from_millis(100);

impl Backoff {
    pub(super) fn new(max: Duration) -> Self {
        Backoff { next: FIRST, max }
    }

    /// The delay before the next attempt.
    pub(super) fn next(&mut self) -> Duration {
        let delay = self.next;
        self.next = (2 * delay).min(self.max);
        delay
    }

    /// Begins again with the first delay, after an attempt that has succeeded.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_until_an_attempt_succeeds() {
        let mut backoff = Backoff::new(Duration::from_millis(350));
        let delays = |backoff: &mut Backoff| [(); 4].map(|()| backoff.next().as_millis());
        assert_eq!(delays(&mut backoff), [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(delays(&mut backoff), [100, 200, 350, 350]);
    }
}
