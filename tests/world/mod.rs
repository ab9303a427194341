//! A cluster of the real state machines in virtual time, from a seed: nodes, stores, and a network that loses,
//! repeats, delays and partitions.
#![allow(dead_code, reason = "every program uses what it needs of the world")]

pub mod counter;
pub mod driver;
pub mod run;
pub mod store;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use eddy::node::{Node, Random, Workload};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use store::{SeqKv, Store};

/// The faults of messages between servers, in percent.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    pub lost: u64,
    pub doubled: u64,
    /// Delayed by up to two seconds.
    pub late: u64,
}

impl Faults {
    pub const BAD: Self = Faults {
        lost: 10,
        doubled: 10,
        late: 10,
    };
}

/// A message to a client.
pub struct Answer {
    pub client: String,
    pub body: Value,
}

pub struct World<W> {
    pub now_ms: u64,
    pub random: Random,
    pub faults: Faults,
    /// The minimum latency of messages to servers, and the maximum that is randomly added to it.
    pub latency_ms: u64,
    pub jitter_ms: u64,
    /// Nodes with different values can't reach each other.
    pub sides: Vec<u64>,
    /// The number of messages between servers, services included, and of those between nodes only.
    pub messages: u64,
    pub messages_between_nodes: u64,
    /// The messages between nodes, in the order in which they were sent.
    pub trace: Vec<(String, String, Value)>,
    pub is_tracing: bool,
    /// For each gossip message with entries that arrived: the sender and the time at which it was sent.
    pub heard: Vec<(usize, u64)>,
    /// Whether requests to the store may be repeated, too.
    pub doubles_requests: bool,
    /// The service `lin-kv`.
    pub store: Store,
    seq_kv: SeqKv,
    /// Which nodes have joined the network. Sending to other nodes is a fault.
    has_joined: Vec<bool>,
    make: Box<dyn Fn(u64) -> W>,
    nodes: Vec<Node<W>>,
    /// The deadline of each node, as it was when the node last received a message or was woken.
    deadlines: Vec<Option<Duration>>,
    in_flight: BinaryHeap<Reverse<Envelope>>,
    sent: u64,
    answers: Vec<Answer>,
}

/// A message in flight, ordered by arrival, then by the order of sending.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Envelope {
    arrives_ms: u64,
    number: u64,
    sent_ms: u64,
    src: String,
    dest: String,
    line: String,
}

/// What the network reads of a message.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    dest: Cow<'a, str>,
    #[serde(rename = "body")]
    _body: IgnoredAny,
}

pub fn name(node: usize) -> String {
    format!("n{node}")
}

