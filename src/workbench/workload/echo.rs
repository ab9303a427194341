use rand::Rng;
use serde::Deserialize;
use serde_json::Value;

use super::{Reply, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Judgement;
use crate::workbench::check::echo::{self, Answer, Call};
use crate::workbench::history::Operation;
use crate::workbench::random::Random;

/// Nodes send back what they were sent.
pub struct Echo;

#[derive(Deserialize)]
struct EchoOk {
    echo: Value,
}

impl Workload for Echo {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "echo";

    fn next_call(&mut self, random: &mut Random) -> Call {
        Call(Value::String(format!(
            "Please echo {}",
            random.random_range(0..128)
        )))
    }

    fn final_call(&self) -> Option<Call> {
        None
    }

    fn request_kind(_: &Call) -> &'static str {
        "echo"
    }

    fn write_request<'o>(Call(payload): &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        body.json_field("echo", payload)
    }

    fn read_answer(_: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        Ok(Answer(reply.fields::<EchoOk>("echo_ok")?.echo))
    }

    fn judge(history: &[Operation<Call, Answer>], _: usize) -> Judgement {
        echo::judge(history)
    }
}
