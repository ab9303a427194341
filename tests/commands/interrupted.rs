//! What becomes of a run of `eddy test` that is interrupted, killed or stopped.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::command::output::{assert_ends_with, stdout};
use crate::program::program;
use crate::python_node::echo_node;
use crate::running::started;
use crate::test::eddy;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

#[test]
fn nodes_and_their_children_end_though_eddy_was_killed() {
    let nap = format!("sleep {}", 2_000_000 + std::process::id());
    // It reads nothing, and so does not see that its input has ended.
    let script = format!("#!/bin/sh\n{nap} &\necho started >&2\nexec {nap}\n");
    let path = program("orphan.sh", &script);
    let (mut eddy, _, lines) = started(&mut eddy(&path, "--node-count 2 --log-stderr"));
    assert_eq!(lines.take(1).count(), 1, "both nodes have started");
    eddy.kill().expect("it goes on until it is killed");
    eddy.wait().expect("it has been killed");
    let is_left = || {
        let processes = Command::new("ps").args(["-eo", "args"]).output();
        stdout(&processes.expect("ps")).contains(&nap)
    };
    let mut tries = 0;
    while is_left() {
        tries += 1;
        assert!(tries < 1000, "they are still there");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_ends_the_nodes_and_reports_what_is_known_without_a_verdict() {
    let printed = ended_by(Signal::INT, "");
    assert!(printed.starts_with("unknown"), "{printed}");
    assert!(
        printed.contains("The run was interrupted after"),
        "{printed}"
    );
    let report: Value =
        serde_json::from_str(&ended_by(Signal::INT, "--json")).expect("one JSON object");
    assert_eq!(report["valid"], "unknown");
    let what = report["findings"][0]["what"].as_str().expect("a text");
    assert!(what.starts_with("The run was interrupted after"), "{what}");
}

#[test]
fn so_does_the_end_of_the_terminal() {
    ended_by(Signal::HUP, "");
}

/// What a run prints that is ended by that signal.
fn ended_by(signal: Signal, more: &str) -> String {
    let wrong = "print('my process is', os.getpid(), file=sys.stderr, flush=True)";
    let path = program(
        &format!("interrupted-{signal:?}{more}.py"),
        &echo_node(wrong),
    );
    let more = format!("--rate 100 --log-stderr --node-count 1 {more}");
    let (eddy, line, lines) = started(&mut eddy(&path, &more));
    let node = line.split(' ').next_back().expect("a number");
    let node = node.parse().ok().and_then(Pid::from_raw);
    kill_process(Pid::from_child(&eddy), signal).expect("it is our child");
    let last = lines.map_while(Result::ok).last().expect("a line");
    assert!(last.contains("interrupted"), "{last}");
    let output = eddy.wait_with_output().expect("it ends");
    assert_ends_with(2, &output);
    let node = test_kill_process(node.expect("the number of a process"));
    assert_eq!(node, Err(Errno::SRCH), "the node is still there");
    stdout(&output)
}

#[test]
fn a_second_signal_ends_a_run_whose_stderr_nobody_reads() {
    let path = program("stderr-full.py", &echo_node("pass"));
    let more = "--node-count 1 --rate 10000 --time-limit 600 --log-net-recv";
    let (mut run, _, _unread) = started(&mut eddy(&path, more));
    // The pipe is full long before.
    thread::sleep(Duration::from_secs(1));
    let has_ended = (0..100).any(|_| {
        kill_process(Pid::from_child(&run), Signal::INT).expect("it is our child");
        thread::sleep(Duration::from_millis(100));
        run.try_wait().expect("it is our child").is_some()
    });
    run.kill().expect("it is our child");
    assert!(has_ended);
}

#[test]
fn a_run_in_which_eddy_itself_stood_still_says_so_and_takes_that_time_longer() {
    let path = program(
        "standstill.py",
        &echo_node("print('ready', file=sys.stderr)"),
    );
    let more = "--node-count 1 --rate 100 --time-limit 2 --log-stderr";
    let (run, _, _lines) = started(&mut eddy(&path, more));
    kill_process(Pid::from_child(&run), Signal::STOP).expect("it is our child");
    thread::sleep(Duration::from_millis(1500));
    kill_process(Pid::from_child(&run), Signal::CONT).expect("it is our child");
    let output = run.wait_with_output().expect("it ends");
    assert_ends_with(0, &output);
    let printed = stdout(&output);
    assert!(printed.contains("clients 1, faults 1\n"), "{printed}");
    let standstill = "\nstandstill  eddy itself stood still for 1.";
    assert!(printed.contains(standstill), "{printed}");
    let (_, operations) = printed.split_once("\noperations  ").expect("their number");
    let (count, _) = operations.split_once(':').expect("a number");
    assert!(
        count.parse::<u32>().is_ok_and(|count| count > 150),
        "{printed}"
    );
}
