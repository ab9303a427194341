//! Members that do not respond as etcd does. The reply must not be a definite error if the request may have taken effect.

use std::sync::{Arc, Mutex};
use std::thread;

use eddy::workbench::service::etcd::IN_FLIGHT_MAX;
use serde_json::json;

use super::fake::{HEADER, member, member_from_the_start, ok, response};
use super::service::Service;

const REQUESTS: [&str; 4] = [
    r#"{"type":"read","key":"k","msg_id":5}"#,
    r#"{"type":"write","key":"k","value":1,"msg_id":5}"#,
    r#"{"type":"cas","key":"k","from":1,"to":2,"msg_id":5}"#,
    r#"{"type":"cas","key":"k","from":1,"to":2,"create_if_not_exists":true,"msg_id":5}"#,
];

/// Asserts that every request gets error 0 if the member responds with `bytes`, and that the text contains `why`.
#[track_caller]
fn assert_indefinite(bytes: impl Into<Vec<u8>>, why: &str) {
    let bytes = bytes.into();
    let url = member(move |_, _| bytes.clone());
    let mut service = Service::etcd(&[&url]).expect("it opens a session");
    for request in REQUESTS {
        let answer = service.ask(request);
        assert_eq!(answer["code"], 0, "{request}: {answer}");
        assert_eq!(answer["in_reply_to"], 5, "{request}: {answer}");
        let text = answer["text"].as_str().expect("a text");
        assert!(text.contains(why), "{request}: {answer}");
    }
}

#[test]
fn a_member_that_closes_the_connection() {
    assert_indefinite("", "etcd at http://127.0.0.1:");
}

