//! Clients of a cluster, what they ask and are answered, and what has to be true of it.

use std::collections::{BTreeMap, BTreeSet};

use eddy::workload::Kafka;
use eddy::workload::kafka::Options;
use serde_json::{Value, json};

use crate::world::World;

pub const STALENESS_MS: u64 = 100;

#[derive(Debug, PartialEq)]
pub enum Outcome {
    UnderWay,
    Ok(Value),
    Failed,
    Indeterminate,
}

#[derive(Debug)]
pub struct Operation {
    pub body: Value,
    pub invoked_ms: u64,
    pub completed_ms: u64,
    pub outcome: Outcome,
}

impl Operation {
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("requests have a type")
    }

    /// The answer to an operation of this kind that went well.
    pub fn ok(&self, kind: &str) -> Option<&Value> {
        match &self.outcome {
            Outcome::Ok(body) if self.kind() == kind => Some(body),
            _ => None,
        }
    }
}

pub struct Run {
    pub world: World<Kafka>,
    pub nodes: usize,
    pub keys: u64,
    pub operations: Vec<Operation>,
    /// What each client waits for.
    pub waiting: Vec<Option<usize>>,
    /// What each client polls next of each key.
    pub next: Vec<BTreeMap<String, u64>>,
}

impl Run {
    pub fn new(nodes: usize, clients: usize, keys: u64, seed: u64) -> Self {
        Run {
            world: World::new(nodes, seed, |seed| Kafka::new(Options::default(), seed)),
            nodes,
            keys,
            operations: Vec::new(),
            waiting: vec![None; clients],
            next: vec![BTreeMap::new(); clients],
        }
    }

    pub fn invoke(&mut self, client: usize, mut body: Value) {
        let id = self.operations.len();
        self.waiting[client] = Some(id);
        body["msg_id"] = json!(id);
        self.world
            .send(&format!("c{client}"), client % self.nodes, body.clone());
        self.operations.push(Operation {
            body,
            invoked_ms: self.world.now_ms,
            completed_ms: u64::MAX,
            outcome: Outcome::UnderWay,
        });
    }

    pub fn invoke_any(&mut self, client: usize) {
        if self.waiting[client].is_some() {
            return;
        }
        let key = format!("k{}", self.world.random.below(self.keys));
        let body = match self.world.random.below(20) {
            0..10 => json!({"type": "send", "key": key, "msg": self.operations.len()}),
            10..16 => {
                let offset = self.next[client].get(&key).copied().unwrap_or(0);
                let other = format!("k{}", self.world.random.below(self.keys));
                let mut offsets = BTreeMap::from([(other, self.world.random.below(150))]);
                offsets.insert(key, offset);
                json!({"type": "poll", "offsets": offsets})
            }
            16..19 => {
                let offset = self.next[client].get(&key).copied().unwrap_or(0);
                json!({"type": "commit_offsets", "offsets": {key: offset}})
            }
            _ => json!({"type": "list_committed_offsets", "keys": [key]}),
        };
        self.invoke(client, body);
    }

    pub fn step(&mut self) {
        for answer in self.world.step() {
            let id = answer.body["in_reply_to"]
                .as_u64()
                .expect("replies say to what") as usize;
            let client: usize = answer.client[1..].parse().expect("clients have numbers");
            if self.waiting[client] != Some(id) {
                assert_eq!(
                    self.operations[id].outcome,
                    Outcome::Indeterminate,
                    "answered twice"
                );
                continue;
            }
            self.waiting[client] = None;
            let operation = &mut self.operations[id];
            operation.completed_ms = self.world.now_ms;
            assert!(
                operation.completed_ms - operation.invoked_ms <= 4_505,
                "{operation:?}"
            );
            operation.outcome = match (answer.body["type"].as_str(), answer.body["code"].as_i64()) {
                (Some("error"), Some(0 | 13)) => Outcome::Indeterminate,
                (Some("error"), _) => Outcome::Failed,
                _ => Outcome::Ok(answer.body.clone()),
            };
            if let Some(polled) = answer.body["msgs"].as_object() {
                for (key, entries) in polled {
                    let last = entries.as_array().and_then(|entries| entries.last());
                    let last = last.expect("no empty lists")[0]
                        .as_u64()
                        .expect("an offset");
                    let next = self.next[client].entry(key.clone()).or_default();
                    *next = last + 1;
                }
            }
        }
    }

