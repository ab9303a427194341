//! Metrics for Prometheus.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use super::node::parrot;
use super::service::{Service, WAIT_MAX};
use super::tokens::{SECRET, token_file};

/// Sends bytes and returns all that comes back until the connection ends.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("not zero");
    // This fails if the other side has answered and closed the connection.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

/// The response to a request for a path.
pub fn get(address: SocketAddr, path: &str) -> String {
    exchange(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    )
}

#[test]
fn requests_are_counted_by_type_and_outcome() {
    let mut service = Service::start(parrot(), "--metrics 127.0.0.1:0");
    let mut client = service.client();
    for _ in 0..3 {
        client.ask(json!({"type": "hello", "msg_id": 1}));
    }
    client.ask(json!({"type": "init", "msg_id": 1}));
    client.send(&json!({"type": "end", "msg_id": 2}));
    assert_eq!(client.receive_body()["code"], 13);
    service.wait_for(" is ready");
    let mut leaves = service.client();
    leaves.send(&json!({"type": "hold", "msg_id": 1}));
    leaves.shut_down_write();
    drop(leaves);
    let text = get(service.metrics_address(), "/metrics");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    for line in [
        r#"eddy_requests_total{type="hello",outcome="ok"} 3"#,
        r#"eddy_requests_total{type="init",outcome="error_10"} 1"#,
        r#"eddy_requests_total{type="end",outcome="error_13"} 1"#,
        "eddy_request_seconds_count 3",
        r#"eddy_request_seconds_bucket{le="+Inf"} 3"#,
        "eddy_restarts_total 1",
        "eddy_peers_connected 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
}

#[test]
fn what_is_no_request_for_metrics_is_answered_and_harms_nobody() {
    let service = Service::start(parrot(), "--metrics 127.0.0.1:0");
    let address = service.metrics_address();
    for (bytes, status) in [
        (Vec::from(b"hello\n"), "400"),
        (b"\n".to_vec(), "400"),
        (b"{\"body\":{\"type\":\"hello\"}}\n".to_vec(), "400"),
        (b"\xff\xfe\n".to_vec(), "400"),
        (b"GET /metrics HTTP/2\n\n".to_vec(), "400"),
        (b"x".repeat(1 << 20), "400"),
        (
            [&b"GET /metrics HTTP/1.1\n"[..], &b"a: b\n".repeat(1_000)].concat(),
            "400",
        ),
        (b"GET / HTTP/1.1\n\n".to_vec(), "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n".to_vec(), "405"),
    ] {
        let answer = exchange(address, &bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown:?}: {answer}"
        );
    }
    // Those that say nothing are closed in the end, and too many of them at once.
    let silent: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).expect("it listens"))
        .collect();
    assert_eq!(
        service.client().ask(json!({"type": "hello", "msg_id": 1}))["type"],
        "hello_ok"
    );
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", service.child.id()));
    assert!(descriptors.expect("it runs").count() < 60);
    for mut stream in silent {
        stream.set_read_timeout(Some(WAIT_MAX)).expect("not zero");
        let end = stream.read(&mut [0]);
        let is_end = |error: std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(end.map_or_else(is_end, |count| count == 0));
    }
    assert!(get(address, "/metrics").starts_with("HTTP/1.1 200 "));
}

#[test]
fn with_a_token_metrics_need_it_too() {
    let token = token_file("metrics-token", SECRET);
    let flags = format!("--metrics 127.0.0.1:0 --token-file {}", token.display());
    let service = Service::start(parrot(), &flags);
    for (header, status) in [
        (String::new(), "401"),
        (String::from("Authorization: Bearer wrong\r\n"), "401"),
        (format!("X: Bearer {SECRET}\r\n"), "401"),
        (format!("authorization: bearer {SECRET}\r\n"), "200"),
        (format!("Authorization: Bearer {SECRET}\r\n"), "200"),
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\n{header}\r\n");
        let answer = exchange(service.metrics_address(), request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{header}: {answer}"
        );
    }
}
