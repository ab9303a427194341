//! What `eddy test` leaves on disk, on nodes that are a few lines of Python each.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::full_stdout::interrupted_while_it_prints;
use crate::program::program;
use crate::python_node::echo_node;
use crate::running::started;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Something that would be a script, if a page took it for one.
const HOSTILE: &str = "</script><script>document.title='owned'</script><!--";

/// An empty place for runs.
fn store(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    path
}

/// A short run of a node that does `wrong` before each answer.
fn run(store: &Path, wrong: &str) -> Output {
    let name = store
        .file_name()
        .and_then(|name| name.to_str())
        .expect("it has a name");
    let node = program(&format!("{name}.py"), &echo_node(wrong));
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("test -w echo --seed 1 --node-count 2 --rate 100 --time-limit 1 --bin".split(' '))
        .arg(node)
        .arg("--store")
        .arg(store)
        .output()
        .expect("eddy is built")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn lines(path: &Path) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("every line is JSON");
    read(path).lines().map(parse).collect()
}

/// The messages of the run in this folder.
fn messages(folder: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["show", "--messages"])
        .arg(folder)
        .output()
        .expect("eddy is built");
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let parse = |line| serde_json::from_str(line).expect("every line is JSON");
    text.lines().map(parse).collect()
}

#[test]
fn a_run_leaves_results_history_messages_logs_and_a_page() {
    let store = store("whole");
    let output = run(&store, "print('hello', count, file=sys.stderr, flush=True)");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    let folder = fs::canonicalize(store.join("latest")).expect("a link to the run");
    assert_eq!(
        fs::canonicalize(store.join("echo/latest")).expect("a link"),
        folder
    );
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("it has a name");
    assert!(
        printed.contains(name),
        "the verdict does not name {name}: {printed}"
    );

    let results: Value = serde_json::from_str(&read(&folder.join("results.json"))).expect("JSON");
    assert_eq!(results["valid"], true);
    let history = lines(&folder.join("history.jsonl"));
    assert_eq!(results["operations"]["ok"], history.len());
    let messages = messages(&folder);
    assert_eq!(results["messages"]["all"], messages.len());
    for (index, operation) in history.iter().enumerate() {
        assert_eq!(operation["index"], index);
        assert_eq!(operation["answer"]["echo"], operation["request"]["echo"]);
        let asks = |message: &&Value| {
            message["src"] == operation["client"] && message["body"] == operation["request"]
        };
        let request = messages
            .iter()
            .find(asks)
            .expect("its request is among the messages");
        assert_eq!(request["fate"], "delivered");
        assert_eq!(request["sent_us"], operation["invoked_us"]);
    }
    for node in ["n0", "n1"] {
        let log = read(&folder.join(format!("node-logs/{node}.log")));
        let texts: Vec<&str> = log.lines().map(|line| timed(line).1).collect();
        let hello = |number| format!("{node}: hello {number}");
        assert_eq!(texts[..2], [hello(1), hello(2)], "{log}");
    }
    let page = read(&folder.join("report.html"));
    assert!(page.starts_with("<!doctype html>"));
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "it is self-contained"
    );
}

/// A line of a log: its time in microseconds, if it is one of the run, and what happened.
fn timed(line: &str) -> (Option<u64>, &str) {
    let (time, text) = line.split_once(" s  ").expect("a time in seconds");
    let micros = time.trim_start().replace('.', "").parse();
    assert!(micros.is_ok() || time.starts_with("start+"), "{line}");
    (micros.ok(), text)
}

#[test]
fn the_log_has_all_that_happened_in_the_order_in_which_it_happened() {
    let store = store("logged");
    run(&store, "print('asked', count, file=sys.stderr, flush=True)");
    let folder = store.join("latest");
    let log = read(&folder.join("log.txt"));
    let entries: Vec<(Option<u64>, &str)> = log.lines().map(timed).collect();
    assert!(entries.is_sorted_by_key(|(micros, _)| *micros), "{log}");
    for node in ["n0", "n1"] {
        let joins = format!("{node} joins the network");
        assert!(entries.contains(&(None, &*joins)), "{log}");
        assert!(log.contains(&format!("{node}: asked 1\n")), "{log}");
    }
    assert!(entries.contains(&(Some(0), "all nodes are ready")), "{log}");
    for (index, operation) in lines(&folder.join("history.jsonl")).iter().enumerate() {
        let who = |arrow| {
            let (client, node) = (&operation["client"], &operation["node"]);
            format!(
                "#{index} {} {arrow} {}: ",
                client.as_str().expect("a name"),
                node.as_str().expect("a name")
            )
        };
        for (time, began) in [
            ("invoked_us", who("→") + "echo {"),
            ("completed_us", who("←") + "echo_ok {"),
        ] {
            let entry = entries.iter().find(|(_, text)| text.starts_with(&began));
            let (micros, _) = entry.unwrap_or_else(|| panic!("no {began:?} in {log}"));
            assert_eq!(*micros, operation[time].as_u64(), "{began}");
        }
    }
    assert!(
        !log.contains("recv #"),
        "messages that nobody asked for: {log}"
    );
}

