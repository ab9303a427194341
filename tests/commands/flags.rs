//! Flags whose values are wrong, and what is said about them.

use std::process::Command;

use crate::command::output::{assert_ends_with, stderr};

/// What `eddy` prints on stderr about these wrong flags.
fn said_of<'a>(flags: impl IntoIterator<Item = &'a str>) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(flags)
        .output()
        .expect("eddy is built");
    assert_ends_with(3, &output);
    stderr(&output)
}

#[test]
fn a_value_that_is_no_whole_number_is_refused_with_what_is_expected() {
    for (line, expected) in [
        ("sim --seed x", "0 up"),
        ("show --operation 1.5", "0 up"),
        ("runs --keep many", "0 up"),
        ("sim --latency 1e9", "0 to 1000000000"),
    ] {
        let printed = said_of(line.split(' '));
        let expected = format!("expected a whole number from {expected}");
        assert!(printed.contains(&expected), "{line}: {printed}");
    }
}

#[test]
fn who_asks_a_simulated_node_for_help_learns_where_it_is() {
    for flag in ["--help", "-h"] {
        let printed = said_of(["sim", "-w", "g-counter", "--no-store", "--", flag]);
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
        let printed = said_of(line.split(' '));
        let usage = format!("\nUsage: eddy {needed}\n");
        assert!(printed.contains(&usage), "{printed}");
    }
}
