//! Services whose nodes have a store.

use std::net::SocketAddr;
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
        let request = requests.recv().expect("the member runs");
        let (path, body) = request.split_once(' ').expect("a path and a body");
        assert_eq!(path, "/v3/kv/put");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&body["key"], &body["lease"]), (&json!(key), &json!("0")));
    }
}

#[test]
fn a_store_that_does_not_answer_is_named_in_the_log_and_is_no_reason_not_to_serve() {
    let mut service = Service::start(parrot(), "--seq-kv etcd=http://127.0.0.1:1");
    let [src, body] = [0, 1].map(|index| ask_service(&service, "seq-kv")[index].clone());
    assert_eq!(
        (src, &body["code"], &body["in_reply_to"]),
        (json!("seq-kv"), &json!(0), &json!(5))
    );
    let line = service.wait_for("seq-kv does not answer");
    assert!(line.contains("etcd at http://127.0.0.1:1"), "{line}");
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
    service.wait_for("there is no \"seq-kv\" here");
}
