//! An index of all writes and reads of a history, built in one pass over its steps.
//!
//! The pass also finds the anomalies that one transaction shows by itself: a read that contradicts the transaction's
//! own earlier steps (*internal*), and a read of a value that the transaction wrote only later (*future-read*).

use std::collections::HashMap;
use std::hash::Hash;

use super::anomaly::{Anomalies, Kind as Anomaly};
use super::{DataType, Status, Step, Transaction};
use crate::workbench::json::Json;

/// The transactions of a history and their writes and reads. Transactions, keys and writes are identified by their
/// position in these lists.
#[derive(Default)]
pub struct Index<'a> {
    /// Every transaction, in the order of the history.
    pub transactions: Vec<Transaction<'a>>,
    /// Every key, in the order of first use, so that equal histories get equal verdicts.
    pub keys: Vec<Key<'a>>,
    /// Every write, in the order of the transactions.
    pub writes: Vec<Write<'a>>,
    /// Every read of a committed transaction.
    pub reads: Vec<Read<'a>>,
    /// The first write of each committed transaction to each key that it had read before.
    pub updates: Vec<Update<'a>>,
    /// Pairs of writes of one value to one key.
    pub repeats: Vec<[usize; 2]>,
}

/// A key and the writes to it.
pub struct Key<'a> {
    /// The key itself.
    pub name: &'a Json,
    /// The writes to it, in the order of the transactions.
    pub writes: Vec<usize>,
    /// The same writes, by value.
    pub by_value: HashMap<&'a Json, usize>,
}

impl<'a> Key<'a> {
    fn new(name: &'a Json) -> Self {
        Key {
            name,
            writes: Vec::new(),
            by_value: HashMap::new(),
        }
    }
}

/// A write or an append.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    /// The transaction.
    pub by: usize,
    /// The step, a [`Step::Write`].
    pub step: &'a Step,
    /// The transaction's previous write to this key.
    pub before: Option<usize>,
    /// Whether this is the transaction's last write to the key.
    pub is_last: bool,
}

/// A read by a committed transaction.
pub struct Read<'a> {
    /// The transaction.
    pub by: usize,
    /// The key.
    pub key: usize,
    /// The value.
    pub value: &'a Json,
    /// Whether the transaction had neither read nor written the key before.
    pub is_first: bool,
    /// Whether it is the transaction's first read of the key, or contradicts the transaction's own earlier steps. Any
    /// other read shows nothing about other transactions beyond the earlier reads.
    pub is_news: bool,
}

/// A transaction's first write to a key that it had read before.
pub struct Update<'a> {
    /// The transaction.
    pub by: usize,
    /// The key.
    pub key: usize,
    /// The value of its first read.
    pub read: &'a Json,
    /// The write.
    pub write: usize,
}

/// The steps of one transaction on one key so far.
#[derive(Default)]
struct Own<'a> {
    /// The transaction.
    by: usize,
    /// The values of its reads for which [`Read::is_news`] is true.
    reads: Vec<&'a Json>,
    last_read: Option<&'a Json>,
    /// The values that it has written since its last read.
    written: Vec<&'a Json>,
    last_write: Option<usize>,
}

impl<'a> Own<'a> {
    fn begin(&mut self, by: usize) {
        self.by = by;
        self.reads.clear();
        self.last_read = None;
        self.written.clear();
        self.last_write = None;
    }
}

impl<'a> Index<'a> {
    /// Builds the index, and adds the anomalies that one transaction shows by itself.
    pub fn new<D: DataType>(transactions: Vec<Transaction<'a>>, anomalies: &mut Anomalies) -> Self {
        let mut index = Index {
            transactions,
            ..Index::default()
        };
        let mut numbers: HashMap<&Json, usize> = HashMap::new();
        let mut own_by_key: Vec<Own<'a>> = Vec::new();
        for by in 0..index.transactions.len() {
            let Transaction { steps, status, .. } = index.transactions[by];
            for step in steps {
                let key = *numbers.entry(step.key()).or_insert(index.keys.len());
                if key == index.keys.len() {
                    index.keys.push(Key::new(step.key()));
                    own_by_key.push(Own::default());
                }
                let own = &mut own_by_key[key];
                if own.by != by {
                    own.begin(by);
                }
                match step {
                    Step::Write { .. } => index.add_write::<D>(key, step, own, anomalies),
                    Step::Read { value, .. } if status == Status::Committed => {
                        index.add_read::<D>(key, value, own, anomalies);
                    }
                    // The values that it read are unknown.
                    Step::Read { .. } => {}
                }
            }
        }
        index
    }

    /// Whether the transaction of a write was aborted.
    pub fn is_aborted(&self, write: usize) -> bool {
        self.transactions[self.writes[write].by].status == Status::Aborted
    }

