//! What `broadcast` and `g-set` share: a set that only grows, and that every node comes to hold.
//!
//! The times are those of Jepsen's `set-full`, so that figures can be compared. For each element:
//!
//! - it is *known* from the moment that its add was acknowledged or a read returned it, whichever is earlier;
//! - it is *stable* if the last read that could tell found it, and its *stable latency* is how long after it was known a
//!   read was still invoked that missed it;
//! - it is *stable but stale* if that is a millisecond or more;
//! - it is *lost* if it was known and the last read, invoked later, missed it;
//! - else it is *never read*: nothing can be said.
//!
//! Beyond upstream, every node's final read is held to this, not only the last of all; and a set must not hold what
//! nobody added, or what was refused with a definite error.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::finals::missing_final_reads;
use super::{Finding, Judgement};
use crate::workbench::history::{Node, Operation};

/// What a set's judge sees of a call.
pub enum Call<'a> {
    /// Add this element.
    Add(&'a Value),
    /// Tell all elements.
    Read,
}

/// How a workload's own types are seen as those of a set.
pub struct View<C, R> {
    /// What a call is.
    pub call: fn(&C) -> Call<'_>,
    /// The elements in an answer to a read.
    pub elements: fn(&R) -> &[Value],
}

/// The quantiles of latencies that are worth showing.
const QUANTILES: [f64; 5] = [0.0, 0.5, 0.95, 0.99, 1.0];

/// How many elements a fact lists by name.
const ELEMENTS_LISTED_MAX: usize = 32;

/// Judges a run.
pub fn judge<C, R>(history: &[Operation<C, R>], view: &View<C, R>) -> Judgement {
    let set = Set::of(history, view);
    let mut judgement = Judgement::valid();
    let is_read = |call: &C| matches!((view.call)(call), Call::Read);
    judgement.add_all("missing_final_reads", missing_final_reads(history, is_read));
    judgement.add_all("lost", set.lost());
    judgement.add_all("missing_at_a_node", set.missing_at_a_node());
    judgement.add_all("duplicated", set.duplicated);
    judgement.add_all("never_added", set.never_added);

    let stable: Vec<&Element> = set
        .elements
        .iter()
        .filter(|element| element.fate() == Fate::Stable)
        .collect();
    if stable.is_empty() {
        judgement.add(Finding::unknown(
            "Nothing that was added was ever read, so there is nothing to judge.",
            [],
        ));
    }
    judgement.fact("attempts", set.elements.len());
    judgement.fact("stable", stable.len());
    judgement.fact(
        "never_read",
        set.elements
            .iter()
            .filter(|element| element.fate() == Fate::NeverRead)
            .count(),
    );
    let mut stale: Vec<&Element> = stable
        .iter()
        .copied()
        .filter(|element| element.stable_latency_ms() > 0)
        .collect();
    stale.sort_by_key(|element| std::cmp::Reverse(element.stable_latency_ms()));
    judgement.fact("stale", stale.len());
    let worst = stale.iter().take(ELEMENTS_LISTED_MAX);
    let worst = worst.map(
        |element| json!({ "element": element.value, "latency_ms": element.stable_latency_ms() }),
    );
    judgement.fact("worst_stale", worst.collect::<Vec<_>>());
    let latencies_ms: Vec<u64> = stable
        .iter()
        .map(|element| element.stable_latency_ms())
        .collect();
    judgement.fact("stable_latencies_ms", quantiles(latencies_ms));
    judgement
}

/// Numbers at [`QUANTILES`], by the quantile's name.
fn quantiles(mut numbers: Vec<u64>) -> Map<String, Value> {
    numbers.sort_unstable();
    let at = |quantile: f64| {
        numbers
            .get(((numbers.len() as f64 * quantile) as usize).min(numbers.len() - 1))
            .copied()
    };
    if numbers.is_empty() {
        return Map::new();
    }
    QUANTILES
        .iter()
        .map(|quantile| (quantile.to_string(), json!(at(*quantile))))
        .collect()
}

/// What became of an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stable,
    Lost,
    NeverRead,
}

/// A read, and when it was invoked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sighting {
    invoked_at: Duration,
    index: usize,
}

/// An element that somebody tried to add.
struct Element<'a> {
    value: &'a Value,
    /// The add.
    index: usize,
    invoked_at: Duration,
    is_refused: bool,
    known_at: Option<Duration>,
    last_present: Option<Sighting>,
    last_absent: Option<Sighting>,
}

impl Element<'_> {
    fn fate(&self) -> Fate {
        if self.last_present.is_some() && self.last_absent < self.last_present {
            return Fate::Stable;
        }
        match (self.known_at, self.last_absent) {
            (Some(known_at), Some(absent)) if known_at < absent.invoked_at => Fate::Lost,
            _ => Fate::NeverRead,
        }
    }

    fn stable_latency_ms(&self) -> u64 {
        let (Some(known_at), Some(absent)) = (self.known_at, self.last_absent) else {
            return 0;
        };
        absent.invoked_at.saturating_sub(known_at).as_millis() as u64
    }
}

