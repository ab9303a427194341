//! The checker for `txn-list-append` and `txn-rw-register`: transactions satisfy consistency models.
//!
//! The method is Elle's (Kingsbury & Alvaro, "Elle: inferring isolation anomalies from experimental observations",
//! 2020). Every value is written once, so a read shows which transaction it saw. From the reads follows which
//! transactions must have come before which others. These dependencies form a graph, and a cycle in it proves that no
//! order of the transactions explains the replies. Each [`Model`] forbids certain cycles.
//!
//! | file | what it does |
//! |---|---|
//! | `model` | the consistency models, and what each forbids |
//! | `index` | one pass over all steps: what was written and read, key by key |
//! | `list_append`, `rw_register` | the two kinds of data, and the dependencies that follow from their reads |
//! | `graph` | the dependencies |
//! | `cycle` | the search for forbidden cycles |
//! | `anomaly` | the kinds of anomaly other than cycles, and the list of all anomalies found |
//! | `unread` | the warning that no transaction read what another one wrote |
//!
//! Two warnings go beyond the models, because a node can hardly mean what they are about: a transaction that misses its own
//! write under a model that permits it, and a run in which no transaction reads what another one wrote.
//!
//! Every reported fault is proven. Not every fault is found: a write that nobody reads leaves no trace, and a
//! register's reads show less of the order of writes than a list's.
//!
//! A transaction of unknown outcome counts as committed if another transaction read what it wrote. Had it been
//! aborted, that read would be an aborted read (G1a), so the history is wrong either way. (Only read-uncommitted
//! permits an aborted read; there, as in Elle, a transaction that was read counts as committed.) If nobody read its
//! writes, no cycle includes it.

mod anomaly;
mod cycle;
mod graph;
mod index;
pub mod list_append;
mod model;
pub mod rw_register;
#[cfg(test)]
mod tests;
mod unread;

use std::time::Duration;

use super::{Finding, Verdict};
use crate::workbench::history::{Node, Operation, Outcome};
use crate::workbench::json::Json;
use anomaly::Anomalies;
use graph::Graph;
use index::Index;
pub use model::{Cycles, MODELS, Model, Order};

/// One step of a transaction. Keys and values are any JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the value of a key.
    Read {
        /// The key.
        key: Json,
        /// The value: `null` in a request, and in a reply if the key has none.
        value: Json,
    },
    /// Set a key's value (`txn-rw-register`), or append to it (`txn-list-append`).
    Write {
        /// The key.
        key: Json,
        /// The value that is written, never written to this key before.
        value: Json,
    },
}

impl Step {
    /// The key of the step.
    pub fn key(&self) -> &Json {
        match self {
            Step::Read { key, .. } | Step::Write { key, .. } => key,
        }
    }

    /// The value that is read or written.
    pub fn value(&self) -> &Json {
        match self {
            Step::Read { value, .. } | Step::Write { value, .. } => value,
        }
    }
}

/// A transaction as it was requested.
pub type Call = Vec<Step>;

/// The same transaction, with the values that it read.
pub type Answer = Vec<Step>;

/// A history of transactions.
pub type History = [Operation<Call, Answer>];

/// The outcome of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Committed,
    Aborted,
    Unknown,
}

/// A transaction of the history.
struct Transaction<'a> {
    /// Its index in the history, by which findings name it.
    index: usize,
    client: usize,
    node: &'a Node,
    invoked_at: Duration,
    completed_at: Duration,
    status: Status,
    /// With the values read, if it committed.
    steps: &'a [Step],
}

impl Transaction<'_> {
    /// Its name in findings.
    fn name(&self) -> String {
        format!("T{}", self.index)
    }

    /// A sentence for a finding about `reader`, which read what this transaction wrote: the history is wrong even if this
    /// transaction was aborted. Empty if the outcome of this transaction is known.
    fn either_way(&self, reader: &Transaction<'_>) -> String {
        if self.status != Status::Unknown {
            return String::new();
        }
        format!(
            " Whether {0} committed is not known, but this is wrong either way: had it been aborted, {1} would have read \
             what was aborted (G1a).",
            self.name(),
            reader.name()
        )
    }
}

