//! The messages of nodes, and their effect on the clients that receive them.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::Lenient;
use super::phase::Phase;
use super::route::{Asker, INTRODUCTION_MSG_ID};
use super::start_error::StartError;
use super::violations::{ProtocolViolation, shown, shown_bytes};
use super::{Observer, World, malformed};
use crate::protocol::{ErrorCode, LineError, Text, present};
use crate::workbench::client::ReplyKind;
use crate::workbench::history::Outcome;
use crate::workbench::json::is_whole_number;
use crate::workbench::nemesis::Fault;
use crate::workbench::network::Endpoint;
use crate::workbench::workload::{Reply, Workload, json_error};

/// A message as a node prints it. Its body stays text, because most bodies are only passed on. As upstream, other
/// fields are not permitted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    src: Cow<'a, str>,
    #[serde(borrow)]
    dest: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

const ONLY_MESSAGES: &str = "Only messages belong there; logs go to stderr.";

const SEVERAL_AT_ONCE: &str = "It looks like several messages that were written at once. Write each message together with its \
    newline, in one piece, and with a lock where several threads write.";

/// A hint for the author of a node about a line that Maelstrom can't read. There, an assertion ends the thread that
/// reads the node's stdout.
const MUTE: &str = "Maelstrom stops reading its stdout at that line: the node is mute from here on, and so it is here.";

/// How long a client that sends `init` or the introduction takes to leave when it has its answer. On Maelstrom a second
/// answer that was printed together with the first, as by a library and then by its user, found the client gone in about one
/// of three cases, and one that came a millisecond later in most.
const LEAVING_MAX: Duration = Duration::from_millis(1);

/// What to say of an answer that came meanwhile.
const LEAVES: &str = " The client that asked this leaves when it has its answer, and a node that writes to it then is mute \
                      from there on: which comes first is chance.";

/// What is wrong with a reply that lacks it, and what to do.
const NO_IN_REPLY_TO: &str = "it has no in_reply_to; in a reply that is the msg_id of its request";

/// For whoever answers `init` in a handler of that library. The client that sends a node its `init` has the node's number.
const GO_ANSWERS_INIT: &str = " Maelstrom's library for Go answers init by itself.";

impl<W: Workload, O: Observer> World<W, O> {
    /// A node has printed a line. It is ignored when the run is over.
    pub fn on_line(&mut self, node: usize, line: &str, now: Duration) {
        if self.node_states.is_mute(node) || self.is_over() {
            return;
        }
        let printed: Printed<'_> = match serde_json::from_str(line) {
            Ok(printed) => printed,
            Err(error) => return self.on_invalid_line(node, line, &error, now),
        };
        let is_whole = |id: &RawValue| is_whole_number(id.get());
        if !printed.body.get().starts_with('{') || !printed.id.is_none_or(is_whole) {
            let why = malformed::wrong_field(line).expect("one of them is wrong");
            return self.on_malformed(node, line, &why);
        }
        let src = self.directory.find(&printed.src);
        let Some(src) = src.filter(|&src| self.is_there(src, now)) else {
            let violation = ProtocolViolation::UsedUnknownName;
            return self.silence(node, violation, || {
                let (src, line) = (printed.src, shown(line));
                format!(
                    "sent a message whose src is {src:?}, which is no node, client or service: {line}"
                )
            });
        };
        let dest = match self.directory.find(&printed.dest) {
            Some(dest) if self.is_there(dest, now) => dest,
            other => return self.on_unknown_dest(node, &printed.dest, other, line),
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
        self.last_sent[node] = Some((now, dest));
        self.heard_back_at[node] = None;
        if matches!(self.phase, Phase::Starting | Phase::Introducing { .. }) {
            self.first_sent[node].get_or_insert_with(|| (dest, shown(line)));
        }
        self.send(src, dest, printed.body.get(), now);
    }

