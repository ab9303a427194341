use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Function, ValueIn, unknown};
use super::reply::fields;
use super::{Introduction, Reply, Topology, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::set::{self, Answer, Call, Elements};
use crate::workbench::history::Operation;
use crate::workbench::json::list_or_null;

/// Broadcast: nodes spread the messages of clients. They are sent a topology of neighbours, which they may ignore.
pub struct Broadcast {
    next_message: u64,
    /// Each node's neighbours, by name.
    neighbors: Value,
}

impl Broadcast {
    /// A broadcast among the nodes with these names.
    pub fn new(topology: Topology, nodes: &[String]) -> Self {
        Broadcast {
            next_message: 0,
            neighbors: topology.neighbors(nodes),
        }
    }
}

#[derive(Deserialize)]
struct Message {
    message: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOk {
    #[serde(deserialize_with = "list_or_null")]
    messages: Elements,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBody<'a> {
    BroadcastOk,
    ReadOk { messages: &'a Elements },
}

impl Workload for Broadcast {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "broadcast";
    const HAS_LAST_PHASE: bool = true;
    const REPLIES: &'static [&'static str] = &[
        r#"{"type":"broadcast_ok"}"#,
        r#"{"type":"read_ok","messages":[1,5,2]}"#,
    ];

    const FUNCTIONS: &'static [Function] = &[
        Function {
            name: "broadcast",
            request: ValueIn::Field("message"),
            reply: ValueIn::Nowhere,
        },
        Function {
            name: "read",
            request: ValueIn::Nowhere,
            reply: ValueIn::Field("messages"),
        },
    ];

    fn introduction(&self) -> Option<Introduction> {
        Some(Introduction {
            kind: "topology",
            field: ("topology", self.neighbors.clone()),
            answer_kind: "topology_ok",
        })
    }

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        if turn.random.random() {
            let message = self.next_message;
            self.next_message += 1;
            Call::Add(message)
        } else {
            Call::Read
        }
    }

    fn last_call(&mut self, _: usize) -> Option<Call> {
        Some(Call::Read)
    }

    fn request_kind(call: &Call) -> &'static str {
        match call {
            Call::Add(_) => "broadcast",
            Call::Read => "read",
        }
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        match call {
            Call::Add(message) => body.field("message", *message),
            Call::Read => body,
        }
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        match kind {
            "broadcast" => fields(body).map(|Message { message }| Call::Add(message)),
            "read" => Ok(Call::Read),
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        match call {
            Call::Add(_) => reply.done("broadcast_ok", Answer::Added),
            Call::Read => reply
                .fields("read_ok")
                .map(|ReadOk { messages }| Answer::Elements(messages)),
        }
    }

    fn answer_body(_: &Call, answer: &Answer) -> impl Serialize {
        match answer {
            Answer::Added => AnswerBody::BroadcastOk,
            Answer::Elements(messages) => AnswerBody::ReadOk { messages },
        }
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        set::check(history)
    }
}
