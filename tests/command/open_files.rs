//! Commands that may open few files.

use std::process::Command;

use crate::output::{assert_ends_with, stderr};

/// Asserts that `eddy` with these flags is refused where it may open only `limit` files at a time, and says how many it
/// needs.
#[track_caller]
pub fn assert_too_few(limit: u32, needed: u32, flags: &str) {
    let line = format!(
        "ulimit -n {limit}; exec {} {flags}",
        env!("CARGO_BIN_EXE_eddy")
    );
    let output = Command::new("/bin/sh").args(["-c", &line]).output();
    let output = output.expect("there is a shell");
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    let expected = format!(
        "may open {limit} files at a time, and needs at least {needed}. Raise the limit: ulimit -n {needed}"
    );
    assert!(printed.contains(&expected), "{printed}");
    assert_eq!(printed.lines().count(), 1, "{printed}");
}
