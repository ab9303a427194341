//! The proxy is linearizable, and its errors are true.

mod world;

use std::collections::{BTreeMap, HashSet};

use eddy::workload::LinKv;
use eddy::workload::lin_kv::Options;
use serde_json::{Value, json};
use world::{Faults, World};

const NODES: usize = 3;
const CLIENTS: usize = 6;

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Ok(Value),
    /// The key was missing or another.
    Refused(i64),
    /// It has not happened.
    Failed,
    Unknown,
}

#[derive(Clone, Debug)]
struct Operation {
    body: Value,
    invoked_ms: u64,
    completed_ms: u64,
    outcome: Outcome,
}

impl Operation {
    /// The state after this operation, if it can have happened in this state with this outcome.
    fn apply(&self, state: &Value) -> Option<Value> {
        let is_missing = state.is_null();
        let refused = Outcome::Refused(if is_missing { 20 } else { 22 });
        let may_be_refused = self.outcome == refused;
        match self.body["type"].as_str() {
            Some("read") => match &self.outcome {
                Outcome::Ok(answer) => {
                    (!is_missing && answer["value"] == *state).then(|| state.clone())
                }
                _ => may_be_refused.then(|| state.clone()).filter(|_| is_missing),
            },
            Some("write") => Some(self.body["value"].clone()),
            _ if *state == self.body["from"] => {
                let is_swapped = matches!(self.outcome, Outcome::Ok(_) | Outcome::Unknown);
                is_swapped.then(|| self.body["to"].clone())
            }
            _ => may_be_refused.then(|| state.clone()),
        }
    }
}

/// Whether the operations on one key can have happened one after the other, each between its request and its answer:
/// the search of Wing and Gong ("Testing and verifying concurrent objects", 1993), with Lowe's memory.
fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= 128);
    let is_needed = |operation: &Operation| operation.outcome != Outcome::Unknown;
    let needed = (0..operations.len()).filter(|index| is_needed(&operations[*index]));
    let needed = needed.fold(0u128, |mask, index| mask | 1 << index);
    let mut seen = HashSet::new();
    let mut open = vec![(0u128, Value::Null)];
    while let Some((done, state)) = open.pop() {
        if done & needed == needed {
            return true;
        }
        if !seen.insert((done, state.to_string())) {
            continue;
        }
        let left = || (0..operations.len()).filter(|index| done & 1 << index == 0);
        let first_completed_ms = left().map(|index| operations[index].completed_ms).min();
        for index in left() {
            let operation = &operations[index];
            if Some(operation.invoked_ms) <= first_completed_ms
                && let Some(next) = operation.apply(&state)
            {
                open.push((done | 1 << index, next));
            }
        }
    }
    false
}

struct Run {
    world: World<LinKv>,
    operations: Vec<Operation>,
    waiting: Vec<Option<usize>>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut world = World::new(NODES, seed, |seed| LinKv::new(Options::default(), seed));
        world.doubles_requests = false;
        Run {
            world,
            operations: Vec::new(),
            waiting: vec![None; CLIENTS],
        }
    }

    fn invoke(&mut self, client: usize, mut body: Value) {
        let id = self.operations.len();
        body["msg_id"] = json!(id);
        self.waiting[client] = Some(id);
        self.world
            .send(&format!("c{client}"), client % NODES, body.clone());
        self.operations.push(Operation {
            body,
            invoked_ms: self.world.now_ms,
            completed_ms: u64::MAX,
            outcome: Outcome::Unknown,
        });
    }

    fn invoke_any(&mut self, client: usize, keys: &[Value]) {
        if self.waiting[client].is_some() {
            return;
        }
        let key = &keys[self.world.random.below(keys.len() as u64) as usize];
        let mut any = || self.world.random.below(3);
        let body = match any() {
            0 => json!({"type": "read", "key": key}),
            1 => json!({"type": "write", "key": key, "value": any()}),
            _ => json!({"type": "cas", "key": key, "from": any(), "to": any()}),
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
                continue;
            }
            self.waiting[client] = None;
            let operation = &mut self.operations[id];
            let took_ms = self.world.now_ms - operation.invoked_ms;
            assert!(took_ms <= 4_505, "{operation:?}");
            operation.outcome = match (answer.body["type"].as_str(), answer.body["code"].as_i64()) {
                (Some("error"), Some(0 | 13)) => Outcome::Unknown,
                (Some("error"), Some(code @ (20 | 22))) => Outcome::Refused(code),
                (Some("error"), _) => Outcome::Failed,
                _ => Outcome::Ok(answer.body),
            };
            if operation.outcome != Outcome::Unknown {
                operation.completed_ms = self.world.now_ms;
            }
        }
    }

    fn kill(&mut self, node: usize) {
        self.world.kill(node);
        for client in (node..CLIENTS).step_by(NODES) {
            self.waiting[client] = None;
        }
    }

    fn check(&self) {
        let mut keys: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
        for operation in &self.operations {
            if operation.outcome != Outcome::Failed {
                let key = operation.body["key"].to_string();
                keys.entry(key).or_default().push(operation.clone());
            }
        }
        for (key, operations) in keys {
            // An unknown read says nothing.
            let says_something = |operation: &Operation| {
                operation.body["type"] != "read" || operation.outcome != Outcome::Unknown
            };
            let operations: Vec<_> = operations.into_iter().filter(says_something).collect();
            assert!(is_linearizable(&operations), "{key}: {operations:#?}");
        }
    }
}

