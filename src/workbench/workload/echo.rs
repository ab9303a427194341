use rand::Rng;
use serde::{Deserialize, Serialize};

use super::event::{Function, ValueIn, unknown};
use super::reply::fields;
use super::{Reply, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::echo::{self, Answer, Call};
use crate::workbench::history::Operation;
use crate::workbench::json::Json;

/// Echo: nodes send back the payload of a request.
pub struct Echo;

#[derive(Deserialize)]
struct EchoRequest {
    echo: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EchoOk {
    echo: Json,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBody<'a> {
    EchoOk { echo: &'a Json },
}

impl Workload for Echo {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "echo";
    const HAS_LAST_PHASE: bool = false;
    const REPLIES: &'static [&'static str] =
        &[r#"{"type":"echo_ok","echo":"the echo of the request"}"#];

    const FUNCTIONS: &'static [Function] = &[Function {
        name: "echo",
        request: ValueIn::Field("echo"),
        // Maelstrom records the body of the reply.
        reply: ValueIn::Body,
    }];

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        let number = turn.random.random_range(0..128);
        Call(Json::from(&*format!("Please echo {number}")))
    }

    fn request_kind(_: &Call) -> &'static str {
        "echo"
    }

    fn write_request<'o>(Call(payload): &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        body.json_field("echo", payload)
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        match kind {
            "echo" => fields(body).map(|EchoRequest { echo }| Call(echo)),
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_answer(&mut self, _: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        Ok(Answer(reply.fields::<EchoOk>("echo_ok")?.echo))
    }

    fn answer_body(_: &Call, Answer(echo): &Answer) -> impl Serialize {
        AnswerBody::EchoOk { echo }
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        echo::check(history)
    }
}
