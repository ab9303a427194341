//! The topologies of `broadcast`: which nodes are neighbours.

use clap::ValueEnum;
use serde_json::{Map, Value};

/// A topology of the nodes, in the order of their names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Topology {
    /// A square grid, filled row by row: up to four neighbours each.
    Grid,
    /// A line.
    Line,
    /// Every node is a neighbour of every other.
    Total,
    /// A tree in which each node has up to two children.
    #[value(alias = "tree")]
    Tree2,
    /// A tree in which each node has up to three children.
    Tree3,
    /// A tree in which each node has up to four children.
    Tree4,
}

impl Topology {
    /// Each node's neighbours: an object with a list for each name.
    pub fn neighbors(self, nodes: &[String]) -> Value {
        let lists = (0..nodes.len()).map(|node| {
            let neighbors = self.neighbors_of(node, nodes.len()).into_iter();
            let names = neighbors.map(|neighbor| Value::from(&*nodes[neighbor]));
            (nodes[node].clone(), names.collect())
        });
        Value::Object(lists.collect::<Map<_, _>>())
    }

    fn neighbors_of(self, node: usize, count: usize) -> Vec<usize> {
        match self {
            Topology::Grid => grid(node, count),
            Topology::Line => {
                let before = node.checked_sub(1);
                before
                    .into_iter()
                    .chain([node + 1].into_iter().filter(|&next| next < count))
                    .collect()
            }
            Topology::Total => (0..count).filter(|&other| other != node).collect(),
            Topology::Tree2 => tree(2, node, count),
            Topology::Tree3 => tree(3, node, count),
            Topology::Tree4 => tree(4, node, count),
        }
    }
}

/// Below, above, right and left, in upstream's order.
fn grid(node: usize, count: usize) -> Vec<usize> {
    let side = (1..=count)
        .find(|side| side * side >= count)
        .unwrap_or(count);
    let column = node % side;
    let below = Some(node + side).filter(|&below| below < count);
    let right = Some(node + 1).filter(|&right| column + 1 < side && right < count);
    let left = (column > 0).then(|| node - 1);
    let neighbors = [below, node.checked_sub(side), right, left];
    neighbors.into_iter().flatten().collect()
}

/// The parent and the children of a node in a tree in which each node has up to `width` children. The first node is
/// the root.
fn tree(width: usize, node: usize, count: usize) -> Vec<usize> {
    let above = node.checked_sub(1).map(|before| before / width);
    let first = node * width + 1;
    let below = (first..first + width).filter(|&below| below < count);
    above.into_iter().chain(below).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn neighbors(topology: Topology, count: usize) -> Value {
        let nodes: Vec<_> = (0..count).map(|node| format!("n{node}")).collect();
        topology.neighbors(&nodes)
    }

    #[test]
    fn a_grid_is_upstreams_to_the_order() {
        assert_eq!(
            neighbors(Topology::Grid, 5),
            json!({
                "n0": ["n3", "n1"],
                "n1": ["n4", "n2", "n0"],
                "n2": ["n1"],
                "n3": ["n0", "n4"],
                "n4": ["n1", "n3"],
            })
        );
    }

    #[test]
    fn a_line_has_two_ends() {
        assert_eq!(
            neighbors(Topology::Line, 3),
            json!({"n0": ["n1"], "n1": ["n0", "n2"], "n2": ["n1"]})
        );
    }

    #[test]
    fn a_tree_has_a_root_and_as_many_children_as_its_name_says() {
        assert_eq!(
            neighbors(Topology::Tree4, 7),
            json!({
                "n0": ["n1", "n2", "n3", "n4"],
                "n1": ["n0", "n5", "n6"],
                "n2": ["n0"],
                "n3": ["n0"],
                "n4": ["n0"],
                "n5": ["n1"],
                "n6": ["n1"],
            })
        );
    }

    #[test]
    fn every_topology_connects_all_nodes_both_ways() {
        for topology in Topology::value_variants() {
            for count in 1..30 {
                let neighbors: Vec<_> = (0..count)
                    .map(|node| topology.neighbors_of(node, count))
                    .collect();
                let mut reached = BTreeSet::from([0]);
                let mut next = vec![0];
                while let Some(node) = next.pop() {
                    for &neighbor in &neighbors[node] {
                        assert!(neighbors[neighbor].contains(&node), "{topology:?} {count}");
                        if reached.insert(neighbor) {
                            next.push(neighbor);
                        }
                    }
                }
                assert_eq!(reached.len(), count, "{topology:?}");
            }
        }
    }
}
