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

/// Whether no add is negative.
pub(super) fn is_grow_only(history: &History) -> bool {
    history.iter().filter_map(delta).all(|delta| delta >= 0)
}

/// How a value differs from the lowest sum that is possible, which is higher by `difference`. If there are decrements,
/// that may be an add that is missing as well as a decrement that was counted twice.
pub(super) fn too_low(difference: i128, is_grow_only: bool) -> String {
    match is_grow_only {
        true => format!("{difference} is missing"),
        false => format!("it is {difference} too low"),
    }
}

/// How a value differs from the highest sum that is possible, which is lower by `difference`.
fn too_high(difference: i128, is_grow_only: bool) -> String {
    match is_grow_only {
        true => format!("{difference} was counted twice or out of nowhere"),
        false => format!("it is {difference} too high"),
    }
}

/// The totals that adds can make.
struct Totals {
    /// Those of adds that were not refused.
    right: Sums,
    /// Those that adds can make if adds count that were refused with a definite error, once there is one.
    with_refused: Option<Sums>,
    /// The refused adds.
    refused: Vec<usize>,
    /// The first refused add of each delta.
    first_refused: BTreeMap<i128, usize>,
}

/// How many refused adds are shown if no single one explains a read.
const REFUSED_SHOWN_MAX: usize = 3;

impl Totals {
    /// Only `base`.
    fn of(base: i128) -> Self {
        Totals {
            right: Sums::of(base),
            with_refused: None,
            refused: Vec::new(),
            first_refused: BTreeMap::new(),
        }
    }

    /// Lets an add count or not.
    fn allow(&mut self, add: usize, history: &History) {
        let Operation { call, outcome, .. } = &history[add];
        let Call::Add(delta) = *call else { return };
        let delta = i128::from(delta);
        if outcome.is_failed() {
            self.refused.push(add);
            self.first_refused.entry(delta).or_insert(add);
            self.with_refused.get_or_insert_with(|| self.right.clone());
        } else {
            self.right.allow(delta);
        }
        if let Some(with_refused) = &mut self.with_refused {
            with_refused.allow(delta);
        }
    }

    /// The refused adds that explain a value which is not right, in words, and the operations to show.
    fn refused_in(&self, value: i128) -> Option<(String, Vec<usize>)> {
        let explains = |delta: i128| self.right.hold(value - delta) == Some(true);
        let explaining = self.first_refused.iter();
        let explaining = explaining.filter(|(delta, _)| explains(**delta));
        if let Some((delta, &add)) = explaining.min_by_key(|(_, add)| **add) {
            let what = format!(
                "which is right only if an add of {delta} counts that was refused with a definite error"
            );
            return Some((what, vec![add]));
        }
        let with_refused = self.with_refused.as_ref()?;
        if with_refused.hold(value) != Some(true) {
            return None;
        }
        let what = format!(
            "which is right only if some of {} count that were refused with a definite error",
            counted(self.refused.len(), "add")
        );
        let shown = self.refused.iter().take(REFUSED_SHOWN_MAX);
        Some((what, shown.copied().collect()))
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
    let mut totals = Totals::of(acknowledged);
    let open = (0..history.len()).filter(|&index| !history[index].outcome.is_ok());
    open.for_each(|index| totals.allow(index, history));
    let possible = &totals.right;
    let indeterminate = history
        .iter()
        .filter(|operation| !operation.outcome.is_ok() && delta(operation).is_some());
    let indeterminate_count = indeterminate.count();
    let is_grow_only = is_grow_only(history);
    let mut wrong = Vec::new();
    for ((node, value), reads) in final_reads(history) {
        let reader = format!(
            "The final {} on node {node} {} {value}",
            by_clients("read", &reads, history),
            if reads.len() == 1 { "says" } else { "say" }
        );
        let held = possible.hold(value);
        if let (Some(false), Some((why, mut shown))) = (held, totals.refused_in(value)) {
            shown.push(reads[0]);
            wrong.push(Finding::violation(format!("{reader}, {why}."), shown));
            continue;
        }
        let what = match held {
            Some(true) => continue,
            None => {
                let what = format!(
                    "{reader}, and whether the adds of unknown outcome can make that is too hard to tell."
                );
                wrong.push(Finding::undecided(what, &reads[..1]));
                continue;
            }
            Some(false) if value < possible.lowest() => {
                let what = format!(
                    "{reader}, but at least {} was added: {}.",
                    possible.lowest(),
                    too_low(possible.lowest() - value, is_grow_only)
                );
                wrong.push(Finding::violation(what, &reads[..1]).behind());
                continue;
            }
            Some(false) if value > possible.highest() => format!(
                "{reader}, but at most {} was added: {}.",
                possible.highest(),
                too_high(value - possible.highest(), is_grow_only)
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
    let mut adds: Vec<(Duration, usize)> = history
        .iter()
        .enumerate()
        .filter(|(_, operation)| matches!(operation.call, Call::Add(_)))
        .map(|(index, operation)| (operation.invoked_at, index))
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

    let mut totals = Totals::of(0);
    let mut findings = Vec::new();
    for (nth, (completed_at, index, value)) in reads.into_iter().enumerate() {
        while let Some((_, add)) = adds.next_if(|(invoked_at, _)| *invoked_at <= completed_at) {
            totals.allow(add, history);
        }
        let possible = &totals.right;
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
                if let Some((why, mut shown)) = totals.refused_in(value) {
                    shown.push(index);
                    let what = format!("{reader}, {why}.");
                    findings.push(Finding::new(severity, what, shown));
                    continue;
                }
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
                let more = match nth {
                    0 => {
                        " It is the first read: the counter may not have been at 0 when the run began."
                    }
                    _ => "",
                };
                let what = format!("{reader}, but {why}.{more}");
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
