//! Nodes without I/O: lines and the time in, bytes out. In steady state no message costs an allocation.

use std::time::Duration;

use allocation_counter::measure;
use eddy::node::{Node, Workload};
use eddy::protocol::{Message, MessageWriter, Sender};
use eddy::workload::g_counter::{Consistency, Options};
use eddy::workload::{Echo, GCounter};
use serde::Deserialize;
use serde_json::value::RawValue;

const INIT: &str = r#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0","n1"],"msg_id":1}}"#;

/// A store with one client, whose swaps always find what they expect. It reuses its memory.
struct Store {
    sender: Sender,
    registers: Vec<(String, String)>,
    answers: Vec<u8>,
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
            answers: Vec::new(),
        }
    }

    fn answer(&mut self, line: &str) {
        let request = Message::<Fields>::parse(line).expect("a node sends messages");
        let Fields { key, to } = request.body.fields;
        let register = self.registers.iter_mut().find(|(name, _)| name == key);
        let kind = match (to, &register) {
            (Some(_), _) => "cas_ok",
            (None, Some(_)) => "read_ok",
            (None, None) => "error",
        };
        let answer = MessageWriter::new(&mut self.answers, &self.sender, "n0", kind).field(
            "in_reply_to",
            request.body.msg_id.expect("it asks for an answer"),
        );
        match (to, register) {
            (Some(to), Some((_, value))) => {
                value.clear();
                value.push_str(to.get());
            }
            (Some(to), None) => self.registers.push((key.into(), to.get().into())),
            (None, Some((_, value))) => {
                let value = serde_json::from_str::<&RawValue>(value).expect("it was JSON");
                answer.field("value", value);
            }
            (None, None) => drop(answer.field("code", 20u64)),
        }
    }
}

/// A node, its store, and how often the node has allocated memory.
struct Rig<W> {
    node: Node<W>,
    store: Store,
    allocations: u64,
}

impl<W: Workload> Rig<W> {
    fn new(workload: W) -> Self {
        let mut rig = Rig {
            node: Node::new(workload),
            store: Store::new(),
            allocations: 0,
        };
        rig.converse(&[INIT.into()]);
        rig
    }

    fn receive(&mut self, line: &str) {
        let node = &mut self.node;
        let receive = || {
            node.receive(line, Duration::ZERO).expect("it is a message");
        };
        self.allocations += measure(receive).count_total;
    }

    /// Hands lines to the node, and the store's answers, until it says no more. The result is how many messages were
    /// for clients.
    fn converse(&mut self, lines: &[String]) -> usize {
        lines.iter().for_each(|line| self.receive(line));
        let mut answered = 0;
        while !self.node.output().is_empty() {
            let output = str::from_utf8(self.node.output()).expect("messages are text");
            for line in output.lines() {
                match line.contains(r#""dest":"seq-kv""#) {
                    true => self.store.answer(line),
                    false => answered += 1,
                }
            }
            self.node.written(self.node.output().len());
            let answers = std::mem::take(&mut self.store.answers);
            let answers = str::from_utf8(&answers).expect("messages are text");
            answers.lines().for_each(|line| self.receive(line));
        }
        answered
    }

    /// Makes requests, so many at once, all twice. The result is how often the node allocated memory the second time.
    fn second_time(mut self, requests: &[String], at_once: usize) -> u64 {
        for _ in 0..2 {
            self.allocations = 0;
            let answered: usize = requests
                .chunks(at_once)
                .map(|lines| self.converse(lines))
                .sum();
            assert_eq!(answered, requests.len(), "all are answered");
        }
        self.allocations
    }
}

#[test]
fn an_echo_allocates_nothing() {
    let request = |number| {
        format!(
            r#"{{"id":7,"src":"c1","dest":"n0","body":{{"echo":"it is {number}","type":"echo","msg_id":{number}}}}}"#
        )
    };
    let requests: Vec<_> = (0..1000).map(request).collect();
    assert_eq!(Rig::new(Echo).second_time(&requests, 100), 0);
}

fn counter_allocations(consistency: Consistency, at_once: usize) -> u64 {
    let request = |number| {
        let body = match number % 2 {
            0 => format!(r#"{{"delta":3,"type":"add","msg_id":{number}}}"#),
            _ => format!(r#"{{"type":"read","msg_id":{number}}}"#),
        };
        format!(r#"{{"id":7,"src":"c1","dest":"n0","body":{body}}}"#)
    };
    let requests: Vec<_> = (0..1000).map(request).collect();
    let options = Options {
        consistency,
        ..Options::default()
    };
    Rig::new(GCounter::new(options, 1)).second_time(&requests, at_once)
}

#[test]
fn a_regular_counter_allocates_nothing() {
    for at_once in [1, 100] {
        assert_eq!(counter_allocations(Consistency::Regular, at_once), 0);
    }
}

#[test]
fn a_linearizable_counter_allocates_nothing() {
    for at_once in [1, 100] {
        assert_eq!(counter_allocations(Consistency::Linearizable, at_once), 0);
    }
}

/// serde_json keeps a stack when it passes over JSON in JSON in JSON, and the register that a read gets is such.
#[test]
fn a_sequential_counter_allocates_only_for_the_registers_it_reads() {
    let allocations_and_reads = [
        (counter_allocations(Consistency::Sequential, 1), 500),
        (counter_allocations(Consistency::Sequential, 100), 2 * 10),
    ];
    for (allocations, reads_max) in allocations_and_reads {
        assert!(
            allocations <= reads_max,
            "{allocations} allocations, {reads_max} reads of the store"
        );
    }
}
