//! A small campaign of simulated clusters: what should hold does, through every fault and on every store, and what is
//! wrong is caught. `make soak` runs a large one.
#![cfg(feature = "workbench")]

use std::process::{Command, Output};

use eddy::workbench::check::consistency::Level;
use eddy::workbench::latency::{Distribution, Latency};
use eddy::workbench::service::SequentialStore::{Lazy, Maelstrom, Strict};
use eddy::workbench::sim::matrix::{Row, Store, row};
use eddy::workbench::world::Settings;
use eddy::workload::g_counter::Consistency;
use std::time::Duration;

/// `eddy sim` of a counter under all faults that also hit the store's messages.
fn simulate(more: &str) -> Output {
    let faults =
        "--nemesis partition,kill,loss,duplicate,ghost --nemesis-interval 0.5 --nemesis-services";
    let size = "--node-count 3 --concurrency 10n --rate 50 --time-limit 10 --latency 2 --latency-dist exponential";
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["sim", "-w", "g-counter"])
        .args(size.split(' ').chain(faults.split(' ')))
        .args(more.split(' '))
        .output()
        .expect("eddy is built")
}

fn holds(more: &str) {
    let output = simulate(more);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{more}: {said}");
}

#[test]
fn linearizable_counters_count_once_on_every_store_whatever_happens() {
    for store in ["maelstrom", "strict", "lazy"] {
        holds(&format!(
            "--seeds 20 --seq-kv {store} -- --consistency linearizable"
        ));
    }
    holds("--seeds 20 -- --consistency linearizable --kv lin-kv");
}

#[test]
fn regular_counters_count_once_where_a_change_brings_up_to_date_whatever_happens() {
    for store in ["maelstrom", "strict"] {
        holds(&format!(
            "--seeds 20 --seq-kv {store} -- --consistency regular"
        ));
    }
}

#[test]
fn nodes_that_fight_over_one_register_answer_every_operation_in_time() {
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("sim -w g-counter --node-count 5 --rate 100 --time-limit 20 --seeds 20".split(' '))
        .args("--latency 100 --latency-dist exponential -- --consistency linearizable".split(' '))
        .output()
        .expect("eddy is built");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("failed 0, indeterminate 0;"), "{said}");
}

#[test]
fn the_stale_final_read_of_a_sequential_counter_is_caught_shrunk_and_told() {
    let output = simulate("--seeds 10 --seq-kv lazy -- --consistency sequential");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("The final read of client"), "{said}");
    let (_, smallest) = said
        .split_once("The smallest run found that still fails:")
        .expect("a small run");
    assert!(
        !smallest.contains("--nemesis"),
        "no fault is needed: {smallest}"
    );
    let message_count = smallest.lines().filter(|line| line.contains(" → ")).count();
    assert!(message_count < 40, "{smallest}");
    let (_, again) = smallest.split_once("again       eddy ").expect("a command");
    let again = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(again.split_whitespace())
        .output()
        .expect("eddy is built");
    assert_eq!(again.status.code(), Some(1), "the command fails again");
}

/// A level on a store, without faults, over so few operations that its consistency can be decided.
fn level(level: Consistency, store: Store) -> Row {
    let settings = Settings {
        nodes: (0..3).map(|node| format!("n{node}")).collect(),
        client_count: 6,
        rate_per_s: 50.0,
        time_limit: Duration::from_secs(1),
        recovery: Duration::from_secs(10),
        latency: Latency {
            mean: Duration::from_millis(10),
            distribution: Distribution::Exponential,
        },
        sequential_store: Maelstrom,
        faults: Vec::new(),
        services_suffer: false,
        fault_interval: Duration::from_secs(1),
        seed: 0,
    };
    row(level, store, &settings, 0..60, || {})
}

fn keeps(row: &Row, guarantee: Level) {
    assert_eq!(row.cell(guarantee).broken, 0, "{guarantee:?}: {row:?}");
    assert!(row.cell(guarantee).held > 0, "{guarantee:?}: {row:?}");
}

fn breaks(row: &Row, guarantee: Level) {
    assert!(row.cell(guarantee).broken > 0, "{guarantee:?}: {row:?}");
}

#[test]
fn linearizable_is_linearizable_on_every_sequentially_consistent_store() {
    for store in [Maelstrom, Strict, Lazy].map(Store::Sequential) {
        keeps(
            &level(Consistency::Linearizable, store),
            Level::Linearizable,
        );
    }
    keeps(
        &level(Consistency::Linearizable, Store::Linearizable),
        Level::Linearizable,
    );
}

#[test]
fn regular_holds_where_a_change_brings_up_to_date_and_breaks_on_the_laziest_store() {
    for store in [
        Store::Sequential(Maelstrom),
        Store::Sequential(Strict),
        Store::Linearizable,
    ] {
        let row = level(Consistency::Regular, store);
        keeps(&row, Level::Regular);
        keeps(&row, Level::EventuallyRight);
    }
    let row = level(Consistency::Regular, Store::Sequential(Lazy));
    breaks(&row, Level::Regular);
    breaks(&row, Level::EventuallyRight);
}

#[test]
fn sequential_is_just_that_and_its_final_reads_are_right_on_lin_kv_only() {
    for store in [Strict, Lazy].map(Store::Sequential) {
        let row = level(Consistency::Sequential, store);
        keeps(&row, Level::Sequential);
        breaks(&row, Level::EventuallyRight);
    }
    let row = level(Consistency::Sequential, Store::Sequential(Maelstrom));
    breaks(&row, Level::EventuallyRight);
    keeps(
        &level(Consistency::Sequential, Store::Linearizable),
        Level::EventuallyRight,
    );
}
