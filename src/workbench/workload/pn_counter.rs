use rand::Rng;
use serde::Serialize;

use super::{Function, Reply, Turn, Workload, g_counter};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::consistency::{self, Level};
use crate::workbench::check::counter::{Answer, Call};
use crate::workbench::history::Operation;

/// A counter with positive and negative adds. Its messages are those of [`GCounter`](super::GCounter).
#[derive(Default)]
pub struct PnCounter {
    levels: Vec<Level>,
}

impl PnCounter {
    /// A counter that must satisfy these levels, or only eventual consistency if there are none.
    pub fn new(levels: Vec<Level>) -> Self {
        PnCounter { levels }
    }
}

impl Workload for PnCounter {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "pn-counter";
    const HAS_LAST_PHASE: bool = true;

    const FUNCTIONS: &'static [Function] = g_counter::FUNCTIONS;

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        if turn.random.random() {
            Call::Add(turn.random.random_range(-5..5))
        } else {
            Call::Read
        }
    }

    fn last_call(&mut self, _: usize) -> Option<Call> {
        Some(Call::Read)
    }

    fn request_kind(call: &Call) -> &'static str {
        g_counter::request_kind(call)
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        g_counter::write_request(call, body)
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        g_counter::read_request::<Self>(kind, body)
    }

    fn read_answer(&mut self, call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        g_counter::read_answer(call, reply)
    }

    fn answer_body(_: &Call, answer: &Answer) -> impl Serialize {
        g_counter::answer_body(answer)
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        consistency::check_run(history, &self.levels)
    }
}
