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

/// A counter to which clients add numbers, negative ones too if it has decrements.
#[derive(Default)]
pub struct Counter<const DECREMENTS: bool> {
    levels: Vec<Level>,
}

/// A counter that only grows.
pub type GCounter = Counter<false>;

/// A counter that rises and falls.
pub type PnCounter = Counter<true>;

impl<const DECREMENTS: bool> Counter<DECREMENTS> {
    /// A counter that must satisfy these levels, or only eventual consistency if there are none.
    pub fn new(levels: Vec<Level>) -> Self {
        Counter { levels }
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
enum AnswerBody {
    AddOk,
    ReadOk { value: i64 },
}

impl<const DECREMENTS: bool> Workload for Counter<DECREMENTS> {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = if DECREMENTS {
        "pn-counter"
    } else {
        "g-counter"
    };
    const HAS_LAST_PHASE: bool = true;
    const REPLIES: &'static [&'static str] =
        &[r#"{"type":"add_ok"}"#, r#"{"type":"read_ok","value":3}"#];

    const FUNCTIONS: &'static [Function] = &[
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

    // Upstream draws adds of -5 to 4 and reads in equal parts, and for a counter that only grows leaves out the negative
    // half of the adds.
    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        let random = turn.random;
        match DECREMENTS {
            true if random.random() => Call::Add(random.random_range(-5..5)),
            false if random.random_range(0..3) == 0 => Call::Add(random.random_range(0..5)),
            _ => Call::Read,
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
            Call::Add(delta) => body.field("delta", *delta),
            Call::Read => body,
        }
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        match kind {
            "add" => fields(body).map(|Add { delta }| Call::Add(delta)),
            "read" => Ok(Call::Read),
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        match call {
            Call::Add(_) => reply.done("add_ok", Answer::Added),
            Call::Read => reply
                .fields("read_ok")
                .map(|ReadOk { value }| Answer::Value(value)),
        }
    }

    fn answer_body(_: &Call, answer: &Answer) -> impl Serialize {
        match *answer {
            Answer::Added => AnswerBody::AddOk,
            Answer::Value(value) => AnswerBody::ReadOk { value },
        }
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        consistency::check_run(history, &self.levels)
    }
}
