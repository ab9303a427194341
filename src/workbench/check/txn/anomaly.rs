//! The kinds of anomaly, which models forbid each, and the list of the anomalies found.

use std::collections::{BTreeMap, BTreeSet};

use super::Model;
use crate::workbench::check::{Finding, Severity, Verdict};

/// A kind of anomaly other than a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A read of a value that nobody wrote, or of a value that is not a list if keys hold lists.
    Garbage,
    /// A read of a list that holds an element twice.
    DuplicateElements,
    /// A read of an aborted transaction's write.
    AbortedRead,
    /// A read of a value that its transaction later overwrote or appended to.
    IntermediateRead,
    /// A read of a value that the transaction itself wrote later.
    FutureRead,
    /// Two reads of a list, neither of which is a prefix of the other; or a list that lacks an earlier append of one
    /// of its transactions.
    IncompatibleOrder,
    /// A read that contradicts the transaction's own earlier reads and writes.
    Internal,
    /// A case of that: a read that misses what the transaction itself has written before. Weak models permit it, but it is
    /// most likely a mistake of the node: where it is permitted, it is a warning.
    MissedOwnWrite,
    /// A read of 0 instead of `null` in a register that nobody wrote. Maelstrom accepts it.
    ZeroForNull,
    /// Two transactions that read the same value of a key and both wrote that key.
    LostUpdate,
}

impl Kind {
    /// Elle's name, if Elle knows the anomaly.
    fn name(self) -> &'static str {
        match self {
            Kind::Garbage => "garbage",
            Kind::DuplicateElements => "duplicate-elements",
            Kind::AbortedRead => "G1a",
            Kind::IntermediateRead => "G1b",
            Kind::FutureRead => "future-read",
            Kind::IncompatibleOrder => "incompatible-order",
            Kind::Internal | Kind::MissedOwnWrite => "internal",
            Kind::ZeroForNull => "zero-for-null",
            Kind::LostUpdate => "lost-update",
        }
    }

    /// Its name in a finding.
    fn words(self) -> &'static str {
        match self {
            Kind::Garbage => "Out of nowhere",
            Kind::DuplicateElements => "Duplicate elements",
            Kind::AbortedRead => "Aborted read (G1a)",
            Kind::IntermediateRead => "Intermediate read (G1b)",
            Kind::FutureRead => "Future read",
            Kind::IncompatibleOrder => "Incompatible orders",
            Kind::Internal | Kind::MissedOwnWrite => "Contradiction within a transaction",
            Kind::ZeroForNull => "Zero in place of null",
            Kind::LostUpdate => "Lost update",
        }
    }

    fn severity(self) -> Severity {
        match self {
            Kind::ZeroForNull => Severity::Warning,
            _ => Severity::Violation,
        }
    }

    fn is_forbidden(self, model: Model) -> bool {
        match self {
            Kind::Garbage | Kind::DuplicateElements | Kind::ZeroForNull => true,
            Kind::AbortedRead
            | Kind::IntermediateRead
            | Kind::FutureRead
            | Kind::IncompatibleOrder => model.forbids_dirty_reads(),
            Kind::Internal | Kind::MissedOwnWrite | Kind::LostUpdate => {
                model.forbids_lost_updates()
            }
        }
    }
}

/// All anomalies found.
#[derive(Default)]
pub struct Anomalies {
    lone: Vec<(Kind, Finding)>,
    /// Cycles, by name; only those that at least one of the models forbids.
    cycles: BTreeMap<String, Vec<Finding>>,
}

impl Anomalies {
    /// Adds an anomaly other than a cycle.
    pub fn add(&mut self, kind: Kind, what: String, operations: impl Into<Vec<usize>>) {
        let what = format!("{}: {what}", kind.words());
        self.lone
            .push((kind, Finding::new(kind.severity(), what, operations)));
    }

    /// Adds a forbidden cycle.
    pub fn add_cycle(&mut self, name: &str, what: String, operations: Vec<usize>) {
        let finding = Finding::violation(what, operations);
        self.cycles
            .entry(name.to_owned())
            .or_default()
            .push(finding);
    }

    /// Adds to the verdict the anomalies that at least one of the models forbids, and warnings of missed own writes, except of
    /// transactions about whose reads a violation is reported. Anomalies of other kinds that no model forbids are counted in
    /// the fact `tolerated`.
    pub fn report(self, models: &[Model], verdict: &mut Verdict) {
        let mut kinds: BTreeMap<Kind, Vec<Finding>> = BTreeMap::new();
        for (kind, finding) in self.lone {
            kinds.entry(kind).or_default().push(finding);
        }
        let mut reported: Vec<(&str, Vec<Finding>)> = Vec::new();
        let mut tolerated = serde_json::Map::new();
        for (kind, mut findings) in kinds {
            // A transaction that reads a key twice shows it twice.
            findings.dedup_by(|one, other| one.what == other.what);
            if !models.iter().any(|model| kind.is_forbidden(*model)) {
                if kind != Kind::MissedOwnWrite {
                    tolerated.insert(kind.name().to_owned(), findings.len().into());
                    continue;
                }
                // The violations found so far are about reads, and say more of the same read.
                let violations = reported.iter().flat_map(|(_, findings)| findings);
                let reported_operations: BTreeSet<usize> = violations
                    .flat_map(|finding| finding.operations.iter().copied())
                    .collect();
                findings.retain(|finding| {
                    !finding
                        .operations
                        .iter()
                        .any(|operation| reported_operations.contains(operation))
                });
                for finding in &mut findings {
                    finding.severity = Severity::Warning;
                    finding.what += " No model that was asked for forbids this.";
                }
            }
            match reported.last_mut() {
                Some((name, all)) if *name == kind.name() => all.extend(findings),
                _ => reported.push((kind.name(), findings)),
            }
        }
        for (name, findings) in reported {
            verdict.add_all(name, findings);
        }
        for (name, findings) in self.cycles {
            verdict.add_all(&name, findings);
        }
        verdict.fact("tolerated", tolerated);
    }
}
