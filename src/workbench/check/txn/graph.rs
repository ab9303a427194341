//! The graph of dependencies: which transactions must have come before which others, and why.

use std::collections::HashMap;
use std::time::Duration;

use petgraph::graph::{DiGraph, NodeIndex};

use super::index::{Index, Write};
use super::{Cycles, Order, Status, Transaction};

/// The kinds of dependency, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The second transaction wrote a newer value of a key than the first.
    WriteWrite,
    /// The second read what the first wrote.
    WriteRead,
    /// The first read an older value of a key than the second wrote.
    ReadWrite,
    /// The same client ran the first, then the second.
    Session,
    /// The first completed before the second was invoked.
    RealTime,
    /// From a transaction or a moment to a moment, see [`Graph`].
    Time,
}

/// A reason why one transaction comes before another. Writes are identified by their position in the [`Index`].
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    /// The data proves it.
    Data {
        /// The kind of dependency.
        kind: Kind,
        /// The second transaction's write, or the write that it read.
        write: u32,
    },
    /// The data and real time together prove it. This holds in models in which a read must not return an older value
    /// than real time permits.
    DataInTime {
        /// The kind of dependency.
        kind: Kind,
        /// The write of the older value, which the first transaction wrote or read.
        older: u32,
        /// The second transaction's write.
        write: u32,
    },
    /// An order of the transactions beyond the data.
    Order(Kind),
}

impl Reason {
    /// The kind of dependency.
    pub fn kind(self) -> Kind {
        match self {
            Reason::Data { kind, .. } | Reason::DataInTime { kind, .. } => kind,
            Reason::Order(kind) => kind,
        }
    }

    /// The reason holds in models that forbid at least these cycles.
    pub fn cycles(self) -> Cycles {
        match (self, self.kind()) {
            (Reason::DataInTime { .. }, _) | (_, Kind::ReadWrite) => Cycles::Nonadjacent,
            (_, Kind::WriteRead) => Cycles::Information,
            (_, Kind::WriteWrite | Kind::Session | Kind::RealTime | Kind::Time) => Cycles::Writes,
        }
    }

    /// The reason holds in models that keep at least this order.
    pub fn order(self) -> Order {
        match (self, self.kind()) {
            (Reason::DataInTime { .. }, _) | (_, Kind::RealTime | Kind::Time) => Order::RealTime,
            (_, Kind::Session) => Order::Session,
            (_, Kind::WriteWrite | Kind::WriteRead | Kind::ReadWrite) => Order::Data,
        }
    }
}

/// The graph of dependencies: its nodes are transactions and moments.
///
/// A moment comes after all transactions that completed by then, and before all that were invoked later. So real-time
/// order takes two edges per transaction instead of one per pair.
pub struct Graph<'i, 'a> {
    index: &'i Index<'a>,
    /// The first nodes are the transactions, in their order; the rest are moments.
    pub edges: DiGraph<(), Reason>,
    /// For each write: of the transactions that wrote or read its value, the first one to complete and the last one to
    /// be invoked. Only used for [`Reason::DataInTime`].
    pub seen: Vec<Option<[usize; 2]>>,
    /// For each transaction of unknown outcome, a committed one that read its writes, if there is one.
    readers: HashMap<usize, usize>,
}

impl<'i, 'a> Graph<'i, 'a> {
    /// A graph with the dependencies of sessions and of real time.
    pub fn new(index: &'i Index<'a>) -> Self {
        let mut graph = Graph {
            index,
            edges: DiGraph::new(),
            seen: Vec::new(),
            readers: HashMap::new(),
        };
        for _ in &index.transactions {
            graph.edges.add_node(());
        }
        graph.add_sessions();
        graph.add_time();
        graph
    }

    /// Adds that a write replaced an older one to the same key.
    pub fn add_write_write(&mut self, older: usize, newer: usize) {
        let (before, after) = (self.index.writes[older].by, self.index.writes[newer].by);
        self.add_data(before, after, Kind::WriteWrite, newer);
    }

    /// Adds that a committed transaction read a write.
    pub fn add_write_read(&mut self, write: usize, reader: usize) {
        self.note_reader(write, reader);
        self.add_data(self.index.writes[write].by, reader, Kind::WriteRead, write);
    }

    /// Adds that a committed transaction read a key without a newer write to it.
    pub fn add_read_write(&mut self, reader: usize, newer: usize) {
        self.add_data(reader, self.index.writes[newer].by, Kind::ReadWrite, newer);
    }

    /// Adds that a transaction wrote or read the value of the write `older` before a write that real time proves to be
    /// newer.
    pub fn add_in_time(&mut self, before: usize, kind: Kind, older: usize, newer: usize) {
        let (older, write) = (older as u32, newer as u32);
        let reason = Reason::DataInTime { kind, older, write };
        self.add(before, self.index.writes[newer].by, reason);
    }

    /// Records that a committed transaction read a write.
    pub fn note_reader(&mut self, write: usize, reader: usize) {
        let writer = self.index.writes[write].by;
        if self.index.transactions[writer].status == Status::Unknown {
            self.readers.entry(writer).or_insert(reader);
        }
    }

    /// The transaction at a node, unless it is a moment.
    pub fn transaction(&self, node: NodeIndex) -> Option<&'i Transaction<'a>> {
        self.index.transactions.get(node.index())
    }

