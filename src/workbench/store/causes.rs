//! Finds the messages that an operation caused among all that are stored.
//!
//! Ids show for certain which message is the request and which are replies to it. Requests of a node to others between
//! a client's request and its reply may be for that request or for another one at the same time: the protocol does not
//! show which. All of them are included.
//!
//! A node may also reply first and send to others afterwards. So what it sends within [`AFTER_US`] of its reply is
//! included, up to its next reply to a client. The same holds for nodes that receive what it sends, but only within
//! [`AFTER_US`] of the operation's completion: later, what they send is lost among what other operations cause.
//!
//! What the node sends the client before the operation's completion is included even if its ids show that it is no
//! reply: such a message may be why there was none.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::Path;

use super::messages::{MessageLine, body_text, read_messages};
use crate::workbench::json::Members;

/// The maximum number of messages.
const CAUSED_MAX: usize = 2000;

/// How long after its reply a node's messages may still be for the request, in microseconds. It is enough for a node that
/// sends to others right after its reply. Where requests come faster than that, the node's next reply to a client ends it.
const AFTER_US: i64 = 10_000;

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
    /// Whether it was sent after the reply to the client, and is itself no reply.
    pub is_after_reply: bool,
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
            is_after_reply: false,
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
    let mut candidates = Candidates::new(request);
    let mut messages = Vec::new();
    for lines in read_messages(folder)? {
        match lines {
            Ok(lines) => messages.extend(
                lines
                    .lines()
                    .filter_map(StoredMessage::read)
                    .filter(|message| candidates.include(message)),
            ),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    messages.sort_by_key(|message| (message.sent_us, message.id));
    Ok(select(messages, nodes, request))
}

/// The messages of a run that an operation can have caused. A run is too long to look at all of them together.
struct Candidates {
    /// From the invocation to [`AFTER_US`] after the completion.
    time_us: RangeInclusive<i64>,
    /// The senders and ids of the requests in that time.
    asked: HashSet<(String, String)>,
}

impl Candidates {
    fn new(request: &ClientRequest<'_>) -> Self {
        Candidates {
            time_us: *request.time_us.start()..=request.time_us.end() + AFTER_US,
            asked: HashSet::new(),
        }
    }

    /// Whether a message was sent in that time or is a reply, however late, to one that was. Messages have to come in the order
    /// in which they ended, so that a request comes before its replies.
    fn include(&mut self, message: &StoredMessage) -> bool {
        if self.time_us.contains(&message.sent_us) {
            let asked = message.msg_id.iter();
            self.asked
                .extend(asked.map(|id| (message.src.clone(), id.clone())));
            return true;
        }
        let mut answered = message.in_reply_to.iter();
        answered.any(|id| self.asked.contains(&(message.dest.clone(), id.clone())))
    }
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
    let replies_to = |index: usize| {
        let replies = index..messages.len();
        Vec::from_iter(replies.filter(|&reply| messages[reply].answers(&messages[index])))
    };
    let requests = (0..messages.len()).filter(|&index| is_request(&messages[index]));
    let mut open: Vec<usize> = requests.collect();
    let first_reply = open.iter().flat_map(|&request| replies_to(request)).min();
    let is_after_reply = |index| first_reply.is_some_and(|reply| index > reply);
    let mut caused: BTreeSet<usize> = open.iter().copied().collect();
    while let Some(index) = open.pop().filter(|_| caused.len() < CAUSED_MAX) {
        let asked = &messages[index];
        let replies = replies_to(index);
        // What is sent after the operation's reply may have no reply of its own.
        let done = replies
            .first()
            .copied()
            .or(is_after_reply(index).then_some(index));
        let end_us = done.map_or(i64::MAX, |done| messages[done].sent_us + AFTER_US);
        caused.extend(replies);
        if asked.fate != "delivered" || !nodes.contains(&asked.dest) {
            continue;
        }
        for (later, message) in messages.iter().enumerate().skip(index + 1) {
            if message.sent_us > end_us {
                break;
            }
            if message.src != asked.dest || message.sent_us < asked.ended_us {
                continue;
            }
            let is_reply = message.in_reply_to.is_some();
            let is_to_client = is_client(&message.dest, nodes);
            let is_next_reply = is_reply && is_to_client && !message.answers(asked);
            if is_next_reply && done.is_some_and(|done| later > done) {
                break;
            }
            if !is_reply && !is_to_client && caused.insert(later) {
                open.push(later);
            }
        }
    }
    let is_meanwhile = |message: &StoredMessage| {
        (&*message.src, &*message.dest) == (request.node, request.client)
            && request.time_us.contains(&message.sent_us)
    };
    let messages = messages.into_iter().enumerate();
    let caused =
        messages.filter(|(index, message)| caused.contains(index) || is_meanwhile(message));
    let mark = |(index, message): (usize, StoredMessage)| StoredMessage {
        is_after_reply: is_after_reply(index) && message.in_reply_to.is_none(),
        ..message
    };
    caused.map(mark).collect()
}

/// Whether this is the name of a client: neither that of one of the nodes nor that of a service.
fn is_client(name: &str, nodes: &[String]) -> bool {
    let number = name.strip_prefix('c').filter(|number| !number.is_empty());
    let is_numbered = number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    is_numbered && !nodes.iter().any(|node| node == name)
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

    /// The ids of the messages that the request 7 of c4 to n0 caused in a run with the nodes n0 and n1, and the ids of those
    /// that are marked as sent after its reply.
    fn caused(messages: Vec<StoredMessage>) -> [Vec<u64>; 2] {
        let nodes = [String::from("n0"), String::from("n1")];
        let request = ClientRequest {
            client: "c4",
            node: "n0",
            msg_id: 7,
            time_us: 0..=8,
        };
        let mut candidates = Candidates::new(&request);
        let messages = messages.into_iter();
        let messages = messages.filter(|message| candidates.include(message));
        let caused = select(messages.collect(), &nodes, &request);
        let after = caused.iter().filter(|message| message.is_after_reply);
        let after = after.map(|message| message.id).collect();
        [caused.iter().map(|message| message.id).collect(), after]
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
        ];
        let nothing = vec![];
        assert_eq!(caused(messages), [vec![1, 3, 4, 5, 6, 7], nothing]);
    }

    #[test]
    fn what_a_node_sends_right_after_its_reply_is_caused_up_to_its_next_reply_to_a_client() {
        let messages = vec![
            message(1, "c4", "n0", r#"{"type":"broadcast","msg_id":7}"#),
            message(2, "c5", "n0", r#"{"type":"broadcast","msg_id":7}"#),
            message(3, "n0", "c4", r#"{"type":"broadcast_ok","in_reply_to":7}"#),
            message(4, "n0", "c4", r#"{"type":"broadcast_ok","in_reply_to":7}"#),
            message(5, "n0", "n1", r#"{"type":"gossip"}"#),
            message(6, "n1", "n0", r#"{"type":"ask","msg_id":1}"#),
            message(7, "n0", "n1", r#"{"type":"ask_ok","in_reply_to":1}"#),
            message(8, "n0", "n1", r#"{"type":"gossip","msg_id":2}"#),
            message(9, "n1", "n0", r#"{"type":"gossip_ok","in_reply_to":2}"#),
            message(10, "n1", "c6", r#"{"type":"read_ok","in_reply_to":3}"#),
            message(11, "n1", "n0", r#"{"type":"gossip"}"#),
            message(12, "n0", "c5", r#"{"type":"broadcast_ok","in_reply_to":7}"#),
            message(13, "n0", "n1", r#"{"type":"gossip"}"#),
        ];
        let [all, after] = caused(messages);
        assert_eq!(all, [1, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(after, [5, 6, 8]);
    }

    #[test]
    fn messages_to_other_clients_are_not_caused_and_a_reply_to_a_service_is_no_end() {
        let messages = vec![
            message(1, "c4", "n0", r#"{"type":"broadcast","msg_id":7}"#),
            message(2, "n0", "c5", r#"{"type":"note","msg_id":1}"#),
            message(3, "n0", "c4", r#"{"type":"broadcast_ok","in_reply_to":7}"#),
            message(4, "n0", "lin-kv", r#"{"type":"note_ok","in_reply_to":1}"#),
            message(5, "n0", "n1", r#"{"type":"gossip"}"#),
            message(6, "n0", "c5", r#"{"type":"broadcast_ok","in_reply_to":6}"#),
            message(7, "n0", "n1", r#"{"type":"gossip"}"#),
        ];
        assert_eq!(caused(messages), [vec![1, 3, 5], vec![5]]);
    }

    #[test]
    fn what_the_node_sends_the_client_meanwhile_is_shown_though_it_answers_nothing() {
        let messages = vec![
            message(1, "c4", "n0", r#"{"type":"add","msg_id":7}"#),
            message(2, "n0", "c4", r#"{"type":"add_ok"}"#),
            message(3, "n0", "c4", r#"{"type":"add_ok","in_reply_to":"7"}"#),
            message(4, "n1", "c4", r#"{"type":"add_ok"}"#),
            message(5, "n0", "c5", r#"{"type":"add_ok"}"#),
            message(9, "n0", "c4", r#"{"type":"add_ok"}"#),
        ];
        assert_eq!(caused(messages), [vec![1, 2, 3], vec![]]);
    }

    #[test]
    fn a_reply_is_caused_by_what_it_answers_however_late_it_is() {
        let late = 9 + AFTER_US as u64;
        let messages = vec![
            message(1, "c4", "n0", r#"{"type":"add","msg_id":7}"#),
            message(2, "n0", "seq-kv", r#"{"type":"cas","msg_id":1}"#),
            message(
                3,
                "n0",
                "c4",
                r#"{"type":"error","code":0,"in_reply_to":7}"#,
            ),
            message(late, "seq-kv", "n0", r#"{"type":"cas_ok","in_reply_to":1}"#),
            message(late + 1, "n0", "c4", r#"{"type":"add_ok","in_reply_to":7}"#),
            message(
                late + 2,
                "seq-kv",
                "n1",
                r#"{"type":"cas_ok","in_reply_to":1}"#,
            ),
            message(late + 3, "n0", "n1", r#"{"type":"gossip"}"#),
        ];
        let nothing = vec![];
        assert_eq!(caused(messages), [vec![1, 2, 3, late, late + 1], nothing]);
    }

    #[test]
    fn what_a_node_sends_long_after_its_reply_is_not_caused_by_the_request() {
        let soon = 2 + AFTER_US as u64;
        let late = soon + 1;
        let messages = vec![
            message(1, "c4", "n0", r#"{"type":"broadcast","msg_id":7}"#),
            message(2, "n0", "c4", r#"{"type":"broadcast_ok","in_reply_to":7}"#),
            message(soon, "n0", "n1", r#"{"type":"gossip","msg_id":2}"#),
            message(late, "n0", "n1", r#"{"type":"gossip","msg_id":3}"#),
        ];
        assert_eq!(caused(messages), [vec![1, 2, soon], vec![soon]]);
    }
}
