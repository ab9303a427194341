//! Flags that concern several workloads.

use serde_json::Value;

use crate::command::eddy;
use crate::command::output::{assert_ends_with, stderr, stdout};
use crate::node;
use crate::program::program;
use crate::sets::G_SET;

#[test]
fn several_runs_have_seeds_of_their_own_and_the_first_wrong_one_is_the_last() {
    let (code, printed) = G_SET.run("many", "pass", "--time-limit 0.2 --test-count 3 --json");
    assert_eq!(code, 0, "{printed}");
    let reports = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let seeds: Vec<Value> = reports
        .map(|report: Value| report["seed"].clone())
        .collect();
    assert_eq!(seeds, [1, 2, 3]);
    let wrong = "if kind == 'read': reply(type='read_ok', value=[]); continue";
    let (code, printed) = G_SET.run("many-wrong", wrong, "--time-limit 0.2 --test-count 3");
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("run 1 of 3") && !printed.contains("run 2 of 3"),
        "{printed}"
    );
    assert!(
        printed.contains("--seed 1") && !printed.contains("--test-count"),
        "{printed}"
    );
}

#[test]
fn a_model_that_does_not_exist_or_fit_is_refused() {
    let path = program("never-run.py", "#!/usr/bin/env python3\n");
    for (workload, flags, words) in [
        (
            "txn-rw-register",
            "--consistency-models strict",
            "read-committed",
        ),
        ("g-counter", "--consistency-models dragons", "linearizable"),
        (
            "echo",
            "--consistency-models dragons",
            "the model \"dragons\" is unknown",
        ),
        ("echo", "--username admin", "there is no login"),
    ] {
        let output = eddy(workload, &path, flags).output();
        let output = output.expect("eddy is built");
        assert_ends_with(3, &output);
        let printed = stderr(&output);
        assert!(printed.contains(words), "{printed}");
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let path = env!("CARGO_BIN_EXE_eddy");
        let output = std::process::Command::new(path)
            .args(["completions", shell])
            .output()
            .expect("eddy is built");
        assert_ends_with(0, &output);
        assert!(stdout(&output).contains("max-writes-per-key"), "{shell}");
    }
}

#[test]
fn where_nothing_was_asked_nothing_is_known() {
    let path = program("asked-nothing.py", &node("", "", "pass"));
    for workload in ["echo", "kafka", "lin-kv", "txn-list-append"] {
        for nothing in ["--rate 0", "--time-limit 0"] {
            let flags = format!("--node-count 1 --recovery 0 --time-limit 0.2 {nothing}");
            let output = eddy(workload, &path, &flags).output();
            let output = output.expect("eddy is built");
            assert_ends_with(2, &output);
            assert!(stdout(&output).contains("Nothing was asked before the final reads"));
        }
    }
}

#[test]
fn a_model_that_says_nothing_of_a_counter_is_named_and_the_run_goes_on() {
    let path = std::path::Path::new(env!("CARGO_BIN_EXE_pn-counter"));
    let flags =
        "--consistency-models regular,serializable --rate 100 --time-limit 0.5 --recovery 0.5";
    let output = eddy("pn-counter", path, flags).output();
    let output = output.expect("eddy is built");
    assert_ends_with(0, &output);
    let printed = stderr(&output);
    assert!(
        printed.contains("\"serializable\" says nothing"),
        "{printed}"
    );
    assert!(!printed.contains("\"regular\" says nothing"), "{printed}");
}
