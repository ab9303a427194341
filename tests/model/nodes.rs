//! Nodes, identified by their inputs.
//!
//! A node reads no clock and draws no random numbers, so its behaviour follows from its state. Its state is what
//! `Debug` shows: every field of every type, derived, and the contents of its slabs, but not the order in which free
//! slots will be used. (Only the ids of store operations are visible to others. At this level there is one such
//! operation at a time, always in the first slot.) So the model treats two nodes with the same `Debug` output and the
//! same clock as one. Each input is tried once in each state, on a real node that is brought into that state by its
//! inputs.

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

/// An input of a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// An incarnation starts, with its `init`.
    Start { node: usize, incarnation: u64 },
    /// A line arrives. It takes no time.
    Line(Line),
    /// No line arrives until the node has said something, and that much time has passed at least. Of what it says
    /// again meanwhile, all but the last is lost.
    Silence { at_least: Duration },
}

/// An input to a node in the given state; in none before its start.
type Step = (Option<NodeState>, Input);

/// All states of nodes that were reached.
pub struct Nodes {
    node_count: usize,
    options: Options,
    flaw: Option<Flaw>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// For each state, the inputs that first led to it.
    steps: Vec<Step>,
    /// The state with this `Debug` output.
    pictures: HashMap<String, NodeState>,
    /// The state after an input, and the output of the node.
    next: HashMap<Step, (NodeState, Arc<[Line]>)>,
}

impl Nodes {
    /// A number of nodes, which may have a flaw.
    pub fn new(node_count: usize, options: Options, flaw: Option<Flaw>) -> Self {
        Nodes {
            node_count,
            options,
            flaw,
            seen: Mutex::default(),
        }
    }

    /// The number of nodes.
    pub fn count(&self) -> usize {
        self.node_count
    }

    /// A node that has just got its `init`.
    pub fn start(&self, node: usize, incarnation: u64) -> NodeState {
        self.after(None, Input::Start { node, incarnation }).0
    }

    /// The node after one more input, and its output.
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
        let mut output = Vec::new();
        while let Some(input) = inputs.pop() {
            output = node.give(input);
        }
        // Without `#`, the `Debug` of a slab shows only the number of its entries.
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
        let known = (state, Arc::from(output));
        seen.next.insert(step, known.clone());
        known
    }
}

/// The real node.
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
                let Some(line) = self.shim.receive(line) else {
                    return self.shim.output();
                };
                self.node
                    .receive(&line, self.now)
                    .expect("all lines are messages");
            }
            Input::Silence { at_least } => {
                let until = self.now + *at_least;
                while let Some(deadline) = self.node.deadline()
                    && (self.node.output().is_empty() || deadline <= until)
                {
                    self.now = self.now.max(deadline);
                    self.node.wake(self.now);
                }
            }
        }
        let output = self.take_output();
        for (index, line) in output.iter().enumerate() {
            let is_said_again = |later: &Line| content(later) == content(line);
            if !output[index + 1..].iter().any(is_said_again) {
                self.shim.write(line.clone());
            }
        }
        self.shim.output()
    }

    fn take_output(&mut self) -> Vec<Line> {
        let output = std::str::from_utf8(self.node.output()).expect("JSON is UTF-8");
        let lines = output.lines().map(Line::from).collect();
        self.node.written(self.node.output().len());
        lines
    }
}

/// A message without the id of its copy, which comes last. Only the store's client gives copies ids of their own.
fn content(line: &str) -> &str {
    let copy = line.rsplit_once("\"msg_id\":");
    let copy = copy.filter(|_| line.contains("\"dest\":\"seq-kv\""));
    copy.map_or(line, |(content, _)| content)
}

/// The name of a node.
pub fn name(node: usize) -> String {
    format!("n{node}")
}
