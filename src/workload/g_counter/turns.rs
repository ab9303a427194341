//! Whose turn it is to change a register that all nodes change.
//!
//! A node whose cas was made knows the newest state and needs one round trip for its next; a node that lost must read
//! first and needs two. So under load the one that wins goes on winning. To hand steps over to it (`peers`) is the way
//! out for those who can reach it. A partition cuts nodes from each other but not from the store, and those beyond it
//! would be kept out for as long as it lasts. So a node that has won a number of times in a row while some other had no
//! turn *rests*: whoever reads and swaps in that time gets in. A node that has nothing to do between two wins loses
//! nothing by it.

use core::time::Duration;

use super::tally::Tally;

/// After so many wins in a row without a turn for everyone, a node rests. The number doubles with each rest that nobody
/// made use of, so that a node that is alone at work soon hardly ever rests.
const WINS_MIN: u32 = 8;

/// The number doubles up to this.
const WINS_MAX: u32 = 64;

/// For so many round trips it rests: a read may be answered from the past, so one read and one cas are seldom enough.
const REST_ROUND_TRIPS: u32 = 4;

#[derive(Debug)]
pub(super) struct Turns {
    /// How many nodes there are beside this one.
    others: usize,
    wins: u32,
    /// The register before these wins.
    before: Tally,
    wins_to_rest: u32,
    rest_until: Duration,
    /// How long the store takes to answer, smoothed, once it has.
    round_trip: Option<Duration>,
}

impl Default for Turns {
    fn default() -> Self {
        Turns {
            others: 0,
            wins: 0,
            before: Tally::default(),
            wins_to_rest: WINS_MIN,
            rest_until: Duration::ZERO,
            round_trip: None,
        }
    }
}

impl Turns {
    pub(super) fn init(&mut self, others: usize) {
        self.others = others;
        self.wins_to_rest = self.wins_min();
    }

    /// The more nodes there are, the longer it may take until each has had a turn.
    fn wins_min(&self) -> u32 {
        WINS_MIN.max(2 * self.others as u32)
    }

    /// The store has answered after so long.
    pub(super) fn answered(&mut self, time: Duration) {
        let round_trip = self
            .round_trip
            .map_or(time, |before| before / 8 * 7 + time / 8);
        self.round_trip = Some(round_trip);
    }

    /// How long the store takes to answer, if it ever has.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// This node's cas has made `after` of `before`.
    pub(super) fn won(&mut self, node: &str, before: &Tally, after: &Tally, now: Duration) {
        if self.wins == 0 {
            self.before.clone_from(before);
        }
        self.wins += 1;
        if self.wins < self.wins_to_rest {
            return;
        }
        self.wins = 0;
        if after.others_since(&self.before, node) == self.others {
            self.wins_to_rest = self.wins_min();
        } else if let Some(round_trip) = self.round_trip {
            self.wins_to_rest = (2 * self.wins_to_rest).min(WINS_MAX).max(self.wins_min());
            self.rest_until = now.saturating_add(round_trip.saturating_mul(REST_ROUND_TRIPS));
        }
    }

    /// Another node's cas came first.
    pub(super) fn lost(&mut self) {
        self.wins = 0;
        self.wins_to_rest = self.wins_min();
    }

    /// Until when this node leaves the register to others.
    pub(super) fn rest_until(&self) -> Duration {
        self.rest_until
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::workload::g_counter::tally::Step;

    /// When a node of three rests, in a hundred wins, of each of which `take_turns` makes what others get in.
    fn rests(take_turns: impl Fn(u32, &mut Tally, &mut Turns)) -> Vec<u32> {
        let mut turns = Turns::default();
        turns.init(2);
        turns.answered(Duration::from_millis(10));
        let mut register = Tally::default();
        let mut rests = Vec::new();
        for win in 1..=100 {
            let now = Duration::from_secs(win.into());
            let before = register.clone();
            take_turns(win, &mut register, &mut turns);
            turns.won("n0", &before, &register, now);
            if turns.rest_until() > now {
                rests.push(win);
            }
        }
        rests
    }

    fn step_of(node: &str, number: u32, register: &mut Tally) {
        let step = Step {
            after: register.last_round(node),
            round_id: number.into(),
            delta: 1,
        };
        register.take(&node.into(), &step);
    }

    #[test]
    fn a_node_that_is_alone_at_work_rests_less_and_less() {
        assert_eq!(rests(|_, _, _| {}), [8, 24, 56]);
    }

    #[test]
    fn a_node_that_keeps_another_out_rests_and_again_when_that_has_come_in() {
        let keep_out = |win, register: &mut Tally, turns: &mut Turns| {
            step_of("n1", win, register);
            if win % 10 == 0 {
                turns.lost();
            }
        };
        let rests = rests(keep_out);
        assert_eq!(rests[..3], [8, 17, 27]);
    }

    #[test]
    fn a_clock_that_jumps_as_far_as_it_can_is_survived() {
        let mut turns = Turns::default();
        turns.init(2);
        for _ in 0..3 {
            turns.answered(Duration::MAX);
        }
        let register = Tally::default();
        for _ in 0..WINS_MIN {
            turns.won("n0", &register, &register, Duration::MAX);
        }
        assert_eq!(turns.rest_until(), Duration::MAX);
    }

    #[test]
    fn a_node_that_takes_all_others_along_never_rests() {
        let take_along = |win, register: &mut Tally, _: &mut Turns| {
            step_of(if win % 2 == 0 { "n1" } else { "n2" }, win, register);
        };
        assert!(rests(take_along).is_empty());
    }
}
