//! What `eddy runs` tells of a store, on nodes that are a few lines of Python each.
#![cfg(feature = "workbench")]

mod program;
mod python_node;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use program::program;
use python_node::echo_node;

/// A store with a valid run, and an invalid one after it.
fn store(name: &str) -> PathBuf {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&store);
    for (run, wrong) in [("right", "pass"), ("wrong", "body['echo'] = 'no'")] {
        let wrong = format!("print('asked', count, file=sys.stderr, flush=True); {wrong}");
        let node = program(&format!("{name}-{run}.py"), &echo_node(&wrong));
        Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args("test -w echo --seed 77 --node-count 2 --rate 20 --time-limit 1 --bin".split(' '))
            .arg(node)
            .arg("--store")
            .arg(&store)
            .output()
            .expect("eddy is built");
    }
    store
}

fn eddy(command: &str, store: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(command.split(' '))
        .arg("--store")
        .arg(store)
        .output()
        .expect("eddy is built")
}

/// What is printed, of a command that ends well.
fn said(command: &str, store: &Path) -> String {
    let output = eddy(command, store);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is wrong, of a command that can't be carried out.
fn complaint(command: &str, store: &Path) -> String {
    let output = eddy(command, store);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn runs_are_listed_with_time_workload_verdict_seed_and_first_finding() {
    let store = store("list");
    let list = said("runs", &store);
    let rows: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 2, "{list}");
    for (row, verdict) in rows.iter().zip(["valid", "invalid"]) {
        assert_eq!(row[1..4], [verdict, "seed", "77"], "{list}");
        assert!(store.join(row[0]).join("report.html").is_file(), "{list}");
        assert!(row[0].starts_with("echo/"), "{list}");
    }
    assert_eq!(rows[1][4], "Client", "the first finding: {list}");
}

#[test]
fn a_run_of_another_version_and_one_that_was_cut_off_hide_no_other() {
    let store = store("versions");
    for (name, results) in [
        ("20200101T000000.000Z", Some(r#"{"valid":true}"#)),
        ("20200102T000000.000Z", Some("nonsense")),
        ("20200103T000000.000Z", None),
    ] {
        let folder = store.join("echo").join(name);
        fs::create_dir(&folder).expect("a folder");
        if let Some(results) = results {
            fs::write(folder.join("results.json"), results).expect("a file");
        }
    }
    let list = said("runs", &store);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 5, "{list}");
    let expected = [
        "is not of this version of eddy: missing field",
        "is not of this version of eddy: expected",
        "no results.json",
        "  valid ",
        "  invalid ",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn the_newest_runs_are_kept() {
    let store = store("keep");
    let before = said("runs", &store);
    let after = said("runs --keep 1", &store);
    assert_eq!(after.lines().next(), before.lines().last());
    assert_eq!(after.lines().count(), 1);
    assert!(store.join("latest/report.html").exists());
    assert_eq!(said("runs --keep 0", &store), "");
}

#[test]
fn a_store_that_is_not_there_is_told_in_one_line() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-store");
    let said = complaint("runs", &missing);
    assert!(
        said.contains("there is no folder") && said.contains("--store"),
        "{said}"
    );
    assert!(!missing.exists());
    let said = complaint("runs", Path::new("/dev/null"));
    assert!(said.contains("can't read /dev/null"), "{said}");
}
