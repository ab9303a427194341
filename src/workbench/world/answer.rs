//! What nodes say, and what it means to the client that hears it.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::phase::Phase;
use super::route::{Asker, INTRODUCTION_MSG_ID};
use super::start_error::StartError;
use super::violations::{ProtocolViolation, shown};
use super::{Observer, World, malformed};
use crate::protocol::{Body, ErrorCode};
use crate::workbench::client::Heard;
use crate::workbench::history::Outcome;
use crate::workbench::network::Endpoint;
use crate::workbench::workload::{Reply, Workload, json_error};

/// A message as a node prints it. Its body stays text: most are only passed on.
#[derive(Deserialize)]
struct Printed<'a> {
    #[serde(borrow)]
    src: Cow<'a, str>,
    #[serde(borrow)]
    dest: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// What an error reply has besides its code.
#[derive(Deserialize)]
struct ErrorFields<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

type AnyReply<'a> = Body<'a, ErrorFields<'a>>;

impl<W: Workload, O: Observer> World<W, O> {
    /// A node has printed a line.
    pub fn heard(&mut self, node: usize, line: &str, now: Duration) {
        let printed: Printed<'_> = match serde_json::from_str(line) {
            Ok(printed) => printed,
            Err(error) => return self.heard_no_message(node, line, &error),
        };
        if !printed.body.get().starts_with('{') {
            let why = malformed::wrong_field(line);
            let why = why.as_deref().unwrap_or("its body is no object");
            return self.heard_wrong_field(node, line, why);
        }
        let src = self.directory.find(&printed.src);
        let Some(src) = src else {
            return self
                .violations
                .note(node, ProtocolViolation::UsedUnknownName, None, || {
                    let (src, line) = (printed.src, shown(line));
                    format!(
                        "sent a message whose src is {src:?}, which is no node, client or service: {line}"
                    )
                });
        };
        let Some(dest) = self.directory.find(&printed.dest) else {
            return self
                .violations
                .note(node, ProtocolViolation::WroteToNobody, None, || {
                    let (dest, line) = (printed.dest, shown(line));
                    format!(
                        "sent a message to {dest:?}, which is no node, client or service: {line}"
                    )
                });
        };
        if src != Endpoint::Node(node) {
            self.violations
                .note(node, ProtocolViolation::UsedForeignName, None, || {
                    let (src, line) = (printed.src, shown(line));
                    format!(
                        "sent a message whose src is not its own id but {src:?}: {line}\n\
                         Maelstrom lets a message have any known src."
                    )
                });
        }
        self.send(src, dest, printed.body.get(), now);
    }

    /// A node has printed what is no message. `why` is for a person.
    pub fn heard_garbage(&mut self, node: usize, line: &[u8], why: &str) {
        self.violations.note(node, ProtocolViolation::PrintedNoMessage, None, || {
            let line = shown(&String::from_utf8_lossy(line));
            format!(
                "printed on stdout what is no message ({why}): {line}\nOnly messages belong there; logs go to stderr."
            )
        });
    }

    fn heard_no_message(&mut self, node: usize, line: &str, error: &serde_json::Error) {
        if line.trim().is_empty() {
            return self
                .violations
                .note(node, ProtocolViolation::PrintedNoMessage, None, || {
                    String::from("printed an empty line on stdout. Only messages belong there.")
                });
        }
        match malformed::wrong_field(line) {
            Some(why) => self.heard_wrong_field(node, line, &why),
            None => self.heard_garbage(node, line.as_bytes(), &json_error(error)),
        }
    }

    /// A node has sent a body that can't be read by whom it is for.
    pub(super) fn heard_wrong_body(&mut self, node: usize, body: &str, error: &serde_json::Error) {
        let why = malformed::wrong_field_of_body(body).unwrap_or_else(|| json_error(error));
        self.heard_wrong_field(node, body, &why);
    }

    fn heard_wrong_field(&mut self, node: usize, text: &str, why: &str) {
        self.violations
            .note(node, ProtocolViolation::WroteWrongField, None, || {
                let text = shown(text);
                format!("sent a malformed message ({why}): {text}")
            });
    }

    /// A client has got a message. As upstream, an answer counts whoever gave it.
    pub(super) fn answer_client(
        &mut self,
        client: usize,
        src: Endpoint,
        body: &str,
        now: Duration,
    ) {
        let asker = self.asker(client);
        let asked = match asker {
            Asker::Initializer(node) | Asker::Introducer(node) => node,
            Asker::Client(client) => self.clients.node(client),
        };
        let node = match src {
            Endpoint::Node(node) => node,
            // Some node said it in another's name.
            _ => asked,
        };
        let reply: AnyReply<'_> = match serde_json::from_str(body) {
            Ok(reply) => reply,
            Err(error) => return self.heard_wrong_body(node, body, &error),
        };
        let Some(in_reply_to) = reply.in_reply_to else {
            return self.answered_nothing(node, client, body, "it has no in_reply_to");
        };
        let client = match asker {
            Asker::Initializer(_) => {
                if !self.lives.has_init(asked, in_reply_to) {
                    return self.answered_nothing(node, client, body, "no init had that msg_id");
                }
                return self.answer_init(asked, in_reply_to, &reply, body);
            }
            Asker::Introducer(_) => {
                if in_reply_to != INTRODUCTION_MSG_ID {
                    return self.answered_nothing(node, client, body, "nobody sent that msg_id");
                }
                return self.answer_introduction(asked, &reply, body);
            }
            Asker::Client(client) => client,
        };
        match self.clients.hear(client, in_reply_to) {
            Heard::Answer(operation) => {
                let outcome = self.outcome(node, operation, &reply, body);
                self.complete(client, operation, outcome, now);
            }
            Heard::Late => {}
            Heard::Again(nth) => self.answered_twice(node, client, nth, body),
            Heard::Unasked => {
                let client = self.joined(client);
                self.answered_nothing(node, client, body, "nobody sent that msg_id");
            }
        }
    }

    /// The clients that ask nodes to get ready are numbered like the nodes.
    fn answer_init(&mut self, node: usize, init_msg_id: i64, reply: &AnyReply<'_>, body: &str) {
        if !self.lives.is_current(node, init_msg_id) {
            return;
        }
        // Upstream looks at nothing but the type of this one.
        let kind = &reply.kind;
        let Err(why) = Reply { kind, body }.check_kind("init_ok") else {
            return self.lives.ready(node);
        };
        let answer = shown(body);
        if matches!(self.phase, Phase::Starting) {
            let node = self.directory.nodes()[node].clone();
            let asked = "init";
            self.phase = Phase::Failed(StartError::Refused {
                node,
                asked,
                answer,
                why,
            });
        } else {
            self.violations
                .note(node, ProtocolViolation::RefusedInit, None, || {
                    format!("was killed and started again, and answered its new init with {answer}")
                });
        }
    }

    fn answer_introduction(&mut self, node: usize, reply: &AnyReply<'_>, body: &str) {
        let introduction = self.workload.introduction();
        let (Phase::Introducing { unready, .. }, Some(introduction)) =
            (&mut self.phase, introduction)
        else {
            return;
        };
        let kind = &reply.kind;
        match (Reply { kind, body }).done(introduction.answer_kind, ()) {
            Ok(()) => unready.retain(|&other| other != node),
            Err(why) => {
                self.phase = Phase::Failed(StartError::Refused {
                    node: self.directory.nodes()[node].clone(),
                    asked: introduction.kind,
                    answer: shown(body),
                    why,
                });
            }
        }
    }

    fn outcome(
        &mut self,
        node: usize,
        operation: usize,
        reply: &AnyReply<'_>,
        body: &str,
    ) -> Outcome<W::Answer> {
        let call = &self.history[operation].call;
        if reply.kind == "error" {
            let code = reply.code.unwrap_or(ErrorCode::CRASH.0);
            return match W::answer_in_error(call, code) {
                Some(answer) => Outcome::Ok(answer),
                None => error_outcome(reply),
            };
        }
        let kind = &reply.kind;
        match self.workload.read_answer(call, &Reply { kind, body }) {
            Ok(answer) => Outcome::Ok(answer),
            Err(why) => {
                let asked = W::request_kind(call);
                let violation = ProtocolViolation::AnsweredWrongly;
                self.violations.note(node, violation, Some(operation), || {
                    let body = shown(body);
                    format!("answered {asked:?} with what is no answer to it ({why}): {body}")
                });
                Outcome::Indeterminate(format!("no answer to that: {why}"))
            }
        }
    }

    fn answered_twice(&mut self, node: usize, client: usize, nth: usize, body: &str) {
        // Slow, but rare: nothing else lists a client's operations.
        let client = self.joined(client);
        let is_of_client = |&operation: &usize| self.history[operation].client == client;
        let operation = (0..self.history.len()).filter(is_of_client).nth(nth);
        self.violations
            .note(node, ProtocolViolation::AnsweredTwice, operation, || {
                let body = shown(body);
                let upstream = "Maelstrom's clients hear the first answer only.";
                format!("answered a request that had its answer already: {body}\n{upstream}")
            });
    }

    fn answered_nothing(&mut self, node: usize, client: usize, body: &str, why: &str) {
        self.violations
            .note(node, ProtocolViolation::AnsweredNothing, None, || {
                let client = self.directory.name(Endpoint::Client(client));
                let body = shown(body);
                let upstream = "Maelstrom's clients drop such a message.";
                format!("sent {client} a message that answers nothing ({why}): {body}\n{upstream}")
            });
    }
}

/// What an error says of the operation. One without a code says nothing.
fn error_outcome<A>(reply: &AnyReply<'_>) -> Outcome<A> {
    let code = reply.code.map_or(ErrorCode::CRASH, ErrorCode);
    let text = reply.fields.text.as_deref().unwrap_or("no text");
    let why = format!("error {}: {text}", code.0);
    if code.is_definite() {
        Outcome::Failed(why)
    } else {
        Outcome::Indeterminate(why)
    }
}
