//! A cluster of real state machines in virtual time, from a seed: nodes, clients, a `lin-kv`, and a network that loses,
//! doubles, delays and cuts off.
#![allow(
    dead_code,
    reason = "every test program uses what it needs of the world"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use eddy::node::{Node, Random, Workload};
use serde_json::{Value, json};

/// What the network does to messages between servers, in percent.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    pub lost: u64,
    pub doubled: u64,
    /// Up to two seconds late.
    pub late: u64,
}

/// A message that a client got.
pub struct Answer {
    pub client: String,
    pub body: Value,
}

pub struct World<W> {
    pub now_ms: u64,
    pub random: Random,
    pub faults: Faults,
    /// What a message to a server takes, and up to how much more.
    pub latency_ms: u64,
    pub jitter_ms: u64,
    /// Nodes on different sides don't hear each other.
    pub sides: Vec<u64>,
    /// Messages between servers, services included.
    pub messages: u64,
    /// Those that nodes sent to nodes, as they were sent.
    pub trace: Vec<(String, String, Value)>,
    pub is_tracing: bool,
    /// Whether requests to the store may be doubled, too.
    pub doubles_requests: bool,
    pub store: LinKv,
    /// Which nodes have joined the network. It is a mistake to send anything to others.
    has_joined: Vec<bool>,
    make: Box<dyn Fn(u64) -> W>,
    nodes: Vec<Node<W>>,
    under_way: BinaryHeap<Reverse<(u64, u64, String, String)>>,
    sent: u64,
    answers: Vec<Answer>,
}

/// The linearizable store.
#[derive(Default)]
pub struct LinKv(BTreeMap<String, Value>);

impl LinKv {
    pub fn handle(&mut self, body: &Value) -> Value {
        let error = |code| json!({"type": "error", "code": code, "text": "no"});
        let key = body["key"].to_string();
        let held = self.0.get(&key);
        match (body["type"].as_str(), held) {
            (Some("read"), Some(value)) => return json!({"type": "read_ok", "value": value}),
            (Some("read"), None) => return error(20),
            (Some("write"), _) => {
                self.0.insert(key, body["value"].clone());
                return json!({"type": "write_ok"});
            }
            (Some("cas"), Some(value)) if *value != body["from"] => return error(22),
            (Some("cas"), None) if body["create_if_not_exists"] != true => return error(20),
            (Some("cas"), _) => {}
            _ => return error(10),
        }
        self.0.insert(key, body["to"].clone());
        json!({"type": "cas_ok"})
    }
}

pub fn name(node: usize) -> String {
    format!("n{node}")
}

impl<W: Workload> World<W> {
    pub fn new(nodes: usize, seed: u64, make: impl Fn(u64) -> W + 'static) -> Self {
        let mut world = World::before_start(nodes, seed, make);
        (0..nodes).for_each(|node| world.join(node));
        world
    }

