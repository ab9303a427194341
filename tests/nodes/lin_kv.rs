//! `lin-kv`: the proxy is linearizable, and its errors are true.

use std::collections::{BTreeMap, HashSet};

use crate::world::Faults;
use crate::world::run::{Operation, Outcome, Run};
use eddy::workload::LinKv;
use eddy::workload::lin_kv::Options;
use serde_json::{Value, json};

/// The value of a key after an operation, if the operation can have had its outcome on this value. Null stands for a
/// key that does not exist.
fn apply(operation: &Operation, value: &Value) -> Option<Value> {
    let is_missing = value.is_null();
    let is_refused = operation.outcome == Outcome::Failed(if is_missing { 20 } else { 22 });
    match operation.kind() {
        "read" => match operation.ok("read") {
            Some(answer) => (!is_missing && answer["value"] == *value).then(|| value.clone()),
            None => (is_refused && is_missing).then(|| value.clone()),
        },
        "write" => Some(operation.body["value"].clone()),
        _ if *value == operation.body["from"] => {
            (!matches!(operation.outcome, Outcome::Failed(_))).then(|| operation.body["to"].clone())
        }
        _ => is_refused.then(|| value.clone()),
    }
}

/// Whether the operations on one key can have happened one after the other, each between its request and its reply:
/// the search of Wing and Gong ("Testing and verifying concurrent objects", 1993), with Lowe's memo.
fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= 128);
    let is_needed = |index: &usize| operations[*index].outcome != Outcome::Indefinite;
    let needed = (0..operations.len()).filter(is_needed);
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
        let first_ends_ms = left().map(|index| operations[index].ends_ms()).min();
        for index in left() {
            let operation = &operations[index];
            if Some(operation.invoked_ms) <= first_ends_ms
                && let Some(next) = apply(operation, &state)
            {
                open.push((done | 1 << index, next));
            }
        }
    }
    false
}

fn invoke_any(run: &mut Run<LinKv>, client: usize) {
    // Keys that are easily confused.
    let keys = [json!(0), json!("0"), json!([0]), json!({"a": 1, "b": 2})];
    let key = &keys[run.world.random.below(4) as usize];
    let mut any = || run.world.random.below(3);
    let body = match any() {
        0 => json!({"type": "read", "key": key}),
        1 => json!({"type": "write", "key": key, "value": any()}),
        _ => json!({"type": "cas", "key": key, "from": any(), "to": any()}),
    };
    run.invoke(client, body);
}

fn check(run: &Run<LinKv>) {
    let mut keys: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in &run.operations {
        let is_in_question = match operation.outcome {
            Outcome::Failed(code) => code == 20 || code == 22,
            // A read without a reply has no effect.
            Outcome::Indefinite => operation.kind() != "read",
            _ => true,
        };
        if is_in_question {
            let key = operation.body["key"].to_string();
            keys.entry(key).or_default().push(operation.clone());
        }
    }
    for (key, operations) in keys {
        assert!(is_linearizable(&operations), "{key}: {operations:#?}");
    }
}

fn make(seed: u64) -> LinKv {
    LinKv::new(Options::default(), seed)
}

#[test]
fn operations_are_linearizable_while_messages_are_lost_and_late_and_nodes_die() {
    for seed in 0..1000 {
        println!("seed {seed}");
        let mut run = Run::new(3, 6, seed, make);
        run.world.doubles_requests = false;
        run.world.jitter_ms = 30;
        run.world.faults = Faults {
            lost: 5,
            doubled: 10,
            late: 10,
        };
        for _ in 0..2 {
            run.mix(1_000, 20, invoke_any);
            run.kill_any();
        }
        run.mix(1_000, 20, invoke_any);
        run.rest(6_000);
        check(&run);
    }
}

#[test]
fn errors_are_definite_only_where_nothing_can_happen() {
    let mut run = Run::new(1, 1, 1, make);
    run.world.faults.lost = 100;
    for (body, outcome) in [
        (json!({"type": "read", "key": 1}), Outcome::Failed(11)),
        (
            json!({"type": "write", "key": 1, "value": 1}),
            Outcome::Indefinite,
        ),
        (
            json!({"type": "cas", "key": 1, "from": 1, "to": 2}),
            Outcome::Indefinite,
        ),
        (json!({"type": "write", "key": 1}), Outcome::Failed(12)),
        (
            json!({"type": "cas", "key": 1, "to": 2}),
            Outcome::Failed(12),
        ),
        (json!({"type": "read"}), Outcome::Failed(12)),
        (json!({"type": "delete", "key": 1}), Outcome::Failed(10)),
    ] {
        let operation = run.ask(0, body, 4_505);
        assert_eq!(operation.outcome, outcome, "{operation:?}");
    }
}

#[test]
fn a_read_that_nobody_waits_for_any_more_is_not_repeated() {
    let mut run = Run::new(1, 2, 1, make);
    run.world.faults.lost = 100;
    run.invoke(0, json!({"type": "read", "key": 1}));
    run.rest(1_000);
    run.invoke(1, json!({"type": "read", "key": 1}));
    run.rest(4_505);
    let messages = run.world.messages;
    assert!(messages > 2, "it is repeated as long as one waits");
    run.rest(60_000);
    assert_eq!(run.world.messages, messages);
}

#[test]
fn a_write_is_sent_once_whatever_becomes_of_it() {
    let mut run = Run::new(1, 1, 1, make);
    run.world.faults.lost = 100;
    run.ask(0, json!({"type": "write", "key": 1, "value": 1}), 60_000);
    assert_eq!(run.world.messages, 1);
}
