//! `txn-list-append` and `txn-rw-register`: transactions, held to a consistency model.
//!
//! As Elle does it (Kingsbury & Alvaro, "Elle: inferring isolation anomalies from experimental observations", 2020):
//! every value is written once, so a read tells which transaction it depends on. What must have come before what makes
//! a graph, and a cycle in it is a proof that no order of the transactions explains the answers. Which cycles are
//! forbidden depends on the model, see [`Model`].
//!
//! - [`list_append`] learns the order of writes from the longest list that was read of a key, and so knows nearly all
//!   dependencies.
//! - [`rw_register`] only knows that nothing comes before the first write, and that a transaction which reads a key and
//!   writes it puts its value right after: as upstream, it finds less.
//!
//! Beside cycles there is what one transaction shows by itself: aborted reads (G1a), intermediate reads (G1b), its own
//! writes not seen (internal), and two transactions that both replace what they read (lost update).
//!
//! 20,000 transactions take a quarter of a second, a full second if hundreds of cycles are among them. What is found is
//! proven, but not all that is wrong is found. A transaction of unknown outcome counts as far as others
//! have seen its writes.

mod anomaly;
mod cycle;
mod graph;
pub mod list_append;
mod model;
pub mod rw_register;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;

use super::{Finding, Verdict};
use crate::workbench::history::{Operation, Outcome};
use anomaly::Anomalies;
use graph::Graph;
pub use model::{Cycles, MODELS, Model, Order};

/// One step of a transaction. Keys and values are any JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Tell a key's value: `null` in a call, and in an answer if there is none.
    Read {
        /// The key.
        key: Value,
        /// Its value.
        value: Value,
    },
    /// Set a key's value (`txn-rw-register`), or append to it (`txn-list-append`).
    Write {
        /// The key.
        key: Value,
        /// What is written, never written to this key before.
        value: Value,
    },
}

impl Step {
    /// The key that it is about.
    pub fn key(&self) -> &Value {
        match self {
            Step::Read { key, .. } | Step::Write { key, .. } => key,
        }
    }
}

/// A transaction, as it was asked for.
pub type Call = Vec<Step>;

/// The same, with the values that were read.
pub type Answer = Vec<Step>;

/// A history of transactions.
pub type History = [Operation<Call, Answer>];

/// What became of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    RolledBack,
    Unknown,
}

/// A transaction that may have happened, or certainly has not.
struct Transaction<'a> {
    /// Where it stands in the history, and what it is called in findings.
    index: usize,
    client: usize,
    invoked_at: Duration,
    completed_at: Duration,
    fate: Fate,
    /// With what was read, if that is known.
    steps: &'a [Step],
}

impl Transaction<'_> {
    /// What it is called.
    fn name(&self) -> String {
        format!("T{}", self.index)
    }
}

fn transactions(history: &History) -> Vec<Transaction<'_>> {
    let mut transactions = Vec::with_capacity(history.len());
    for (index, operation) in history.iter().enumerate() {
        transactions.push(Transaction {
            index,
            client: operation.client,
            invoked_at: operation.invoked_at,
            completed_at: operation.completed_at,
            fate: match operation.outcome {
                Outcome::Ok(_) => Fate::Committed,
                Outcome::Failed(_) => Fate::RolledBack,
                Outcome::Indeterminate(_) => Fate::Unknown,
            },
            steps: operation.outcome.answer().unwrap_or(&operation.call),
        });
    }
    transactions
}

/// Answers that are not the transaction that was asked for.
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
                format!("The answer to T{index} is not the transaction that was asked for."),
                [index],
            )
        })
        .collect()
}

/// What both workloads do, once they know their dependencies.
fn check(
    history: &History,
    models: &[Model],
    infer: for<'a> fn(&'a [Transaction<'a>], &mut Graph<'a>, &mut Anomalies),
) -> Verdict {
    let mut verdict = Verdict::valid();
    verdict.add_all("unfit_answers", unfit_answers(history));
    verdict.fact("transactions", history.len());
    if !verdict.findings.is_empty() {
        return verdict;
    }
    let transactions = transactions(history);
    let mut graph = Graph::new(&transactions);
    let mut anomalies = Anomalies::default();
    infer(&transactions, &mut graph, &mut anomalies);
    anomalies.add_lost_updates(&transactions);
    cycle::find(&graph, models, &mut anomalies);
    anomalies.report(models, &mut verdict);
    verdict
}