    /// Whether an endpoint is in the network. The clients for `init` and for the introduction leave it with their
    /// reply.
    fn is_there(&self, endpoint: Endpoint, now: Duration) -> bool {
        let client = match endpoint {
            Endpoint::Node(node) => return self.node_states.has_joined(node, now),
            Endpoint::Service(_) => return true,
            Endpoint::Client(client) => client,
        };
        let waits = match (self.asker(client), &self.phase) {
            (Asker::Initializer(node), _) => self.node_states.is_unready(node),
            (Asker::Introducer(node), Phase::Introducing { unready, .. }) => {
                unready.contains(&node)
            }
            (Asker::Introducer(_), _) => false,
            (Asker::Client(_), _) => true,
        };
        let is_leaving = |answered_at: &Duration| now - *answered_at < LEAVING_MAX;
        waits || self.last_answered_at.get(&client).is_some_and(is_leaving)
    }

    /// A node has sent a message to a name that is not in the network. `known` is the endpoint that has the name at
    /// another time.
    fn on_unknown_dest(&mut self, node: usize, name: &str, known: Option<Endpoint>, line: &str) {
        let asked = match known {
            Some(Endpoint::Client(client)) => self.asked_before(client),
            _ => None,
        };
        let (what, advice) = match (known, asked) {
            (Some(Endpoint::Node(_)), _) => (
                String::from("which had not joined the network yet"),
                "\nNodes start side by side, and each joins when it starts. Clients begin when all have joined: send to a node \
                 only after a client or that node has sent you a message.",
            ),
            (Some(_), Some(kind)) => (
                format!("a client that had sent only {kind}, and left when it had its answer"),
                match known {
                    Some(Endpoint::Client(client)) if client == node => {
                        &format!("\nAnswer each request once.{GO_ANSWERS_INIT}")
                    }
                    _ => {
                        "\nAnswer each request once, and its own client: the src of the request is the dest of the reply."
                    }
                },
            ),
            (Some(_), None) => (
                String::from("a client that had sent nothing"),
                "\nSend to a client only in reply to its request: the src of the request is the dest of the reply.",
            ),
            (None, _) => {
                let meant = self.directory.similar_service(name);
                let meant = meant.map(|service| format!(" (did you mean {service}?)"));
                let meant = meant.unwrap_or_default();
                (format!("which is no node, client or service{meant}"), "")
            }
        };
        self.silence(node, ProtocolViolation::WroteToNobody, || {
            format!(
                "sent a message to {name:?}, {what}: {}{advice}",
                shown(line)
            )
        });
    }

