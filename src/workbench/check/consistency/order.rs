//! One order of all operations: the checks for linearizability and sequential consistency.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::workbench::check::counter::{Answer, Call, History, delta, value_read};
use crate::workbench::check::search::{Action, Model, Order, SearchResult, Stuck, search};
use crate::workbench::check::sums::Sums;
use crate::workbench::check::{Finding, Validity, Verdict};
use crate::workbench::history::Operation;

/// Searches for an order that agrees with every client.
pub fn check_sequential(history: &History, verdict: &mut Verdict) {
    check(history, Order::Program, verdict);
}

/// Searches for an order that agrees with real time.
pub fn check_linearizable(history: &History, verdict: &mut Verdict) {
    check(history, Order::RealTime, verdict);
}

fn check(history: &History, order: Order, verdict: &mut Verdict) {
    if is_growing(history) {
        verdict.add_all("without_order", reads_without_room(history, order));
    }
    if verdict.validity == Validity::Invalid {
        return;
    }
    match search_order(history, order) {
        SearchResult::Possible => {}
        SearchResult::Impossible(stuck) => verdict.add(explain(history, &stuck)),
        SearchResult::Undecided => {
            let what = "Whether one order explains all answers would take too long to find out.";
            verdict.add(Finding::undecided(what, []));
        }
    }
}

/// The search alone, without the necessary conditions.
pub(super) fn search_order(history: &History, order: Order) -> SearchResult<i128> {
    let total = Total {
        is_growing: is_growing(history),
    };
    let actions = actions(history);
    // Real time is the best guide to an order, and an order that agrees with it also agrees with every client.
    match search(&total, &actions, Order::RealTime) {
        SearchResult::Impossible(_) | SearchResult::Undecided if order == Order::Program => {
            search(&total, &actions, order)
        }
        verdict => verdict,
    }
}

fn is_growing(history: &History) -> bool {
    history.iter().filter_map(delta).all(|delta| delta >= 0)
}

/// The sequential specification of a counter.
struct Total {
    /// Whether no add is negative.
    is_growing: bool,
}

/// An add, or a read and its value.
#[derive(PartialEq, Eq, Hash)]
enum Step {
    Add(i128),
    Read(i128),
}

impl Model for Total {
    type State = i128;
    type Step = Step;

    fn start(&self) -> i128 {
        0
    }

    fn apply(&self, total: &i128, step: &Step) -> Option<i128> {
        match step {
            Step::Add(delta) => Some(total + delta),
            Step::Read(value) => (value == total).then_some(*total),
        }
    }

    fn is_observation(&self, step: &Step) -> bool {
        matches!(step, Step::Read(_) | Step::Add(0))
    }

    fn height(&self, total: &i128) -> i128 {
        *total
    }

    fn climb(&self, step: &Step) -> i128 {
        match step {
            Step::Add(delta) => *delta,
            Step::Read(_) => 0,
        }
    }

    fn landmark(&self, step: &Step) -> Option<i128> {
        match step {
            Step::Read(value) if self.is_growing => Some(*value),
            _ => None,
        }
    }
}

fn actions(history: &History) -> Vec<Action<Step>> {
    let action = |(index, operation): (usize, &Operation<Call, Answer>)| {
        let step = value_read(operation)
            .map(Step::Read)
            .or_else(|| delta(operation).map(Step::Add))?;
        Some(Action {
            index,
            client: operation.client,
            invoked_at: operation.invoked_at,
            completed_at: operation.outcome.is_ok().then_some(operation.completed_at),
            step,
        })
    };
    history.iter().enumerate().filter_map(action).collect()
}

fn explain(history: &History, stuck: &Stuck<i128>) -> Finding {
    let next: Vec<String> = stuck
        .blocked
        .iter()
        .map(
            |&index| match (history[index].call, value_read(&history[index])) {
                (_, Some(value)) => format!("client c{}'s read of {value}", history[index].client),
                (call, None) => format!("client c{}'s {call}", history[index].client),
            },
        )
        .collect();
    let what = format!(
        "No single order explains all answers. The longest one ends with a total of {}, and then comes none of: {}.",
        stuck.state,
        next.join(", ")
    );
    let operations: Vec<usize> = stuck.placed.iter().chain(&stuck.blocked).copied().collect();
    Finding::violation(what, operations)
}

/// An add, and the reads between which its place in the order must be.
struct Window {
    index: usize,
    delta: i128,
    /// The highest value of a read that precedes it.
    above: Option<i128>,
    /// The lowest value of a read that follows it.
    below: Option<i128>,
    is_optional: bool,
}

/// Reads of a grow-only counter that fit into no order, as far as this can be decided without a search.
///
/// In any order, values rise. So an add that precedes a read of `u` also precedes every read of a higher value, and an
/// add that follows a read of `u` also follows every read of a lower value. A read must include all adds that precede
/// it, and may include only those that do not follow it.
fn reads_without_room(history: &History, order: Order) -> Vec<Finding> {
    let falls = falling_reads(history, order);
    if !falls.is_empty() {
        return falls;
    }
    let mut first_read: BTreeMap<i128, usize> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        if let Some(value) = value_read(operation) {
            first_read.entry(value).or_insert(index);
        }
    }
    let mut windows = windows(history, order);
    windows.sort_by_key(|window| window.above);
    let mut to_come = windows.into_iter().peekable();
    let mut open: Vec<Window> = Vec::new();
    let (mut least, mut latest) = (0, None);
    let mut findings = Vec::new();
    for (value, read) in first_read {
        open.extend(std::iter::from_fn(|| {
            to_come.next_if(|window| window.above.is_none_or(|above| above < value))
        }));
        open.retain(|window| {
            let is_before = !window.is_optional && window.below.is_some_and(|below| below <= value);
            if is_before {
                least += window.delta;
                latest = latest.max(Some(window.index));
            }
            !is_before
        });
        let mut possible = Sums::of(least);
        for window in &open {
            possible.allow(window.delta);
        }
        if possible.hold(value) != Some(false) {
            continue;
        }
        let reader = format!(
            "Client c{} read {value} from node {}",
            history[read].client, history[read].node
        );
        let what = if value < least {
            format!("{reader}, but in any one order at least {least} was added before.")
        } else if value > possible.highest() {
            format!(
                "{reader}, but in any one order at most {} was added before.",
                possible.highest()
            )
        } else {
            format!("{reader}, but in no one order do the adds before make that.")
        };
        findings.push(Finding::violation(
            what,
            latest.into_iter().chain([read]).collect::<Vec<_>>(),
        ));
    }
    findings
}

