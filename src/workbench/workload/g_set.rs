use rand::Rng;
use serde::{Deserialize, Serialize};

use super::event::{Function, ValueIn, unknown};
use super::reply::fields;
use super::{Reply, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::set::{self, Answer, Call, Elements};
use crate::workbench::history::Operation;
use crate::workbench::json::list_or_null;

/// A grow-only set: clients add elements.
#[derive(Default)]
pub struct GSet {
    next_element: u64,
}

#[derive(Deserialize)]
struct Add {
    element: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOk {
    #[serde(deserialize_with = "list_or_null")]
    value: Elements,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBody<'a> {
    AddOk,
    ReadOk { value: &'a Elements },
}

impl Workload for GSet {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "g-set";
    const HAS_LAST_PHASE: bool = true;
    const REPLIES: &'static [&'static str] = &[
        r#"{"type":"add_ok"}"#,
        r#"{"type":"read_ok","value":[1,5,2]}"#,
    ];

    const FUNCTIONS: &'static [Function] = &[
        Function {
            name: "add",
            request: ValueIn::Field("element"),
            reply: ValueIn::Nowhere,
        },
        Function {
            name: "read",
            request: ValueIn::Nowhere,
            reply: ValueIn::Field("value"),
        },
    ];

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        if turn.random.random() {
            let element = self.next_element;
            self.next_element += 1;
            Call::Add(element)
        } else {
            Call::Read
        }
    }

    fn last_call(&mut self, _: usize) -> Option<Call> {
        Some(Call::Read)
    }

    fn request_kind(call: &Call) -> &'static str {
        match call {
            Call::Add(_) => "add",
            Call::Read => "read",
        }
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        match call {
            Call::Add(element) => body.field("element", *element),
            Call::Read => body,
        }
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        match kind {
            "add" => fields(body).map(|Add { element }| Call::Add(element)),
            "read" => Ok(Call::Read),
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        match call {
            Call::Add(_) => reply.done("add_ok", Answer::Added),
            Call::Read => reply
                .fields("read_ok")
                .map(|ReadOk { value }| Answer::Elements(value)),
        }
    }

    fn answer_body(_: &Call, answer: &Answer) -> impl Serialize {
        match answer {
            Answer::Added => AnswerBody::AddOk,
            Answer::Elements(value) => AnswerBody::ReadOk { value },
        }
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        set::check(history)
    }
}
