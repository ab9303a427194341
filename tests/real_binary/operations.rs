//! Operations at the edges of the protocol, and their replies.

use serde_json::{Value, json};

use crate::process::{ALL_LEVELS, ECHO, G_COUNTER, Process, UNIQUE_IDS, request};
use crate::store::{Store, assert_counts};

#[test]
fn an_echo_comes_back_byte_for_byte() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    for echo in [
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "1E+2",
        "1e400",
        "-1e-400",
        "0.1000",
        "123456789012345678901234567890",
        "\"\"",
        r#""\u0000\n\t\/\\\"""#,
        r#""\ud83d\ude00 \u00e9""#,
        r#""\ud800""#,
        "\"é ☃ 😀 \u{7f} \u{2028}\"",
        "[]",
        "{}",
        "[ 1 , 2 ]",
        r#"{ "b" : 1,"a":{"b":[null ]} }"#,
        r#"{"a":1,"a":2}"#,
        r#"{"":{"":[[]]}}"#,
        r#"{"src":"c1","body":{"type":"echo"}}"#,
        &deep,
        &long,
    ] {
        let mut node = Process::initialised(ECHO, &[]);
        node.send(&format!(
            r#"{{"src":"c1","dest":"n0","body":{{"msg_id":3,"echo":{echo},"type":"echo"}}}}"#
        ));
        let answer = node.line();
        let expected = format!(
            r#"{{"src":"n0","dest":"c1","body":{{"type":"echo_ok","in_reply_to":3,"echo":{echo}}}}}"#
        );
        assert!(
            answer == expected,
            "{} became {}",
            &echo[..echo.len().min(100)],
            &answer[..answer.len().min(200)]
        );
    }
}

#[test]
fn names_come_back_as_they_are_meant() {
    for client in [
        "c1",
        "c\u{0}",
        "\"\\\n",
        "é☃😀",
        " ",
        "12",
        &"long".repeat(200),
    ] {
        let mut node = Process::initialised(ECHO, &[]);
        node.send(&request(
            client,
            json!({"type": "echo", "echo": 1, "msg_id": 1}),
        ));
        assert_eq!(node.message()["dest"], client);
    }
}

#[test]
fn every_message_id_is_answered_as_it_is() {
    for level in ALL_LEVELS {
        let mut store = Store::default();
        let mut node = Process::initialised(G_COUNTER, &["--consistency", level]);
        for msg_id in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53] {
            node.send(&request(
                "c1",
                json!({"type": "add", "delta": 1, "msg_id": msg_id}),
            ));
            let message = node.serve(|body| store.handle(body));
            assert_eq!(
                message["body"],
                json!({"type": "add_ok", "in_reply_to": msg_id}),
                "{level}"
            );
        }
        assert_counts(&mut node, &mut store, 6);
    }
}

#[test]
fn an_add_without_a_message_id_counts_and_is_not_answered() {
    for level in ALL_LEVELS {
        let mut store = Store::default();
        let mut node = Process::initialised(G_COUNTER, &["--consistency", level]);
        node.send(&request("c1", json!({"type": "add", "delta": 3})));
        node.send(&request("c1", json!({"type": "read"})));
        node.send(&request(
            "c1",
            json!({"type": "add", "delta": 4, "msg_id": 1}),
        ));
        let message = node.serve(|body| store.handle(body));
        assert_eq!(
            message["body"],
            json!({"type": "add_ok", "in_reply_to": 1}),
            "{level}"
        );
        assert_counts(&mut node, &mut store, 7);
    }
}

#[test]
fn two_requests_with_one_message_id_are_two_requests() {
    for level in ALL_LEVELS {
        let mut store = Store::default();
        let mut node = Process::initialised(G_COUNTER, &["--consistency", level]);
        for _ in 0..2 {
            node.send(&request(
                "c1",
                json!({"type": "add", "delta": 3, "msg_id": 1}),
            ));
        }
        for _ in 0..2 {
            let message = node.serve(|body| store.handle(body));
            assert_eq!(
                message["body"],
                json!({"type": "add_ok", "in_reply_to": 1}),
                "{level}"
            );
        }
        assert_counts(&mut node, &mut store, 6);
    }
}

