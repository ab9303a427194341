//! Services that talk to each other, and peers that are not what they say.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use super::node::parrot;
use super::service::{Service, command, free_addresses, peers_flags};

/// Services of one cluster.
fn cluster<const N: usize>(node: impl AsRef<Path>) -> [Service; N] {
    let addresses = free_addresses::<N>();
    let mut index = 0;
    addresses.map(|_| {
        let flags = peers_flags(index, &addresses);
        index += 1;
        Service::run(command(&node, &flags))
    })
}

#[track_caller]
fn wait_for_element(service: &Service, element: u64) {
    let has_it = |answer: &Value| {
        answer["messages"]
            .as_array()
            .is_some_and(|all| all.contains(&json!(element)))
    };
    service
        .client()
        .ask_until(json!({"type": "read", "msg_id": 1}), has_it);
}

#[test]
fn what_one_node_broadcasts_reaches_all() {
    let services = cluster::<3>(env!("CARGO_BIN_EXE_broadcast"));
    for (element, service) in (0..).zip(&services) {
        let request = json!({"type": "broadcast", "message": element, "msg_id": 1});
        assert_eq!(service.client().ask(request)["type"], "broadcast_ok");
    }
    for service in &services {
        (0..3).for_each(|element| wait_for_element(service, element));
    }
}

#[test]
fn ids_are_unique_across_services() {
    let services = cluster::<3>(env!("CARGO_BIN_EXE_unique-ids"));
    let mut ids = std::collections::BTreeSet::new();
    for service in &services {
        let mut client = service.client();
        for msg_id in 0..100 {
            let answer = client.ask(json!({"type": "generate", "msg_id": msg_id}));
            assert!(ids.insert(answer["id"].to_string()), "{answer}");
        }
    }
}

#[test]
fn a_peer_that_was_killed_gets_messages_again_once_it_is_back() {
    let addresses = free_addresses::<2>();
    let node = env!("CARGO_BIN_EXE_broadcast");
    let mut first = Service::run(command(node, &peers_flags(0, &addresses)));
    let second = Service::run(command(node, &peers_flags(1, &addresses)));
    first.wait_for("n1 at ");
    let mut client = first.client();
    client.ask(json!({"type": "broadcast", "message": 1, "msg_id": 1}));
    wait_for_element(&second, 1);
    drop(second);
    first.wait_for("is not connected");
    client.ask(json!({"type": "broadcast", "message": 2, "msg_id": 1}));
    let second = Service::run(command(node, &peers_flags(1, &addresses)));
    wait_for_element(&second, 2);
    let request = json!({"type": "broadcast", "message": 3, "msg_id": 1});
    second.client().ask(request);
    wait_for_element(&first, 3);
}

/// A service of n0 whose peer n1 is this test.
struct Pair {
    service: Service,
    listener: TcpListener,
}

impl Pair {
    fn start(more_flags: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let peer = listener.local_addr().expect("it is bound");
        let [own] = free_addresses();
        let flags = format!("{} {more_flags}", peers_flags(0, &[own, peer]));
        let service = Service::run(command(parrot(), &flags));
        Pair { service, listener }
    }

    /// The connection over which n0 gets messages of n1, with the introduction of n0.
    fn accept(&self) -> (Client, Value) {
        let (stream, _) = self.listener.accept().expect("a connection");
        let mut connection = Client::on(stream);
        let introduction = connection.receive_body();
        (connection, introduction)
    }

    /// The connection over which n0 sends messages to n1.
    fn introduce(&self) -> Client {
        let mut connection = self.service.client();
        let answer = connection.ask(json!({"type": "peer", "id": "n1", "msg_id": 1}));
        assert_eq!(
            answer,
            json!({"type": "peer_ok", "id": "n0", "in_reply_to": 1})
        );
        connection
    }
}

/// The line with which n1 confirms that it is n1.
fn confirmation(id: &str) -> String {
    json!({"src": "n1", "dest": "n0", "body": {"type": "peer_ok", "id": id, "in_reply_to": 1}})
        .to_string()
}

