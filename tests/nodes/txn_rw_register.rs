//! Transactions are answered at once in every partition, read only committed values, and all nodes converge.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::world::{Faults, World};
use eddy::gossip::{Options, Topology};
use eddy::node::Node;
use eddy::workload::TxnRwRegister;
use serde_json::{Value, json};

const KEYS: u64 = 6;

/// The steps of a transaction: for each whether it wrote, the key, and the value.
type Steps = Vec<(bool, u64, Option<u64>)>;

struct Run {
    world: World<TxnRwRegister>,
    nodes: usize,
    transactions: Vec<Steps>,
    last_value: u64,
}

impl Run {
    fn new(nodes: usize, seed: u64) -> Self {
        let options = Options {
            topology: [Topology::Star, Topology::Tree][seed as usize % 2],
            batch: Duration::from_millis(50),
            ..Options::default()
        };
        let make = move |seed| TxnRwRegister::new(options.clone(), seed);
        Run {
            world: World::new(nodes, seed, make),
            nodes,
            transactions: Vec::new(),
            last_value: 0,
        }
    }

    /// Runs a transaction, which must be answered at once.
    fn transact(&mut self, node: usize, steps: Value) -> Steps {
        self.world.send(
            "c1",
            node,
            json!({"type": "txn", "txn": steps, "msg_id": 1}),
        );
        let answers = self.world.step();
        assert_eq!(answers.len(), 1, "not answered at once");
        let done = answers[0].body["txn"]
            .as_array()
            .expect("it was done")
            .clone();
        let asked = steps.as_array().expect("steps");
        assert_eq!(done.len(), asked.len());
        let mut own = BTreeMap::new();
        let done = done.iter().zip(asked).map(|(done, asked)| {
            assert_eq!((&done[0], &done[1]), (&asked[0], &asked[1]));
            let key = done[1].as_u64().expect("a key");
            let is_write = done[0] == "w";
            match is_write {
                true => {
                    assert_eq!(done[2], asked[2]);
                    own.insert(key, done[2].clone());
                }
                false => {
                    let seen = own.get(&key);
                    assert!(
                        seen.is_none_or(|own| *own == done[2]),
                        "does not read its own write"
                    );
                }
            }
            (is_write, key, done[2].as_u64())
        });
        done.collect()
    }

    fn any(&mut self) {
        let count = 1 + self.world.random.below(4);
        let steps = (0..count).map(|_| {
            let key = self.world.random.below(KEYS);
            match self.world.random.below(2) {
                0 => json!(["r", key, null]),
                _ => {
                    self.last_value += 1;
                    json!(["w", key, self.last_value])
                }
            }
        });
        let steps = Value::Array(steps.collect());
        let node = self.world.random.below(self.nodes as u64) as usize;
        let done = self.transact(node, steps);
        self.transactions.push(done);
    }

