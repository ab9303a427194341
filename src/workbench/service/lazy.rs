//! The laziest sequentially consistent store: each reply is as old as sequential consistency permits.
//!
//! # Definition
//!
//! A store is sequentially consistent (Lamport 1979) if there is one sequence of all operations in which the
//! operations of each client keep their order and every reply is right. Real time does not matter. This store keeps
//! such a sequence, and inserts each new operation **as early as possible**: at the first place
//!
//! 1. after the last operation of the same client,
//! 2. where *every reply already given stays right*, whatever the reply to the new operation is.
//!
//! The reply is what the state at that place gives. For each kind of operation this means:
//!
//! - An operation that changes nothing at the place where it is tried (a read, a failed cas, a cas from v to v) makes
//!   no other reply wrong, so it is inserted directly after the client's last operation. A client that only reads
//!   never sees anything new.
//! - An operation that changes the key there (a write, a successful cas) may still be inserted there, *before
//!   operations of other clients*, if all later operations on the key keep their replies. They do if none of them read
//!   the key, or if a write of the same key replaces the change before anybody reads it. So a change need not bring
//!   its client up to date: the client learns nothing about other keys.
//! - If a reply would become wrong, the operation is tried again after the operation with that reply. There it may
//!   change nothing: a cas from a value that another client's cas has replaced is inserted after that cas, and fails.
//!   So a failed cas is only as up to date as it must be. That is all the progress that a register with unique values
//!   can rely on, and it is enough. However, a client that is a hundred changes behind fails a hundred times before it
//!   succeeds: after a long fault, that can take longer than an operation may wait.
//!
//! The end of the sequence is always a valid place, because no operation follows it. So every operation gets a reply.
//!
//! # Why this is legal, and why no legal store is lazier
//!
//! The sequence proves it: condition 1 keeps each client's order, condition 2 keeps all replies right, and both hold
//! after each operation if they held before it. Any earlier place breaks one of the two for this sequence. (A store
//! that could move *earlier* operations in hindsight might find an earlier place. This store never moves them.)
//!
//! A reply here means the value or the code of an error. The text of an error may differ.
//!
//! # Data structure
//!
//! Only operations on the same key affect each other, so each key has its own list of operations. The order of the
//! whole sequence is kept as labels: operations are in the order of their labels. Consecutive reads of one key by the
//! same client are stored as one. A new label is half way to the next one, and all labels are spread out again when
//! there is none left between two (the simplest form of Dietz & Sleator 1987).

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::kv::{Key, Request, kept};
use super::{Call, Service, answer};
use crate::protocol::Error;
use crate::workbench::network::Endpoint;

/// `seq-kv` with the oldest replies that sequential consistency permits, even for a client that has just changed
/// something.
#[derive(Default)]
pub struct Lazy {
    sequence: Sequence,
    /// The last operation of each client.
    clients: BTreeMap<Endpoint, usize>,
    keys: BTreeMap<Key, Vec<Operation>>,
    is_stale: bool,
}

/// The sequence of all operations: each has a number, counted as they arrive, and a label.
#[derive(Default)]
struct Sequence {
    labels: Vec<u64>,
    /// The numbers of all operations in the order of their labels.
    order: BTreeMap<u64, usize>,
}

/// An operation on one key.
struct Operation {
    /// Its number in the sequence.
    number: usize,
    kind: Kind,
    /// The value after it.
    value: Value,
}

type Value = Option<Rc<RawValue>>;

enum Kind {
    Read,
    Write,
    CompareAndSet {
        from: Box<RawValue>,
        to: Rc<RawValue>,
        create: bool,
    },
}

impl Sequence {
    /// Inserts an operation directly after the given one, or at the beginning. Returns its number.
    fn insert_after(&mut self, previous: Option<usize>) -> usize {
        let before = previous.map_or(0, |number| self.labels[number]);
        let label = match self.label_after(before) {
            Some(label) => label,
            None => {
                self.spread();
                let before = previous.map_or(0, |number| self.labels[number]);
                let label = self.label_after(before);
                label.expect("far fewer operations than labels")
            }
        };
        let number = self.labels.len();
        self.labels.push(label);
        self.order.insert(label, number);
        number
    }

    /// A free label between the given label and the next one.
    fn label_after(&self, label: u64) -> Option<u64> {
        /// The distance between labels at the end, so that a sequence that grows at its end never runs out of labels.
        const STEP: u64 = 1 << 32;
        let free = label.checked_add(1)?;
        let next = self.order.range(free..).next();
        match next {
            Some((&next, _)) => Some(label + (next - label) / 2).filter(|&half| half > label),
            None => label.checked_add(STEP),
        }
    }

