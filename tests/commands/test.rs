//! `eddy test` from end to end, on nodes that are a few lines of Python or shell each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::command::output::{assert_ends_with, stderr, stdout};
use crate::program::program;
use crate::python_node::echo_node;
use crate::running::started;
use serde_json::{Value, json};

/// `eddy test -w echo` on a program.
pub fn eddy(path: &Path, more: &str) -> Command {
    crate::command::eddy("echo", path, more)
}

/// Runs `eddy test` with two nodes to its end.
pub fn test(path: &Path, more: &str) -> Output {
    eddy(path, &format!("--node-count 2 {more}"))
        .output()
        .expect("eddy is built")
}

pub const SHORT: &str = "--rate 100 --time-limit 1";

/// What a run on a wrong node says, which must be that it is invalid.
fn verdict_on(name: &str, wrong: &str) -> String {
    verdict_on_program(&program(name, &echo_node(wrong)))
}

pub fn verdict_on_program(path: &Path) -> String {
    let output = test(path, SHORT);
    assert_ends_with(1, &output);
    stdout(&output)
}

#[test]
fn a_good_node_is_valid_and_the_json_says_so() {
    let path = program("good.py", &echo_node("pass"));
    let output = test(&path, &format!("{SHORT} --json"));
    assert_ends_with(0, &output);
    assert_eq!(
        stderr(&output),
        "",
        "it is quiet where there is no terminal"
    );
    let report: Value = serde_json::from_str(&stdout(&output)).expect("one JSON object");
    assert_eq!(report["valid"], true);
    let ok = report["operations"]["ok"].as_u64().expect("a number");
    assert!(ok > 10, "{report}");
    // Every operation is two messages, and so is each node's init.
    assert_eq!(report["messages"]["all"], 2 * ok + 4);
    let repeat = report["repeat"].as_str().expect("a command");
    assert!(repeat.contains("--seed 1"), "{repeat}");
    let settings = &report["settings"];
    for (flag, value) in [
        ("seed", json!(1)),
        ("rate", json!(100)),
        ("node-count", json!(2)),
        ("latency-dist", json!("constant")),
        ("strict", json!(false)),
        ("bin", json!(path)),
    ] {
        assert_eq!(settings[flag], value, "{flag}");
    }
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["machine"]["os"], std::env::consts::OS);
    assert!(report["machine"]["cores"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_wrong_answer_is_invalid() {
    let printed = verdict_on("wrong.py", "if count == 5: body['echo'] = 'nothing'");
    assert!(printed.contains("nothing"), "{printed}");
}

#[test]
fn a_node_that_dies_is_named_with_its_last_words() {
    let printed = verdict_on("dies.py", "if count == 5: sys.exit('out of coffee')");
    assert!(printed.contains("ended by itself"), "{printed}");
    assert!(printed.contains("exit status: 1"), "{printed}");
    assert!(printed.contains("out of coffee"), "{printed}");
}

#[test]
fn a_node_that_closes_its_stdout_in_mid_run_is_named() {
    let mute = "if count == 5: os.close(1)\n    if count >= 5: continue";
    let path = program("closes_stdout.py", &echo_node(mute));
    let output = test(&path, &format!("{SHORT} --concurrency 4"));
    assert_ends_with(0, &output);
    let printed = stdout(&output);
    assert!(printed.contains("never answered"), "{printed}");
    assert!(
        printed.contains("\n    n0 closed its stdout at 0."),
        "{printed}"
    );
    assert!(!printed.contains("has sent nothing"), "{printed}");
}

#[test]
fn a_node_that_is_killed_is_named_with_the_signal() {
    let printed = verdict_on("killed.py", "if count == 5: os.kill(os.getpid(), 9)");
    assert!(printed.contains("SIGKILL"), "{printed}");
}

#[test]
fn garbage_on_stdout_is_shown_escaped() {
    let printed = verdict_on("garbage.py", r"print('got \x1b[31mred', flush=True)");
    assert!(
        printed.contains("a line that is not a message (it is not JSON"),
        "{printed}"
    );
    assert!(printed.contains(r"got \u{1b}[31mred"), "{printed}");
}

#[test]
fn nothing_that_a_node_prints_reaches_the_terminal_raw() {
    let wrong = concat!(
        r"print('log \x1b[31m \x9b', file=sys.stderr, flush=True); ",
        r"say(message['src'], {'type': 'error', 'code': 11, 'text': 'no \x1b[31m \x7f', ",
        "'in_reply_to': body['msg_id']}); continue"
    );
    let node = program("escapes.py", &echo_node(wrong));
    let flags = format!("{SHORT} --log-stderr --log-net-send --log-net-recv");
    let dies = program(
        "dies_red.sh",
        "#!/bin/sh\nprintf '\\033[31mred\\n' >&2; exit 1",
    );
    for output in [test(&node, &flags), test(&dies, &flags)] {
        let printed = stdout(&output) + &stderr(&output);
        assert!(printed.contains(r"\u{1b}[31m"), "{printed}");
        let is_harmful = |char: char| char.is_control() && char != '\n' && char != '\t';
        assert!(!printed.contains(is_harmful), "{printed:?}");
    }
}

#[test]
fn stdout_that_is_not_utf8_is_garbage_too() {
    let wrong = r"sys.stdout.buffer.write(b'\xff\xfe\n'); sys.stdout.flush()";
    let printed = verdict_on("bytes.py", wrong);
    assert!(
        printed.contains("a line that is not a message"),
        "{printed}"
    );
    assert!(
        printed.contains(r"printed a line that is not UTF-8: \xff\xfe"),
        "{printed}"
    );
}

#[test]
fn warnings_are_shown_like_findings_and_count_with_strict_alone() {
    let wrong = "say(message['src'], {'type': 'echo_ok', 'echo': body['echo'], 'in_reply_to': body['msg_id']})";
    let path = program("answered-twice.py", &echo_node(wrong));
    let output = test(&path, SHORT);
    assert_ends_with(0, &output);
    let printed = stdout(&output);
    assert!(printed.starts_with("valid with warnings: "), "{printed}");
    let (_, warnings) = printed
        .split_once("\nWarnings: Maelstrom lets these pass\n")
        .expect("a heading");
    assert!(warnings.contains("had its answer already"), "{printed}");
    assert!(warnings.contains("\n      #"), "{printed}");

    let output = test(&path, &format!("{SHORT} --strict --json"));
    assert_ends_with(1, &output);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("one JSON object");
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    let warning = &report["warnings"][0];
    assert_eq!(warning["valid"], false);
    let what = warning["what"].as_str().expect("a text");
    assert!(what.contains("had its answer already"), "{what}");
}

#[test]
fn a_node_that_refuses_everything_is_invalid() {
    let wrong = "say(message['src'], {'type': 'error', 'code': 11, 'in_reply_to': body['msg_id']}); continue";
    let printed = verdict_on("refuses.py", wrong);
    assert!(printed.contains("of type echo succeeded"), "{printed}");
}

#[test]
fn what_a_node_printed_on_stderr_in_the_run_is_shown_where_operations_did_not_succeed() {
    let fail = "say(message['src'], {'type': 'error', 'code': 13, 'in_reply_to': body['msg_id']}); continue";
    let start = "count = 0; print('starting', file=sys.stderr, flush=True)";
    let verdict_on = |name, wrong: &str| {
        let node = echo_node(wrong).replacen("count = 0", start, 1);
        let node = node + "print('stdin has ended', file=sys.stderr)\n";
        verdict_on_program(&program(name, &node))
    };
    let printed = verdict_on("fails.py", fail);
    assert!(printed.contains("of type echo succeeded"), "{printed}");
    assert!(!printed.contains("on stderr"), "{printed}");
    let except = r#"print("Traceback:\n  a line\nKeyError: 'value'\n  at a line", file=sys.stderr, flush=True)"#;
    let printed = verdict_on("excepts.py", &format!("{except}; {fail}"));
    for node in ["n0", "n1"] {
        let expected = format!("\n    {node} printed on stderr: KeyError: 'value'\n");
        assert!(printed.contains(&expected), "{printed}");
    }
}

#[test]
fn availability_is_checked_when_it_is_asked_for() {
    let refuse = "say(message['src'], {'type': 'error', 'code': 13, 'in_reply_to': body['msg_id']}); continue";
    let wrong = format!("if count == 5: {refuse}");
    let path = program("unavailable.py", &echo_node(&wrong));
    assert_ends_with(0, &test(&path, SHORT));
    assert_ends_with(0, &test(&path, &format!("{SHORT} --availability 0.5")));
    let output = test(&path, &format!("{SHORT} --availability total"));
    assert_ends_with(1, &output);
    assert!(stdout(&output).contains("--availability total"));
}

#[test]
fn a_child_that_holds_the_pipes_open_does_not_outlive_the_run() {
    let node = program("inner.py", &echo_node("pass"));
    let nap = format!("sleep {}", 1_000_000 + std::process::id());
    let script = format!("#!/bin/sh\n{nap} &\nexec {}\n", node.display());
    assert_ends_with(0, &test(&program("holds.sh", &script), SHORT));
    // A process that was killed is gone only when it has run once more.
    let is_there = || {
        let processes = Command::new("ps").args(["-eo", "args"]).output();
        stdout(&processes.expect("ps")).contains(&nap)
    };
    let is_gone = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        !is_there()
    });
    assert!(is_gone, "{nap} goes on");
}