#[test]
fn a_member_that_breaks_off_its_response() {
    assert_indefinite("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "etcd at");
}

#[test]
fn what_is_not_http() {
    assert_indefinite("SSH-2.0-OpenSSH_9.2\r\n\r\n", "etcd at");
    assert_indefinite(b"\x15\x03\x01\0\x02\x02\x16\r\n\r\n", "etcd at");
}

#[test]
fn a_status_other_than_success() {
    let message = r#"{"error":"etcdserver: request timed out","message":"etcdserver: request timed out","code":14}"#;
    for status in [
        "500 Internal Server Error",
        "503 Service Unavailable",
        "400 Bad Request",
    ] {
        let why = format!(
            "HTTP status {}: etcdserver: request timed out",
            &status[..3]
        );
        assert_indefinite(response(status, message), &why);
    }
    let page = response("502 Bad Gateway", "<html>");
    assert_indefinite(page, "HTTP status 502: <html>");
    let content = format!("{{{HEADER}}}");
    let moved = response("307 Temporary Redirect\r\nLocation: /other", &content);
    assert_indefinite(moved, "HTTP status 307");
    assert_indefinite(response("204 No Content", ""), "HTTP status 204");
}

#[test]
fn a_response_that_is_not_etcds() {
    for body in [
        "",
        "garbage",
        "{}",
        "[]",
        "null",
        r#"{"header":{}}"#,
        r#"{"kvs":[{"value":"MQ=="}]}"#,
    ] {
        assert_indefinite(ok(body), "the response is not one of etcd's version 3 API");
    }
}

#[test]
fn a_response_longer_than_etcds_are() {
    let body = format!("{{{HEADER},\"more\":\"{}\"}}", "x".repeat(5 << 20));
    assert_indefinite(ok(&body), "etcd at");
}

/// Asserts that a request gets error 0 if the response of etcd has this content.
#[track_caller]
fn assert_not_understood(request: &str, content: &str) {
    let body = format!("{{{HEADER},{content}}}");
    let url = member(move |_, _| ok(&body));
    let mut service = Service::etcd(&[&url]).expect("it opens a session");
    let answer = service.ask(request);
    assert_eq!(answer["code"], 0, "{content}: {answer}");
}

#[test]
fn a_value_that_is_no_json() {
    let [read, ..] = REQUESTS;
    for value in ["!", "/w==", "e30=e30=", "", "ew=="] {
        assert_not_understood(read, &format!(r#""kvs":[{{"value":"{value}"}}]"#));
    }
    assert_not_understood(read, r#""kvs":[{"key":"AA=="}]"#);
}

#[test]
fn a_transaction_that_does_not_say_what_it_has_done() {
    let [_, _, cas, create] = REQUESTS;
    for content in [
        r#""succeeded":false"#,
        r#""responses":[]"#,
        r#""responses":[{}]"#,
        r#""responses":[{"response_put":{}}]"#,
        r#""responses":[{"response_delete_range":{}}]"#,
        r#""responses":[{"response_txn":{}}]"#,
        r#""succeeded":"true""#,
    ] {
        assert_not_understood(cas, content);
        assert_not_understood(create, content);
    }
}

#[test]
fn a_member_that_is_gone() {
    let url = member(|_, _| Vec::new());
    let gone = member_from_the_start(|_, _| Vec::new());
    // The first member opens the session; the second one fails.
    let refused = Service::etcd(&[&url, &gone]).err().expect("it is closed");
    assert!(refused.to_string().contains(&gone), "{refused}");
}

#[test]
fn a_member_that_never_responds_holds_up_nobody_else() {
    let silent = member(|_, _| {
        thread::park();
        Vec::new()
    });
    let good = member(|_, _| ok(&format!("{{{HEADER}}}")));
    let mut service = Service::etcd(&[&silent, &good]).expect("both open a session");
    let [read, write, ..] = REQUESTS;
    assert_eq!(service.send(0, write), None);
    assert_eq!(service.send(1, read), None);
    assert_eq!(
        service.late_answer()["code"],
        20,
        "the other member has no such key"
    );
    let answer = service.late_answer();
    assert_eq!(answer["code"], 0, "{answer}");
    assert!(answer["text"].to_string().contains("timeout"), "{answer}");
}

#[test]
fn a_request_that_can_not_be_sent_is_refused() {
    let silent = member(|_, _| {
        thread::park();
        Vec::new()
    });
    let mut service = Service::etcd(&[&silent]).expect("it opens a session");
    for _ in 0..IN_FLIGHT_MAX {
        assert_eq!(service.send(0, REQUESTS[1]), None);
    }
    let answer = service.send(0, REQUESTS[1]).expect("an answer at once");
    assert_eq!(answer["code"], 11, "{answer}");
    assert_eq!(answer["in_reply_to"], 5, "{answer}");
}

#[test]
fn a_node_is_bound_to_the_member_of_its_number_modulo_theirs() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let urls: Vec<String> = (0..3)
        .map(|index| {
            let asked = Arc::clone(&asked);
            member(move |_, _| {
                asked.lock().expect("nobody panics").push(index);
                ok(&format!("{{{HEADER}}}"))
            })
        })
        .collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut service = Service::etcd(&urls).expect("all open a session");
    for node in [0, 1, 2, 3, 4, 1] {
        assert_eq!(service.send(node, REQUESTS[1]), None);
        assert_eq!(service.late_answer()["type"], "write_ok");
    }
    assert_eq!(*asked.lock().expect("nobody panics"), [0, 1, 2, 0, 1, 1]);
}

#[test]
fn members_of_two_clusters_are_refused() {
    let first = member(|_, _| Vec::new());
    let other = member_from_the_start(|_, _| ok(r#"{"header":{"cluster_id":"2"}}"#));
    let refused = Service::etcd(&[&first, &other]).err();
    let refused = refused.expect("they are of two clusters").to_string();
    assert!(refused.contains("another cluster"), "{refused}");
    assert!(
        refused.contains(&first) && refused.contains(&other),
        "{refused}"
    );
}

#[test]
fn the_body_of_a_request_is_what_etcds_gateway_takes() {
    let asked = Arc::new(Mutex::new(String::new()));
    let note = Arc::clone(&asked);
    let url = member(move |path, body| {
        *note.lock().expect("nobody panics") = format!("{path} {body}");
        ok(&format!("{{{HEADER}}}"))
    });
    let mut service = Service::etcd(&[&url]).expect("it opens a session");
    service.ask(REQUESTS[1]);
    let put = json!({"key": "ZWRkeS83LyJrIg==", "lease": "7", "value": "MQ=="});
    assert_eq!(
        *asked.lock().expect("nobody panics"),
        format!("/v3/kv/put {put}")
    );
}
