//! Nodes, known by what they have been given.
//!
//! A node reads no clock and draws nothing, so what it does next follows from what it is. What it is, its `Debug` says:
//! every field of every type, derived, and what is in its slabs, but not in which order free slots of those will be
//! taken. (Only the ids of operations on the store are told to others, and at this level there is one such operation at
//! a time, always in the first slot.) That is how the model tells nodes apart: of two with the same picture and the same
//! clock it keeps one. Each input is tried once in each state, on a real node that is brought there by its inputs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eddy::node::Node;
use eddy::workload::GCounter;
use eddy::workload::g_counter::Options;
use serde_json::json;

use super::shim::{Flaw, Shim};

/// A line of the protocol, without its end.
pub type Line = Arc<str>;

/// A node with its memory and its clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeState(u32);

/// What happens to a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// An incarnation begins, with its `init`.
    Start { node: usize, incarnation: u64 },
    /// A line comes. It takes no time.
    Line(Line),
    /// No line comes until the time at which the node next does something by itself.
    Silence,
}

/// What happened to a node in that state; to none before its start.
type Step = (Option<NodeState>, Input);

/// All nodes that have been seen.
pub struct Nodes {
    node_count: usize,
    options: Options,
    flaw: Option<Flaw>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// For each state how it first came about.
    steps: Vec<Step>,
    /// The state that looks like that.
    pictures: HashMap<String, NodeState>,
    /// The state after an input, and what the node said.
    next: HashMap<Step, (NodeState, Arc<[Line]>)>,
}

impl Nodes {
    /// So many nodes, which may have a flaw.
    pub fn new(node_count: usize, options: Options, flaw: Option<Flaw>) -> Self {
        Nodes {
            node_count,
            options,
            flaw,
            seen: Mutex::default(),
        }
    }

    /// How many there are at any time.
    pub fn count(&self) -> usize {
        self.node_count
    }

    /// A node that has just been told its name.
    pub fn start(&self, node: usize, incarnation: u64) -> NodeState {
        self.after(None, Input::Start { node, incarnation }).0
    }

    /// The node after one more input, and what it says to that.
    pub fn give(&self, state: NodeState, input: Input) -> (NodeState, Arc<[Line]>) {
        self.after(Some(state), input)
    }

    fn after(&self, before: Option<NodeState>, input: Input) -> (NodeState, Arc<[Line]>) {
        let mut seen = self.seen.lock().expect("nobody panics while holding it");
        let step = (before, input);
        if let Some(known) = seen.next.get(&step) {
            return known.clone();
        }
        let mut inputs = vec![&step.1];
        let mut earlier = before;
        while let Some(NodeState(index)) = earlier {
            let (before, input) = &seen.steps[index as usize];
            inputs.push(input);
            earlier = *before;
        }
        let mut node = LiveNode::new(self, inputs.pop().expect("a node starts"));
        let mut said = Vec::new();
        while let Some(input) = inputs.pop() {
            said = node.give(input);
        }
        // Without `#` a slab shows only how much is in it.
        let picture = format!("{:#?} {:?} {:?}", node.node, node.shim, node.now);
        let state = match seen.pictures.get(&picture) {
            Some(state) => *state,
            None => {
                let state = NodeState(seen.steps.len() as u32);
                seen.steps.push(step.clone());
                seen.pictures.insert(picture, state);
                state
            }
        };
        let known = (state, Arc::from(said));
        seen.next.insert(step, known.clone());
        known
    }
}

/// The real thing.
struct LiveNode {
    node: Node<GCounter>,
    shim: Shim,
    now: Duration,
}

impl LiveNode {
    fn new(nodes: &Nodes, start: &Input) -> Self {
        let &Input::Start { node, incarnation } = start else {
            unreachable!("what comes first is the start");
        };
        let node_ids: Vec<String> = (0..nodes.node_count).map(name).collect();
        let init = json!({"src": "c0", "dest": name(node), "body":
            {"type": "init", "node_id": name(node), "node_ids": node_ids, "msg_id": 1}});
        let mut live = LiveNode {
            node: Node::new(GCounter::new(nodes.options.clone(), incarnation)),
            shim: Shim::new(nodes.flaw, name(node)),
            now: Duration::ZERO,
        };
        live.node
            .receive(&init.to_string(), live.now)
            .expect("init is a message");
        live.take_output();
        live
    }

    fn give(&mut self, input: &Input) -> Vec<Line> {
        match input {
            Input::Start { .. } => unreachable!("an incarnation starts once"),
            Input::Line(line) => {
                let Some(line) = self.shim.hears(line) else {
                    return self.shim.said();
                };
                self.node
                    .receive(&line, self.now)
                    .expect("all lines are messages");
            }
            Input::Silence => {
                while self.node.output().is_empty()
                    && let Some(deadline) = self.node.deadline()
                {
                    self.now = self.now.max(deadline);
                    self.node.wake(self.now);
                }
            }
        }
        for line in self.take_output() {
            self.shim.says(line);
        }
        self.shim.said()
    }

    fn take_output(&mut self) -> Vec<Line> {
        let output = std::str::from_utf8(self.node.output()).expect("JSON is UTF-8");
        let lines = output.lines().map(Line::from).collect();
        self.node.written(self.node.output().len());
        lines
    }
}

/// What a node is called.
pub fn name(node: usize) -> String {
    format!("n{node}")
}
