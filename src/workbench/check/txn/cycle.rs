//! The search for cycles that a model forbids. It reports one short cycle of each group of transactions, with an
//! explanation.
//!
//! Each kind of cycle is searched for in a graph of its own, which has only the dependencies that such a cycle may
//! use. In it, every strongly connected component of more than one node contains a cycle, and every cycle lies within
//! one component.
//!
//! Snapshot isolation forbids only cycles in which no read-write dependency follows another one. In the graph for
//! these, each transaction has two places: read-write dependencies lead to the second, all others to the first, and no
//! read-write dependency leaves the second.

use std::collections::{BTreeSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef};

use super::anomaly::Anomalies;
use super::graph::{Graph, Kind, Reason};
use super::{Cycles, Model, Order, Transaction};

/// The number of transactions of a component from which the shortest cycle is searched for.
const STARTS_MAX: usize = 20;

/// Adds the cycles that at least one of the models forbids, the gravest kind first. A transaction is shown in one
/// cycle only.
pub fn find(graph: &Graph<'_, '_>, models: &[Model], anomalies: &mut Anomalies) {
    let Some(suspects) = suspects(graph, models) else {
        return;
    };
    let mut shown: BTreeSet<NodeIndex> = BTreeSet::new();
    for order in [Order::Data, Order::Session, Order::RealTime] {
        for cycles in [
            Cycles::Writes,
            Cycles::Information,
            Cycles::Nonadjacent,
            Cycles::Any,
        ] {
            if !models
                .iter()
                .any(|model| model.order >= order && model.cycles >= cycles)
            {
                continue;
            }
            for cycle in Candidates::of(graph, &suspects, cycles, order).cycles() {
                let transactions = cycle.iter().map(|(node, _)| *node);
                if transactions.clone().any(|node| shown.contains(&node)) {
                    continue;
                }
                shown.extend(transactions);
                let name = name(&cycle);
                let what = explain(graph, &name, &cycle);
                anomalies.add_cycle(&name, what, operations(graph, &cycle));
            }
        }
    }
}

/// For each node of the graph, whether it is in a cycle that the models may forbid; `None` if no node is. There are
/// few such nodes, and only they are searched further.
fn suspects(graph: &Graph<'_, '_>, models: &[Model]) -> Option<Vec<bool>> {
    let cycles = models.iter().map(|model| model.cycles).max()?;
    let order = models.iter().map(|model| model.order).max()?;
    let held = EdgeFiltered::from_fn(&graph.edges, |edge| is_held(*edge.weight(), cycles, order));
    let mut suspects = None;
    let components = kosaraju_scc(&held).into_iter();
    for node in components.filter(|component| component.len() > 1).flatten() {
        let suspects = suspects.get_or_insert_with(|| vec![false; graph.edges.node_count()]);
        suspects[node.index()] = true;
    }
    suspects
}

/// Whether a dependency holds in every model that forbids such cycles and keeps such an order.
fn is_held(reason: Reason, cycles: Cycles, order: Order) -> bool {
    reason.cycles() <= cycles && reason.order() <= order
}

/// Transactions, each with the reason why it comes before the next; the last comes before the first.
type Cycle = Vec<(NodeIndex, Reason)>;

/// The graph in which cycles of one kind are searched for.
struct Candidates<'g, 'a> {
    graph: &'g Graph<'g, 'a>,
    /// Each place is a node of `graph`, each edge here an edge there.
    places: DiGraph<NodeIndex, EdgeIndex>,
}

/// The memory of a path search. It is as large as the graph and most paths are short, so it is reused.
struct Search {
    /// The place from which each place was reached; `NodeIndex::end()` if it was not reached.
    before: Vec<NodeIndex>,
    reached: Vec<NodeIndex>,
    queue: VecDeque<(NodeIndex, NodeIndex)>,
}

