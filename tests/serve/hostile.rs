//! Clients that would take more than their part.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use super::client::Client;
use super::node::parrot;
use super::service::{Service, WAIT_MAX, output};

#[track_caller]
fn assert_serves(service: &Service) {
    let answer = service.client().ask(json!({"type": "hello", "msg_id": 1}));
    assert_eq!(answer["type"], "hello_ok");
}

#[test]
fn a_line_without_end_closes_its_connection_and_takes_no_memory() {
    let service = Service::start(parrot(), "");
    let mut stream = TcpStream::connect(service.address).expect("it listens");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("not zero");
    let mut other = service.client();
    let chunk = vec![b'x'; 1 << 20];
    // More than a hundred may be sent before the connection is closed.
    while stream.write_all(&chunk).is_ok() {}
    assert_eq!(
        other.ask(json!({"type": "hello", "msg_id": 1}))["type"],
        "hello_ok"
    );
    assert!(
        service.peak_memory_bytes() < 32 << 20,
        "{}",
        service.peak_memory_bytes()
    );
}

#[test]
fn a_line_that_is_too_long_is_named_before_its_connection_is_closed() {
    let service = Service::start(parrot(), "--max-line 1000");
    let mut client = service.client();
    let echo = |length: usize| json!({"type": "hello", "text": "x".repeat(length), "msg_id": 1});
    assert_eq!(client.ask(echo(900))["type"], "hello_ok");
    client.send(&echo(1_000));
    assert_eq!(
        client.receive_refusal(),
        "the line is longer than 1000 bytes"
    );
    assert_serves(&service);
}

#[test]
fn a_client_that_does_not_read_is_closed_and_the_others_are_served() {
    let mut service = Service::start(parrot(), "");
    let mut stream = TcpStream::connect(service.address).expect("it listens");
    stream.set_write_timeout(Some(WAIT_MAX)).expect("not zero");
    let request = json!({"body": {"type": "big", "bytes": 500_000, "msg_id": 1}});
    let request = format!("{request}\n");
    let mut other = service.client();
    // The sockets hold some megabytes, and the service one.
    for _ in 0..60 {
        if stream.write_all(request.as_bytes()).is_err() {
            break;
        }
        assert_eq!(
            other.ask(json!({"type": "hello", "msg_id": 1}))["type"],
            "hello_ok"
        );
    }
    service.wait_for("c1 does not read its answers");
    assert_serves(&service);
    let mut rest = Vec::new();
    // What the sockets hold can still be read, and then the connection is at its end or reset.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 30_000_000);
    assert!(
        service.peak_memory_bytes() < 64 << 20,
        "{}",
        service.peak_memory_bytes()
    );
}

#[test]
fn an_answer_that_is_longer_than_the_limit_reaches_a_client_that_reads() {
    let service = Service::start(parrot(), "--max-output 1000");
    let mut client = service.client();
    for _ in 0..3 {
        let answer = client.ask(json!({"type": "big", "bytes": 3_000_000, "msg_id": 1}));
        assert_eq!(answer["text"].as_str().map(str::len), Some(3_000_000));
    }
}

#[test]
fn a_flood_of_requests_does_not_keep_others_waiting() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), "");
    let mut flood = TcpStream::connect(service.address).expect("it listens");
    let mut reads = flood.try_clone().expect("a descriptor is free");
    let lines = format!("{}\n", json!({"body": {"type": "echo", "echo": 1}})).repeat(1_000);
    let flooding = std::thread::spawn(move || while flood.write_all(lines.as_bytes()).is_ok() {});
    let mut other = service.client();
    for msg_id in 0..100 {
        let answer = other.ask(json!({"type": "echo", "echo": 7, "msg_id": msg_id}));
        // The node may be behind, and then it is said so.
        assert!(
            ["echo_ok", "error"].contains(&answer["type"].as_str().expect("a text")),
            "{answer}"
        );
    }
    assert!(
        service.peak_memory_bytes() < 96 << 20,
        "{}",
        service.peak_memory_bytes()
    );
    drop(service);
    let _ = reads.read_to_end(&mut Vec::new());
    flooding.join().expect("it ends with the connection");
}