    /// The beginning of a finding: `T3 read 7 in key 1`.
    pub fn saw(&self, by: usize, key: usize, value: &Json) -> String {
        let (reader, key) = (self.transactions[by].name(), self.keys[key].name);
        format!("{reader} read {value} in key {key}")
    }

    /// Finds the write of a value that was read, or of an element of a list that was read. Adds an anomaly if there is
    /// no such write, or if its transaction was aborted.
    pub fn check_written(
        &self,
        read: &Read<'_>,
        value: &Json,
        anomalies: &mut Anomalies,
    ) -> Option<usize> {
        let Read { by, key, .. } = *read;
        let reader = self.transactions[by].index;
        let Some(&write) = self.keys[key].by_value.get(value) else {
            let what = format!("{}, which nobody wrote.", self.saw(by, key, value));
            anomalies.add(Anomaly::Garbage, what, [reader]);
            return None;
        };
        if self.is_aborted(write) {
            let writer = &self.transactions[self.writes[write].by];
            let (saw, writer_name) = (self.saw(by, key, value), writer.name());
            let what = format!("{saw}, but {writer_name}, which wrote it, was aborted.");
            anomalies.add(Anomaly::AbortedRead, what, [writer.index, reader]);
            return None;
        }
        Some(write)
    }

    /// Adds an anomaly if a transaction saw a key as another transaction's `write` left it, although that transaction
    /// wrote the key again later.
    pub fn check_finished(&self, reader: usize, write: usize, anomalies: &mut Anomalies) {
        let write = &self.writes[write];
        if write.is_last {
            return;
        }
        let (reader, writer) = (&self.transactions[reader], &self.transactions[write.by]);
        let (key, value) = (write.step.key(), write.step.value());
        let mut what = format!(
            "{} read {value} as the newest in key {key}, in the middle of {}, which wrote more there.",
            reader.name(),
            writer.name()
        );
        what.push_str(&writer.either_way(reader));
        anomalies.add(
            Anomaly::IntermediateRead,
            what,
            [writer.index, reader.index],
        );
    }

    /// Adds an anomaly for each pair of updates that read the same version of a key.
    pub fn add_lost_updates<'u, V: Eq + Hash>(
        &self,
        updates: impl Iterator<Item = (&'u Update<'u>, V)>,
        anomalies: &mut Anomalies,
    ) {
        let mut last: HashMap<(usize, V), usize> = HashMap::new();
        for (update, version) in updates {
            let Some(other) = last.insert((update.key, version), update.by) else {
                continue;
            };
            let (first, second) = (&self.transactions[other], &self.transactions[update.by]);
            let what = format!(
                "{} and {} both read {} in key {} and both wrote that key. One of the two is lost.",
                first.name(),
                second.name(),
                update.read,
                self.keys[update.key].name
            );
            anomalies.add(Anomaly::LostUpdate, what, [first.index, second.index]);
        }
    }

    fn add_write<D: DataType>(
        &mut self,
        key: usize,
        step: &'a Step,
        own: &mut Own<'a>,
        anomalies: &mut Anomalies,
    ) {
        let Own { by, .. } = *own;
        let (write, value) = (self.writes.len(), step.value());
        if own
            .reads
            .iter()
            .any(|read| D::written(read).contains(value))
        {
            let what = format!("{} before it wrote it.", self.saw(by, key, value));
            anomalies.add(Anomaly::FutureRead, what, [self.transactions[by].index]);
        }
        let before = own.last_write.replace(write);
        match before {
            Some(before) => self.writes[before].is_last = false,
            None => self.updates.extend(own.reads.first().map(|read| Update {
                by,
                key,
                read,
                write,
            })),
        }
        self.writes.push(Write {
            by,
            step,
            before,
            is_last: true,
        });
        self.keys[key].writes.push(write);
        if let Some(before) = self.keys[key].by_value.insert(value, write) {
            self.repeats.push([before, write]);
        }
        own.written.push(value);
    }

    fn add_read<D: DataType>(
        &mut self,
        key: usize,
        value: &'a Json,
        own: &mut Own<'a>,
        anomalies: &mut Anomalies,
    ) {
        let Own { by, .. } = *own;
        let follows = D::follows(own.last_read, &own.written, value);
        if !follows {
            let saw = self.saw(by, key, value);
            let what =
                format!("{saw}, which does not follow from what it had read and written there.");
            let misses_own = !own.written.is_empty() && !D::follows(None, &own.written, value);
            let kind = match misses_own {
                true => Anomaly::MissedOwnWrite,
                false => Anomaly::Internal,
            };
            anomalies.add(kind, what, [self.transactions[by].index]);
        }
        let is_news = own.last_read.is_none() || !follows;
        self.reads.push(Read {
            by,
            key,
            value,
            is_first: own.last_read.is_none() && own.last_write.is_none(),
            is_news,
        });
        if is_news {
            own.reads.push(value);
        }
        own.last_read = Some(value);
        own.written.clear();
    }
}
