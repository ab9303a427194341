//! The lives of nodes: which are up, which have answered `init`, and what the driver is to do with them.

use std::collections::VecDeque;
use std::time::Duration;

use super::INIT_TIMEOUT;

/// What a driver is to do with a node, given by its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// End it at once, without its getting to know.
    Kill(usize),
    /// Start it anew, with nothing that it knew before.
    Start(usize),
    /// Stop it where it stands, until it is told to continue.
    Pause(usize),
    /// Let it go on.
    Continue(usize),
}

/// The lives of all nodes.
pub(super) struct Lives {
    nodes: Vec<Life>,
    orders: VecDeque<Order>,
}

/// The present life of a node.
struct Life {
    is_up: bool,
    is_paused: bool,
    /// The message id of this life's `init`: 1 in the first, and one more in each that follows.
    init_msg_id: i64,
    /// By when `init` is to be answered, until it is.
    unready_until: Option<Duration>,
}

impl Lives {
    /// All nodes begin their first life at time zero.
    pub(super) fn new(node_count: usize) -> Self {
        let first = || Life {
            is_up: true,
            is_paused: false,
            init_msg_id: 1,
            unready_until: Some(INIT_TIMEOUT),
        };
        Lives {
            nodes: (0..node_count).map(|_| first()).collect(),
            orders: VecDeque::new(),
        }
    }

    /// Whether a node gets messages; while it is paused they wait for it.
    pub(super) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].is_up
    }

    /// The next thing to do for the driver.
    pub(super) fn next_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub(super) fn kill(&mut self, node: usize) {
        let life = &mut self.nodes[node];
        life.is_up = false;
        life.unready_until = None;
        self.orders.push_back(Order::Kill(node));
    }

    /// Starts all nodes that are down. Gives them, each with the message id of its `init`.
    pub(super) fn start_all(&mut self, now: Duration) -> Vec<(usize, i64)> {
        let mut started = Vec::new();
        for (node, life) in self.nodes.iter_mut().enumerate() {
            if !life.is_up {
                *life = Life {
                    is_up: true,
                    is_paused: false,
                    init_msg_id: life.init_msg_id + 1,
                    unready_until: Some(now + INIT_TIMEOUT),
                };
                self.orders.push_back(Order::Start(node));
                started.push((node, life.init_msg_id));
            }
        }
        started
    }

    /// Pauses a node, if it is up.
    pub(super) fn pause(&mut self, node: usize) {
        let life = &mut self.nodes[node];
        if life.is_up && !life.is_paused {
            life.is_paused = true;
            self.orders.push_back(Order::Pause(node));
        }
    }

    pub(super) fn continue_all(&mut self) {
        for (node, life) in self.nodes.iter_mut().enumerate() {
            if life.is_up && life.is_paused {
                life.is_paused = false;
                self.orders.push_back(Order::Continue(node));
            }
        }
    }

    /// Whether that is the `init` of this life or of an earlier one.
    pub(super) fn has_init(&self, node: usize, init_msg_id: i64) -> bool {
        (1..=self.nodes[node].init_msg_id).contains(&init_msg_id)
    }

    /// Whether that is the `init` of this life.
    pub(super) fn is_current(&self, node: usize, init_msg_id: i64) -> bool {
        self.nodes[node].init_msg_id == init_msg_id
    }

    /// A node has answered the `init` of this life.
    pub(super) fn ready(&mut self, node: usize) {
        self.nodes[node].unready_until = None;
    }

    /// The nodes that have not answered `init`.
    pub(super) fn unready(&self) -> impl Iterator<Item = usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(node, life)| life.unready_until.map(|_| node))
    }

    /// When the last of the nodes that have not answered `init` will have had its time.
    pub(super) fn unready_until(&self) -> Option<Duration> {
        self.nodes
            .iter()
            .filter_map(|life| life.unready_until)
            .max()
    }
}
