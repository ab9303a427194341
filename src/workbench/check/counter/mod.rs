//! The checker for `g-counter` and `pn-counter`: the checks on reads that do not depend on a consistency level.
//!
//! - *Final reads*: after the faults have ended and the network has rested, each client's last read equals the sum of
//!   all acknowledged adds and some of those of unknown outcome.
//! - *Impossible reads* during the run: no subset of the adds that were invoked before the read completed gives its
//!   value. A stale read is possible.
//! - *Reads gone back*: a read of a grow-only counter is lower than an earlier read of the same node.
//!
//! [`consistency`](super::consistency) decides which of these apply to a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::finals::by_clients;
use super::monotone::falls;
use super::sums::Sums;
use super::{Finding, Severity, Verdict};
use crate::workbench::history::{Node, Operation, Outcome};
use crate::workbench::words::counted;

/// A request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Add this to the total. `g-counter` never sends a negative number.
    Add(i64),
    /// Return the total.
    Read,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Add(delta) => write!(f, "add of {delta}"),
            Call::Read => f.write_str("read"),
        }
    }
}

/// A successful reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To an add.
    Added,
    /// To a read: the total.
    Value(i64),
}

/// A history of a counter.
pub type History = [Operation<Call, Answer>];

/// The value that a read returned; `None` if this is no read or it was not answered.
pub(super) fn value_read(operation: &Operation<Call, Answer>) -> Option<i128> {
    match (operation.call, operation.outcome.answer()) {
        (Call::Read, Some(Answer::Value(value))) => Some(i128::from(*value)),
        _ => None,
    }
}

/// The delta of an add; `None` if this is no add or it certainly failed.
pub(super) fn delta(operation: &Operation<Call, Answer>) -> Option<i128> {
    match operation.call {
        Call::Add(delta) if !operation.outcome.is_failed() => Some(i128::from(delta)),
        _ => None,
    }
}

/// Compares the final reads with the sums of all acknowledged adds and any subset of the indeterminate ones.
pub(super) fn check_final_reads(history: &History, verdict: &mut Verdict) {
    let sum_of = |wanted: fn(&Outcome<Answer>) -> bool| {
        let adds = history
            .iter()
            .filter(|operation| wanted(&operation.outcome));
        adds.filter_map(delta).sum::<i128>()
    };
    let acknowledged = sum_of(Outcome::is_ok);
    let mut possible = Sums::of(acknowledged);
    let mut indeterminate_count = 0;
    for operation in history
        .iter()
        .filter(|operation| !operation.outcome.is_ok())
    {
        if let Some(delta) = delta(operation) {
            possible.allow(delta);
            indeterminate_count += 1;
        }
    }
    let mut wrong = Vec::new();
    for ((node, value), reads) in final_reads(history) {
        let reader = format!(
            "The final {} on node {node} {} {value}",
            by_clients("read", &reads, history),
            if reads.len() == 1 { "says" } else { "say" }
        );
        let what = match possible.hold(value) {
            Some(true) => continue,
            None => {
                let what = format!(
                    "{reader}, and whether the adds of unknown outcome can make that is too hard to tell."
                );
                wrong.push(Finding::undecided(what, &reads[..1]));
                continue;
            }
            Some(false) if value < possible.lowest() => format!(
                "{reader}, but at least {} was added: {} is missing.",
                possible.lowest(),
                possible.lowest() - value
            ),
            Some(false) if value > possible.highest() => format!(
                "{reader}, but at most {} was added: {} was counted twice or out of nowhere.",
                possible.highest(),
                value - possible.highest()
            ),
            Some(false) => format!(
                "{reader}, but the acknowledged adds make {acknowledged} and no choice among the \
                 {} of unknown outcome makes the difference.",
                counted(indeterminate_count, "add")
            ),
        };
        wrong.push(Finding::violation(what, &reads[..1]));
    }
    verdict.add_all("wrong_final_reads", wrong);
    verdict.fact("acknowledged_sum", figure(acknowledged));
    verdict.fact("indeterminate_adds", indeterminate_count);
    let ranges = possible.ranges().take(FACT_RANGES_MAX);
    let ranges = ranges.map(|(low, high)| json!([figure(low), figure(high)]));
    verdict.fact("acceptable", ranges.collect::<Vec<_>>());
}

/// The final reads by node and value, each as an index into the history.
fn final_reads(history: &History) -> BTreeMap<(&Node, i128), Vec<usize>> {
    let mut reads: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        if let (true, Some(value)) = (operation.is_final, value_read(operation)) {
            reads
                .entry((&operation.node, value))
                .or_default()
                .push(index);
        }
    }
    reads
}

/// A JSON number if JSON readers can represent it, else a string of its digits.
fn figure(sum: i128) -> Value {
    i64::try_from(sum).map_or_else(|_| sum.to_string().into(), Value::from)
}

/// The maximum number of ranges of acceptable final values in the facts.
const FACT_RANGES_MAX: usize = 16;

/// Reads during the run whose value no subset of the adds invoked before they completed can give. `severity` is that of
/// the findings; if it is a warning, reads that can't be decided are left out.
pub(super) fn impossible_reads(history: &History, severity: Severity) -> Vec<Finding> {
    let mut adds: Vec<(Duration, i128)> = history
        .iter()
        .filter_map(|operation| Some((operation.invoked_at, delta(operation)?)))
        .collect();
    adds.sort_unstable();
    let mut adds = adds.into_iter().peekable();
    let mut reads: Vec<(Duration, usize, i128)> = history
        .iter()
        .enumerate()
        .filter(|(_, operation)| !operation.is_final)
        .filter_map(|(index, operation)| {
            Some((operation.completed_at, index, value_read(operation)?))
        })
        .collect();
    reads.sort_unstable();

    let mut possible = Sums::of(0);
    let mut findings = Vec::new();
    for (completed_at, index, value) in reads {
        while let Some((_, delta)) = adds.next_if(|(invoked_at, _)| *invoked_at <= completed_at) {
            possible.allow(delta);
        }
        let reader = format!(
            "Client c{} read {value} from node {}",
            history[index].client, history[index].node
        );
        match possible.hold(value) {
            Some(true) => {}
            None if severity == Severity::Warning => {}
            None => {
                let what =
                    format!("{reader}; whether the adds so far can make that is too hard to tell.");
                findings.push(Finding::undecided(what, [index]));
            }
            Some(false) => {
                let why = if value < possible.lowest() {
                    format!(
                        "no adds invoked by then make less than {}",
                        possible.lowest()
                    )
                } else if value > possible.highest() {
                    format!("all adds invoked by then make only {}", possible.highest())
                } else {
                    "no choice among the adds invoked by then makes that".to_owned()
                };
                let what = format!("{reader}, but {why}.");
                findings.push(Finding::new(severity, what, [index]));
            }
        }
    }
    findings
}

/// Reads of a grow-only counter that are lower than a read that the same node answered before they were invoked.
pub(super) fn reads_gone_back(history: &History) -> Vec<Finding> {
    let mut nodes: BTreeMap<&Node, Vec<(usize, i128)>> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        if let Some(value) = value_read(operation) {
            nodes
                .entry(&operation.node)
                .or_default()
                .push((index, value));
        }
    }
    let mut findings = Vec::new();
    for (node, reads) in nodes {
        for ((earlier, before), (later, after)) in falls(history, reads) {
            let what = format!("Node {node} went back: it answered {before}, and later {after}.");
            findings.push(Finding::violation(what, [earlier, later]));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
