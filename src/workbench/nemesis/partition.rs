//! Partitions: which nodes don't receive messages of which others.

use rand::Rng;
use rand::seq::SliceRandom;

use super::Random;

/// The pairs of nodes between which messages are lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// The pairs of (sender, receiver) that are cut, in order.
    cut: Vec<(usize, usize)>,
    shape: Shape,
}

/// How the pairs were chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Shape {
    /// These nodes and the others don't receive each other's messages.
    Halves(Vec<usize>),
    /// These nodes don't receive messages of the others.
    OneWay(Vec<usize>),
    /// Each node receives messages of a majority of its own.
    Ring,
}

impl Partition {
    /// A partition of one of Jepsen's shapes, drawn at random: one node alone, a minority of under a third, a minority
    /// and a majority, or a ring of majorities that overlap. `None` when there is nothing to cut.
    pub fn random(node_count: usize, random: &mut Random) -> Option<Self> {
        if node_count < 2 {
            return None;
        }
        let mut nodes: Vec<usize> = (0..node_count).collect();
        nodes.shuffle(random);
        let under_a_third = (node_count - 1) / 3;
        // In a ring of two, nothing would be cut.
        let shape_count = if node_count == 2 { 3 } else { 4 };
        Some(match random.random_range(0..shape_count) {
            0 => Self::halves(&nodes[..1], &nodes[1..]),
            // Under four nodes there is no such minority; Jepsen's partition then cuts nothing, which tests nothing.
            1 => Self::halves(
                &nodes[..under_a_third.max(1)],
                &nodes[under_a_third.max(1)..],
            ),
            2 => Self::halves(&nodes[..node_count / 2], &nodes[node_count / 2..]),
            _ => Self::majorities_ring(&nodes),
        })
    }

    /// Two groups that don't receive each other's messages.
    pub fn halves(one: &[usize], other: &[usize]) -> Self {
        let mut cut = Vec::with_capacity(2 * one.len() * other.len());
        for &a in one {
            for &b in other {
                cut.extend([(a, b), (b, a)]);
            }
        }
        cut.sort_unstable();
        Partition {
            cut,
            shape: Shape::Halves(one.to_vec()),
        }
    }

    /// Every node receives messages of a majority: itself and its neighbours in a ring. No two majorities are the same.
    pub fn majorities_ring(ring: &[usize]) -> Self {
        let count = ring.len();
        let majority = count / 2 + 1;
        let mut cut = Vec::new();
        for (place, &receiver) in ring.iter().enumerate() {
            // The receiver is in the middle of its majority.
            let begin = place + count - majority / 2;
            cut.extend((majority..count).map(|step| (ring[(begin + step) % count], receiver)));
        }
        cut.sort_unstable();
        Partition {
            cut,
            shape: Shape::Ring,
        }
    }

    /// Some members, drawn at random, don't receive messages of the others, which receive theirs. `None` when there is
    /// nothing to cut.
    pub fn random_one_way(count: usize, random: &mut Random) -> Option<Self> {
        if count < 2 {
            return None;
        }
        let mut members: Vec<usize> = (0..count).collect();
        members.shuffle(random);
        let (deaf, heard) = members.split_at(random.random_range(1..count));
        let pairs = |&sender| deaf.iter().map(move |&receiver| (sender, receiver));
        let mut cut: Vec<_> = heard.iter().flat_map(pairs).collect();
        cut.sort_unstable();
        Some(Partition {
            cut,
            shape: Shape::OneWay(deaf.to_vec()),
        })
    }

    /// Whether messages from `sender` to `receiver` are lost.
    pub fn cuts(&self, sender: usize, receiver: usize) -> bool {
        self.cut.binary_search(&(sender, receiver)).is_ok()
    }

    /// The partition in words. `named` gives the names of some members.
    pub fn shape(&self, named: impl Fn(&[usize]) -> String) -> String {
        match &self.shape {
            Shape::Halves(members) => format!("{} cut off", named(members)),
            Shape::OneWay(members) => format!("{} deaf to the others", named(members)),
            Shape::Ring => String::from("majorities in a ring"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::random::Stream;

    fn heard(partition: &Partition, receiver: usize, count: usize) -> Vec<usize> {
        (0..count)
            .filter(|&sender| !partition.cuts(sender, receiver))
            .collect()
    }

    #[test]
    fn two_halves_hear_only_themselves() {
        let partition = Partition::halves(&[3, 0], &[1, 2, 4]);
        for receiver in [0, 3] {
            assert_eq!(heard(&partition, receiver, 5), [0, 3]);
        }
        for receiver in [1, 2, 4] {
            assert_eq!(heard(&partition, receiver, 5), [1, 2, 4]);
        }
    }

    #[test]
    fn in_a_ring_every_node_hears_itself_and_a_majority_of_its_own() {
        for count in 2..=7 {
            let nodes: Vec<usize> = (0..count).collect();
            let partition = Partition::majorities_ring(&nodes);
            let mut majorities: Vec<_> = nodes
                .iter()
                .map(|&node| heard(&partition, node, count))
                .collect();
            for (node, majority) in majorities.iter().enumerate() {
                assert_eq!(majority.len(), count / 2 + 1, "of {count}");
                assert!(majority.contains(&node), "of {count}");
            }
            majorities.sort();
            majorities.dedup();
            // Two nodes hear each other whatever is cut.
            assert_eq!(majorities.len(), if count == 2 { 1 } else { count });
        }
    }

    #[test]
    fn in_a_one_way_partition_who_is_not_heard_still_hears() {
        let mut random = Stream::Nemesis.seeded(1);
        for count in 2..=6 {
            let partition = Partition::random_one_way(count, &mut random).expect("nodes to cut");
            assert!(!partition.cut.is_empty());
            for &(sender, receiver) in &partition.cut {
                assert!(!partition.cuts(receiver, sender), "of {count}");
            }
        }
        assert_eq!(Partition::random_one_way(1, &mut random), None);
    }

    #[test]
    fn a_random_partition_cuts_something_but_never_a_node_from_itself() {
        let mut random = Stream::Nemesis.seeded(1);
        for count in 2..=6 {
            for _ in 0..100 {
                let partition = Partition::random(count, &mut random).expect("nodes to cut");
                assert!(!partition.cut.is_empty());
                assert!((0..count).all(|node| !partition.cuts(node, node)));
            }
        }
        assert_eq!(Partition::random(1, &mut random), None);
    }
}
