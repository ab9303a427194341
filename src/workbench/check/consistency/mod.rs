//! The checker for counters: which consistency level a history satisfies.
//!
//! The levels, from the strongest to the weakest:
//!
//! - [`Linearizable`](Level::Linearizable) (Herlihy & Wing 1990): there is one order of all operations in which every
//!   reply is right, and in which an operation that completed before another was invoked comes before it.
//! - [`Sequential`](Level::Sequential) (Lamport 1979): there is one such order in which the operations *of each
//!   client* keep their order. The processes of the definition are the clients, not the nodes.
//! - [`Regular`](Level::Regular) (after Lamport 1986): every read includes all adds acknowledged before it began, and
//!   only adds invoked before it ended. The values of one node never decrease. *One* order of all operations is not
//!   required.
//! - [`EventuallyRight`](Level::EventuallyRight): the final reads equal the sum of all acknowledged adds and some of
//!   the indeterminate ones.
//!
//! Linearizable implies both sequential and regular; neither of these implies the other. An add of unknown outcome may
//! take effect at any time after its invocation, or never. At the sequential level it also comes after the earlier
//! operations of its client.
//!
//! # What can be decided
//!
//! `Regular` and `EventuallyRight` are exact up to the limit of subset sums, which only large and varied indeterminate
//! deltas reach. For the other two levels, the checker first tests necessary conditions: if one fails, the history is
//! wrong, however long it is. Then [`search`](super::search) looks for an order. Measured with 20 clients, deltas up
//! to 4 and adds of unknown outcome: 10,000 operations of a linearizable history take about a second. Without real
//! time to guide it, the search finds an order for stale reads among 500 operations in a fraction of a second, among
//! 2,000 usually, among 10,000 rarely: then it gives up after some seconds, and the verdict is *unknown*.

mod order;
mod regular;
#[cfg(test)]
mod tests;

use super::counter::{self, Call, History};
use super::finals::missing_final_reads;
use super::{Finding, Severity, Validity, Verdict};

/// A consistency level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The final reads are right.
    EventuallyRight,
    /// Every read is up to date.
    Regular,
    /// One order agrees with every client.
    Sequential,
    /// One order agrees with real time.
    Linearizable,
}

impl Level {
    /// All levels, the weakest first.
    pub const ALL: [Level; 4] = [
        Level::EventuallyRight,
        Level::Regular,
        Level::Sequential,
        Level::Linearizable,
    ];

    /// The name, for findings.
    pub fn name(self) -> &'static str {
        match self {
            Level::EventuallyRight => "eventually right",
            Level::Regular => "regular",
            Level::Sequential => "sequentially consistent",
            Level::Linearizable => "linearizable",
        }
    }
}

const NOTHING_FINAL: &str = "The history has no final read, and eventual consistency says nothing about other reads. In \
                             Jepsen's histories, final reads have :final? true. --consistency-models regular checks all \
                             reads.";

/// Checks a run of a counter against all of `levels`, or against eventual consistency if there are none.
///
/// Eventual consistency promises nothing about reads during the run. A read that no adds can explain is a warning
/// there, and a violation at every other level. A sequentially consistent counter may return old values for ever: if
/// only that level is demanded, wrong final reads are counted but are no fault.
pub fn check_run(history: &History, levels: &[Level]) -> Verdict {
    let of_all_reads = levels
        .iter()
        .filter(|level| **level != Level::EventuallyRight);
    let is_right_in_the_end =
        levels.is_empty() || levels.iter().any(|level| *level != Level::Sequential);
    let severity = match of_all_reads.clone().next() {
        Some(_) => Severity::Violation,
        None => Severity::Warning,
    };
    let mut verdict = Verdict::valid();
    counter::check_final_reads(history, &mut verdict);
    if !is_right_in_the_end {
        verdict = Verdict {
            facts: verdict.facts,
            ..Verdict::valid()
        };
    }
    let is_read = |call: &Call| *call == Call::Read;
    verdict.add_verdict(missing_final_reads(history, is_read));
    verdict.add_all(
        "impossible_reads",
        counter::impossible_reads(history, severity),
    );
    if severity == Severity::Warning && !history.iter().any(|operation| operation.is_final) {
        verdict.add(Finding::undecided(NOTHING_FINAL, []));
    }
    for &level in of_all_reads {
        verdict.add_verdict(check(history, level));
    }
    verdict
}

/// Checks whether a history satisfies `level`. The findings give the reasons why not.
pub fn check(history: &History, level: Level) -> Verdict {
    let mut verdict = Verdict::valid();
    match level {
        Level::EventuallyRight => check_final_reads(history, &mut verdict),
        Level::Regular => verdict.add_all("not_regular", regular::findings(history)),
        Level::Sequential => order::check_sequential(history, &mut verdict),
        Level::Linearizable => {
            verdict.add_all("not_regular", regular::findings(history));
            if verdict.validity != Validity::Invalid {
                order::check_linearizable(history, &mut verdict);
            }
        }
    }
    verdict
}

/// The levels that a history satisfies, the weakest first.
pub fn classify(history: &History) -> [(Level, Verdict); 4] {
    Level::ALL.map(|level| (level, check(history, level)))
}

fn check_final_reads(history: &History, verdict: &mut Verdict) {
    let mut final_reads = history.iter().filter(|operation| operation.is_final);
    if final_reads.any(|operation| counter::value_read(operation).is_some()) {
        counter::check_final_reads(history, verdict);
    } else {
        verdict.add(Finding::undecided("No final read was answered.", []));
    }
}
