//! Right and wrong flags, and the messages about them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::process::{ECHO, G_COUNTER, Process, UNIQUE_IDS};

const PROGRAMS: [(&str, &str); 10] = [
    (G_COUNTER, "g-counter"),
    (ECHO, "echo"),
    (UNIQUE_IDS, "unique-ids"),
    (env!("CARGO_BIN_EXE_pn-counter"), "pn-counter"),
    (env!("CARGO_BIN_EXE_broadcast"), "broadcast"),
    (G_SET, "g-set"),
    (env!("CARGO_BIN_EXE_kafka"), "kafka"),
    (env!("CARGO_BIN_EXE_lin-kv"), "lin-kv"),
    (env!("CARGO_BIN_EXE_txn-rw-register"), "txn-rw-register"),
    (env!("CARGO_BIN_EXE_txn-list-append"), "txn-list-append"),
];

const G_SET: &str = env!("CARGO_BIN_EXE_g-set");

#[test]
fn help_and_version_are_printed_and_nothing_is_read() {
    for (program, name) in PROGRAMS {
        for flag in ["--help", "-h"] {
            let ended = Process::start(program, &[flag]).wait();
            assert_eq!((ended.exit_code, ended.errors.as_str()), (Some(0), ""));
            assert!(
                ended
                    .lines
                    .iter()
                    .any(|line| line.contains(&format!("Usage: {name} ")))
            );
        }
        for flag in ["--version", "-V"] {
            let ended = Process::start(program, &[flag]).wait();
            assert_eq!(ended.exit_code, Some(0));
            assert_eq!(
                ended.lines,
                [format!("{name} {}", env!("CARGO_PKG_VERSION"))]
            );
        }
    }
}

/// Wrong flags end the program at once with exit code 2, one line with the reason, and one on how to list the flags.
fn assert_refused(program: &str, name: &str, arguments: &[&OsStr], about: &str) {
    let mut command = Command::new(program);
    let ended = Process::spawn(command.args(arguments)).wait();
    assert_eq!(ended.exit_code, Some(2), "{arguments:?}: {}", ended.errors);
    assert!(ended.lines.is_empty());
    let mut errors = ended.errors.lines();
    let first = errors.next().expect("it says what is wrong");
    assert!(first.starts_with(&format!("{name}: ")), "{first}");
    assert!(first.contains(about), "{arguments:?}: {first}");
    let usage = format!("Usage: {name} [flags]; {name} --help lists them.");
    assert_eq!(Vec::from_iter(errors), [usage]);
}

#[test]
fn wrong_flags_are_refused_in_one_line_with_a_line_of_usage() {
    for (program, name) in PROGRAMS {
        for (arguments, about) in [
            (&["--nonsense"][..], "--nonsense"),
            (&["nonsense"], "nonsense"),
            (&["--"], "--"),
            (&[""], "there is no"),
            (&["--max-line"], "--max-line"),
            (&["--max-line="], "--max-line"),
            (&["--max-line", "0"], "--max-line 0"),
            (&["--max-line", "-1"], "--max-line -1"),
            (&["--max-line", "1.5"], "--max-line 1.5"),
            (&["--max-line", "many"], "--max-line many"),
            (
                &["--max-line", "18446744073709551616"],
                "--max-line 18446744073709551616",
            ),
            (&["--max-line", "100", "--max-line", "x"], "--max-line x"),
        ] {
            let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
            assert_refused(program, name, &arguments, about);
        }
        assert_refused(program, name, &[OsStr::from_bytes(b"--\xff")], "--");
    }
    for (flag, values) in [
        ("--consistency", &["", "strong", "Regular"][..]),
        ("--kv", &["", "lww-kv"]),
        ("--max-batch", &["", "0", "x"]),
        ("--max-pending", &["", "0", "-5", "1048577"]),
        (
            "--rpc-timeout",
            &["", "0", "-1s", "1h", "nan", "inf", "1e300", "25h"],
        ),
        ("--op-timeout", &["", "0ms", "s", "ms", "86401s"]),
    ] {
        for value in values {
            let arguments = [OsStr::new(flag), OsStr::new(value)];
            assert_refused(
                G_COUNTER,
                "g-counter",
                &arguments,
                &format!("{flag} {value}"),
            );
        }
        assert_refused(G_COUNTER, "g-counter", &[OsStr::new(flag)], flag);
    }
}

#[test]
fn a_topology_that_nobody_offers_is_refused() {
    let arguments = ["--topology", "offered"].map(OsStr::new);
    assert_refused(G_SET, "g-set", &arguments, "it must be star or tree");
}

#[test]
fn right_flags_are_taken_with_a_space_or_an_equals_sign() {
    for arguments in [
        &["--consistency", "linearizable", "--kv", "lin-kv"][..],
        &["--consistency=sequential", "--kv=seq-kv", "--max-batch=1"],
        &[
            "--max-pending",
            "1048576",
            "--max-batch",
            "18446744073709551615",
        ],
        &["--rpc-timeout=1ms", "--op-timeout", "86400s"],
        &[
            "--rpc-timeout",
            "1s",
            "--op-timeout",
            "250",
            "--max-line",
            "100000000",
        ],
    ] {
        let ended = Process::initialised(G_COUNTER, arguments).end();
        assert_eq!(
            (ended.exit_code, ended.errors.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
