//! `g-counter` and `pn-counter`: nothing lost, nothing counted twice.
//!
//! What every consistency level promises is judged here, and no more:
//! - *Final reads*: after the faults have ended and the network has rested, each client's last read is the sum of all
//!   acknowledged adds and of some choice among those of unknown outcome. A client without a final answer is a fault.
//! - *Reads during the run* may be stale, but say nothing that can't be true: the sum of some choice among the adds
//!   that were asked for before the read was answered.
//! - *No node goes back*: of two reads of one node, one after the other, the later one of a grow-only counter is not
//!   lower.
//!
//! What only some levels promise is not asked here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::sums::Sums;
use super::{Finding, Judgement};
use crate::workbench::history::{Operation, Outcome};

/// What a client asks of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Count this on top. Negative only where [`Kind`] allows it.
    Add(i64),
    /// What is the total?
    Read,
}

/// A good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To an add: it is counted.
    Added,
    /// To a read: the total.
    Value(i64),
}

/// Which counter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `g-counter`: no add is negative, so a total that falls is wrong.
    GrowOnly,
    /// `pn-counter`: totals rise and fall.
    PositiveNegative,
}

/// A history of a counter.
pub type History = [Operation<Call, Answer>];

/// Judges a run on `node_count` nodes by what every consistency level promises; see the module.
pub fn judge(history: &History, kind: Kind, node_count: usize) -> Judgement {
    let mut judgement = Judgement::valid();
    judgement.add_all(
        "missing_final_reads",
        missing_final_reads(history, node_count),
    );
    judge_final_reads(history, &mut judgement);
    judgement.add_all("impossible_reads", impossible_reads(history));
    if kind == Kind::GrowOnly {
        judgement.add_all("reads_gone_back", reads_gone_back(history));
    }
    judgement
}

/// What a read was answered, if it is a read and was.
pub(super) fn value_read(operation: &Operation<Call, Answer>) -> Option<i128> {
    match (operation.call, operation.outcome.answer()) {
        (Call::Read, Some(Answer::Value(value))) => Some(i128::from(*value)),
        _ => None,
    }
}

/// What an add may have added; nothing if it is no add or certainly failed.
pub(super) fn delta(operation: &Operation<Call, Answer>) -> Option<i128> {
    match operation.call {
        Call::Add(delta) if !operation.outcome.is_failed() => Some(i128::from(delta)),
        _ => None,
    }
}

/// Clients that ran but got no answer to a final read, and nodes that were never asked for one, by node.
fn missing_final_reads(history: &History, node_count: usize) -> Vec<Finding> {
    #[derive(Default)]
    struct Asked {
        is_answered: bool,
        /// It could not learn what became of a request, and another client took its place.
        is_replaced: bool,
        attempts: Vec<usize>,
    }
    let mut nodes: BTreeMap<usize, BTreeMap<usize, Asked>> = (0..node_count)
        .map(|node| (node, BTreeMap::new()))
        .collect();
    for (index, operation) in history.iter().enumerate() {
        let clients = nodes.entry(operation.node).or_default();
        let asked = clients.entry(operation.client).or_default();
        asked.is_replaced =
            !operation.is_final && matches!(operation.outcome, Outcome::Indeterminate(_));
        if operation.is_final && operation.call == Call::Read {
            asked.is_answered |= operation.outcome.is_ok();
            asked.attempts.push(index);
        }
    }
    let mut findings = Vec::new();
    for (node, clients) in nodes {
        if clients.is_empty() {
            findings.push(Finding::invalid(
                format!("Node {node} was never asked for its final total."),
                [],
            ));
        }
        let is_owed = |asked: &Asked| !asked.is_answered && !asked.is_replaced;
        for (client, asked) in clients.into_iter().filter(|(_, asked)| is_owed(asked)) {
            let what = if asked.attempts.is_empty() {
                format!("Client {client} never asked node {node} for its final total.")
            } else {
                format!("Node {node} never told client {client} its final total.")
            };
            findings.push(Finding::invalid(what, asked.attempts));
        }
    }
    findings
}

/// Final reads against all acknowledged adds and any choice among the indeterminate ones.
fn judge_final_reads(history: &History, judgement: &mut Judgement) {
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
    for (index, operation) in history
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.is_final)
    {
        let Some(value) = value_read(operation) else {
            continue;
        };
        let reader = format!(
            "The final read of client {} on node {} says {value}",
            operation.client, operation.node
        );
        let what = match possible.hold(value) {
            Some(true) => continue,
            None => {
                let what = format!(
                    "{reader}, and whether the adds of unknown outcome can make that is too hard to tell."
                );
                wrong.push(Finding::unknown(what, [index]));
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
                 {indeterminate_count} adds of unknown outcome makes the difference."
            ),
        };
        wrong.push(Finding::invalid(what, [index]));
    }
    judgement.add_all("wrong_final_reads", wrong);
    judgement.fact("acknowledged_sum", figure(acknowledged));
    judgement.fact("indeterminate_adds", indeterminate_count);
    let ranges = possible.ranges().take(FACT_RANGES_MAX);
    let ranges = ranges.map(|(low, high)| json!([figure(low), figure(high)]));
    judgement.fact("acceptable", ranges.collect::<Vec<_>>());
}

