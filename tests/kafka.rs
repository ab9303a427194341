//! Whatever happens to messages and nodes, every acknowledged send is in its log, once, at its offset.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use eddy::workload::Kafka;
use eddy::workload::kafka::Options;
use serde_json::{Value, json};
use world::{Faults, World};

const STALENESS_MS: u64 = 100;

#[derive(Debug, PartialEq)]
enum Outcome {
    UnderWay,
    Ok(Value),
    Failed,
    Indeterminate,
}

#[derive(Debug)]
struct Operation {
    body: Value,
    invoked_ms: u64,
    completed_ms: u64,
    outcome: Outcome,
}

impl Operation {
    fn kind(&self) -> &str {
        self.body["type"].as_str().expect("requests have a type")
    }

    /// The answer to an operation of this kind that went well.
    fn ok(&self, kind: &str) -> Option<&Value> {
        match &self.outcome {
            Outcome::Ok(body) if self.kind() == kind => Some(body),
            _ => None,
        }
    }
}

struct Run {
    world: World<Kafka>,
    nodes: usize,
    keys: u64,
    operations: Vec<Operation>,
    /// What each client waits for.
    waiting: Vec<Option<usize>>,
    /// What each client polls next of each key.
    next: Vec<BTreeMap<String, u64>>,
}

impl Run {
    fn new(nodes: usize, clients: usize, keys: u64, seed: u64) -> Self {
        Run {
            world: World::new(nodes, seed, |seed| Kafka::new(Options::default(), seed)),
            nodes,
            keys,
            operations: Vec::new(),
            waiting: vec![None; clients],
            next: vec![BTreeMap::new(); clients],
        }
    }

