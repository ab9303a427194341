//! What is wrong with transactions, and which models mind.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Fate, Model, Step, Transaction};
use crate::workbench::check::{Finding, Verdict};

/// A kind of anomaly that one transaction or two show by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A value that nobody wrote, a list that holds one twice, or what is no list at all.
    Garbage,
    /// A read of what was rolled back.
    AbortedRead,
    /// A read of what a transaction wrote before it was finished with that key.
    IntermediateRead,
    /// Two reads of one key, neither of which can have grown into the other.
    IncompatibleOrder,
    /// A transaction that does not see what it has done itself.
    Internal,
    /// Two transactions that read the same and both replace it.
    LostUpdate,
}

impl Kind {
    /// Upstream's name.
    fn name(self) -> &'static str {
        match self {
            Kind::Garbage => "garbage",
            Kind::AbortedRead => "G1a",
            Kind::IntermediateRead => "G1b",
            Kind::IncompatibleOrder => "incompatible-order",
            Kind::Internal => "internal",
            Kind::LostUpdate => "lost-update",
        }
    }

    /// What it is called in a finding.
    fn words(self) -> &'static str {
        match self {
            Kind::Garbage => "Out of nowhere",
            Kind::AbortedRead => "Aborted read (G1a)",
            Kind::IntermediateRead => "Intermediate read (G1b)",
            Kind::IncompatibleOrder => "Incompatible orders",
            Kind::Internal => "Contradiction within a transaction",
            Kind::LostUpdate => "Lost update",
        }
    }

    fn is_forbidden(self, model: Model) -> bool {
        match self {
            Kind::Garbage => true,
            Kind::AbortedRead | Kind::IntermediateRead | Kind::IncompatibleOrder => {
                model.forbids_dirty_reads()
            }
            Kind::Internal | Kind::LostUpdate => model.forbids_lost_updates(),
        }
    }
}

/// All that was found.
#[derive(Default)]
pub struct Anomalies {
    lone: Vec<(Kind, Finding)>,
    /// Cycles, by their names; only those that some model forbids.
    cycles: BTreeMap<String, Vec<Finding>>,
}

impl Anomalies {
    /// Notes an anomaly that is no cycle.
    pub fn add(&mut self, kind: Kind, what: String, operations: impl Into<Vec<usize>>) {
        self.lone.push((
            kind,
            Finding::violation(format!("{}: {what}", kind.words()), operations),
        ));
    }

    /// Notes a forbidden cycle.
    pub fn add_cycle(&mut self, name: &str, what: String, operations: Vec<usize>) {
        let finding = Finding::violation(what, operations);
        self.cycles
            .entry(name.to_owned())
            .or_default()
            .push(finding);
    }

    /// Looks for committed transactions that read the same value of a key and both wrote that key.
    pub fn add_lost_updates(&mut self, transactions: &[Transaction<'_>]) {
        let mut updates: HashMap<(&Value, &Value), usize> = HashMap::new();
        for transaction in transactions
            .iter()
            .filter(|transaction| transaction.fate == Fate::Committed)
        {
            for (key, value) in updated(transaction.steps) {
                let Some(other) = updates.insert((key, value), transaction.index) else {
                    continue;
                };
                let what = format!(
                    "T{other} and {} both read {value} in key {key} and both wrote that key. One of the two is lost.",
                    transaction.name()
                );
                self.add(Kind::LostUpdate, what, [other, transaction.index]);
            }
        }
    }

    /// Reports what any of the models forbids, and names what they all tolerate as a fact.
    pub fn report(self, models: &[Model], verdict: &mut Verdict) {
        let mut kinds: BTreeMap<Kind, Vec<Finding>> = BTreeMap::new();
        for (kind, finding) in self.lone {
            kinds.entry(kind).or_default().push(finding);
        }
        let mut tolerated = serde_json::Map::new();
        for (kind, findings) in kinds {
            if models.iter().any(|model| kind.is_forbidden(*model)) {
                verdict.add_all(kind.name(), findings);
            } else {
                tolerated.insert(kind.name().to_owned(), findings.len().into());
            }
        }
        for (name, findings) in self.cycles {
            verdict.add_all(&name, findings);
        }
        verdict.fact("tolerated", tolerated);
    }
}

/// The keys that a transaction read before it wrote them, with what it read.
fn updated(steps: &[Step]) -> Vec<(&Value, &Value)> {
    let mut first_reads: HashMap<&Value, &Value> = HashMap::new();
    let mut written: Vec<&Value> = Vec::new();
    let mut updated = Vec::new();
    for step in steps {
        match step {
            Step::Read { key, value } => {
                first_reads.entry(key).or_insert(value);
            }
            Step::Write { key, .. } => {
                if !written.contains(&key) {
                    updated.extend(first_reads.get(key).map(|value| (key, *value)));
                }
                written.push(key);
            }
        }
    }
    updated
}
