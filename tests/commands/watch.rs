//! `eddy test --watch`: a run, in one line, each time the program changes.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::program::program;
use crate::python_node::echo_node;
use rustix::process::{Pid, Signal, kill_process};

const WRONG: &str = "body['echo'] = 'no'";

/// A command with `--watch`, and what it prints.
struct Watch {
    eddy: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Watch {
    fn start(command: &str, path: &Path) -> Self {
        Self::start_each(command, &[path.as_os_str()])
    }

    fn start_each(command: &str, programs: &[&OsStr]) -> Self {
        let mut eddy = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(command.split(' '))
            .args("--watch --no-store --node-count 1 --rate 20 --time-limit 1".split(' '))
            .args(
                programs
                    .iter()
                    .flat_map(|program| [OsStr::new("--bin"), program]),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("eddy is built");
        let stdout = BufReader::new(eddy.stdout.take().expect("a pipe")).lines();
        let stderr = BufReader::new(eddy.stderr.take().expect("a pipe")).lines();
        Watch {
            eddy,
            stdout,
            stderr,
        }
    }

    fn next(&mut self) -> String {
        let line = self.stdout.next().expect("it goes on");
        line.expect("UTF-8")
    }

    /// Interrupts it, and returns how it ended.
    fn interrupt(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.eddy), Signal::INT).expect("it is our child");
        self.eddy.wait().expect("it ends")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.eddy.kill();
    }
}

/// Puts another program in the place of the one at `path`, as an editor or a linker does.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("a file");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::rename(&new, path).expect("a file");
}

fn node(name: &str) -> PathBuf {
    program(name, &echo_node("pass"))
}

#[test]
fn each_version_is_run_once_and_compared_in_one_line_with_the_one_before() {
    let path = node("watched.py");
    let mut watch = Watch::start("test -w echo", &path);
    let line = watch.next();
    assert!(line.starts_with("run 1: valid; ok "), "{line}");
    replace(&path, &echo_node(WRONG));
    let line = watch.next();
    assert!(
        line.starts_with("run 2: INVALID, was valid; new: Client "),
        "{line}"
    );
    replace(&path, &echo_node("pass  # again"));
    let line = watch.next();
    assert!(
        line.starts_with("run 3: valid, was INVALID; gone: Client "),
        "{line}"
    );
    let status = watch.interrupt();
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{status}");
}

#[test]
fn a_program_that_is_missing_or_broken_for_a_while_does_not_end_the_watch() {
    let path = node("half-written.py");
    let mut watch = Watch::start("test -w echo", &path);
    watch.next();
    fs::remove_file(&path).expect("it is there");
    // Long enough to be noticed; where it is not, the watch goes on all the same.
    thread::sleep(Duration::from_millis(500));
    replace(&path, "");
    thread::sleep(Duration::from_millis(500));
    replace(&path, "#!/usr/bin/env python3\ndef (\n");
    let complaint = watch.stderr.next().expect("it complains").expect("UTF-8");
    assert!(
        complaint.contains("n0 ended before the run began"),
        "{complaint}"
    );
    replace(&path, &echo_node("pass"));
    let line = watch.next();
    assert!(line.starts_with("run 2: valid as before"), "{line}");
}

#[test]
fn challenges_are_watched_too() {
    let path = node("challenged.py");
    let mut watch = Watch::start("challenge 1", &path);
    let line = watch.next();
    assert!(line.starts_with("1 run 1: valid; ok "), "{line}");
    replace(&path, &echo_node(WRONG));
    let line = watch.next();
    assert!(
        line.starts_with("1 run 2: INVALID, was valid; new: "),
        "{line}"
    );
}

#[test]
fn of_several_challenges_those_are_run_again_whose_program_has_changed() {
    let echo = node("watched-echo.py");
    let ids = "say(message['src'], {'type': 'generate_ok', 'id': count, 'in_reply_to': body['msg_id']}); continue";
    let generate = program("watched-ids.py", &echo_node(ids));
    let programs = [("echo", &echo), ("unique-ids", &generate)];
    let programs = programs.map(|(workload, path)| format!("{workload}={}", path.display()));
    let mut watch = Watch::start_each("challenge 1 2", &programs.each_ref().map(OsStr::new));
    assert!(watch.next().starts_with("1 run 1: valid; ok "));
    assert!(watch.next().starts_with("2 run 1: valid; ok "));
    replace(&echo, "#!/usr/bin/env python3\ndef (\n");
    let complaint = watch.stderr.next().expect("a line").expect("UTF-8");
    assert!(
        complaint.starts_with("eddy: challenge 1: n0 ended before"),
        "{complaint}"
    );
    replace(&generate, &echo_node(&ids.replace("count", "1")));
    let line = watch.next();
    assert!(line.starts_with("2 run 2: INVALID, was valid"), "{line}");
    replace(&echo, &echo_node("pass"));
    let line = watch.next();
    assert!(line.starts_with("1 run 2: valid as before"), "{line}");
}

#[test]
fn a_watch_ends_with_a_run_that_is_interrupted_before_it_begins() {
    let path = program(
        "unready.sh",
        "#!/bin/sh\necho started >&2\nexec sleep 1000\n",
    );
    let mut watch = Watch::start("test -w echo --log-stderr", &path);
    let line = watch.stderr.next().expect("a line").expect("UTF-8");
    assert!(line.ends_with("started"), "{line}");
    kill_process(Pid::from_child(&watch.eddy), Signal::INT).expect("it is our child");
    let last = watch.stderr.next().expect("a line").expect("UTF-8");
    assert_eq!(last, "eddy: interrupted before the run began");
    // If it goes on, it runs this one.
    replace(&path, &echo_node("pass"));
    assert!(watch.stdout.next().is_none());
    assert_eq!(watch.eddy.wait().expect("it ends").code(), Some(3));
}

#[test]
fn a_program_that_is_not_there_at_the_beginning_is_an_error() {
    let mut watch = Watch::start("test -w echo", Path::new("/no/such/node"));
    let complaint = watch.stderr.next().expect("a line").expect("UTF-8");
    assert!(
        complaint.contains("there is no file /no/such/node"),
        "{complaint}"
    );
    assert_eq!(watch.eddy.wait().expect("it ends").code(), Some(3));
}
