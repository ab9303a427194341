//! The wire: lines, messages, error codes, and how a message is written.
//!
//! Maelstrom speaks newline-delimited JSON, one message a line:
//! `{"src": "c1", "dest": "n0", "body": {"type": "add", "delta": 3, "msg_id": 1}}`
//! (the protocol document of `jepsen-io/maelstrom`, `doc/protocol.md`). This room turns bytes into lines
//! ([`LineReader`]), lines into borrowed messages in one pass ([`Message::parse`]), and answers into bytes
//! ([`MessageWriter`]). It does no I/O and keeps no state beyond an unfinished line.

mod encode;
mod error;
mod line;
mod message;
mod message_id;
mod name;

pub use encode::{Array, Encode, Json, MessageWriter, Object, Raw, Sender, to_json, to_raw_value};
pub use error::{Error, ErrorCode};
pub use line::{LINE_BYTES_MAX, LineError, LineReader, Lines};
pub use message::{Body, Message, Text, present};
pub use message_id::MessageId;
pub use name::{NAME_BYTES_MAX, Name};
