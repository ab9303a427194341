//! Writes and reads `history.jsonl`, which has one operation per line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::Encode;
use crate::workbench::body::BodyWriter;
use crate::workbench::history::{Node, Operation, Outcome};
use crate::workbench::workload::{Reply, Workload, json_error, unexpected};

/// Writes a history to the end of `out`.
pub(super) fn write<W: Workload>(
    history: &[Operation<W::Call, W::Answer>],
    nodes: &[String],
    mut out: impl io::Write,
) -> io::Result<()> {
    // Like the clients themselves, each client numbers its requests from 1 up.
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

/// A line of the file.
#[derive(Deserialize)]
pub struct StoredOperation<'a> {
    #[serde(borrow)]
    client: Cow<'a, str>,
    /// The name of the node.
    #[serde(borrow)]
    pub node: Cow<'a, str>,
    #[serde(borrow)]
    request: &'a RawValue,
    invoked_us: u64,
    completed_us: u64,
    is_final: bool,
    outcome: StoredOutcome,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
    #[serde(borrow)]
    why: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredOutcome {
    Ok,
    Failed,
    Indeterminate,
}

impl<'a> StoredOperation<'a> {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// When it is not an operation.
    pub fn read(line: &'a str) -> Result<Self, String> {
        let operation = serde_json::from_str(line);
        operation.map_err(|error| {
            format!(
                "this is not an operation of history.jsonl: {}",
                json_error(&error)
            )
        })
    }

    /// The operation, as one of `workload`. `node` is the node with the operation's node name.
    ///
    /// # Errors
    ///
    /// When it is not an operation of this workload.
    pub fn operation<W: Workload>(
        &self,
        node: Node,
        workload: &mut W,
    ) -> Result<Operation<W::Call, W::Answer>, String> {
        #[derive(Deserialize)]
        struct Request<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
        }
        let number = self
            .client
            .strip_prefix('c')
            .and_then(|number| number.parse().ok());
        let client = number
            .ok_or_else(|| format!("its client is {:?}, not c0, c1, and so on", self.client))?;
        let request = self.request.get();
        let Request { kind } = serde_json::from_str(request).map_err(|error| json_error(&error))?;
        let call =
            W::read_request(&kind, request).map_err(|why| unexpected("request", request, &why))?;
        let why = || self.why.as_deref().unwrap_or_default().to_owned();
        let outcome = match self.outcome {
            StoredOutcome::Ok => Outcome::Ok(self.answer(&call, workload)?),
            StoredOutcome::Failed => Outcome::Failed(why()),
            StoredOutcome::Indeterminate => Outcome::Indeterminate(why()),
        };
        Ok(Operation {
            client,
            node,
            call,
            is_final: self.is_final,
            invoked_at: Duration::from_micros(self.invoked_us),
            completed_at: Duration::from_micros(self.completed_us),
            outcome,
        })
    }

    fn answer<W: Workload>(&self, call: &W::Call, workload: &mut W) -> Result<W::Answer, String> {
        let answer = self.answer.map_or("null", RawValue::get);
        let reply = Reply::read(answer).map_err(|error| json_error(&error))?;
        if !reply.is_error() {
            return workload.read_answer(call, &reply);
        }
        let code = reply.field("code").and_then(|code| code.parse().ok());
        let answer = code.and_then(|code| W::answer_in_error(call, code));
        answer.ok_or_else(|| {
            format!(
                "its answer is {}, which is no reply to this request",
                reply.body
            )
        })
    }
}