    fn spread(&mut self) {
        let step = u64::MAX / 2 / (self.order.len() as u64 + 1);
        let numbers: Vec<usize> = self.order.values().copied().collect();
        self.order.clear();
        for (place, number) in numbers.into_iter().enumerate() {
            let label = (place as u64 + 1) * step;
            self.labels[number] = label;
            self.order.insert(label, number);
        }
    }

    /// Whether one operation precedes the other; `None` precedes all.
    fn is_before(&self, one: usize, other: Option<usize>) -> bool {
        other.is_some_and(|other| self.labels[one] <= self.labels[other])
    }
}

impl Kind {
    fn new(request: &Request<'_>) -> Self {
        match *request {
            Request::Read => Kind::Read,
            Request::Write { .. } => Kind::Write,
            Request::CompareAndSet { from, to, create } => Kind::CompareAndSet {
                from: kept(from),
                to: Rc::from(kept(to)),
                create,
            },
        }
    }
}

impl Operation {
    /// The value after the operation if it runs on `after` instead of `before`; `None` if its reply would change.
    fn redone(&self, before: &Value, after: &Value) -> Option<Value> {
        match &self.kind {
            Kind::Write => Some(self.value.clone()),
            Kind::Read => is_same(before, after).then(|| after.clone()),
            Kind::CompareAndSet { from, to, create } => {
                let request = Request::CompareAndSet {
                    from,
                    to,
                    create: *create,
                };
                let was_done = request.sets(before.as_deref()).is_some();
                let is_done = request.sets(after.as_deref()).is_some();
                match (was_done, is_done) {
                    (true, true) => Some(Some(to.clone())),
                    // It failed for the same reason: the key did not exist, or had another value.
                    (false, false) if before.is_some() == after.is_some() => Some(after.clone()),
                    _ => None,
                }
            }
        }
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => super::kv::same(one, other),
        _ => false,
    }
}

/// The values after the operations from `place` on if `value` precedes them, up to the operation from which nothing
/// changes. `None` if one of their replies would change.
fn covered(operations: &[Operation], place: usize, value: &Value) -> Option<Vec<Value>> {
    let mut before = value_before(operations, place);
    let mut after = value.clone();
    let mut values = Vec::new();
    for operation in &operations[place..] {
        if is_same(&before, &after) {
            break;
        }
        after = operation.redone(&before, &after)?;
        before = operation.value.clone();
        values.push(after.clone());
    }
    Some(values)
}

fn value_before(operations: &[Operation], place: usize) -> Value {
    let previous = operations.get(place.wrapping_sub(1))?;
    previous.value.clone()
}

impl Service for Lazy {
    fn handle(&mut self, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.is_stale = false;
        let (key, request) = Request::new(call)?;
        if !self.keys.contains_key(&*key) {
            self.keys.insert(key.to_string(), Vec::new());
        }
        let operations = self.keys.get_mut(&*key);
        let operations = operations.expect("it has just been put there");
        let newest = value_before(operations, operations.len());
        let last = self.clients.get(&call.client).copied();
        let sequence = &mut self.sequence;
        let mut place = operations.partition_point(|other| sequence.is_before(other.number, last));
        let mut previous = last;
        let value = loop {
            let current = value_before(operations, place);
            let Some(new) = request.changes(current.as_deref()) else {
                break current;
            };
            let value: Value = Some(Rc::from(kept(new)));
            if let Some(values) = covered(operations, place, &value) {
                for (operation, value) in operations[place..].iter_mut().zip(values) {
                    operation.value = value;
                }
                break value;
            }
            // A reply would become wrong here, but perhaps not after the next operation, whichever client's it is.
            previous = Some(operations[place].number);
            place += 1;
        };
        let current = value_before(operations, place);
        let answered = answer(call, &request, current.as_deref(), out);
        self.is_stale = !matches!(request, Request::Write { .. }) && !is_same(&current, &newest);
        let repeats_last = matches!(request, Request::Read)
            && place > 0
            && Some(operations[place - 1].number) == last
            && matches!(operations[place - 1].kind, Kind::Read);
        if !repeats_last {
            let number = sequence.insert_after(previous);
            let kind = Kind::new(&request);
            let operation = Operation {
                number,
                kind,
                value,
            };
            operations.insert(place, operation);
            self.clients.insert(call.client, number);
        }
        answered
    }

    fn is_stale(&self) -> bool {
        self.is_stale
    }
}

#[cfg(test)]
mod tests;