/// A number where JSON readers can hold it, else its digits.
fn figure(sum: i128) -> Value {
    i64::try_from(sum).map_or_else(|_| sum.to_string().into(), Value::from)
}

/// How many ranges of acceptable final values are listed among the facts.
const FACT_RANGES_MAX: usize = 16;

/// Reads during the run whose value no choice among the adds invoked before their answer can make.
fn impossible_reads(history: &History) -> Vec<Finding> {
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
            "Client {} read {value} from node {}",
            history[index].client, history[index].node
        );
        match possible.hold(value) {
            Some(true) => {}
            None => {
                let what =
                    format!("{reader}; whether the adds so far can make that is too hard to tell.");
                findings.push(Finding::unknown(what, [index]));
            }
            Some(false) => {
                let why = if value < possible.lowest() {
                    format!(
                        "no adds asked for by then make less than {}",
                        possible.lowest()
                    )
                } else if value > possible.highest() {
                    format!(
                        "all adds asked for by then make only {}",
                        possible.highest()
                    )
                } else {
                    "no choice among the adds asked for by then makes that".to_owned()
                };
                findings.push(Finding::invalid(format!("{reader}, but {why}."), [index]));
            }
        }
    }
    findings
}

/// Reads of a grow-only counter that are lower than one that the same node answered before they were invoked.
pub(super) fn reads_gone_back(history: &History) -> Vec<Finding> {
    let mut nodes: BTreeMap<usize, Vec<(usize, i128)>> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        if let Some(value) = value_read(operation) {
            nodes
                .entry(operation.node)
                .or_default()
                .push((index, value));
        }
    }
    let mut findings = Vec::new();
    for (node, by_invocation) in &mut nodes {
        by_invocation.sort_by_key(|(index, _)| history[*index].invoked_at);
        let mut by_completion = by_invocation.clone();
        by_completion.sort_by_key(|(index, _)| history[*index].completed_at);
        let mut completed = by_completion.into_iter().peekable();
        let mut highest: Option<(usize, i128)> = None;
        for &(index, value) in by_invocation.iter() {
            let invoked_at = history[index].invoked_at;
            while let Some(earlier) =
                completed.next_if(|(earlier, _)| history[*earlier].completed_at < invoked_at)
            {
                if highest.is_none_or(|(_, highest)| highest < earlier.1) {
                    highest = Some(earlier);
                }
            }
            if let Some((earlier, before)) = highest.filter(|(_, before)| value < *before) {
                let what =
                    format!("Node {node} went back: it answered {before}, and later {value}.");
                findings.push(Finding::invalid(what, [earlier, index]));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::check::Validity;
    use crate::workbench::check::testing::*;

    fn add(client: usize, time: std::ops::Range<u64>, delta: i64) -> Operation<Call, Answer> {
        operation(client, time, Call::Add(delta), Outcome::Ok(Answer::Added))
    }

    fn lost_add(client: usize, time: std::ops::Range<u64>, delta: i64) -> Operation<Call, Answer> {
        operation(client, time, Call::Add(delta), indeterminate())
    }

    fn read(client: usize, time: std::ops::Range<u64>, value: i64) -> Operation<Call, Answer> {
        operation(client, time, Call::Read, Outcome::Ok(Answer::Value(value)))
    }

    /// Two nodes, 3 and 4 added and acknowledged, and these final values.
    fn with_final_values(values: [i64; 2]) -> Vec<Operation<Call, Answer>> {
        vec![
            add(0, 0..1, 3),
            add(1, 0..1, 4),
            read(1, 2..3, 4),
            finally(read(0, 99..100, values[0])),
            finally(read(1, 99..100, values[1])),
        ]
    }

    #[test]
    fn accepts_a_right_counter() {
        let judgement = judge(&with_final_values([7, 7]), Kind::GrowOnly, 2);
        assert_valid(&judgement);
        assert_eq!(judgement.facts["acceptable"], json!([[7, 7]]));
    }

    #[test]
    fn catches_a_dropped_add() {
        let judgement = judge(&with_final_values([7, 4]), Kind::GrowOnly, 2);
        assert_invalid(
            &judgement,
            "says 4, but at least 7 was added: 3 is missing",
            &[4],
        );
        assert_eq!(judgement.findings.len(), 1);
    }

    #[test]
    fn catches_an_add_counted_twice() {
        let judgement = judge(&with_final_values([10, 7]), Kind::GrowOnly, 2);
        assert_invalid(&judgement, "at most 7 was added: 3 was counted twice", &[3]);
    }

    #[test]
    fn an_add_of_unknown_outcome_counts_once_or_not_at_all() {
        for (value, validity) in [
            (7, Validity::Valid),
            (17, Validity::Valid),
            (12, Validity::Invalid),
            (27, Validity::Invalid),
        ] {
            let mut history = with_final_values([value, 7]);
            history.insert(2, lost_add(0, 1..50, 10));
            let judgement = judge(&history, Kind::GrowOnly, 2);
            assert_eq!(judgement.validity, validity, "{value}: {judgement:#?}");
        }
    }

    #[test]
    fn a_failed_add_must_not_count() {
        let mut history = with_final_values([17, 7]);
        history.insert(2, operation(0, 1..50, Call::Add(10), failed()));
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 2),
            "at most 7 was added",
            &[4],
        );
    }

    #[test]
    fn thousands_of_unknown_outcomes_are_judged_exactly() {
        let mut history: Vec<_> = (0..2000)
            .map(|i| lost_add(0, i..i + 1, -6 + 12 * (i as i64 % 2)))
            .collect();
        history.push(finally(read(0, 9000..9001, 2994)));
        assert_valid(&judge(&history, Kind::PositiveNegative, 1));
        history[2000] = finally(read(0, 9000..9001, 2995));
        assert_invalid(
            &judge(&history, Kind::PositiveNegative, 1),
            "no choice among the 2000",
            &[2000],
        );
    }

    #[test]
    fn a_sum_too_hard_to_tell_is_unknown() {
        let mut history: Vec<_> = (0..30)
            .map(|i| lost_add(0, i..i + 1, 3i64.pow(i as u32)))
            .collect();
        history.push(finally(read(0, 90..91, 2)));
        assert_eq!(
            judge(&history, Kind::GrowOnly, 1).validity,
            Validity::Unknown
        );
    }

    #[test]
    fn catches_a_missing_final_read() {
        let mut history = with_final_values([7, 7]);
        history[4].outcome = indeterminate();
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 2),
            "Node 1 never told client 1",
            &[4],
        );
        history.push(finally(read(1, 100..101, 7)));
        assert_valid(&judge(&history, Kind::GrowOnly, 2));
        history.truncate(4);
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 2),
            "Client 1 never asked node 1",
            &[],
        );
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 3),
            "Node 2 was never asked",
            &[],
        );
    }

    #[test]
    fn a_client_that_was_replaced_owes_no_final_read() {
        let mut history = with_final_values([7, 7]);
        let mut lost = lost_add(0, 90..91, 0);
        lost.client = 9;
        history.insert(0, lost);
        assert_valid(&judge(&history, Kind::GrowOnly, 2));
    }

    #[test]
    fn a_stale_read_during_the_run_is_no_fault() {
        let mut history = with_final_values([7, 7]);
        history[2] = read(1, 2..3, 0);
        assert_valid(&judge(&history, Kind::GrowOnly, 2));
    }

    #[test]
    fn catches_a_read_of_what_was_not_yet_asked_for() {
        let mut history = with_final_values([7, 7]);
        history[2] = read(1, 2..3, 8);
        history.insert(3, add(0, 4..5, 1));
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 2),
            "all adds asked for by then make only 7",
            &[2],
        );
        history[3] = add(0, 3..5, 1);
        let judgement = judge(&history, Kind::GrowOnly, 2);
        assert_eq!(
            judgement.facts["impossible_reads"], 0,
            "an add asked for in the same instant may be seen"
        );
    }

    #[test]
    fn catches_a_read_that_no_adds_make() {
        let mut history = with_final_values([7, 7]);
        history[2] = read(1, 2..3, 5);
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 2),
            "no choice among the adds",
            &[2],
        );
        history[2] = read(1, 2..3, -1);
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 2),
            "make less than 0",
            &[2],
        );
    }

    #[test]
    fn catches_a_node_that_goes_back() {
        let mut history = with_final_values([7, 7]);
        history[2] = read(1, 2..3, 7);
        history.insert(3, read(1, 4..5, 4));
        assert_invalid(
            &judge(&history, Kind::GrowOnly, 2),
            "it answered 7, and later 4",
            &[2, 3],
        );
        assert_valid(&judge(&history, Kind::PositiveNegative, 2));
        history[3] = read(2, 3..5, 4);
        history[3].node = 1;
        let judgement = judge(&history, Kind::GrowOnly, 2);
        assert_eq!(
            judgement.facts["reads_gone_back"], 0,
            "concurrent reads have no order"
        );
    }

    #[test]
    fn totals_beyond_64_bits_do_not_overflow() {
        let mut history = with_final_values([7, 7]);
        history.extend((0..3).map(|i| lost_add(0, i..90, i64::MAX)));
        assert_valid(&judge(&history, Kind::GrowOnly, 2));
    }
}
