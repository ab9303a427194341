//! A node and those that it talks to, without I/O: what they tell it is written down, to be told to a node like it.

use std::time::Duration;

use eddy::node::{Node, Workload};
use eddy::protocol::{Message, MessageWriter, Sender};
use eddy::workload::g_counter::{Consistency, Options};
use eddy::workload::{Echo, GCounter};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a client asks again and again.
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

/// A node that echoes.
pub fn echo() -> Node<Echo> {
    Node::new(Echo)
}

/// A counter of this level, the same at each call.
pub fn counter(consistency: Consistency) -> Node<GCounter> {
    let options = Options {
        consistency,
        ..Options::default()
    };
    Node::new(GCounter::new(options, 1))
}

/// Lines for a node, batch by batch: before each it has said its say.
pub struct Script(Vec<Vec<String>>);

impl Script {
    /// Tells them to a node. What it says is thrown away.
    pub fn play<W: Workload>(&self, node: &mut Node<W>) {
        for batch in &self.0 {
            for line in batch {
                let told = node.receive(line, Duration::ZERO);
                told.expect("it is a message");
            }
            node.written(node.output().len());
        }
    }
}

/// Node `n0`, and what it talks to: a store with no other client, and `n1`, a counter of the eventual level.
pub struct Company<W> {
    node: Node<W>,
    store: Store,
    peer: Node<GCounter>,
}

impl<W: Workload> Company<W> {
    pub fn new(node: Node<W>) -> Self {
        Company {
            node,
            store: Store::new(),
            peer: counter(Consistency::Eventual),
        }
    }

    /// What the node is told first.
    pub fn init(&mut self) -> Script {
        let init = |node: &str| {
            format!(
                r#"{{"src":"c0","dest":"{node}","body":{{"type":"init","node_id":"{node}","node_ids":["n0","n1"],"msg_id":1}}}}"#
            )
        };
        Script(vec![vec![init("n1")]]).play(&mut self.peer);
        self.converse(&[init("n0")], 1)
    }

    /// What the node is told when these requests are made, so many at once, until all are answered.
    pub fn converse(&mut self, requests: &[String], at_once: usize) -> Script {
        let mut batches = Vec::new();
        let mut answered = 0;
        for requests in requests.chunks(at_once) {
            let mut batch = requests.to_vec();
            while !batch.is_empty() {
                for line in &batch {
                    let told = self.node.receive(line, Duration::ZERO);
                    told.expect("it is a message");
                }
                batches.push(batch);
                batch = Vec::new();
                for line in said(&mut self.node).lines() {
                    if line.contains(r#""dest":"seq-kv""#) {
                        batch.push(self.store.answer(line));
                    } else if line.contains(r#""dest":"n1""#) {
                        let told = self.peer.receive(line, Duration::ZERO);
                        told.expect("it is a message");
                        batch.extend(said(&mut self.peer).lines().map(String::from));
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

fn said<W: Workload>(node: &mut Node<W>) -> String {
    let said = String::from_utf8(node.output().to_vec()).expect("messages are text");
    node.written(said.len());
    said
}

/// Its swaps always find what they expect.
struct Store {
    sender: Sender,
    registers: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    key: &'a str,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
}

impl Store {
    fn new() -> Self {
        Store {
            sender: Sender::new("seq-kv"),
            registers: Vec::new(),
        }
    }

    fn answer(&mut self, line: &str) -> String {
        let request = Message::<Fields>::parse(line).expect("a node sends messages");
        let Fields { key, to } = request.body.fields;
        let register = self.registers.iter_mut().find(|(name, _)| name == key);
        let kind = match (to, &register) {
            (Some(_), _) => "cas_ok",
            (None, Some(_)) => "read_ok",
            (None, None) => "error",
        };
        let mut out = Vec::new();
        let answer = MessageWriter::new(&mut out, &self.sender, "n0", kind).field(
            "in_reply_to",
            request.body.msg_id.expect("it asks for an answer"),
        );
        match (to, register) {
            (Some(to), Some((_, value))) => {
                *value = to.get().into();
                drop(answer);
            }
            (Some(to), None) => {
                self.registers.push((key.into(), to.get().into()));
                drop(answer);
            }
            (None, Some((_, value))) => {
                let value = serde_json::from_str::<&RawValue>(value).expect("it was JSON");
                drop(answer.field("value", value));
            }
            (None, None) => drop(answer.field("code", 20u64)),
        }
        String::from_utf8(out).expect("messages are text")
    }
}
