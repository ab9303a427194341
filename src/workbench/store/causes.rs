//! Finds the messages that an operation caused among all that are stored.
//!
//! Ids show for certain which message is the request and which are replies to it. Requests of a node to others between
//! a client's request and its reply may be for that request or for another one at the same time: the protocol does not
//! show which. All of them are included.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::Path;

use super::messages::{MessageLine, body_text, read_messages};
use crate::workbench::json::Members;

/// The maximum number of messages.
const CAUSED_MAX: usize = 2000;

/// A stored message, or a copy of one.
pub struct StoredMessage {
    id: u64,
    /// When it was sent, in microseconds since the start of the run.
    pub sent_us: i64,
    /// When it arrived or was lost, in microseconds since the start of the run.
    pub ended_us: i64,
    /// What happened to it, in words.
    pub fate: String,
    /// Whether it is the reply of a service about a value that had been replaced.
    pub is_stale: bool,
    /// The sender.
    pub src: String,
    /// The destination.
    pub dest: String,
    /// Its body.
    pub body: String,
    msg_id: Option<String>,
    in_reply_to: Option<String>,
}

impl StoredMessage {
    /// Reads a line. `None` if it is not a message, such as a last line that was cut off.
    fn read(line: &str) -> Option<Self> {
        let message: MessageLine<'_, Members<'_>> = serde_json::from_str(line).ok()?;
        let id = |name| {
            let id = message.body.get(name)?.get();
            (id != "null").then(|| String::from(id))
        };
        Some(StoredMessage {
            msg_id: id("msg_id"),
            in_reply_to: id("in_reply_to"),
            id: message.id,
            sent_us: message.sent_us,
            ended_us: message.ended_us,
            fate: message.fate.into_owned(),
            is_stale: message.stale,
            src: message.src.into_owned(),
            dest: message.dest.into_owned(),
            body: String::from(body_text(line)),
        })
    }

    fn answers(&self, request: &StoredMessage) -> bool {
        self.in_reply_to.is_some()
            && self.in_reply_to == request.msg_id
            && (&self.src, &self.dest) == (&request.dest, &request.src)
            && self.sent_us >= request.sent_us
    }
}

/// The request of a client.
pub struct ClientRequest<'a> {
    /// The name of the client.
    pub client: &'a str,
    /// The name of the node that received the request.
    pub node: &'a str,
    /// Its message id.
    pub msg_id: i64,
    /// The time from the invocation to the completion, in microseconds since the start of the run.
    pub time_us: RangeInclusive<i64>,
}

/// The messages that a request caused, in the order in which they were sent, from the folder of a run with these nodes.
///
/// # Errors
///
/// When the messages can't be read.
pub fn caused_by(
    folder: &Path,
    nodes: &[String],
    request: &ClientRequest<'_>,
) -> io::Result<Vec<StoredMessage>> {
    let is_meanwhile = |message: &StoredMessage| request.time_us.contains(&message.sent_us);
    let mut messages = Vec::new();
    for lines in read_messages(folder)? {
        match lines {
            Ok(lines) => messages.extend(
                lines
                    .lines()
                    .filter_map(StoredMessage::read)
                    .filter(is_meanwhile),
            ),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    messages.sort_by_key(|message| (message.sent_us, message.id));
    Ok(select(messages, nodes, request))
}

/// The messages of `messages`, which are in the order in which they were sent, that a request caused.
fn select(
    messages: Vec<StoredMessage>,
    nodes: &[String],
    request: &ClientRequest<'_>,
) -> Vec<StoredMessage> {
    let msg_id = Some(request.msg_id.to_string());
    let is_request = |message: &StoredMessage| {
        message.src == request.client
            && message.dest == request.node
            && message.msg_id == msg_id
            && message.in_reply_to.is_none()
    };
    let requests = (0..messages.len()).filter(|&index| is_request(&messages[index]));
    let mut open: Vec<usize> = requests.collect();
    let mut caused: BTreeSet<usize> = open.iter().copied().collect();
    while let Some(index) = open.pop().filter(|_| caused.len() < CAUSED_MAX) {
        let asked = &messages[index];
        let replies = (index..messages.len()).filter(|&reply| messages[reply].answers(asked));
        let replies: Vec<usize> = replies.collect();
        let end = replies.first().copied().unwrap_or(messages.len());
        caused.extend(replies);
        if asked.fate != "delivered" || !nodes.contains(&asked.dest) {
            continue;
        }
        for (later, message) in messages.iter().enumerate().take(end).skip(index + 1) {
            let is_meanwhile = message.src == asked.dest && message.sent_us >= asked.ended_us;
            let is_to_client = message.dest == request.client || message.in_reply_to.is_some();
            if is_meanwhile && !is_to_client && caused.insert(later) {
                open.push(later);
            }
        }
    }
    let messages = messages.into_iter().enumerate();
    let caused = messages.filter(|(index, _)| caused.contains(index));
    caused.map(|(_, message)| message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64, src: &str, dest: &str, body: &str) -> StoredMessage {
        let line = format!(
            r#"{{"id":{id},"sent_us":{id},"ended_us":{id},"fate":"delivered","src":"{src}","dest":"{dest}","body":{body}}}"#
        );
        StoredMessage::read(&line).expect("a message")
    }

    #[test]
    fn what_a_node_asks_between_a_request_and_its_reply_is_caused_by_the_request() {
        let messages = vec![
            message(0, "n0", "seq-kv", r#"{"type":"read","msg_id":1}"#),
            message(1, "c4", "n0", r#"{"type":"read","msg_id":7}"#),
            message(2, "c5", "n1", r#"{"type":"read","msg_id":7}"#),
            message(3, "n0", "n1", r#"{"type":"ask","msg_id":2}"#),
            message(4, "n1", "seq-kv", r#"{"type":"read","msg_id":9}"#),
            message(5, "seq-kv", "n1", r#"{"type":"read_ok","in_reply_to":9}"#),
            message(6, "n1", "n0", r#"{"type":"ask_ok","in_reply_to":2}"#),
            message(7, "n0", "c4", r#"{"type":"read_ok","in_reply_to":7}"#),
            message(8, "n0", "n1", r#"{"type":"ask","msg_id":3}"#),
        ];
        let nodes = [String::from("n0"), String::from("n1")];
        let request = ClientRequest {
            client: "c4",
            node: "n0",
            msg_id: 7,
            time_us: 0..=8,
        };
        let caused = select(messages, &nodes, &request);
        let ids: Vec<u64> = caused.iter().map(|message| message.id).collect();
        assert_eq!(ids, [1, 3, 4, 5, 6, 7]);
    }
}