#[test]
fn messages_are_in_the_log_where_they_are_asked_for() {
    let store = store("messages");
    let node = program("messages.py", &echo_node("pass"));
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("test -w echo --node-count 1 --rate 20 --time-limit 1 --nemesis kill --log-net-recv --bin".split(' '))
        .arg(node)
        .arg("--store")
        .arg(&store)
        .output()
        .expect("eddy is built");
    let log = read(&store.join("latest/log.txt"));
    let is_message = |line: &&str| line.contains(" recv #") || line.contains(" lost: ");
    let stored: Vec<&str> = log.lines().filter(is_message).collect();
    let printed = String::from_utf8_lossy(&output.stderr);
    let shown: Vec<&str> = printed.lines().filter(is_message).collect();
    assert_eq!(stored, shown);
    assert!(
        stored.iter().any(|line| line.contains("\"init_ok\"")),
        "{log}"
    );
    assert!(log.contains(" s  fault begins: killed: n0\n"), "{log}");
    assert!(log.contains(" s  fault ends: killed: n0\n"), "{log}");
}

#[test]
fn nodes_that_do_not_get_ready_leave_the_log_of_what_they_did() {
    let store = store("unready");
    let node = program("unready.sh", "#!/bin/sh\necho 'no database' >&2\nexit 1\n");
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("test -w echo --node-count 1 --bin".split(' '))
        .arg(node)
        .arg("--store")
        .arg(&store)
        .output()
        .expect("eddy is built");
    assert_eq!(output.status.code(), Some(3));
    let log = read(&store.join("latest/log.txt"));
    let texts: Vec<&str> = log.lines().map(|line| timed(line).1).collect();
    assert_eq!(texts, ["n0 joins the network", "n0: no database"]);
}

#[test]
fn nodes_that_do_not_get_ready_leave_the_messages_that_there_were() {
    let store = store("unheard");
    let node = echo_node("continue").replacen("message[\"src\"]", "me", 1);
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("test -w echo --node-count 1 --init-timeout 0.5 --bin".split(' '))
        .arg(program("unheard.py", &node))
        .arg("--store")
        .arg(&store)
        .output()
        .expect("eddy is built");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("n0 sent this to n0, and not to c0"), "{said}");
    let messages = messages(&store.join("latest"));
    let [init, init_ok] = &messages[..2] else {
        panic!("{messages:?}");
    };
    assert_eq!((&init["src"], &init["dest"]), (&json!("c0"), &json!("n0")));
    assert_eq!(init_ok["dest"], "n0");
}

#[test]
fn what_a_node_prints_stays_text_in_the_page() {
    let store = store("hostile");
    let wrong = format!(
        "text = \"{HOSTILE}\"; print(text, file=sys.stderr, flush=True); body['echo'] = text; print(text, flush=True)"
    );
    let output = run(&store, &wrong);
    assert_eq!(output.status.code(), Some(1));
    let page = read(&store.join("latest/report.html"));
    let ends = page.matches("</script").count();
    assert_eq!(
        ends, 2,
        "the data and the scripts of the page end once each"
    );
    assert_eq!(
        page.matches("<!--").count(),
        1,
        "the template has one comment"
    );
    assert!(page.contains("\\u003c/script>\\u003cscript>document.title='owned'"));
}

#[test]
fn a_report_names_no_file_that_the_disk_had_no_room_for() {
    let store = store("no-room");
    let node = program("no-room.py", &echo_node("pass"));
    // A limit of 16 KiB for each file, which the page exceeds.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_eddy"))
        .args("test -w echo --node-count 1 --rate 10 --time-limit 1 --bin".split(' '))
        .arg(node)
        .arg("--store")
        .arg(&store)
        .output()
        .expect("a shell");
    let [printed, said] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(
        said.starts_with("eddy: not all of the run is stored: can't write "),
        "{said}"
    );
    assert!(printed.contains("\nstored in   "), "{printed}");
    assert!(printed.contains(" --operation N prints"), "{printed}");
    assert!(!printed.contains("report.html"), "{printed}");
}