#[test]
fn a_total_that_would_overflow_is_refused_for_good_and_what_fits_still_counts() {
    let batches = ["1024", "1"];
    let all = ALL_LEVELS.map(|level| batches.map(|batch_max| (level, batch_max)));
    for (level, batch_max) in all.into_iter().flatten() {
        let mut store = Store::default();
        let flags = ["--consistency", level, "--max-batch", batch_max];
        let mut node = Process::initialised(G_COUNTER, &flags);
        let add = |delta: i64, msg_id: i64| {
            request(
                "c1",
                json!({"type": "add", "delta": delta, "msg_id": msg_id}),
            )
        };
        // All but the first wait for it and join one batch, or run one by one.
        let deltas = [1, i64::MAX, i64::MAX - 1, i64::MAX, 0, 1];
        let lines: Vec<String> = (1i64..)
            .zip(deltas)
            .map(|(msg_id, delta)| add(delta, msg_id))
            .collect();
        node.send(&lines.join("\n"));
        let mut outcomes = [
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
        ];
        for _ in 0..outcomes.len() {
            let message = node.serve(|body| store.handle(body));
            let body = &message["body"];
            let index = body["in_reply_to"].as_u64().expect("it is a reply") as usize - 1;
            assert!(outcomes[index].is_null(), "answered twice: {message}");
            outcomes[index] = if body["type"] == "add_ok" {
                json!("ok")
            } else {
                body["code"].clone()
            };
        }
        assert_eq!(
            outcomes,
            [
                json!("ok"),
                json!(14),
                json!("ok"),
                json!(14),
                json!("ok"),
                json!(14)
            ],
            "{level}, --max-batch {batch_max}"
        );
        assert_counts(&mut node, &mut store, i64::MAX);
    }
}

#[test]
fn a_sum_of_totals_beyond_the_range_is_read_exactly_and_not_added_to() {
    let mut store = Store::default();
    for key in ["g-counter/n0", "g-counter/n1"] {
        store.set(key, json!([i64::MAX, 4, 1]));
    }
    let mut node = Process::initialised(G_COUNTER, &[]);
    node.send(&request("c1", json!({"type": "read", "msg_id": 1})));
    let read = node.serve(|body| store.handle(body));
    assert_eq!(read["body"]["value"].to_string(), "18446744073709551614");
    node.send(&request(
        "c1",
        json!({"type": "add", "delta": 1, "msg_id": 2}),
    ));
    assert_eq!(node.serve(|body| store.handle(body))["body"]["code"], 14);
}

#[test]
fn a_node_that_is_named_twice_in_init_counts_once() {
    let mut store = Store::default();
    store.set("g-counter/n1", json!([7, 4, 1]));
    let mut node = Process::start(G_COUNTER, &[]);
    node.send(&request(
        "c0",
        json!({"type": "init", "node_id": "n0", "node_ids": ["n1", "n0", "n1", "n0", "n1"], "msg_id": 1}),
    ));
    assert_eq!(node.message()["body"]["type"], "init_ok");
    assert_counts(&mut node, &mut store, 7);
}

#[test]
fn a_second_init_is_answered_and_changes_nothing() {
    for program in [G_COUNTER, ECHO, UNIQUE_IDS] {
        let mut node = Process::initialised(program, &[]);
        node.send(&request(
            "c5",
            json!({"type": "init", "node_id": "n8", "node_ids": ["n8"], "msg_id": 9}),
        ));
        let message = node.message();
        assert_eq!(
            message["body"],
            json!({"type": "init_ok", "in_reply_to": 9})
        );
        assert_eq!(
            (&message["src"], &message["dest"]),
            (&json!("n0"), &json!("c5"))
        );
    }
}

#[test]
fn unique_ids_never_repeat_within_a_life_or_between_lives() {
    let mut ids = std::collections::BTreeSet::new();
    for _life in 0..20 {
        let mut node = Process::initialised(UNIQUE_IDS, &[]);
        let generate = request("c1", json!({"type": "generate", "msg_id": 1}));
        node.send(&[generate.as_str(); 100].join("\n"));
        for _ in 0..100 {
            let id = node.message()["body"]["id"].to_string();
            assert!(ids.insert(id.clone()), "{id} was given out twice");
        }
    }
}

#[test]
fn the_lines_of_a_real_run_are_understood() {
    let mut store = Store::default();
    let mut node = Process::start(G_COUNTER, &[]);
    // As Maelstrom 0.2.5 wrote them, with its key order and its ids.
    for (line, expected) in [
        (
            r#"{"id":1,"src":"c1","dest":"n2","body":{"type":"init","node_id":"n2","node_ids":["n0","n1","n2"],"msg_id":1}}"#,
            json!({"type": "init_ok", "in_reply_to": 1}),
        ),
        (
            r#"{"id":18,"src":"c8","dest":"n2","body":{"type":"read","msg_id":1}}"#,
            json!({"type": "read_ok", "in_reply_to": 1, "value": 0}),
        ),
        (
            r#"{"id":36,"src":"c8","dest":"n2","body":{"delta":4,"type":"add","msg_id":2}}"#,
            json!({"type": "add_ok", "in_reply_to": 2}),
        ),
        (
            r#"{"id":86,"src":"c8","dest":"n2","body":{"delta":0,"type":"add","msg_id":5}}"#,
            json!({"type": "add_ok", "in_reply_to": 5}),
        ),
        (
            r#"{"id":102,"src":"c8","dest":"n2","body":{"type":"read","msg_id":6}}"#,
            json!({"type": "read_ok", "in_reply_to": 6, "value": 4}),
        ),
    ] {
        node.send(line);
        assert_eq!(
            node.serve(|body| store.handle(body))["body"],
            expected,
            "{line}"
        );
    }
}
