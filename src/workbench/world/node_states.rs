//! The state of each node (joined, up, paused, mute, ready), and the commands that the driver has to carry out.

use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom;

use crate::workbench::random::Random;

/// The time between two nodes that join the network, and so between two that get their first `init`.
///
/// Maelstrom starts all nodes side by side and adds each to its network when it starts it, in no certain order. On an idle
/// machine with two cores the last of three or five nodes was seen to join 6 to 11 ms after the first, and the last of
/// twenty-five 49 to 183 ms after it.
const JOIN_INTERVAL: Duration = Duration::from_millis(1);

/// The time from a node's joining to its first `init`, in which Maelstrom starts its process. There 32 to 38 ms passed from
/// the first joining to the first `init` of three or five nodes, and 72 to 76 ms with twenty-five. So nodes that send to
/// others as soon as they have their own `init` nearly always found them there, if perhaps without theirs.
const INIT_WAIT: Duration = Duration::from_millis(30);

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
    /// The nodes that have not been sent their first `init`, each with the time at which it is due.
    starting: VecDeque<(usize, Duration)>,
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
    /// Nodes join one after the other and get their first `init` a while later, the first of them at time zero. Each has
    /// `init_timeout` to answer it.
    pub(super) fn new(node_count: usize, init_timeout: Duration, random: &mut Random) -> Self {
        let mut order: Vec<usize> = (0..node_count).collect();
        order.shuffle(random);
        let init_at = (0..).map(|place| place * JOIN_INTERVAL);
        NodeStates {
            starting: order.into_iter().zip(init_at).collect(),
            ..Self::ready_before(node_count, init_timeout)
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
            starting: VecDeque::new(),
            init_timeout,
            commands: VecDeque::new(),
        }
    }

    /// The next node whose first `init` is due, and the message id of that `init`.
    pub(super) fn next_init(&mut self, now: Duration) -> Option<(usize, i64)> {
        let (node, _) = self.starting.pop_front_if(|(_, init_at)| *init_at <= now)?;
        let state = &mut self.nodes[node];
        state.unready_until = Some(now + self.init_timeout);
        Some((node, state.init_msg_id))
    }

    /// Whether a node has joined the network. It stays there when it is killed.
    pub(super) fn has_joined(&self, node: usize, now: Duration) -> bool {
        let mut starting = self.starting.iter();
        starting.all(|(other, init_at)| *other != node || *init_at <= now + INIT_WAIT)
    }

    /// Whether a node has been sent an `init`.
    pub(super) fn was_sent_init(&self, node: usize) -> bool {
        self.starting.iter().all(|(other, _)| *other != node)
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
        (0..self.nodes.len()).filter(|&node| !self.was_sent_init(node) || self.is_unready(node))
    }

    /// When the next `init` is due or, if all have been sent theirs, when the time to answer it is over for the last of them.
    pub(super) fn start_deadline(&self) -> Option<Duration> {
        let next_init = self.starting.front();
        next_init.map_or_else(|| self.unready_until(), |(_, init_at)| Some(*init_at))
    }

    /// When the time to answer `init` is over for the last of the nodes that have been sent theirs.
    pub(super) fn unready_until(&self) -> Option<Duration> {
        self.nodes
            .iter()
            .filter_map(|state| state.unready_until)
            .max()
    }
}
