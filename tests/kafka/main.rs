//! Whatever happens to messages and nodes, every acknowledged send is in its log, once, at its offset.

mod limits;
mod run;
#[path = "../world/mod.rs"]
mod world;

use run::{Operation, Outcome, Run};
use serde_json::json;
use world::Faults;

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
