//! The verdict on nodes that run elsewhere is that of `eddy test`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::output::{assert_ends_with, stderr, stdout};
use super::served::Action::{Line, Reply};
use super::served::{counter, echo, open, serve};
use super::{eddy, load, report};

#[test]
fn a_right_counter_is_valid_and_the_json_says_so() {
    let addresses = serve(3, counter(|_, _| None));
    let levels = "--concurrency 6 --consistency-models linearizable";
    let report = report("g-counter", &addresses, levels, 0);
    assert_eq!(report["valid"], true);
    assert_eq!(report["nodes"], json!(["n0", "n1", "n2"]));
    let ok = report["operations"]["ok"].as_u64().expect("a number");
    assert!(ok > 100, "{report}");
    assert_eq!(report["messages"]["clients"], 2 * ok);
    assert_eq!(report["messages"]["servers"], Value::Null, "not seen");
    assert_eq!(report["settings"]["connect"], json!(addresses));
    let repeat = report["repeat"].as_str().expect("a command");
    assert!(repeat.contains("eddy load -w g-counter"), "{repeat}");
    assert!(repeat.contains("--seed 1"), "{repeat}");
}

#[test]
fn a_run_is_quiet_and_its_report_says_nothing_of_what_was_not_seen() {
    let output = load("echo", &serve(2, echo()), "");
    assert_ends_with(0, &output);
    let printed = stdout(&output);
    assert!(printed.starts_with("valid: "), "{printed}");
    assert!(printed.contains("2.00 an operation\n"), "{printed}");
    assert_eq!(stderr(&output), "", "there is no terminal");
}

#[test]
fn an_acknowledged_add_that_is_lost_is_found() {
    let lost = |count, request: &Value| {
        (count > 20 && count < 40 && request["type"] == "add")
            .then(|| Reply(json!({"type": "add_ok"})))
    };
    let output = load("g-counter", &serve(3, counter(lost)), "");
    assert_ends_with(1, &output);
    assert!(stdout(&output).contains("is missing"));
    assert!(stderr(&output).contains("what an earlier run has left"));
}

#[test]
fn garbage_is_reported_as_a_violation_of_the_protocol() {
    const GARBAGE: [(&[u8], &str); 4] = [
        (
            b"Hello \x1b[31m",
            r"n0 sent a client what is no message (it is not JSON: expected value): Hello \u{1b}[31m",
        ),
        (
            b"{}",
            "n0 sent a client what is no message (missing field `body`): {}",
        ),
        (
            b"\xff",
            r"n0 sent a client what is no message (the line is not UTF-8): \xff",
        ),
        (br#"{"body":7}"#, "n0 sent a malformed message"),
    ];
    let judge = |garbage, expected| {
        let asked = AtomicUsize::new(0);
        let behaviour = open(
            move |_, request| match asked.fetch_add(1, Ordering::SeqCst) {
                5 => Line(garbage),
                _ => Reply(json!({"type": "echo_ok", "echo": request["echo"]})),
            },
        );
        let report = report("echo", &serve(1, behaviour), "--concurrency 2n", 1);
        let what = report["findings"][0]["what"].as_str();
        let what = what.expect("a finding");
        assert!(what.contains(expected), "{what}");
        // A client that has no other reply gives up. The run goes on.
        assert_eq!(report["operations"]["indeterminate"], 1, "{report}");
        assert!(report["operations"]["ok"].as_u64() > Some(100), "{report}");
    };
    thread::scope(|scope| {
        for (garbage, expected) in GARBAGE {
            scope.spawn(move || judge(garbage, expected));
        }
    });
}

#[test]
fn an_answer_to_nothing_is_a_warning() {
    let line = br#"{"src":"n0","dest":"c1","body":{"type":"add_ok","in_reply_to":77}}"#;
    let wrong = |count, _: &Value| (count == 5).then_some(Line(line));
    let report = report("g-counter", &serve(1, counter(wrong)), "", 0);
    let what = report["warnings"][0]["what"].as_str().expect("a text");
    assert!(what.contains("a message that answers nothing"), "{what}");
}

/// The topology that each of three nodes is sent, and the values that all of them have.
#[derive(Default)]
struct Known {
    introduced: BTreeSet<usize>,
    values: BTreeSet<i64>,
}

#[test]
fn nodes_of_broadcast_are_sent_the_topology_once_before_clients_begin() {
    let known = Mutex::new(Known::default());
    let behaviour = open(move |node, request| {
        let mut known = known.lock().expect("no thread panics");
        let kind = request["type"].as_str().expect("a type");
        if kind == "topology" {
            assert!(request["topology"]["n1"].is_array(), "{request}");
            assert!(known.introduced.insert(node), "it came twice");
        } else {
            assert_eq!(known.introduced.len(), 3, "it came too early");
        }
        known.values.extend(request["message"].as_i64());
        Reply(match kind {
            "read" => json!({"type": "read_ok", "messages": known.values}),
            other => json!({"type": format!("{other}_ok")}),
        })
    });
    let report = report("broadcast", &serve(3, behaviour), "", 0);
    assert_eq!(report["operations"]["indeterminate"], 0, "{report}");
}

#[test]
fn a_run_leaves_the_folder_of_a_run_of_eddy_test() {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load-store");
    let _ = fs::remove_dir_all(&store);
    let addresses = serve(2, echo());
    let output = eddy("echo", &addresses, "--rate 50 --time-limit 1 --store")
        .arg(&store)
        .output();
    assert_ends_with(0, &output.expect("eddy is built"));
    let folder = store.join("latest");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("it is stored");
    assert!(read("results.json").contains("eddy load"));
    assert!(read("report.html").contains("eddy load"));
    assert!(read("history.jsonl").lines().count() > 10);
    assert!(folder.join("messages.jsonl.lz4").exists());
    assert!(store.join("index.html").exists());
}
