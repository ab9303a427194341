//! The common part of `txn-rw-register` and `txn-list-append`: transactions of a few steps on a few keys.

use std::marker::PhantomData;

use rand::Rng;
use serde::{Deserialize, Serialize, Serializer};

use super::event::{Function, ValueIn, unknown};
use super::keys::{Access, Keys};
use super::reply::fields;
use super::{KeyLimits, Reply, Turn, Workload};
use crate::workbench::body::BodyWriter;
use crate::workbench::check::Verdict;
use crate::workbench::check::txn::{self, Answer, Call, Model, Step};
use crate::workbench::history::Operation;
use crate::workbench::json::{Json, list_or_null};

/// The parameters of the generator of transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnLimits {
    /// How keys are used.
    pub keys: KeyLimits,
    /// The maximum number of steps of a transaction; at least one.
    pub max_txn_length: usize,
}

/// The difference between the two kinds of transaction.
pub trait Kind {
    /// The workload's name on the command line.
    const NAME: &'static str;

    /// The function of a write step in a message.
    const WRITE: &'static str;
    /// A reply, see [`Workload::REPLIES`].
    const REPLY: &'static str;

    /// Checks the history against the models.
    fn check(history: &txn::History, models: &[Model]) -> Verdict;
}

/// Transactions of a kind, which must satisfy consistency models.
pub struct Transactions<K> {
    keys: Keys,
    max_txn_length: usize,
    models: Vec<Model>,
    kind: PhantomData<K>,
}

/// Transactions that read and set registers.
pub type TxnRwRegister = Transactions<RwRegister>;

/// Transactions that read lists and append to them.
pub type TxnListAppend = Transactions<ListAppend>;

/// Registers that are read and set.
pub enum RwRegister {}

impl Kind for RwRegister {
    const NAME: &'static str = "txn-rw-register";
    const WRITE: &'static str = "w";
    const REPLY: &'static str = r#"{"type":"txn_ok","txn":[["r",1,3],["w",1,6]]}"#;

    fn check(history: &txn::History, models: &[Model]) -> Verdict {
        txn::rw_register::check(history, models)
    }
}

/// Lists that are read and appended to.
pub enum ListAppend {}

impl Kind for ListAppend {
    const NAME: &'static str = "txn-list-append";
    const WRITE: &'static str = "append";
    const REPLY: &'static str = r#"{"type":"txn_ok","txn":[["r",1,[3,5]],["append",1,6]]}"#;

    fn check(history: &txn::History, models: &[Model]) -> Verdict {
        txn::list_append::check(history, models)
    }
}

impl<K> Transactions<K> {
    /// A workload on new keys, whose history is checked against `models`.
    pub fn new(limits: TxnLimits, models: Vec<Model>) -> Self {
        Transactions {
            keys: Keys::new(limits.keys),
            max_txn_length: limits.max_txn_length,
            models,
            kind: PhantomData,
        }
    }
}

/// The steps in the form of a message: each is `[function, key, value]`, and `write` is the function of writes.
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
struct Txn {
    txn: Vec<Triple>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TxnOk {
    #[serde(deserialize_with = "list_or_null")]
    txn: Vec<Triple>,
}

/// A step in the form of a message: `[function, key, value]`.
type Triple = (String, Json, Json);

fn steps<K: Kind>(triples: Vec<Triple>) -> Result<Vec<Step>, String> {
    // A vector that is collected from the triples would keep their memory, which is twice as much.
    let mut steps = Vec::with_capacity(triples.len());
    for (function, key, value) in triples {
        steps.push(if function == "r" {
            Step::Read { key, value }
        } else if function == K::WRITE {
            Step::Write { key, value }
        } else {
            return Err(format!(
                "its txn has a step {function:?}; there are only \"r\" and {:?}",
                K::WRITE
            ));
        });
    }
    Ok(steps)
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnswerBody<'a> {
    TxnOk { txn: Written<'a> },
}

impl<K: Kind> Workload for Transactions<K> {
    type Call = Call;
    type Answer = Answer;

    const NAME: &'static str = K::NAME;
    const HAS_LAST_PHASE: bool = false;
    const CLIENTS_STAY: bool = true;
    const REPLIES: &'static [&'static str] = &[K::REPLY];

    const FUNCTIONS: &'static [Function] = &[Function {
        name: "txn",
        request: ValueIn::Field("txn"),
        reply: ValueIn::Field("txn"),
    }];

    fn next_call(&mut self, turn: Turn<'_>) -> Call {
        let length = turn.random.random_range(1..=self.max_txn_length);
        let steps = (0..length).map(|_| match self.keys.access(turn.random) {
            Access::Read(key) => Step::Read {
                key: Json::from(key),
                value: Json::Null,
            },
            Access::Write(key, value) => Step::Write {
                key: Json::from(key),
                value: Json::from(value),
            },
        });
        steps.collect()
    }

    fn request_kind(_: &Call) -> &'static str {
        "txn"
    }

    fn write_request<'o>(call: &Call, body: BodyWriter<'o>) -> BodyWriter<'o> {
        let write = K::WRITE;
        body.json_field("txn", &Written { steps: call, write })
    }

    fn read_request(kind: &str, body: &str) -> Result<Call, String> {
        match kind {
            "txn" => fields(body).and_then(|Txn { txn }| steps::<K>(txn)),
            _ => Err(unknown::<Self>(kind)),
        }
    }

    fn read_answer(&mut self, _: &Call, reply: &Reply<'_>) -> Result<Answer, String> {
        reply
            .fields("txn_ok")
            .and_then(|TxnOk { txn }| steps::<K>(txn))
    }

    fn answer_body(_: &Call, steps: &Answer) -> impl Serialize {
        let write = K::WRITE;
        let txn = Written { steps, write };
        AnswerBody::TxnOk { txn }
    }

    fn check(&self, history: &[Operation<Call, Answer>]) -> Verdict {
        K::check(history, &self.models)
    }
}
