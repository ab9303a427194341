//! More input than the node reads, more operations than its limit, and output that nobody reads.

use std::collections::BTreeMap;
use std::io::{Write, pipe};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{ECHO, G_COUNTER, G_SET, LEVELS, Process, request};
use crate::store::{Store, answer, assert_counts};

/// The maximum memory of a node, in KiB: the program itself, its buffers, and some more. A flood is many times as
/// large.
const MEMORY_MAX_KIB: u64 = 16 * 1024;

/// Writes lines in the order of sending, in a thread, so that the sender never waits for the node. The number counts
/// the lines that the node has accepted so far.
fn feed(mut input: ChildStdin) -> (Sender<String>, Arc<AtomicUsize>) {
    let (sender, lines) = channel::<String>();
    let fed = Arc::new(AtomicUsize::new(0));
    let counter = fed.clone();
    thread::spawn(move || {
        for line in lines {
            if input.write_all((line + "\n").as_bytes()).is_err() {
                return;
            }
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (sender, fed)
}

/// Waits until the node accepts no more input.
fn wait_until_full(node: &Process, fed: &AtomicUsize) {
    let mut same = 0;
    let mut last = 0;
    while same < 20 {
        thread::sleep(Duration::from_millis(5));
        let now = fed.load(Ordering::Relaxed);
        same = if now == last && node.state() == 'S' {
            same + 1
        } else {
            0
        };
        last = now;
    }
}

#[test]
fn while_nobody_reads_the_output_no_input_is_read_and_nothing_is_lost_or_reordered() {
    let mut node = Process::initialised_unread(ECHO, &[]);
    let (feeder, fed) = feed(node.take_input());
    let count = 200_000;
    let payload = "x".repeat(100);
    for msg_id in 0..count {
        let echo = json!({"type": "echo", "echo": payload, "msg_id": msg_id});
        feeder.send(request("c1", echo)).expect("the feeder lives");
    }
    wait_until_full(&node, &fed);
    let taken = fed.load(Ordering::Relaxed);
    assert!(taken < 10_000, "{taken} lines taken");
    let memory_kib = node.peak_memory_kib();
    assert!(memory_kib < MEMORY_MAX_KIB, "{memory_kib} KiB");
    assert_eq!(node.message()["body"]["type"], "init_ok");
    for msg_id in 0..count {
        assert_eq!(node.message()["body"]["in_reply_to"], msg_id);
    }
    let memory_kib = node.peak_memory_kib();
    assert!(memory_kib < MEMORY_MAX_KIB, "{memory_kib} KiB");
    drop(feeder);
    assert_eq!(node.wait().exit_code, Some(0));
}

#[test]
fn requests_at_hand_when_the_output_is_full_are_answered_once_it_drains_though_no_more_come() {
    // Without pending operations the node waits only for input: no timer wakes it.
    let mut node = Process::start(G_SET, &[]);
    let init = json!({"type": "init", "node_id": "n0", "node_ids": ["n0"], "msg_id": 1});
    node.send(&request("c0", init));
    let element = "x".repeat(20_000);
    let add = json!({"type": "add", "element": element, "msg_id": 2});
    node.send(&request("c1", add));
    let msg_ids = 3..43;
    let read = |msg_id| request("c1", json!({"type": "read", "msg_id": msg_id}));
    let reads: Vec<_> = msg_ids.clone().map(read).collect();
    node.send(&reads.join("\n"));
    wait_until_full(&node, &AtomicUsize::new(0));
    assert_eq!(node.message()["body"]["type"], "init_ok");
    assert_eq!(node.message()["body"]["type"], "add_ok");
    for msg_id in msg_ids {
        assert_eq!(node.message()["body"]["in_reply_to"], msg_id);
    }
}

#[test]
fn a_counter_with_both_sides_full_answers_everything_once_when_its_output_drains() {
    for level in LEVELS {
        let mut node = Process::initialised_unread(
            G_COUNTER,
            &["--consistency", level, "--max-pending", "100"],
        );
        let (feeder, fed) = feed(node.take_input());
        let count = 20_000;
        for msg_id in 0..count {
            let add = json!({"type": "add", "delta": 1, "msg_id": msg_id});
            feeder.send(request("c1", add)).expect("the feeder lives");
        }
        wait_until_full(&node, &fed);
        let mut store = Store::default();
        let mut answers = BTreeMap::new();
        let read = count;
        while !answers.contains_key(&read) {
            let message = node.message();
            if message["dest"] == "seq-kv" {
                let line = answer(&message, store.handle(&message["body"]));
                feeder.send(line).expect("the feeder lives");
                continue;
            }
            let Some(msg_id) = message["body"]["in_reply_to"]
                .as_u64()
                .filter(|_| message["dest"] == "c1")
            else {
                assert_eq!(message["body"]["type"], "init_ok");
                continue;
            };
            assert!(
                answers.insert(msg_id, message["body"].clone()).is_none(),
                "answered twice: {message}"
            );
            if answers.len() as u64 == count {
                feeder
                    .send(request("c1", json!({"type": "read", "msg_id": read})))
                    .expect("the feeder lives");
            }
        }
        let added = answers
            .values()
            .filter(|body| body["type"] == "add_ok")
            .count();
        let unsure = answers.values().filter(|body| body["code"] == 0).count();
        let value = answers[&read]["value"].as_u64().expect("it is a number") as usize;
        assert!(
            (added..=added + unsure).contains(&value),
            "{level}: {added} to {added}+{unsure}: {value}"
        );
        let memory_kib = node.peak_memory_kib();
        assert!(memory_kib < MEMORY_MAX_KIB, "{memory_kib} KiB");
    }
}

#[test]
fn one_operation_more_than_may_wait_is_refused_at_once() {
    for level in LEVELS {
        for pending_max in [1, 7, 100] {
            let arguments = [
                "--consistency",
                level,
                "--max-pending",
                &pending_max.to_string(),
            ];
            let mut node = Process::initialised(G_COUNTER, &arguments);
            let mut store = Store::default();
            for msg_id in 0..3 * pending_max {
                node.send(&request(
                    "c1",
                    json!({"type": "add", "delta": 1, "msg_id": msg_id}),
                ));
            }
            let mut questions = Vec::new();
            for refused in pending_max..3 * pending_max {
                let message = loop {
                    let message = node.message();
                    if message["dest"] == "c1" {
                        break message;
                    }
                    questions.push(message);
                };
                assert_eq!(
                    message["body"]["in_reply_to"], refused,
                    "{level}: {message}"
                );
                assert_eq!(message["body"]["code"], 11, "{level}: {message}");
            }
            // When the store replies, the pending operations complete, and there is capacity.
            for question in questions {
                let line = answer(&question, store.handle(&question["body"]));
                node.send(&line);
            }
            for accepted in 0..pending_max {
                let message = node.serve(|body| store.handle(body));
                assert_eq!(
                    message["body"],
                    json!({"type": "add_ok", "in_reply_to": accepted}),
                    "{level}"
                );
            }
            assert_counts(&mut node, &mut store, pending_max);
        }
    }
}

#[test]
fn a_store_that_never_answers_costs_every_operation_its_time_and_nothing_else() {
    for level in LEVELS {
        let mut node = crate::store::impatient_counter(level);
        for msg_id in 0..100 {
            let body = match msg_id % 2 {
                0 => json!({"type": "add", "delta": 1, "msg_id": msg_id}),
                _ => json!({"type": "read", "msg_id": msg_id}),
            };
            node.send(&request("c1", body));
        }
        let mut unanswered: Vec<Value> = (0..100).map(|msg_id| json!(msg_id)).collect();
        let mut questions = Vec::new();
        while !unanswered.is_empty() {
            let message = node.message();
            if message["dest"] == "seq-kv" {
                questions.push(message);
                continue;
            }
            let body = &message["body"];
            // At linearizable the first operation is sent at once, the others wait. The other levels read first.
            let is_sent = level == "linearizable" && body["in_reply_to"] == 0;
            assert_eq!(body["code"], if is_sent { 0 } else { 11 }, "{message}");
            let at = unanswered
                .iter()
                .position(|msg_id| *msg_id == body["in_reply_to"]);
            unanswered.swap_remove(at.expect("each is answered once"));
        }
        assert!(questions.len() < 100, "{} questions", questions.len());
        // All replies come in the end, twice: the second ones answer nothing, or help.
        let mut store = Store::default();
        for question in questions.iter().chain(&questions) {
            let line = answer(question, store.handle(&question["body"]));
            node.send(&line);
        }
        let added = i64::from(level == "linearizable");
        assert_counts(&mut node, &mut store, added);
    }
}

#[test]
fn complaints_that_nobody_reads_do_not_hold_the_node_up() {
    let (_unread, mut errors) = pipe().expect("there are pipes");
    // As much as a pipe holds.
    errors
        .write_all(&[b'\n'; 64 << 10])
        .expect("the pipe has room");
    let mut command = Command::new(ECHO);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors);
    let mut node = Process::adopt(&mut command);
    node.send("hello");
    let init = json!({"type": "init", "node_id": "n0", "node_ids": ["n0"], "msg_id": 1});
    node.send(&request("c0", init));
    assert_eq!(node.message()["body"]["type"], "init_ok");
    assert_eq!(node.end().exit_code, Some(0));
}

#[test]
fn a_flood_costs_a_read_and_a_write_for_each_pipe_full_of_messages() {
    const MESSAGES: usize = 500;
    let echo = json!({"type": "echo", "echo": "x", "msg_id": 7});
    let add = json!({"type": "add", "delta": 1, "msg_id": 7});
    // The counter sends its store one request for all of them.
    for (program, body, lines_written) in [(ECHO, echo, MESSAGES), (G_COUNTER, add, 1)] {
        let mut node = Process::initialised(program, &[]);
        let calls_before = node.reads_and_writes();
        // While it is stopped, all of them gather in its pipe.
        node.stop();
        node.send_bytes((request("c1", body) + "\n").repeat(MESSAGES).as_bytes());
        node.go_on();
        for _ in 0..lines_written {
            node.line();
        }
        let calls = node.reads_and_writes() - calls_before;
        assert!(calls <= 3, "{calls} system calls for {MESSAGES} messages");
    }
}
