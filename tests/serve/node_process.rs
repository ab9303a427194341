//! The node's process: its end, its restart, and what it prints.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::client::Client;
use super::node::{parrot, program};
use super::service::{Service, command, free_addresses};

/// The process id in an answer.
pub fn pid(answer: &Value) -> Pid {
    let pid = answer["pid"].as_i64().expect("a number");
    Pid::from_raw(pid as i32).expect("a process id")
}

#[test]
fn a_node_that_is_killed_is_started_again_and_its_open_requests_get_error_13() {
    let mut service = Service::start(parrot(), "");
    let mut client = service.client();
    let first = pid(&client.ask(json!({"type": "pid", "msg_id": 1})));
    client.send(&json!({"type": "hold", "msg_id": "a"}));
    client.send(&json!({"type": "hold", "msg_id": 3}));
    // The node has them when it answers the next one.
    client.ask(json!({"type": "seen", "msg_id": 4}));
    kill_process(first, Signal::KILL).expect("it runs");
    for msg_id in [json!("a"), json!(3)] {
        let answer = client.receive_body();
        assert_eq!(
            (&answer["code"], &answer["in_reply_to"]),
            (&json!(13), &msg_id)
        );
    }
    service.wait_for("signal: 9");
    let answer = client.ask(json!({"type": "pid", "msg_id": 5}));
    assert_eq!(
        (&answer["code"], &answer["in_reply_to"]),
        (&json!(11), &json!(5)),
        "{answer}"
    );
    service.wait_for(" is ready");
    let second = pid(&client.ask(json!({"type": "pid", "msg_id": 6})));
    assert_ne!(first, second);
}

#[test]
fn a_node_that_does_not_stay_up_is_started_again_later_and_later() {
    let ends = program("ends.sh", "#!/bin/sh\necho broken >&2\nexit 3\n");
    let mut service = Service::run_unready(command(ends, "--listen 127.0.0.1:0"));
    for delay in ["100ms", "200ms", "400ms"] {
        service.wait_for("n0: broken");
        let line = service.wait_for("n0 has ended: exit status: 3");
        assert!(
            line.ends_with(&format!("It is started again in {delay}")),
            "{line}"
        );
    }
    let answer = service.client().ask(json!({"type": "echo", "msg_id": 1}));
    assert_eq!(answer["code"], 11);
}

#[test]
fn a_node_that_answers_init_wrongly_or_closes_its_stdout_is_started_again() {
    for (name, does, logged) in [
        (
            "refuses.sh",
            r#"echo '{"src":"n0","dest":"c0","body":{"type":"error","code":13,"in_reply_to":1}}'; cat >/dev/null"#,
            "answered init wrongly",
        ),
        (
            "mute.sh",
            "exec >&-; cat >/dev/null",
            "has closed its stdout",
        ),
    ] {
        let node = program(name, &format!("#!/bin/sh\nread -r line\n{does}\n"));
        let mut service = Service::run_unready(command(node, "--listen 127.0.0.1:0"));
        service.wait_for(logged);
        service.wait_for(logged);
    }
}

#[test]
fn what_the_node_prints_on_stderr_is_in_the_log_with_its_name() {
    let mut service = Service::start(parrot(), "--id n4");
    service
        .client()
        .ask(json!({"type": "log", "text": "a \u{1b}[31mword", "msg_id": 1}));
    assert_eq!(service.wait_for("word"), "n4: a \u{fffd}[31mword");
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_the_service() {
    let [address] = free_addresses();
    let mut child = command(parrot(), &format!("--listen {address}"))
        .spawn()
        .expect("eddy is built");
    let mut client = Client::connect_soon(address);
    client.ask_until(json!({"type": "hello", "msg_id": 1}), |answer| {
        answer["type"] == "hello_ok"
    });
    let text = "x".repeat(900);
    for msg_id in 0..2_000 {
        let answer = client.ask(json!({"type": "log", "text": text, "msg_id": msg_id}));
        assert_eq!(answer["type"], "log_ok");
    }
    child.kill().expect("it runs");
    child.wait().expect("it was started here");
}

#[test]
fn a_node_that_does_not_read_gets_no_more_than_a_bounded_input() {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    let node = pid(&client.ask(json!({"type": "pid", "msg_id": 1})));
    kill_process(node, Signal::STOP).expect("it runs");
    let text = "x".repeat(1_000_000);
    for _ in 0..100 {
        client.send(&json!({"type": "hello", "text": text}));
    }
    client.send(&json!({"type": "hello", "msg_id": 2}));
    loop {
        let answer = client.receive_body();
        if answer["in_reply_to"] == 2 {
            assert_eq!(answer["code"], 11, "{answer}");
            break;
        }
    }
    assert!(
        service.peak_memory_bytes() < 64 << 20,
        "{}",
        service.peak_memory_bytes()
    );
    kill_process(node, Signal::CONT).expect("it runs");
    client.ask_until(json!({"type": "hello", "msg_id": 3}), |answer| {
        answer["type"] == "hello_ok"
    });
}

#[test]
fn what_is_no_message_is_named_in_the_log_and_passed_to_nobody() {
    let mut service = Service::start(parrot(), "");
    let mut client = service.client();
    for (text, logged) in [
        ("hello", "not an object"),
        (r#"{"src":"n0","body":{}}"#, "no dest"),
        (
            r#"{"src":"n5","dest":"c1","body":{"type":"x","in_reply_to":1}}"#,
            "src is not the node's id",
        ),
        (
            r#"{"src":"n0","dest":"c1","body":{"in_reply_to":1}}"#,
            "no type",
        ),
    ] {
        assert_eq!(
            client.ask(json!({"type": "say", "text": text, "msg_id": 1}))["type"],
            "say_ok"
        );
        service.wait_for(logged);
        // At most three such lines a second are logged.
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
}

#[test]
fn what_is_left_out_of_the_log_is_counted_by_the_service() {
    let mut service = Service::start(parrot(), "");
    let mut client = service.client();
    for (text, left_out) in [
        ("a\nb\nc\nd", "1 more line"),
        ("a\nb\nc\nd\ne", "2 more lines"),
    ] {
        client.ask(json!({"type": "say", "text": text, "msg_id": 1}));
        let line = service.wait_for(" more line");
        assert_eq!(line, format!("eddy serve: and {left_out} like that"));
    }
}
