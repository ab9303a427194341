//! The set of sums of a base and any subset of given numbers.

use std::ops::RangeInclusive;

/// The maximum number of separate ranges (4 MiB). Above it, sums between the lowest and the highest are no longer
/// distinguished.
///
/// Small numbers, as workloads send them, soon form a single range. Only large and varied numbers reach this limit:
/// deciding for those is the subset-sum problem, which takes exponential memory.
const RANGES_MAX: usize = 1 << 17;

/// All sums of a base and any subset of the numbers added so far.
#[derive(Clone)]
pub struct Sums {
    /// Ascending, not overlapping or adjacent, never empty.
    ranges: Vec<RangeInclusive<i128>>,
    /// Whether a range may contain numbers between the lowest and the highest that are not sums.
    is_coarse: bool,
}

impl Sums {
    /// Only `base` itself.
    pub fn of(base: i128) -> Self {
        Sums {
            ranges: vec![base..=base],
            is_coarse: false,
        }
    }

    /// Adds a number that each sum may include or leave out.
    pub fn allow(&mut self, number: i128) {
        if number == 0 {
            return;
        }
        let mut merged: Vec<RangeInclusive<i128>> = Vec::with_capacity(self.ranges.len() + 1);
        let mut without = self.ranges.iter().cloned().peekable();
        let mut with = self
            .ranges
            .iter()
            .map(|range| range.start() + number..=range.end() + number)
            .peekable();
        loop {
            let is_without_next = match (without.peek(), with.peek()) {
                (Some(a), Some(b)) => a.start() <= b.start(),
                (a, _) => a.is_some(),
            };
            let next = if is_without_next {
                without.next()
            } else {
                with.next()
            };
            let Some(next) = next else { break };
            match merged.last_mut() {
                Some(last) if *next.start() <= last.end() + 1 => {
                    *last = *last.start()..=*last.end().max(next.end());
                }
                _ => merged.push(next),
            }
        }
        self.ranges = merged;
        if self.ranges.len() > RANGES_MAX {
            self.ranges = vec![self.lowest()..=self.highest()];
            self.is_coarse = true;
        }
    }

    /// Whether `value` is such a sum; `None` if this can't be decided in bounded memory.
    pub fn hold(&self, value: i128) -> Option<bool> {
        let after = self.ranges.partition_point(|range| *range.end() < value);
        let is_inside = self
            .ranges
            .get(after)
            .is_some_and(|range| range.contains(&value));
        (!is_inside || !self.is_coarse).then_some(is_inside)
    }

    /// The lowest sum.
    pub fn lowest(&self) -> i128 {
        *self.ranges[0].start()
    }

    /// The highest sum.
    pub fn highest(&self) -> i128 {
        *self.ranges[self.ranges.len() - 1].end()
    }

    /// The ranges, ascending, as pairs of lowest and highest.
    pub fn ranges(&self) -> impl Iterator<Item = (i128, i128)> + '_ {
        self.ranges
            .iter()
            .map(|range| (*range.start(), *range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All subset sums, by brute force.
    fn brute_force(base: i128, numbers: &[i128]) -> Vec<i128> {
        let mut sums: Vec<i128> = (0..1u32 << numbers.len())
            .map(|subset| {
                let taken = (0..numbers.len()).filter(|i| subset >> i & 1 == 1);
                base + taken.map(|i| numbers[i]).sum::<i128>()
            })
            .collect();
        sums.sort_unstable();
        sums.dedup();
        sums
    }

    proptest::proptest! {
        // Do not write failing cases to files: the message has the numbers.
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn holds_what_some_subset_makes(base in -50i128..50, numbers in proptest::collection::vec(-40i128..40, 0..10)) {
            let mut sums = Sums::of(base);
            numbers.iter().for_each(|&number| sums.allow(number));
            let expected = brute_force(base, &numbers);
            proptest::prop_assert_eq!(sums.lowest(), expected[0]);
            proptest::prop_assert_eq!(sums.highest(), expected[expected.len() - 1]);
            for value in -500..500 {
                proptest::prop_assert_eq!(sums.hold(value), Some(expected.binary_search(&value).is_ok()));
            }
        }
    }

    #[test]
    fn beyond_its_bound_only_the_extremes_are_known() {
        let mut sums = Sums::of(0);
        (0..20).for_each(|i| sums.allow(3i128.pow(i)));
        assert_eq!(sums.hold(2), None);
        assert_eq!(sums.hold(-1), Some(false));
        assert_eq!(sums.hold(sums.highest() + 1), Some(false));
    }
}
