//! What `eddy runs` and `eddy show` print of a store, on nodes that are a few lines of Python each.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::{fs, mem};

use crate::program::program;
use crate::python_node::echo_node;
use crate::running::started;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A store with a valid run, and an invalid one after it. Each test has a copy.
static STORE: LazyLock<PathBuf> = LazyLock::new(|| {
    let store = fresh_path("two-runs");
    for (run, wrong) in [("right", "pass"), ("wrong", "body['echo'] = 'no'")] {
        let wrong = format!("print('asked', count, file=sys.stderr, flush=True); {wrong}");
        let node = program(&format!("{run}-run.py"), &echo_node(&wrong));
        Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args("test -w echo --seed 77 --node-count 2 --rate 20 --time-limit 1 --bin".split(' '))
            .arg(node)
            .arg("--store")
            .arg(&store)
            .output()
            .expect("eddy is built");
    }
    store
});

/// A path at which nothing exists yet.
fn fresh_path(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    path
}

fn store(name: &str) -> PathBuf {
    let copy = fresh_path(name);
    let status = Command::new("cp").arg("-a").args([&*STORE, &copy]).status();
    assert!(status.expect("every system has it").success());
    copy
}

fn eddy(command: &str, store: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(command.split(' '))
        .arg("--store")
        .arg(store)
        .output()
        .expect("eddy is built")
}