#[test]
fn the_end_of_a_script_is_seen_though_its_child_holds_the_pipes_open() {
    let script = "#!/bin/sh\nsleep 1000 &\necho gone >&2\nexit 3\n";
    let output = test(&program("leaves.sh", script), SHORT);
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    assert!(
        printed.contains("exit status: 3") && printed.contains("gone"),
        "{printed}"
    );
}

#[test]
fn a_node_that_stops_reading_does_not_stop_the_other() {
    // One client waits five seconds for n1 and is replaced. The one of n0 goes on.
    let path = program(
        "deaf.py",
        &echo_node("if me == 'n1' and count == 1: time.sleep(1000)"),
    );
    let output = test(&path, &format!("{SHORT} --json"));
    let report: Value = serde_json::from_str(&stdout(&output)).expect("one JSON object");
    assert_eq!(report["operations"]["indeterminate"], 1, "{report}");
    assert!(report["operations"]["ok"].as_u64() > Some(10), "{report}");
}

#[test]
fn full_pipes_in_both_directions_are_no_deadlock() {
    // More than a pipe holds is on its way to the node before it reads, and on its way back before we read.
    let wrong = "if count == 1: time.sleep(1)\n    body['echo'] = body['echo']";
    let path = program("slow.py", &echo_node(wrong));
    let output = test(
        &path,
        "--rate 1000000 --concurrency 4000 --time-limit 0.5 --json",
    );
    assert_ends_with(0, &output);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("one JSON object");
    assert!(
        report["operations"]["ok"].as_u64() >= Some(4000),
        "{report}"
    );
}

