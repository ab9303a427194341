//! What clients send and get.

use std::io::Write;

use serde_json::{Value, json};

use super::node::parrot;
use super::service::Service;

#[test]
fn a_client_gets_the_answer_to_its_request_and_nobody_elses() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), "--id n7");
    let mut clients = [service.client(), service.client()];
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(&json!({"type": "echo", "echo": {"a": [index]}, "msg_id": 5}));
    }
    for (index, client) in clients.iter_mut().enumerate().rev() {
        let expected = json!({
            "src": "n7",
            "dest": format!("c{}", index + 1),
            "body": {"type": "echo_ok", "echo": {"a": [index]}, "in_reply_to": 5},
        });
        assert_eq!(client.receive(), Some(expected));
    }
}

#[test]
fn requests_in_one_write_are_all_answered_even_if_they_have_one_id() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), "");
    let mut client = service.client();
    let lines: Vec<String> = (0..500)
        .map(|number| json!({"body": {"type": "echo", "echo": number, "msg_id": 1}}).to_string())
        .collect();
    client.send_line(&lines.join("\n"));
    for number in 0..500 {
        assert_eq!(client.receive_body()["echo"], number);
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answers() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), "");
    let mut client = service.client();
    client.send(&json!({"type": "echo", "echo": 1, "msg_id": 1}));
    client.shut_down_write();
    assert_eq!(client.receive_body()["echo"], 1);
    assert_eq!(client.receive(), None);
}

#[test]
fn an_empty_line_is_ignored_and_the_last_line_needs_no_newline() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), "");
    let mut client = service.client();
    client.send_line("\n ");
    let line = json!({"body": {"type": "echo", "echo": 1, "msg_id": 1}}).to_string();
    let sent = client.stream().write_all(line.as_bytes());
    sent.expect("the connection is open");
    client.shut_down_write();
    assert_eq!(client.receive_body()["echo"], 1);
    assert_eq!(client.receive(), None);
}

#[test]
fn nobody_can_speak_for_another() {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    for src in [
        json!("n1"),
        json!("c0"),
        json!("seq-kv"),
        json!(7),
        Value::Null,
    ] {
        let line = json!({"src": src, "dest": "n9", "body": {"type": "seen", "msg_id": 1}});
        client.send_line(&line.to_string());
        assert_eq!(client.receive_body()["src"], "c1");
    }
}

#[test]
fn clients_can_send_neither_init_nor_replies_to_the_node() {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    let init = json!({"type": "init", "node_id": "n9", "node_ids": ["n9"], "msg_id": 1});
    assert_eq!(client.ask(init)["code"], 10);
    client.send(&json!({"type": "read_ok", "value": 7, "in_reply_to": 1}));
    let answer = client.ask(json!({"type": "add_ok", "in_reply_to": 1, "msg_id": 3}));
    assert_eq!(
        (&answer["code"], &answer["in_reply_to"]),
        (&json!(10), &json!(3)),
        "{answer}"
    );
    let seen = client.ask(json!({"type": "seen", "msg_id": 2}));
    assert_eq!(
        (&seen["messages"], &seen["nodes"]),
        (&json!([]), &json!(["n0"]))
    );
}

#[test]
fn what_is_no_request_gets_error_12_and_the_connection_goes_on() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), "");
    let mut client = service.client();
    let long_id = "x".repeat(200);
    for (line, in_reply_to) in [
        ("hello", json!(null)),
        ("[]", json!(null)),
        ("{}", json!(null)),
        (r#"{"body":[]}"#, json!(null)),
        (r#"{"body":{}}"#, json!(null)),
        (
            r#"{"body":{"type":"echo","msg_id":1},"body":{}}"#,
            json!(null),
        ),
        (r#"{"body":{"type":7,"msg_id":3}}"#, json!(3)),
        (r#"{"body":{"msg_id":"a"}}"#, json!("a")),
        (
            r#"{"body":{"type":"echo","echo":1,"msg_id":[1]}}"#,
            json!(null),
        ),
        (r#"{"body":{"type":"peer","id":"n1","msg_id":4}}"#, json!(4)),
        (
            &json!({"body": {"type": "echo", "msg_id": long_id}}).to_string(),
            json!(null),
        ),
    ] {
        // The first line could be taken for that of a peer.
        client.ask(json!({"type": "echo", "echo": 1, "msg_id": 1}));
        client.send_line(line);
        let answer = client.receive_body();
        let got = [&answer["type"], &answer["code"], &answer["in_reply_to"]];
        assert_eq!(
            got,
            [&json!("error"), &json!(12), &in_reply_to],
            "{line}: {answer}"
        );
    }
    assert_eq!(
        client.ask(json!({"type": "echo", "echo": 1, "msg_id": 1}))["type"],
        "echo_ok"
    );
}

#[test]
fn a_line_that_is_not_utf_8_gets_error_12() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), "");
    let mut client = service.client();
    let request = json!({"type": "echo", "echo": 1, "msg_id": 1});
    client.ask(request.clone());
    client
        .stream()
        .write_all(b"\xff\n")
        .expect("the connection is open");
    assert_eq!(client.receive_body()["code"], 12);
    assert_eq!(client.ask(request)["type"], "echo_ok");
}

#[test]
fn a_request_without_an_id_reaches_the_node_and_its_answer_nobody() {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    client.send(&json!({"type": "tell", "dest": "n0", "message": {"type": "note"}}));
    client.ask_until(json!({"type": "seen", "msg_id": 1}), |answer| {
        assert_eq!(answer["type"], "seen_ok");
        answer["messages"] == json!([["n0", {"type": "note"}]])
    });
}

#[test]
fn an_answer_to_no_request_is_not_passed_on() {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    for in_reply_to in [json!(99), json!(null)] {
        let message = json!({"type": "made_up", "in_reply_to": in_reply_to});
        let tell = json!({"type": "tell", "dest": "c1", "message": message, "msg_id": 1});
        assert_eq!(client.ask(tell)["type"], "tell_ok");
    }
}

#[test]
fn more_requests_than_may_be_open_get_error_11() {
    const OPEN_MAX: u64 = 1_024;
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    for msg_id in 0..=OPEN_MAX {
        client.send(&json!({"type": "hold", "msg_id": msg_id}));
    }
    let answer = client.receive_body();
    assert_eq!(
        (&answer["code"], &answer["in_reply_to"]),
        (&json!(11), &json!(OPEN_MAX))
    );
    let mut other = service.client();
    assert_eq!(
        other.ask(json!({"type": "hello", "msg_id": 1}))["type"],
        "hello_ok"
    );
}

#[test]
fn a_request_that_the_node_never_answers_gets_error_0() {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    let answer = client.ask(json!({"type": "never", "msg_id": 8}));
    assert_eq!(
        (&answer["code"], &answer["in_reply_to"]),
        (&json!(0), &json!(8))
    );
}
