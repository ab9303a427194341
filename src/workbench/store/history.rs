//! `history.jsonl`: what clients asked and were told, an operation a line.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use crate::protocol::Encode;
use crate::workbench::body::BodyWriter;
use crate::workbench::history::{Operation, Outcome};
use crate::workbench::workload::Workload;

/// Writes a history to the end of `out`.
pub(super) fn write<W: Workload>(
    history: &[Operation<W::Call, W::Answer>],
    nodes: &[String],
    mut out: impl io::Write,
) -> io::Result<()> {
    // As the clients themselves do, each numbers what it asks from 1 up.
    let mut last_msg_ids: HashMap<usize, i64> = HashMap::new();
    let mut line = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        let msg_id = last_msg_ids.entry(operation.client).or_default();
        *msg_id += 1;
        line.clear();
        let node = &*nodes[operation.node.index()];
        write_operation::<W>(index, operation, node, *msg_id, &mut line)?;
        out.write_all(&line)?;
    }
    Ok(())
}

fn write_operation<W: Workload>(
    index: usize,
    operation: &Operation<W::Call, W::Answer>,
    node: &str,
    msg_id: i64,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    line.extend_from_slice(b"{\"index\":");
    (index as u64).encode(line);
    line.extend_from_slice(b",\"client\":\"c");
    (operation.client as u64).encode(line);
    line.extend_from_slice(b"\",\"node\":");
    node.encode(line);
    line.extend_from_slice(b",\"request\":");
    let body = BodyWriter::new(line, W::request_kind(&operation.call));
    drop(W::write_request(&operation.call, body).field("msg_id", msg_id));
    line.extend_from_slice(b",\"invoked_us\":");
    microseconds(operation.invoked_at).encode(line);
    line.extend_from_slice(b",\"completed_us\":");
    microseconds(operation.completed_at).encode(line);
    line.extend_from_slice(b",\"is_final\":");
    operation.is_final.encode(line);
    match &operation.outcome {
        Outcome::Ok(answer) => {
            line.extend_from_slice(b",\"outcome\":\"ok\",\"answer\":");
            serde_json::to_writer(&mut *line, &W::answer_body(&operation.call, answer))?;
        }
        Outcome::Failed(why) => {
            line.extend_from_slice(b",\"outcome\":\"failed\",\"why\":");
            why.as_str().encode(line);
        }
        Outcome::Indeterminate(why) => {
            line.extend_from_slice(b",\"outcome\":\"indeterminate\",\"why\":");
            why.as_str().encode(line);
        }
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

fn microseconds(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
