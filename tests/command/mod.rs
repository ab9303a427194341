//! Runs `eddy test` on programs that a test writes.

use std::path::Path;
use std::process::{Command, Output};

/// `eddy test` of a workload on a program. It stores nothing.
pub fn eddy(workload: &str, path: &Path, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args(["test", "-w", workload, "--seed", "1", "--no-store", "--bin"])
        .arg(path)
        .args(more.split_whitespace());
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub fn assert_ends_with(code: i32, output: &Output) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        stdout(output),
        stderr(output)
    );
}
