use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};

use serde::Serialize;
use serde_json::value::RawValue;

/// Something that can be written as JSON at the end of a buffer. [`Json`] makes one of whatever serde can write.
///
/// ```
/// # use eddy::protocol::{Array, Json, Object, to_json};
/// # use std::collections::BTreeMap;
/// assert_eq!(to_json(&Array(["a", "b"].iter().zip([1u64, 2]))), r#"[["a",1],["b",2]]"#);
/// assert_eq!(to_json(&Object([("first", 3u64), ("end", 5)].into_iter())), r#"{"first":3,"end":5}"#);
/// assert_eq!(to_json(&Json(BTreeMap::from([("k1", 7)]))), r#"{"k1":7}"#);
/// ```
#[diagnostic::on_unimplemented(
    note = "`Json(value)` encodes whatever serde can write, and numbers are encoded as `u64` or `i64`"
)]
pub trait Encode {
    /// Appends the JSON of this value to `out`.
    fn encode(&self, out: &mut Vec<u8>);
}

/// The JSON of a value by itself.
pub fn to_json(value: &dyn Encode) -> String {
    let mut json = Vec::new();
    value.encode(&mut json);
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// The JSON of a value by itself, as serde_json keeps JSON.
pub fn to_raw_value(value: &dyn Encode) -> Box<RawValue> {
    RawValue::from_string(to_json(value)).expect("what encodes itself is JSON")
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
    /// None if the message is not sent: the answer to a request that wants none.
    out: Option<&'a mut Vec<u8>>,
}

impl<'a> MessageWriter<'a> {
    /// Begins a message of type `kind`, which needs no escapes in JSON.
    // Inlined, as all up to `field` is, so that what is known where a message is written is stored and not copied.
    #[inline(always)]
    pub fn new(
        out: &'a mut Vec<u8>,
        sender: &Sender,
        dest: &(impl Encode + ?Sized),
        kind: &'static str,
    ) -> Self {
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

    /// Adds one field to the body. `name` needs no escapes in JSON. Whatever serde can write is a value as [`Json`].
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

/// A JSON array of what an iterator gives.
pub struct Array<I>(pub I);

impl<I: Iterator<Item: Encode> + Clone> Encode for Array<I> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, item) in self.0.clone().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.encode(out);
        }
        out.push(b']');
    }
}

/// A JSON object of the names and values that an iterator gives.
pub struct Object<I>(pub I);

impl<I: Iterator<Item = (K, V)> + Clone, K: Encode, V: Encode> Encode for Object<I> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (name, value)) in self.0.clone().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            name.encode(out);
            out.push(b':');
            value.encode(out);
        }
        out.push(b'}');
    }
}

/// JSON that is written as it is.
pub struct Raw<T>(pub T);

impl<T: AsRef<[u8]>> Encode for Raw<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_ref());
    }
}

/// Anything that serde can write as JSON.
///
/// It takes memory of its own for the JSON, which the other ways to encode something do not.
pub struct Json<T>(pub T);

impl<T: Serialize> Encode for Json<T> {
    /// # Panics
    ///
    /// When the value can't be written as JSON: when it holds a map whose keys are no strings, or its [`Serialize`] fails.
    fn encode(&self, out: &mut Vec<u8>) {
        let json = serde_json::to_vec(&self.0);
        out.append(&mut json.expect("what a node sends can be written as JSON"));
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_text(self.as_bytes(), out);
    }
}

/// Appends bytes that are known to be UTF-8, as a string.
pub(super) fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    // Byte by byte: most are names, too short for a search and a copy to pay.
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let hex = b"0123456789abcdef";
                let digits = [hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl Encode for Cow<'_, str> {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl Encode for RawValue {
    fn encode(&self, out: &mut Vec<u8>) {
        Raw(self.get()).encode(out);
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        Raw(if *self { "true" } else { "false" }).encode(out);
    }
}

/// The two digits of each number below 100.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

impl Encode for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        // By hand: `core::fmt` would be a tenth of the cost of a whole message.
        let mut pairs = [[0; 2]; 10];
        let mut at = pairs.len();
        let mut rest = *self;
        loop {
            at -= 1;
            pairs[at] = DIGIT_PAIRS[(rest % 100) as usize];
            rest /= 100;
            if rest == 0 {
                break;
            }
        }
        let digits = pairs[at..].as_flattened();
        out.extend_from_slice(digits.strip_prefix(b"0").unwrap_or(digits));
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
            Err(_) => Raw(&alloc::format!("{self}")).encode(out),
        }
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut Vec<u8>) {
        Array(self.iter()).encode(out);
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        [&self.0 as &dyn Encode, &self.1].encode(out);
    }
}

impl<A: Encode, B: Encode, C: Encode> Encode for (A, B, C) {
    fn encode(&self, out: &mut Vec<u8>) {
        [&self.0 as &dyn Encode, &self.1, &self.2].encode(out);
    }
}
