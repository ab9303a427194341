//! `txn-list-append`: a key's value is the list of all that was appended to it.

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

/// An append: by which transaction, as its position, and whether it was that one's last to the key.
#[derive(Clone, Copy)]
struct Append {
    by: usize,
    is_last: bool,
}

/// What is known of one key.
struct Key<'a> {
    name: &'a Value,
    appends: HashMap<&'a Value, Append>,
    /// The longest list that was read, and by whom.
    order: &'a [Value],
    read_by: usize,
}

impl<'a> Key<'a> {
    fn new(name: &'a Value) -> Self {
        Key {
            name,
            appends: HashMap::new(),
            order: &[],
            read_by: 0,
        }
    }

    /// Appends that are committed, though nobody read them. They can only come after what was read.
    fn unread(&self, transactions: &[Transaction<'_>]) -> Vec<(&'a Value, Append)> {
        let is_unread = |(value, append): &(&'a Value, Append)| {
            transactions[append.by].fate == Fate::Committed && !self.order.contains(value)
        };
        let appends = self.appends.iter().map(|(value, append)| (*value, *append));
        let mut unread: Vec<_> = appends.filter(is_unread).collect();
        unread.sort_by_key(|(_, append)| (append.by, append.is_last));
        unread
    }
}

/// All keys, in the order of their first use, so that equal histories get equal verdicts.
#[derive(Default)]
struct Keys<'a> {
    numbers: HashMap<&'a Value, usize>,
    known: Vec<Key<'a>>,
}

impl<'a> Keys<'a> {
    fn get(&mut self, name: &'a Value) -> &mut Key<'a> {
        let number = *self.numbers.entry(name).or_insert(self.known.len());
        if number == self.known.len() {
            self.known.push(Key::new(name));
        }
        &mut self.known[number]
    }
}

fn infer<'a>(
    transactions: &'a [Transaction<'a>],
    graph: &mut Graph<'a>,
    anomalies: &mut Anomalies,
) {
    let keys = keys(transactions);
    for (position, transaction) in transactions.iter().enumerate() {
        if transaction.fate != Fate::Committed {
            continue;
        }
        for (key, read) in external_reads(transaction, anomalies) {
            let known = &keys.known[keys.numbers[key]];
            check_read(transactions, known, position, read, anomalies);
            if known.order.starts_with(read) {
                add_read(transactions, known, position, read, graph);
            }
        }
    }
    for known in &keys.known {
        let mut before: Option<&Append> = None;
        for value in known.order {
            let append = known.appends.get(value);
            if let (Some(before), Some(append)) = (before, append) {
                graph.add(before.by, append.by, Kind::WriteWrite, (known.name, value));
            }
            before = append;
        }
        for (value, unread) in known.unread(transactions) {
            if let Some(last) = before {
                graph.add(last.by, unread.by, Kind::WriteWrite, (known.name, value));
            }
        }
    }
}

fn keys<'a>(transactions: &'a [Transaction<'a>]) -> Keys<'a> {
    let mut keys = Keys::default();
    for (position, transaction) in transactions.iter().enumerate() {
        let mut last: HashMap<&Value, &Value> = HashMap::new();
        for step in transaction.steps {
            match step {
                Step::Write { key, value } => {
                    let known = keys.get(key);
                    known.appends.insert(
                        value,
                        Append {
                            by: position,
                            is_last: true,
                        },
                    );
                    let before = last.insert(key, value);
                    if let Some(before) = before.and_then(|before| known.appends.get_mut(before)) {
                        before.is_last = false;
                    }
                }
                Step::Read { key, value } => {
                    let known = keys.get(key);
                    let list = value.as_array().map_or(&[][..], Vec::as_slice);
                    if transaction.fate == Fate::Committed && list.len() > known.order.len() {
                        (known.order, known.read_by) = (list, transaction.index);
                    }
                }
            }
        }
    }
    keys
}

/// Each key's first read, before the transaction has appended to it; looks on the way whether the others fit.
fn external_reads<'a>(
    transaction: &Transaction<'a>,
    anomalies: &mut Anomalies,
) -> Vec<(&'a Value, &'a [Value])> {
    let mut external = Vec::new();
    // For each key what was read of it, if it was, and what was appended since.
    let mut seen: HashMap<&Value, (Option<&[Value]>, Vec<&Value>)> = HashMap::new();
    for step in transaction.steps {
        match step {
            Step::Write { key, value } => seen.entry(key).or_default().1.push(value),
            Step::Read { key, value } => {
                let list = match value {
                    Value::Array(list) => list.as_slice(),
                    Value::Null => &[],
                    _ => {
                        let what = format!(
                            "{} read {value} in key {key}, which is no list.",
                            transaction.name()
                        );
                        anomalies.add(Anomaly::Garbage, what, [transaction.index]);
                        continue;
                    }
                };
                let (read, own) = seen.entry(key).or_default();
                let before = list.len().saturating_sub(own.len());
                let fits = list[before..].iter().eq(own.iter().copied())
                    && read.is_none_or(|read| list[..before] == *read);
                if !fits {
                    let what = format!(
                        "{} read {value} in key {key}, which does not fit what it had read and appended there itself.",
                        transaction.name()
                    );
                    anomalies.add(Anomaly::Internal, what, [transaction.index]);
                } else if read.is_none() {
                    *read = Some(&list[..before]);
                    external.push((key, &list[..before]));
                }
            }
        }
    }
    external
}

