//! The body of a message, as the workbench writes it: the network adds the rest.

use std::io::{self, Write};

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
    bytes_max: usize,
}

impl<'a> BodyWriter<'a> {
    /// Begins a body of type `kind` at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, kind: &str) -> Self {
        BodyWriter::beginning(out, kind, usize::MAX)
    }

    /// Begins a body of which only the beginning is needed: any JSON that makes `out` longer than `bytes_max` is cut off.
    pub fn beginning(out: &'a mut Vec<u8>, kind: &str, bytes_max: usize) -> Self {
        out.extend_from_slice(b"{\"type\":");
        kind.encode(out);
        BodyWriter { out, bytes_max }
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
        write_beginning(self.out, value, self.bytes_max);
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

/// Writes the JSON of `value` to the end of `out`. If that makes `out` longer than `bytes_max`, the rest is not written.
pub fn write_beginning(out: &mut Vec<u8>, value: &impl Serialize, bytes_max: usize) {
    let written = serde_json::to_writer(Beginning { out, bytes_max }, value);
    let is_cut_off = out.len() > bytes_max;
    assert!(
        written.is_ok() || is_cut_off,
        "what can be written as JSON can be written to memory: {written:?}"
    );
}

/// A writer that returns an error once it has more than `bytes_max` bytes.
struct Beginning<'a> {
    out: &'a mut Vec<u8>,
    bytes_max: usize,
}

impl Write for Beginning<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.out.len() > self.bytes_max {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
