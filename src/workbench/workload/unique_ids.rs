use serde::Deserialize;
use serde_json::Value;

use super::{Reply, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Judgement;
use crate::workbench::check::unique_ids::{self, Answer, Call};
use crate::workbench::history::Operation;
use crate::workbench::random::Random;

/// Nodes give out ids, of any type, none of them twice.
pub struct UniqueIds;

#[derive(Deserialize)]
struct GenerateOk {
    id: Value,
}

impl Workload for UniqueIds {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "unique-ids";

    fn next_call(&mut self, _: &mut Random) -> Call {
        Call
    }

    fn final_call(&self) -> Option<Call> {
        None
    }

    fn request_kind(_: &Call) -> &'static str {
        "generate"
    }

    fn write_request<'o>(_: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        body
    }

    fn read_answer(_: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        Ok(Answer(reply.fields::<GenerateOk>("generate_ok")?.id))
    }

    fn judge(history: &[Operation<Call, Answer>], _: usize) -> Judgement {
        unique_ids::judge(history)
    }
}
