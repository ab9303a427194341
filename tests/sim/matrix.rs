//! The guarantees that each level of the counter keeps on each store are those in the documentation of the levels.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use eddy::node::Node;
use eddy::workbench::check::Validity;
use eddy::workbench::check::consistency::{Level, check};
use eddy::workbench::latency::Latency;
use eddy::workbench::nemesis::Fault;
use eddy::workbench::service::SequentialStore::{Lazy, Maelstrom, Strict};
use eddy::workbench::sim::matrix::{Cell, Matrix, Row, Store, row};
use eddy::workbench::sim::{run, start};
use eddy::workbench::workload::GCounter;
use eddy::workbench::world::{Settings, node_names};
use eddy::workload::g_counter::{Consistency, Options};

/// No faults, and so few operations that their consistency can be decided.
fn settings() -> Settings {
    Settings {
        client_count: 6,
        rate_per_s: 50.0,
        time_limit: Duration::from_secs(1),
        latency: Latency::exponential(Duration::from_millis(10)),
        ..Settings::new(node_names(3))
    }
}

fn level(level: Consistency, store: Store) -> Row {
    row(level, store, &settings(), 0..60, || true)
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

/// Whether a history of counters of this level is found not to be linearizable, within this many seeds of runs with
/// every fault.
fn is_found_out(consistency: Consistency, seeds: u64) -> bool {
    let start = start(move |seed| {
        let options = Options {
            consistency,
            ..Options::default()
        };
        Node::new(eddy::workload::GCounter::new(options, seed))
    });
    (1..=seeds).any(|seed| {
        let settings = Settings {
            client_count: 60,
            rate_per_s: 100.0,
            time_limit: Duration::from_secs(20),
            faults: Fault::value_variants().to_vec(),
            services_suffer: true,
            fault_interval: Duration::from_secs(3),
            seed,
            ..settings()
        };
        let (record, ()) =
            run(GCounter::default(), settings, &start, ()).expect("our nodes answer init");
        check(&record.history, Level::Linearizable).validity == Validity::Invalid
    })
}

#[test]
fn faults_do_not_hide_what_a_level_breaks() {
    assert!(is_found_out(Consistency::Regular, 20));
    assert!(!is_found_out(Consistency::Linearizable, 20));
}

#[test]
fn a_row_counts_what_each_run_has_kept() {
    use Validity::{Invalid, Unknown, Valid};
    let mut row = Row::new(Consistency::Regular, String::from("etcd, 2 runs"));
    row.count([Valid, Valid, Unknown, Invalid]);
    row.count([Valid, Invalid, Invalid, Invalid]);
    let counts = row.cells.map(|cell| [cell.held, cell.broken, cell.unknown]);
    assert_eq!(counts, [[2, 0, 0], [1, 1, 0], [0, 1, 1], [0, 2, 0]]);
    assert!(Matrix(vec![row]).to_string().contains("etcd, 2 runs"));
}

#[test]
fn columns_stay_apart_however_many_runs_there_are() {
    let cell = |broken| Cell {
        held: 1,
        broken,
        unknown: 0,
    };
    let row = |broken| Row {
        level: Consistency::Sequential,
        store: Store::Linearizable.to_string(),
        cells: [cell(broken), cell(0), cell(broken), cell(0)],
    };
    let table = Matrix(vec![row(0), row(1_000_000_000)]).to_string();
    let starts = |line: &str| -> Vec<usize> {
        let cells = line.split("  ").filter(|cell| !cell.trim().is_empty());
        cells
            .map(|cell| cell.trim_start().as_ptr() as usize - line.as_ptr() as usize)
            .collect()
    };
    let columns = starts(table.lines().next().expect("there is a head"));
    assert_eq!(columns.len(), 6, "{table}");
    for line in table.lines() {
        assert_eq!(starts(line), columns, "{table}");
    }
}

#[test]
fn the_table_is_printed_and_written_as_a_page_without_scripts() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix.html");
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["matrix", "--seeds", "3", "--page"])
        .arg(&path)
        .output()
        .expect("eddy is built");
    assert_eq!(output.status.code(), Some(0));
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(table.lines().count(), 1 + 3 * 4, "{table}");
    let page = fs::read_to_string(path).expect("it was written");
    assert_eq!(page.matches("<tr>").count(), 1 + 3 * 4);
    assert_eq!(page.matches("<td class=").count(), 3 * 4 * 4);
    assert!(page.contains("3 simulated runs a row"));
    assert!(!page.contains("<script") && !page.contains("{{"), "{page}");
}
