//! Whole clusters of the real state machines in virtual time: nodes, clients, a store, and a network that loses,
//! doubles and delays what a test tells it to. Everything follows from the seed.
#![allow(dead_code, reason = "each test uses a part of it")]

mod seq_kv;

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use eddy::node::{Node, Random};
use eddy::workload::GCounter;
use eddy::workload::g_counter::Options;
use serde_json::{Value, json};

use seq_kv::SeqKv;

/// So many adds can be told apart in the value of a counter, see [`World::add_apart`].
const ADDS_APART_MAX: u32 = 60;

#[derive(Debug)]
pub struct Operation {
    pub client: usize,
    pub node: usize,
    pub delta: Option<i64>,
    pub invoked_ms: u64,
    pub completed_ms: u64,
    pub outcome: Outcome,
}

#[derive(Debug, PartialEq)]
pub enum Outcome {
    UnderWay,
    Added,
    Read(i64),
    Failed,
    Indeterminate,
}

/// What happens to messages between nodes, and between nodes and the store.
#[derive(Clone, Debug)]
pub struct Network {
    pub lost_percent: u64,
    pub doubled_percent: u64,
    pub late_percent: u64,
    pub delay_ms: Range<u64>,
    pub late_ms: Range<u64>,
}

impl Network {
    /// One in ten is lost, one in ten doubled, one in ten up to two seconds late.
    pub const BAD: Self = Network {
        lost_percent: 10,
        doubled_percent: 10,
        late_percent: 10,
        delay_ms: 0..20,
        late_ms: 0..2000,
    };

    /// Each message arrives once, after a time within `delay_ms`.
    pub const fn good(delay_ms: Range<u64>) -> Self {
        Network {
            lost_percent: 0,
            doubled_percent: 0,
            late_percent: 0,
            delay_ms,
            late_ms: 0..1,
        }
    }
}

struct Envelope {
    arrives_ms: u64,
    sent_ms: u64,
    number: u64,
    /// The node that sent it, if it was a node.
    src: Option<usize>,
    dest: String,
    line: String,
}

pub struct World {
    options: Options,
    pub random: Random,
    pub now_ms: u64,
    pub network: Network,
    /// The side of a partition on which each node is: messages between nodes cross none.
    pub sides: Vec<usize>,
    nodes: Vec<Node<GCounter>>,
    store: SeqKv,
    /// Messages under way, latest first.
    under_way: Vec<Envelope>,
    sent: u64,
    /// How many messages nodes have sent to nodes.
    pub between_nodes: u64,
    /// For each message of a node that another node got: which node, and when it was sent.
    pub heard: Vec<(usize, u64)>,
    /// Which node was killed, and when.
    pub kills: Vec<(usize, u64)>,
    pub operations: Vec<Operation>,
    /// For each client the operation that it waits for.
    waiting: Vec<Option<usize>>,
    adds_apart: u32,
}

impl World {
    pub fn new(options: Options, nodes: usize, clients: usize, seed: u64) -> Self {
        let mut world = World {
            options,
            random: Random::new(seed),
            now_ms: 0,
            network: Network::BAD,
            sides: vec![0; nodes],
            nodes: Vec::new(),
            store: SeqKv::new(),
            under_way: Vec::new(),
            sent: 0,
            between_nodes: 0,
            heard: Vec::new(),
            kills: Vec::new(),
            operations: Vec::new(),
            waiting: vec![None; clients],
            adds_apart: 0,
        };
        for index in 0..nodes {
            let node = world.start(index);
            world.nodes.push(node);
        }
        world
    }

    /// A node in a new life: it remembers nothing and gets `init`.
    fn start(&mut self, index: usize) -> Node<GCounter> {
        let seed = self.random.next_u64();
        let mut node = Node::new(GCounter::new(self.options.clone(), seed));
        let node_ids: Vec<String> = (0..self.sides.len()).map(|id| format!("n{id}")).collect();
        let init = json!({"src": "c99", "dest": node_ids[index], "body":
            {"type": "init", "node_id": node_ids[index], "node_ids": node_ids, "msg_id": 1}});
        node.receive(&init.to_string(), self.now())
            .expect("init is a message");
        node.written(node.output().len());
        node
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }

