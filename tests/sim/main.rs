//! A small campaign of simulated clusters: correct nodes are valid through every fault and on every store, and wrong
//! ones are found. `make soak` runs a large one.
#![cfg(feature = "workbench")]

mod interrupted;
mod matrix;
mod replay;
mod stored;
mod wrong;

use std::process::{Command, Output};

const SIZE: &str = "--strict --node-count 3 --concurrency 10n --rate 50 --time-limit 10 --latency 2 \
                    --latency-dist exponential --nemesis-interval 0.5";

/// All faults of messages between nodes, for nodes without a store.
const BETWEEN_NODES: &str = "--nemesis partition,one-way,pause,loss,duplicate,reorder,ghost";

/// All faults of messages between nodes and to the store, and of nodes.
const EVERYWHERE: &str =
    "--nemesis partition,one-way,kill,pause,loss,duplicate,reorder,ghost --nemesis-services";

/// So many clients that some are free while others wait for a reply that never comes.
const MANY_CLIENTS: &str = "--concurrency 40n";

/// Short faults, so that enough happens between them for a broken level to show.
const UNHURRIED: &str =
    "--concurrency 20n --rate 100 --time-limit 20 --latency 10 --nemesis-interval 3";

/// So few clients that an order of all operations can be found, even if only the clients' own orders restrict it.
const FEWER_CLIENTS: &str = "--concurrency 10n";

fn eddy_sim(more: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["sim", "--no-store"])
        .args(SIZE.split_whitespace())
        .args(more.split_whitespace())
        .output()
        .expect("eddy is built")
}

/// Repeats a run by the command in a report.
fn repeat(again: &str) -> Output {
    let mut words = again.split_whitespace();
    let mut word = || words.next().expect("a program and its command");
    let (program, command) = (word(), word());
    Command::new(program)
        .args([command, "--no-store"])
        .args(words)
        .output()
        .expect("it names the program by its path")
}

/// Twenty seeds of the described run.
#[track_caller]
fn holds(more: &str) {
    let output = eddy_sim(&format!("--seeds 20 {more}"));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{more}: {printed}");
}

/// The same for grow-only counters: histories must satisfy their level under all faults.
#[track_caller]
fn counter_keeps(level: &str, store: &str) {
    let clients = if level == "sequential" {
        FEWER_CLIENTS
    } else {
        ""
    };
    let run =
        format!("-w g-counter {UNHURRIED} {clients} {EVERYWHERE} --consistency-models {level}");
    let node = format!("-- --consistency {level}");
    holds(&match store {
        "lin-kv" => format!("{run} {node} --kv lin-kv"),
        _ => format!("{run} --seq-kv {store} {node}"),
    });
}

#[test]
fn linearizable_counters_are_linearizable_on_every_store_whatever_happens() {
    for store in ["maelstrom", "strict", "lazy", "lin-kv"] {
        counter_keeps("linearizable", store);
    }
}

#[test]
fn regular_counters_are_regular_where_a_change_brings_up_to_date_whatever_happens() {
    for store in ["maelstrom", "strict", "lin-kv"] {
        counter_keeps("regular", store);
    }
}

#[test]
fn sequential_counters_are_sequentially_consistent_on_every_store_whatever_happens() {
    for store in ["strict", "lazy", "lin-kv"] {
        counter_keeps("sequential", store);
    }
}

/// Fifty seeds of nodes that contend for one register. No operation may get an error.
#[track_caller]
fn nobody_is_kept_out(flags: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(
            "sim --no-store --strict -w g-counter --seeds 50 --rate 100 --time-limit 20".split(' '),
        )
        .args(flags.split(' '))
        .args("-- --consistency linearizable".split(' '))
        .output()
        .expect("eddy is built");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("failed 0, indeterminate 0;"), "{printed}");
}

#[test]
fn nodes_that_fight_over_one_register_answer_every_operation_in_time() {
    nobody_is_kept_out("--node-count 5 --latency 100 --latency-dist exponential");
}

