//! `eddy check` refuses a file that is not a history, and reports what is wrong, where, and what to do.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{check, code_and_words, file};
use crate::program::program;
use crate::python_node::echo_node;

const INVOKE: &str = "{:process 0, :type :invoke, :f :read, :value nil}\n";
const OK: &str = "{:process 0, :type :ok, :f :read, :value [7]}\n";

#[test]
fn a_file_that_is_no_history_is_reported_with_name_and_place() {
    let swap = |from: &str, to: &str| format!("{INVOKE}{}", OK.replace(from, to));
    for (name, content, expected) in [
        (
            "empty.edn",
            String::new(),
            ": there is no operation in it. A history has one map for each invocation",
        ),
        (
            "blank.edn",
            String::from("\n ; nothing\n"),
            ": there is no operation in it",
        ),
        (
            "cut.edn",
            format!("{INVOKE}{}", &OK[..30]),
            ":2:1: what begins here has no end: the file was cut off",
        ),
        (
            "cut-vector.edn",
            format!("[{INVOKE}{OK}"),
            ":1:1: what begins here has no end",
        ),
        (
            "cut-string.edn",
            swap("[7]", "\"7"),
            ":2:42: what begins here has no end",
        ),
        (
            "cut.json",
            String::from("[{\"type\":\"invoke\",\"process\":0,\"f\":\"read\",\"val"),
            ":1:42: what begins here has no end",
        ),
        (
            "garbage.edn",
            String::from("To be, or not to be"),
            ":1:1: this is not a map. A history has maps",
        ),
        (
            "results.edn",
            String::from("{:valid? true, :count 2}"),
            ":1:1: this map has no type: invoke, ok, fail or info. Is the file a history?",
        ),
        (
            "more.edn",
            format!("[{INVOKE}{OK}]\n{INVOKE}"),
            ":4:1: the list of the history ends before this",
        ),
        (
            "no-type.edn",
            swap(":type :ok, ", ""),
            ":2:1: this map has no type",
        ),
        (
            "type.edn",
            swap(":ok", ":okay"),
            ":2:1: its type is \"okay\", not invoke, ok, fail or info",
        ),
        (
            "no-process.edn",
            swap(":process 0, ", ""),
            ":2:1: this event has no process. The number of the process",
        ),
        (
            "named-process.edn",
            swap(":process 0", ":process \"worker-1\""),
            ":2:1: its process is \"worker-1\". That of a client is a whole number from 0 up",
        ),
        (
            "keyword-process.edn",
            swap(":process 0", ":process :p1"),
            ":2:1: its process is \"p1\". That of a client",
        ),
        (
            "number-in-a-string.json",
            String::from("[{\"type\":\"invoke\",\"process\":\"1\",\"f\":\"read\",\"value\":null}]"),
            ":1:2: its process is \"1\". That of a client",
        ),
        (
            "completion.edn",
            swap(":process 0", ":process 1"),
            ":2:1: process 1 completes \"read\" without an invocation before it",
        ),
        (
            "twice.edn",
            format!("{INVOKE}{INVOKE}"),
            ":2:1: process 0 begins \"read\" while its \"read\" is under way",
        ),
        (
            "another.edn",
            swap(":f :read", ":f :add"),
            ":2:1: process 0 completes \"add\" after it began \"read\"",
        ),
        (
            "map.edn",
            swap("[7]", "{:a}"),
            ":2:42: this map has a key without a value",
        ),
        (
            "token.edn",
            swap("[7]", "#<Object>"),
            ":2:42: #<Object> is neither EDN nor JSON",
        ),
        (
            "deep.edn",
            swap("[7]", &"[".repeat(100_000)),
            ":2:141: this is nested more than 100 levels deep",
        ),
        (
            "of-txn.edn",
            swap(":f :read", ":f :txn"),
            ":2:1: process 0 completes \"txn\" after it began \"read\"",
        ),
        (
            "workload.edn",
            INVOKE.replace(":f :read, :value nil", ":f :txn, :value [[:r 1 nil]]"),
            ":1:1: g-set has no operation \"txn\". If this is a history of another workload, name that one with -w",
        ),
        (
            "value.edn",
            swap("[7]", "7"),
            ":2:1: its value is 7: invalid type: integer `7`, expected a list. If this is a history of another workload, name",
        ),
        (
            "stored.jsonl",
            String::from("{\"client\":\"c0\",\"request\":{\"type\":\"read\"}}"),
            ":1:1: this is not an operation of history.jsonl: missing field `node`",
        ),
    ] {
        let path = file(name, content);
        let output = check("g-set", &path, "");
        let (code, printed) = code_and_words(&output);
        assert_eq!(code, Some(3), "{name}: {printed}");
        let expected = format!("eddy: {}{expected}", path.display());
        assert!(printed.starts_with(&expected), "{name}: {printed}");
        assert_eq!(output.stdout, b"");
        assert!(
            printed.lines().count() == 1 && printed.len() < 600,
            "{name}: {printed}"
        );
    }
}