/// A message as a line.
fn line_of(src: &str, dest: &str, body: &Value) -> String {
    let (src, dest) = (json!(src), json!(dest));
    format!(r#"{{"src":{src},"dest":{dest},"body":{body}}}"#)
}

/// The number of a node, if `id` is the name of one.
fn node_index(id: &str) -> Option<usize> {
    id.strip_prefix('n')?.parse().ok()
}

impl<W: Workload> World<W> {
    pub fn new(nodes: usize, seed: u64, make: impl Fn(u64) -> W + 'static) -> Self {
        let mut world = World::before_start(nodes, seed, make);
        (0..nodes).for_each(|node| world.join(node));
        world
    }

    /// A cluster in which no node has joined the network yet.
    pub fn before_start(nodes: usize, seed: u64, make: impl Fn(u64) -> W + 'static) -> Self {
        let mut world = World {
            now_ms: 0,
            random: Random::new(seed),
            faults: Faults::default(),
            latency_ms: 0,
            jitter_ms: 0,
            sides: vec![0; nodes],
            messages: 0,
            messages_between_nodes: 0,
            trace: Vec::new(),
            is_tracing: false,
            heard: Vec::new(),
            doubles_requests: true,
            store: Store::default(),
            seq_kv: SeqKv::default(),
            has_joined: vec![false; nodes],
            make: Box::new(make),
            nodes: Vec::new(),
            deadlines: vec![None; nodes],
            in_flight: BinaryHeap::new(),
            sent: 0,
            answers: Vec::new(),
        };
        for _ in 0..nodes {
            let node = world.make_node();
            world.nodes.push(node);
        }
        world
    }

    fn make_node(&mut self) -> Node<W> {
        Node::new((self.make)(self.random.next_u64()))
    }

    /// A node joins the network and gets its `init`.
    pub fn join(&mut self, node: usize) {
        self.has_joined[node] = true;
        let node_ids: Vec<String> = (0..self.nodes.len()).map(name).collect();
        let init = json!({"src": "c99", "dest": name(node), "body":
            {"type": "init", "node_id": name(node), "node_ids": node_ids, "msg_id": 1}});
        let now = Duration::from_millis(self.now_ms);
        self.nodes[node]
            .receive(&init.to_string(), now)
            .expect("init is a message");
        self.take_output(node);
    }

    /// Takes what a node has written since it received a message or was woken, and notes its next deadline.
    fn take_output(&mut self, node: usize) -> String {
        let receiver = &mut self.nodes[node];
        let output = std::str::from_utf8(receiver.output()).expect("nodes write UTF-8");
        let output = output.to_string();
        receiver.written(output.len());
        self.deadlines[node] = receiver.deadline();
        output
    }

    /// A node loses its memory and starts again.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = self.make_node();
        self.join(node);
    }

    /// A client sends a message to a node.
    pub fn send(&mut self, client: &str, node: usize, body: Value) {
        let node = name(node);
        self.post(client, &node, line_of(client, &node, &body), 0);
    }

    fn post(&mut self, src: &str, dest: &str, line: String, delay_ms: u64) {
        self.sent += 1;
        self.in_flight.push(Reverse(Envelope {
            arrives_ms: self.now_ms + delay_ms,
            number: self.sent,
            sent_ms: self.now_ms,
            src: src.into(),
            dest: dest.into(),
            line,
        }));
    }

    /// Sends a message between servers, with the faults of the network.
    fn post_with_faults(&mut self, src: &str, dest: &str, line: String) {
        self.messages += 1;
        let to = node_index(dest);
        if let (Some(from), Some(to)) = (node_index(src), to) {
            let is_absent = self.has_joined.get(to) == Some(&false);
            assert!(!is_absent, "{dest} has not joined: {line}");
            self.messages_between_nodes += 1;
            if self.sides.get(from) != self.sides.get(to) {
                return;
            }
        }
        let fate = self.random.below(100);
        let may_double = self.doubles_requests || to.is_some();
        let copies = match fate {
            _ if fate < self.faults.lost => 0,
            _ if may_double && fate < self.faults.lost + self.faults.doubled => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let is_late = self.random.below(100) < self.faults.late;
            let more_ms = if is_late { 2000 } else { self.jitter_ms };
            let delay_ms = self.latency_ms + self.random.below(more_ms + 1);
            self.post(src, dest, line.clone(), delay_ms);
        }
    }

    fn deliver(&mut self, envelope: Envelope) {
        let Envelope {
            sent_ms,
            src,
            dest,
            line,
            ..
        } = envelope;
        if let Some(node) = node_index(&dest) {
            // Some tests send lines that are wrong on purpose, or to nodes that do not exist.
            let Some(receiver) = self.nodes.get_mut(node) else {
                return;
            };
            let _ = receiver.receive(&line, Duration::from_millis(self.now_ms));
            if line.contains(r#""entries":["#) {
                self.heard
                    .extend(node_index(&src).map(|src| (src, sent_ms)));
            }
            return self.collect_output(node);
        }
        let mut message: Value = serde_json::from_str(&line).expect("nodes write JSON");
        let body = message["body"].take();
        let answer = match &*dest {
            "lin-kv" => self.store.handle(&body),
            "seq-kv" => self.seq_kv.handle(&src, &body, &mut self.random),
            _ => return self.answers.push(Answer { client: dest, body }),
        };
        let line = line_of(&dest, &src, &answer);
        self.post_with_faults(&dest, &src, line);
    }

    fn collect_output(&mut self, node: usize) {
        for line in self.take_output(node).lines() {
            let header: Header = serde_json::from_str(line).expect("nodes write messages");
            let dest = &*header.dest;
            if self.is_tracing && dest.starts_with('n') {
                let message: Value = serde_json::from_str(line).expect("it is JSON");
                self.trace
                    .push((name(node), dest.into(), message["body"].clone()));
            }
            match dest.starts_with('c') {
                true => self.post(&name(node), dest, line.into(), 0),
                false => self.post_with_faults(&name(node), dest, line.into()),
            }
        }
    }

    /// Lets a millisecond pass. Returns the messages to clients.
    pub fn step(&mut self) -> Vec<Answer> {
        let now = Duration::from_millis(self.now_ms);
        for node in 0..self.nodes.len() {
            if self.deadlines[node].is_some_and(|deadline| deadline <= now) {
                self.nodes[node].wake(now);
                self.collect_output(node);
            }
        }
        while let Some(Reverse(next)) = self.in_flight.peek()
            && next.arrives_ms <= self.now_ms
        {
            let Reverse(envelope) = self.in_flight.pop().expect("it has a first");
            self.deliver(envelope);
        }
        self.now_ms += 1;
        std::mem::take(&mut self.answers)
    }
}