fn microseconds(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::workload::{
        Broadcast, Echo, GCounter, GSet, Kafka, KeyLimits, LinKv, PnCounter, Topology, TxnLimits,
        TxnListAppend, TxnRwRegister, UniqueIds,
    };

    const KEYS: KeyLimits = KeyLimits {
        key_count: 1,
        max_writes_per_key: 1,
    };

    const TXN: TxnLimits = TxnLimits {
        keys: KEYS,
        max_txn_length: 1,
    };

    /// Reads operations with these requests and answers, and asserts that they are written as they were.
    #[track_caller]
    fn assert_kept<W: Workload>(mut workload: W, asked: &[(&str, &str)]) {
        let outcomes = asked
            .iter()
            .map(|(request, answer)| (request, format!("\"ok\",\"answer\":{answer}")));
        let (request, _) = &asked[0];
        let others = ["failed", "indeterminate"];
        let others =
            others.map(|outcome| (request, format!("\"{outcome}\",\"why\":\"a \\\"b\\\"\"")));
        let lines = outcomes.chain(others).enumerate().map(|(index, (request, outcome))| {
            let fields = request.strip_suffix('}').expect("an object");
                let (invoked_us, is_final) = (10 * index, index > 1);
            format!(
                "{{\"index\":{index},\"client\":\"c{index}\",\"node\":\"n1\",\"request\":{fields},\"msg_id\":1}},\"invoked_us\":{invoked_us},\
                 \"completed_us\":{},\"is_final\":{is_final},\"outcome\":{outcome}}}\n",
                invoked_us + 7,
            )
        });
        let lines: Vec<String> = lines.collect();
        let operations = lines.iter().map(|line| {
            let stored = StoredOperation::read(line)?;
            stored.operation(Node::new(0, &stored.node), &mut workload)
        });
        let operations: Vec<_> = operations
            .collect::<Result<_, String>>()
            .expect("good lines");
        let mut written = Vec::new();
        write::<W>(&operations, &[String::from("n1")], &mut written).expect("memory takes all");
        assert_eq!(String::from_utf8(written).expect("text"), lines.concat());
    }

    #[test]
    fn what_was_written_is_read_as_it_was() {
        let done = |kind: &str| format!("{{\"type\":\"{kind}\"}}");
        let (add_ok, read) = (&*done("add_ok"), r#"{"type":"read"}"#);
        assert_kept(
            Echo,
            &[(
                r#"{"type":"echo","echo":[1.0,"a"]}"#,
                r#"{"type":"echo_ok","echo":[1.0,"a"]}"#,
            )],
        );
        assert_kept(
            UniqueIds,
            &[(
                r#"{"type":"generate"}"#,
                r#"{"type":"generate_ok","id":123456789012345678901}"#,
            )],
        );
        assert_kept(
            Broadcast::new(Topology::Grid, &[]),
            &[
                (r#"{"type":"broadcast","message":7}"#, &done("broadcast_ok")),
                (read, r#"{"type":"read_ok","messages":[1,1,2,"x"]}"#),
            ],
        );
        assert_kept(
            GSet::default(),
            &[
                (r#"{"type":"add","element":7}"#, add_ok),
                (read, r#"{"type":"read_ok","value":[7]}"#),
            ],
        );
        let counted = [
            (r#"{"type":"add","delta":-7}"#, add_ok),
            (read, r#"{"type":"read_ok","value":-7}"#),
        ];
        assert_kept(GCounter::new(vec![]), &counted);
        assert_kept(PnCounter::new(vec![]), &counted);
        assert_kept(
            LinKv::new(1, 1),
            &[
                (
                    r#"{"type":"read","key":1}"#,
                    r#"{"type":"read_ok","value":{"a":null}}"#,
                ),
                (
                    r#"{"type":"read","key":1}"#,
                    r#"{"type":"error","code":20}"#,
                ),
                (r#"{"type":"write","key":1,"value":"a"}"#, &done("write_ok")),
                (r#"{"type":"cas","key":1,"from":2,"to":3}"#, &done("cas_ok")),
                (
                    r#"{"type":"cas","key":1,"from":2,"to":3}"#,
                    r#"{"type":"error","code":22}"#,
                ),
            ],
        );
        assert_kept(
            Kafka::new(KEYS),
            &[
                (
                    r#"{"type":"send","key":"1","msg":[7]}"#,
                    r#"{"type":"send_ok","offset":4}"#,
                ),
                (
                    r#"{"type":"poll","offsets":{"1":0}}"#,
                    r#"{"type":"poll_ok","msgs":{"1":[[4,[7]]]}}"#,
                ),
                (
                    r#"{"type":"commit_offsets","offsets":{"1":4}}"#,
                    &done("commit_offsets_ok"),
                ),
                (
                    r#"{"type":"list_committed_offsets","keys":["1"]}"#,
                    r#"{"type":"list_committed_offsets_ok","offsets":{"1":4}}"#,
                ),
            ],
        );
        assert_kept(
            TxnListAppend::new(TXN, vec![]),
            &[(
                r#"{"type":"txn","txn":[["r",1,null],["append",1,7]]}"#,
                r#"{"type":"txn_ok","txn":[["r",1,[6]],["append",1,7]]}"#,
            )],
        );
        assert_kept(
            TxnRwRegister::new(TXN, vec![]),
            &[(
                r#"{"type":"txn","txn":[["w",1,7],["r",1,null]]}"#,
                r#"{"type":"txn_ok","txn":[["w",1,7],["r",1,7]]}"#,
            )],
        );
    }

    #[test]
    fn a_wrong_line_is_reported_with_what_is_wrong() {
        let good = r#"{"client":"c0","node":"n0","request":{"type":"read"},"invoked_us":1,"completed_us":2,"is_final":true,"outcome":"ok","answer":{"type":"read_ok","value":[]}}"#;
        let read = |line: &str| {
            let stored = StoredOperation::read(line)?;
            stored
                .operation(Node::new(0, "n0"), &mut GSet::default())
                .map(drop)
        };
        assert_eq!(read(good), Ok(()));
        for (from, to, expected) in [
            ("\"node\"", "\"place\"", "missing field `node`"),
            (
                "\"c0\"",
                "\"client 0\"",
                "its client is \"client 0\", not c0, c1, and so on",
            ),
            ("\"ok\"", "\"perhaps\"", "unknown variant `perhaps`"),
            ("\"read\"", "\"write\"", "g-set has no operation \"write\""),
            ("{\"type\":\"read\"}", "{}", "missing field `type`"),
            ("\"value\":[]", "\"value\":5", "expected a list"),
            (
                "{\"type\":\"read_ok\",\"value\":[]}",
                "{\"type\":\"error\",\"code\":20}",
                "which is no reply to this request",
            ),
            (
                ",\"answer\":{\"type\":\"read_ok\",\"value\":[]}",
                "",
                "invalid type: null",
            ),
        ] {
            let line = good.replace(from, to);
            let error = read(&line).expect_err(&line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
