//! Services whose nodes have a store.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::etcd::fake::{HEADER, member_from_the_start, ok};
use super::etcd::real::etcd;
use super::node::parrot;
use super::service::{Service, command, free_addresses, peers_flags};

/// Starts a counter on each address.
fn counters(addresses: &[SocketAddr], flags: &str) -> Vec<Service> {
    let start = |index| {
        let flags = format!("{} {flags}", peers_flags(index, addresses));
        Service::run(command(env!("CARGO_BIN_EXE_g-counter"), &flags))
    };
    (0..addresses.len()).map(start).collect()
}

fn read(service: &Service) -> Value {
    let is_read = |answer: &Value| answer["type"] == "read_ok";
    let answer = service
        .client()
        .ask_until(json!({"type": "read", "msg_id": 2}), is_read);
    answer["value"].clone()
}

#[test]
fn counters_on_etcd_have_one_sum_and_keep_it_when_all_services_are_started_again() {
    let Some(etcd) = etcd("serve-counter") else {
        return;
    };
    for consistency in ["regular", "linearizable"] {
        let addresses = free_addresses::<3>();
        let node = format!("-- --consistency {consistency}");
        let flags = format!("--seq-kv etcd={} --prefix {consistency}/ {node}", etcd.url);
        let mut services = counters(&addresses, &flags);
        for (delta, service) in (1..).zip(&services) {
            let add = json!({"type": "add", "delta": delta, "msg_id": 1});
            assert_eq!(service.client().ask(add)["type"], "add_ok");
        }
        for service in &services {
            assert_eq!(read(service), 6);
        }
        for service in &mut services {
            service.signal(Signal::TERM);
            assert_eq!(service.wait().code(), Some(0));
        }
        let services = counters(&addresses, &flags);
        assert_eq!(read(&services[0]), 6);
        drop(services);
        let flags = format!(
            "--seq-kv etcd={} --prefix another/{consistency}/ {node}",
            etcd.url
        );
        assert_eq!(read(&counters(&addresses, &flags)[2]), 0);
    }
}

/// Sends a request of the node to a service, and returns the message that the node gets for it.
fn ask_service(service: &Service, dest: &str) -> Value {
    let mut client = service.client();
    let message = json!({"type": "write", "key": "k", "value": 7, "msg_id": 5});
    client.ask(json!({"type": "tell", "dest": dest, "message": message, "msg_id": 1}));
    let has_answer = |answer: &Value| answer["messages"][0].is_array();
    let mut seen = client.ask_until(json!({"type": "seen", "msg_id": 1}), has_answer);
    seen["messages"][0].take()
}

#[test]
fn keys_begin_with_the_prefix_and_the_service_and_have_no_lease() {
    let (sender, requests) = mpsc::channel();
    let url = member_from_the_start(move |path, body| {
        sender
            .send(format!("{path} {body}"))
            .expect("the test waits");
        ok(&format!("{{{HEADER}}}"))
    });
    let flags = format!("--seq-kv etcd={url} --lin-kv etcd={url}");
    // The base64 of eddy/seq-kv/"k" and eddy/lin-kv/"k".
    for (dest, key) in [
        ("seq-kv", "ZWRkeS9zZXEta3YvImsi"),
        ("lin-kv", "ZWRkeS9saW4ta3YvImsi"),
    ] {
        let service = Service::start(parrot(), &flags);
        let answer = ask_service(&service, dest);
        assert_eq!(
            answer,
            json!([dest, {"type": "write_ok", "in_reply_to": 5}])
        );
        let is_put = |request: &String| request.starts_with("/v3/kv/put ");
        let request = requests.iter().find(is_put).expect("the member runs");
        let (_, body) = request.split_once(' ').expect("a path and a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&body["key"], &body["lease"]), (&json!(key), &json!("0")));
    }
}

#[test]
fn a_store_that_does_not_answer_is_named_in_the_log_and_is_no_reason_not_to_serve() {
    let mut service = Service::start(parrot(), "--seq-kv etcd=http://127.0.0.1:1");
    let is_warning = |line: &String| line.contains("warning: seq-kv does not answer");
    if !service.log.iter().any(is_warning) {
        service.wait_for("warning: seq-kv does not answer");
    }
    let line = service.log.iter().find(|line| is_warning(line));
    let line = line.expect("it was waited for");
    assert!(line.contains("etcd at http://127.0.0.1:1"), "{line}");
    let [src, body] = [0, 1].map(|index| ask_service(&service, "seq-kv")[index].clone());
    assert_eq!(
        (src, &body["code"], &body["in_reply_to"]),
        (json!("seq-kv"), &json!(0), &json!(5))
    );
}

#[test]
fn the_log_says_when_a_store_does_not_answer_and_when_it_answers_again() {
    let asked = AtomicUsize::new(0);
    let url = member_from_the_start(move |_, _| match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 3 => ok(&format!("{{{HEADER}}}")),
        _ => ok("{}"),
    });
    let mut service = Service::start(parrot(), &format!("--seq-kv etcd={url}"));
    let mut client = service.client();
    for logged in ["does not answer", "", "answers again"] {
        let message = json!({"type": "write", "key": "k", "value": 7, "msg_id": 5});
        client.ask(json!({"type": "tell", "dest": "seq-kv", "message": message, "msg_id": 1}));
        match logged {
            // The store is silent still, and the log has that already.
            "" => {}
            logged => drop(service.wait_for(&format!("seq-kv {logged}"))),
        }
    }
    let about_the_store = service.log.iter().filter(|line| line.contains("seq-kv "));
    assert_eq!(about_the_store.count(), 2, "{:#?}", service.log);
}

#[test]
fn a_service_that_is_not_there_answers_error_1_with_what_to_do() {
    let mut service = Service::start(parrot(), "");
    let answer = ask_service(&service, "seq-kv");
    assert_eq!(
        (&answer[0], &answer[1]["code"]),
        (&json!("seq-kv"), &json!(1))
    );
    let text = answer[1]["text"].as_str().expect("a text");
    assert!(
        text.contains("start eddy serve with --seq-kv etcd=URL"),
        "{text}"
    );
    let line = service.wait_for("n0 asks seq-kv, and there is no seq-kv here: start eddy serve");
    assert!(line.contains("--seq-kv etcd=URL"), "{line}");
    // A node repeats its requests, and the log has what there is to do already.
    ask_service(&service, "seq-kv");
    ask_service(&service, "n9");
    service.wait_for("n0 sent a message to nobody (there is no \"n9\" here)");
    let about_the_store = service.log.iter().filter(|line| line.contains("seq-kv"));
    assert_eq!(about_the_store.count(), 1, "{:#?}", service.log);
}
