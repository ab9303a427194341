//! The counters with a store under the control of the test, which may misbehave.

use serde_json::{Value, json};

pub use crate::kv::{Store, error as refusal};
use crate::process::{G_COUNTER, KAFKA, LEVELS, LIN_KV, Process, TXN_LIST_APPEND, request};

/// The line that answers `message` with `body`.
pub fn answer(message: &Value, mut body: Value) -> String {
    body["in_reply_to"] = message["body"]["msg_id"].clone();
    json!({"id": 8, "src": message["dest"], "dest": message["src"], "body": body}).to_string()
}

impl Process {
    /// Replies with `handle` to the node's requests to its store, until the node sends a client a message. Returns
    /// that message. Other nodes send nothing.
    pub fn serve(&mut self, mut handle: impl FnMut(&Value) -> Value) -> Value {
        loop {
            let message = self.message();
            match message["dest"].as_str().expect("it is text") {
                "seq-kv" | "lin-kv" => {
                    let line = answer(&message, handle(&message["body"]));
                    self.send(&line);
                }
                "n1" => {}
                _ => return message,
            }
        }
    }
}

/// A counter of this level whose operations time out soon.
pub fn impatient_counter(level: &str) -> Process {
    Process::initialised(
        G_COUNTER,
        &[
            "--consistency",
            level,
            "--op-timeout",
            "500ms",
            "--rpc-timeout",
            "20ms",
        ],
    )
}

pub fn add(msg_id: i64) -> String {
    request("c1", json!({"type": "add", "delta": 5, "msg_id": msg_id}))
}

pub fn read(msg_id: i64) -> String {
    request("c1", json!({"type": "read", "msg_id": msg_id}))
}

/// Asserts that the counter works: a read includes what was added.
pub fn assert_counts(node: &mut Process, store: &mut Store, value: i64) {
    node.send(&read(1_000));
    // Replies to older operations may come first.
    loop {
        let message = node.serve(|body| store.handle(body));
        if message["body"]["in_reply_to"] == 1_000 {
            assert_eq!(message["body"]["value"], value, "{message}");
            return;
        }
    }
}

/// Errors from a store: of the protocol, of the store's own, and of no known meaning.
const CODES: [i64; 15] = [
    0,
    1,
    10,
    11,
    12,
    13,
    14,
    20,
    21,
    22,
    30,
    999,
    1000,
    -1,
    i64::MAX,
];

#[test]
fn whatever_error_a_store_gives_an_add_counts_once_and_is_answered_truly() {
    for level in LEVELS {
        for code in CODES {
            for is_applied in [false, true] {
                let mut store = Store::default();
                let mut node = Process::initialised(
                    G_COUNTER,
                    &["--consistency", level, "--rpc-timeout", "50ms"],
                );
                let mut errors_left = 3;
                node.send(&add(1));
                let message = node.serve(|body| {
                    if body["type"] == "cas" && errors_left > 0 {
                        errors_left -= 1;
                        if is_applied {
                            store.handle(body);
                        }
                        return refusal(code);
                    }
                    store.handle(body)
                });
                assert_eq!(
                    message["body"],
                    json!({"type": "add_ok", "in_reply_to": 1}),
                    "{level}, code {code}"
                );
                assert_counts(&mut node, &mut store, 5);
            }
        }
    }
}

#[test]
fn while_a_store_gives_nothing_but_errors_operations_fail_in_time_and_afterwards_all_is_well() {
    for level in LEVELS {
        for code in [0, 11, 13, 20, 22, 1000] {
            let mut store = Store::default();
            let mut node = impatient_counter(level);
            node.send(&add(1));
            let message = node.serve(|_| refusal(code));
            assert_eq!(
                message["body"]["type"], "error",
                "{level}, code {code}: {message}"
            );
            let answered = message["body"]["code"].as_i64();
            assert!(
                matches!(answered, Some(0 | 11)),
                "{level}, code {code}: {message}"
            );
            // A refused cas has no effect, but the node can't know whether another copy is in flight.
            node.send(&add(2));
            let message = node.serve(|body| store.handle(body));
            assert_eq!(message["body"], json!({"type": "add_ok", "in_reply_to": 2}));
            let first_counts = answered == Some(0);
            let value = store_value(&store);
            assert!(
                value == 5 || (first_counts && value == 10),
                "{level}, code {code}: {value}"
            );
            assert_counts(&mut node, &mut store, value);
        }
    }
}

