//! Transactions happen once, one after the other, in an order that agrees with time, whatever happens to messages and
//! nodes.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use eddy::workload::TxnListAppend;
use eddy::workload::txn_list_append::Options;
use serde_json::{Value, json};
use world::{Faults, World};

const NODES: usize = 3;
const CLIENTS: usize = 6;
const KEYS: u64 = 4;

#[derive(Debug, PartialEq)]
enum Outcome {
    Ok(Value),
    Failed,
    Unknown,
}

#[derive(Debug)]
struct Transaction {
    steps: Value,
    invoked_ms: u64,
    completed_ms: u64,
    outcome: Outcome,
}

struct Run {
    world: World<TxnListAppend>,
    transactions: Vec<Transaction>,
    waiting: Vec<Option<usize>>,
    last_element: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        Run {
            world: World::new(NODES, seed, |seed| {
                TxnListAppend::new(Options::default(), seed)
            }),
            transactions: Vec::new(),
            waiting: vec![None; CLIENTS],
            last_element: 0,
        }
    }

    fn invoke(&mut self, client: usize, steps: Value) {
        let id = self.transactions.len();
        self.waiting[client] = Some(id);
        let body = json!({"type": "txn", "txn": steps, "msg_id": id});
        self.world.send(&format!("c{client}"), client % NODES, body);
        self.transactions.push(Transaction {
            steps,
            invoked_ms: self.world.now_ms,
            completed_ms: u64::MAX,
            outcome: Outcome::Unknown,
        });
    }

    fn invoke_any(&mut self, client: usize) {
        if self.waiting[client].is_some() {
            return;
        }
        let count = 1 + self.world.random.below(4);
        let steps = (0..count).map(|_| {
            let key = self.world.random.below(KEYS);
            match self.world.random.below(2) {
                0 => json!(["r", key, null]),
                _ => {
                    self.last_element += 1;
                    json!(["append", key, self.last_element])
                }
            }
        });
        let steps = Value::Array(steps.collect());
        self.invoke(client, steps);
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
            let transaction = &mut self.transactions[id];
            let took_ms = self.world.now_ms - transaction.invoked_ms;
            assert!(took_ms <= 4_505, "{transaction:?}");
            transaction.outcome = match (answer.body["type"].as_str(), answer.body["code"].as_i64())
            {
                (Some("error"), Some(0 | 13)) => Outcome::Unknown,
                (Some("error"), _) => Outcome::Failed,
                _ => Outcome::Ok(answer.body["txn"].clone()),
            };
            if transaction.outcome != Outcome::Unknown {
                transaction.completed_ms = self.world.now_ms;
            }
        }
    }

    fn mix(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            if self.world.random.below(10) == 0 {
                let client = self.world.random.below(CLIENTS as u64) as usize;
                self.invoke_any(client);
            }
            self.step();
        }
    }

    fn rest(&mut self, time_ms: u64) {
        for _ in 0..time_ms {
            self.step();
        }
    }

    fn kill(&mut self, node: usize) {
        self.world.kill(node);
        for client in (node..CLIENTS).step_by(NODES) {
            self.waiting[client] = None;
        }
    }

    /// All lists, as a node reads them that has just started.
    fn finals(&mut self) -> BTreeMap<u64, Vec<u64>> {
        self.kill(0);
        let read_all: Vec<Value> = (0..KEYS).map(|key| json!(["r", key, null])).collect();
        self.invoke(0, json!(read_all));
        self.rest(3_000);
        let last = self.transactions.last().expect("one was invoked");
        let Outcome::Ok(done) = &last.outcome else {
            panic!("the store answers: {last:?}");
        };
        let lists = done.as_array().expect("steps").iter();
        lists
            .map(|step| (step[1].as_u64().expect("a key"), list(&step[2])))
            .collect()
    }

    /// The transactions that can be explained fit into one order that agrees with time: the graph of who must come
    /// before whom has no cycle (Adya, "Weak consistency", 1999).
    fn check(&mut self) {
        let finals = self.finals();
        let mut appended_by = BTreeMap::new();
        for (id, transaction) in self.transactions.iter().enumerate() {
            for step in transaction.steps.as_array().expect("steps") {
                if step[0] == "append" {
                    appended_by.insert(step[2].as_u64().expect("an element"), id);
                }
            }
        }
        let elements: Vec<u64> = finals.values().flatten().copied().collect();
        let distinct: BTreeSet<u64> = elements.iter().copied().collect();
        assert_eq!(
            distinct.len(),
            elements.len(),
            "something was appended twice"
        );
        assert!(elements.len() > 20, "hardly anything was appended");
        for (element, id) in &appended_by {
            match self.transactions[*id].outcome {
                Outcome::Ok(_) => assert!(distinct.contains(element), "{element} is lost"),
                Outcome::Failed => {
                    assert!(!distinct.contains(element), "{element} failed and is there")
                }
                Outcome::Unknown => {}
            }
        }
        let mut before: BTreeSet<(usize, usize)> = BTreeSet::new();
        for list in finals.values() {
            for pair in list.windows(2) {
                before.insert((appended_by[&pair[0]], appended_by[&pair[1]]));
            }
        }
        for (id, transaction) in self.transactions.iter().enumerate() {
            if let Outcome::Ok(done) = &transaction.outcome {
                for (earlier, later) in order_by_reads(id, done, &finals, &appended_by) {
                    before.insert((earlier, later));
                }
                for (later, other) in self.transactions.iter().enumerate() {
                    if transaction.completed_ms < other.invoked_ms {
                        before.insert((id, later));
                    }
                }
            }
        }
        before.retain(|(earlier, later)| earlier != later);
        assert_acyclic(&before, self.transactions.len());
    }
}