/// The output of a command that succeeds.
fn stdout_of(command: &str, store: &Path) -> String {
    let output = eddy(command, store);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_report_names_its_page_and_how_to_see_what_a_finding_cites() {
    let printed = eddy("show", &store("advice")).stdout;
    let printed = String::from_utf8(printed).expect("text");
    let page = printed.lines().find_map(|line| line.strip_prefix("page"));
    let page = page.expect("the page").trim();
    assert!(Path::new(page).is_file(), "{printed}");
    let (_, cited) = printed.split_once("      #").expect("an operation");
    let (cited, _) = cited.split_once(' ').expect("its number");
    let command = format!("--operation {cited}");
    let line = printed.lines().find(|line| line.contains(&command));
    let words = line.expect("advice").split_whitespace().skip(1).take(4);
    let shown = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(words)
        .output();
    let shown = shown.expect("eddy is built").stdout;
    let shown = String::from_utf8(shown).expect("text");
    assert!(shown.starts_with(&format!("#{cited} ")), "{shown}");
}

/// The error message of a command that fails.
fn complaint(command: &str, store: &Path) -> String {
    let output = eddy(command, store);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn runs_are_listed_with_time_workload_verdict_seed_and_first_finding() {
    let store = store("list");
    let list = stdout_of("runs", &store);
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
fn a_run_with_warnings_is_listed_with_their_number() {
    let store = store("warned");
    let wrong = "for number in [body['msg_id'], 10 ** 6]: say(message['src'], {'type': 'echo_ok', 'echo': body['echo'], 'in_reply_to': number})";
    let node = program("warned.py", &echo_node(wrong));
    let mut run = Command::new(env!("CARGO_BIN_EXE_eddy"));
    run.args("test -w echo --seed 77 --node-count 2 --rate 20 --time-limit 1 --bin".split(' '));
    let output = run.arg(node).arg("--store").arg(&store).output();
    assert!(output.expect("eddy is built").status.success());
    let list = stdout_of("runs", &store);
    for (line, expected) in list.lines().zip([
        "  valid              seed 77",
        "  invalid            seed 77          Client ",
        "  valid, 2 warnings  seed 77          n0 sent c4 a message that answers nothing",
    ]) {
        assert!(line.contains(expected), "{list}");
    }
    assert_eq!(list.lines().count(), 3, "{list}");
    let newest = &index(&store)[0];
    assert_eq!(newest["verdict"], "valid, 2 warnings");
    assert_eq!(
        newest["validity"], "valid",
        "the colour is that of a valid run"
    );
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
    let list = stdout_of("runs", &store);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 5, "{list}");
    let expected = [
        "is not of this version of eddy: missing field",
        "is not of this version of eddy: expected",
        "no complete results.json",
        "  valid ",
        "  invalid ",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn why_a_run_did_not_begin_is_kept_and_shown() {
    let store = fresh_path("not-begun");
    let node = program("not-begun.sh", "#!/bin/sh\necho no config >&2\nexit 7\n");
    let test = format!("test -w echo --node-count 1 --bin {}", node.display());
    assert_eq!(eddy(&test, &store).status.code(), Some(3));
    let why = "did not begin: n0 ended before the run began: exit status: 7";
    let list = stdout_of("runs", &store);
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(list.contains(why), "{list}");
    let shown = String::from_utf8_lossy(&eddy("show", &store).stderr).into_owned();
    assert!(
        shown.contains(why) && shown.contains("no config"),
        "{shown}"
    );
    let page = fs::read_to_string(store.join("index.html")).expect("a page");
    assert!(page.contains(why), "{page}");
}

#[test]
fn wherever_results_are_cut_off_the_run_is_listed_as_one_that_was_ended_too_soon() {
    let store = store("cut-results");
    let results = fs::read(store.join("latest/results.json")).expect("results");
    // The last byte ends the last line.
    for length in 0..results.len() - 1 {
        let folder = store.join(format!("echo/20200101T000000.000Z-{length}"));
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("results.json"), &results[..length]).expect("a file");
    }
    let list = stdout_of("runs", &store);
    let (cut, whole): (Vec<&str>, _) = list
        .lines()
        .partition(|line| line.contains("no complete results.json"));
    assert_eq!(
        (cut.len(), whole.len()),
        (results.len() - 1, 2),
        "{}",
        whole[0]
    );
}

#[test]
fn a_run_that_was_stored_before_results_had_settings_is_still_listed() {
    let store = store("older");
    let path = store.join("latest/results.json");
    let results = fs::read_to_string(&path).expect("results");
    let mut results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    let fields = results.as_object_mut().expect("an object");
    for field in ["settings", "version", "machine"] {
        assert!(fields.remove(field).is_some(), "{field}");
    }
    fs::write(&path, results.to_string()).expect("a file");
    assert!(stdout_of("runs", &store).contains("  invalid  seed 77"));
    assert_eq!(eddy("show", &store).status.code(), Some(1));
}

#[test]
fn the_newest_runs_are_kept() {
    let store = store("keep");
    let before = stdout_of("runs", &store);
    for (keep, removed) in [(2, "0 runs removed\n"), (1, "1 run removed\n")] {
        let output = eddy(&format!("runs --keep {keep}"), &store);
        assert_eq!(String::from_utf8_lossy(&output.stderr), removed);
    }
    let after = stdout_of("runs", &store);
    assert_eq!(after.lines().next(), before.lines().last());
    assert_eq!(after.lines().count(), 1);
    assert!(store.join("latest/report.html").exists());
    assert_eq!(stdout_of("runs --keep 0", &store), "");
}

/// The rows of the page of a store.
fn index(store: &Path) -> Vec<Value> {
    let page = fs::read_to_string(store.join("index.html")).expect("there is a page");
    let (_, data) = page.split_once("id=\"data\">").expect("it has data");
    let (data, _) = data.split_once("</script>").expect("they end");
    let mut data: Value = serde_json::from_str(data).expect("JSON");
    mem::take(data["runs"].as_array_mut().expect("a list"))
}

#[test]
fn the_page_of_the_store_has_each_run_once_it_is_stored_and_the_newest_first() {
    let store = store("index");
    let rows = index(&store);
    let verdicts: Vec<&Value> = rows.iter().map(|row| &row["verdict"]).collect();
    assert_eq!(verdicts, ["invalid", "valid"]);
    for row in &rows {
        assert_eq!(row["workload"], "echo");
        assert_eq!(row["seed"], "77");
        let [name, file] = ["name", "file"].map(|field| row[field].as_str().expect("text"));
        assert!(store.join(name).join(file).is_file(), "{row}");
        assert_eq!(file, "report.html");
    }
    let finding = rows[0]["finding"].as_str().expect("text");
    assert!(finding.starts_with("Client "), "{finding}");
    let history = store.join("latest/history.jsonl");
    let checked = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["check", "-w", "echo", "--store"])
        .args([&store, &history])
        .output();
    checked.expect("eddy is built");
    let rows = index(&store);
    assert_eq!((rows.len(), &rows[0]["seed"]), (3, &Value::Null));
}

#[test]
fn the_page_of_the_store_is_written_anew_when_runs_are_listed_or_removed() {
    let store = store("index-anew");
    fs::remove_file(store.join("index.html")).expect("there is a page");
    let older = store.join("echo/20200101T000000.000Z");
    fs::create_dir(&older).expect("a folder");
    fs::write(older.join("results.json"), "</script><b>").expect("a file");
    stdout_of("runs", &store);
    let rows = index(&store);
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (&rows[2]["verdict"], &rows[2]["file"]),
        (&Value::Null, &Value::from(""))
    );
    let why = rows[2]["finding"].as_str().expect("text");
    assert!(why.contains("is not of this version of eddy"), "{why}");
    stdout_of("runs --keep 1", &store);
    assert_eq!(index(&store).len(), 1);
    stdout_of("runs --keep 0", &store);
    assert!(index(&store).is_empty());
}

#[test]
fn a_store_that_can_not_be_written_to_is_listed_all_the_same() {
    let store = store("index-unwritable");
    fs::remove_file(store.join("index.html")).expect("there is a page");
    fs::create_dir(store.join("index.html")).expect("a folder in its place");
    let output = eddy("runs", &store);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("the list of runs is not up to date: can't write"),
        "{text}"
    );
    let left: Vec<_> = fs::read_dir(&store)
        .expect("a store")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with(".index"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_run_that_goes_on_is_listed_and_kept() {
    let store = store("goes-on");
    let path = program(
        "goes-on.py",
        &echo_node("print(count, file=sys.stderr, flush=True)"),
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args("test -w echo --node-count 1 --time-limit 600 --log-stderr --store".split(' '))
        .arg(&store)
        .arg("--bin")
        .arg(path);
    let (mut run, _, _stderr) = started(&mut command);
    let list = stdout_of("runs --keep 0", &store);
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(list.ends_with("  goes on; see log.txt\n"), "{list}");
    assert!(store.join("latest/log.txt").is_file());
    kill_process(Pid::from_child(&run), Signal::INT).expect("it is our child");
    run.wait().expect("it ends");
    assert!(stdout_of("runs", &store).contains("  unknown  "));
    assert_eq!(stdout_of("runs --keep 0", &store), "");
}

#[test]
fn a_folder_without_runs_stays_as_it_is() {
    let folder = fresh_path("no-runs");
    fs::create_dir_all(&folder).expect("a folder");
    let index = folder.join("index.html");
    fs::write(&index, "mine").expect("a file");
    for command in ["runs", "runs --keep 0"] {
        assert_eq!(stdout_of(command, &folder), "");
        assert_eq!(fs::read_to_string(&index).expect("a file"), "mine");
    }
}

#[test]
fn a_missing_store_is_reported_in_one_line() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-store");
    let text = complaint("runs", &missing);
    assert!(
        text.contains("there is no folder") && text.contains("--store"),
        "{text}"
    );
    assert!(!missing.exists());
    let text = complaint("runs", Path::new("/dev/null"));
    assert!(text.contains("can't read /dev/null"), "{text}");
}

#[test]
fn the_latest_run_is_shown_as_it_was_first_printed_with_its_exit_status() {
    let store = store("show");
    let list = stdout_of("runs", &store);
    let name = list.lines().last().and_then(|line| line.split(' ').next());
    let name = name.expect("the name of the latest run");
    let again = fs::read_to_string(store.join("latest/results.json")).expect("results");
    let results: Value = serde_json::from_str(&again).expect("JSON");
    let latest = eddy("show", &store);
    assert_eq!(latest.status.code(), Some(1));
    let latest = String::from_utf8_lossy(&latest.stdout).into_owned();
    assert!(latest.starts_with("INVALID: "), "{latest}");
    let evidence = results["findings"][0]["operations"][0].as_str();
    assert!(latest.contains(evidence.expect("an operation")), "{latest}");
    let named = eddy(&format!("show {name}"), &store);
    assert_eq!(String::from_utf8_lossy(&named.stdout), latest);
}

#[test]
fn an_operation_is_shown_with_its_messages_and_what_its_node_printed_meanwhile() {
    let store = store("operation");
    let output = eddy("show --operation 3", &store);
    let text = String::from_utf8_lossy(&output.stdout);
    let history = fs::read_to_string(store.join("latest/history.jsonl")).expect("a history");
    let line = history.lines().nth(3).expect("an operation");
    let operation: Value = serde_json::from_str(line).expect("JSON");
    let (client, node) = (&operation["client"], &operation["node"]);
    let [client, node] = [client, node].map(|name| name.as_str().expect("a name"));
    assert!(
        text.starts_with(&format!("#3 {client} → {node}, from ")),
        "{text}"
    );
    let (_, messages) = text
        .split_once("Messages that it caused")
        .expect("messages");
    let (messages, printed) = messages.split_once("printed meanwhile:").expect("a log");
    for arrow in [format!("{client} → {node} "), format!("{node} → {client} ")] {
        assert_eq!(messages.matches(&arrow).count(), 1, "{text}");
    }
    let printed: Vec<&str> = printed.trim().lines().collect();
    assert_eq!(printed.len(), 1, "{text}");
    assert!(
        printed[0].contains(&format!(" s  {node}: asked ")),
        "{text}"
    );
}

#[test]
fn all_messages_are_printed_each_as_a_line_of_json() {
    let store = store("shown-messages");
    // The latest run is invalid. That is no error of printing.
    let printed = stdout_of("show --messages", &store);
    let results = fs::read_to_string(store.join("latest/results.json")).expect("results");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["messages"]["all"], printed.lines().count());
    for line in printed.lines() {
        let message: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(message["fate"], "delivered");
        assert!(message["body"]["type"].is_string(), "{line}");
    }
    let mut reader = Command::new("sh");
    reader.args(["-c", "\"$0\" show --messages --store \"$1\" | head -n 1"]);
    let head = reader.arg(env!("CARGO_BIN_EXE_eddy")).arg(&store).output();
    let head = head.expect("a shell");
    assert_eq!(String::from_utf8_lossy(&head.stderr), "");
}

#[test]
fn a_list_of_which_only_the_beginning_is_read_is_no_error() {
    let store = fresh_path("many-runs");
    // More than a pipe holds.
    for number in 0..2_000 {
        let name = format!("20260101T{:06}.000Z", number % 60 + number / 60 * 100);
        fs::create_dir_all(store.join("echo").join(name)).expect("a folder");
    }
    let mut reader = Command::new("sh");
    reader.args(["-c", "\"$0\" runs --store \"$1\" | head -n 1"]);
    let head = reader.arg(env!("CARGO_BIN_EXE_eddy")).arg(&store).output();
    let head = head.expect("a shell");
    assert_eq!(String::from_utf8_lossy(&head.stderr), "");
    let line = String::from_utf8_lossy(&head.stdout);
    assert!(line.starts_with("echo/20260101T000000.000Z "), "{line}");
}

#[test]
fn the_folder_of_a_workload_stands_for_its_latest_run() {
    let store = store("of-workload");
    let latest = eddy("show", &store);
    for run in ["echo".into(), store.join("echo").display().to_string()] {
        let shown = eddy(&format!("show {run}"), &store);
        assert_eq!(shown.status, latest.status);
        let [shown, latest] =
            [&shown, &latest].map(|output| String::from_utf8_lossy(&output.stdout));
        assert_eq!(shown.lines().next(), latest.lines().next());
    }
}

#[test]
fn the_messages_of_a_run_that_was_killed_are_printed_up_to_the_last_whole_block() {
    let store = store("killed");
    let compressed = store.join("latest/messages.jsonl.lz4");
    let whole = stdout_of("show --messages", &store);
    // Twice the file, but for the end.
    let mut bytes = fs::read(&compressed).expect("a file").repeat(2);
    bytes.truncate(bytes.len() - 10);
    fs::write(&compressed, &bytes).expect("a file");
    // Such a run has no results either.
    fs::remove_file(store.join("latest/results.json")).expect("a file");
    let output = eddy("show --messages", &store);
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8_lossy(&output.stdout);
    let second = printed.strip_prefix(&*whole).expect("the first whole");
    assert!(whole.starts_with(second) && whole != second);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("the end of ") && text.contains("lz4 is missing"),
        "{text}"
    );
}

