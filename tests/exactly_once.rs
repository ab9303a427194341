//! Whatever happens to messages and nodes, every acknowledged add counts once and every read is as right as its level
//! promises: whole clusters of the real state machines in virtual time, one seed a run.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use eddy::node::{Node, Random};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde_json::{Value, json};

const NODES: usize = 3;
const CLIENTS: usize = 6;
const FAULTS_END_MS: u64 = 8_000;
const LAST_ADD_MS: u64 = 10_000;
const FINAL_READ_MS: u64 = 25_000;
const KILLS: u64 = 4;

/// `seq-kv` to the letter: the last 32 states, and for each client the newest that it has seen.
struct SeqKv {
    states: Vec<BTreeMap<String, Value>>,
    clients: BTreeMap<String, usize>,
}

impl SeqKv {
    const STATES_MAX: usize = 32;

    fn new() -> Self {
        SeqKv {
            states: vec![BTreeMap::new()],
            clients: BTreeMap::new(),
        }
    }

    fn handle(&mut self, client: &str, body: &Value, random: &mut Random) -> Value {
        let newest = self.states.len() - 1;
        let oldest = self.clients.get(client).copied().unwrap_or(0);
        let index = oldest + random.below((newest - oldest).max(1) as u64) as usize;
        // More than 32 states behind, the ring wraps.
        let ring = self.states.len().min(Self::STATES_MAX);
        let state = &self.states[newest - (newest - index) % ring];
        let (changed, answer) = apply(state, body);
        if changed.is_none() {
            self.clients.insert(client.into(), index);
            return answer;
        }
        let (changed, answer) = apply(&self.states[newest], body);
        let state = changed.unwrap_or_else(|| self.states[newest].clone());
        self.states.push(state);
        self.clients.insert(client.into(), newest + 1);
        answer
    }
}

fn apply(
    state: &BTreeMap<String, Value>,
    body: &Value,
) -> (Option<BTreeMap<String, Value>>, Value) {
    let key = body["key"].as_str().expect("keys are strings");
    let error = |code| json!({"type": "error", "code": code, "text": "no"});
    match (
        body["type"].as_str().expect("requests have a type"),
        state.get(key),
    ) {
        ("read", Some(value)) => (None, json!({"type": "read_ok", "value": value})),
        ("cas", Some(value)) if *value != body["from"] => (None, error(22)),
        ("cas", None) if body["create_if_not_exists"] != true => (None, error(20)),
        ("cas", _) => {
            let mut changed = state.clone();
            changed.insert(key.into(), body["to"].clone());
            (Some(changed), json!({"type": "cas_ok"}))
        }
        (_, _) => (None, error(20)),
    }
}

#[derive(Debug)]
struct Operation {
    node: usize,
    delta: Option<i64>,
    invoked_ms: u64,
    completed_ms: u64,
    outcome: Outcome,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    UnderWay,
    Added,
    Read(i64),
    Failed,
    Indeterminate,
}

struct World {
    consistency: Consistency,
    random: Random,
    now_ms: u64,
    nodes: Vec<Node<GCounter>>,
    store: SeqKv,
    /// Messages under way, latest first: when each arrives, to whom, and the line.
    under_way: Vec<(Reverse<u64>, Reverse<u64>, String, String)>,
    sent: u64,
    operations: Vec<Operation>,
    /// Whether each client waits for an answer to the operation with this index.
    waiting: Vec<Option<usize>>,
}

impl World {
    fn new(consistency: Consistency, seed: u64) -> Self {
        let mut world = World {
            consistency,
            random: Random::new(seed),
            now_ms: 0,
            nodes: Vec::new(),
            store: SeqKv::new(),
            under_way: Vec::new(),
            sent: 0,
            operations: Vec::new(),
            waiting: vec![None; CLIENTS],
        };
        for index in 0..NODES {
            let node = world.start(index);
            world.nodes.push(node);
        }
        world
    }

