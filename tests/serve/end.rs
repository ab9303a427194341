//! The end of a service.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use super::client::Client;
use super::node::{parrot, program};
use super::node_process::pid;
use super::service::{Service, WAIT_MAX};

/// A service, a client with a request that the node has received and holds back until SIGUSR1, and the node's process.
fn with_an_open_request() -> (Service, Client, Pid) {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    let node = pid(&client.ask(json!({"type": "pid", "msg_id": 1})));
    client.send(&json!({"type": "hold", "msg_id": 2}));
    client.ask(json!({"type": "seen", "msg_id": 3}));
    (service, client, node)
}

#[test]
fn at_sigterm_open_requests_are_answered_and_new_ones_refused() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (mut service, mut client, node) = with_an_open_request();
        service.signal(signal);
        service.wait_for("ends after 1 request is answered");
        let answer = client.ask(json!({"type": "hello", "msg_id": 4}));
        assert_eq!(
            (&answer["code"], &answer["in_reply_to"]),
            (&json!(11), &json!(4))
        );
        assert!(std::net::TcpStream::connect(service.address).is_err());
        kill_process(node, Signal::USR1).expect("it runs");
        assert_eq!(
            client.receive_body(),
            json!({"type": "hold_ok", "in_reply_to": 2})
        );
        assert_eq!(client.receive(), None);
        assert_eq!(service.wait().code(), Some(0));
        assert!(test_kill_process(node).is_err());
    }
}

#[test]
fn a_service_without_open_requests_just_ends() {
    let mut service = Service::start(parrot(), "");
    service.signal(Signal::TERM);
    let line = service.wait_for(" ends");
    assert!(line.starts_with("eddy serve: ends; "), "{line}");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn a_request_that_is_never_answered_does_not_keep_the_service() {
    let mut service = Service::start(parrot(), "");
    let mut client = service.client();
    client.send(&json!({"type": "never", "msg_id": 1}));
    client.ask(json!({"type": "seen", "msg_id": 2}));
    service.signal(Signal::TERM);
    assert_eq!(client.receive_body()["code"], 0);
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut service, mut client, node) = with_an_open_request();
    service.signal(Signal::TERM);
    service.wait_for("a second signal ends it at once");
    service.signal(Signal::TERM);
    assert_eq!(client.receive(), None);
    assert_eq!(service.wait().code(), Some(0));
    assert!(test_kill_process(node).is_err());
}

#[test]
fn a_node_that_dies_while_the_service_ends_is_not_started_again() {
    let (mut service, mut client, node) = with_an_open_request();
    service.signal(Signal::TERM);
    service.wait_for("ends after 1 request is answered");
    kill_process(node, Signal::KILL).expect("it runs");
    assert_eq!(client.receive_body()["code"], 13);
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn the_node_ends_with_a_service_that_is_killed_even_if_it_does_not_read() {
    // It says who it is, answers init, and then ignores the end of its input.
    let answer = json!({"src": "n0", "dest": "c0", "body": {"type": "init_ok", "in_reply_to": 1}});
    let text = format!("#!/bin/sh\nread -r init\necho $$ >&2\necho '{answer}'\nexec sleep 1000\n");
    let mut service = Service::start(program("ignores-end.sh", &text), "");
    let mut lines = service.log.iter();
    let node = lines.find_map(|line| line.strip_prefix("n0: "));
    let node = node.expect("it comes first").parse().expect("a number");
    let node = Pid::from_raw(node).expect("a process id");
    service.signal(Signal::KILL);
    service.wait();
    let until = Instant::now() + WAIT_MAX;
    while test_kill_process(node).is_ok() {
        assert!(Instant::now() < until, "the node still runs");
        thread::sleep(Duration::from_millis(20));
    }
}