impl Search {
    fn new(place_count: usize) -> Self {
        Search {
            before: vec![NodeIndex::end(); place_count],
            reached: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    fn clear(&mut self) {
        self.queue.clear();
        for place in self.reached.drain(..) {
            self.before[place.index()] = NodeIndex::end();
        }
    }
}

impl<'g, 'a> Candidates<'g, 'a> {
    fn of(graph: &'g Graph<'g, 'a>, suspects: &[bool], cycles: Cycles, order: Order) -> Self {
        let mut places = DiGraph::new();
        let mut places_of = vec![[NodeIndex::end(); 2]; suspects.len()];
        let mut place = |places: &mut DiGraph<NodeIndex, EdgeIndex>, node, is_after_read| {
            let place = &mut places_of[NodeIndex::index(node)][usize::from(is_after_read)];
            if *place == NodeIndex::end() {
                *place = places.add_node(node);
            }
            *place
        };
        let edges = graph.edges.edge_references();
        let among = |node: NodeIndex| suspects[node.index()];
        for edge in edges.filter(|edge| among(edge.source()) && among(edge.target())) {
            if !is_held(*edge.weight(), cycles, order) {
                continue;
            }
            let is_doubled = cycles == Cycles::Nonadjacent;
            let is_read_write = edge.weight().kind() == Kind::ReadWrite;
            let to = place(&mut places, edge.target(), is_doubled && is_read_write);
            let from = place(&mut places, edge.source(), false);
            places.add_edge(from, to, edge.id());
            if is_doubled && !is_read_write {
                let from = place(&mut places, edge.source(), true);
                places.add_edge(from, to, edge.id());
            }
        }
        Candidates { graph, places }
    }

    /// For each component the shortest of the cycles through some of its transactions.
    fn cycles(&self) -> Vec<Cycle> {
        let mut components = kosaraju_scc(&self.places);
        components.retain(|component| component.len() > 1);
        let mut component_of = vec![None; self.places.node_count()];
        for (number, component) in components.iter_mut().enumerate() {
            component.sort_unstable();
            for place in component {
                component_of[place.index()] = Some(number);
            }
        }
        let mut search = Search::new(self.places.node_count());
        let mut cycles = Vec::new();
        for component in &components {
            let is_start =
                |place: &&NodeIndex| self.graph.transaction(self.places[**place]).is_some();
            let starts = component.iter().filter(is_start).take(STARTS_MAX);
            let mut shortest: Option<Cycle> = None;
            for &start in starts {
                let cycle = self.shortest_from(start, &component_of, &mut search);
                let all = shortest.into_iter().chain(cycle);
                shortest = all.min_by_key(Vec::len);
                // This is the minimum length.
                if shortest.as_ref().is_some_and(|cycle| cycle.len() == 2) {
                    break;
                }
            }
            cycles.extend(shortest);
        }
        cycles.sort_by_key(|cycle| cycle.first().map(|(node, _)| *node));
        cycles
    }

    /// The shortest cycle through a place.
    fn shortest_from(
        &self,
        start: NodeIndex,
        component_of: &[Option<usize>],
        search: &mut Search,
    ) -> Option<Cycle> {
        let path = self.shortest_path(start, component_of, search)?;
        let steps = path.iter().zip(path.iter().cycle().skip(1));
        let steps = steps.map(|(&from, &to)| {
            let reasons = self.places.edges_connecting(from, to);
            let reasons = reasons.map(|edge| self.graph.edges[*edge.weight()]);
            // Of several reasons the gravest one, because it determines the name of the cycle.
            let gravity = |reason: &Reason| (reason.order(), reason.cycles(), reason.kind());
            Some((self.places[from], reasons.min_by_key(gravity)?))
        });
        Some(without_moments(self.graph, steps.collect::<Option<_>>()?))
    }

    /// The places of the shortest cycle, from a breadth-first search that does not leave the component. A step to a
    /// moment has no cost, so it is taken first.
    fn shortest_path(
        &self,
        start: NodeIndex,
        component_of: &[Option<usize>],
        search: &mut Search,
    ) -> Option<Vec<NodeIndex>> {
        search.clear();
        search.queue.push_back((start, start));
        while let Some((place, before)) = search.queue.pop_front() {
            if place == start && !search.reached.is_empty() {
                let back =
                    std::iter::successors(Some(before), |place| Some(search.before[place.index()]));
                let mut path: Vec<NodeIndex> = back.take_while(|place| *place != start).collect();
                path.push(start);
                path.reverse();
                return Some(path);
            }
            let reached_from = &mut search.before[place.index()];
            if *reached_from != NodeIndex::end() {
                continue;
            }
            *reached_from = before;
            search.reached.push(place);
            let component = component_of[start.index()];
            for edge in self.places.edges(place) {
                if component_of[edge.target().index()] != component {
                    continue;
                }
                if self.graph.edges[*edge.weight()].kind() == Kind::Time {
                    search.queue.push_front((edge.target(), place));
                } else {
                    search.queue.push_back((edge.target(), place));
                }
            }
        }
        None
    }
}

/// The same cycle, beginning with its earliest transaction, with one step instead of each path through moments.
fn without_moments<'a>(graph: &Graph<'_, 'a>, mut cycle: Cycle) -> Cycle {
    cycle.retain(|(node, _)| graph.transaction(*node).is_some());
    for (_, reason) in &mut cycle {
        if reason.kind() == Kind::Time {
            *reason = Reason::Order(Kind::RealTime);
        }
    }
    let earliest = (0..cycle.len())
        .min_by_key(|&position| cycle[position].0)
        .unwrap_or_default();
    cycle.rotate_left(earliest);
    cycle
}

/// The name of the cycle in the work of Adya and Elle.
fn name(cycle: &Cycle) -> String {
    let is_read_write = |position: usize| cycle[position % cycle.len()].1.kind() == Kind::ReadWrite;
    let read_writes = (0..cycle.len())
        .filter(|&position| is_read_write(position))
        .count();
    let is_adjacent =
        (0..cycle.len()).any(|position| is_read_write(position) && is_read_write(position + 1));
    let reasons = || cycle.iter().map(|(_, reason)| *reason);
    let data = match read_writes {
        // The order of these writes rests on the assumption that no read is too old.
        0 if reasons().any(|reason| matches!(reason, Reason::DataInTime { .. })) => "G-single-item",
        0 if reasons().any(|reason| reason.kind() == Kind::WriteRead) => "G1c",
        0 => "G0",
        1 => "G-single-item",
        _ if is_adjacent => "G2-item",
        _ => "G-nonadjacent-item",
    };
    let order = match reasons().map(Reason::order).max() {
        Some(Order::RealTime) => "-realtime",
        Some(Order::Session) => "-process",
        Some(Order::Data) | None => "",
    };
    format!("{data}{order}")
}

/// The textbook name of the cycle, without the order that it contradicts.
fn words(name: &str) -> &'static str {
    match name.split_once("-process").or(name.split_once("-realtime")) {
        Some((data, _)) => words(data),
        None if name == "G0" => "Write cycle",
        None if name == "G1c" => "Circular information flow",
        None if name == "G-single-item" => "Read skew",
        None if name == "G2-item" => "Write skew",
        None => "Cycle",
    }
}

