//! A counter with a store in the same process: what a node of that level makes of a flood when nothing but the node
//! takes time.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::time::Duration;

use eddy::node::Node;
use eddy::protocol::{LineReader, Message, MessageWriter, Sender};
use eddy::workload::GCounter;
use eddy::workload::g_counter::{Consistency, Options};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Answers requests from standard input until it ends.
pub fn run(consistency: Consistency) -> io::Result<()> {
    let options = Options {
        consistency,
        ..Options::default()
    };
    let mut node = Node::new(GCounter::new(options, 1));
    let mut reader = LineReader::new(4096);
    let mut store = Store {
        sender: Sender::new("seq-kv"),
        values: HashMap::new(),
    };
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let (mut answers, mut stored) = (Vec::new(), Vec::new());
    loop {
        let count = input.read(reader.space())?;
        if count == 0 {
            return Ok(());
        }
        reader.filled(count);
        for line in reader.lines() {
            let line = line.map_err(io::Error::other)?;
            node.receive(line, Duration::ZERO)
                .map_err(io::Error::other)?;
        }
        while !node.output().is_empty() {
            let said = str::from_utf8(node.output()).map_err(io::Error::other)?;
            for line in said.split_inclusive('\n') {
                match line.starts_with(r#"{"src":"n0","dest":"seq-kv""#) {
                    true => store.answer(line, &mut stored),
                    false => answers.extend_from_slice(line.as_bytes()),
                }
            }
            node.written(node.output().len());
            let told = str::from_utf8(&stored).map_err(io::Error::other)?;
            for line in told.lines() {
                node.receive(line, Duration::ZERO)
                    .map_err(io::Error::other)?;
            }
            stored.clear();
        }
        output.write_all(&answers)?;
        output.flush()?;
        answers.clear();
    }
}

/// Its swaps always find what they expect: it has no other client.
struct Store {
    sender: Sender,
    values: HashMap<String, Box<RawValue>>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    key: &'a str,
    to: Option<Box<RawValue>>,
}

impl Store {
    fn answer(&mut self, line: &str, out: &mut Vec<u8>) {
        let request = Message::<Fields>::parse(line).expect("nodes send messages");
        let Fields { key, to } = request.body.fields;
        let kind = match (&to, self.values.contains_key(key)) {
            (Some(_), _) => "cas_ok",
            (None, true) => "read_ok",
            (None, false) => "error",
        };
        let asked = request.body.msg_id.expect("it asks for an answer");
        let answer = MessageWriter::new(out, &self.sender, &request.src, kind);
        let answer = answer.field("in_reply_to", asked);
        match (to, self.values.get(key)) {
            (Some(to), _) => {
                drop(answer);
                self.values.insert(key.into(), to);
            }
            (None, Some(value)) => drop(answer.field("value", &**value)),
            (None, None) => drop(answer.field("code", 20u64)),
        }
    }
}
