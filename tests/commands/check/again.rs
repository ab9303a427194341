//! `eddy check` on the history of a run gives the verdict that the run got.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;

use super::check;

/// Runs a node, asserts that its history gets the same verdict and findings again, and returns the verdict.
#[track_caller]
fn verdict_twice(name: &str, workload: &str, node: &str, flags: &str, models: &str) -> Value {
    let name = format!("again-{name}-{workload}");
    let store: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&store);
    let (flags, node_args) = flags.split_once(" -- ").unwrap_or((flags, ""));
    let node_args = node_args.split_whitespace();
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args([
            "test", "--json", "--seed", "1", "-w", workload, "--bin", node, "--store",
        ])
        .arg(&store)
        .args(format!("--time-limit 1 {flags} {models}").split_whitespace())
        .arg("--")
        .args(node_args)
        .output()
        .expect("eddy is built");
    let run: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert!(run["operations"]["ok"].as_u64() > Some(10), "{run:#}");
    let history = fs::canonicalize(store.join("latest"))
        .expect("a link")
        .join("history.jsonl");
    let again = check(workload, &history, &format!("--json {models}"));
    assert_eq!(again.status.code(), output.status.code());
    let again: Value = serde_json::from_slice(&again.stdout).expect("one JSON object");
    for field in ["valid", "operations_by_type", "facts", "latency_ms"] {
        assert_eq!(again[field], run[field], "{workload}: {field}");
    }
    for kind in ["findings", "warnings"] {
        let told = |report: &Value| -> Vec<Value> {
            let findings = report[kind].as_array().expect("a list").iter();
            let told = |finding: &Value| {
                let what = finding["what"].as_str().expect("text");
                // That a store answered from the past is in no history.
                let (what, _) = what
                    .split_once("\nAfter that read began")
                    .unwrap_or((what, ""));
                serde_json::json!([what, finding["operation_indices"]])
            };
            findings.map(told).collect()
        };
        assert_eq!(told(&again), told(&run), "{workload}");
    }
    run["valid"].clone()
}

#[test]
fn a_run_of_each_workload_gets_its_verdict_again() {
    let runs = [
        ("echo", env!("CARGO_BIN_EXE_echo")),
        ("unique-ids", env!("CARGO_BIN_EXE_unique-ids")),
        ("broadcast", env!("CARGO_BIN_EXE_broadcast")),
        ("g-set", env!("CARGO_BIN_EXE_g-set")),
        ("g-counter", env!("CARGO_BIN_EXE_g-counter")),
        ("pn-counter", env!("CARGO_BIN_EXE_pn-counter")),
        ("kafka", env!("CARGO_BIN_EXE_kafka")),
        ("lin-kv", env!("CARGO_BIN_EXE_lin-kv")),
        ("txn-rw-register", env!("CARGO_BIN_EXE_txn-rw-register")),
        ("txn-list-append", env!("CARGO_BIN_EXE_txn-list-append")),
    ];
    thread::scope(|scope| {
        for (workload, node) in runs {
            let models = match workload {
                "txn-rw-register" => "--consistency-models read-committed",
                "pn-counter" => "--consistency-models regular",
                _ => "",
            };
            let flags = "--nodes a,b,c --rate 100 --concurrency 2n --recovery 1";
            scope.spawn(move || verdict_twice("right", workload, node, flags, models));
        }
    });
}

/// With real processes nearly every run shows the fault.
const TRIES: usize = 10;

#[test]
fn what_is_wrong_with_a_run_is_found_again() {
    let flags = "--node-count 3 --rate 500 --concurrency 4n --latency 20 --recovery 0";
    let node = env!("CARGO_BIN_EXE_g-counter");
    let (counter, models) = (
        format!("{flags} --latency-dist exponential -- --consistency sequential"),
        "--consistency-models linearizable",
    );
    let mut verdicts =
        (0..TRIES).map(|_| verdict_twice("wrong", "g-counter", node, &counter, models));
    assert!(verdicts.any(|verdict| verdict == false));
    let node = env!("CARGO_BIN_EXE_txn-rw-register");
    let mut verdicts =
        (0..TRIES).map(|_| verdict_twice("wrong", "txn-rw-register", node, flags, ""));
    assert!(verdicts.any(|verdict| verdict == false));
}