/// The data type of the keys: lists or registers.
trait DataType {
    /// Whether a read of `value` agrees with the transaction's own earlier steps on the key: it last read `last`, if
    /// at all, and has since written `written`.
    fn follows(last: Option<&Json>, written: &[&Json], value: &Json) -> bool;

    /// The written values that a read of `value` shows.
    fn written(value: &Json) -> &[Json];

    /// Adds the dependencies that follow from the reads, and the anomalies that single reads and updates show.
    fn infer<'a>(index: &Index<'a>, graph: &mut Graph<'_, 'a>, anomalies: &mut Anomalies);
}

/// Checks a history of transactions on this data type against all of the models.
fn check<D: DataType>(history: &History, models: &[Model]) -> Verdict {
    let mut verdict = Verdict::valid();
    verdict.fact("transactions", history.len());
    verdict.add_all("unfit_answers", unfit_answers(history));
    if !verdict.findings.is_empty() {
        return verdict;
    }
    let mut anomalies = Anomalies::default();
    let index = Index::new::<D>(transactions(history), &mut anomalies);
    if !index.repeats.is_empty() {
        verdict.add_all("repeated_writes", repeated_writes(&index));
        return verdict;
    }
    let mut graph = Graph::new(&index);
    D::infer(&index, &mut graph, &mut anomalies);
    cycle::find(&graph, models, &mut anomalies);
    if let Some(warning) = unread::warning::<D>(&index) {
        verdict.add(warning);
    }
    anomalies.report(models, &mut verdict);
    verdict
}

fn transactions(history: &History) -> Vec<Transaction<'_>> {
    let operations = history.iter().enumerate();
    let transactions = operations.map(|(index, operation)| Transaction {
        index,
        client: operation.client,
        node: &operation.node,
        invoked_at: operation.invoked_at,
        completed_at: operation.completed_at,
        status: match operation.outcome {
            Outcome::Ok(_) => Status::Committed,
            Outcome::Failed(_) => Status::Aborted,
            Outcome::Indeterminate(_) => Status::Unknown,
        },
        steps: operation.outcome.answer().unwrap_or(&operation.call),
    });
    transactions.collect()
}

/// Replies that are not the requested transaction.
fn unfit_answers(history: &History) -> Vec<Finding> {
    let is_same = |(asked, answered): (&Step, &Step)| match (asked, answered) {
        (Step::Read { key, .. }, Step::Read { key: answered, .. }) => key == answered,
        (asked @ Step::Write { .. }, answered) => asked == answered,
        (Step::Read { .. }, Step::Write { .. }) => false,
    };
    let answers = history.iter().enumerate().filter_map(|(index, operation)| {
        Some((index, &operation.call, operation.outcome.answer()?))
    });
    answers
        .filter(|(_, call, answer)| {
            call.len() != answer.len() || !call.iter().zip(*answer).all(is_same)
        })
        .map(|(index, ..)| {
            Finding::violation(
                format!(
                    "The answer to T{index} is not the requested transaction: keys, values to write and the order of steps \
                     come back as they were sent."
                ),
                [index],
            )
        })
        .collect()
}

/// Values that were written to a key twice. The generator never does this, but an imported history may.
fn repeated_writes(index: &Index<'_>) -> Vec<Finding> {
    let finding = |writes: &[usize; 2]| {
        let [first, second] = writes.map(|write| &index.transactions[index.writes[write].by]);
        let step = index.writes[writes[0]].step;
        let what = format!(
            "{} was written to key {} twice, by {} and by {}. A read does not show which of the two it saw, so this \
             history can't be checked.",
            step.value(),
            step.key(),
            first.name(),
            second.name(),
        );
        Finding::undecided(what, [first.index, second.index])
    };
    index.repeats.iter().map(finding).collect()
}
