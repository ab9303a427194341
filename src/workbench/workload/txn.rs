//! What `txn-rw-register` and `txn-list-append` share: transactions of a few steps on a few keys.

use rand::Rng;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::keys::{Access, Keys};
use super::{KeyLimits, Reply, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Judgement;
use crate::workbench::check::txn::{self, Answer, Call, Model, Step};
use crate::workbench::history::Operation;

/// How transactions are made up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnLimits {
    /// How keys are used.
    pub keys: KeyLimits,
    /// How many steps a transaction has at most; at least one.
    pub max_txn_length: usize,
}

/// Transactions that are yet to be asked for, and what they are held to.
struct Transactions {
    keys: Keys,
    max_txn_length: usize,
    models: Vec<Model>,
}

impl Transactions {
    fn new(limits: TxnLimits, models: Vec<Model>) -> Self {
        Transactions {
            keys: Keys::new(limits.keys),
            max_txn_length: limits.max_txn_length,
            models,
        }
    }

    fn next(&mut self, turn: Turn<'_>) -> Call {
        let length = turn.random.random_range(1..=self.max_txn_length);
        let steps = (0..length).map(|_| match self.keys.access(turn.random) {
            Access::Read(key) => Step::Read {
                key: Value::from(key),
                value: Value::Null,
            },
            Access::Write(key, value) => Step::Write {
                key: Value::from(key),
                value: Value::from(value),
            },
        });
        steps.collect()
    }
}

/// Steps as they stand in a message: each `[function, key, value]`, where a write is called as `write` says.
struct Written<'a> {
    steps: &'a [Step],
    write: &'static str,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.steps.iter().map(|step| match step {
            Step::Read { key, value } => ("r", key, value),
            Step::Write { key, value } => (self.write, key, value),
        }))
    }
}

#[derive(Deserialize)]
struct TxnOk {
    txn: Vec<(String, Value, Value)>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBody<'a> {
    TxnOk { txn: Written<'a> },
}

fn write_request<'o>(call: &Call, write: &'static str, body: BodyWriter<'o>) -> BodyWriter<'o> {
    body.json_field("txn", &Written { steps: call, write })
}

fn read_answer(reply: &Reply<'_>, write: &str) -> Result<Answer, String> {
    let TxnOk { txn } = reply.fields("txn_ok")?;
    let steps = txn.into_iter().map(|(function, key, value)| {
        if function == "r" {
            Ok(Step::Read { key, value })
        } else if function == write {
            Ok(Step::Write { key, value })
        } else {
            Err(format!(
                "its txn has a step {function:?}; there are only \"r\" and {write:?}"
            ))
        }
    });
    steps.collect()
}

/// Nodes keep registers that transactions read and set.
pub struct TxnRwRegister(Transactions);

impl TxnRwRegister {
    /// Registers that nobody has set, to be held to `models`.
    pub fn new(limits: TxnLimits, models: Vec<Model>) -> Self {
        TxnRwRegister(Transactions::new(limits, models))
    }
}

impl Workload for TxnRwRegister {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "txn-rw-register";
    const HAS_LAST_PHASE: bool = false;

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        self.0.next(turn)
    }

    fn request_kind(_: &Call) -> &'static str {
        "txn"
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        write_request(call, "w", body)
    }

    fn read_answer(_: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        read_answer(reply, "w")
    }

    fn answer_body(_: &Call, steps: &Answer) -> impl Serialize {
        let write = "w";
        let txn = Written { steps, write };
        AnswerBody::TxnOk { txn }
    }

    fn judge(&self, history: &[Operation<Call, Answer>]) -> Judgement {
        txn::rw_register::judge(history, &self.0.models)
    }
}

/// Nodes keep lists that transactions read and append to.
pub struct TxnListAppend(Transactions);

impl TxnListAppend {
    /// Lists that nobody has appended to, to be held to `models`.
    pub fn new(limits: TxnLimits, models: Vec<Model>) -> Self {
        TxnListAppend(Transactions::new(limits, models))
    }
}

impl Workload for TxnListAppend {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = "txn-list-append";
    const HAS_LAST_PHASE: bool = false;

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        self.0.next(turn)
    }

    fn request_kind(_: &Call) -> &'static str {
        "txn"
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        write_request(call, "append", body)
    }

    fn read_answer(_: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        read_answer(reply, "append")
    }

    fn answer_body(_: &Call, steps: &Answer) -> impl Serialize {
        let write = "append";
        let txn = Written { steps, write };
        AnswerBody::TxnOk { txn }
    }

    fn judge(&self, history: &[Operation<Call, Answer>]) -> Judgement {
        txn::list_append::judge(history, &self.0.models)
    }
}
