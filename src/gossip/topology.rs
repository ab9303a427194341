/// Which nodes are neighbours, and send each other new entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Topology {
    /// The first node is the neighbour of all others: two steps from any node to any other, and the fewest messages. The
    /// first node sends and receives the most, and a node that is cut off from it receives nothing until the partition
    /// ends.
    #[default]
    Star,
    /// Each node has up to four children: more steps, and no node has more than five neighbours.
    Tree,
    /// What the `topology` message says. Until it comes all nodes are neighbours, and on a node that was started again it
    /// never comes. Where there is more than one way from node to node, some entries are sent more than once, and fewer
    /// partitions delay them.
    Offered,
    /// The nodes form a ring. The neighbours of a node are the next and the last one and those √n steps away, so any two
    /// nodes are at most about √n steps apart. All other nodes are sent new entries, too, but seldom
    /// ([`DISTANT_INTERVAL`](super::DISTANT_INTERVAL)): that gets them past a partition which leaves no path between
    /// neighbours. For replicas with few entries.
    Ring,
}

/// How a node sends to another one of its own accord.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Contact {
    /// New entries at once, and heartbeats.
    Neighbour,
    /// New entries, seldom.
    Distant,
    /// Nothing. It only replies.
    #[default]
    Stranger,
}

impl Topology {
    const TREE_FANOUT: usize = 4;

    /// How node number `own` of `count` nodes sends to node number `other`.
    pub(super) fn contact(self, own: usize, other: usize, count: usize) -> Contact {
        let is_parent =
            |parent: usize, child: usize| child > 0 && (child - 1) / Self::TREE_FANOUT == parent;
        let is_neighbour = match self {
            Topology::Star => own == 0 || other == 0,
            Topology::Tree => is_parent(own, other) || is_parent(other, own),
            Topology::Offered => true,
            Topology::Ring => {
                let steps = (other + count - own) % count;
                let root = count.isqrt();
                let far = root + usize::from(root * root < count);
                [1, far, count - far, count - 1].contains(&steps)
            }
        };
        match self {
            _ if is_neighbour => Contact::Neighbour,
            Topology::Ring => Contact::Distant,
            _ => Contact::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use Topology::{Offered, Ring, Star, Tree};

    fn neighbours(topology: Topology, own: usize, count: usize) -> Vec<usize> {
        let others = (0..count).filter(|other| *other != own);
        others
            .filter(|other| topology.contact(own, *other, count) == Contact::Neighbour)
            .collect()
    }

    /// How many steps it is from node 0 to each node, in the order in which they are reached.
    fn steps(topology: Topology, count: usize) -> Vec<usize> {
        let mut reached = alloc::vec![(0, 0)];
        for next in 0..count {
            let (node, steps) = reached[next];
            for other in neighbours(topology, node, count) {
                if reached.iter().all(|(node, _)| *node != other) {
                    reached.push((other, steps + 1));
                }
            }
        }
        reached.into_iter().map(|(_, steps)| steps).collect()
    }

    #[test]
    fn neighbours_are_mutual_and_everyone_can_be_reached() {
        for topology in [Star, Tree, Offered, Ring] {
            for count in 1..40 {
                for own in 0..count {
                    for other in neighbours(topology, own, count) {
                        assert!(neighbours(topology, other, count).contains(&own));
                    }
                }
                assert_eq!(steps(topology, count).len(), count, "{topology:?}");
            }
        }
    }

    #[test]
    fn in_a_star_and_in_a_tree_there_is_one_way_from_node_to_node() {
        for topology in [Star, Tree] {
            for count in 1..40 {
                let links = (0..count).flat_map(|own| neighbours(topology, own, count));
                assert_eq!(links.count(), 2 * (count - 1));
            }
        }
    }

    #[test]
    fn in_a_ring_nobody_is_far_and_nobody_has_many_neighbours() {
        for count in 1..40 {
            let most = (0..count).map(|own| neighbours(Ring, own, count).len());
            assert!(most.max() <= Some(4));
            let farthest = steps(Ring, count).into_iter().max();
            assert!(farthest <= Some(count.isqrt() + 1), "{count}: {farthest:?}");
        }
    }
}