#[test]
fn nodes_that_cannot_reach_each_other_answer_every_operation_in_time() {
    nobody_is_kept_out(
        "--node-count 3 --latency 10 --concurrency 2n --nemesis partition --nemesis-interval 5",
    );
    for concurrency in ["1n", "4n"] {
        nobody_is_kept_out(&format!(
            "--node-count 5 --latency 100 --latency-dist exponential --concurrency {concurrency} \
             --nemesis partition --nemesis-interval 5"
        ));
    }
}

#[test]
fn counters_that_also_fall_count_once_whatever_happens() {
    let counters = format!("-w pn-counter {MANY_CLIENTS} {EVERYWHERE}");
    holds(&counters);
    holds(&format!("{counters} -- --consistency linearizable"));
}

#[test]
fn counters_without_a_store_agree_whatever_happens_between_nodes() {
    for workload in ["g-counter", "pn-counter"] {
        holds(&format!(
            "-w {workload} {BETWEEN_NODES} -- --consistency eventual"
        ));
    }
}

#[test]
fn echoes_and_ids_are_right_whatever_happens() {
    holds(&format!("-w echo {EVERYWHERE}"));
    holds(&format!("-w unique-ids {EVERYWHERE}"));
    holds("-w unique-ids --nemesis partition --availability total");
}

#[test]
fn what_is_broadcast_or_added_reaches_everyone_whatever_happens_between_nodes() {
    for topology in ["star", "tree", "offered"] {
        holds(&format!(
            "-w broadcast {BETWEEN_NODES} -- --topology {topology}"
        ));
    }
    holds(&format!("-w g-set {BETWEEN_NODES} -- --topology tree"));
}

#[test]
fn logs_lose_nothing_whatever_happens() {
    // So long that lists, of which few succeed, also succeed between the faults.
    let long = "--rate 200 --time-limit 20";
    holds(&format!("-w kafka {EVERYWHERE} {MANY_CLIENTS} {long}"));
}

#[test]
fn a_store_is_linearizable_unless_requests_to_it_are_doubled() {
    holds(
        "-w lin-kv --nemesis partition,kill,loss,reorder --nemesis-services --concurrency 40n --rate 200",
    );
}

#[test]
fn registers_are_read_committed_and_answer_through_every_partition() {
    let registers = "-w txn-rw-register --consistency-models read-committed";
    holds(&format!(
        "{registers} --nemesis partition,one-way --availability total"
    ));
    holds(&format!("{registers} {BETWEEN_NODES},kill"));
}

#[test]
fn lists_are_strict_serializable_whatever_happens() {
    holds(&format!("-w txn-list-append {EVERYWHERE}"));
}

#[test]
fn runs_that_can_not_be_decided_say_why_and_can_be_had_again() {
    let output = eddy_sim(&format!(
        "-w g-counter {EVERYWHERE} --seeds 200 --time-limit 1 --rate 2"
    ));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("invalid 0, unknown "), "{printed}");
    assert!(
        printed.contains("during a fault or within 5 s of its end"),
        "{printed}"
    );
    let (_, again) = printed.split_once("again    ").expect("a command");
    let again = again.lines().next().expect("it is a line");
    let again = repeat(again);
    assert_eq!(again.status.code(), Some(2), "the command decides nothing");
}

#[test]
fn the_stale_final_read_of_a_sequential_counter_is_caught_shrunk_reported_and_repeatable() {
    let output = eddy_sim(&format!(
        "-w g-counter {EVERYWHERE} --seeds 10 --seq-kv lazy --availability 0.01 -- --consistency sequential \
         --op-timeout=4s"
    ));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("The final read"), "{printed}");
    let (_, smallest) = printed
        .split_once("The smallest run found that still fails:")
        .expect("a small run");
    assert!(
        !smallest.contains("--nemesis"),
        "no fault is needed: {smallest}"
    );
    assert!(
        smallest.contains("\n    After that read began, seq-kv answered n"),
        "{smallest}"
    );
    let message_count = smallest
        .lines()
        .filter(|line| line.contains(" recv #"))
        .count();
    assert!(message_count < 40, "{smallest}");
    let (_, again) = smallest.split_once("again       ").expect("a command");
    let again = repeat(again);
    assert_eq!(again.status.code(), Some(1), "the command fails again");
    let told = String::from_utf8_lossy(&again.stdout);
    assert_eq!(told.trim(), smallest.trim(), "message by message");
}