#[test]
fn an_interrupted_run_is_stored_as_far_as_it_came() {
    let store = store("interrupted");
    let wrong = "print('asked', file=sys.stderr, flush=True)";
    let node = program("interrupted-store.py", &echo_node(wrong));
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args("test -w echo --node-count 1 --rate 100 --log-stderr --bin".split(' '))
        .arg(node)
        .arg("--store")
        .arg(&store);
    let (mut eddy, _, lines) = started(&mut command);
    kill_process(Pid::from_child(&eddy), Signal::INT).expect("it is our child");
    let last = lines.map_while(Result::ok).last().expect("a line");
    assert!(last.contains("is in") && last.contains("/echo/"), "{last}");
    assert_eq!(eddy.wait().expect("it ends").code(), Some(2));
    let folder = store.join("latest");
    let results: Value = serde_json::from_str(&read(&folder.join("results.json"))).expect("JSON");
    assert_eq!(results["valid"], "unknown");
    assert!(!self::lines(&folder.join("history.jsonl")).is_empty());
    assert!(read(&folder.join("report.html")).contains("interrupted after"));
}

#[test]
fn an_interrupt_after_a_run_ends_the_program_and_the_run_is_listed() {
    let node = program("interrupted-late.py", &echo_node("pass"));
    for line in ["test -w echo --test-count 2", "challenge 1"] {
        let store = store("interrupted-late");
        let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
        command
            .args(line.split(' '))
            .args("--node-count 1 --rate 100 --time-limit 0.2 --bin".split(' '))
            .arg(&node)
            .arg("--store")
            .arg(&store);
        let status = interrupted_while_it_prints(command, &store);
        assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{line}");
        let runs = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(["runs", "--store"])
            .arg(&store)
            .output();
        let listed = String::from_utf8(runs.expect("eddy is built").stdout).expect("UTF-8");
        assert!(listed.contains("  valid  "), "{line}: {listed}");
    }
}

#[test]
fn an_interrupt_while_nodes_end_is_heeded() {
    let echo = env!("CARGO_BIN_EXE_echo");
    let script = format!("#!/bin/sh\n'{echo}'\necho closed >&2\nexec sleep 1000\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args("test -w echo --no-store --log-stderr --test-count 5".split(' '))
        .args("--node-count 1 --rate 100 --time-limit 0.2 --bin".split(' '))
        .arg(program("ends-late.sh", &script));
    let (eddy, line, lines) = started(&mut command);
    assert!(line.ends_with("closed"), "{line}");
    kill_process(Pid::from_child(&eddy), Signal::INT).expect("it is our child");
    let last = lines.map_while(Result::ok).last();
    let status = eddy.wait_with_output().expect("it ends").status;
    // By the signal, if it comes so late that the nodes have ended.
    let is_heeded = last.is_some_and(|line| line.starts_with("eddy: interrupted"))
        || status.signal() == Some(Signal::INT.as_raw());
    assert!(is_heeded, "{status}");
}

#[test]
fn nothing_is_stored_where_nothing_is_wanted() {
    let store = store("unwanted");
    let node = program("unwanted.py", &echo_node("pass"));
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("test -w echo --node-count 1 --time-limit 1 --no-store --bin".split(' '))
        .arg(node)
        .arg("--store")
        .arg(&store)
        .output()
        .expect("eddy is built");
    assert!(output.status.success());
    assert!(!store.exists());
    assert!(!String::from_utf8_lossy(&output.stdout).contains("stored"));
}

#[test]
fn a_store_that_can_not_be_created_is_reported_in_one_line_and_the_verdict_stands() {
    let store = store("blocked");
    fs::write(&store, "a file, no folder").expect("the test's folder can be written to");
    let output = run(&store, "pass");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("valid"));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(
        printed.contains("will not be stored") && printed.contains("--no-store"),
        "{printed}"
    );
}

#[test]
fn every_file_that_can_not_be_written_is_named_and_the_others_are_whole() {
    let store = store("in_the_way");
    let wrong = format!(
        "for name in ('history.jsonl', 'report.html'): os.makedirs('{}/latest/' + name, exist_ok=True)",
        store.display()
    );
    let output = run(&store, &wrong);
    assert!(output.status.success());
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(
        printed.contains("not all of the run is stored"),
        "{printed}"
    );
    assert!(
        printed.contains("history.jsonl:") && printed.contains("report.html:"),
        "{printed}"
    );
    let results = read(&store.join("latest/results.json"));
    let results: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["valid"], true);
    assert!(!messages(&store.join("latest")).is_empty());
}
