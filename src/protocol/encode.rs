use alloc::{string::String, vec::Vec};

use serde_json::value::RawValue;

/// Something that can be written as JSON at the end of a buffer.
pub trait Encode {
    /// Appends the JSON of this value to `out`.
    fn encode(&self, out: &mut Vec<u8>);
}

/// The beginning of every message of one sender, encoded once.
#[derive(Clone, Debug)]
pub struct Sender(Vec<u8>);

impl Sender {
    /// The sender with this id.
    pub fn new(id: &str) -> Self {
        let mut beginning = b"{\"src\":".to_vec();
        id.encode(&mut beginning);
        beginning.extend_from_slice(b",\"dest\":");
        Sender(beginning)
    }
}

/// One message being written. It is complete, with its newline, when the writer is dropped.
///
/// ```
/// # use eddy::protocol::{MessageWriter, Sender};
/// let mut out = Vec::new();
/// MessageWriter::new(&mut out, &Sender::new("n0"), "c1", "read_ok").field("value", 7u64);
/// assert_eq!(out, b"{\"src\":\"n0\",\"dest\":\"c1\",\"body\":{\"type\":\"read_ok\",\"value\":7}}\n");
/// ```
pub struct MessageWriter<'a> {
    /// Nowhere, for the answer to a request that wants none.
    out: Option<&'a mut Vec<u8>>,
}

impl<'a> MessageWriter<'a> {
    /// Begins a message of type `kind`, which needs no escapes in JSON.
    pub fn new(out: &'a mut Vec<u8>, sender: &Sender, dest: &str, kind: &'static str) -> Self {
        out.extend_from_slice(&sender.0);
        dest.encode(out);
        out.extend_from_slice(b",\"body\":{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        MessageWriter { out: Some(out) }
    }

    /// A message that is not sent.
    pub fn silent() -> Self {
        MessageWriter { out: None }
    }

    /// Adds one field to the body. `name` needs no escapes in JSON.
    // Inlined, so that the bytes of a name that is known here are stored and not copied: 65 instructions an echo.
    #[inline(always)]
    pub fn field(mut self, name: &'static str, value: impl Encode) -> Self {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            value.encode(out);
        }
        self
    }
}

impl Drop for MessageWriter<'_> {
    fn drop(&mut self) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(b"}}\n");
        }
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        let mut clean = self.as_bytes();
        while let Some(at) = clean
            .iter()
            .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
        {
            let (before, rest) = clean.split_at(at);
            out.extend_from_slice(before);
            match rest[0] {
                byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
                byte => {
                    let hex = b"0123456789abcdef";
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[
                        hex[usize::from(byte >> 4)],
                        hex[usize::from(byte & 15)],
                    ]);
                }
            }
            clean = &rest[1..];
        }
        out.extend_from_slice(clean);
        out.push(b'"');
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl Encode for RawValue {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.get().as_bytes());
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Encode for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        // By hand: `core::fmt` would be a tenth of the cost of a whole message.
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = *self;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        out.extend_from_slice(&digits[at..]);
    }
}

impl Encode for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        if *self < 0 {
            out.push(b'-');
        }
        self.unsigned_abs().encode(out);
    }
}

impl Encode for i128 {
    fn encode(&self, out: &mut Vec<u8>) {
        match i64::try_from(*self) {
            Ok(small) => small.encode(out),
            Err(_) => out.extend_from_slice(alloc::format!("{self}").as_bytes()),
        }
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            value.encode(out);
        }
        out.push(b']');
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}