    /// A node in a new life: it remembers nothing and gets `init`.
    fn start(&mut self, index: usize) -> Node<GCounter> {
        let options = Options {
            consistency: self.consistency,
            ..Options::default()
        };
        let mut node = Node::new(GCounter::new(options, self.random.next_u64()));
        let init = json!({"src": "c99", "dest": format!("n{index}"), "body":
            {"type": "init", "node_id": format!("n{index}"), "node_ids": ["n0", "n1", "n2"], "msg_id": 1}});
        node.receive(&init.to_string(), self.now())
            .expect("init is a message");
        node.written(node.output().len());
        node
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }

    fn post(&mut self, dest: &str, line: String, delay_ms: u64) {
        self.sent += 1;
        let arrival = (
            Reverse(self.now_ms + delay_ms),
            Reverse(self.sent),
            dest.to_string(),
            line,
        );
        let at = self.under_way.partition_point(|other| *other < arrival);
        self.under_way.insert(at, arrival);
    }

    /// A message between a node and the store: lost, doubled and late while there are faults.
    fn post_with_faults(&mut self, dest: &str, line: String) {
        if self.now_ms >= FAULTS_END_MS {
            let delay_ms = self.random.below(20);
            return self.post(dest, line, delay_ms);
        }
        let fate = self.random.below(100);
        let copies = if fate < 10 {
            0
        } else if fate < 20 {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let late = self.random.below(10) == 0;
            let delay_ms = self.random.below(if late { 2000 } else { 20 });
            self.post(dest, line.clone(), delay_ms);
        }
    }

