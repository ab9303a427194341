//! Signals: a node that gets SIGTERM, and a node that is stopped for a long time.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{ECHO, G_COUNTER, LEVELS, Process, request};
use crate::store::{Store, assert_counts, impatient_counter};

#[test]
fn a_node_ends_at_sigterm_even_if_nobody_reads_its_output() {
    for is_flooded in [false, true] {
        let mut node = Process::initialised(G_COUNTER, &[]);
        let mut input = node.take_input();
        let feeder = thread::spawn(move || {
            use std::io::Write;
            let read = request("c1", json!({"type": "x", "msg_id": 1})) + "\n";
            // Until the node has ended.
            while is_flooded && input.write_all(read.as_bytes()).is_ok() {}
            input
        });
        node.signal(Signal::TERM);
        let ended = node.wait();
        assert_eq!((ended.exit_code, ended.errors.as_str()), (None, ""));
        drop(feeder.join().expect("the feeder doesn't panic"));
    }
}

#[test]
fn a_node_that_slept_through_its_deadlines_answers_each_operation_once_and_truly() {
    for level in LEVELS {
        let mut store = Store::default();
        let mut node = impatient_counter(level);
        for msg_id in 1..=3 {
            node.send(&request(
                "c1",
                json!({"type": "add", "delta": 1, "msg_id": msg_id}),
            ));
        }
        // Its first request to the store is sent before it is stopped, but not answered.
        let mut unanswered = vec![node.message()];
        node.stop();
        // Longer than its operations may take.
        thread::sleep(Duration::from_millis(600));
        for msg_id in 4..=6 {
            node.send(&request(
                "c1",
                json!({"type": "add", "delta": 1, "msg_id": msg_id}),
            ));
        }
        node.go_on();
        let mut answered = Vec::new();
        while answered.len() < 6 {
            let message = match unanswered.pop() {
                Some(message) => message,
                None => node.message(),
            };
            if message["dest"] == "seq-kv" {
                let line = crate::store::answer(&message, store.handle(&message["body"]));
                node.send(&line);
            } else {
                answered.push(message["body"].clone());
            }
        }
        let mut ids: Vec<i64> = answered
            .iter()
            .filter_map(|body| body["in_reply_to"].as_i64())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6], "{level}");
        let is = |kind: &'static str| answered.iter().filter(move |body| body["type"] == kind);
        let added = is("add_ok").count() as i64;
        // At linearizable the first add was sent, and the store has it. Nothing was sent that could have added the others.
        let is_sent = |body: &Value| level == "linearizable" && body["in_reply_to"] == 1;
        let sent = is("error").filter(|body| is_sent(body)).count() as i64;
        let is_true = |body: &Value| body["code"] == if is_sent(body) { 0 } else { 11 };
        assert!(is("error").all(is_true), "{level}: {answered:?}");
        assert_counts(&mut node, &mut store, added + sent);
    }
}

#[test]
fn a_node_that_is_stopped_in_a_flood_loses_nothing() {
    let mut node = Process::initialised(ECHO, &[]);
    let mut input = node.take_input();
    let feeder = thread::spawn(move || {
        use std::io::Write;
        for msg_id in 0..20_000 {
            let line = request("c1", json!({"type": "echo", "echo": "x", "msg_id": msg_id})) + "\n";
            input.write_all(line.as_bytes()).expect("the node reads");
        }
    });
    for msg_id in 0..20_000 {
        if msg_id % 2_000 == 0 {
            node.stop();
            node.go_on();
        }
        assert_eq!(node.message()["body"]["in_reply_to"], msg_id);
    }
    feeder.join().expect("the feeder doesn't panic");
    assert_eq!(node.end().exit_code, Some(0));
}