    /// Nobody has joined the network yet.
    pub fn before_start(nodes: usize, seed: u64, make: impl Fn(u64) -> W + 'static) -> Self {
        let mut world = World {
            now_ms: 0,
            random: Random::new(seed),
            faults: Faults::default(),
            latency_ms: 0,
            jitter_ms: 0,
            sides: vec![0; nodes],
            messages: 0,
            trace: Vec::new(),
            is_tracing: false,
            doubles_requests: true,
            store: LinKv::default(),
            has_joined: vec![false; nodes],
            make: Box::new(make),
            nodes: Vec::new(),
            under_way: BinaryHeap::new(),
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

    /// A node is there for others and gets its `init`.
    pub fn join(&mut self, node: usize) {
        self.has_joined[node] = true;
        let node_ids: Vec<String> = (0..self.nodes.len()).map(name).collect();
        let init = json!({"src": "c99", "dest": name(node), "body":
            {"type": "init", "node_id": name(node), "node_ids": node_ids, "msg_id": 1}});
        let now = Duration::from_millis(self.now_ms);
        self.nodes[node]
            .receive(&init.to_string(), now)
            .expect("init is a message");
        let init_ok_bytes = self.nodes[node].output().len();
        self.nodes[node].written(init_ok_bytes);
    }

    /// The node forgets everything and starts again.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = self.make_node();
        self.join(node);
    }

    /// A client says something to a node.
    pub fn send(&mut self, client: &str, node: usize, body: Value) {
        self.send_text(client, node, &body.to_string());
    }

    /// The same with a body that is written in its own way.
    pub fn send_text(&mut self, client: &str, node: usize, body: &str) {
        let line = format!(
            r#"{{"src":{},"dest":{},"body":{body}}}"#,
            json!(client),
            json!(name(node))
        );
        self.post(name(node), line, 0);
    }

    fn post(&mut self, dest: String, line: String, delay_ms: u64) {
        self.sent += 1;
        let arrival = (self.now_ms + delay_ms, self.sent, dest, line);
        self.under_way.push(Reverse(arrival));
    }

    /// A message between servers.
    fn post_with_faults(&mut self, src: &str, dest: String, line: String) {
        if let Some(node) = dest.strip_prefix('n') {
            let node: usize = node.parse().expect("nodes have numbers");
            let is_absent = self.has_joined.get(node) == Some(&false);
            assert!(!is_absent, "{dest} has not joined: {line}");
        }
        self.messages += 1;
        let side = |id: &str| self.sides.get(id[1..].parse::<usize>().ok()?);
        if let (Some(from), Some(to)) = (side(src), side(&dest))
            && from != to
        {
            return;
        }
        let fate = self.random.below(100);
        let may_double = self.doubles_requests || dest != "lin-kv";
        let copies = match fate {
            _ if fate < self.faults.lost => 0,
            _ if may_double && fate < self.faults.lost + self.faults.doubled => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = self.random.below(100) < self.faults.late;
            let more_ms = if late { 2000 } else { self.jitter_ms };
            let delay_ms = self.latency_ms + self.random.below(more_ms + 1);
            self.post(dest.clone(), line.clone(), delay_ms);
        }
    }

    fn deliver(&mut self, dest: String, line: &str) {
        if let Some(node) = dest.strip_prefix('n') {
            let node: usize = node.parse().expect("nodes have numbers");
            let now = Duration::from_millis(self.now_ms);
            let Some(receiver) = self.nodes.get_mut(node) else {
                return;
            };
            // Some lines are wrong on purpose.
            let _ = receiver.receive(line, now);
            return self.collect_output(node);
        }
        let message: Value = serde_json::from_str(line).expect("nodes write JSON");
        if dest == "lin-kv" {
            let src = message["src"].as_str().expect("messages have a src");
            let mut answer = self.store.handle(&message["body"]);
            answer["in_reply_to"] = message["body"]["msg_id"].clone();
            let line = json!({"src": dest, "dest": src, "body": answer}).to_string();
            self.post_with_faults("lin-kv", src.into(), line);
        } else {
            self.answers.push(Answer {
                client: dest,
                body: message["body"].clone(),
            });
        }
    }

    fn collect_output(&mut self, node: usize) {
        let output = std::str::from_utf8(self.nodes[node].output())
            .expect("nodes write UTF-8")
            .to_string();
        self.nodes[node].written(output.len());
        for line in output.lines() {
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            let dest = message["dest"].as_str().expect("messages have a dest");
            if self.is_tracing && dest.starts_with('n') {
                self.trace
                    .push((name(node), dest.into(), message["body"].clone()));
            }
            match dest.starts_with('c') {
                true => self.post(dest.into(), line.into(), 0),
                false => self.post_with_faults(&name(node), dest.into(), line.into()),
            }
        }
    }

    /// Lets a millisecond pass. The answers are what clients got.
    pub fn step(&mut self) -> Vec<Answer> {
        let now = Duration::from_millis(self.now_ms);
        for node in 0..self.nodes.len() {
            if self.nodes[node]
                .deadline()
                .is_some_and(|deadline| deadline <= now)
            {
                self.nodes[node].wake(now);
                self.collect_output(node);
            }
        }
        while let Some(Reverse((arrival_ms, ..))) = self.under_way.peek()
            && *arrival_ms <= self.now_ms
        {
            let Reverse((_, _, dest, line)) = self.under_way.pop().expect("it has a first");
            self.deliver(dest, &line);
        }
        self.now_ms += 1;
        std::mem::take(&mut self.answers)
    }
}