/// The total of the registers in the store.
fn store_value(store: &Store) -> i64 {
    let registers = store.values();
    registers.filter_map(|register| register[0].as_i64()).sum()
}

/// Values that no counter wrote.
fn unexpected_values() -> Vec<Value> {
    let mut values = vec![
        json!(null),
        json!(5),
        json!("text"),
        json!([]),
        json!({}),
        json!([1]),
        json!(["1", 2, 1]),
        json!([1, "2", 1]),
        json!([1.5, 2, 1]),
        json!([1, -2, 1]),
        json!([5, 0, 1]),
        json!([1, u64::MAX, 1]),
        json!([1, 1u64 << 53, 1]),
        json!([u64::MAX, 1, 1]),
        json!({"total": 1, "version": 2}),
        json!([1, 2]),
        json!([1, 2, 3, 4]),
        json!([1, 2, null]),
        json!([1, 2, ""]),
        json!([1, 0, "n0"]),
        json!([1, -1, "n0"]),
        json!([1, u64::MAX, "n0"]),
        json!([1, 1u64 << 53, "n0"]),
        json!(["1", 2, "n0"]),
        json!([u64::MAX, 2, "n0"]),
        json!([1, 2, "n0", "n0"]),
        json!([1, 2, "n0", "n0", "x"]),
        json!([1, 2, "n0", 5, "n0"]),
        json!([1, 2, "n0", ["n0", 5]]),
    ];
    values.push((0..300).fold(json!(1), |inner, _| json!([inner])));
    values
}

#[test]
fn a_value_that_no_counter_wrote_is_an_error_and_is_left_alone() {
    for level in LEVELS {
        for value in unexpected_values() {
            for key in ["g-counter", "g-counter/n0", "g-counter/n1"] {
                let mut store = Store::default();
                store.set(key, value.clone());
                let mut node = Process::initialised(G_COUNTER, &["--consistency", level]);
                let is_used = (level == "regular") == (key != "g-counter");
                node.send(&read(1));
                let message = node.serve(|body| store.handle(body));
                let body = &message["body"];
                if is_used {
                    assert_eq!(body["code"], 11, "{level}, {key} {value}: {message}");
                    let text = body["text"].as_str().expect("errors have a text");
                    assert!(text.contains(key), "{level}, {key} {value}: {message}");
                    assert_eq!(store.get(key), Some(&value));
                    // When the foreign writer has gone, the counter works.
                    store.remove(key);
                    assert_counts(&mut node, &mut store, 0);
                } else {
                    assert_eq!(body["value"], 0, "{level}, {key} {value}: {message}");
                }
            }
        }
    }
}

#[test]
fn a_register_of_one_kind_is_not_taken_for_the_other() {
    let shared = json!([1, 2, "n1", "n1", 5]);
    for (level, key, value) in [
        ("regular", "g-counter/n0", &shared),
        ("regular", "g-counter/n1", &shared),
        ("linearizable", "g-counter", &json!([1, 2, 3])),
        ("sequential", "g-counter", &json!([1, 2, 3])),
    ] {
        let mut store = Store::default();
        store.set(key, value.clone());
        let mut node = Process::initialised(G_COUNTER, &["--consistency", level]);
        node.send(&read(1));
        let message = node.serve(|body| store.handle(body));
        assert_eq!(message["body"]["code"], 11, "{level}, {key}: {message}");
    }
}

#[test]
fn answers_of_the_wrong_form_are_no_answers() {
    let wrong = [
        json!({"type": "read_ok"}),
        json!({"type": "read_ok", "value": null}),
        json!({"type": "cas"}),
        json!({}),
        json!({"type": "error"}),
        json!({"type": "error", "code": "22"}),
        json!({"type": "error", "code": 1.5}),
        json!({"type": 5}),
        json!({"type": "write_ok"}),
        json!({"type": "add_ok"}),
        json!({"type": "init_ok"}),
    ];
    for level in LEVELS {
        for body in &wrong {
            let mut store = Store::default();
            let flags = ["--consistency", level, "--rpc-timeout", "20ms"];
            let mut node = Process::initialised(G_COUNTER, &flags);
            let mut wrong_left = 2;
            node.send(&add(1));
            let message = node.serve(|request| {
                // Null is a value, and one that no counter wrote.
                let is_answer = body["type"] == "read_ok" && request["type"] == "read";
                if wrong_left > 0 && !is_answer {
                    wrong_left -= 1;
                    return body.clone();
                }
                store.handle(request)
            });
            assert_eq!(
                message["body"]["type"], "add_ok",
                "{level}, {body}: {message}"
            );
            assert_counts(&mut node, &mut store, 5);
        }
    }
}

