//! `eddy challenge` and the limits of runs, end to end.

use std::path::Path;
use std::process::{Command, Output};

use crate::command::output::{assert_ends_with, stderr, stdout};
use crate::program::program;
use crate::python_node::echo_node;
use crate::running::started;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const BROADCAST: &str = env!("CARGO_BIN_EXE_broadcast");
const ECHO: &str = env!("CARGO_BIN_EXE_echo");

/// Runs `eddy challenge` with these words, without storing anything.
fn challenge(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .arg("challenge")
        .args(words.split_whitespace())
        .args(["--seed", "1", "--no-store"])
        .output()
        .expect("eddy is built")
}

/// A limit so high that no run exceeds it.
const SHORT: &str = "--time-limit 1 --recovery 1";

#[test]
fn a_passed_challenge_reports_how_far_it_is_below_its_limits() {
    let output = challenge(&format!(
        "3d --bin {BROADCAST} --node-count 3 --latency 20 {SHORT}"
    ));
    assert_ends_with(0, &output);
    let printed = stdout(&output);
    let last = printed.lines().last().unwrap_or_default();
    assert!(last.starts_with("3d passed: "), "{printed}");
    for limit in [
        "messages an operation (30 allowed)",
        "ms (400 allowed)",
        "ms (600 allowed)",
    ] {
        assert!(last.contains(limit), "{printed}");
    }
    let again = printed.lines().find_map(|line| line.strip_prefix("again"));
    let again = again.expect("the command that repeats the run").trim();
    let eddy = env!("CARGO_BIN_EXE_eddy");
    assert!(again.starts_with(&format!("{eddy} test ")), "{again}");
    assert_eq!(again.matches("--time-limit ").count(), 1, "{again}");
    assert!(again.contains(" --time-limit 1 "), "{again}");
}

#[test]
fn an_exceeded_limit_makes_a_run_invalid_and_is_reported_with_the_excess() {
    let flags = "--node-count 3 --rate 200 --latency 100 --max-stable-latency max=1";
    let output = crate::command::eddy(
        "broadcast",
        Path::new(BROADCAST),
        &format!("{flags} {SHORT}"),
    )
    .output()
    .expect("eddy is built");
    assert_ends_with(1, &output);
    let printed = stdout(&output);
    assert!(printed.contains("The max stable latency was "), "{printed}");
    assert!(
        printed.contains("the limit is 1 ms, so it is "),
        "{printed}"
    );
}

#[test]
fn several_challenges_end_with_the_worst_verdict_and_print_each_result_as_json() {
    let programs = format!("--bin echo={ECHO} --bin broadcast={BROADCAST}");
    let flags = "--max-messages-per-op 0 --json";
    let output = challenge(&format!("3b 1 {programs} {flags} --node-count 2 {SHORT}"));
    assert_ends_with(1, &output);
    let results: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a result"))
        .collect();
    let told = |result: &Value| {
        (
            result["challenge"].clone(),
            result["report"]["valid"].clone(),
        )
    };
    assert_eq!(
        results.iter().map(told).collect::<Vec<_>>(),
        [("3b".into(), false.into()), ("1".into(), true.into())]
    );
    assert_eq!(results[0]["report"]["limits"][0]["limit"], 0.0);
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn warnings_of_several_challenges_are_shown_and_counted_in_the_last_line_of_each() {
    let answer = "say(message['src'], {'type': 'echo_ok', 'echo': body['echo'], 'in_reply_to': body['msg_id']})";
    let twice = program("twice.py", &echo_node(answer));
    let output = challenge(&format!("1 1 --bin {} {SHORT}", twice.display()));
    assert_ends_with(0, &output);
    let printed = stdout(&output);
    assert_eq!(
        printed.matches("had its answer already").count(),
        2,
        "{printed}"
    );
    let last = printed.lines().last().unwrap_or_default();
    assert!(last.starts_with("1 passed with 1 warning: "), "{printed}");
}

#[test]
fn warnings_that_are_not_shown_are_counted() {
    let node = r#"
import json, sys
registers = {}
def run(f, k, v):
    if f == "w": registers[k] = v
    return [f, k, registers.get(k, 0)]
for line in sys.stdin:
    message = json.loads(line)
    body, me = message["body"], message["dest"]
    reply = {"type": body["type"] + "_ok", "in_reply_to": body["msg_id"]}
    if body["type"] == "txn":
        reply["txn"] = [run(*step) for step in body["txn"]]
    print(json.dumps({"src": me, "dest": message["src"], "body": reply}), flush=True)
"#;
    let zeros = program("zeros.py", &format!("#!/usr/bin/env python3{node}"));
    let printed = stdout(&challenge(&format!("6a --bin {} {SHORT}", zeros.display())));
    let (_, more) = printed.split_once("... and ").expect("not all are shown");
    let (more, _) = more.split_once(' ').expect("a number");
    let shown = printed.matches("\n  - ").count() - 1;
    let count = shown + more.parse::<usize>().expect("a number");
    let last = printed.lines().last().unwrap_or_default();
    let expected = format!("6a passed with {count} warnings: ");
    assert!(last.starts_with(&expected), "{printed}");
}

#[test]
fn help_is_that_of_the_command_wherever_the_flag_stands() {
    for words in ["--help", "3d --help", "3d --bin ./node -h --rate 7"] {
        let output = challenge(words);
        assert_ends_with(0, &output);
        let printed = stdout(&output);
        assert!(
            printed.contains("Usage: eddy challenge"),
            "{words}: {printed}"
        );
    }
    let of_node = challenge("3d --bin ./no-node -- --help");
    assert_ends_with(3, &of_node);
}

#[test]
fn what_is_no_challenge_is_refused_with_a_list_of_them_and_what_is_no_flag_is_refused() {
    for words in ["3d --bin ./node --bogus", "3d --bin ./node --rate abc"] {
        assert_ends_with(3, &challenge(words));
    }
    let output = challenge("7 --bin ./node");
    assert_ends_with(3, &output);
    assert!(stderr(&output).contains("there is no challenge 7. There are 1 2 3a"));
}

#[test]
fn an_interrupt_hides_no_challenge_that_failed_before() {
    let wrong = program("fails-first.py", &echo_node("body['echo'] = 'no'"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args(["challenge", "1", "2", "--no-store", "--log-net-send"])
        .args(["--time-limit", "2", "--recovery", "1"])
        .args(["--bin", &format!("echo={}", wrong.display())])
        .args([
            "--bin",
            &format!("unique-ids={}", env!("CARGO_BIN_EXE_unique-ids")),
        ]);
    let (eddy, _, mut lines) = started(&mut command);
    let is_second = |line: &String| line.contains("\"generate\"");
    let mut second = lines.by_ref().map(|line| line.expect("UTF-8"));
    assert!(second.any(|line| is_second(&line)), "the second began");
    kill_process(Pid::from_child(&eddy), Signal::INT).expect("it is our child");
    lines.for_each(drop);
    let output = eddy.wait_with_output().expect("it ends");
    assert_ends_with(1, &output);
    let printed = stdout(&output);
    assert!(printed.contains("\n2 undecided: "), "{printed}");
}