#[test]
fn arguments_after_the_dashes_go_to_the_node() {
    let node = echo_node("print(sys.argv[1:], file=sys.stderr)");
    let more = format!("{SHORT} --log-stderr -- --consistency linearizable");
    let output = test(&program("args.py", &node), &more);
    assert_ends_with(0, &output);
    assert!(stderr(&output).contains("n0: ['--consistency', 'linearizable']"));
}

#[test]
fn words_that_are_no_flags_go_to_the_node_too() {
    let node = echo_node("print(sys.argv[1:], file=sys.stderr)");
    let path = program("words.py", &node);
    let more = format!("echo --log-stderr {SHORT} fast -- -v");
    let output = test(&path, &more);
    assert_ends_with(0, &output);
    assert!(stderr(&output).contains("n0: ['echo', 'fast', '-v']"));
}

#[test]
fn a_consistency_model_may_be_named_with_any_workload() {
    let path = program("named.py", &echo_node("pass"));
    for model in ["read-committed", "sequential", "regular", "PL-2+"] {
        let more = format!("--consistency-models {model} --rate 100 --time-limit 0.1");
        assert_ends_with(0, &test(&path, &more));
    }
}

#[test]
fn messages_can_be_watched() {
    let path = program("messages-watched.py", &echo_node("pass"));
    let output = test(&path, &format!("{SHORT} --log-net-send --log-net-recv"));
    let printed = stderr(&output);
    // Which node is started first is the seed's choice.
    assert!(printed.contains("send #0 c1 → n1"), "{printed}");
    assert!(printed.contains("recv #0 c1 → n1"), "{printed}");
    assert!(printed.contains("c0 → n0"), "{printed}");
}

#[test]
fn a_run_goes_on_though_nobody_watches_any_longer() {
    let path = program("unwatched.py", &echo_node("pass"));
    let more = format!("{SHORT} --node-count 1 --log-net-recv");
    let (mut eddy, _, lines) = started(&mut eddy(&path, &more));
    drop(lines);
    assert_eq!(eddy.wait().expect("it ends").code(), Some(0));
}

#[test]
fn wrong_flags_are_reported_without_a_verdict() {
    for (more, expected) in [
        ("--rate -1", "expected a number from 0"),
        ("--time-limit -1", "expected a number from 0"),
        ("--latency -5", "expected a whole number from 0"),
        ("--consistency linearizable", "goes last, after --"),
        ("--stray", "goes last, after --"),
        ("\u{2013}-nemesis partition", "begins with an en dash"),
        ("--init-timeout 0", "more than no time"),
        ("--concurrency 0", "such as 4n"),
        ("--concurrency 18446744073709551615", "from 1 to 1000000"),
        ("--node-count 100000000", "from 1 to 1000000"),
        ("--key-count 1000000000000", "from 1 to 1000000"),
        ("--max-txn-length 1000000000000", "from 1 to 1000000"),
        ("--test-count 2 --watch", "cannot be used with"),
        ("--nemesis dragons", "partition"),
        ("--nemesis-interval 0", "more than no time"),
        ("--availability 2", "total"),
        ("--no-such-flag", "--no-such-flag"),
    ] {
        let output = test(Path::new("/bin/cat"), more);
        assert_ends_with(3, &output);
        let printed = stderr(&output);
        assert!(
            printed.contains("error:") && printed.contains(expected),
            "{printed}"
        );
    }
}

#[test]
fn a_killed_node_is_started_again_and_a_paused_one_goes_on() {
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("starts.log");
    let _ = fs::remove_file(&log);
    // Each incarnation says so once; the child of the shell must die with it. The child starts much sooner than the next
    // fault comes.
    let text = format!(
        "#!/bin/sh\necho start >> '{}'\n'{}'\n",
        log.display(),
        env!("CARGO_BIN_EXE_echo")
    );
    let path = program("starts.sh", &text);
    let more = "--node-count 1 --concurrency 60 --rate 20 --time-limit 3 --nemesis kill,pause --nemesis-interval 0.4";
    let output = eddy(&path, more).output().expect("eddy is built");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let starts = fs::read_to_string(&log)
        .expect("it was written")
        .lines()
        .count();
    assert!(starts > 2, "{starts} starts\n{printed}");
}
