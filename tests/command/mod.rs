//! Runs `eddy test` on programs that a test writes.

pub mod output;

use std::path::Path;
use std::process::Command;

/// `eddy test` of a workload on a program. It stores nothing.
pub fn eddy(workload: &str, path: &Path, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args(["test", "-w", workload, "--seed", "1", "--no-store", "--bin"])
        .arg(path)
        .args(more.split_whitespace());
    command
}
