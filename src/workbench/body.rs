//! The body of a message, as the workbench writes it: the network adds the rest.

use serde::Serialize;

use crate::protocol::Encode;

/// A body being written. It is complete when the writer is dropped.
///
/// ```
/// # use eddy::workbench::body::BodyWriter;
/// let mut out = Vec::new();
/// BodyWriter::new(&mut out, "add").field("delta", 3u64).field("msg_id", 1u64);
/// assert_eq!(out, br#"{"type":"add","delta":3,"msg_id":1}"#);
/// ```
pub struct BodyWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> BodyWriter<'a> {
    /// Begins a body of type `kind` at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, kind: &str) -> Self {
        out.extend_from_slice(b"{\"type\":");
        kind.encode(out);
        BodyWriter { out }
    }

    /// Adds one field. `name` needs no escapes in JSON.
    pub fn field(mut self, name: &'static str, value: impl Encode) -> Self {
        self.name(name);
        value.encode(self.out);
        self
    }

    /// Adds one field whose value is written as any JSON: its keys are strings.
    pub fn json_field(mut self, name: &'static str, value: &impl Serialize) -> Self {
        self.name(name);
        serde_json::to_writer(&mut *self.out, value)
            .expect("what can be written as JSON can be written to memory");
        self
    }

    fn name(&mut self, name: &'static str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

impl Drop for BodyWriter<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// Ends a line of a message, of which other fields may have been written: adds the sender, the receiver and the body.
pub fn write_envelope(out: &mut Vec<u8>, src: &str, dest: &str, body: &str) {
    out.extend_from_slice(b"\"src\":");
    src.encode(out);
    out.extend_from_slice(b",\"dest\":");
    dest.encode(out);
    out.extend_from_slice(b",\"body\":");
    out.extend_from_slice(body.as_bytes());
    out.extend_from_slice(b"}\n");
}
