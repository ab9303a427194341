//! `eddy test` on a cluster of etcd.

use std::path::Path;
use std::process::{Command, Output};

use super::command::eddy;
use super::command::output::{assert_ends_with, stderr, stdout};
use super::fake::member_from_the_start;
use super::real::etcd;

const SHORT: &str = "--node-count 2 --rate 100 --time-limit 1 --recovery 0.3";

/// Runs the counter for a second.
fn test(more: &str) -> Output {
    let node = Path::new(env!("CARGO_BIN_EXE_g-counter"));
    let output = eddy("g-counter", node, &format!("{SHORT} {more}")).output();
    output.expect("eddy is built")
}

#[test]
fn the_counter_keeps_its_level_on_etcd() {
    let Some(etcd) = etcd("counter") else { return };
    let url = &etcd.url;
    for flags in [
        format!(
            "--seq-kv etcd={url} --nemesis loss,duplicate --nemesis-services --latency 5 --consistency-models regular"
        ),
        format!(
            "--seq-kv etcd={url} --consistency-models linearizable -- --consistency linearizable"
        ),
        format!("--lin-kv etcd={url} -- --consistency linearizable --kv lin-kv"),
    ] {
        assert_ends_with(0, &test(&flags));
    }
}

#[test]
fn members_that_do_not_serve_are_named_before_the_run() {
    let closes = member_from_the_start(|_, _| Vec::new());
    for url in ["http://127.0.0.1:1", &closes] {
        let output = test(&format!("--seq-kv etcd={url}"));
        assert_ends_with(3, &output);
        let printed = stderr(&output);
        assert!(
            printed.contains(url) && printed.contains("All members have to serve"),
            "{printed}"
        );
    }
}

#[test]
fn what_is_no_cluster_is_refused() {
    for (flag, value) in [
        ("--seq-kv", "etcd="),
        ("--seq-kv", "etcd=http://127.0.0.1:1,"),
        ("--seq-kv", "etcd=https://127.0.0.1:2379"),
        ("--seq-kv", "etcd=127.0.0.1:2379"),
        ("--seq-kv", "etcd=http://127.0.0.1:2379/v3"),
        ("--lin-kv", "etcd=http://"),
        ("--lin-kv", "maelstrom"),
    ] {
        let output = test(&format!("{flag} {value}"));
        assert_ends_with(3, &output);
        assert!(
            stderr(&output).contains("etcd"),
            "{value}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn members_that_are_not_eddys_are_not_killed() {
    let output = test("--nemesis member-kill");
    assert_ends_with(3, &output);
    assert!(stderr(&output).contains("need --etcd-local"));
}

#[test]
fn a_simulation_has_no_cluster() {
    for flags in [
        "--seq-kv etcd=http://127.0.0.1:2379",
        "--nemesis member-pause",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(["sim", "--no-store"])
            .args(flags.split(' '))
            .output()
            .expect("eddy is built");
        assert_ends_with(3, &output);
        assert!(
            stderr(&output).contains("Use eddy test"),
            "{}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "");
    }
}
