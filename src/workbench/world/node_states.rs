//! The state of each node (joined, up, paused, mute, ready), and the commands that the driver has to carry out.

use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom;

use crate::workbench::random::Random;

/// The time between two nodes that join the network.
///
/// Maelstrom starts all nodes side by side and adds each to its network when it starts it, in no certain order and
/// whether the others have answered their `init` or not. On two cores the last of three or five nodes was seen to follow
/// 2 to 170 ms after the first, in the median 12 and 16 ms, and the last of twenty-five after 23 to 300 ms. So a node that
/// sends to others as soon as it has its own `init` goes wrong there if it starts fast, and now and then if it is slow. Here
/// the time is short, as a run that Maelstrom mostly lets pass is to pass.
const JOIN_INTERVAL: Duration = Duration::from_millis(2);

/// What the driver must do with a node, given by its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeCommand {
    /// End it at once, by a signal that it can't catch.
    Kill(usize),
    /// Start a new incarnation, without the memory of the earlier one.
    Start(usize),
    /// Stop it until it is continued.
    Pause(usize),
    /// Continue it after a pause.
    Continue(usize),
}

/// The states of all nodes.
pub(super) struct NodeStates {
    nodes: Vec<NodeState>,
    /// The nodes that have not joined the network yet, in the order in which they will.
    absent: VecDeque<usize>,
    /// When the first of `absent` joins.
    next_join_at: Duration,
    init_timeout: Duration,
    commands: VecDeque<NodeCommand>,
}

/// The state of a node's present incarnation.
struct NodeState {
    is_up: bool,
    is_paused: bool,
    /// Whether its output is ignored, after a message that Maelstrom's network does not survive.
    is_mute: bool,
    /// The message id of this incarnation's `init`: 1 for the first, and one more for each that follows.
    init_msg_id: i64,
    /// When `init` has to be answered; none once it is.
    unready_until: Option<Duration>,
}

impl NodeStates {
    /// Nodes join one after the other, the first at time zero. Each has `init_timeout` to answer its `init`.
    pub(super) fn new(node_count: usize, init_timeout: Duration, random: &mut Random) -> Self {
        let mut absent: VecDeque<usize> = (0..node_count).collect();
        absent.make_contiguous().shuffle(random);
        let first = |_| NodeState {
            is_up: false,
            is_paused: false,
            is_mute: false,
            init_msg_id: 1,
            unready_until: None,
        };
        NodeStates {
            nodes: (0..node_count).map(first).collect(),
            absent,
            next_join_at: Duration::ZERO,
            init_timeout,
            commands: VecDeque::new(),
        }
    }

    /// Nodes that have joined and answered their `init` before the run.
    pub(super) fn ready_before(node_count: usize, init_timeout: Duration) -> Self {
        let ready = |_| NodeState {
            is_up: true,
            is_paused: false,
            is_mute: false,
            init_msg_id: 1,
            unready_until: None,
        };
        NodeStates {
            nodes: (0..node_count).map(ready).collect(),
            absent: VecDeque::new(),
            next_join_at: Duration::ZERO,
            init_timeout,
            commands: VecDeque::new(),
        }
    }

    /// Lets the next node join if it is due. Returns its index and the message id of its `init`.
    pub(super) fn join(&mut self, now: Duration) -> Option<(usize, i64)> {
        if now < self.next_join_at {
            return None;
        }
        let node = self.absent.pop_front()?;
        self.next_join_at += JOIN_INTERVAL;
        let state = &mut self.nodes[node];
        state.is_up = true;
        state.unready_until = Some(now + self.init_timeout);
        Some((node, state.init_msg_id))
    }

    /// Whether a node has joined the network. It stays there when it is killed.
    pub(super) fn has_joined(&self, node: usize) -> bool {
        !self.absent.contains(&node)
    }

    /// Ignores the output of a node's present incarnation from now on.
    pub(super) fn mute(&mut self, node: usize) {
        self.nodes[node].is_mute = true;
    }

    /// Whether a node's output is ignored.
    pub(super) fn is_mute(&self, node: usize) -> bool {
        self.nodes[node].is_mute
    }

    /// Whether a node receives messages. Those of a paused node wait in its inbox.
    pub(super) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].is_up
    }

    /// The next command for the driver.
    pub(super) fn next_command(&mut self) -> Option<NodeCommand> {
        self.commands.pop_front()
    }

    pub(super) fn kill(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        state.is_up = false;
        state.unready_until = None;
        self.commands.push_back(NodeCommand::Kill(node));
    }

    /// Starts all nodes that are down. Returns their indices, each with the message id of its `init`.
    pub(super) fn start_all(&mut self, now: Duration) -> Vec<(usize, i64)> {
        let mut started = Vec::new();
        for (node, state) in self.nodes.iter_mut().enumerate() {
            if !state.is_up {
                *state = NodeState {
                    is_up: true,
                    is_paused: false,
                    is_mute: false,
                    init_msg_id: state.init_msg_id + 1,
                    unready_until: Some(now + self.init_timeout),
                };
                self.commands.push_back(NodeCommand::Start(node));
                started.push((node, state.init_msg_id));
            }
        }
        started
    }

    /// Pauses a node, if it is up.
    pub(super) fn pause(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        if state.is_up && !state.is_paused {
            state.is_paused = true;
            self.commands.push_back(NodeCommand::Pause(node));
        }
    }

    pub(super) fn continue_all(&mut self) {
        for (node, state) in self.nodes.iter_mut().enumerate() {
            if state.is_up && state.is_paused {
                state.is_paused = false;
                self.commands.push_back(NodeCommand::Continue(node));
            }
        }
    }

    /// Whether `init_msg_id` is that of the `init` of this or an earlier incarnation.
    pub(super) fn has_init(&self, node: usize, init_msg_id: i64) -> bool {
        (1..=self.nodes[node].init_msg_id).contains(&init_msg_id)
    }

    /// Whether `init_msg_id` is that of the `init` of the present incarnation.
    pub(super) fn is_current(&self, node: usize, init_msg_id: i64) -> bool {
        self.nodes[node].init_msg_id == init_msg_id
    }

    /// Whether `init_msg_id` is that of the `init` of the present incarnation, which has answered it.
    pub(super) fn is_answered(&self, node: usize, init_msg_id: i64) -> bool {
        self.is_current(node, init_msg_id) && !self.is_unready(node)
    }

    /// Whether a node has not yet answered the `init` of its present incarnation.
    pub(super) fn is_unready(&self, node: usize) -> bool {
        self.nodes[node].unready_until.is_some()
    }

    /// Records that a node has answered the `init` of its present incarnation.
    pub(super) fn ready(&mut self, node: usize) {
        self.nodes[node].unready_until = None;
    }

    /// The nodes that have not answered `init`.
    pub(super) fn unready(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|&node| !self.has_joined(node) || self.is_unready(node))
    }

    /// When the next node joins or, if all have joined, when the time to answer `init` is over for the last of them.
    pub(super) fn start_deadline(&self) -> Option<Duration> {
        match self.absent.is_empty() {
            true => self.unready_until(),
            false => Some(self.next_join_at),
        }
    }

    /// When the time to answer `init` is over for the last of the nodes that have joined.
    pub(super) fn unready_until(&self) -> Option<Duration> {
        self.nodes
            .iter()
            .filter_map(|state| state.unready_until)
            .max()
    }
}