/// A read that was answered.
struct Read<'a> {
    sighting: Sighting,
    completed_at: Duration,
    node: &'a Node,
    is_final: bool,
    /// Ascending, without duplicates.
    held: Vec<usize>,
}

struct Set<'a> {
    elements: Vec<Element<'a>>,
    reads: Vec<Read<'a>>,
    duplicated: Vec<Finding>,
    never_added: Vec<Finding>,
}

impl<'a> Set<'a> {
    fn of<C, R>(history: &'a [Operation<C, R>], view: &View<C, R>) -> Self {
        let mut set = Set {
            elements: Vec::new(),
            reads: Vec::new(),
            duplicated: Vec::new(),
            never_added: Vec::new(),
        };
        let mut numbers: HashMap<&Value, usize> = HashMap::new();
        for (index, operation) in history.iter().enumerate() {
            let Call::Add(value) = (view.call)(&operation.call) else {
                continue;
            };
            numbers.entry(value).or_insert(set.elements.len());
            set.elements.push(Element {
                value,
                index,
                invoked_at: operation.invoked_at,
                is_refused: operation.outcome.is_failed(),
                known_at: operation.outcome.is_ok().then_some(operation.completed_at),
                last_present: None,
                last_absent: None,
            });
        }
        for (index, operation) in history.iter().enumerate() {
            if let (Call::Read, Some(answer)) =
                ((view.call)(&operation.call), operation.outcome.answer())
            {
                set.add_read(index, operation, (view.elements)(answer), &numbers);
            }
        }
        for read in &set.reads {
            let mut held = read.held.iter().peekable();
            for (number, element) in set.elements.iter_mut().enumerate() {
                if held.next_if_eq(&&number).is_some() {
                    let known_at = element.known_at.get_or_insert(read.completed_at);
                    *known_at = read.completed_at.min(*known_at);
                    element.last_present = element.last_present.max(Some(read.sighting));
                } else if element.invoked_at <= read.completed_at {
                    element.last_absent = element.last_absent.max(Some(read.sighting));
                }
            }
        }
        set
    }

    fn add_read<C, R>(
        &mut self,
        index: usize,
        operation: &'a Operation<C, R>,
        values: &[Value],
        numbers: &HashMap<&Value, usize>,
    ) {
        let reader = format!(
            "Node {} answered client {} with",
            operation.node, operation.client
        );
        let mut held = Vec::with_capacity(values.len());
        for value in values {
            let element = numbers
                .get(value)
                .map(|&number| (number, &self.elements[number]));
            let unexpected = match element {
                Some((_, element)) if element.is_refused => {
                    Some("which it had refused to add with a definite error")
                }
                Some((_, element)) if element.invoked_at > operation.completed_at => {
                    Some("before anybody sent that")
                }
                Some((number, _)) => {
                    held.push(number);
                    None
                }
                None => Some("which nobody ever sent"),
            };
            if let Some(why) = unexpected {
                let add = element.map(|(_, element)| element.index);
                let proof: Vec<usize> = add.into_iter().chain([index]).collect();
                self.never_added
                    .push(Finding::invalid(format!("{reader} {value}, {why}."), proof));
            }
        }
        held.sort_unstable();
        if let Some(pair) = held.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!(
                "{reader} a set that holds {} more than once.",
                self.elements[pair[0]].value
            );
            self.duplicated.push(Finding::invalid(what, [index]));
        }
        held.dedup();
        self.reads.push(Read {
            sighting: Sighting {
                invoked_at: operation.invoked_at,
                index,
            },
            completed_at: operation.completed_at,
            node: &operation.node,
            is_final: operation.is_final,
            held,
        });
    }

    /// Elements that the last read of all missed.
    fn lost(&self) -> Vec<Finding> {
        let lost = self
            .elements
            .iter()
            .filter(|element| element.fate() == Fate::Lost);
        let finding = |element: &Element| {
            let absent = element.last_absent?;
            let (value, mut proof) = (element.value, vec![element.index]);
            let what = match element.last_present {
                Some(present) => {
                    proof.push(present.index);
                    format!("{value} was lost: it was read for the last time, and then no longer.")
                }
                None => {
                    format!("{value} was lost: it was acknowledged, but no read ever returned it.")
                }
            };
            proof.push(absent.index);
            Some(Finding::invalid(what, proof))
        };
        lost.filter_map(finding).collect()
    }

    /// Elements that others have, but that the final read of some node misses.
    fn missing_at_a_node(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for read in self.reads.iter().filter(|read| read.is_final) {
            let was_known = |element: &Element| {
                element
                    .known_at
                    .is_some_and(|known| known < read.sighting.invoked_at)
            };
            for (number, element) in self.elements.iter().enumerate() {
                let is_missed = was_known(element) && read.held.binary_search(&number).is_err();
                if is_missed && element.fate() == Fate::Stable {
                    let what = format!(
                        "{} never reached node {}: its final read lacks it.",
                        element.value, read.node
                    );
                    findings.push(Finding::invalid(what, [element.index, read.sighting.index]));
                }
            }
        }
        findings
    }
}
