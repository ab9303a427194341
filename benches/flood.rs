//! A counter with a store in the same process, at the level that is its argument: what a node makes of a flood when nothing
//! but the node takes time. The bench `end_to_end` compares it with the straight loop.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::time::Duration;

use eddy::node::Node;
use eddy::protocol::{LineReader, Message, MessageWriter, Sender};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Answers requests from standard input until it ends.
fn main() -> io::Result<()> {
    let name = std::env::args().nth(1);
    let level = Consistency::ALL
        .into_iter()
        .find(|(level, _)| name.as_deref() == Some(level));
    let (_, consistency) = level.expect("the bench names a level");
    let options = Options {
        consistency,
        ..Options::default()
    };
    let mut node = Node::new(GCounter::new(options, 1));
    let mut reader = LineReader::new(4096);
    let mut store = Store {
        sender: Sender::new("seq-kv"),
        values: HashMap::new(),
        answers: VecDeque::new(),
    };
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let count = input.read(reader.space())?;
        if count == 0 {
            node.finish();
            assert!(node.output().is_empty(), "every operation was answered");
            return Ok(());
        }
        reader.filled(count);
        for line in reader.lines() {
            let line = line.map_err(|error| io::Error::other(error.to_string()))?;
            node.receive(line, Duration::ZERO)
                .map_err(io::Error::other)?;
        }
        hand_out(&mut node, &mut store, &mut output)?;
        while let Some(line) = store.answers.pop_front() {
            node.receive(&line, Duration::ZERO)
                .map_err(io::Error::other)?;
            hand_out(&mut node, &mut store, &mut output)?;
        }
    }
}

/// Hands what the node has said to whom it is for. At the end of the input it shows if a request went to the clients: it is
/// never answered.
fn hand_out(
    node: &mut Node<GCounter>,
    store: &mut Store,
    clients: &mut impl Write,
) -> io::Result<()> {
    let output = node.output();
    let (to_clients, to_store) = output.split_at(requests_start(output));
    clients.write_all(to_clients)?;
    for line in str::from_utf8(to_store).map_err(io::Error::other)?.lines() {
        store.answer(line);
    }
    node.written(node.output().len());
    clients.flush()
}

/// Where the requests to the store begin: they are the last that a node says before it waits for the answers.
fn requests_start(output: &[u8]) -> usize {
    let mut start = output.len();
    while let Some((_, rest)) = output[..start].split_last() {
        let newline = rest.iter().rposition(|&byte| byte == b'\n');
        let line_start = newline.map_or(0, |newline| newline + 1);
        if !output[line_start..].starts_with(br#"{"src":"n0","dest":"seq-kv""#) {
            break;
        }
        start = line_start;
    }
    start
}

/// Its swaps always find what they expect: it has no other client.
struct Store {
    sender: Sender,
    values: HashMap<String, Box<RawValue>>,
    /// What it has said and the node hasn't heard.
    answers: VecDeque<String>,
}

#[derive(Default, Deserialize)]
struct Fields<'a> {
    key: &'a str,
    to: Option<Box<RawValue>>,
}

impl Store {
    fn answer(&mut self, line: &str) {
        let request = Message::<Fields>::parse(line).expect("nodes send messages");
        let Fields { key, to } = request.body.fields;
        let kind = match (&to, self.values.contains_key(key)) {
            (Some(_), _) => "cas_ok",
            (None, true) => "read_ok",
            (None, false) => "error",
        };
        let asked = request.body.msg_id.expect("it asks for an answer");
        let mut out = Vec::new();
        let answer = MessageWriter::new(&mut out, &self.sender, &request.src, kind);
        let answer = answer.field("in_reply_to", asked);
        match (to, self.values.get(key)) {
            (Some(to), _) => {
                drop(answer);
                self.values.insert(key.into(), to);
            }
            (None, Some(value)) => drop(answer.field("value", &**value)),
            (None, None) => drop(answer.field("code", 20u64)),
        }
        self.answers
            .push_back(String::from_utf8(out).expect("messages are text"));
    }
}