    /// A transaction that read the writes of a transaction of unknown outcome.
    pub fn reader_of(&self, writer: NodeIndex) -> Option<&'i Transaction<'a>> {
        let reader = self.readers.get(&writer.index())?;
        Some(&self.index.transactions[*reader])
    }

    /// The transactions that prove which of two writes is newer, for a [`Reason::DataInTime`].
    pub fn seen_by(&self, reason: Reason) -> impl Iterator<Item = &'i Transaction<'a>> {
        let by = match reason {
            Reason::DataInTime { older, write, .. } => self.proof(older, write),
            Reason::Data { .. } | Reason::Order(_) => None,
        };
        by.into_iter()
            .flatten()
            .map(|by| &self.index.transactions[by])
    }

    /// A clause that says why the transaction named `first` comes before the one named `second`, to follow "because".
    pub fn explain(&self, reason: Reason, first: &str, second: &str) -> String {
        let (kind, write) = match reason {
            Reason::Data { kind, write } | Reason::DataInTime { kind, write, .. } => (kind, write),
            Reason::Order(Kind::Session) => return format!("the same client ran {second} later"),
            Reason::Order(_) => return format!("it completed before {second} was invoked"),
        };
        let step = self.index.writes[write as usize].step;
        let (key, value) = (step.key(), step.value());
        let because = match kind {
            Kind::WriteWrite => format!("{second} wrote {value} to key {key} on top of it"),
            Kind::WriteRead => format!("{second} read {value} in key {key}, which {first} wrote"),
            _ => format!("{first} read key {key} without {second}'s {value}"),
        };
        let Reason::DataInTime { older, .. } = reason else {
            return because;
        };
        let Some([first, last]) = self.proof(older, write) else {
            return because;
        };
        let did = |by: usize, write: u32| {
            let Write {
                by: writer, step, ..
            } = self.index.writes[write as usize];
            let did = if by == writer { "wrote" } else { "read" };
            format!(
                "{}, which {did} {}",
                self.index.transactions[by].name(),
                step.value()
            )
        };
        let old = self.index.writes[older as usize].step.value();
        let (first, last) = (did(first, older), did(last, write));
        format!("{because} ({old} is older: {first}, completed before {last}, was invoked)")
    }

    /// Two transactions that prove that one write is older than another: the first one to complete of those that wrote
    /// or read the older value, and the last one to be invoked of those that wrote or read the newer value.
    fn proof(&self, older: u32, newer: u32) -> Option<[usize; 2]> {
        let ([first, _], [_, last]) = (self.seen[older as usize]?, self.seen[newer as usize]?);
        Some([first, last])
    }

    fn add_data(&mut self, before: usize, after: usize, kind: Kind, write: usize) {
        let write = write as u32;
        self.add(before, after, Reason::Data { kind, write });
    }

    /// Adds a dependency, unless it connects a transaction to itself or to an aborted one.
    fn add(&mut self, before: usize, after: usize, reason: Reason) {
        let is_aborted = |by: usize| self.index.transactions[by].status == Status::Aborted;
        if before != after && !is_aborted(before) && !is_aborted(after) {
            let (before, after) = (NodeIndex::new(before), NodeIndex::new(after));
            self.edges.add_edge(before, after, reason);
        }
    }

    fn add_sessions(&mut self) {
        let mut last: HashMap<usize, NodeIndex> = HashMap::new();
        for (position, transaction) in self.index.transactions.iter().enumerate() {
            if transaction.status == Status::Aborted {
                continue;
            }
            let node = NodeIndex::new(position);
            if let Some(&before) = last.get(&transaction.client) {
                self.edges
                    .add_edge(before, node, Reason::Order(Kind::Session));
            }
            // A transaction of unknown outcome may take effect after the later operations of its client.
            if transaction.status == Status::Committed {
                last.insert(transaction.client, node);
            }
        }
    }

    fn add_time(&mut self) {
        let transactions = &self.index.transactions;
        let is_committed = |position: &usize| transactions[*position].status == Status::Committed;
        let mut committed: Vec<usize> = (0..transactions.len()).filter(is_committed).collect();
        committed.sort_by_key(|&position| transactions[position].completed_at);
        let mut moments: Vec<(Duration, NodeIndex)> = Vec::new();
        for position in committed {
            let time = transactions[position].completed_at;
            if moments.last().is_none_or(|(last, _)| *last < time) {
                let moment = self.edges.add_node(());
                if let Some(&(_, last)) = moments.last() {
                    self.edges.add_edge(last, moment, Reason::Order(Kind::Time));
                }
                moments.push((time, moment));
            }
            let (node, (_, moment)) = (NodeIndex::new(position), moments[moments.len() - 1]);
            self.edges.add_edge(node, moment, Reason::Order(Kind::Time));
        }
        for (position, transaction) in transactions.iter().enumerate() {
            let count = moments.partition_point(|(time, _)| *time < transaction.invoked_at);
            if count > 0 && transaction.status != Status::Aborted {
                let ((_, last), node) = (moments[count - 1], NodeIndex::new(position));
                self.edges
                    .add_edge(last, node, Reason::Order(Kind::RealTime));
            }
        }
    }
}
