//! Connections that end, and connections that can't be made again.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::full_stdout::interrupted_while_it_prints;
use super::output::{assert_ends_with, stderr, stdout};
use super::served::Action::{Close, Ignore, Reply};
use super::served::{converse, counter, echo, let_in, open, refuse, serve};
use super::{eddy, load, report};

#[test]
fn a_request_on_a_connection_that_ends_has_an_unknown_outcome() {
    let wrong = |count, _: &Value| (count % 10 == 9).then_some(Close);
    let report = report("g-counter", &serve(3, counter(wrong)), "", 0);
    let operations = &report["operations"];
    assert!(operations["indeterminate"].as_u64() > Some(3), "{report}");
    assert_eq!(operations["failed"], 0, "{report}");
    assert!(operations["ok"].as_u64() > Some(100), "{report}");
}

/// Serves echo on a port. After so many requests it closes the listener and all connections, for this time.
fn serve_with_a_gap(requests: usize, gap: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let asked = Arc::new(AtomicUsize::new(0));
    let serve_until = move |listener: TcpListener, requests: usize| {
        let mut streams: Vec<TcpStream> = Vec::new();
        listener.set_nonblocking(true).expect("it is a socket");
        while asked.load(Ordering::SeqCst) < requests {
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            stream.set_nonblocking(false).expect("it is a socket");
            streams.push(stream.try_clone().expect("a descriptor"));
            let (asked, echo) = (Arc::clone(&asked), echo());
            let count = move |node, request: &Value| {
                asked.fetch_add(1, Ordering::SeqCst);
                echo(node, request)
            };
            thread::spawn(move || converse(0, &stream, &count));
        }
        for stream in streams {
            // It fails if eddy has closed it.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    };
    thread::spawn(move || {
        serve_until(listener, requests);
        thread::sleep(gap);
        let again = TcpListener::bind(address).expect("nobody else takes the port");
        serve_until(again, usize::MAX);
    });
    address.to_string()
}

#[test]
fn while_a_client_cannot_connect_its_requests_fail_and_later_they_succeed() {
    let address = serve_with_a_gap(100, Duration::from_secs(1));
    let report = report("echo", &[address], "--time-limit 6 --concurrency 2", 0);
    let operations = &report["operations"];
    let failed = operations["failed"].as_u64().expect("a number");
    // Two clients that waited longer each time: not one failure for each request that was due.
    assert!((2..40).contains(&failed), "{report}");
    assert!(operations["indeterminate"].as_u64() <= Some(2), "{report}");
    // There is time for a thousand. Neither the waiting nor a busy machine takes most of it.
    assert!(operations["ok"].as_u64() > Some(300), "{report}");
}

#[test]
fn clients_that_can_not_connect_for_long_are_a_warning() {
    let address = serve_with_a_gap(100, Duration::from_secs(1000));
    let report = report("echo", &[address], "--time-limit 4 --concurrency 3", 0);
    assert_eq!(report["findings"], json!([]), "{report}");
    let what = report["warnings"][0]["what"].as_str().expect("a warning");
    assert!(
        what.starts_with("3 of 3 clients could not connect, for up to "),
        "{what}"
    );
}

#[test]
fn an_answer_that_comes_after_its_client_gave_up_is_not_taken_for_an_answer_to_its_successor() {
    // The answer to the first request comes with that to the fiftieth, which another client has sent by then.
    let asked = AtomicUsize::new(0);
    let behaviour = open(
        move |_, request| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => {
                thread::sleep(Duration::from_millis(5200));
                Reply(json!({"type": "echo_ok", "echo": "late"}))
            }
            _ => Reply(json!({"type": "echo_ok", "echo": request["echo"]})),
        },
    );
    let more = "--time-limit 6 --concurrency 1 --strict";
    let report = report("echo", &serve(1, behaviour), more, 0);
    assert_eq!(report["operations"]["indeterminate"], 1, "{report}");
    assert!(report["operations"]["ok"].as_u64() > Some(100), "{report}");
}

#[test]
fn a_node_that_does_not_let_all_clients_in_is_named() {
    let asked = AtomicUsize::new(0);
    let behaviour = move |_, request: &Value| match request["type"] == "authenticate" {
        // The first is the question for the id.
        true if asked.fetch_add(1, Ordering::SeqCst) > 4 => refuse("too many connections"),
        true => let_in(),
        false => Ignore,
    };
    let output = load("echo", &serve(1, behaviour), "--concurrency 9");
    assert_ends_with(3, &output);
    let printed = stderr(&output);
    assert!(
        printed.contains(
            "eddy: 9 connections needed, and one to n0 could not be made: too many connections\n"
        ),
        "{printed}"
    );
}

/// Starts `eddy load` for a long time on a node that does not answer, and waits for its first request. Returns the process
/// and the folder of its run.
fn long_run(name: &str) -> (Child, PathBuf) {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&store);
    let (sender, first) = mpsc::channel();
    let sender = Mutex::new(sender);
    let behaviour = open(move |_, _| {
        // After the first, nobody listens.
        let _ = sender.lock().expect("no thread panics").send(());
        Ignore
    });
    let eddy = eddy("echo", &serve(1, behaviour), "--time-limit 100 --store")
        .arg(&store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("eddy is built");
    first.recv().expect("a request");
    (eddy, store.join("latest"))
}

#[test]
fn an_interrupt_after_the_run_ends_the_program() {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load-interrupted-late");
    let _ = fs::remove_dir_all(&store);
    let flags = "--rate 100 --time-limit 0.2 --recovery 0.2 --store";
    let mut command = eddy("echo", &serve(1, open(echo())), flags);
    command.arg(&store);
    let status = interrupted_while_it_prints(command, &store);
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
}

/// What a run that ended early has stored.
fn assert_is_cut_short(folder: &Path) {
    let results = fs::read_to_string(folder.join("results.json")).expect("it is stored");
    assert!(
        results.contains("The run was interrupted after"),
        "{results}"
    );
}

#[test]
fn an_interrupt_ends_a_run_and_reports_what_is_known_without_a_verdict() {
    let (eddy, folder) = long_run("load-interrupted");
    kill_process(Pid::from_child(&eddy), Signal::INT).expect("it runs");
    let output = eddy.wait_with_output().expect("it ends");
    assert_ends_with(2, &output);
    assert!(stdout(&output).contains("The run was interrupted after"));
    assert!(stderr(&output).starts_with("eddy: interrupted. What is known of the run is in "));
    assert_is_cut_short(&folder);
}

#[test]
fn a_stdout_that_is_closed_in_mid_run_ends_the_run() {
    let (mut eddy, folder) = long_run("load-unread");
    drop(eddy.stdout.take());
    let output = eddy.wait_with_output().expect("it ends");
    assert_ends_with(3, &output);
    assert!(stderr(&output).contains("the result can't be printed"));
    assert_is_cut_short(&folder);
}