/// Whether what was read is there, committed, complete, and grew as all others saw it grow.
fn check_read(
    transactions: &[Transaction<'_>],
    known: &Key<'_>,
    reader: usize,
    read: &[Value],
    anomalies: &mut Anomalies,
) {
    let key = known.name;
    let (name, index) = (transactions[reader].name(), transactions[reader].index);
    // Not before it is to be shown: there are as many of these as there are reads.
    let list = || Value::from(read);
    for (position, value) in read.iter().enumerate() {
        let Some(append) = known.appends.get(value) else {
            anomalies.add(
                Anomaly::Garbage,
                format!("{name} read {value} in key {key}, which nobody appended."),
                [index],
            );
            continue;
        };
        let writer = &transactions[append.by];
        if read[..position].contains(value) {
            anomalies.add(
                Anomaly::Garbage,
                format!(
                    "{name} read {} in key {key}, which holds {value} twice.",
                    list()
                ),
                [index],
            );
        }
        if writer.fate == Fate::RolledBack {
            let what = format!(
                "{name} read {value} in key {key}, but {}, which appended it, was rolled back.",
                writer.name()
            );
            anomalies.add(Anomaly::AbortedRead, what, [writer.index, index]);
        }
        if append.by == reader {
            let what = format!("{name} read {value} in key {key} before it appended it.");
            anomalies.add(Anomaly::Internal, what, [index]);
        }
    }
    if let Some((value, append)) = read
        .last()
        .and_then(|value| Some((value, known.appends.get(value)?)))
        && !append.is_last
        && append.by != reader
    {
        let writer = &transactions[append.by];
        let what = format!(
            "{name} read key {key} up to {value}, in the middle of {}, which appended more.",
            writer.name()
        );
        anomalies.add(Anomaly::IntermediateRead, what, [writer.index, index]);
    }
    if !known.order.starts_with(read) {
        let longest = Value::from(known.order);
        let what = format!(
            "{name} read {} in key {key}, and T{} read {longest}: neither grew into the other.",
            list(),
            known.read_by
        );
        anomalies.add(Anomaly::IncompatibleOrder, what, [index, known.read_by]);
    }
}

/// A reader depends on who wrote the last that it read, and comes before whoever wrote the next.
fn add_read<'a>(
    transactions: &[Transaction<'_>],
    known: &Key<'a>,
    reader: usize,
    read: &'a [Value],
    graph: &mut Graph<'a>,
) {
    if let Some((value, append)) = read
        .last()
        .and_then(|value| Some((value, known.appends.get(value)?)))
    {
        graph.add(append.by, reader, Kind::WriteRead, (known.name, value));
    }
    match known.order.get(read.len()) {
        Some(value) => {
            if let Some(append) = known.appends.get(value) {
                graph.add(reader, append.by, Kind::ReadWrite, (known.name, value));
            }
        }
        None => {
            for (value, unread) in known.unread(transactions) {
                graph.add(reader, unread.by, Kind::ReadWrite, (known.name, value));
            }
        }
    }
}