#[test]
fn operations_are_linearizable_while_messages_are_lost_and_late_and_nodes_die() {
    // Keys that are easily taken for each other.
    let keys = [json!(0), json!("0"), json!([0]), json!({"a": 1, "b": 2})];
    for seed in 0..1000 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        run.world.jitter_ms = 30;
        run.world.faults = Faults {
            lost: 5,
            doubled: 10,
            late: 10,
        };
        for _ in 0..3_000 {
            if run.world.random.below(20) == 0 {
                let client = run.world.random.below(CLIENTS as u64) as usize;
                run.invoke_any(client, &keys);
            }
            if run.world.random.below(1_500) == 0 {
                let node = run.world.random.below(NODES as u64) as usize;
                run.kill(node);
            }
            run.step();
        }
        for _ in 0..6_000 {
            run.step();
        }
        run.check();
    }
}

#[test]
fn reads_of_a_key_that_come_together_share_one() {
    let mut world = World::new(1, 1, |seed| LinKv::new(Options::default(), seed));
    world.latency_ms = 10;
    let write = json!({"type": "write", "key": {"b": 1, "a": 2}, "value": null, "msg_id": 1});
    world.send("c1", 0, write);
    for _ in 0..30 {
        world.step();
    }
    let before = world.messages;
    for client in 0..100 {
        // The same key, written in two ways.
        let key = [r#"{"a":2,"b":1}"#, r#"{ "b":1, "a":2 }"#][client % 2];
        let body = format!(r#"{{"type":"read","msg_id":1,"key":{key}}}"#);
        world.send_text(&format!("c{client}"), 0, &body);
    }
    let answers: Vec<_> = (0..50).flat_map(|_| world.step()).collect();
    assert_eq!(answers.len(), 100);
    assert!(
        answers
            .iter()
            .all(|answer| answer.body["value"] == json!(null))
    );
    assert_eq!(
        world.messages - before,
        4,
        "one read, and one for all who came after it"
    );
}

#[test]
fn errors_are_definite_only_where_nothing_can_happen() {
    let mut run = Run::new(1);
    run.world.faults.lost = 100;
    for (body, outcome) in [
        (json!({"type": "read", "key": 1}), Outcome::Failed),
        (
            json!({"type": "write", "key": 1, "value": 1}),
            Outcome::Unknown,
        ),
        (
            json!({"type": "cas", "key": 1, "from": 1, "to": 2}),
            Outcome::Unknown,
        ),
        (json!({"type": "write", "key": 1}), Outcome::Failed),
        (json!({"type": "cas", "key": 1, "to": 2}), Outcome::Failed),
        (json!({"type": "read"}), Outcome::Failed),
        (json!({"type": "delete", "key": 1}), Outcome::Failed),
    ] {
        run.invoke(0, body);
        for _ in 0..4_505 {
            run.step();
        }
        let operation = run.operations.last().expect("one was invoked");
        assert_eq!(operation.outcome, outcome, "{operation:?}");
        assert_eq!(run.waiting[0], None, "never answered: {operation:?}");
    }
}
