use alloc::{borrow::Cow, vec::Vec};
use core::{fmt, str::FromStr};

/// Who tells whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Topology {
    /// The first node is everyone's neighbour: two steps from anyone to everyone, and as few messages as can be. The
    /// first node has the most to do, and those cut off from it wait until they aren't.
    #[default]
    Star,
    /// Each node has up to four children: more steps, and no node has many neighbours.
    Tree,
    /// What the `topology` message says, and everyone until it has come: a node that starts again gets none. With more
    /// than one way from node to node some values travel twice, and fewer partitions hold anything up.
    Offered,
}

impl Topology {
    const TREE_FANOUT: usize = 4;

    /// The neighbours that `node_id` starts with, by their places in `node_ids`, which must be sorted.
    pub(super) fn neighbours(self, node_id: &str, node_ids: &[Cow<'_, str>]) -> Vec<usize> {
        let Ok(own) = node_ids.binary_search_by(|other| (**other).cmp(node_id)) else {
            return Vec::new();
        };
        let fanout = match self {
            Topology::Star => node_ids.len(),
            Topology::Tree => Self::TREE_FANOUT,
            Topology::Offered => {
                return (0..node_ids.len()).filter(|other| *other != own).collect();
            }
        };
        let first_child = own * fanout + 1;
        let parent = (own > 0).then(|| (own - 1) / fanout);
        let children = first_child..node_ids.len().min(first_child + fanout);
        parent.into_iter().chain(children).collect()
    }
}

impl FromStr for Topology {
    type Err = UnknownTopology;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "star" => Ok(Topology::Star),
            "tree" => Ok(Topology::Tree),
            "offered" => Ok(Topology::Offered),
            _ => Err(UnknownTopology),
        }
    }
}

/// There is no topology of that name.
#[derive(Debug)]
pub struct UnknownTopology;

impl fmt::Display for UnknownTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is star, tree or offered")
    }
}

impl core::error::Error for UnknownTopology {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_mutual_and_everyone_can_be_reached() {
        for (topology, count) in [Topology::Star, Topology::Tree]
            .into_iter()
            .flat_map(|topology| (1..40).map(move |count| (topology, count)))
        {
            let mut node_ids: Vec<Cow<str>> = (0..count)
                .map(|index| Cow::Owned(alloc::format!("n{index}")))
                .collect();
            node_ids.sort();
            let neighbours: Vec<_> = node_ids
                .iter()
                .map(|id| topology.neighbours(id, &node_ids))
                .collect();
            for (index, others) in neighbours.iter().enumerate() {
                assert!(
                    others
                        .iter()
                        .all(|&other| neighbours[other].contains(&index))
                );
            }
            let links: usize = neighbours.iter().map(Vec::len).sum();
            assert_eq!(links, 2 * (count - 1), "a tree: no value travels twice");
            let mut reached = alloc::vec![0];
            for next in 0..count {
                let more = neighbours[reached[next]]
                    .iter()
                    .filter(|other| !reached.contains(other));
                let more: Vec<_> = more.copied().collect();
                reached.extend(more);
            }
            assert_eq!(reached.len(), count);
        }
    }
}
