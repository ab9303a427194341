//! The common checker of `broadcast` and `g-set`: a set that only grows and reaches every node.
//!
//! The times are those of Jepsen's `set-full`, so that figures can be compared. For each element:
//!
//! - it is *known* from the moment that its add was acknowledged or a read returned it, whichever is earlier;
//! - it is *stable* if the last relevant read returned it. Its *stable latency* is the time from when it was known to
//!   the last invocation of a read that missed it;
//! - it is *stable but stale* if this latency is a millisecond or more;
//! - it is *lost* if it was known and the last read, invoked later, missed it;
//! - otherwise it is *never read*: the history shows nothing about it.
//!
//! Beyond upstream, the final read of every node is checked: upstream checks the last read of all, and which of the
//! final reads that is, is chance. A read must not return an element twice, an element that nobody added, or one whose
//! add failed with a definite error. A number that was added and returned as a string is reported as that.

mod elements;
mod open;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem;
use std::ops::Range;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::finals::missing_final_reads;
use super::{Finding, Verdict};
use crate::workbench::history::{Node, Operation};
use open::Open;

pub use elements::Elements;

/// A request of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Add this element, or broadcast this message.
    Add(u64),
    /// Return all that the node has.
    Read,
}

/// A successful reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To an add.
    Added,
    /// To a read: all that the node has.
    Elements(Elements),
}

/// The quantiles of latencies in the facts.
const QUANTILES: [f64; 5] = [0.0, 0.5, 0.95, 0.99, 1.0];

/// The maximum number of elements that a fact lists.
const ELEMENTS_LISTED_MAX: usize = 32;

/// Finds lost, duplicated and unexpected elements, and measures how long each took to reach all nodes.
pub fn check(history: &[Operation<Call, Answer>]) -> Verdict {
    let mut set = Set::of(history);
    let mut verdict = Verdict::valid();
    let is_read = |call: &Call| matches!(call, Call::Read);
    // First: a node that returns strings lacks every number as well, and this finding says why.
    verdict.add_all("strings_for_numbers", mem::take(&mut set.strings));
    verdict.add_verdict(missing_final_reads(history, is_read));
    verdict.add_all("lost", set.lost());
    verdict.add_all("missing_at_a_node", set.missing_at_a_node());
    verdict.add_all("duplicated", set.repeated);
    verdict.add_all("never_added", set.never_added);

    let elements = &set.elements;
    let with_fate = |fate| {
        elements
            .iter()
            .filter(move |element| element.fate() == fate)
    };
    let stable: Vec<&Element> = with_fate(Fate::Stable).collect();
    let never_read = with_fate(Fate::NeverRead).count();
    if never_read == elements.len() {
        verdict.add(Finding::undecided(
            "Nothing that was added was ever read, so there is nothing to check.",
            [],
        ));
    }
    verdict.fact("attempts", elements.len());
    verdict.fact("stable", stable.len());
    verdict.fact("never_read", never_read);
    let mut stale: Vec<&Element> = stable
        .iter()
        .copied()
        .filter(|element| element.stable_latency_ms() > 0)
        .collect();
    stale.sort_by_key(|element| std::cmp::Reverse(element.stable_latency_ms()));
    verdict.fact("stale", stale.len());
    let worst = stale.iter().take(ELEMENTS_LISTED_MAX);
    let worst = worst.map(
        |element| json!({ "element": element.value, "latency_ms": element.stable_latency_ms() }),
    );
    verdict.fact("worst_stale", worst.collect::<Vec<_>>());
    let latencies_ms: Vec<u64> = stable
        .iter()
        .map(|element| element.stable_latency_ms())
        .collect();
    verdict.fact("stable_latencies_ms", quantiles(latencies_ms));
    verdict
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

/// What happened to an element.
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

/// An element that a client tried to add.
struct Element {
    value: u64,
    /// The add.
    index: usize,
    invoked_at: Duration,
    is_refused: bool,
    known_at: Option<Duration>,
    last_present: Option<Sighting>,
    last_absent: Option<Sighting>,
}

impl Element {
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
    /// The positions of the elements that the read returned, as ascending ranges.
    held: Vec<Range<usize>>,
}

impl Read<'_> {
    /// The positions before `end` of the elements that the read missed, as ranges.
    fn missed(&self, end: usize) -> impl Iterator<Item = Range<usize>> {
        let ends = self.held.iter().map(|held| held.end);
        let starts = self.held.iter().map(|held| held.start).chain([end]);
        let gaps = std::iter::once(0).chain(ends).zip(starts);
        gaps.map(move |(from, to)| from..to.min(end))
    }
}

/// All elements and reads of a history. Elements are in the order of their values, which is the order in which clients
/// add them, so a read returns a few ranges of positions.
struct Set<'a> {
    elements: Vec<Element>,
    reads: Vec<Read<'a>>,
    repeated: Vec<Finding>,
    never_added: Vec<Finding>,
    /// Reads that returned numbers as strings, such as `"1"`.
    strings: Vec<Finding>,
}