#[test]
fn a_message_of_a_peer_has_the_name_under_which_its_address_is_known() {
    let mut pair = Pair::start("");
    let (mut connection, introduction) = pair.accept();
    assert_eq!(
        introduction,
        json!({"type": "peer", "id": "n0", "msg_id": 1})
    );
    connection.send_line(&confirmation("n1"));
    for src in ["n1", "n0", "c1", "seq-kv"] {
        let message = json!({"src": src, "dest": "n0", "body": {"type": "note", "src": src}});
        connection.send_line(&message.to_string());
    }
    // Neither a keepalive nor a message to somebody else is for the node.
    connection.send_line(r#"{"body":{"type":"keepalive"}}"#);
    connection.send_line(r#"{"src":"n1","dest":"n2","body":{"type":"note"}}"#);
    let message = json!({"src": "n1", "dest": "n0", "body": {"type": "last"}});
    connection.send_line(&message.to_string());
    pair.service.wait_for("is connected");
    let is_there = |answer: &Value| {
        answer["messages"]
            .as_array()
            .is_some_and(|all| all.len() >= 5)
    };
    let seen = pair
        .service
        .client()
        .ask_until(json!({"type": "seen", "msg_id": 1}), is_there);
    let note = |src: &str| json!(["n1", {"type": "note", "src": src}]);
    let expected =
        json!([note("n1"), note("n0"), note("c1"), note("seq-kv"), ["n1", {"type": "last"}]]);
    assert_eq!(seen["messages"], expected);
}

#[test]
fn messages_to_a_peer_go_to_the_connection_that_it_has_opened() {
    let pair = Pair::start("");
    let mut connection = pair.introduce();
    let message = json!({"type": "note", "text": "for n1", "msg_id": 3});
    pair.service
        .client()
        .ask(json!({"type": "tell", "dest": "n1", "message": message, "msg_id": 1}));
    loop {
        let line = connection.receive().expect("the connection is open");
        if line["body"]["type"] != "keepalive" {
            assert_eq!(line, json!({"src": "n0", "dest": "n1", "body": message}));
            break;
        }
    }
}

#[test]
fn who_is_at_the_address_of_a_peer_and_is_another_is_not_heard() {
    for (answer, why) in [
        (confirmation("n2"), "it says that it is \"n2\""),
        (String::from("hello"), "it sent what is no message"),
        (
            String::from(r#"{"body":{"type":"error","code":1000,"text":"go away"}}"#),
            "it answered: go away",
        ),
        (
            String::from(r#"{"body":{"type":"note"}}"#),
            "it answered: {\"type\":\"note\"}",
        ),
    ] {
        let mut pair = Pair::start("");
        let (mut connection, _) = pair.accept();
        let message = json!({"src": "n1", "dest": "n0", "body": {"type": "note"}});
        connection.send_line(&format!("{answer}\n{message}"));
        let line = pair.service.wait_for("is not connected");
        assert!(line.contains(why), "{line}");
        assert_eq!(
            pair.service
                .client()
                .ask(json!({"type": "seen", "msg_id": 1}))["messages"],
            json!([])
        );
        // It is tried again.
        pair.accept();
    }
}

#[test]
fn a_second_connection_that_claims_a_connected_peer_is_refused() {
    let mut pair = Pair::start("");
    let first = pair.introduce();
    for _ in 0..2 {
        let mut second = pair.service.client();
        second.send(&json!({"type": "peer", "id": "n1", "msg_id": 1}));
        assert_eq!(second.receive_refusal(), "n1 is connected already");
    }
    pair.service.wait_for("a second connection claims to be n1");
    drop(first);
    // The end of the first is known when the service reads it.
    let again = |service: &Service| {
        let mut connection = service.client();
        connection.ask(json!({"type": "peer", "id": "n1", "msg_id": 1}))["type"] == "peer_ok"
    };
    while !again(&pair.service) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_connection_that_claims_to_be_no_peer_is_refused() {
    let pair = Pair::start("");
    for id in ["n0", "n2", "c1", ""] {
        let mut connection = pair.service.client();
        connection.send(&json!({"type": "peer", "id": id, "msg_id": 1}));
        let text = connection.receive_refusal();
        assert!(
            text.contains(&format!("{id:?} is no peer of n0 among n0, n1")),
            "{text}"
        );
    }
}

#[test]
fn a_peer_that_is_silent_is_dropped_and_may_come_back() {
    let mut pair = Pair::start("");
    let (mut connection, _) = pair.accept();
    connection.send_line(&confirmation("n1"));
    pair.service.wait_for("is connected");
    let mut to_peer = pair.introduce();
    let line = pair.service.wait_for("is not connected");
    assert!(line.contains("it is silent"), "{line}");
    // Until then, the service has shown on both connections that it is there.
    let keepalive = json!({"body": {"type": "keepalive"}});
    for connection in [&mut connection, &mut to_peer] {
        assert_eq!(connection.receive(), Some(keepalive.clone()));
        while connection.receive().is_some() {}
    }
    pair.accept();
    pair.introduce();
}

#[test]
fn a_peer_gets_in_when_there_are_as_many_clients_as_may_be() {
    let pair = Pair::start("--max-connections 1");
    let mut client = pair.service.client();
    client.ask(json!({"type": "hello", "msg_id": 1}));
    pair.introduce();
    let mut other = pair.service.client();
    other.send(&json!({"type": "hello", "msg_id": 1}));
    assert!(other.receive_refusal().contains("is the limit"));
    assert_eq!(
        client.ask(json!({"type": "hello", "msg_id": 2}))["type"],
        "hello_ok"
    );
}

#[test]
fn a_message_to_a_peer_that_does_not_read_is_lost_and_clients_are_served() {
    let pair = Pair::start("--metrics 127.0.0.1:0");
    let _connection = pair.introduce();
    let mut client = pair.service.client();
    let message = json!({"type": "note", "text": "x".repeat(900_000)});
    let tell = json!({"type": "tell", "dest": "n1", "message": message, "msg_id": 1});
    for _ in 0..40 {
        assert_eq!(client.ask(tell.clone())["type"], "tell_ok");
    }
    let metrics = super::metrics::get(pair.service.metrics_address(), "/metrics");
    assert!(
        metrics.contains(r#"eddy_messages_lost_total{reason="peer_slow"}"#),
        "{metrics}"
    );
    assert!(pair.service.peak_memory_bytes() < 128 << 20);
}