fn list(value: &Value) -> Vec<u64> {
    let elements = value.as_array().into_iter().flatten();
    elements
        .map(|element| element.as_u64().expect("what was appended"))
        .collect()
}

/// Who must come before whom by what transaction `id` has read.
fn order_by_reads(
    id: usize,
    done: &Value,
    finals: &BTreeMap<u64, Vec<u64>>,
    appended_by: &BTreeMap<u64, usize>,
) -> Vec<(usize, usize)> {
    let mut order = Vec::new();
    let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for step in done.as_array().expect("steps") {
        let key = step[1].as_u64().expect("a key");
        let own = own.entry(key).or_default();
        if step[0] == "append" {
            own.push(step[2].as_u64().expect("an element"));
            continue;
        }
        let mut seen = list(&step[2]);
        assert!(
            seen.ends_with(own),
            "{id} does not read its own appends: {done}"
        );
        seen.truncate(seen.len() - own.len());
        let (prefix, rest) = finals[&key].split_at(seen.len());
        assert_eq!(prefix, seen, "{id} reads what never was: {done}");
        if let Some(last) = prefix.last() {
            order.push((appended_by[last], id));
        }
        if let Some(next) = rest.first() {
            order.push((id, appended_by[next]));
        }
    }
    order
}

fn assert_acyclic(before: &BTreeSet<(usize, usize)>, count: usize) {
    let mut open = vec![0; count];
    for (_, later) in before {
        open[*later] += 1;
    }
    let mut free: Vec<usize> = (0..count).filter(|id| open[*id] == 0).collect();
    let mut ordered = 0;
    while let Some(id) = free.pop() {
        ordered += 1;
        for (_, later) in before.range((id, 0)..=(id, usize::MAX)) {
            open[*later] -= 1;
            if open[*later] == 0 {
                free.push(*later);
            }
        }
    }
    let cycle: Vec<usize> = (0..count).filter(|id| open[*id] > 0).collect();
    assert_eq!(ordered, count, "no order explains these: {cycle:?}");
}

#[test]
fn transactions_are_strict_serializable_while_messages_are_lost_doubled_and_late_and_nodes_die() {
    for seed in 0..1000 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        run.world.jitter_ms = 20;
        run.world.faults = Faults {
            lost: 10,
            doubled: 10,
            late: 10,
        };
        for _ in 0..3 {
            run.mix(1_500);
            let node = run.world.random.below(NODES as u64) as usize;
            run.kill(node);
        }
        run.mix(1_000);
        run.world.faults = Faults::default();
        run.mix(1_000);
        run.rest(8_000);
        run.check();
    }
}

#[test]
fn nothing_conflicts_and_waiting_transactions_share_messages() {
    let mut run = Run::new(1);
    run.world.latency_ms = 5;
    let mut sent = 0;
    for _ in 0..200 {
        for _ in 0..100 {
            let body = json!({"type": "txn", "txn": [["append", 1, sent], ["r", 1, null]], "msg_id": sent});
            run.world.send("c9", 0, body);
            sent += 1;
        }
        for answer in run.world.step() {
            assert_eq!(answer.body["type"], "txn_ok");
        }
        if sent >= 2_000 {
            break;
        }
    }
    for _ in 0..1_000 {
        for answer in run.world.step() {
            assert_eq!(answer.body["type"], "txn_ok");
        }
    }
    let messages_per_transaction = run.world.messages as f64 / f64::from(sent);
    println!("{messages_per_transaction:.3} messages a transaction");
    assert!(messages_per_transaction < 0.1);
}

#[test]
fn no_node_keeps_the_others_out() {
    let mut run = Run::new(1);
    run.world.latency_ms = 10;
    for _ in 0..20_000 {
        for client in 0..CLIENTS {
            if run.waiting[client].is_none() {
                run.invoke(client, json!([["append", client, run.last_element]]));
                run.last_element += 1;
            }
        }
        run.step();
    }
    let mut shares = [0; NODES];
    for (id, transaction) in run.transactions.iter().enumerate() {
        let is_under_way = run.waiting.contains(&Some(id));
        let is_done = matches!(transaction.outcome, Outcome::Ok(_));
        assert!(is_done || is_under_way, "{transaction:?}");
        let client = transaction.steps[0][1].as_u64().expect("its client") as usize;
        shares[client % NODES] += 1;
    }
    let total: usize = shares.iter().sum();
    assert!(shares.iter().all(|share| 5 * share > total), "{shares:?}");
}

#[test]
fn transactions_that_are_wrong_are_refused_whole() {
    let mut run = Run::new(1);
    for (txn, code) in [
        (json!(7), 12),
        (json!([["append", 1]]), 12),
        (json!([["append", 1, 7], ["w", 1, 7]]), 12),
        (json!([["append", 1, "x".repeat(9_000)]]), 12),
    ] {
        let body = json!({"type": "txn", "txn": txn, "msg_id": 1});
        run.world.send("c1", 0, body);
        assert_eq!(run.world.step()[0].body["code"], code);
    }
    assert_eq!(run.world.messages, 0);
}
