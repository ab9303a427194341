use rand::Rng;
use serde::{Deserialize, Serialize};

use super::event::{Function, ValueIn, unknown};
use super::reply::fields;
use super::{Reply, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::consistency::{self, Level};
use crate::workbench::check::counter::{Answer, Call};
use crate::workbench::history::Operation;

/// A grow-only counter: clients add numbers that are not negative.
#[derive(Default)]
pub struct GCounter {
    levels: Vec<Level>,
}

impl GCounter {
    /// A counter that must satisfy these levels, or only eventual consistency if there are none.
    pub fn new(levels: Vec<Level>) -> Self {
        GCounter { levels }
    }
}

impl Workload for GCounter {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "g-counter";
    const HAS_LAST_PHASE: bool = true;

    const FUNCTIONS: &'static [Function] = FUNCTIONS;

    // Upstream draws adds of -5 to 4 and reads in equal parts, and leaves out the negative half of the adds.
    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        if turn.random.random_range(0..3) == 0 {
            Call::Add(turn.random.random_range(0..5))
        } else {
            Call::Read
        }
    }

    fn last_call(&mut self, _: usize) -> Option<Call> {
        Some(Call::Read)
    }

    fn request_kind(call: &Call) -> &'static str {
        request_kind(call)
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        write_request(call, body)
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        read_request::<Self>(kind, body)
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        read_answer(call, reply)
    }

    fn answer_body(_: &Call, answer: &Answer) -> impl Serialize {
        answer_body(answer)
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        consistency::check_run(history, &self.levels)
    }
}

#[derive(Deserialize)]
struct Add {
    delta: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOk {
    value: i64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum AnswerBody {
    AddOk,
    ReadOk { value: i64 },
}

pub(super) fn request_kind(call: &Call) -> &'static str {
    match call {
        Call::Add(_) => "add",
        Call::Read => "read",
    }
}

pub(super) fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
    match call {
        Call::Add(delta) => body.field("delta", *delta),
        Call::Read => body,
    }
}

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "add",
        request: ValueIn::Field("delta"),
        reply: ValueIn::Nowhere,
    },
    Function {
        name: "read",
        request: ValueIn::Nowhere,
        reply: ValueIn::Field("value"),
    },
];

pub(super) fn read_request<W: Workload>(kind: &str, body: &str) -> Result<Call, String> {
    match kind {
        "add" => fields(body).map(|Add { delta }| Call::Add(delta)),
        "read" => Ok(Call::Read),
        _ => Err(unknown::<W>(kind)),
    }
}

pub(super) fn read_answer(call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
    match call {
        Call::Add(_) => reply.done("add_ok", Answer::Added),
        Call::Read => reply
            .fields("read_ok")
            .map(|ReadOk { value }| Answer::Value(value)),
    }
}

pub(super) fn answer_body(answer: &Answer) -> AnswerBody {
    match *answer {
        Answer::Added => AnswerBody::AddOk,
        Answer::Value(value) => AnswerBody::ReadOk { value },
    }
}
