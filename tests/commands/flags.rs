//! Flags whose values are wrong, and what is said about them.

use std::process::Command;

use crate::command::output::{assert_ends_with, stderr};

#[test]
fn a_value_that_is_no_whole_number_is_refused_with_what_is_expected() {
    for line in ["sim --seed x", "show --operation 1.5", "runs --keep many"] {
        let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(line.split(' '))
            .output()
            .expect("eddy is built");
        assert_ends_with(3, &output);
        let printed = stderr(&output);
        assert!(
            printed.contains("expected a whole number from 0 up"),
            "{line}: {printed}"
        );
    }
}

#[test]
fn who_asks_a_simulated_node_for_help_learns_where_it_is() {
    for flag in ["--help", "-h"] {
        let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(["sim", "-w", "g-counter", "--no-store", "--", flag])
            .output()
            .expect("eddy is built");
        assert_ends_with(3, &output);
        let printed = stderr(&output);
        assert!(
            printed.contains("lists them: target/release/g-counter --help"),
            "{printed}"
        );
    }
}

#[test]
fn the_usage_in_an_error_names_what_is_needed_and_not_what_was_given() {
    for (line, needed) in [
        ("test -w echo", "test [OPTIONS] --bin <FILE> [NODE ARGS]..."),
        ("load -w echo", "load [OPTIONS] --connect <HOST:PORT,...>"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(line.split(' '))
            .output()
            .expect("eddy is built");
        assert_ends_with(3, &output);
        let printed = stderr(&output);
        let usage = format!("\nUsage: eddy {needed}\n");
        assert!(printed.contains(&usage), "{printed}");
    }
}