/// The transactions of a cycle, and then the other transactions that prove it.
fn operations(graph: &Graph<'_, '_>, cycle: &Cycle) -> Vec<usize> {
    let nodes = cycle.iter().map(|(node, _)| *node);
    let transactions = nodes.clone().filter_map(|node| graph.transaction(node));
    let seen_by = cycle.iter().flat_map(|(_, reason)| graph.seen_by(*reason));
    let readers = nodes.filter_map(|node| graph.reader_of(node));
    let mut operations: Vec<usize> = Vec::new();
    for transaction in transactions.chain(seen_by).chain(readers) {
        if !operations.contains(&transaction.index) {
            operations.push(transaction.index);
        }
    }
    operations
}

fn explain(graph: &Graph<'_, '_>, name: &str, cycle: &Cycle) -> String {
    let transactions = cycle
        .iter()
        .filter_map(|(node, _)| graph.transaction(*node));
    let names: Vec<String> = transactions.map(Transaction::name).collect();
    let mut what = format!("{} ({name}): ", words(name));
    for (position, (_, reason)) in cycle.iter().enumerate() {
        let (first, second) = (&names[position], &names[(position + 1) % names.len()]);
        let because = graph.explain(*reason, first, second);
        what.push_str(&format!(
            "{first} comes before {second}, because {because}.\n"
        ));
    }
    what.push_str(&format!(
        "So {} would have to come before itself.",
        names[0]
    ));
    for (node, _) in cycle {
        if let (Some(unknown), Some(reader)) = (graph.transaction(*node), graph.reader_of(*node)) {
            what.push_str(&unknown.either_way(reader));
        }
    }
    what
}