    pub fn rest(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            self.step();
        }
    }

    pub fn mix(&mut self, time_ms: u64, one_in: u64) {
        for _ in 0..time_ms {
            if self.world.random.below(one_in) == 0 {
                let client = self.world.random.below(self.waiting.len() as u64) as usize;
                self.invoke_any(client);
            }
            self.step();
        }
    }

    /// The node dies, and those who waited for it never hear what became of what they asked for.
    pub fn kill(&mut self, node: usize) {
        self.world.kill(node);
        for client in (node..self.waiting.len()).step_by(self.nodes) {
            if let Some(id) = self.waiting[client].take() {
                self.operations[id].outcome = Outcome::Indeterminate;
                self.operations[id].completed_ms = self.world.now_ms;
            }
        }
    }

    /// Each key's whole log, as a client reads it at a node that has just started.
    pub fn read_logs(&mut self) -> BTreeMap<String, Vec<u64>> {
        self.kill(0);
        let mut logs = BTreeMap::new();
        for key in (0..self.keys).map(|key| format!("k{key}")) {
            let mut log = Vec::new();
            loop {
                let id = self.operations.len();
                self.invoke(
                    0,
                    json!({"type": "poll", "offsets": {key.clone(): log.len()}}),
                );
                self.rest(500);
                let answer = self.operations[id].ok("poll").expect("the store answers");
                let Some(entries) = answer["msgs"].get(&key) else {
                    break;
                };
                log.extend(
                    entries
                        .as_array()
                        .expect("entries")
                        .iter()
                        .map(|entry| entry[1].as_u64().expect("what was sent")),
                );
            }
            logs.insert(key, log);
        }
        logs
    }

    pub fn check(&mut self) {
        let logs = self.read_logs();
        let key_of = |operation: &Operation| operation.body["key"].as_str().map(String::from);
        let sent: BTreeSet<u64> = logs.values().flatten().copied().collect();
        let total: usize = logs.values().map(Vec::len).sum();
        assert_eq!(sent.len(), total, "something is there twice");
        assert!(total > 20, "hardly anything was sent: {total}");
        for (id, operation) in self.operations.iter().enumerate() {
            assert_ne!(operation.outcome, Outcome::UnderWay, "{operation:?}");
            let id = id as u64;
            if let Some(answer) = operation.ok("send") {
                let offset = answer["offset"].as_u64().expect("an offset") as usize;
                let key = key_of(operation).expect("a send has a key");
                assert_eq!(logs[&key].get(offset), Some(&id), "lost: {operation:?}");
            }
            if operation.outcome == Outcome::Failed {
                assert!(!sent.contains(&id), "failed and there: {operation:?}");
            }
            if let Some(answer) = operation.ok("poll") {
                self.check_poll(operation, answer, &logs);
            }
            if let Some(answer) = operation.ok("list_committed_offsets") {
                self.check_list(operation, answer);
            }
        }
        for (key, log) in &logs {
            let mut latest_invoked_ms = 0;
            for id in log {
                let send = &self.operations[*id as usize];
                assert_eq!(key_of(send).as_ref(), Some(key));
                let is_ok = send.ok("send").is_some();
                assert!(
                    !is_ok || send.completed_ms >= latest_invoked_ms,
                    "offsets against time: {send:?}"
                );
                latest_invoked_ms = latest_invoked_ms.max(send.invoked_ms);
            }
        }
    }

    pub fn check_poll(&self, poll: &Operation, answer: &Value, logs: &BTreeMap<String, Vec<u64>>) {
        for (key, offset) in poll.body["offsets"].as_object().expect("offsets") {
            let start = offset.as_u64().expect("an offset") as usize;
            let entries = answer["msgs"].get(key).and_then(Value::as_array);
            let entries = entries.map_or(&[] as &[Value], Vec::as_slice);
            for (index, entry) in entries.iter().enumerate() {
                let offset = start + index;
                assert_eq!(
                    *entry,
                    json!([offset, logs[key][offset]]),
                    "{poll:?} {answer}"
                );
            }
            if entries.is_empty()
                && let Some(id) = logs[key].get(start)
            {
                let send = &self.operations[*id as usize];
                let is_old =
                    send.ok("send").is_some() && send.completed_ms + STALENESS_MS < poll.invoked_ms;
                assert!(!is_old, "{poll:?} misses {send:?}");
            }
        }
    }

    pub fn check_list(&self, list: &Operation, answer: &Value) {
        let key = list.body["keys"][0].as_str().expect("a key");
        let listed = answer["offsets"]
            .get(key)
            .and_then(Value::as_i64)
            .unwrap_or(-1);
        let commits = self
            .operations
            .iter()
            .filter(|commit| commit.kind() == "commit_offsets");
        for commit in commits {
            let committed = commit.body["offsets"]
                .get(key)
                .and_then(Value::as_i64)
                .unwrap_or(-1);
            if commit.completed_ms != u64::MAX
                && commit.completed_ms + STALENESS_MS < list.invoked_ms
                && commit.ok("commit_offsets").is_some()
            {
                assert!(listed >= committed, "{list:?} misses {commit:?}");
            }
        }
    }
}