    fn invoke(&mut self, client: usize, mut body: Value) {
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

    fn invoke_any(&mut self, client: usize) {
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

    fn step(&mut self) {
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

    fn rest(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            self.step();
        }
    }

    fn mix(&mut self, time_ms: u64, one_in: u64) {
        for _ in 0..time_ms {
            if self.world.random.below(one_in) == 0 {
                let client = self.world.random.below(self.waiting.len() as u64) as usize;
                self.invoke_any(client);
            }
            self.step();
        }
    }

    /// The node dies, and those who waited for it never hear what became of what they asked for.
    fn kill(&mut self, node: usize) {
        self.world.kill(node);
        for client in (node..self.waiting.len()).step_by(self.nodes) {
            if let Some(id) = self.waiting[client].take() {
                self.operations[id].outcome = Outcome::Indeterminate;
                self.operations[id].completed_ms = self.world.now_ms;
            }
        }
    }

    /// Each key's whole log, as a client reads it at a node that has just started.
    fn read_logs(&mut self) -> BTreeMap<String, Vec<u64>> {
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

    fn check(&mut self) {
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

    fn check_poll(&self, poll: &Operation, answer: &Value, logs: &BTreeMap<String, Vec<u64>>) {
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

    fn check_list(&self, list: &Operation, answer: &Value) {
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

#[test]
fn every_acknowledged_send_is_in_its_log_once_while_messages_are_lost_doubled_and_late_and_nodes_die()
 {
    for seed in 0..1000 {
        println!("seed {seed}");
        let mut run = Run::new(3, 9, 2, seed);
        run.world.jitter_ms = 20;
        run.world.faults = Faults {
            lost: 10,
            doubled: 10,
            late: 10,
        };
        for _ in 0..4 {
            run.mix(1_500, 5);
            let node = run.world.random.below(3) as usize;
            run.kill(node);
        }
        run.mix(1_000, 5);
        run.world.faults = Faults::default();
        run.mix(1_000, 5);
        run.rest(12_000);
        run.check();
    }
}

#[test]
fn a_partition_between_nodes_holds_nothing_up() {
    let mut run = Run::new(3, 9, 2, 1);
    run.world.latency_ms = 10;
    run.world.sides = vec![0, 1, 2];
    run.mix(5_000, 5);
    run.rest(1_000);
    assert!(
        run.operations
            .iter()
            .all(|operation| matches!(operation.outcome, Outcome::Ok(_)))
    );
    assert!(
        run.operations
            .iter()
            .all(|operation| operation.completed_ms - operation.invoked_ms < 500)
    );
    run.check();
}

#[test]
fn under_load_an_operation_costs_far_less_than_a_read_and_a_cas() {
    let clusters = [(2, 4, 8, 3.0), (2, 40, 4, 1.0), (5, 100, 10, 3.0)];
    for (nodes, clients, keys, limit) in clusters {
        let mut run = Run::new(nodes, clients, keys, 1);
        run.world.latency_ms = 5;
        let mut completed = 0;
        for _ in 0..5_000 {
            for client in 0..clients {
                run.invoke_any(client);
            }
            run.step();
            completed = run.operations.len() - clients;
        }
        let messages = run.world.messages as f64 / completed as f64;
        println!(
            "{nodes} nodes, {clients} clients, {keys} keys: {completed} operations, {messages:.2} messages each"
        );
        assert!(messages < limit);
        run.rest(1_000);
        run.check();
    }
}

#[test]
fn a_poll_is_bounded_and_a_long_log_is_read_in_parts() {
    let mut run = Run::new(1, 100, 1, 1);
    for _ in 0..20 {
        for client in 0..100 {
            let id = run.operations.len();
            run.invoke(client, json!({"type": "send", "key": "k0", "msg": id}));
        }
        run.rest(100);
    }
    run.check();
    let polls = run
        .operations
        .iter()
        .filter_map(|operation| operation.ok("poll"));
    let lengths: Vec<usize> = polls
        .map(|answer| answer["msgs"]["k0"].as_array().map_or(0, Vec::len))
        .collect();
    assert!(lengths.iter().all(|length| *length <= 256));
    assert_eq!(lengths.iter().sum::<usize>(), 2_000);
}

#[test]
fn a_thousand_logs_can_be_polled_at_once() {
    const KEYS: usize = 1_000;
    let mut run = Run::new(2, 20, 1, 1);
    for key in 0..KEYS {
        let body = json!({"type": "send", "key": key.to_string(), "msg": key});
        run.invoke(key % 20, body);
        run.rest(1);
    }
    let offsets: BTreeMap<String, u64> = (0..KEYS).map(|key| (key.to_string(), 0)).collect();
    for client in 0..20 {
        run.invoke(client, json!({"type": "poll", "offsets": offsets}));
    }
    run.rest(STALENESS_MS);
    let polls = &run.operations[KEYS..];
    for poll in polls {
        let answer = poll.ok("poll").expect("it is answered");
        let logs = answer["msgs"].as_object().expect("logs by their keys");
        assert_eq!(logs.len(), KEYS);
    }
}

/// Maelstrom's clients have 1900 after a minute at 1000 operations a second, and in the end poll all of them.
#[test]
fn of_more_logs_than_a_poll_looks_up_all_are_read_by_who_polls_on() {
    const KEYS: usize = 2_500;
    let mut run = Run::new(2, 20, 1, 1);
    for key in 0..KEYS {
        let body = json!({"type": "send", "key": key.to_string(), "msg": key});
        run.invoke(key % 20, body);
        run.rest(1);
    }
    let mut offsets: BTreeMap<String, u64> = (0..KEYS).map(|key| (key.to_string(), 0)).collect();
    for _ in 0..80 {
        run.invoke(0, json!({"type": "poll", "offsets": offsets}));
        run.rest(STALENESS_MS);
        let poll = run.operations.last().expect("one was invoked");
        let answer = poll.ok("poll").expect("it is answered");
        let logs = answer["msgs"].as_object().expect("logs by their keys");
        assert!(logs.len() <= 256, "a poll is bounded");
        for (key, entries) in logs {
            let read = entries.as_array().expect("entries").len() as u64;
            *offsets.get_mut(key).expect("a log that was polled") += read;
        }
    }
    assert!(offsets.values().all(|offset| *offset == 1));
}

#[test]
fn polls_leave_out_the_logs_that_there_is_no_room_for() {
    let mut run = Run::new(1, 30, 1, 1);
    run.world.latency_ms = 10;
    let keys = |range: std::ops::Range<u64>| range.map(|key| (key.to_string(), 0)).collect();
    let some: [BTreeMap<String, u64>; 3] = [keys(0..600), keys(600..1_200), keys(1_200..1_800)];
    for (client, offsets) in some.iter().enumerate() {
        run.invoke(client, json!({"type": "poll", "offsets": offsets}));
    }
    run.rest(50);
    let outcomes: Vec<_> = run.operations.iter().map(|poll| &poll.outcome).collect();
    assert!(matches!(outcomes[0], Outcome::Ok(_)));
    assert!(matches!(outcomes[1], Outcome::Ok(_)));
    assert_eq!(*outcomes[2], Outcome::Failed, "nothing could be looked up");
    let last = &some[2];
    run.invoke(2, json!({"type": "poll", "offsets": last}));
    run.rest(50);
    assert!(matches!(run.operations[3].outcome, Outcome::Ok(_)));
}

#[test]
fn the_logs_in_use_are_not_forgotten_for_new_ones() {
    const KEYS: u64 = 1_100;
    const IN_USE: u64 = 10;
    let mut run = Run::new(1, 1, 1, 1);
    let mut send = |key: u64, msg: u64| {
        run.invoke(
            0,
            json!({"type": "send", "key": key.to_string(), "msg": msg}),
        );
        run.rest(2);
        run.world.messages
    };
    let opened = (0..KEYS).map(|key| send(key, 0)).last().expect("some");
    let messages = (1..4).flat_map(|msg| (KEYS - IN_USE..KEYS).map(move |key| (key, msg)));
    let sent = messages.map(|(key, msg)| send(key, msg)).last();
    assert_eq!(sent, Some(opened + 3 * IN_USE * 2), "a pair for each send");
}

#[test]
fn a_key_that_holds_something_foreign_is_answered_with_an_error() {
    for foreign in [
        json!(null),
        json!("not a chunk"),
        json!({"entries": [], "rounds": {}}),
        json!({"entries": vec![0; 65], "rounds": {}}),
        json!({"version": u64::MAX, "offsets": {}}),
        json!({"version": 0, "offsets": {}}),
    ] {
        let mut run = Run::new(1, 1, 1, 1);
        for key in ["kafka/k0/0", "kafka-commits/n0"] {
            let body = json!({"type": "write", "key": key, "value": foreign});
            run.world.store.handle(&body);
        }
        for body in [
            json!({"type": "send", "key": "k0", "msg": 1}),
            json!({"type": "poll", "offsets": {"k0": 0}}),
            json!({"type": "commit_offsets", "offsets": {"k0": 0}}),
            json!({"type": "list_committed_offsets", "keys": ["k0"]}),
        ] {
            run.invoke(0, body);
            run.rest(5_000);
        }
        let is_error = |operation: &Operation| {
            matches!(operation.outcome, Outcome::Failed | Outcome::Indeterminate)
        };
        assert!(run.operations.iter().all(is_error), "{foreign}");
        assert!(run.world.messages < 40, "the store is asked over and over");
    }
}

#[test]
fn requests_that_are_wrong_are_refused_with_definite_errors() {
    let mut run = Run::new(1, 1, 1, 1);
    let long = "x".repeat(9_000);
    let many: BTreeMap<String, u64> = (0..1025).map(|key| (key.to_string(), 0)).collect();
    for body in [
        json!({"type": "send", "key": "k0"}),
        json!({"type": "send", "msg": 1}),
        json!({"type": "send", "key": 7, "msg": 1}),
        json!({"type": "send", "key": "k0", "msg": long}),
        json!({"type": "send", "key": long, "msg": 1}),
        json!({"type": "poll"}),
        json!({"type": "poll", "offsets": {"k0": -1}}),
        json!({"type": "commit_offsets", "offsets": many}),
        json!({"type": "list_committed_offsets", "keys": many.keys().collect::<Vec<_>>()}),
        json!({"type": "commit_offsets", "offsets": {"k0": 0.5}}),
        json!({"type": "list_committed_offsets", "keys": "k0"}),
        json!({"type": "fetch"}),
    ] {
        run.invoke(0, body);
        run.rest(2);
        let operation = run.operations.last().expect("one was invoked");
        assert_eq!(operation.outcome, Outcome::Failed, "{operation:?}");
    }
    assert_eq!(run.world.messages, 0);
}