#[test]
fn runs_from_before_messages_were_compressed_are_shown() {
    let store = store("uncompressed");
    let messages = stdout_of("show --messages", &store);
    let operation = eddy("show --operation 3", &store).stdout;
    fs::remove_file(store.join("latest/messages.jsonl.lz4")).expect("a file");
    fs::write(store.join("latest/messages.jsonl"), &messages).expect("a file");
    assert_eq!(stdout_of("show --messages", &store), messages);
    assert_eq!(eddy("show --operation 3", &store).stdout, operation);
    stdout_of("runs --keep 0", &store);
    assert!(!store.join("echo").exists(), "it can be removed, too");
}

#[test]
fn what_can_not_be_shown_is_reported_in_one_line() {
    let store = store("unshown");
    fs::create_dir(store.join("echo/empty")).expect("a folder");
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-store");
    for (command, store, expected) in [
        ("show", &missing, "there is no folder"),
        ("show echo/nothing", &store, "there is no run echo/nothing"),
        (
            "show --operation 1000",
            &store,
            "there is no operation 1000",
        ),
        ("show echo/empty", &store, "no complete results.json"),
    ] {
        let text = complaint(command, store);
        assert!(text.contains(expected), "{command}: {text}");
    }
    fs::remove_file(store.join("latest/log.txt")).expect("a file");
    let text = complaint("show --operation 0", &store);
    assert!(text.contains("log.txt can't be read"), "{text}");
    let messages = store.join("latest/messages.jsonl.lz4");
    fs::write(&messages, "no frame").expect("a file");
    for command in ["show --messages", "show --operation 0"] {
        let text = complaint(command, &store);
        assert!(
            text.contains("messages.jsonl.lz4 can't be read: it is damaged"),
            "{text}"
        );
    }
    fs::remove_file(&messages).expect("a file");
    let text = complaint("show --messages", &store);
    assert!(
        text.contains("messages.jsonl.lz4 can't be read: No such file"),
        "{text}"
    );
}

