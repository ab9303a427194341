//! Which transactions must have come before which others, and why.

use std::collections::HashMap;

use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::Value;

use super::{Fate, Order, Transaction};

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The second wrote on top of what the first wrote.
    WriteWrite,
    /// The second read what the first wrote.
    WriteRead,
    /// The first read a state on top of which the second wrote.
    ReadWrite,
    /// The same client ran the first, then the second.
    Session,
    /// The first was answered before the second was asked for.
    RealTime,
    /// No transactions but moments, one before the other.
    Time,
}

/// That one transaction comes before another.
#[derive(Clone, Copy, Debug)]
pub struct Dependency<'a> {
    /// Why.
    pub kind: Kind,
    /// For dependencies by data: the key, and the value that was written or, of a later write, will be.
    pub datum: Option<(&'a Value, &'a Value)>,
}

/// Transactions, moments, and what comes before what.
///
/// A moment stands between all transactions that were answered by then and all that were asked for later, so that the
/// order of time takes one edge a transaction instead of one a pair.
pub struct Graph<'a> {
    transactions: &'a [Transaction<'a>],
    /// The first nodes are the transactions, in their order; the rest are moments.
    pub edges: DiGraph<(), Dependency<'a>>,
}

impl<'a> Graph<'a> {
    /// The orders of clients and of time.
    pub fn new(transactions: &'a [Transaction<'a>]) -> Self {
        let mut graph = Graph {
            transactions,
            edges: DiGraph::new(),
        };
        for _ in transactions {
            graph.edges.add_node(());
        }
        graph.add_sessions();
        graph.add_time();
        graph
    }

    /// Adds a dependency by data. One of a transaction on itself says nothing, and one that was rolled back has no place.
    pub fn add(&mut self, before: usize, after: usize, kind: Kind, datum: (&'a Value, &'a Value)) {
        let is_rolled_back = |position: usize| self.transactions[position].fate == Fate::RolledBack;
        if before != after && !is_rolled_back(before) && !is_rolled_back(after) {
            self.link(
                NodeIndex::new(before),
                NodeIndex::new(after),
                kind,
                Some(datum),
            );
        }
    }

    /// The transaction at a node, unless it is a moment.
    pub fn transaction(&self, node: NodeIndex) -> Option<&'a Transaction<'a>> {
        self.transactions.get(node.index())
    }

    fn link(
        &mut self,
        before: NodeIndex,
        after: NodeIndex,
        kind: Kind,
        datum: Option<(&'a Value, &'a Value)>,
    ) {
        self.edges
            .add_edge(before, after, Dependency { kind, datum });
    }

    fn add_sessions(&mut self) {
        let mut last: HashMap<usize, NodeIndex> = HashMap::new();
        for (position, transaction) in self.transactions.iter().enumerate() {
            let node = NodeIndex::new(position);
            let before = last.get(&transaction.client).copied();
            match (transaction.fate, before) {
                (Fate::RolledBack, _) => continue,
                (_, Some(before)) => self.link(before, node, Kind::Session, None),
                (_, None) => {}
            }
            // One of unknown outcome may take effect after what its client did next.
            if transaction.fate == Fate::Committed {
                last.insert(transaction.client, node);
            }
        }
    }

    fn add_time(&mut self) {
        let is_committed = |position: &usize| self.transactions[*position].fate == Fate::Committed;
        let mut committed: Vec<usize> = (0..self.transactions.len()).filter(is_committed).collect();
        committed.sort_by_key(|&position| self.transactions[position].completed_at);
        let mut moments: Vec<(std::time::Duration, NodeIndex)> = Vec::new();
        for position in committed {
            let time = self.transactions[position].completed_at;
            if moments.last().is_none_or(|(last, _)| *last < time) {
                let moment = self.edges.add_node(());
                if let Some(&(_, last)) = moments.last() {
                    self.link(last, moment, Kind::Time, None);
                }
                moments.push((time, moment));
            }
            self.link(
                NodeIndex::new(position),
                moments[moments.len() - 1].1,
                Kind::Time,
                None,
            );
        }
        for (position, transaction) in self.transactions.iter().enumerate() {
            let count = moments.partition_point(|(time, _)| *time < transaction.invoked_at);
            if let (Some(last), false) =
                (count.checked_sub(1), transaction.fate == Fate::RolledBack)
            {
                self.link(
                    moments[last].1,
                    NodeIndex::new(position),
                    Kind::RealTime,
                    None,
                );
            }
        }
    }
}

impl Kind {
    /// The weakest order to which it belongs.
    pub fn order(self) -> Order {
        match self {
            Kind::WriteWrite | Kind::WriteRead | Kind::ReadWrite => Order::Data,
            Kind::Session => Order::Session,
            Kind::RealTime | Kind::Time => Order::RealTime,
        }
    }
}
