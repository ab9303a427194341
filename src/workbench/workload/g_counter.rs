use rand::Rng;
use serde::Deserialize;

use super::{Reply, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Judgement;
use crate::workbench::check::counter::{self, Answer, Call, Kind};
use crate::workbench::history::Operation;
use crate::workbench::random::Random;

/// Nodes keep a sum together to which nothing negative is added.
pub struct GCounter;

#[derive(Deserialize)]
struct ReadOk {
    value: i64,
}

#[derive(Deserialize)]
struct AddOk {}

impl Workload for GCounter {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "g-counter";

    // Upstream draws adds of -5 to 4 and reads in equal parts and leaves out the negative half of the adds.
    fn next_call(&mut self, random: &mut Random) -> Call {
        if random.random_range(0..3) == 0 {
            Call::Add(random.random_range(0..5))
        } else {
            Call::Read
        }
    }

    fn final_call(&self) -> Option<Call> {
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

    fn read_answer(call: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        match call {
            Call::Add(_) => reply.fields("add_ok").map(|AddOk {}| Answer::Added),
            Call::Read => reply
                .fields("read_ok")
                .map(|ReadOk { value }| Answer::Value(value)),
        }
    }

    fn judge(history: &[Operation<Call, Answer>], node_count: usize) -> Judgement {
        counter::judge(history, Kind::GrowOnly, node_count)
    }
}