    fn invoke(&mut self, client: usize, delta: Option<i64>) {
        if self.waiting[client].is_some() {
            return;
        }
        let msg_id = self.operations.len();
        let node = client % NODES;
        self.waiting[client] = Some(msg_id);
        self.operations.push(Operation {
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
        self.post(&dest, line, 0);
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

    fn kill(&mut self, node: usize) {
        self.nodes[node] = self.start(node);
        for client in (node..CLIENTS).step_by(NODES) {
            if let Some(index) = self.waiting[client].take() {
                self.operations[index].outcome = Outcome::Indeterminate;
                self.operations[index].completed_ms = self.now_ms;
            }
        }
        // A client whose node died is another client afterwards: answers to its old questions are nobody's.
        self.under_way
            .retain(|(_, _, dest, _)| !dest.starts_with('c'));
    }

    fn deliver(&mut self, dest: &str, line: &str) {
        if dest == "seq-kv" {
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            let src = message["src"].as_str().expect("messages have a src");
            let mut answer = self.store.handle(src, &message["body"], &mut self.random);
            answer["in_reply_to"] = message["body"]["msg_id"].clone();
            let line = json!({"src": "seq-kv", "dest": src, "body": answer}).to_string();
            self.post_with_faults(src, line);
        } else if let Some(client) = dest.strip_prefix('c') {
            let message: Value = serde_json::from_str(line).expect("nodes write JSON");
            self.complete(
                client.parse().expect("clients have numbers"),
                &message["body"],
            );
        } else {
            let index: usize = dest[1..].parse().expect("nodes have numbers");
            let now = self.now();
            self.nodes[index]
                .receive(line, now)
                .expect("the network carries messages");
        }
    }

    fn collect_output(&mut self) {
        for index in 0..NODES {
            let output = std::str::from_utf8(self.nodes[index].output())
                .expect("nodes write UTF-8")
                .to_string();
            self.nodes[index].written(output.len());
            for line in output.lines() {
                let message: Value = serde_json::from_str(line).expect("nodes write JSON");
                let dest = message["dest"]
                    .as_str()
                    .expect("messages have a dest")
                    .to_string();
                match dest.starts_with('c') {
                    true => self.post(&dest, line.to_string(), 0),
                    false => self.post_with_faults(&dest, line.to_string()),
                }
            }
        }
    }

    fn run(&mut self) {
        let mut kills: Vec<u64> = (0..KILLS)
            .map(|_| self.random.below(FAULTS_END_MS))
            .collect();
        kills.sort_unstable();
        while self.now_ms <= FINAL_READ_MS + 10_000 {
            if kills.first() == Some(&self.now_ms) {
                kills.remove(0);
                let node = self.random.below(NODES as u64) as usize;
                self.kill(node);
            }
            if self.now_ms < LAST_ADD_MS && self.random.below(10) == 0 {
                let client = self.random.below(CLIENTS as u64) as usize;
                let delta = (self.random.below(2) == 0).then(|| self.random.below(5) as i64);
                self.invoke(client, delta);
            }
            if self.now_ms == FINAL_READ_MS {
                for client in 0..CLIENTS {
                    self.invoke(client, None);
                }
            }
            let now = self.now();
            for node in &mut self.nodes {
                if node.deadline().is_some_and(|deadline| deadline <= now) {
                    node.wake(now);
                }
            }
            self.collect_output();
            while let Some((Reverse(arrival_ms), ..)) = self.under_way.last()
                && *arrival_ms <= self.now_ms
            {
                let (_, _, dest, line) = self.under_way.pop().expect("it has a last");
                self.deliver(&dest, &line);
                self.collect_output();
            }
            self.now_ms += 1;
        }
    }

    /// Every read lies between what was acknowledged before it began and what was asked for before it ended, no node
    /// goes back, and the final reads agree on a total that some of the indeterminate adds explain.
    fn check(&self) {
        let adds = || {
            self.operations
                .iter()
                .filter_map(|operation| Some((operation, operation.delta?)))
        };
        for read in &self.operations {
            assert_ne!(read.outcome, Outcome::UnderWay, "never answered: {read:?}");
            let Outcome::Read(value) = read.outcome else {
                continue;
            };
            let acknowledged: i64 = adds()
                .filter(|(add, _)| {
                    add.outcome == Outcome::Added && add.completed_ms < read.invoked_ms
                })
                .map(|(_, delta)| delta)
                .sum();
            let asked_for: i64 = adds()
                .filter(|(add, _)| {
                    add.outcome != Outcome::Failed && add.invoked_ms <= read.completed_ms
                })
                .map(|(_, delta)| delta)
                .sum();
            assert!(
                acknowledged <= value,
                "misses an acknowledged add ({acknowledged}): {read:?}"
            );
            assert!(
                value <= asked_for,
                "counts more than was added ({asked_for}): {read:?}"
            );
            let later = self
                .operations
                .iter()
                .filter(|later| later.invoked_ms > read.completed_ms);
            for later in later {
                if let Outcome::Read(later_value) = later.outcome {
                    let must_see =
                        self.consistency == Consistency::Linearizable || later.node == read.node;
                    assert!(
                        !must_see || later_value >= value,
                        "went back: {read:?} then {later:?}"
                    );
                }
            }
        }
        let finals: Vec<i64> = self
            .operations
            .iter()
            .filter(|operation| operation.invoked_ms >= FINAL_READ_MS)
            .map(|operation| match operation.outcome {
                Outcome::Read(value) => value,
                _ => panic!("a final read failed: {operation:?}"),
            })
            .collect();
        assert_eq!(finals.len(), CLIENTS);
        assert!(
            finals.iter().all(|value| *value == finals[0]),
            "final reads differ: {finals:?}"
        );
    }
}

fn survives(consistency: Consistency, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        println!("{consistency:?}, seed {seed}");
        let mut world = World::new(consistency, seed);
        world.run();
        world.check();
    }
}

#[test]
fn regular_counts_every_add_once_while_messages_are_lost_doubled_and_late_and_nodes_die() {
    survives(Consistency::Regular, 0..1000);
}

#[test]
fn linearizable_counts_every_add_once_while_messages_are_lost_doubled_and_late_and_nodes_die() {
    survives(Consistency::Linearizable, 0..1000);
}
