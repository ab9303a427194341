//! The lives of nodes: which have joined and are up, which have answered `init`, and what the driver is to do with them.

use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom;

use crate::workbench::random::Random;

/// How long after one node the next joins the network.
///
/// Maelstrom starts all nodes side by side and adds each to its network when it starts it, in no certain order. On two
/// cores it was seen to take 7 ms for five nodes and 300 ms for twenty-five: 2 to 12 ms a node.
const JOIN_INTERVAL: Duration = Duration::from_millis(10);

/// How long the second node waits at most to join until the first has answered its `init`.
///
/// Thus a node that speaks to others as soon as it has its own `init` is found out, however long it takes to start. A run
/// begins no later for it: the processes of all nodes start at once.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(1);

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
    /// Who is yet to join the network, in that order.
    absent: VecDeque<usize>,
    /// When the next of them joins.
    next_join_at: Duration,
    init_timeout: Duration,
    orders: VecDeque<Order>,
}

/// The present life of a node.
struct Life {
    is_up: bool,
    is_paused: bool,
    /// What it prints is no longer read.
    is_mute: bool,
    /// The message id of this life's `init`: 1 in the first, and one more in each that follows.
    init_msg_id: i64,
    /// By when `init` is to be answered, until it is.
    unready_until: Option<Duration>,
}

impl Lives {
    /// Nodes join one after the other, the first at time zero. Each has so much time to answer its `init`.
    pub(super) fn new(node_count: usize, init_timeout: Duration, random: &mut Random) -> Self {
        let mut absent: VecDeque<usize> = (0..node_count).collect();
        absent.make_contiguous().shuffle(random);
        let first = |_| Life {
            is_up: false,
            is_paused: false,
            is_mute: false,
            init_msg_id: 1,
            unready_until: None,
        };
        Lives {
            nodes: (0..node_count).map(first).collect(),
            absent,
            next_join_at: Duration::ZERO,
            init_timeout,
            orders: VecDeque::new(),
        }
    }

    /// Lets the next node join that is to have joined by now. Gives it with the message id of its `init`.
    pub(super) fn join(&mut self, now: Duration) -> Option<(usize, i64)> {
        if now < self.next_join_at {
            return None;
        }
        let node = self.absent.pop_front()?;
        let is_first = self.absent.len() + 1 == self.nodes.len();
        self.next_join_at = now
            + if is_first {
                JOIN_WAIT_MAX
            } else {
                JOIN_INTERVAL
            };
        let life = &mut self.nodes[node];
        life.is_up = true;
        life.unready_until = Some(now + self.init_timeout);
        Some((node, life.init_msg_id))
    }

    /// Whether a node is in the network: one that was killed still is.
    pub(super) fn has_joined(&self, node: usize) -> bool {
        !self.absent.contains(&node)
    }

    /// Reads no more of what a node prints in this life.
    pub(super) fn mute(&mut self, node: usize) {
        self.nodes[node].is_mute = true;
    }

    /// Whether what a node prints is no longer read.
    pub(super) fn is_mute(&self, node: usize) -> bool {
        self.nodes[node].is_mute
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
                    is_mute: false,
                    init_msg_id: life.init_msg_id + 1,
                    unready_until: Some(now + self.init_timeout),
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

    /// Whether a node has not yet answered the `init` of this life.
    pub(super) fn is_unready(&self, node: usize) -> bool {
        self.nodes[node].unready_until.is_some()
    }

    /// A node has answered the `init` of this life.
    pub(super) fn ready(&mut self, node: usize, now: Duration) {
        self.nodes[node].unready_until = None;
        self.next_join_at = self.next_join_at.min(now + JOIN_INTERVAL);
    }

    /// The nodes that have not answered `init`.
    pub(super) fn unready(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|&node| !self.has_joined(node) || self.is_unready(node))
    }

    /// When the next node joins or, if all have, the last that has not answered `init` will have had its time.
    pub(super) fn start_deadline(&self) -> Option<Duration> {
        match self.absent.is_empty() {
            true => self.unready_until(),
            false => Some(self.next_join_at),
        }
    }

    /// When the last of the nodes that have joined and not answered `init` will have had its time.
    pub(super) fn unready_until(&self) -> Option<Duration> {
        self.nodes
            .iter()
            .filter_map(|life| life.unready_until)
            .max()
    }
}
