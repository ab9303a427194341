//! The check for the regular level: every read is up to date, and the values of one node never decrease.

use std::time::Duration;

use crate::workbench::check::Finding;
use crate::workbench::check::counter::{
    Answer, Call, History, delta, is_grow_only, reads_gone_back, too_low, value_read,
};
use crate::workbench::check::sums::Sums;
use crate::workbench::history::Operation;

/// The reasons why a history is not regular.
///
/// That a node's values decrease proves a fault only if no add is negative, so only then is it checked.
pub fn findings(history: &History) -> Vec<Finding> {
    let mut findings = wrong_reads(history);
    if is_grow_only(history) {
        findings.extend(reads_gone_back(history));
    }
    findings
}

struct Add {
    invoked_at: Duration,
    completed_at: Duration,
    index: usize,
    delta: i128,
}

/// The adds in the order of their invocation: the acknowledged ones, and those of unknown outcome.
fn adds(history: &History) -> (Vec<Add>, Vec<Add>) {
    let add = |(index, operation): (usize, &Operation<Call, Answer>)| {
        let Operation {
            invoked_at,
            completed_at,
            ..
        } = *operation;
        delta(operation).map(|delta| Add {
            invoked_at,
            completed_at,
            index,
            delta,
        })
    };
    let mut adds: Vec<Add> = history.iter().enumerate().filter_map(add).collect();
    adds.sort_by_key(|add| add.invoked_at);
    adds.into_iter()
        .partition(|add| history[add.index].outcome.is_ok())
}

/// Reads that lack an add acknowledged before they began, or include more than the adds invoked before they ended.
fn wrong_reads(history: &History) -> Vec<Finding> {
    let (acknowledged, indeterminate) = adds(history);
    let longest = acknowledged
        .iter()
        .map(|add| add.completed_at.saturating_sub(add.invoked_at))
        .max();
    let longest = longest.unwrap_or_default();
    let mut by_completion: Vec<&Add> = acknowledged.iter().collect();
    by_completion.sort_by_key(|add| add.completed_at);
    let sums_before: Vec<i128> = std::iter::once(0)
        .chain(by_completion.iter().scan(0, |sum, add| {
            *sum += add.delta;
            Some(*sum)
        }))
        .collect();

    let mut reads: Vec<(Duration, usize, i128)> = history
        .iter()
        .enumerate()
        .filter_map(|(index, operation)| {
            Some((operation.completed_at, index, value_read(operation)?))
        })
        .collect();
    reads.sort_unstable();
    let mut indeterminate = indeterminate.into_iter().peekable();
    let mut optional = Sums::of(0);
    let mut findings = Vec::new();
    for (completed_at, index, value) in reads {
        let read = &history[index];
        while let Some(add) = indeterminate.next_if(|add| add.invoked_at <= completed_at) {
            optional.allow(add.delta);
        }
        let before = by_completion.partition_point(|add| add.completed_at < read.invoked_at);
        let mut possible = optional.clone();
        let last = acknowledged.partition_point(|add| add.invoked_at <= completed_at);
        // An add invoked longer ago than any add took was acknowledged before the read.
        let recent = acknowledged[..last]
            .iter()
            .rev()
            .take_while(|add| add.invoked_at + longest >= read.invoked_at);
        for add in recent.filter(|add| add.completed_at >= read.invoked_at) {
            possible.allow(add.delta);
        }
        let held = value - sums_before[before];
        let reader = format!(
            "Client c{} read {value} from node {}",
            read.client, read.node
        );
        let what = match possible.hold(held) {
            Some(true) => continue,
            None => {
                let what =
                    format!("{reader}; whether concurrent adds can make that is too hard to tell.");
                findings.push(Finding::undecided(what, [index]));
                continue;
            }
            Some(false) if held < possible.lowest() => format!(
                "{reader}, but the adds acknowledged before it began make at least {}: {}.",
                value - held + possible.lowest(),
                too_low(possible.lowest() - held, is_grow_only(history))
            ),
            Some(false) if held > possible.highest() => format!(
                "{reader}, but all adds invoked before it ended make only {}.",
                value - held + possible.highest()
            ),
            Some(false) => format!(
                "{reader}, but the adds acknowledged before it began make {}, and no choice among the concurrent ones \
                 makes the difference.",
                sums_before[before]
            ),
        };
        let latest = before
            .checked_sub(1)
            .map(|latest| by_completion[latest].index);
        findings.push(Finding::violation(
            what,
            latest.into_iter().chain([index]).collect::<Vec<_>>(),
        ));
    }
    findings
}
