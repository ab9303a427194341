//! Three counters without a store, which tell each other what they count while messages between them are lost, doubled
//! and late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use eddy::node::{Node, Random};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::{Value, json};

use crate::{CLIENTS, resident_kib};

const NODES: usize = 3;

/// Longer than a late message takes, and all that follows from it.
const REST: Duration = Duration::from_secs(10);

pub struct Cluster {
    nodes: Vec<Node<GCounter>>,
    random: Random,
    now_us: u64,
    messages: u64,
    /// When each message arrives, its number, the node that it is for, and the message.
    under_way: BinaryHeap<Reverse<(u64, u64, usize, String)>>,
    sent: u64,
    /// For each client the delta that it waits for; none if it reads, nothing if it rests.
    asked: Vec<Option<Option<i64>>>,
    acknowledged: i64,
    /// What final reads have shown.
    values: Vec<i64>,
    is_ending: bool,
}

impl Cluster {
    pub fn new() -> Self {
        let mut cluster = Cluster {
            nodes: Vec::new(),
            random: Random::new(7),
            now_us: 0,
            messages: 0,
            under_way: BinaryHeap::new(),
            sent: 0,
            asked: vec![None; CLIENTS],
            acknowledged: 0,
            values: Vec::new(),
            is_ending: false,
        };
        for name in ["n0", "n1", "n2"] {
            let options = Options {
                consistency: Consistency::Eventual,
                ..Options::default()
            };
            let mut node = Node::new(GCounter::new(options, cluster.random.next_u64()));
            let init = json!({"type": "init", "node_id": name, "node_ids": ["n0", "n1", "n2"], "msg_id": 0});
            let line = json!({"src": "c999", "dest": name, "body": init}).to_string();
            node.receive(&line, Duration::ZERO)
                .expect("it is a message");
            cluster.nodes.push(node);
        }
        (0..NODES).for_each(|node| cluster.listen(node));
        (0..CLIENTS).for_each(|client| cluster.ask(client));
        cluster
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.now_us)
    }

    fn post(&mut self, node: usize, delay_us: u64, line: String) {
        self.sent += 1;
        let arrives_us = self.now_us + delay_us;
        self.under_way
            .push(Reverse((arrives_us, self.sent, node, line)));
    }

    /// Loses one message in twenty, doubles one, and delays one by up to two seconds.
    fn post_with_faults(&mut self, node: usize, line: &str) {
        let copies = match self.random.below(20) {
            _ if self.is_ending => 1,
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late_us = match self.random.below(20) {
                0 => 2_000_000,
                _ => 2_000,
            };
            let delay_us = self.random.below(late_us);
            self.post(node, delay_us, line.into());
        }
    }

    fn ask(&mut self, client: usize) {
        let is_add = !self.is_ending && self.random.below(2) == 0;
        let delta = is_add.then(|| self.random.below(5) as i64);
        self.asked[client] = Some(delta);
        let body = match delta {
            Some(delta) => json!({"type": "add", "delta": delta, "msg_id": client}),
            None => json!({"type": "read", "msg_id": client}),
        };
        let line = json!({"src": format!("c{client}"), "dest": "n", "body": body}).to_string();
        let delay_us = self.random.below(1_000);
        self.post(client % NODES, delay_us, line);
    }

    fn complete(&mut self, client: usize, body: &Value) {
        let asked = self.asked[client].take();
        let delta = asked.expect("each operation is answered once");
        match (body["type"].as_str(), delta) {
            (Some("add_ok"), Some(delta)) => self.acknowledged += delta,
            (Some("read_ok"), None) => {
                let value = body["value"].as_i64().expect("values are numbers");
                assert!(value <= self.acknowledged, "out of nowhere: {body}");
                self.values.push(value);
            }
            _ => panic!("no answer to that: {body}"),
        }
        if !self.is_ending {
            self.values.clear();
            self.ask(client);
        }
    }

    fn listen(&mut self, node: usize) {
        let output = String::from_utf8(self.nodes[node].output().to_vec());
        let output = output.expect("nodes write UTF-8");
        self.nodes[node].written(output.len());
        for line in output.lines() {
            self.messages += 1;
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            let dest = message["dest"].as_str().expect("it is text");
            let (kind, number) = dest.split_at(1);
            let number = number.parse().expect("names end in a number");
            match (kind, number) {
                ("n", node) => self.post_with_faults(node, line),
                (_, 999) => {}
                (_, client) => self.complete(client, &message["body"]),
            }
        }
    }

    /// Does what is due next.
    fn step(&mut self) {
        let arrival_us = self
            .under_way
            .peek()
            .map(|Reverse((arrives_us, ..))| *arrives_us);
        let deadline = |(index, node): (usize, &Node<GCounter>)| {
            let deadline_us = node.deadline()?.as_micros() as u64 + 1;
            Some((deadline_us, index))
        };
        let deadline = self.nodes.iter().enumerate().filter_map(deadline).min();
        let is_due = |(deadline_us, _): &(u64, usize)| {
            arrival_us.is_none_or(|arrival_us| *deadline_us <= arrival_us)
        };
        if let Some((deadline_us, node)) = deadline.filter(is_due) {
            self.now_us = self.now_us.max(deadline_us);
            let now = self.now();
            self.nodes[node].wake(now);
            self.listen(node);
            return;
        }
        let next = self.under_way.pop();
        let Reverse((arrives_us, _, node, line)) = next.expect("nodes have heartbeats");
        self.now_us = arrives_us;
        self.messages += 1;
        let now = self.now();
        self.nodes[node]
            .receive(&line, now)
            .expect("it is a message");
        self.listen(node);
    }

    /// Lets so many messages pass, and says how much memory is taken then.
    pub fn run(&mut self, messages: u64) -> u64 {
        let until = self.messages + messages;
        while self.messages < until {
            self.step();
        }
        resident_kib()
    }

    /// Lets clients come to an end and the nodes come to rest, with nothing under way but a heartbeat of each node now
    /// and then; then everyone reads what was acknowledged.
    pub fn end(mut self) {
        self.is_ending = true;
        self.rest();
        let messages = self.messages;
        self.rest();
        // On each of three links, from both nodes at worst, each seen as it is sent and as it arrives.
        let heartbeats = 3 * (REST.as_secs() / 3 + 1);
        assert!(self.messages - messages <= 4 * heartbeats, "a timer leaks");
        self.values.clear();
        (0..CLIENTS).for_each(|client| self.ask(client));
        self.rest();
        assert_eq!(self.values, [self.acknowledged; CLIENTS]);
        println!(
            "Eventual: {} messages, {} added",
            self.messages, self.acknowledged
        );
    }

    fn rest(&mut self) {
        let until_us = self.now_us + REST.as_micros() as u64;
        while self.now_us < until_us {
            self.step();
        }
        assert!(self.asked.iter().all(Option::is_none), "someone waits");
    }
}
