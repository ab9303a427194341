//! Transactions take effect once, one after the other, in an order that agrees with real time, through all faults of
//! messages and nodes.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::Faults;
use crate::world::run::{Operation, Outcome, Run};
use eddy::node::Limits;
use eddy::workload::TxnListAppend;
use serde_json::{Value, json};

const KEYS: u64 = 4;

fn run(nodes: usize, clients: usize, seed: u64) -> Run<TxnListAppend> {
    let make = |seed| TxnListAppend::new(Limits::default(), seed);
    Run::new(nodes, clients, seed, make)
}

/// No two appended elements are equal.
fn invoke_any(run: &mut Run<TxnListAppend>, client: usize) {
    let steps = 1 + run.world.random.below(4);
    let first_element = 10 * run.operations.len() as u64;
    let txn = (first_element..first_element + steps).map(|element| {
        let key = run.world.random.below(KEYS);
        match run.world.random.below(2) {
            0 => json!(["r", key, null]),
            _ => json!(["append", key, element]),
        }
    });
    let txn: Vec<Value> = txn.collect();
    run.invoke(client, json!({"type": "txn", "txn": txn}));
}

/// All lists, as read by a node that has just started.
fn finals(run: &mut Run<TxnListAppend>) -> BTreeMap<u64, Vec<u64>> {
    run.kill(0);
    let read_all: Vec<Value> = (0..KEYS).map(|key| json!(["r", key, null])).collect();
    let last = run.ask(0, json!({"type": "txn", "txn": read_all}), 3_000);
    let lists = steps(last.ok("txn").expect("the store answers")).iter();
    lists
        .map(|step| (step[1].as_u64().expect("a key"), list(&step[2])))
        .collect()
}

/// Asserts that the transactions fit into one order that agrees with real time: the graph of their dependencies has no
/// cycle (Adya, "Weak consistency", 1999).
fn check(run: &mut Run<TxnListAppend>) {
    let finals = finals(run);
    let mut appended_by = BTreeMap::new();
    for (id, transaction) in run.operations.iter().enumerate() {
        for step in steps(&transaction.body) {
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
        match run.operations[*id].outcome {
            Outcome::Ok(_) => assert!(distinct.contains(element), "{element} is lost"),
            Outcome::Failed(_) => {
                assert!(!distinct.contains(element), "{element} failed and is there")
            }
            _ => {}
        }
    }
    let mut before: BTreeSet<(usize, usize)> = BTreeSet::new();
    for list in finals.values() {
        for pair in list.windows(2) {
            before.insert((appended_by[&pair[0]], appended_by[&pair[1]]));
        }
    }
    for (id, transaction) in run.operations.iter().enumerate() {
        if let Some(answer) = transaction.ok("txn") {
            for (earlier, later) in order_by_reads(id, steps(answer), &finals, &appended_by) {
                before.insert((earlier, later));
            }
            for (later, other) in run.operations.iter().enumerate() {
                if transaction.completed_ms < other.invoked_ms {
                    before.insert((id, later));
                }
            }
        }
    }
    before.retain(|(earlier, later)| earlier != later);
    assert_acyclic(&before, run.operations.len());
}

/// The steps of a transaction, as requested or as answered.
fn steps(body: &Value) -> &[Value] {
    body["txn"].as_array().expect("steps")
}

fn list(value: &Value) -> Vec<u64> {
    let elements = value.as_array().into_iter().flatten();
    elements
        .map(|element| element.as_u64().expect("what was appended"))
        .collect()
}

/// The dependencies that follow from what transaction `id` has read.
fn order_by_reads(
    id: usize,
    done: &[Value],
    finals: &BTreeMap<u64, Vec<u64>>,
    appended_by: &BTreeMap<u64, usize>,
) -> Vec<(usize, usize)> {
    let mut order = Vec::new();
    let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for step in done {
        let key = step[1].as_u64().expect("a key");
        let own = own.entry(key).or_default();
        if step[0] == "append" {
            own.push(step[2].as_u64().expect("an element"));
            continue;
        }
        let mut seen = list(&step[2]);
        assert!(
            seen.ends_with(own),
            "{id} does not read its own appends: {done:?}"
        );
        seen.truncate(seen.len() - own.len());
        let (prefix, rest) = finals[&key].split_at(seen.len());
        assert_eq!(prefix, seen, "{id} reads what never was: {done:?}");
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
        let mut run = run(3, 6, seed);
        run.world.jitter_ms = 20;
        run.world.faults = Faults::BAD;
        for _ in 0..3 {
            run.mix(1_500, 10, invoke_any);
            run.kill_any();
        }
        run.mix(1_000, 10, invoke_any);
        run.world.faults = Faults::default();
        run.mix(1_000, 10, invoke_any);
        run.rest(8_000);
        check(&mut run);
    }
}

#[test]
fn nothing_conflicts_and_waiting_transactions_share_messages() {
    const TRANSACTIONS: usize = 2_000;
    let mut run = run(1, TRANSACTIONS, 1);
    run.world.latency_ms = 5;
    for client in 0..TRANSACTIONS {
        let txn = json!([["append", 1, client], ["r", 1, null]]);
        run.invoke(client, json!({"type": "txn", "txn": txn}));
        if client % 100 == 99 {
            run.step();
        }
    }
    run.rest(1_000);
    assert!(run.operations.iter().all(Operation::is_ok));
    let messages_per_transaction = run.world.messages as f64 / TRANSACTIONS as f64;
    println!("{messages_per_transaction:.3} messages a transaction");
    assert!(messages_per_transaction < 0.1);
}

#[test]
fn no_node_keeps_the_others_out() {
    let mut run = run(3, 6, 1);
    run.world.latency_ms = 10;
    for _ in 0..20_000 {
        for client in 0..6 {
            let txn = json!([["append", client, run.operations.len()]]);
            run.invoke(client, json!({"type": "txn", "txn": txn}));
        }
        run.step();
    }
    let mut shares = [0; 3];
    for transaction in &run.operations {
        let is_good = transaction.is_ok() || transaction.outcome == Outcome::UnderWay;
        assert!(is_good, "{transaction:?}");
        shares[transaction.node] += 1;
    }
    let total: usize = shares.iter().sum();
    assert!(shares.iter().all(|share| 5 * share > total), "{shares:?}");
}

#[test]
fn transactions_that_are_wrong_are_refused_whole() {
    let mut run = run(1, 1, 1);
    for txn in [
        json!(7),
        json!([["append", 1]]),
        json!([["append", 1, 7], ["w", 1, 7]]),
        json!([["append", 1, "x".repeat(9_000)]]),
    ] {
        let refused = run.ask(0, json!({"type": "txn", "txn": txn}), 2);
        assert_eq!(refused.outcome, Outcome::Failed(12));
    }
    assert_eq!(run.world.messages, 0);
}
