use serde::{Deserialize, Serialize};

use super::event::{Function, ValueIn, unknown};
use super::{Reply, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::unique_ids::{self, Answer, Call};
use crate::workbench::history::Operation;
use crate::workbench::json::Json;

/// Unique ids: nodes generate ids of any type, none of them twice.
pub struct UniqueIds;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenerateOk {
    id: Json,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBody<'a> {
    GenerateOk { id: &'a Json },
}

impl Workload for UniqueIds {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "unique-ids";
    const HAS_LAST_PHASE: bool = false;
    const CLIENTS_STAY: bool = true;
    const REPLIES: &'static [&'static str] = &[r#"{"type":"generate_ok","id":"n1-7"}"#];

    const FUNCTIONS: &'static [Function] = &[Function {
        name: "generate",
        request: ValueIn::Nowhere,
        reply: ValueIn::Field("id"),
    }];

    fn next_call(&mut self, _: Turn<'_>) -> Call {
        Call
    }

    fn request_kind(_: &Call) -> &'static str {
        "generate"
    }

    fn write_request<'o>(_: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        body
    }

    fn read_request(kind: &str, _: &str) -> Result<Call, String> {
        match kind {
            "generate" => Ok(Call),
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_answer(&mut self, _: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        Ok(Answer(reply.fields::<GenerateOk>("generate_ok")?.id))
    }

    fn answer_body(_: &Call, Answer(id): &Answer) -> impl Serialize {
        AnswerBody::GenerateOk { id }
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        unique_ids::check(history)
    }
}