    /// The type of the request that a client has sent that is not one of the run; `None` if it has sent none, or will not. As
    /// upstream, there is a client for the introduction even if the workload has none.
    fn asked_before(&self, client: usize) -> Option<&'static str> {
        match self.asker(client) {
            Asker::Initializer(node) => self.node_states.was_sent_init(node).then_some("init"),
            Asker::Introducer(_) if matches!(self.phase, Phase::Starting) => None,
            Asker::Introducer(_) => Some(self.workload.introduction()?.kind),
            Asker::Client(_) => None,
        }
    }

    /// A node has printed a line that Maelstrom can't accept.
    fn silence(
        &mut self,
        node: usize,
        violation: ProtocolViolation,
        describe: impl FnOnce() -> String,
    ) {
        self.violations
            .note(node, violation, None, || format!("{}\n{MUTE}", describe()));
        self.node_states.mute(node);
        self.last_sent[node] = None;
    }

    /// A node has printed a line that can't be read.
    pub fn on_unreadable_line(&mut self, node: usize, error: &LineError<'_>, now: Duration) {
        match error {
            LineError::NotUtf8(bytes) => {
                let what = || {
                    let line = shown_bytes(bytes);
                    format!(
                        "printed a line that is not UTF-8: {line}\nMaelstrom takes what is not for U+FFFD."
                    )
                };
                self.violations
                    .note(node, ProtocolViolation::PrintedOddly, None, what);
                self.on_line(node, &String::from_utf8_lossy(bytes), now);
            }
            LineError::TooLong(_) => {
                let what = || {
                    format!(
                        "printed on stdout a line that is not a message ({error})\n{ONLY_MESSAGES}"
                    )
                };
                self.violations
                    .note(node, ProtocolViolation::PrintedNoMessage, None, what);
            }
        }
    }

    fn on_invalid_line(
        &mut self,
        node: usize,
        line: &str,
        error: &serde_json::Error,
        now: Duration,
    ) {
        // As to upstream, a carriage return ends a line.
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\r') {
            return line
                .split('\r')
                .for_each(|line| self.on_line(node, line, now));
        }
        if let Some(lenient) = Lenient::read(line) {
            let Lenient {
                violation,
                message,
                oddity,
                made_of_it,
            } = lenient;
            self.violations.note(node, violation, None, || {
                format!("printed {oddity}: {}\n{made_of_it}", shown(line))
            });
            return self.on_line(node, &message, now);
        }
        if let Some(why) = malformed::wrong_field(line) {
            return self.on_malformed(node, line, &why);
        }
        let has_mark = line.starts_with('\u{feff}');
        let comes_twice = |field: &&str| line.matches(field).count() > 1;
        let is_several = [r#""src""#, r#""dest""#, r#""body""#]
            .iter()
            .any(comes_twice)
            || self
                .violations
                .first(node, ProtocolViolation::PrintedSeveral)
                .is_some();
        let advice = if is_several {
            SEVERAL_AT_ONCE
        } else {
            ONLY_MESSAGES
        };
        self.silence(node, ProtocolViolation::PrintedNoMessage, || match line {
            _ if line.trim().is_empty() => {
                format!("printed an empty line on stdout. {advice}")
            }
            _ => {
                let why = match has_mark {
                    true => {
                        String::from("it begins with a byte-order mark; write UTF-8 without it")
                    }
                    false if error.is_eof() => {
                        format!("{}; a message is one line", json_error(error))
                    }
                    false => json_error(error),
                };
                let line = shown(line);
                format!("printed on stdout a line that is not a message ({why}): {line}\n{advice}")
            }
        });
    }

    fn on_malformed(&mut self, node: usize, line: &str, why: &str) {
        let is_early = self.node_states.is_unready(node) && self.node_states.was_sent_init(node);
        self.silence(node, ProtocolViolation::WroteWrongField, || {
            let early = match is_early {
                true if line.contains("init_ok") => {
                    "\nA right answer to init looks like this: {\"src\": \"n0\", \"dest\": \"c0\", \"body\": {\"type\": \
                     \"init_ok\", \"in_reply_to\": 1}}"
                }
                true => {
                    "\nIt had not answered its init yet. A node has to do that before it handles any other message, also \
                     where each message has a thread of its own."
                }
                false => "",
            };
            format!("sent a malformed message ({why}): {}{early}", shown(line))
        });
    }

    /// A node has sent a body that its receiver can't read.
    pub(super) fn on_wrong_body(&mut self, node: usize, body: &str, error: &serde_json::Error) {
        self.violations
            .note(node, ProtocolViolation::WroteWrongField, None, || {
                let why = malformed::wrong_field_of_body(body);
                let why = why.unwrap_or_else(|| json_error(error));
                format!("sent a malformed message ({why}): {}", shown(body))
            });
    }

    /// A client has received a message. As upstream, a reply counts whichever node sent it.
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
            // Another node sent it in the name of this one.
            _ => asked,
        };
        let reply = match Reply::read(body) {
            Ok(reply) => reply,
            Err(error) => return self.on_wrong_body(node, body, &error),
        };
        let in_reply_to = match reply.field("in_reply_to") {
            Some(id) => id,
            None => return self.answered_nothing(node, client, body, NO_IN_REPLY_TO),
        };
        // Clients use no other message ids.
        let msg_id: Option<i64> = in_reply_to.parse().ok();
        if let Some(number) = number_in_text(in_reply_to) {
            let why =
                format!("its in_reply_to is the text {in_reply_to} and not the number {number}");
            return self.answered_nothing(node, client, body, &why);
        }
        match asker {
            Asker::Initializer(_) => {
                match msg_id.filter(|&id| self.node_states.has_init(asked, id)) {
                    Some(id) if self.node_states.is_answered(asked, id) => {
                        let hint = format!("{LEAVES}{GO_ANSWERS_INIT}");
                        self.answered_twice(node, None, body, &hint);
                    }
                    Some(id) => self.answer_init(asked, id, &reply, now),
                    None => self.answered_nothing(node, client, body, "no init had that msg_id"),
                }
            }
            Asker::Introducer(_) => match msg_id {
                Some(INTRODUCTION_MSG_ID) if self.last_answered_at.contains_key(&client) => {
                    self.answered_twice(node, None, body, LEAVES);
                }
                Some(INTRODUCTION_MSG_ID) => self.answer_introduction(asked, client, &reply, now),
                _ => self.answered_nothing(node, client, body, "nobody sent that msg_id"),
            },
            Asker::Client(number) => match msg_id.map(|id| self.clients.on_reply(number, id)) {
                Some(ReplyKind::Answer(operation)) => {
                    let outcome = self.outcome(node, operation, &reply);
                    self.complete(number, operation, outcome, now);
                }
                Some(ReplyKind::Late(nth)) => {
                    self.unanswered.remove(&number);
                    self.answered_late(node, client, nth, body);
                }
                Some(ReplyKind::Again(nth)) => {
                    let operation = self.operation_of(client, nth);
                    self.answered_twice(node, operation, body, "");
                }
                Some(ReplyKind::Unasked) | None => {
                    match msg_id.and_then(|id| self.clients.waiting(node, id)) {
                        Some(other) => self.answered_another(node, client, other, body),
                        None => {
                            self.answered_nothing(node, client, body, "nobody sent that msg_id")
                        }
                    }
                }
            },
        }
    }

    /// The clients that send `init` have the numbers of the nodes.
    fn answer_init(&mut self, node: usize, init_msg_id: i64, reply: &Reply<'_>, now: Duration) {
        if !self.node_states.is_current(node, init_msg_id) {
            return;
        }
        // Upstream only checks the type of this reply.
        let Err(why) = reply.check_kind("init_ok") else {
            self.last_answered_at.insert(node, now);
            return self.node_states.ready(node);
        };
        let answer = shown(reply.body);
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

    fn answer_introduction(
        &mut self,
        node: usize,
        client: usize,
        reply: &Reply<'_>,
        now: Duration,
    ) {
        let introduction = self.workload.introduction();
        let (Phase::Introducing { unready, .. }, Some(introduction)) =
            (&mut self.phase, introduction)
        else {
            return;
        };
        match reply.done(introduction.answer_kind, ()) {
            Ok(()) => {
                self.last_answered_at.insert(client, now);
                unready.retain(|&other| other != node);
            }
            Err(why) => {
                self.phase = Phase::Failed(StartError::Refused {
                    node: self.directory.nodes()[node].clone(),
                    asked: introduction.kind,
                    answer: shown(reply.body),
                    why,
                });
            }
        }
    }

    fn outcome(&mut self, node: usize, operation: usize, reply: &Reply<'_>) -> Outcome<W::Answer> {
        let call = &self.history[operation].call;
        if reply.is_error() {
            if let Err(why) = check_code(reply) {
                let violation = ProtocolViolation::FailedOddly;
                self.violations.note(node, violation, Some(operation), || {
                    let body = shown(reply.body);
                    format!("answered with an odd error ({why}): {body}")
                });
            }
            return error_outcome(reply, |code| W::answer_in_error(call, code));
        }
        match self.workload.read_answer(call, reply) {
            Ok(answer) => Outcome::Ok(answer),
            Err(why) => {
                let asked = W::request_kind(call);
                let violation = ProtocolViolation::AnsweredWrongly;
                self.violations.note(node, violation, Some(operation), || {
                    let body = shown(reply.body);
                    let example = W::example_reply(asked);
                    let example = example.expect("each type of request has an example");
                    format!(
                        "answered {asked:?} wrongly ({why}): {body}\n\
                         A reply of the right form, without its ids, is for example: {example}"
                    )
                });
                Outcome::Indeterminate(format!("the answer was of the wrong form: {why}"))
            }
        }
    }

    /// A node has sent a service an odd request that the service performs nevertheless.
    pub(super) fn asked_oddly(&mut self, node: usize, service: usize, body: &str, why: &str) {
        self.violations
            .note(node, ProtocolViolation::AskedOddly, None, || {
                let service = self.directory.name(Endpoint::Service(service));
                let body = shown(body);
                format!("sent {service} an odd request: {body}\n({why}.)")
            });
    }

    /// The operation with that number among those of a client.
    fn operation_of(&self, client: usize, nth: usize) -> Option<usize> {
        // Slow, but rare: there is no other index of a client's operations.
        let is_of_client = |&operation: &usize| self.history[operation].client == client;
        (0..self.history.len()).filter(is_of_client).nth(nth)
    }

    fn answered_late(&mut self, node: usize, client: usize, nth: usize, body: &str) {
        // A node that was paused is not at fault, and a client that stays ignores the answer.
        if W::CLIENTS_STAY || self.settings.faults.contains(&Fault::Pause) {
            return;
        }
        let operation = self.operation_of(client, nth);
        self.violations
            .note(node, ProtocolViolation::AnsweredLate, operation, || {
                let (body, timeout_s) = (shown(body), self.clients.timeout().as_secs_f64());
                format!(
                    "answered a request after the {timeout_s} s that a client waits: {body}\n\
                     On Maelstrom a client that has given up leaves the network when another takes its place, and a node \
                     that answers it then is mute from there on. Answer in time, with an error of code 0 if need be."
                )
            });
    }

    fn answered_twice(&mut self, node: usize, operation: Option<usize>, body: &str, hint: &str) {
        self.violations
            .note(node, ProtocolViolation::AnsweredTwice, operation, || {
                let body = shown(body);
                let upstream = "Maelstrom's clients ignore all answers but the first.";
                format!("answered a request that had its answer already: {body}\n{upstream}{hint}")
            });
    }

    /// A node has sent a client the answer that another waits for, given by its number and its operation.
    fn answered_another(
        &mut self,
        node: usize,
        client: usize,
        (other, operation): (usize, usize),
        body: &str,
    ) {
        let violation = ProtocolViolation::AnsweredAnother;
        let other = self.joined(other);
        self.violations.note(node, violation, Some(operation), || {
            let name = |client| self.directory.name(Endpoint::Client(client));
            let (client, other, body) = (name(client), name(other), shown(body));
            format!(
                "sent {client} the answer to a msg_id that {other} waits for and {client} has not used: {body}\n\
                 Maelstrom's clients drop such a message. Send each reply to the src of its request."
            )
        });
    }

    fn answered_nothing(&mut self, node: usize, client: usize, body: &str, why: &str) {
        // The message may well be meant for an answer to it.
        let operation = match self.asker(client) {
            Asker::Client(number) => self.clients.waits_for(number),
            Asker::Initializer(_) | Asker::Introducer(_) => None,
        };
        self.answered_nothing.extend(operation);
        let violation = ProtocolViolation::AnsweredNothing;
        self.violations.note(node, violation, operation, || {
            let client = self.directory.name(Endpoint::Client(client));
            let body = shown(body);
            let upstream = "Maelstrom's clients drop such a message.";
            format!("sent {client} a message that answers nothing ({why}): {body}\n{upstream}")
        });
    }
}

