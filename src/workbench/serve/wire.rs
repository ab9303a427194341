//! The lines of clients, peers and the node: how they are read and written.
//!
//! | who | a line |
//! |---|---|
//! | a client | `{"body":{"type":"add","delta":3,"msg_id":1}}`; `src` and `dest` are ignored |
//! | the node, and so a peer | `{"src":"n0","dest":"n1","body":{…}}` |
//! | the service of a peer | `{"body":{"type":"keepalive"}}`: without `dest`, which all messages of nodes have |

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::limits::MSG_ID_BYTES_MAX;
use crate::protocol::{Error, ErrorCode};
use crate::workbench::body::{BodyWriter, write_envelope};

/// The code of the error that a connection gets before it is closed. Codes from 1000 up are a program's own.
pub(super) const CLOSED: ErrorCode = ErrorCode(1000);

/// The line that shows a peer that this service is there.
pub(super) const KEEPALIVE: &[u8] = b"{\"body\":{\"type\":\"keepalive\"}}\n";

/// A line.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow, default)]
    pub src: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub dest: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub body: &'a RawValue,
}

/// The line of a client, whose `src` and `dest` may be anything.
#[derive(Deserialize)]
struct ClientLine<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The fields of a body that the service reads.
#[derive(Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub msg_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub in_reply_to: Option<&'a RawValue>,
}

/// The fields of an error's body.
#[derive(Deserialize)]
pub(super) struct ErrorBody<'a> {
    pub code: i64,
    #[serde(borrow, default)]
    pub text: Cow<'a, str>,
}

/// The fields with which a connection introduces itself.
#[derive(Default, Deserialize)]
pub(super) struct Introduction<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub msg_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub token: Cow<'a, str>,
}

/// Reads a line of the node or of a peer.
pub(super) fn envelope(line: &str) -> Result<Envelope<'_>, serde_json::Error> {
    object(line)
}

/// Reads the body of a line of a client.
pub(super) fn client_body(line: &str) -> Result<&RawValue, serde_json::Error> {
    object(line).map(|ClientLine { body }| body)
}

/// Reads a JSON object. Serde would read a struct from an array as well.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    match text.trim_ascii_start().starts_with('{') {
        true => serde_json::from_str(text),
        false => Err(serde::de::Error::custom("it is not an object")),
    }
}

/// The message id of a line that is otherwise not understood.
pub(super) fn msg_id_of(line: &str) -> Option<Box<RawValue>> {
    let line: Value = serde_json::from_str(line).ok()?;
    let id = line.get("body")?.get("msg_id")?;
    let id = serde_json::value::to_raw_value(id).ok()?;
    open_id(&id).ok()?.map(|_| id)
}

/// The text under which a request is found again by its answer: equal for equal ids, however they are written. `None` if
/// the request asks for no answer.
pub(super) fn open_id(id: &RawValue) -> Result<Option<String>, Error> {
    let text = id.get();
    if text.len() > MSG_ID_BYTES_MAX {
        let text = format!(
            "msg_id has {} bytes, and {MSG_ID_BYTES_MAX} are allowed",
            text.len()
        );
        return Err(Error::malformed(text));
    }
    match serde_json::from_str(text) {
        Ok(Value::Null) => Ok(None),
        Ok(id @ (Value::Number(_) | Value::String(_))) => Ok(Some(id.to_string())),
        _ => Err(Error::malformed("msg_id is neither a number nor a string")),
    }
}

/// Writes a message.
pub(super) fn write_message(out: &mut Vec<u8>, src: &str, dest: &str, body: &str) {
    out.push(b'{');
    write_envelope(out, src, dest, body);
}

/// The body of an error.
pub(super) fn error_body(error: &Error, in_reply_to: Option<&RawValue>) -> String {
    body("error", |body| {
        let body = body.field("code", error.code.0).field("text", &*error.text);
        match in_reply_to {
            Some(id) => body.json_field("in_reply_to", &id),
            None => body,
        }
    })
}

/// The body of type `kind` with the fields that `fields` adds.
pub(super) fn body(kind: &str, fields: impl FnOnce(BodyWriter<'_>) -> BodyWriter<'_>) -> String {
    let mut out = Vec::new();
    drop(fields(BodyWriter::new(&mut out, kind)));
    String::from_utf8(out).expect("what is written as JSON is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn an_id_is_the_same_however_it_is_written() {
        for (one, other) in [("1", "1"), (r#""a""#, r#""\u0061""#), ("1e2", "100.0")] {
            assert_eq!(open_id(raw(one)), open_id(raw(other)), "{one} {other}");
        }
        for (one, other) in [("1", "2"), ("1", r#""1""#)] {
            assert_ne!(open_id(raw(one)), open_id(raw(other)), "{one} {other}");
        }
        assert_eq!(open_id(raw("null")), Ok(None));
    }

    #[test]
    fn an_id_that_is_long_or_no_id_is_refused() {
        let long = format!("\"{}\"", "a".repeat(MSG_ID_BYTES_MAX));
        for id in [&*long, "[1]", "{}", "true"] {
            assert!(open_id(raw(id)).is_err(), "{id}");
        }
    }

    #[test]
    fn only_an_object_with_a_body_is_a_line() {
        for line in [
            "",
            "7",
            "[{}]",
            "{}",
            r#"{"body":1,"body":2}"#,
            r#"{"body":{}} x"#,
        ] {
            assert!(client_body(line).is_err(), "{line}");
        }
        assert!(client_body(r#"{"src":7,"dest":[],"body":{"type":"read"}}"#).is_ok());
    }
}