    fn post(&mut self, src: Option<usize>, dest: &str, line: String, delay_ms: u64) {
        self.sent += 1;
        let envelope = Envelope {
            arrives_ms: self.now_ms + delay_ms,
            sent_ms: self.now_ms,
            number: self.sent,
            src,
            dest: dest.into(),
            line,
        };
        let order = |envelope: &Envelope| Reverse((envelope.arrives_ms, envelope.number));
        let at = self
            .under_way
            .partition_point(|other| order(other) < order(&envelope));
        self.under_way.insert(at, envelope);
    }

    fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.random.below(range.end - range.start)
    }

    /// A message between nodes, or between a node and the store.
    fn post_with_faults(&mut self, src: Option<usize>, dest: &str, line: String) {
        let fate = self.random.below(100);
        let Network {
            lost_percent,
            doubled_percent,
            ..
        } = self.network;
        let copies = if fate < lost_percent {
            0
        } else if fate < lost_percent + doubled_percent {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let is_late = self.random.below(100) < self.network.late_percent;
            let delay_ms = match is_late {
                true => self.within(self.network.late_ms.clone()),
                false => self.within(self.network.delay_ms.clone()),
            };
            self.post(src, dest, line.clone(), delay_ms);
        }
    }

    /// A client adds, or reads if there is no delta; not if it still waits for an answer.
    pub fn invoke(&mut self, client: usize, delta: Option<i64>) {
        if self.waiting[client].is_some() {
            return;
        }
        let msg_id = self.operations.len();
        let node = client % self.nodes.len();
        self.waiting[client] = Some(msg_id);
        self.operations.push(Operation {
            client,
            node,
            delta,
            invoked_ms: self.now_ms,
            completed_ms: u64::MAX,
            outcome: Outcome::UnderWay,
        });
        let body = match delta {
            Some(delta) => json!({"type": "add", "delta": delta, "msg_id": msg_id}),
            None => json!({"type": "read", "msg_id": msg_id}),
        };
        let dest = format!("n{node}");
        let line = json!({"src": format!("c{client}"), "dest": dest, "body": body}).to_string();
        self.post(None, &dest, line, 0);
    }

    /// A client adds a power of two that no other does, or takes it away, so that a value tells exactly which of the
    /// adds are in it: [`counted`](Self::counted). Nothing happens once the powers are used up.
    pub fn add_apart(&mut self, client: usize) {
        if self.waiting[client].is_some() || self.adds_apart == ADDS_APART_MAX {
            return;
        }
        let takes_away = self.options.decrements && self.random.below(2) == 0;
        let sign = if takes_away { -1 } else { 1 };
        self.invoke(client, Some(sign << self.adds_apart));
        self.adds_apart += 1;
    }

    /// Whether each operation is an add that is in `value`, when all adds were made by [`add_apart`](Self::add_apart).
    pub fn counted(&self, value: i64) -> Vec<bool> {
        let deltas = || self.operations.iter().map(|it| it.delta.unwrap_or(0));
        let taken_away: i64 = deltas().filter(|delta| *delta < 0).sum();
        // Now an add has its bit set if it is counted, and a taking away if it is not.
        let bits = value - taken_away;
        deltas()
            .map(|delta| delta != 0 && (bits & delta.abs() != 0) == (delta > 0))
            .collect()
    }

    fn complete(&mut self, client: usize, body: &Value) {
        let index = body["in_reply_to"].as_u64().expect("replies say to what") as usize;
        let operation = &mut self.operations[index];
        assert_eq!(
            operation.outcome,
            Outcome::UnderWay,
            "answered twice: {operation:?} {body}"
        );
        operation.completed_ms = self.now_ms;
        operation.outcome = match (body["type"].as_str(), body["code"].as_i64()) {
            (Some("add_ok"), _) => Outcome::Added,
            (Some("read_ok"), _) => {
                Outcome::Read(body["value"].as_i64().expect("a value is a number"))
            }
            (_, Some(0 | 13)) => Outcome::Indeterminate,
            _ => Outcome::Failed,
        };
        let took_ms = operation.completed_ms - operation.invoked_ms;
        assert!(took_ms <= 4500, "answered after {took_ms} ms");
        self.waiting[client] = None;
    }

    /// Ends a node and starts it again, empty.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = self.start(node);
        self.kills.push((node, self.now_ms));
        for client in (node..self.waiting.len()).step_by(self.nodes.len()) {
            if let Some(index) = self.waiting[client].take() {
                self.operations[index].outcome = Outcome::Indeterminate;
                self.operations[index].completed_ms = self.now_ms;
            }
        }
        // A client whose node died is another client afterwards: answers to its old questions are nobody's.
        self.under_way
            .retain(|envelope| !envelope.dest.starts_with('c'));
    }

    fn deliver(&mut self, envelope: &Envelope) {
        let Envelope { dest, line, .. } = envelope;
        if let Some(dest) = node_index(dest) {
            let now = self.now();
            if let Some(src) = envelope.src {
                if self.sides[src] != self.sides[dest] {
                    return;
                }
                self.heard.push((src, envelope.sent_ms));
            }
            self.nodes[dest]
                .receive(line, now)
                .expect("the network carries messages");
            return;
        }
        let message: Value = serde_json::from_str(line).expect("nodes write JSON");
        if let Some(client) = dest.strip_prefix('c') {
            let client = client.parse().expect("clients have numbers");
            self.complete(client, &message["body"]);
        } else {
            let src = message["src"].as_str().expect("messages have a src");
            let mut answer = self.store.handle(src, &message["body"], &mut self.random);
            answer["in_reply_to"] = message["body"]["msg_id"].clone();
            let line = json!({"src": dest, "dest": src, "body": answer}).to_string();
            self.post_with_faults(None, src, line);
        }
    }

    fn collect_output(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].output().is_empty() {
                continue;
            }
            let output = std::str::from_utf8(self.nodes[index].output())
                .expect("nodes write UTF-8")
                .to_string();
            self.nodes[index].written(output.len());
            for line in output.lines() {
                let message: Value = serde_json::from_str(line).expect("nodes write JSON");
                let dest = message["dest"].as_str().expect("messages have a dest");
                if dest.starts_with('c') {
                    self.post(Some(index), dest, line.into(), 0);
                    continue;
                }
                self.between_nodes += u64::from(node_index(dest).is_some());
                self.post_with_faults(Some(index), dest, line.into());
            }
        }
    }

    /// One millisecond goes by.
    pub fn step(&mut self) {
        let now = self.now();
        for node in &mut self.nodes {
            if node.deadline().is_some_and(|deadline| deadline <= now) {
                node.wake(now);
            }
        }
        self.collect_output();
        while let Some(envelope) = self
            .under_way
            .pop_if(|envelope| envelope.arrives_ms <= self.now_ms)
        {
            self.deliver(&envelope);
            self.collect_output();
        }
        self.now_ms += 1;
    }

    /// Nothing is asked until then.
    pub fn rest_until(&mut self, then_ms: u64) {
        while self.now_ms < then_ms {
            self.step();
        }
    }

    /// Every client reads; the values, in the order of the clients.
    pub fn read_everywhere(&mut self) -> Vec<i64> {
        let first = self.operations.len();
        for client in 0..self.waiting.len() {
            self.invoke(client, None);
        }
        self.rest_until(self.now_ms + 5000);
        let reads = self.operations[first..].iter();
        let values: Vec<i64> = reads
            .map(|read| match read.outcome {
                Outcome::Read(value) => value,
                _ => panic!("a final read failed: {read:?}"),
            })
            .collect();
        assert_eq!(values.len(), self.waiting.len(), "someone still waits");
        values
    }

    /// The operations with the values of those that are reads.
    pub fn reads(&self) -> impl Iterator<Item = (&Operation, i64)> + Clone {
        self.operations
            .iter()
            .filter_map(|operation| match operation.outcome {
                Outcome::Read(value) => Some((operation, value)),
                _ => None,
            })
    }

    /// The operations with the deltas of those that are adds.
    pub fn adds(&self) -> impl Iterator<Item = (&Operation, i64)> + Clone {
        self.operations
            .iter()
            .filter_map(|operation| Some((operation, operation.delta?)))
    }
}

fn node_index(id: &str) -> Option<usize> {
    id.strip_prefix('n')?.parse().ok()
}
