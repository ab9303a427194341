//! Which nodes are killed or paused together.

use rand::Rng;
use rand::seq::SliceRandom;

use super::Random;

/// Draws some of the nodes in one of Jepsen's ways: any number, one, less than a third, a minority, a majority, or all;
/// at least one. In order.
pub(super) fn draw(node_count: usize, random: &mut Random) -> Vec<usize> {
    let mut nodes: Vec<usize> = (0..node_count).collect();
    nodes.shuffle(random);
    let count = match random.random_range(0..6) {
        0 => random.random_range(1..=node_count),
        1 => 1,
        2 => (node_count - 1) / 3,
        3 => (node_count - 1) / 2,
        4 => node_count / 2 + 1,
        _ => node_count,
    };
    nodes.truncate(count.max(1));
    nodes.sort_unstable();
    nodes
}
