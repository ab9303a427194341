//! `eddy load` from end to end, on nodes that a test serves by itself.
#![cfg(feature = "workbench")]

mod cluster;
mod connections;
#[path = "../command/full_stdout.rs"]
mod full_stdout;
mod judged;
#[path = "../command/open_files.rs"]
mod open_files;
#[path = "../command/output.rs"]
mod output;
mod refused;
mod served;

use std::process::{Command, Output};

use output::{assert_ends_with, stdout};
use serde_json::Value;

/// `eddy load` of a workload on these addresses.
fn eddy(workload: &str, addresses: &[String], more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args(["load", "-w", workload, "--seed", "1"])
        .args(["--connect", &addresses.join(",")])
        .args(more.split_whitespace());
    command
}

/// Runs `eddy load` for a second, with a short recovery, to its end. It stores nothing.
fn load(workload: &str, addresses: &[String], more: &str) -> Output {
    let short = format!("--no-store --rate 200 --time-limit 1 --recovery 0.2 {more}");
    let output = eddy(workload, addresses, &short).output();
    output.expect("eddy is built")
}

/// What a run with `--json` prints that ends with this exit code.
#[track_caller]
fn report(workload: &str, addresses: &[String], more: &str, code: i32) -> Value {
    let output = load(workload, addresses, &format!("--json {more}"));
    assert_ends_with(code, &output);
    serde_json::from_str(&stdout(&output)).expect("one JSON object")
}
