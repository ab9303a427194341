//! Framing and parsing: any bytes, in any pieces, give the same lines, and no line makes a node panic or write a line
//! that is not a message.

#![no_main]

use std::time::Duration;

use eddy::node::{Node, Workload};
use eddy::protocol::{LineError, LineReader, Message};
use eddy::workload::{Echo, GCounter, UniqueIds, g_counter::Options};
use libfuzzer_sys::fuzz_target;

const LINE_BYTES_MAX: usize = 300;

/// A line, or the reason why there is none.
type Line = Result<String, String>;

fn owned(line: Result<&str, LineError<'_>>) -> Line {
    line.map(String::from).map_err(|error| format!("{error:?}"))
}

fn lines(bytes: &[u8], read_bytes: usize) -> Vec<Line> {
    let mut reader = LineReader::new(LINE_BYTES_MAX);
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = reader.space();
        let count = rest.len().min(space.len()).min(read_bytes);
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        reader.filled(count);
        lines.extend(reader.lines().map(owned));
    }
    reader.end();
    lines.extend(reader.lines().map(owned));
    lines
}

fn feed<W: Workload>(mut node: Node<W>, lines: &[Line]) {
    let init = r#"{"src":"c0","dest":"n0","body":{"type":"init","node_id":"n0","node_ids":["n0"],"msg_id":1}}"#;
    node.receive(init, Duration::ZERO)
        .expect("init is a message");
    for line in lines.iter().flatten() {
        // This does not require that the node accepts the line.
        let _ = node.receive(line, Duration::ZERO);
    }
    node.finish();
    let output = str::from_utf8(node.output()).expect("nodes write UTF-8");
    for line in output.lines() {
        Message::<serde::de::IgnoredAny>::parse(line).expect("nodes write messages");
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (read_bytes, bytes) = input;
    let whole = lines(bytes, usize::MAX);
    assert_eq!(whole, lines(bytes, usize::from(read_bytes).max(1)));
    feed(Node::new(Echo), &whole);
    feed(Node::new(UniqueIds::new(1)), &whole);
    feed(Node::new(GCounter::new(Options::default(), 1)), &whole);
});
