//! `txn-rw-register`: the value of a key is the last value written to it.
//!
//! A value does not show which value it replaced, so the order of a key's values is only partly known:
//!
//! - `null` is older than every value.
//! - A transaction that reads a key and then writes it writes a newer value than it read.
//! - Under models that keep real time, a value is older than another if a transaction that read or wrote it completed
//!   before a transaction that read or wrote the other was invoked.
//!
//! Upstream does not use the third rule. If each transaction has only one step, that rule finds every history that is
//! not strictly serializable (Gibbons & Korach, "Testing shared memories", 1997).

use std::slice;
use std::time::Duration;

use super::anomaly::{Anomalies, Kind as Anomaly};
use super::graph::{Graph, Kind};
use super::index::{Index, Read};
use super::{DataType, History, Model, Status};
use crate::workbench::check::Verdict;
use crate::workbench::json::Json;

/// Checks a history against all of the models.
pub fn check(history: &History, models: &[Model]) -> Verdict {
    super::check::<Registers>(history, models)
}

enum Registers {}

impl DataType for Registers {
    fn follows(last: Option<&Json>, written: &[&Json], value: &Json) -> bool {
        let expected = written.last().copied().or(last);
        expected.is_none_or(|expected| expected == value)
    }

    fn written(value: &Json) -> &[Json] {
        slice::from_ref(value)
    }

    fn infer<'a>(index: &Index<'a>, graph: &mut Graph<'_, 'a>, anomalies: &mut Anomalies) {
        let mut readers = Readers::default();
        for read in index.reads.iter().filter(|read| read.is_news) {
            if *version(index, read.key, read.value) == Json::Null {
                add_first_read(index, read, graph, anomalies);
            } else if let Some(write) = index.check_written(read, read.value, anomalies)
                && index.writes[write].by != read.by
            {
                index.check_finished(read.by, write, anomalies);
                graph.add_write_read(write, read.by);
                readers.0.push((write, read.by));
            }
        }
        readers.0.sort_unstable();
        for update in &index.updates {
            if let Some(&older) = index.keys[update.key].by_value.get(update.read) {
                for reader in readers.of(older) {
                    graph.add_read_write(reader, update.write);
                }
            }
        }
        add_time_order(index, &readers, graph);
        let updates = index.updates.iter();
        let updates = updates.map(|update| (update, version(index, update.key, update.read)));
        index.add_lost_updates(updates, anomalies);
    }
}

/// The value that a read stands for: 0 means `null` if nobody wrote 0 to the key.
fn version<'a>(index: &Index<'a>, key: usize, value: &'a Json) -> &'a Json {
    if *value == Json::Whole(0) && !index.keys[key].by_value.contains_key(value) {
        return &Json::Null;
    }
    value
}

/// Pairs of a write and a transaction that read its value, sorted.
#[derive(Default)]
struct Readers(Vec<(usize, usize)>);

impl Readers {
    fn of(&self, write: usize) -> impl Iterator<Item = usize> {
        let start = self.0.partition_point(|(other, _)| *other < write);
        let readers = self.0[start..].iter();
        let readers = readers.take_while(move |(other, _)| *other == write);
        readers.map(|(_, reader)| *reader)
    }
}

/// Adds the dependencies of a read of `null`: the reader comes before every transaction that wrote the key.
fn add_first_read<'a>(
    index: &Index<'a>,
    read: &Read<'a>,
    graph: &mut Graph<'_, 'a>,
    anomalies: &mut Anomalies,
) {
    if *read.value != Json::Null {
        let saw = index.saw(read.by, read.key, read.value);
        let what = format!("{saw}, which nobody had written. The protocol requires null there.");
        let reader = index.transactions[read.by].index;
        anomalies.add(Anomaly::ZeroForNull, what, [reader]);
    }
    for &write in &index.keys[read.key].writes {
        if index.writes[write].is_last {
            graph.add_read_write(read.by, write);
        }
    }
}

/// Adds the dependencies that follow from the order of a key's values in real time.
///
/// Of the values that are newer than a value, only the oldest ones are used: the other dependencies follow from those.
/// The transactions that read or wrote these values were all under way at the same time, so there are few.
fn add_time_order(index: &Index<'_>, readers: &Readers, graph: &mut Graph<'_, '_>) {
    let answered_at = |by: usize| index.transactions[by].completed_at;
    let asked_at = |by: usize| index.transactions[by].invoked_at;
    graph.seen = seen(index);
    for key in &index.keys {
        let values = key
            .writes
            .iter()
            .filter_map(|&write| Some((write, graph.seen[write]?)));
        let mut values: Vec<(usize, [usize; 2])> = values.collect();
        values.sort_by_key(|(_, [_, last])| asked_at(*last));
        for &(older, [first, _]) in &values {
            let start =
                values.partition_point(|(_, [_, last])| asked_at(*last) <= answered_at(first));
            let mut first_answered_at = Duration::MAX;
            let newer = values[start..].iter().filter(|(newer, _)| *newer != older);
            for &(newer, [first, last]) in newer {
                if first_answered_at < asked_at(last) {
                    break;
                }
                first_answered_at = first_answered_at.min(answered_at(first));
                graph.add_in_time(index.writes[older].by, Kind::WriteWrite, older, newer);
                for reader in readers.of(older) {
                    graph.add_in_time(reader, Kind::ReadWrite, older, newer);
                }
            }
        }
    }
}

/// For each write: of the transactions that wrote or read its value, the first one to complete and the last one to be
/// invoked. `None` if no reply shows that the key ever had this value.
fn seen(index: &Index<'_>) -> Vec<Option<[usize; 2]>> {
    let transactions = &index.transactions;
    let seen = index.writes.iter().map(|write| {
        let is_committed = transactions[write.by].status == Status::Committed;
        (is_committed && write.is_last).then_some([write.by; 2])
    });
    let mut seen: Vec<Option<[usize; 2]>> = seen.collect();
    for read in index.reads.iter().filter(|read| read.is_first) {
        let write = index.keys[read.key].by_value.get(read.value).copied();
        let is_lasting = |write: &usize| index.writes[*write].is_last && !index.is_aborted(*write);
        if let Some(write) = write.filter(is_lasting) {
            let [first, last] = seen[write].get_or_insert([read.by, index.writes[write].by]);
            let reader = &transactions[read.by];
            if reader.completed_at < transactions[*first].completed_at {
                *first = read.by;
            }
            if reader.invoked_at > transactions[*last].invoked_at {
                *last = read.by;
            }
        }
    }
    seen
}
