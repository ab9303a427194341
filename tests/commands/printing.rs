//! What `eddy` does when its results can't be printed: it stops at once and prints the reason.

use std::fs::{self, File};
use std::io::pipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use crate::program::program;
use crate::python_node::echo_node;
use crate::running::started;
use serde_json::Value;

/// A long run of `eddy test`, and the store of its run.
fn long_run(name: &str) -> (Command, PathBuf) {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&store);
    let node = echo_node("print('asked', count, file=sys.stderr, flush=True)");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command
        .args(
            "test -w echo --node-count 1 --rate 20 --time-limit 20 --log-stderr --store".split(' '),
        )
        .arg(&store)
        .arg("--bin")
        .arg(program(&format!("{name}.py"), &node));
    (command, store)
}

/// What a command prints on stderr that ends because it can't print its result.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    text
}

#[test]
fn a_stdout_that_nobody_reads_or_that_takes_nothing_ends_a_command_before_it_begins() {
    let unread = || {
        let (_, writer) = pipe().expect("a pipe");
        Stdio::from(writer)
    };
    let full = || {
        Stdio::from(
            File::options()
                .write(true)
                .open("/dev/full")
                .expect("Linux has it"),
        )
    };
    let unwritable = || Stdio::from(File::open("/dev/null").expect("it is there"));
    let stdouts: [(&str, &dyn Fn() -> Stdio); 3] = [
        ("Broken pipe", &unread),
        ("No space left", &full),
        ("Bad file descriptor", &unwritable),
    ];
    for (expected, stdout) in stdouts {
        let (mut command, store) = long_run("unprintable");
        let output = command.stdout(stdout()).output().expect("eddy is built");
        let text = complaint(&output);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("can't be printed") && text.contains(expected),
            "{text}"
        );
        assert!(!store.exists(), "{expected}: it began");
    }
}

#[test]
fn a_stdout_that_is_closed_in_mid_run_ends_the_run_and_keeps_what_is_known_of_it() {
    let (mut command, store) = long_run("unread");
    let (mut eddy, _, lines) = started(&mut command);
    drop(eddy.stdout.take());
    let last = lines.map_while(Result::ok).last().expect("a line");
    assert_eq!(eddy.wait().expect("it ends").code(), Some(3));
    assert!(last.contains("can't be printed: Broken pipe"), "{last}");
    let results = fs::read_to_string(store.join("latest/results.json")).expect("results");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["valid"], "unknown");
}

#[test]
fn a_campaign_that_nobody_reads_ends_early() {
    let mut eddy = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("sim -w echo --no-store --node-count 1 --time-limit 1 --seeds 1000000000".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("eddy is built");
    // Long enough for it to begin; where it has not, it ends all the same.
    thread::sleep(Duration::from_millis(500));
    drop(eddy.stdout.take());
    let output = eddy.wait_with_output().expect("it ends");
    assert!(complaint(&output).contains("can't be printed: Broken pipe"));
}
