//! The laziest store that is still sequentially consistent.
//!
//! # Definition
//!
//! A store is sequentially consistent (Lamport 1979) if there is one row of all operations in which the operations of
//! each client stand in their own order, and in which every answer is right. Time plays no part in it. This store keeps
//! such a row, and puts each new operation **as early in it as can be**: at the first place
//!
//! 1. after the last operation of the same client,
//! 2. where, whatever the operation itself is answered there, *every answer already given stays right*.
//!
//! The answer is what the state at that place gives. What this means for each kind of operation:
//!
//! - One that changes nothing where it is tried (a read, a failed cas, a cas from v to v) disturbs nobody's answer, so
//!   it stands right behind the client's last operation. A client that only reads never sees anything new.
//! - One that changes the key there (a write, a successful cas) may still stand there, *in the past of the others*, if
//!   whatever follows on that key gives the same answers as before. It does if nobody has looked at the key since, or
//!   if a write of the same key covers the change before anybody looks. So a change need not bring its client up to
//!   date: it learns of no other key.
//! - If some answer would become wrong, the operation is tried behind the one whose answer that is, and may turn out to
//!   change nothing there: a cas from a value that somebody else's cas has replaced is put behind that cas, and fails.
//!   So a failed cas is as up to date as it must be, and no more; that is all the progress that a register with unique
//!   values can rely on, and enough for it. A client that is a hundred changes behind fails a hundred times, though,
//!   before it succeeds: after a long fault that can take longer than an operation may wait.
//!
//! The end of the row is always such a place: nobody has looked there. So every operation has an answer.
//!
//! # Why that is legal, and why no legal store is lazier
//!
//! The row is the witness: condition 1 keeps each client's order, condition 2 all answers, and both hold after each
//! operation if they held before. A place still earlier breaks one of the two for this row. (A store that could put
//! *earlier* operations elsewhere in hindsight might find an earlier place; this one commits itself to the row, as any
//! store does that has to go by what it has done.)
//!
//! An answer is a value or the code of an error. The text of an error is for people.
//!
//! # How it is kept
//!
//! Only operations on the same key matter to each other, so each key has its own list of operations, and the row is
//! kept as labels: operations are in the order of their labels. A client's reads of one key in a row are kept as one. A
//! new label is half way to the next, and all labels are spread out again when there is no room (Dietz & Sleator 1987
//! in its simplest form).

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::kv::{Key, Request, kept};
use super::{Call, Service, answer};
use crate::protocol::Error;
use crate::workbench::network::Endpoint;

/// `seq-kv`, as far behind as sequential consistency allows, even for a client that has just changed something.
#[derive(Default)]
pub struct Lazy {
    row: Row,
    /// The last operation of each client.
    clients: BTreeMap<Endpoint, usize>,
    keys: BTreeMap<Key, Vec<Operation>>,
}

/// The row of all operations: each is a number, counted as they come, and has a label.
#[derive(Default)]
struct Row {
    labels: Vec<u64>,
    /// All operations in the order of their labels.
    order: BTreeMap<u64, usize>,
}

/// An operation on one key.
struct Operation {
    /// Its number in the row.
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

impl Row {
    /// Adds an operation behind that one, or at the beginning. Gives its number.
    fn insert_behind(&mut self, previous: Option<usize>) -> usize {
        let before = previous.map_or(0, |number| self.labels[number]);
        let label = match self.label_behind(before) {
            Some(label) => label,
            None => {
                self.spread();
                let before = previous.map_or(0, |number| self.labels[number]);
                let room = self.label_behind(before);
                room.expect("far fewer operations than labels")
            }
        };
        let number = self.labels.len();
        self.labels.push(label);
        self.order.insert(label, number);
        number
    }

    /// A free label behind that one, before the next that is taken.
    fn label_behind(&self, label: u64) -> Option<u64> {
        /// The space that is left where nothing follows, so that a row that grows at its end never runs out of it.
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

    /// Whether one stands before the other; `None` stands before all.
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
    /// What value would stand behind the operation if it were done on `after` instead of on `before`; `None` if its
    /// answer would be another.
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
                    // It failed for the same reason: there was no key, or the wrong value.
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

/// The values that stand behind the operations from `place` on when `value` stands before them instead of what did, up
/// to where it makes no difference any more; `None` when one of them would have another answer.
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
        let (key, request) = Request::new(call)?;
        if !self.keys.contains_key(&*key) {
            self.keys.insert(key.to_string(), Vec::new());
        }
        let operations = self.keys.get_mut(&*key);
        let operations = operations.expect("it has just been put there");
        let last = self.clients.get(&call.client).copied();
        let row = &mut self.row;
        let mut place = operations.partition_point(|other| row.is_before(other.number, last));
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
            // Someone's answer would be wrong. Perhaps not behind the next operation, whosever it is.
            previous = Some(operations[place].number);
            place += 1;
        };
        let answered = answer(
            call,
            &request,
            value_before(operations, place).as_deref(),
            out,
        );
        let repeats_last = matches!(request, Request::Read)
            && place > 0
            && Some(operations[place - 1].number) == last
            && matches!(operations[place - 1].kind, Kind::Read);
        if !repeats_last {
            let number = row.insert_behind(previous);
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
}

#[cfg(test)]
mod tests;