#[test]
fn where_there_are_no_operations_none_is_offered() {
    let store = fresh_path("no-operations");
    let node = program("no-operations.py", &echo_node("pass"));
    let mut run = Command::new(env!("CARGO_BIN_EXE_eddy"));
    run.args("test -w echo --node-count 1 --rate 0 --time-limit 0 --bin".split(' '));
    let output = run.arg(node).arg("--store").arg(&store).output();
    let printed = output.expect("eddy is built").stdout;
    let printed = String::from_utf8_lossy(&printed);
    assert!(printed.contains(" --messages prints"), "{printed}");
    assert!(!printed.contains("--operation"), "{printed}");
    let text = complaint("show --operation 0", &store);
    let expected = "eddy: there is no operation 0: this run has no operations\n";
    assert_eq!(text, expected);
}

#[test]
fn an_operation_of_an_imported_history_is_shown_without_messages() {
    let store = store("imported");
    let history = store.join("latest/history.jsonl");
    let checked = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["check", "-w", "echo", "--store"])
        .args([&store, &history])
        .output();
    checked.expect("eddy is built");
    let output = eddy("show --operation 0", &store);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "the verdict: {printed}");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("#0 c"), "{printed}");
    assert!(lines[1].starts_with("  {"), "{printed}");
    assert!(lines[2].starts_with("  ok: {"), "{printed}");
    assert!(!printed.contains("Messages"), "{printed}");
}
