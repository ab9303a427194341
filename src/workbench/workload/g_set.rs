use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Reply, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Elements;
use crate::workbench::check::Verdict;
use crate::workbench::check::g_set::{self, Answer, Call};
use crate::workbench::history::Operation;
use crate::workbench::json::list_or_null;

/// Nodes keep a set together that only grows.
#[derive(Default)]
pub struct GSet {
    next_element: u64,
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
        g_set::check(history)
    }
}
