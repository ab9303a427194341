//! Every acknowledged send is in its log exactly once, at its offset, through all faults of messages and nodes.

mod limits;
mod run;
use crate::world::Faults;
use crate::world::run::Outcome;
use run::{check, invoke_any, run};
use serde_json::json;

#[test]
fn every_acknowledged_send_is_in_its_log_once_while_messages_are_lost_doubled_and_late_and_nodes_die()
 {
    const KEYS: u64 = 2;
    for seed in 0..1000 {
        println!("seed {seed}");
        let mut run = run(3, 9, seed);
        run.world.jitter_ms = 20;
        run.world.faults = Faults::BAD;
        for _ in 0..4 {
            run.mix(1_500, 5, invoke_any(KEYS));
            run.kill_any();
        }
        run.mix(1_000, 5, invoke_any(KEYS));
        run.world.faults = Faults::default();
        run.mix(1_000, 5, invoke_any(KEYS));
        run.rest(12_000);
        check(&mut run, KEYS);
    }
}

#[test]
fn a_partition_between_nodes_holds_nothing_up() {
    const KEYS: u64 = 2;
    let mut run = run(3, 9, 1);
    run.world.latency_ms = 10;
    run.world.sides = vec![0, 1, 2];
    run.mix(5_000, 5, invoke_any(KEYS));
    run.rest(1_000);
    for operation in &run.operations {
        let took_ms = operation.completed_ms - operation.invoked_ms;
        assert!(operation.is_ok() && took_ms < 500, "{operation:?}");
    }
    check(&mut run, KEYS);
}

#[test]
fn under_load_an_operation_costs_far_less_than_a_read_and_a_cas() {
    let clusters = [(2, 4, 8, 3.0), (2, 40, 4, 1.0), (5, 100, 10, 3.0)];
    for (nodes, clients, keys, limit) in clusters {
        let mut run = run(nodes, clients, 1);
        run.world.latency_ms = 5;
        for _ in 0..5_000 {
            for client in 0..clients {
                if !run.is_waiting(client) {
                    invoke_any(keys)(&mut run, client);
                }
            }
            run.step();
        }
        let completed = run.operations.len() - clients;
        let messages = run.world.messages as f64 / completed as f64;
        println!(
            "{nodes} nodes, {clients} clients, {keys} keys: {completed} operations, {messages:.2} messages each"
        );
        assert!(messages < limit);
        run.rest(1_000);
        check(&mut run, keys);
    }
}

#[test]
fn a_key_that_holds_an_unexpected_value_is_answered_with_an_error_at_once() {
    for unexpected in [
        json!(null),
        json!("not a chunk"),
        json!({"entries": [], "last_applied": {}}),
        json!({"entries": vec![0; 65], "last_applied": {}}),
        json!({"version": u64::MAX, "offsets": {}}),
        json!({"version": 0, "offsets": {}}),
    ] {
        let mut run = run(1, 1, 1);
        for key in ["kafka/k0/0", "kafka-commits/n0"] {
            run.world.store.set(key, unexpected.clone());
        }
        for body in [
            json!({"type": "send", "key": "k0", "msg": 1}),
            json!({"type": "poll", "offsets": {"k0": 0}}),
            json!({"type": "commit_offsets", "offsets": {"k0": 0}}),
            json!({"type": "list_committed_offsets", "keys": ["k0"]}),
        ] {
            let operation = run.ask(0, body, 3);
            assert_eq!(
                operation.outcome,
                Outcome::Failed(11),
                "{operation:?} {unexpected}"
            );
        }
        run.rest(5_000);
        assert_eq!(
            run.world.messages,
            4 * 2,
            "the store is asked over and over"
        );
    }
}