    fn mix(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            match self.world.random.below(10) {
                0 => self.any(),
                _ => drop(self.world.step()),
            }
        }
    }

    fn rest(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            self.world.step();
        }
    }

    /// The final contents of all nodes, which must be equal.
    fn finals(&mut self) -> Steps {
        let read_all = json!(
            (0..KEYS)
                .map(|key| json!(["r", key, null]))
                .collect::<Vec<_>>()
        );
        let finals: Vec<Steps> = (0..self.nodes)
            .map(|node| self.transact(node, read_all.clone()))
            .collect();
        assert!(
            finals.iter().all(|seen| *seen == finals[0]),
            "nodes disagree: {finals:?}"
        );
        finals[0].clone()
    }

    /// Asserts that there are no aborted, intermediate or partial reads, and that no two transactions have read from
    /// each other.
    fn check(&self) {
        let mut writers = BTreeMap::new();
        for (id, steps) in self.transactions.iter().enumerate() {
            let last: BTreeMap<u64, u64> = steps
                .iter()
                .filter(|(is_write, ..)| *is_write)
                .map(|(_, key, value)| (*key, value.expect("writes have values")))
                .collect();
            writers.extend(last.iter().map(|(key, value)| ((*key, *value), id)));
        }
        let mut reads_from: Vec<BTreeSet<usize>> = Vec::new();
        for (id, steps) in self.transactions.iter().enumerate() {
            let mut from = BTreeSet::new();
            let mut own = BTreeSet::new();
            let mut empty = BTreeSet::new();
            for (is_write, key, value) in steps {
                match value {
                    _ if *is_write => drop(own.insert(*key)),
                    _ if own.contains(key) => {}
                    None => drop(empty.insert(*key)),
                    Some(value) => {
                        let writer = writers.get(&(*key, *value));
                        from.insert(
                            *writer
                                .unwrap_or_else(|| panic!("{id} reads {value}, which no one left")),
                        );
                    }
                }
            }
            for writer in &from {
                let mut wrote = self.transactions[*writer].iter();
                assert!(
                    !wrote.any(|(is_write, key, _)| *is_write && empty.contains(key)),
                    "{id} sees one half of {writer}"
                );
            }
            reads_from.push(from);
        }
        // Transactions are in the order of their replies, so to read from a later one is to be on a cycle with it.
        for (id, from) in reads_from.iter().enumerate() {
            assert!(from.iter().all(|writer| *writer < id));
        }
    }

    /// Asserts that a transaction that read a value and replaced it was not overruled by the writer of that value.
    fn check_last_writer_wins(&self, finals: &Steps) {
        for (_, final_key, final_value) in finals {
            for steps in &self.transactions {
                let mut has_read = false;
                for (is_write, key, value) in steps.iter().filter(|(_, key, _)| key == final_key) {
                    has_read |= !is_write && value == final_value;
                    assert!(
                        !(*is_write && has_read),
                        "{key}: {value:?} was overruled by {final_value:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn transactions_are_read_committed_and_nodes_converge_after_partitions_loss_doubling_and_lateness()
{
    for seed in 0..1000 {
        println!("seed {seed}");
        let nodes = 2 + seed as usize % 4;
        let mut run = Run::new(nodes, seed);
        run.world.jitter_ms = 30;
        run.world.faults = Faults {
            lost: 10,
            doubled: 10,
            late: 10,
        };
        for _ in 0..3 {
            run.mix(500);
            for node in 0..nodes {
                run.world.sides[node] = run.world.random.below(2);
            }
            run.mix(500);
            run.world.sides.fill(0);
        }
        run.world.faults = Faults::default();
        run.rest(8_000);
        let finals = run.finals();
        run.check();
        run.check_last_writer_wins(&finals);
    }
}

#[test]
fn nodes_converge_after_kills_and_never_show_what_was_not_written() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut run = Run::new(3, seed);
        run.world.jitter_ms = 30;
        run.world.faults = Faults {
            lost: 10,
            doubled: 10,
            late: 10,
        };
        for _ in 0..4 {
            run.mix(500);
            let node = run.world.random.below(3) as usize;
            run.world.kill(node);
        }
        run.mix(500);
        run.world.faults = Faults::default();
        run.rest(8_000);
        run.finals();
        run.check();
    }
}

#[test]
fn two_lives_of_a_node_never_share_a_stamp() {
    let mut run = Run::new(2, 1);
    run.transact(0, json!([["w", 0, 1]]));
    run.rest(1_000);
    // Without what it sent to the other node, the new incarnation begins to count anew.
    run.world.sides = vec![0, 1];
    run.world.kill(0);
    run.transact(0, json!([["w", 0, 2]]));
    run.world.sides.fill(0);
    run.rest(8_000);
    run.finals();
}

#[test]
fn everyone_cut_off_from_everyone_goes_on() {
    let mut run = Run::new(5, 1);
    run.world.sides = (0..5).collect();
    run.mix(3_000);
    assert!(run.transactions.len() > 200);
    run.world.sides.fill(0);
    run.rest(8_000);
    let finals = run.finals();
    run.check();
    run.check_last_writer_wins(&finals);
}

#[test]
fn overwritten_values_are_not_sent_and_a_newcomer_gets_the_rest() {
    let mut run = Run::new(2, 1);
    for value in 0..2_000 {
        run.transact(0, json!([["w", value % 3, value]]));
    }
    run.rest(5_000);
    run.world.is_tracing = true;
    run.world.kill(1);
    run.rest(5_000);
    let sent = run.world.trace.iter().filter(|(src, ..)| src == "n0");
    let entries: usize = sent
        .map(|(.., body)| body["entries"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(entries, 3);
    run.finals();
}

#[test]
fn a_transaction_that_two_nodes_have_sent_is_sent_to_the_third_alone() {
    let mut node = Node::new(TxnRwRegister::new(Options::default(), 1));
    let now = Duration::from_secs(1);
    let mut receive = |src: &str, body: Value| {
        let line = json!({"src": src, "dest": "n0", "body": body}).to_string();
        node.receive(&line, now).expect("a message");
    };
    let node_ids = ["n0", "n1", "n2", "n3"];
    let init = json!({"type": "init", "node_id": "n0", "node_ids": node_ids, "msg_id": 1});
    receive("c0", init);
    for peer in ["n1", "n2"] {
        let head = json!({"incarnation": 1, "after": 0, "end": 1});
        let entries = json!([[[1, "n3", 1], [["key", "value"]]]]);
        receive(
            peer,
            json!({"type": "gossip", "gossip": head, "entries": entries}),
        );
    }
    node.wake(now);
    let output = str::from_utf8(node.output()).expect("UTF-8");
    let with_entries: Vec<Value> = output
        .lines()
        .filter(|line| line.contains("entries"))
        .map(|line| serde_json::from_str(line).expect("nodes write JSON"))
        .collect();
    assert_eq!(with_entries.len(), 1, "{output}");
    assert_eq!(with_entries[0]["dest"], "n3");
}

#[test]
fn keys_and_values_are_any_json() {
    let mut run = Run::new(1, 1);
    let writes = json!([["w", 0, null], ["w", "0", [1]], ["w", {"a": [0]}, {"b": "ü"}], ["r", [0], null], ["r", "0", null]]);
    run.world
        .send("c1", 0, json!({"type": "txn", "txn": writes, "msg_id": 1}));
    let answer = &run.world.step()[0].body["txn"];
    assert_eq!(answer[2], writes[2]);
    assert_eq!(answer[3], json!(["r", [0], null]));
    assert_eq!(answer[4], json!(["r", "0", [1]]));
}

#[test]
fn transactions_that_are_wrong_are_refused_whole() {
    let mut run = Run::new(1, 1);
    for txn in [
        json!(null),
        json!({}),
        json!([["w", 1]]),
        json!([["w", 1, 7], ["x", 1, 7]]),
        json!([["w", 1, 7], ["append", 1, 7]]),
        json!([["w", 1, "x".repeat(70_000)]]),
    ] {
        run.world
            .send("c1", 0, json!({"type": "txn", "txn": txn, "msg_id": 1}));
        assert_eq!(run.world.step()[0].body["code"], 12, "{txn}");
    }
    assert_eq!(run.transact(0, json!([["r", 1, null]])), [(false, 1, None)]);
}
