//! `history.jsonl`: what clients asked and were told, an operation a line.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::workbench::body::BodyWriter;
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::workload::Workload;

#[derive(Serialize)]
struct Line<'a, A> {
    index: usize,
    client: String,
    node: &'a str,
    /// The body as it was sent.
    request: &'a RawValue,
    invoked_us: u64,
    completed_us: u64,
    is_final: bool,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The body of the answer, without ids.
    answer: Option<A>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// Writes a history to the end of `out`.
pub(super) fn write<W: Workload>(
    history: &[Operation<W::Call, W::Answer>],
    nodes: &[String],
    mut out: impl io::Write,
) -> io::Result<()> {
    // As the clients themselves do, each numbers what it asks from 1 up.
    let mut last_msg_ids: HashMap<usize, i64> = HashMap::new();
    for (index, operation) in history.iter().enumerate() {
        let msg_id = last_msg_ids.entry(operation.client).or_default();
        *msg_id += 1;
        let mut request = Vec::new();
        let body = BodyWriter::new(&mut request, W::request_kind(&operation.call));
        drop(W::write_request(&operation.call, body).field("msg_id", *msg_id));
        let (outcome, answer, why) = match &operation.outcome {
            Outcome::Ok(answer) => {
                let body = W::answer_body(&operation.call, answer);
                ("ok", Some(body), None)
            }
            Outcome::Failed(why) => ("failed", None, Some(&**why)),
            Outcome::Indeterminate(why) => ("indeterminate", None, Some(&**why)),
        };
        let line = Line {
            index,
            client: format!("c{}", operation.client),
            node: &nodes[operation.node.index()],
            request: serde_json::from_slice(&request)?,
            invoked_us: microseconds(operation.invoked_at),
            completed_us: microseconds(operation.completed_at),
            is_final: operation.is_final,
            outcome,
            answer,
            why,
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn microseconds(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
