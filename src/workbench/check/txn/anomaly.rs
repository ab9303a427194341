//! The anomalies: what is wrong with a read, or with two updates; the list of all that was found; and which models
//! forbid what.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::index::{Index, Read, Update};
use super::{Model, Status, Transaction};
use crate::workbench::check::{Finding, Severity, Verdict};
use crate::workbench::json::Json;

/// A kind of anomaly that is no cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A read of a value that nobody wrote, or that is no list where there are lists.
    Garbage,
    /// A read of a list that holds an element twice.
    DuplicateElements,
    /// A read of what an aborted transaction wrote.
    AbortedRead,
    /// A read of a value that its transaction went on to overwrite or to append to.
    IntermediateRead,
    /// A read of a value that the transaction itself wrote later.
    FutureRead,
    /// Two reads of a list, neither of which is the beginning of the other; or a list that lacks what one of its
    /// transactions appended before.
    IncompatibleOrder,
    /// A read that does not follow from what the transaction itself read and wrote before.
    Internal,
    /// A read of 0 in place of `null` in a register that nobody wrote. Maelstrom lets it pass.
    ZeroForNull,
    /// Two transactions that read the same value of a key and both wrote that key.
    LostUpdate,
}

impl Kind {
    /// Elle's name, where it has one.
    fn name(self) -> &'static str {
        match self {
            Kind::Garbage => "garbage",
            Kind::DuplicateElements => "duplicate-elements",
            Kind::AbortedRead => "G1a",
            Kind::IntermediateRead => "G1b",
            Kind::FutureRead => "future-read",
            Kind::IncompatibleOrder => "incompatible-order",
            Kind::Internal => "internal",
            Kind::ZeroForNull => "zero-for-null",
            Kind::LostUpdate => "lost-update",
        }
    }

    /// What it is called in a finding.
    fn words(self) -> &'static str {
        match self {
            Kind::Garbage => "Out of nowhere",
            Kind::DuplicateElements => "Duplicate elements",
            Kind::AbortedRead => "Aborted read (G1a)",
            Kind::IntermediateRead => "Intermediate read (G1b)",
            Kind::FutureRead => "Future read",
            Kind::IncompatibleOrder => "Incompatible orders",
            Kind::Internal => "Contradiction within a transaction",
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
    /// Adds an anomaly that is no cycle.
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

    /// The write of a value that was read, or of an element of a list that was read. Adds an anomaly if there is none, or
    /// if its transaction was aborted.
    pub fn check_written(
        &mut self,
        index: &Index<'_>,
        read: &Read<'_>,
        value: &Json,
    ) -> Option<usize> {
        let Read { by, key, .. } = *read;
        let reader = index.transactions[by].index;
        let Some(&write) = index.keys[key].by_value.get(value) else {
            let what = format!("{}, which nobody wrote.", index.saw(by, key, value));
            self.add(Kind::Garbage, what, [reader]);
            return None;
        };
        if index.is_aborted(write) {
            let writer = &index.transactions[index.writes[write].by];
            let (saw, writer_name) = (index.saw(by, key, value), writer.name());
            let what = format!("{saw}, but {writer_name}, which wrote it, was aborted.");
            self.add(Kind::AbortedRead, what, [writer.index, reader]);
            return None;
        }
        Some(write)
    }

    /// Adds an anomaly if a transaction's view of a key ends with a write of another transaction that was not that one's
    /// last to the key.
    pub fn check_finished(&mut self, index: &Index<'_>, reader: usize, write: usize) {
        let write = &index.writes[write];
        if write.is_last {
            return;
        }
        let (reader, writer) = (&index.transactions[reader], &index.transactions[write.by]);
        let (key, value) = (write.step.key(), write.step.value());
        let mut what = format!(
            "{} read {value} as the newest in key {key}, in the middle of {}, which wrote more there.",
            reader.name(),
            writer.name()
        );
        what.push_str(&either_way(writer, reader));
        self.add(Kind::IntermediateRead, what, [writer.index, reader.index]);
    }

    /// Adds an anomaly for each pair of updates that read the same version of a key.
    pub fn add_lost_updates<'u, 'a: 'u, V: Eq + Hash>(
        &mut self,
        index: &Index<'_>,
        updates: impl Iterator<Item = (&'u Update<'a>, V)>,
    ) {
        let mut last: HashMap<(usize, V), usize> = HashMap::new();
        for (update, version) in updates {
            let Some(other) = last.insert((update.key, version), update.by) else {
                continue;
            };
            let (first, second) = (&index.transactions[other], &index.transactions[update.by]);
            let what = format!(
                "{} and {} both read {} in key {} and both wrote that key. One of the two is lost.",
                first.name(),
                second.name(),
                update.read,
                index.keys[update.key].name
            );
            self.add(Kind::LostUpdate, what, [first.index, second.index]);
        }
    }

    /// Adds to the verdict what any of the models forbids. What all of them tolerate is counted in a fact.
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

/// A sentence that says why an anomaly is one even if the transaction that wrote what `reader` read was aborted. Empty
/// where it is known to have committed.
pub fn either_way(writer: &Transaction<'_>, reader: &Transaction<'_>) -> String {
    if writer.status != Status::Unknown {
        return String::new();
    }
    format!(
        " Whether {0} committed is not known, but this is wrong either way: had it been aborted, {1} would have read what \
         was aborted (G1a).",
        writer.name(),
        reader.name()
    )
}