#[test]
fn ten_thousand_clients_are_served_and_one_more_is_told_the_limit() {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Some descriptors are needed for something else.
    let count = limit.saturating_sub(1_000).clamp(1, 10_000) as usize;
    let service = Service::start(parrot(), &format!("--max-connections {count}"));
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..count {
        let mut client = service.client();
        if number % 100 == 0 {
            assert_eq!(
                client.ask(json!({"type": "hello", "msg_id": 1}))["type"],
                "hello_ok"
            );
        }
        clients.push(client);
    }
    for _ in 0..3 {
        let text = service.client().receive_refusal();
        assert!(
            text.contains(&format!("{count} connections at a time is the limit")),
            "{text}"
        );
    }
    for client in clients.iter_mut().rev().step_by(97) {
        assert_eq!(
            client.ask(json!({"type": "hello", "msg_id": 2}))["type"],
            "hello_ok"
        );
    }
    let memory_bytes = service.peak_memory_bytes();
    assert!(
        memory_bytes < (64 << 20) + count as u64 * (16 << 10),
        "{memory_bytes}"
    );
    clients.pop();
    // The place is free once the service has read the end of the connection.
    loop {
        let mut client = service.client();
        if client.ask(json!({"type": "hello", "msg_id": 1}))["type"] == "hello_ok" {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn memory_stays_flat_while_thousands_of_clients_come_and_go() {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let count = limit.saturating_sub(1_000).clamp(1, 2_000);
    let flags = format!("--max-connections {count}");
    let service = Service::start(env!("CARGO_BIN_EXE_echo"), &flags);
    let descriptors = format!("/proc/{}/fd", service.child.id());
    let descriptor_count = || std::fs::read_dir(&descriptors).expect("it runs").count();
    let before = descriptor_count();
    for _ in 0..4 {
        let mut clients: Vec<Client> = (0..count).map(|_| service.client()).collect();
        for client in &mut clients {
            let answer =
                client.ask(json!({"type": "echo", "echo": "x".repeat(1_000), "msg_id": 1}));
            assert_eq!(answer["type"], "echo_ok");
        }
        drop(clients);
        while descriptor_count() > before {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(
        service.peak_memory_bytes() < 96 << 20,
        "{}",
        service.peak_memory_bytes()
    );
}

#[test]
fn connections_that_can_not_be_accepted_now_are_accepted_later() {
    let mut service = Service::start(parrot(), "");
    let mut client = service.client();
    client.ask(json!({"type": "hello", "msg_id": 1}));
    let process = Pid::from_child(&service.child);
    let none_is_free = Rlimit {
        current: Some(1),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(Some(process), Resource::Nofile, none_is_free).expect("it is ours");
    let mut waits = service.client();
    waits.send(&json!({"type": "hello", "msg_id": 2}));
    service.wait_for("connections have to wait: ");
    assert_eq!(
        client.ask(json!({"type": "hello", "msg_id": 3}))["type"],
        "hello_ok"
    );
    prlimit(Some(process), Resource::Nofile, before).expect("it is ours");
    assert_eq!(waits.receive_body()["type"], "hello_ok");
}

#[test]
fn a_service_that_may_open_few_files_says_so() {
    let limited = |files: u32, flags: &str| {
        let mut command = std::process::Command::new("/bin/sh");
        let eddy = env!("CARGO_BIN_EXE_eddy");
        let node = parrot().display();
        let script = format!(
            "ulimit -n {files}; exec {eddy} serve --listen 127.0.0.1:0 --bin {node} {flags}"
        );
        command
            .args(["-c", &script])
            .stderr(std::process::Stdio::piped());
        command
    };
    let (code, printed) = output(limited(100, ""));
    assert_eq!(code, Some(3));
    assert!(
        printed.contains("may open 100 files at a time, and needs at least 145"),
        "{printed}"
    );
    let service = Service::run(limited(154, ""));
    assert!(
        service.log[0].contains("at most 10 clients at a time instead of 1000"),
        "{:?}",
        service.log
    );
    assert_serves(&service);
}

#[test]
fn a_client_whose_host_is_gone_will_be_noticed() {
    let service = Service::start(parrot(), "");
    let mut client = service.client();
    client.ask(json!({"type": "hello", "msg_id": 1}));
    let other = client.stream().local_addr().expect("it is connected");
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("this is Linux");
    let [own, other] = [service.address, other].map(|address| format!(":{:04X}", address.port()));
    let is_wanted = |fields: &Vec<&str>| fields[1].ends_with(&own) && fields[2].ends_with(&other);
    let mut sockets = sockets
        .lines()
        .map(|line| line.split_whitespace().collect());
    let socket = sockets.find(is_wanted).expect("the socket of the service");
    // The timer that runs is the one that asks.
    assert!(socket[5].starts_with("02:"), "{socket:?}");
}

#[test]
fn a_connection_that_is_reset_is_forgotten() {
    let service = Service::start(parrot(), "--max-connections 1");
    for _ in 0..20 {
        let mut client = service.client();
        let answer = client.ask_or_end(json!({"type": "big", "bytes": 100_000, "msg_id": 1}));
        // With its answer unread, the socket is closed with a reset.
        client.send(&json!({"type": "big", "bytes": 100_000, "msg_id": 2}));
        drop(answer);
    }
    loop {
        let mut client = service.client();
        match client.ask_or_end(json!({"type": "hello", "msg_id": 1})) {
            Some(answer) if answer["type"] == "hello_ok" => break,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

impl Client {
    /// Sends a request, and receives the body of the answer unless the connection ends.
    fn ask_or_end(&mut self, body: serde_json::Value) -> Option<serde_json::Value> {
        let line = format!("{}\n", json!({"body": body}));
        match self.stream().write_all(line.as_bytes()) {
            Err(error)
                if [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()) =>
            {
                None
            }
            result => {
                result.expect("nothing else happens");
                self.receive().map(|mut line| line["body"].take())
            }
        }
    }
}
