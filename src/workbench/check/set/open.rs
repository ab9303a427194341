//! Positions that are taken once, each by the first range that covers it.

use std::ops::Range;

/// The open positions, counted from zero.
///
/// A disjoint-set forest (Tarjan 1975) of runs of taken positions: later ranges skip what is taken in nearly constant
/// time, however often they cover it.
pub(super) struct Open {
    /// For each position: itself while it is open, otherwise a later position from which to search. The last entry is
    /// the end.
    next: Vec<usize>,
}

impl Open {
    /// `count` open positions.
    pub(super) fn new(count: usize) -> Self {
        Open {
            next: (0..=count).collect(),
        }
    }

    /// Calls `takes` for each open position in a range. A position for which it returns true is open no longer.
    pub(super) fn offer(&mut self, range: Range<usize>, mut takes: impl FnMut(usize) -> bool) {
        let mut position = self.first_from(range.start);
        while position < range.end {
            if takes(position) {
                self.next[position] = position + 1;
            }
            position = self.first_from(position + 1);
        }
    }

    /// The first open position at or after the given one, or the end.
    fn first_from(&mut self, mut position: usize) -> usize {
        while self.next[position] != position {
            self.next[position] = self.next[self.next[position]];
            position = self.next[position];
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_taken_once_and_offered_until_then() {
        let mut open = Open::new(6);
        let mut offered = Vec::new();
        open.offer(1..4, |position| {
            offered.push(position);
            position != 2
        });
        assert_eq!(offered, [1, 2, 3]);
        offered.clear();
        open.offer(0..6, |position| {
            offered.push(position);
            true
        });
        assert_eq!(offered, [0, 2, 4, 5]);
        open.offer(0..6, |position| panic!("{position} is taken"));
    }
}