#[test]
fn a_file_that_is_not_text_is_refused() {
    let path = file("binary.edn", b"{:type \xff\xfe}");
    let (code, printed) = code_and_words(&check("g-set", &path, ""));
    assert_eq!(code, Some(3), "{printed}");
    assert!(
        printed.contains("it is not text: byte 7 is not UTF-8"),
        "{printed}"
    );
}

#[test]
fn the_history_in_a_folder_is_checked() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check-folder");
    fs::create_dir_all(&folder).expect("a folder");
    let history = folder.join("history.edn");
    let _ = fs::remove_file(&history);
    let (code, printed) = code_and_words(&check("g-set", &folder, ""));
    assert_eq!(code, Some(3));
    let expected = "is a folder without history.jsonl or history.edn. Name the file of the history";
    assert_eq!(printed, format!("eddy: {} {expected}\n", folder.display()));

    let add = "{:process 0, :type :invoke, :f :add, :value 7}\n{:process 0, :type :ok, :f :add, :value 7}\n";
    fs::write(&history, format!("{add}{INVOKE}{OK}")).expect("a file");
    let (code, printed) = code_and_words(&check("g-set", &folder, ""));
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains(&format!("from {}", history.display())),
        "{printed}"
    );
}

#[test]
fn the_folder_of_a_run_without_a_history_says_why_there_is_none() {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check-no-history");
    let _ = fs::remove_dir_all(&store);
    let node = program("no_history.py", &echo_node("pass"));
    let mut run = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("test -w echo --node-count 1 --time-limit 1000 --bin".split(' '))
        .arg(&node)
        .arg("--store")
        .arg(&store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("eddy is built");
    let folder = store.join("latest");
    while !folder.join("log.txt").is_file() {
        assert_eq!(run.try_wait().expect("it is our child"), None);
        thread::sleep(Duration::from_millis(10));
    }
    let says = |expected: &str| {
        let (code, printed) = code_and_words(&check("echo", &folder, ""));
        assert_eq!(code, Some(3), "{printed}");
        assert!(printed.contains(expected), "{printed}");
    };
    says("without history.jsonl or history.edn: the run goes on");
    run.kill().expect("it goes on until it is killed");
    run.wait().expect("it has been killed");
    says("history.edn: the run was ended before its history was written, as by a kill. eddy show ");
    let results = folder.join("results.json");
    fs::write(results, r#"{"error":"no init_ok from n0"}"#).expect("a file");
    says("history.edn: the run did not begin: no init_ok from n0");
}

#[test]
fn a_missing_file_and_unsuitable_flags_are_reported() {
    let (code, printed) = code_and_words(&check("g-set", Path::new("no-such-file.edn"), ""));
    assert_eq!(code, Some(3));
    assert!(
        printed.starts_with("eddy: no-such-file.edn can't be read: No such file"),
        "{printed}"
    );
    let path = file("models.edn", INVOKE);
    let (code, printed) = code_and_words(&check(
        "txn-list-append",
        &path,
        "--consistency-models good",
    ));
    assert_eq!(code, Some(3));
    assert!(printed.contains("good"), "{printed}");
    let (code, printed) = code_and_words(&check("list-append", &path, ""));
    assert_eq!(code, Some(3));
    assert!(printed.contains("txn-list-append"), "{printed}");
}
