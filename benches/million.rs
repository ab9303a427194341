//! `eddy test` with real nodes at about a million messages a run, all of it stored and checked: how many messages a
//! second it carries meanwhile, and how long after the time limit and the recovery it is done.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

/// The recovery before the last requests.
const RECOVERY_S: f64 = 1.0;

/// The workloads without last requests, whose runs end with the time limit.
const WITHOUT_RECOVERY: [&str; 5] = [
    "echo",
    "unique-ids",
    "lin-kv",
    "txn-list-append",
    "txn-rw-register",
];

const STORE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/million");

/// As many operations as three nodes and 180 clients get done.
const CROWD: &str = "--node-count 3 --rate 100000 --concurrency 60n";

/// Workloads, how many seconds each needs for a million messages, and the other flags.
///
/// Reads of a set grow with it, so there it is the gossip of many nodes that makes the messages.
const RUNS: [(&str, f64, &str); 11] = [
    (
        "echo",
        3.0,
        "--node-count 1 --rate 1000000 --concurrency 100",
    ),
    ("unique-ids", 5.0, CROWD),
    ("g-counter", 2.2, CROWD),
    ("pn-counter", 2.2, CROWD),
    ("lin-kv", 2.6, CROWD),
    ("txn-list-append", 4.5, CROWD),
    (
        "txn-rw-register",
        5.2,
        "--node-count 3 --rate 100000 --concurrency 60n --consistency-models read-committed",
    ),
    (
        "broadcast",
        10.0,
        "--node-count 25 --rate 370 --concurrency 100 --topology total -- --batch-ms 1 --topology offered",
    ),
    (
        "g-set",
        30.0,
        "--node-count 200 --rate 340 --concurrency 200 -- --batch-ms 1",
    ),
    (
        "kafka",
        5.0,
        "--node-count 3 --rate 100000 --concurrency 10n",
    ),
    ("kafka", 2.0, CROWD),
];

fn main() {
    for (workload, time_limit_s, flags) in RUNS {
        let recovery_s = match WITHOUT_RECOVERY.contains(&workload) {
            true => 0.0,
            false => RECOVERY_S,
        };
        let began = Instant::now();
        let report = run(workload, time_limit_s, recovery_s, flags);
        let over_s = began.elapsed().as_secs_f64() - time_limit_s - recovery_s;
        let message_count = report["messages"]["all"].as_f64().expect("it is counted");
        assert_eq!(report["valid"], true, "{report}");
        fs::remove_dir_all(STORE).expect("it is ours");
        println!(
            "{workload:16} {message_count:8} messages, {:8.0} a second, done {over_s:5.2} s after limit and recovery",
            message_count / time_limit_s
        );
    }
}

fn run(workload: &str, time_limit_s: f64, recovery_s: f64, flags: &str) -> Value {
    let eddy = Path::new(env!("CARGO_BIN_EXE_eddy"));
    let (time_limit_s, recovery_s) = (time_limit_s.to_string(), recovery_s.to_string());
    let mut command = Command::new(eddy);
    command.args(["test", "--json", "-w", workload, "--bin"]);
    command.arg(eddy.with_file_name(workload));
    command.args(["--time-limit", &time_limit_s, "--recovery", &recovery_s]);
    command.args(["--store", STORE]);
    let output = command.args(flags.split(' ')).output();
    let output = output.expect("eddy is built");
    serde_json::from_slice(&output.stdout).expect("it prints its report")
}
