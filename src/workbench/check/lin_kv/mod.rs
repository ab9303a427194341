//! The checker for `lin-kv`: each key is linearizable (Herlihy & Wing 1990).
//!
//! Linearizability is local: a store is linearizable if and only if each of its keys is. So every key is
//! [searched](super::search) separately. 10,000 operations on 50 keys, some writes and cas of unknown outcome among
//! them, take some 50 ms; 10,000 operations of 20 clients on a single key take less than a second if the replies are
//! right. A fault late in a long history with many operations of unknown outcome on one key can be too hard to prove:
//! then the verdict is *unknown*.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::search::{Action, Model, Order, SearchResult, Stuck, search};
use super::{Finding, Verdict};
use crate::workbench::history::Operation;
use crate::workbench::json::Json;

/// A request of a client. Keys and values are any JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Return the value of this key.
    Read(Json),
    /// Set the value of this key.
    Write(Json, Json),
    /// Set the value of this key to `to` if it is `from`.
    Cas {
        /// The key.
        key: Json,
        /// The expected value.
        from: Json,
        /// The new value.
        to: Json,
    },
}

impl Call {
    /// The key of the request.
    pub fn key(&self) -> &Json {
        match self {
            Call::Read(key) | Call::Write(key, _) | Call::Cas { key, .. } => key,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Read(_) => write!(f, "read"),
            Call::Write(_, value) => write!(f, "write of {value}"),
            Call::Cas { from, to, .. } => write!(f, "cas from {from} to {to}"),
        }
    }
}

/// A reply that shows something about the key's value.
///
/// Errors 20 and 22 are answers here, not failures: a store that reports a missing key or a different value has looked
/// at the key.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To a read: the value.
    Value(Json),
    /// To a write or a successful cas.
    Done,
    /// To a read or a cas: the key does not exist (error 20).
    Missing,
    /// To a cas: the value is a different one (error 22).
    Different,
}

/// Checks every key.
pub fn check(history: &[Operation<Call, Answer>]) -> Verdict {
    let mut verdict = Verdict::valid();
    let mut keys: HashMap<&Json, Vec<usize>> = HashMap::new();
    for (index, operation) in history.iter().enumerate() {
        keys.entry(operation.call.key()).or_default().push(index);
    }
    verdict.fact("keys", keys.len());
    // In the order of their first use, so that equal histories get equal verdicts.
    let keys: BTreeMap<usize, (&Json, Vec<usize>)> = keys
        .into_iter()
        .map(|(key, indices)| (indices[0], (key, indices)))
        .collect();
    let mut findings = Vec::new();
    for (key, indices) in keys.values() {
        let (register, actions) = register(history, indices);
        match search(&register, &actions, Order::RealTime) {
            SearchResult::Possible => {}
            SearchResult::Impossible(stuck) => {
                findings.push(explain(history, key, &register, &stuck))
            }
            SearchResult::Undecided => {
                let what =
                    format!("Whether key {key} is linearizable would take too long to find out.");
                findings.push(Finding::undecided(what, []));
            }
        }
    }
    verdict.add_all("not_linearizable", findings);
    verdict
}

/// The sequential specification of one key. Values are numbered, so that a state is small.
struct Register<'a> {
    values: Vec<&'a Json>,
}

/// The number of a value, as an index into [`Register::values`]; `None` if the key does not exist.
type State = Option<u32>;

#[derive(PartialEq, Eq, Hash)]
enum Step {
    Read(State),
    Write(u32),
    Cas { from: u32, to: u32 },
    Different { from: u32 },
}

impl Model for Register<'_> {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        None
    }

    fn apply(&self, state: &State, step: &Step) -> Option<State> {
        match *step {
            Step::Read(value) => (*state == value).then_some(*state),
            Step::Write(value) => Some(Some(value)),
            Step::Cas { from, to } => (*state == Some(from)).then_some(Some(to)),
            // Upstream accepts this answer also if the key does not exist.
            Step::Different { from } => (*state != Some(from)).then_some(*state),
        }
    }

    fn is_observation(&self, step: &Step) -> bool {
        match step {
            Step::Read(_) | Step::Different { .. } => true,
            Step::Cas { from, to } => from == to,
            // This holds even for a cas from a value to itself: placed later, it may restore that value.
            Step::Write(_) => false,
        }
    }
}

/// The steps on one key, without operations that failed and reads that were not answered.
fn register<'a>(
    history: &'a [Operation<Call, Answer>],
    indices: &[usize],
) -> (Register<'a>, Vec<Action<Step>>) {
    let mut values = Vec::new();
    let mut numbers: HashMap<&Json, u32> = HashMap::new();
    let mut number = |value: &'a Json| {
        *numbers.entry(value).or_insert_with(|| {
            values.push(value);
            values.len() as u32 - 1
        })
    };
    let mut actions = Vec::new();
    for &index in indices {
        let operation = &history[index];
        if operation.outcome.is_failed() {
            continue;
        }
        let step = match (&operation.call, operation.outcome.answer()) {
            // Nobody writes null: a read of null means that the key does not exist.
            (Call::Read(_), Some(Answer::Value(Json::Null)))
            | (Call::Read(_) | Call::Cas { .. }, Some(Answer::Missing)) => Step::Read(None),
            (Call::Read(_), Some(Answer::Value(value))) => Step::Read(Some(number(value))),
            (Call::Read(_), _) => continue,
            (Call::Write(_, value), _) => Step::Write(number(value)),
            (Call::Cas { from, .. }, Some(Answer::Different)) => {
                Step::Different { from: number(from) }
            }
            (Call::Cas { from, to, .. }, _) => Step::Cas {
                from: number(from),
                to: number(to),
            },
        };
        actions.push(Action {
            index,
            client: operation.client,
            invoked_at: operation.invoked_at,
            completed_at: operation.outcome.is_ok().then_some(operation.completed_at),
            step,
        });
    }
    (Register { values }, actions)
}

fn explain(
    history: &[Operation<Call, Answer>],
    key: &Json,
    register: &Register<'_>,
    stuck: &Stuck<State>,
) -> Finding {
    let describe = |&index: &usize| {
        let Operation {
            client,
            call,
            outcome,
            ..
        } = &history[index];
        match outcome.answer() {
            Some(Answer::Value(value)) => format!("client c{client}'s {call} that gave {value}"),
            Some(Answer::Missing) => format!("client c{client}'s {call} that found no key"),
            Some(Answer::Different) => {
                format!("client c{client}'s {call} that found another value")
            }
            Some(Answer::Done) | None => format!("client c{client}'s {call}"),
        }
    };
    let state = match stuck.state {
        Some(number) => format!("the value is {}", register.values[number as usize]),
        None => "there is no value yet".to_owned(),
    };
    let blocked: Vec<String> = stuck.blocked.iter().map(describe).collect();
    // The history may have no times, only an order.
    let what = format!(
        "Key {key} is not linearizable: no order in which each operation comes after those that had completed before it \
         began explains its answers. At best {state} when it is the turn of {}.",
        blocked.join(" or ")
    );
    Finding::violation(
        what,
        stuck
            .placed
            .iter()
            .chain(&stuck.blocked)
            .copied()
            .collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests;
