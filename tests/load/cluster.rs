//! Nodes as a service: behind `eddy serve`, on three members of etcd.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output};

use super::output::{assert_ends_with, stderr};

/// Runs `cluster.sh` for some seconds; `None` if etcd is not installed. `step_s` is the time between two faults.
fn cluster(workload: &str, seconds: u32, step_s: u32, more: &str) -> Option<Output> {
    let nodes = Path::new(env!("CARGO_BIN_EXE_g-counter")).parent();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/cluster.sh");
    let output = Command::new(script)
        .args([workload, &seconds.to_string(), "--no-store", "--seed", "1"])
        .args(more.split_whitespace())
        .env("EDDY", env!("CARGO_BIN_EXE_eddy"))
        .env("NODES", nodes.expect("a folder"))
        .env("STEP", step_s.to_string())
        .output()
        .expect("bash runs it");
    if output.status.code() == Some(4) {
        // The output of `eprintln!` would be shown only for tests that fail.
        let _ = writeln!(io::stderr(), "skipped {workload}: {}", stderr(&output));
        return None;
    }
    Some(output)
}

#[test]
fn a_counter_on_etcd_is_valid_while_members_nodes_and_services_are_killed() {
    let more = "--rate 200 --concurrency 2n --recovery 2 --consistency-models linearizable -- --consistency linearizable";
    if let Some(output) = cluster("g-counter", 8, 1, more) {
        assert_ends_with(0, &output);
        let printed = stderr(&output);
        assert!(
            printed.contains("killed: ") && !printed.contains(" 0"),
            "{printed}"
        );
    }
}

/// For each workload the levels that its nodes promise.
macro_rules! nodes_are_valid_as_a_service {
    ($($test:ident: $workload:literal, $promised:literal;)*) => {
        mod nodes_are_valid_as_a_service {
            use super::*;

            $(#[test]
            fn $test() {
                let more = concat!("--rate 100 --concurrency 2n --recovery 1 --strict ", $promised);
                if let Some(output) = cluster($workload, 2, 0, more) {
                    assert_ends_with(0, &output);
                }
            })*
        }
    };
}

nodes_are_valid_as_a_service! {
    echo: "echo", "";
    unique_ids: "unique-ids", "";
    broadcast: "broadcast", "";
    g_set: "g-set", "";
    pn_counter: "pn-counter", "--consistency-models regular";
    kafka: "kafka", "";
    lin_kv: "lin-kv", "";
    txn_rw_register: "txn-rw-register", "--consistency-models read-committed";
    txn_list_append: "txn-list-append", "--consistency-models strict-serializable";
}
