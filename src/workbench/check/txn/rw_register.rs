//! `txn-rw-register`: a key's value is the last that was written.

use std::collections::HashMap;

use serde_json::Value;

use super::anomaly::{Anomalies, Kind as Anomaly};
use super::graph::{Graph, Kind};
use super::{Fate, History, Model, Step, Transaction};
use crate::workbench::check::Verdict;

/// Checks a history by all of the models.
pub fn check(history: &History, models: &[Model]) -> Verdict {
    super::check(history, models, infer)
}

/// A key and a value of it; `null` is what it was before anybody wrote it.
type Version<'a> = (&'a Value, &'a Value);

/// A write: by which transaction, as its position, and whether it was that one's last to the key.
#[derive(Clone, Copy)]
struct Write {
    by: usize,
    is_last: bool,
}

/// What is known of the order of versions.
#[derive(Default)]
struct Versions<'a> {
    writes: HashMap<Version<'a>, Write>,
    /// For each version those that were written on top of it, or certainly later.
    later: HashMap<Version<'a>, Vec<(&'a Value, usize)>>,
}

fn infer<'a>(
    transactions: &'a [Transaction<'a>],
    graph: &mut Graph<'a>,
    anomalies: &mut Anomalies,
) {
    let mut versions = Versions::default();
    let mut reads: Vec<(usize, Version<'a>)> = Vec::new();
    for (position, transaction) in transactions.iter().enumerate() {
        let external = external_reads(transaction, anomalies);
        for (key, value) in last_writes(transaction, position, &mut versions.writes) {
            // Nobody reads nothing after somebody wrote something.
            versions
                .later
                .entry((key, &Value::Null))
                .or_default()
                .push((value, position));
            if let Some(read) = external.get(key).filter(|read| !read.is_null()) {
                versions
                    .later
                    .entry((key, read))
                    .or_default()
                    .push((value, position));
            }
        }
        let mut external: Vec<_> = external.into_iter().collect();
        external
            .sort_by_key(|(key, _)| transaction.steps.iter().position(|step| step.key() == *key));
        reads.extend(external.into_iter().map(|version| (position, version)));
    }
    for (reader, version) in reads {
        let (key, value) = version;
        for &(later, by) in versions.later.get(&version).into_iter().flatten() {
            graph.add(reader, by, Kind::ReadWrite, (key, later));
        }
        if value.is_null() {
            continue;
        }
        check_read(
            transactions,
            versions.writes.get(&version),
            reader,
            version,
            anomalies,
        );
        let Some(write) = versions.writes.get(&version) else {
            continue;
        };
        graph.add(write.by, reader, Kind::WriteRead, version);
        for &(later, by) in versions.later.get(&version).into_iter().flatten() {
            graph.add(write.by, by, Kind::WriteWrite, (key, later));
        }
    }
}

/// Notes all writes, and tells the last to each key.
fn last_writes<'a>(
    transaction: &Transaction<'a>,
    position: usize,
    writes: &mut HashMap<Version<'a>, Write>,
) -> Vec<Version<'a>> {
    let mut last: Vec<Version<'a>> = Vec::new();
    for step in transaction.steps {
        let Step::Write { key, value } = step else {
            continue;
        };
        writes.insert(
            (key, value),
            Write {
                by: position,
                is_last: true,
            },
        );
        match last.iter_mut().find(|(other, _)| *other == key) {
            Some((_, before)) => {
                if let Some(write) = writes.get_mut(&(key, *before)) {
                    write.is_last = false;
                }
                *before = value;
            }
            None => last.push((key, value)),
        }
    }
    last
}

/// What a transaction read of each key before it wrote it; looks on the way whether its other reads fit.
fn external_reads<'a>(
    transaction: &Transaction<'a>,
    anomalies: &mut Anomalies,
) -> HashMap<&'a Value, &'a Value> {
    let mut external = HashMap::new();
    if transaction.fate != Fate::Committed {
        return external;
    }
    let mut current: HashMap<&Value, &Value> = HashMap::new();
    for step in transaction.steps {
        match step {
            Step::Write { key, value } => {
                current.insert(key, value);
            }
            Step::Read { key, value } => match current.insert(key, value) {
                None => {
                    external.insert(key, value);
                }
                Some(before) if before != value => {
                    let what = format!(
                        "{} read {value} in key {key}, where it had itself read or written {before} before.",
                        transaction.name()
                    );
                    anomalies.add(Anomaly::Internal, what, [transaction.index]);
                }
                Some(_) => {}
            },
        }
    }
    external
}

/// Whether what was read was written, committed, and meant to last.
fn check_read(
    transactions: &[Transaction<'_>],
    write: Option<&Write>,
    reader: usize,
    (key, value): Version<'_>,
    anomalies: &mut Anomalies,
) {
    let (name, index) = (transactions[reader].name(), transactions[reader].index);
    let Some(write) = write else {
        anomalies.add(
            Anomaly::Garbage,
            format!("{name} read {value} in key {key}, which nobody wrote."),
            [index],
        );
        return;
    };
    let writer = &transactions[write.by];
    if write.by == reader {
        anomalies.add(
            Anomaly::Internal,
            format!("{name} read {value} in key {key} before it wrote it."),
            [index],
        );
    } else if writer.fate == Fate::RolledBack {
        let what = format!(
            "{name} read {value} in key {key}, but {}, which wrote it, was rolled back.",
            writer.name()
        );
        anomalies.add(Anomaly::AbortedRead, what, [writer.index, index]);
    } else if !write.is_last {
        let what = format!(
            "{name} read {value} in key {key}, which {} overwrote itself.",
            writer.name()
        );
        anomalies.add(Anomaly::IntermediateRead, what, [writer.index, index]);
    }
}