#[test]
fn only_the_store_answers_for_the_store() {
    for level in LEVELS {
        let mut store = Store::default();
        let mut node = Process::initialised(G_COUNTER, &["--consistency", level]);
        node.send(&add(1));
        let mut forged = 0;
        // Before each reply of the store, the node gets wrong ones: from other senders, and to its id as text.
        let message = loop {
            let message = node.message();
            if message["dest"] != "seq-kv" {
                break message;
            }
            let id = &message["body"]["msg_id"];
            let as_text = json!(id.to_string());
            for (src, id) in [("c1", id), ("n1", id), ("lin-kv", id), ("seq-kv", &as_text)] {
                for body in [
                    json!({"type": "cas_ok"}),
                    json!({"type": "read_ok", "value": [900, 9]}),
                    refusal(20),
                ] {
                    let mut lie: Value =
                        serde_json::from_str(&answer(&message, body)).expect("it is JSON");
                    lie["src"] = json!(src);
                    lie["body"]["in_reply_to"] = id.clone();
                    node.send(&lie.to_string());
                    forged += 1;
                }
            }
            let truth = store.handle(&message["body"]);
            node.send(&answer(&message, truth));
        };
        assert!(forged > 0);
        assert_eq!(message["body"]["type"], "add_ok");
        assert_eq!(store_value(&store), 5);
        assert_counts(&mut node, &mut store, 5);
    }
}

#[test]
fn whatever_a_store_replies_its_other_nodes_answer_once_and_go_on_serving() {
    let requests = [
        (KAFKA, json!({"type": "send", "key": "k", "msg": 1})),
        (KAFKA, json!({"type": "poll", "offsets": {"k": 0}})),
        (
            KAFKA,
            json!({"type": "commit_offsets", "offsets": {"k": 0}}),
        ),
        (
            KAFKA,
            json!({"type": "list_committed_offsets", "keys": ["k"]}),
        ),
        (LIN_KV, json!({"type": "read", "key": 0})),
        (LIN_KV, json!({"type": "write", "key": 0, "value": 1})),
        (LIN_KV, json!({"type": "cas", "key": 0, "from": 0, "to": 1})),
        (
            TXN_LIST_APPEND,
            json!({"type": "txn", "txn": [["r", 0, null], ["append", 0, 1]]}),
        ),
    ];
    let mut answers: Vec<Value> = CODES.into_iter().map(refusal).collect();
    let values = [
        json!(null),
        json!("x"),
        json!(-1.5),
        json!([[1]]),
        json!({"k": {}}),
    ];
    answers.extend(values.map(|value| json!({"type": "read_ok", "value": value})));
    answers.extend([
        json!({"type": "error"}),
        json!({"type": "read_ok"}),
        json!({"type": "write_ok"}),
        json!({"type": "cas_ok"}),
        json!({"type": "echo_ok"}),
        json!({}),
    ]);
    for (program, mut request_body) in requests {
        request_body["msg_id"] = json!(7);
        for answer in &answers {
            let context = format!("{program}: {request_body}, {answer}");
            let limits = ["--op-timeout", "50ms", "--rpc-timeout", "10ms"];
            let mut node = Process::initialised(program, &limits);
            node.send(&request("c1", request_body.clone()));
            let message = node.serve(|_| answer.clone());
            assert_eq!(message["body"]["in_reply_to"], 7, "{context}");
            node.send(&request("c2", json!({"type": "x", "msg_id": 8})));
            let message = node.serve(|_| answer.clone());
            assert_eq!(
                (&message["body"]["in_reply_to"], &message["body"]["code"]),
                (&json!(8), &json!(10)),
                "{context}"
            );
            let ended = node.end();
            assert_eq!(ended.exit_code, Some(0), "{context}");
            let to_clients = |line: &&String| line.contains(r#""dest":"c"#);
            assert_eq!(ended.lines.iter().find(to_clients), None, "{context}");
        }
    }
}
