//! The nemesis: when faults begin and end.
//!
//! As in Jepsen, it starts a fault at once, ends it, starts the next, and so on; the steps are a random time apart,
//! anything from nothing to twice the interval.

use std::time::Duration;

use clap::ValueEnum;
use rand::Rng;

use super::partition::Partition;
use super::random::Random;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Fault {
    /// Nodes don't hear each other.
    Partition,
}

/// A stretch of time in which something was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultWindow {
    /// What was broken, for a person.
    pub what: String,
    /// When it began, since the start of the run.
    pub began_at: Duration,
    /// When it ended, since the start of the run; `None` while it lasts.
    pub ended_at: Option<Duration>,
}

/// A schedule of partitions.
pub struct Nemesis {
    node_count: usize,
    interval: Duration,
    random: Random,
    /// When the next step is; `None` when there is none to come.
    next_at: Option<Duration>,
    windows: Vec<FaultWindow>,
}

/// What the nemesis does to the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Cut it.
    Cut(Partition),
    /// Heal it.
    Heal,
}

impl Nemesis {
    /// A nemesis that takes its first step when the run starts, if it has `faults` to inject.
    pub fn new(faults: &[Fault], interval: Duration, node_count: usize, random: Random) -> Self {
        let has_work = !faults.is_empty() && node_count > 1;
        Nemesis {
            node_count,
            interval,
            random,
            next_at: has_work.then_some(Duration::ZERO),
            windows: Vec::new(),
        }
    }

    /// The step that is due by now, if there is one.
    pub fn step(&mut self, now: Duration) -> Option<Step> {
        if self.next_at? > now {
            return None;
        }
        let pause = self.random.random_range(Duration::ZERO..=2 * self.interval);
        self.next_at = Some(now + pause);
        if self.end_window(now) {
            return Some(Step::Heal);
        }
        let partition = Partition::random(self.node_count, &mut self.random)?;
        self.windows.push(FaultWindow {
            what: format!("partition: {}", partition.shape()),
            began_at: now,
            ended_at: None,
        });
        Some(Step::Cut(partition))
    }

    /// Ends whatever is broken, for good.
    pub fn end(&mut self, now: Duration) -> Option<Step> {
        self.next_at = None;
        self.end_window(now).then_some(Step::Heal)
    }

    /// When the next step is due.
    pub fn next_at(&self) -> Option<Duration> {
        self.next_at
    }

    /// What is broken now.
    pub fn under_way(&self) -> Option<&FaultWindow> {
        self.windows
            .last()
            .filter(|window| window.ended_at.is_none())
    }

    /// All that was broken so far.
    pub fn windows(&self) -> &[FaultWindow] {
        &self.windows
    }

    /// Whether there was one to end.
    fn end_window(&mut self, now: Duration) -> bool {
        match self.windows.last_mut() {
            Some(window) if window.ended_at.is_none() => {
                window.ended_at = Some(now);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::random::Stream;

    const INTERVAL: Duration = Duration::from_secs(1);

    fn nemesis(faults: &[Fault]) -> Nemesis {
        Nemesis::new(faults, INTERVAL, 3, Stream::Nemesis.seeded(7))
    }

    #[test]
    fn it_cuts_at_once_and_then_heals_and_cuts_in_turn() {
        let mut nemesis = nemesis(&[Fault::Partition]);
        for turn in 0..100 {
            let now = nemesis.next_at().expect("it never stops by itself");
            assert_eq!(
                nemesis.step(now).is_some_and(|step| step == Step::Heal),
                turn % 2 == 1
            );
        }
        let last_at = nemesis.next_at().unwrap().as_secs_f64();
        assert!(
            (80.0..120.0).contains(&last_at),
            "100 steps took {last_at} s"
        );
    }

    #[test]
    fn it_does_nothing_before_its_time() {
        let mut nemesis = nemesis(&[Fault::Partition]);
        assert!(nemesis.step(Duration::ZERO).is_some());
        let next_at = nemesis.next_at().unwrap();
        assert_eq!(nemesis.step(next_at - Duration::from_nanos(1)), None);
    }

    #[test]
    fn its_end_heals_for_good() {
        let mut nemesis = nemesis(&[Fault::Partition]);
        nemesis.step(Duration::ZERO);
        assert!(nemesis.under_way().is_some());
        assert_eq!(nemesis.end(INTERVAL), Some(Step::Heal));
        assert!(nemesis.under_way().is_none());
        assert_eq!(nemesis.windows()[0].ended_at, Some(INTERVAL));
        assert_eq!(nemesis.step(1000 * INTERVAL), None);
        assert_eq!(nemesis.end(1000 * INTERVAL), None);
    }

    #[test]
    fn without_faults_it_never_acts() {
        let mut nemesis = nemesis(&[]);
        assert_eq!(nemesis.next_at(), None);
        assert_eq!(nemesis.step(INTERVAL), None);
    }
}