/// Reads with a lower value than a read that precedes them.
fn falling_reads(history: &History, order: Order) -> Vec<Finding> {
    let bounds = Bounds::of(history, order);
    let mut findings = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        let Some(value) = value_read(operation) else {
            continue;
        };
        let Some((before, earlier)) = bounds
            .above(index, operation)
            .filter(|(before, _)| *before > value)
        else {
            continue;
        };
        let what = format!(
            "Client c{} read {before} from node {}; after that, client c{} read {value} from node {}: the total fell.",
            history[earlier].client, history[earlier].node, operation.client, operation.node
        );
        findings.push(Finding::violation(what, [earlier, index]));
    }
    findings
}

fn windows(history: &History, order: Order) -> Vec<Window> {
    let bounds = Bounds::of(history, order);
    let window = |(index, operation): (usize, &Operation<Call, Answer>)| {
        let delta = delta(operation).filter(|delta| *delta != 0)?;
        let is_optional = !operation.outcome.is_ok();
        Some(Window {
            index,
            delta,
            above: bounds.above(index, operation).map(|(value, _)| value),
            below: if is_optional {
                None
            } else {
                bounds.below(index, operation)
            },
            is_optional,
        })
    };
    history.iter().enumerate().filter_map(window).collect()
}

/// For every position in a history, the highest read before it and the lowest read after it.
enum Bounds {
    /// By client: reads as (index, value), in order.
    Program(BTreeMap<usize, Extremes<usize>>),
    /// By real time: a read is before if it completed, and after if it was invoked later.
    RealTime {
        completed: Extremes<Duration>,
        invoked: Extremes<Duration>,
    },
}

/// Reads along one axis.
struct Extremes<T> {
    /// The position of each read, ascending.
    places: Vec<T>,
    /// The highest value up to and including each read, and the read that has it.
    highest: Vec<(i128, usize)>,
    /// The lowest value from each read on.
    lowest: Vec<i128>,
}

impl<T: Ord + Copy> Extremes<T> {
    fn of(mut reads: Vec<(T, usize, i128)>) -> Self {
        reads.sort_unstable();
        let mut highest: Vec<(i128, usize)> = reads
            .iter()
            .map(|&(_, index, value)| (value, index))
            .collect();
        let mut lowest: Vec<i128> = reads.iter().map(|&(_, _, value)| value).collect();
        for i in 1..reads.len() {
            if highest[i - 1].0 >= highest[i].0 {
                highest[i] = highest[i - 1];
            }
            let from_end = reads.len() - 1 - i;
            lowest[from_end] = lowest[from_end].min(lowest[from_end + 1]);
        }
        Extremes {
            places: reads.into_iter().map(|(place, _, _)| place).collect(),
            highest,
            lowest,
        }
    }

    fn highest_before(&self, place: T) -> Option<(i128, usize)> {
        let count = self.places.partition_point(|other| *other < place);
        count.checked_sub(1).map(|last| self.highest[last])
    }

    fn lowest_after(&self, place: T) -> Option<i128> {
        let first = self.places.partition_point(|other| *other <= place);
        self.lowest.get(first).copied()
    }
}

impl Bounds {
    fn of(history: &History, order: Order) -> Self {
        let reads = history.iter().enumerate();
        let reads =
            reads.filter_map(|(index, operation)| Some((index, operation, value_read(operation)?)));
        match order {
            Order::Program => {
                let mut clients: BTreeMap<usize, Vec<(usize, usize, i128)>> = BTreeMap::new();
                for (index, operation, value) in reads {
                    clients
                        .entry(operation.client)
                        .or_default()
                        .push((index, index, value));
                }
                Bounds::Program(
                    clients
                        .into_iter()
                        .map(|(client, reads)| (client, Extremes::of(reads)))
                        .collect(),
                )
            }
            Order::RealTime => {
                let (completed, invoked) = reads
                    .map(|(index, operation, value)| {
                        (
                            (operation.completed_at, index, value),
                            (operation.invoked_at, index, value),
                        )
                    })
                    .unzip();
                Bounds::RealTime {
                    completed: Extremes::of(completed),
                    invoked: Extremes::of(invoked),
                }
            }
        }
    }

    /// The highest value read before an operation, and the read.
    fn above(&self, index: usize, operation: &Operation<Call, Answer>) -> Option<(i128, usize)> {
        match self {
            Bounds::Program(clients) => clients.get(&operation.client)?.highest_before(index),
            Bounds::RealTime { completed, .. } => completed.highest_before(operation.invoked_at),
        }
    }

    /// The lowest value read after an operation.
    fn below(&self, index: usize, operation: &Operation<Call, Answer>) -> Option<i128> {
        match self {
            Bounds::Program(clients) => clients.get(&operation.client)?.lowest_after(index),
            Bounds::RealTime { invoked, .. } => invoked.lowest_after(operation.completed_at),
        }
    }
}
