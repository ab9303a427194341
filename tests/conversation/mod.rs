//! Records the messages that a node receives from its clients, its store and its peer, to replay them to an equal
//! node.

#[path = "../world/store.rs"]
mod store;

use std::time::Duration;

use eddy::node::{Node, Workload};
use eddy::workload::g_counter::{Consistency, Options};
use eddy::workload::{Echo, GCounter};
use serde_json::Value;
use store::Store;

/// A request that clients repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    Echo,
    Add,
    Read,
}

impl Request {
    pub fn line(self, msg_id: usize) -> String {
        let body = match self {
            Request::Echo => format!(r#""echo":"Please echo {msg_id}","type":"echo""#),
            Request::Add => r#""delta":3,"type":"add""#.into(),
            Request::Read => r#""type":"read""#.into(),
        };
        let client = msg_id % 10;
        format!(r#"{{"id":7,"src":"c{client}","dest":"n0","body":{{{body},"msg_id":{msg_id}}}}}"#)
    }
}

/// An echo node.
pub fn echo() -> Node<Echo> {
    Node::new(Echo)
}

/// A counter of this level, equal at each call.
pub fn counter(consistency: Consistency) -> Node<GCounter> {
    let options = Options {
        consistency,
        ..Options::default()
    };
    Node::new(GCounter::new(options, 1))
}

/// Lines for a node in batches. Between two batches the node's output is taken.
pub struct Script(Vec<Vec<String>>);

impl Script {
    /// Passes the lines to a node, and drops the node's output.
    pub fn play<W: Workload>(&self, node: &mut Node<W>) {
        for batch in &self.0 {
            for line in batch {
                let received = node.receive(line, Duration::ZERO);
                received.expect("it is a message");
            }
            node.written(node.output().len());
        }
    }
}

/// Node `n0` with a store that has no other client, and with the peer `n1`, a counter at the eventual level.
pub struct Company<W> {
    node: Node<W>,
    store: Store,
    peer: Node<GCounter>,
}

impl<W: Workload> Company<W> {
    pub fn new(node: Node<W>) -> Self {
        Company {
            node,
            store: Store::default(),
            peer: counter(Consistency::Eventual),
        }
    }

    /// The lines that the node receives at its start.
    pub fn init(&mut self) -> Script {
        let init = |node: &str| {
            format!(
                r#"{{"src":"c0","dest":"{node}","body":{{"type":"init","node_id":"{node}","node_ids":["n0","n1"],"msg_id":1}}}}"#
            )
        };
        Script(vec![vec![init("n1")]]).play(&mut self.peer);
        self.converse(&[init("n0")], 1)
    }

    /// The lines that the node receives while it serves these requests, `at_once` at a time, until all are answered.
    pub fn converse(&mut self, requests: &[String], at_once: usize) -> Script {
        let mut batches = Vec::new();
        let mut answered = 0;
        for requests in requests.chunks(at_once) {
            let mut batch = requests.to_vec();
            while !batch.is_empty() {
                for line in &batch {
                    let received = self.node.receive(line, Duration::ZERO);
                    received.expect("it is a message");
                }
                batches.push(batch);
                batch = Vec::new();
                for line in output(&mut self.node).lines() {
                    if line.contains(r#""dest":"seq-kv""#) {
                        batch.push(answer(&mut self.store, line));
                    } else if line.contains(r#""dest":"n1""#) {
                        let received = self.peer.receive(line, Duration::ZERO);
                        received.expect("it is a message");
                        batch.extend(output(&mut self.peer).lines().map(String::from));
                    } else {
                        answered += 1;
                    }
                }
            }
        }
        assert_eq!(answered, requests.len(), "each is answered once");
        Script(batches)
    }
}

fn output<W: Workload>(node: &mut Node<W>) -> String {
    let output = String::from_utf8(node.output().to_vec()).expect("messages are text");
    node.written(output.len());
    output
}

/// The line with which the store answers a line of the node.
fn answer(store: &mut Store, line: &str) -> String {
    let request: Value = serde_json::from_str(line).expect("nodes write JSON");
    let answer = store.handle(&request["body"]);
    // The order of the fields is fixed, because the cost of reading them depends on it.
    let fields = ["type", "in_reply_to", "value", "code"].into_iter();
    let fields = fields.filter_map(|name| Some(format!(r#""{name}":{}"#, answer.get(name)?)));
    let fields = fields.collect::<Vec<_>>().join(",");
    format!(r#"{{"src":"seq-kv","dest":"n0","body":{{{fields}}}}}"#)
}
