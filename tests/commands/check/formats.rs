//! The same history in every supported format.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{check, code_and_words, file};

const LINES: &str = r#"{:index 0, :time 11611, :type :invoke, :process 1, :f :txn, :value [[:append 1 1]]}
{:index 1, :time 15695, :type :ok, :process 1, :f :txn, :value [[:append 1 1]]}
{:index 2, :time 19667, :type :invoke, :process :nemesis, :f :start, :value nil}
{:index 3, :time 39195, :type :invoke, :process 0, :f :txn, :value [[:r 1 nil]]}
{:index 4, :time 41819, :type :ok, :process 0, :f :txn, :value [[:r 1 [1 7]]]}
"#;

/// The same history in JSON.
const JSON: &str = r#"[
{"index":0,"time":11611,"type":"invoke","process":1,"f":"txn","value":[["append",1,1]]},
{"index":1,"time":15695,"type":"ok","process":1,"f":"txn","value":[["append",1,1]]},
{"index":2,"time":19667,"type":"invoke","process":"nemesis","f":"start","value":null},
{"index":3,"time":39195,"type":"invoke","process":0,"f":"txn","value":[["r",1,null]]},
{"index":4,"time":41819,"type":"ok","process":0,"f":"txn","value":[["r",1,[1,7]]]}
]"#;

#[test]
fn all_formats_of_a_history_get_the_same_verdict() {
    let tagged = LINES.replace("{:index", "#jepsen.history.Op{:index");
    let one_line = format!("({})", LINES.replace('\n', " "));
    let commented = format!("; made by hand\n[{LINES} #_ {{:type :nothing}}]\n; the end");
    let json_lines = JSON.trim_matches(['[', ']', '\n']).replace("},", "}");
    for (name, text) in [
        ("lines.edn", LINES),
        ("tagged.edn", &tagged),
        ("list.edn", &one_line),
        ("vector.edn", &commented),
        ("array.json", JSON),
        ("lines.json", &json_lines),
        ("byte-order-mark.json", &format!("\u{feff}{JSON}")),
        ("carriage-returns.edn", &LINES.replace('\n', "\r\n")),
        // The content decides, not the name of the file.
        ("json.edn", JSON),
    ] {
        let output = check(
            "txn-list-append",
            &file(&format!("form-{name}"), text),
            "--json",
        );
        let (code, printed) = code_and_words(&output);
        assert_eq!(code, Some(1), "{name}: {printed}");
        let report: Value = serde_json::from_str(&printed).expect("one JSON object");
        assert_eq!(report["valid"], false);
        assert_eq!(report["operations"]["ok"], 2);
        assert_eq!(report["clients"], 2);
        assert_eq!(report["faults"][0]["what"], "fault");
        assert_eq!(
            (&report["seed"], &report["messages"]),
            (&Value::Null, &Value::Null)
        );
        let findings = report["findings"].as_array().expect("a list");
        assert_eq!(findings.len(), 1, "{name}: {printed}");
        let what = findings[0]["what"].as_str().expect("words");
        assert!(what.contains("T1 read 7 in key 1"), "{name}: {what}");
        assert_eq!(findings[0]["operation_indices"], serde_json::json!([1]));
    }
}

/// The same without times.
fn without_times(history: &str) -> String {
    let lines = history.lines().map(|line| {
        let (before, rest) = line.split_once(":time").expect("a time");
        let (_, after) = rest.split_once(',').expect("more");
        format!("{before}{after}\n")
    });
    lines.collect()
}

#[test]
fn nothing_is_said_about_the_times_of_a_history_that_has_none() {
    let set = "\
        {:time 0, :process 0, :type :invoke, :f :add, :value 1}
        {:time 9000000, :process 0, :type :ok, :f :add, :value 1}
        {:time 9900000, :process 0, :type :invoke, :f :read, :value nil, :final? true}
        {:time 9990000, :process 0, :type :ok, :f :read, :value [1], :final? true}";
    let printed = |workload, history: &str| {
        let output = check(
            workload,
            &file(&format!("times-{workload}.edn"), history),
            "",
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (workload, timed) in [("txn-list-append", LINES), ("g-set", set)] {
        let about_time =
            |printed: &str| [" ms", " s, ", "latenc"].map(|words| printed.contains(words));
        let with_times = printed(workload, timed);
        assert_eq!(about_time(&with_times), [true; 3], "{with_times}");
        let without = printed(workload, &without_times(timed));
        assert_eq!(about_time(&without), [false; 3], "{without}");
        assert!(
            without.contains(&format!("\n{workload}, from ")),
            "{without}"
        );
    }
}

#[test]
fn warnings_are_shown_and_count_if_that_is_asked_for() {
    let history = r#"
        {:process 0, :type :invoke, :f :add, :value 1}
        {:process 0, :type :ok, :f :add, :value 1}
        {:process 0, :type :invoke, :f :read, :value nil, :final? true}
        {:process 0, :type :ok, :f :read, :value [1], :final? true}
        {:process 1, :type :invoke, :f :read, :value nil, :final? true}
        {:process 1, :type :fail, :f :read, :value nil, :final? true}"#;
    let path = file("warnings.edn", history);
    let (code, printed) = code_and_words(&check("g-set", &path, ""));
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.starts_with("valid with warnings: Maelstrom lets this history pass"),
        "{printed}"
    );
    let (code, printed) = code_and_words(&check("g-set", &path, "--strict"));
    assert_eq!(code, Some(1), "{printed}");
}

#[test]
fn a_check_leaves_what_a_run_leaves_but_for_messages_and_logs() {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check-store");
    let _ = fs::remove_dir_all(&store);
    let path = file("stored.edn", LINES);
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["check", "-w", "txn-list-append", "--store"])
        .args([&store, &path])
        .output()
        .expect("eddy is built");
    let (code, printed) = code_and_words(&output);
    assert_eq!(code, Some(1), "{printed}");
    let folder = fs::canonicalize(store.join("latest")).expect("a link to the folder");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    assert_eq!(names, ["history.jsonl", "report.html", "results.json"]);
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert!(
        printed.contains(&format!("txn-list-append/{name}")),
        "{printed}"
    );
    assert!(printed.contains("\nagain       "), "{printed}");

    // The stored history can be checked again.
    let output = check("txn-list-append", &folder.join("history.jsonl"), "--json");
    let again: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let results = fs::read(folder.join("results.json")).expect("it is there");
    let results: Value = serde_json::from_slice(&results).expect("one JSON object");
    for field in ["valid", "workload", "nodes", "operations_by_type"] {
        assert_eq!(again[field], results[field], "{field}");
    }
    assert_eq!(again["findings"][0]["what"], results["findings"][0]["what"]);
}

#[test]
fn a_history_is_read_from_stdin() {
    let path = file("stdin.edn", LINES);
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["check", "--no-store", "-w", "txn-list-append", "-"])
        .stdin(fs::File::open(&path).expect("it has just been written"))
        .output()
        .expect("eddy is built");
    let printed = code_and_words(&output).1;
    let (_, expected) = code_and_words(&check("txn-list-append", &path, ""));
    let verdict = |printed: &str| printed.lines().next().map(String::from);
    assert!(printed.contains("from /dev/stdin"), "{printed}");
    assert_eq!(verdict(&printed), verdict(&expected));
}