/// The number that a JSON string holds, if it holds a whole number.
fn number_in_text(json: &str) -> Option<i64> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    text.parse().ok()
}

/// Checks that an error has a code that is a whole number, if only as `11.0`.
///
/// # Errors
///
/// What is wrong with it. To Maelstrom it is an error of an unknown code.
fn check_code(reply: &Reply<'_>) -> Result<(), String> {
    let code = reply.field("code").ok_or("it has no code")?;
    match code.parse().is_ok_and(|code: f64| code.fract() == 0.0) {
        true => Ok(()),
        false => Err(format!("its code is {code}, which is no whole number")),
    }
}

/// The outcome that an error means. As upstream, the outcome is unknown if the code is none of the protocol's codes,
/// which are whole numbers.
fn error_outcome<A>(
    reply: &Reply<'_>,
    answer_in_error: impl FnOnce(i64) -> Option<A>,
) -> Outcome<A> {
    let code = reply.field("code");
    let number: Option<i64> = code.and_then(|code| code.parse().ok());
    if let Some(answer) = number.and_then(answer_in_error) {
        return Outcome::Ok(answer);
    }
    let text = reply.field("text").map_or("no text".into(), |text| {
        serde_json::from_str(text).map_or(text.into(), |Text(text)| text)
    });
    let why = format!("error {}: {text}", code.unwrap_or("without a code"));
    match number.map(ErrorCode) {
        Some(code) if code.is_definite() => Outcome::Failed(why),
        _ => Outcome::Indeterminate(why),
    }
}
