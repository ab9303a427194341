use alloc::vec::Vec;

use crate::protocol::{Error, MessageWriter, Name};

/// When this much output waits, a node takes no more input: 256 KiB.
///
/// What a single message makes a node say comes on top.
pub const OUTPUT_BYTES_MAX: usize = 256 << 10;

/// The messages that wait to be written, as bytes.
pub struct Outbox {
    node_id: Name,
    bytes: Vec<u8>,
    /// `bytes[..written]` is out already.
    written: usize,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Outbox {
            node_id: Name::default(),
            bytes: Vec::with_capacity(OUTPUT_BYTES_MAX),
            written: 0,
        }
    }

    pub(super) fn init(&mut self, node_id: &str) {
        self.node_id = node_id.into();
    }

    pub(super) fn is_initialised(&self) -> bool {
        self.node_id != Name::default()
    }

    /// Begins a message to `dest`. It is complete when the writer is dropped.
    pub fn send(&mut self, dest: &str, kind: &str) -> MessageWriter<'_> {
        debug_assert!(self.is_initialised(), "a node that has no id sends nothing");
        MessageWriter::new(&mut self.bytes, self.node_id.as_str(), dest, kind)
    }

    /// Begins the answer to a request. Nothing is written if the request had no `msg_id`: nobody waits.
    pub fn reply(&mut self, dest: &str, msg_id: Option<i64>, kind: &str) -> MessageWriter<'_> {
        match msg_id {
            Some(msg_id) => self.send(dest, kind).field("in_reply_to", msg_id),
            None => MessageWriter::silent(),
        }
    }

    /// Answers a request with an error, if it has a `msg_id`.
    pub fn error(&mut self, dest: &str, msg_id: Option<i64>, error: &Error) {
        self.reply(dest, msg_id, "error")
            .field("code", error.code.0)
            .field("text", &*error.text);
    }

    /// Like [`error`](Self::error), before `init` under the name by which the node was addressed.
    pub(super) fn error_as(&mut self, name: &str, dest: &str, msg_id: Option<i64>, error: &Error) {
        if self.is_initialised() {
            self.error(dest, msg_id, error);
        } else if !name.is_empty() {
            self.node_id = name.into();
            self.error(dest, msg_id, error);
            self.node_id = Name::default();
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn written(&mut self, count: usize) {
        self.written += count;
        assert!(
            self.written <= self.bytes.len(),
            "more bytes written than there were"
        );
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
    }
}