impl<'a> Set<'a> {
    fn of(history: &'a [Operation<Call, Answer>]) -> Self {
        let mut set = Set {
            elements: elements(history),
            reads: Vec::new(),
            repeated: Vec::new(),
            never_added: Vec::new(),
            strings: Vec::new(),
        };
        for (index, operation) in history.iter().enumerate() {
            if let Some(Answer::Elements(returned)) = operation.outcome.answer() {
                set.add_read(index, operation, returned);
            }
        }
        set.note_when_known();
        set.note_last_reads();
        set
    }

    /// The element with this value.
    fn element(&self, value: u64) -> Option<&Element> {
        let elements = &self.elements;
        let position = elements.binary_search_by_key(&value, |element| element.value);
        Some(&elements[position.ok()?])
    }

    fn add_read(
        &mut self,
        index: usize,
        operation: &'a Operation<Call, Answer>,
        returned: &Elements,
    ) {
        let reader = format!(
            "Node {} answered client c{} with",
            operation.node, operation.client
        );
        let unexpected = |value: &dyn Display, why: &str, add: Option<usize>| {
            let proof: Vec<usize> = add.into_iter().chain([index]).collect();
            Finding::violation(format!("{reader} {value}, {why}."), proof)
        };
        let mut held: Vec<Range<usize>> = Vec::new();
        for value in returned.ranges().iter().cloned().flatten() {
            let next = held.last().map_or(0, |range| range.end);
            let is_next = |element: &Element| element.value == value;
            // Nearly always it is the next position.
            let position = match self.elements.get(next) {
                Some(element) if is_next(element) => Ok(next),
                _ => self
                    .elements
                    .binary_search_by_key(&value, |element| element.value),
            };
            let Ok(position) = position else {
                let finding = unexpected(&value, "which nobody ever sent", None);
                self.never_added.push(finding.of_element(value));
                continue;
            };
            let element = &self.elements[position];
            if element.is_refused {
                let why = "which it had refused to add with a definite error";
                let finding = unexpected(&value, why, Some(element.index));
                self.never_added.push(finding.of_element(value));
            } else if element.invoked_at > operation.completed_at {
                let why = "before anybody sent that";
                let finding = unexpected(&value, why, Some(element.index));
                self.never_added.push(finding.of_element(value));
            } else {
                match held.last_mut() {
                    Some(range) if range.end == position => range.end += 1,
                    _ => held.push(position..position + 1),
                }
            }
        }
        let mut has_strings = false;
        for value in returned.strange() {
            let add = value
                .number_in_string()
                .and_then(|number| self.element(number));
            let Some(add) = add else {
                let finding = unexpected(value, "which nobody ever sent", None);
                self.never_added.push(finding);
                continue;
            };
            // One is enough: the others are wrong in the same way.
            if !has_strings {
                has_strings = true;
                let number = add.value;
                let what =
                    format!("{reader} the string {value} where the number {number} was sent.");
                let finding = Finding::violation(what, [add.index, index]);
                self.strings.push(finding.of_element(number));
            }
        }
        if let Some(value) = returned.repeated().first() {
            let what = format!("{reader} a set that holds {value} more than once.");
            let add = self.element(*value).map(|element| element.index);
            let proof: Vec<usize> = add.into_iter().chain([index]).collect();
            // Jepsen means to call it invalid, but compares the number of times with the wrong one, and so never does.
            self.repeated
                .push(Finding::warning(what, proof).of_element(*value));
        }
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

    /// An element is known when a read that returned it completed, if its add was not acknowledged before.
    fn note_when_known(&mut self) {
        self.reads.sort_by_key(|read| read.completed_at);
        let mut open = Open::new(self.elements.len());
        for read in &self.reads {
            for held in read.held.iter().cloned() {
                open.offer(held, |position| {
                    let known_at = &mut self.elements[position].known_at;
                    *known_at = Some(known_at.map_or(read.completed_at, |known_at| {
                        known_at.min(read.completed_at)
                    }));
                    true
                });
            }
        }
    }

    /// For each element, the last read that returned it, and the last that missed it although it completed after the
    /// add had begun.
    fn note_last_reads(&mut self) {
        self.reads.sort_by_key(|read| Reverse(read.sighting));
        let count = self.elements.len();
        let mut began_from: Vec<Duration> =
            self.elements.iter().map(|add| add.invoked_at).collect();
        for position in (1..count).rev() {
            began_from[position - 1] = began_from[position].min(began_from[position - 1]);
        }
        let (mut not_seen, mut not_missed) = (Open::new(count), Open::new(count));
        for read in &self.reads {
            for held in read.held.iter().cloned() {
                not_seen.offer(held, |position| {
                    self.elements[position].last_present = Some(read.sighting);
                    true
                });
            }
            // All further adds began later.
            let end = began_from.partition_point(|began_at| *began_at <= read.completed_at);
            for missed in read.missed(end) {
                not_missed.offer(missed, |position| {
                    let element = &mut self.elements[position];
                    let could_be = element.invoked_at <= read.completed_at;
                    if could_be {
                        element.last_absent = Some(read.sighting);
                    }
                    could_be
                });
            }
        }
    }

    /// Elements that the last read of all missed.
    fn lost(&self) -> Vec<Finding> {
        let elements = self.elements.iter().enumerate();
        let lost: Vec<(usize, &Element)> = elements
            .filter(|(_, element)| element.fate() == Fate::Lost)
            .collect();
        if lost.is_empty() {
            return Vec::new();
        }
        let last_held = self.last_held_by_node();
        let finding = |(position, element): (usize, &Element)| {
            let (value, add) = (element.value, element.index);
            // From the latest read back, all that missed the element after the last one that returned it.
            let mut missed = self
                .reads
                .iter()
                .take_while(|read| Some(read.sighting) > element.last_present)
                .filter(|read| read.completed_at >= element.invoked_at);
            let last = missed.clone().next()?;
            let Some(present) = element.last_present else {
                let what =
                    format!("{value} was lost: it was acknowledged, but no read ever returned it.");
                let finding = Finding::violation(what, [add, last.sighting.index]);
                return Some(finding.of_element(value));
            };
            let lost_it = missed.find_map(|read| Some((read, last_held[read.node][position]?)));
            let finding = match lost_it {
                Some((read, held)) => {
                    let what = format!(
                        "{value} was lost: a read of node {} returned it, and a later one no longer did.",
                        read.node
                    );
                    Finding::violation(what, [add, held, read.sighting.index])
                }
                None => self.lacks(last, element, present),
            };
            Some(finding.of_element(value))
        };
        lost.into_iter().filter_map(finding).collect()
    }

    /// For each node and element, the last read of the node that returned the element.
    fn last_held_by_node(&self) -> BTreeMap<&Node, Vec<Option<usize>>> {
        let count = self.elements.len();
        let mut by_node: BTreeMap<&Node, (Open, Vec<Option<usize>>)> = BTreeMap::new();
        // From the latest read back.
        for read in &self.reads {
            let (not_seen, last_held) = by_node
                .entry(read.node)
                .or_insert_with(|| (Open::new(count), vec![None; count]));
            for held in read.held.iter().cloned() {
                not_seen.offer(held, |position| {
                    last_held[position] = Some(read.sighting.index);
                    true
                });
            }
        }
        let by_node = by_node.into_iter();
        by_node
            .map(|(node, (_, last_held))| (node, last_held))
            .collect()
    }

    /// Elements that other nodes have but that the final read of a node misses: once for each such node.
    fn missing_at_a_node(&self) -> Vec<Finding> {
        let mut missing: BTreeMap<(&Node, usize), &Read<'_>> = BTreeMap::new();
        for read in self.reads.iter().filter(|read| read.is_final) {
            for position in read.missed(self.elements.len()).flatten() {
                let element = &self.elements[position];
                let known_at = element.known_at;
                let was_known = known_at.is_some_and(|known| known < read.sighting.invoked_at);
                if was_known && element.fate() == Fate::Stable {
                    let first = missing.entry((read.node, position)).or_insert(read);
                    if read.sighting.index < first.sighting.index {
                        *first = read;
                    }
                }
            }
        }
        let findings = missing.into_iter().filter_map(|((_, position), read)| {
            let element = &self.elements[position];
            Some(self.lacks(read, element, element.last_present?))
        });
        findings.collect()
    }

    /// The finding that the last read of a node lacks an element, which the read `present` returned.
    fn lacks(&self, read: &Read<'_>, element: &Element, present: Sighting) -> Finding {
        let (node, value) = (read.node, element.value);
        let last = if read.is_final { "final" } else { "last" };
        // `reads` is sorted by descending sighting.
        let position = self
            .reads
            .binary_search_by_key(&Reverse(present), |other| Reverse(other.sighting));
        let other = self.reads[position.expect("one of the reads")].node;
        let by = match other == node {
            true => String::from("another read of that node"),
            false => format!("a read of node {other}"),
        };
        let what = format!("The {last} read of node {node} lacks {value}, which {by} returned.");
        let mut reads = [present.index, read.sighting.index];
        reads.sort_unstable();
        Finding::violation(what, [element.index, reads[0], reads[1]]).of_element(value)
    }
}

/// The elements that clients tried to add, in the order of values, each once.
fn elements(history: &[Operation<Call, Answer>]) -> Vec<Element> {
    let adds = history.iter().enumerate();
    let element = |(index, operation): (usize, &Operation<Call, Answer>)| {
        let Call::Add(value) = operation.call else {
            return None;
        };
        Some(Element {
            value,
            index,
            invoked_at: operation.invoked_at,
            is_refused: operation.outcome.is_failed(),
            known_at: operation.outcome.is_ok().then_some(operation.completed_at),
            last_present: None,
            last_absent: None,
        })
    };
    let mut elements: Vec<Element> = adds.filter_map(element).collect();
    elements.sort_by_key(|element| element.value);
    elements.dedup_by_key(|element| element.value);
    elements
}

#[cfg(test)]
mod tests;
