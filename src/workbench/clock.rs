//! The time of a run with real processes.

use std::mem;
use std::time::{Duration, Instant};

/// A time between two looks at the clock in which eddy stood still. Its loops look several times a second; a busy machine
/// hardly ever keeps them away for so long.
const STANDSTILL_MIN: Duration = Duration::from_secs(1);

/// The time since a run began, without that in which eddy itself stood still: because it was stopped, because nobody read
/// what it prints, or because the machine was too busy. Nothing is late for it.
pub struct Clock {
    began: Instant,
    /// What it last showed.
    shown: Duration,
    /// How long it stood still since that was last asked for.
    standstill: Duration,
}

impl Clock {
    /// The run begins.
    pub fn start() -> Self {
        Clock {
            began: Instant::now(),
            shown: Duration::ZERO,
            standstill: Duration::ZERO,
        }
    }

    /// The time since the run began, which never goes back.
    pub fn now(&mut self) -> Duration {
        let since_shown = self.began.elapsed().saturating_sub(self.shown);
        if since_shown >= STANDSTILL_MIN {
            self.began += since_shown;
            self.standstill += since_shown;
        } else {
            self.shown += since_shown;
        }
        self.shown
    }

    /// How long eddy stood still since the last call, if it did.
    pub fn take_standstill(&mut self) -> Option<Duration> {
        Some(mem::take(&mut self.standstill)).filter(|standstill| !standstill.is_zero())
    }
}
