//! The workloads: what clients ask, what a good answer looks like, and who checks it.
//!
//! One module a workload. Requests and answers are those of upstream's `doc/workloads.md`, and so is the mix in which
//! they are asked.

mod broadcast;
mod echo;
mod g_counter;
mod g_set;
mod kafka;
mod keys;
mod lin_kv;
mod pn_counter;
#[cfg(test)]
mod tests;
mod topology;
mod txn;

mod unique_ids;

use std::fmt::Debug;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::BodyWriter;
use super::check::Verdict;
use super::history::Operation;
use super::random::Random;
use crate::protocol::{Body, present};

pub use broadcast::Broadcast;
pub use echo::Echo;
pub use g_counter::GCounter;
pub use g_set::GSet;
pub use kafka::Kafka;
pub use keys::KeyLimits;
pub use lin_kv::LinKv;
pub use pn_counter::PnCounter;
pub use topology::Topology;
pub use txn::{TxnLimits, TxnListAppend, TxnRwRegister};

pub use unique_ids::UniqueIds;

/// A kind of test.
pub trait Workload {
    /// What a client asks.
    type Call: Debug + Sync;
    /// What a good answer holds.
    type Answer: Debug + Sync;

    /// Its name on the command line.
    const NAME: &'static str;

    /// Whether clients ask a last time after the faults have ended and the network has rested.
    const HAS_LAST_PHASE: bool;

    /// What every node is told once, before clients begin; `None` if nothing is.
    fn introduction(&self) -> Option<Introduction> {
        None
    }

    /// What the client whose turn it is asks.
    fn next_call(&mut self, turn: Turn<'_>) -> Self::Call;

    /// What a client asks first in the last phase, if there is one.
    fn last_call(&mut self, _client: usize) -> Option<Self::Call> {
        None
    }

    /// What a client asks next, beside the rate and before anything else, because of what it has just been answered.
    fn follow_up(
        &mut self,
        _answered: &Operation<Self::Call, Self::Answer>,
    ) -> Option<FollowUp<Self::Call>> {
        None
    }

    /// The type of the request.
    fn request_kind(call: &Self::Call) -> &'static str;

    /// Writes the fields of the request.
    fn write_request<'o>(call: &Self::Call, body: BodyWriter<'o>) -> BodyWriter<'o>;

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// What is wrong with it, when it isn't the answer to this call.
    fn read_answer(&mut self, call: &Self::Call, reply: &Reply<'_>)
    -> Result<Self::Answer, String>;

    /// The answer that lies in an error, if its code says something about what the nodes hold.
    fn answer_in_error(_call: &Self::Call, _code: i64) -> Option<Self::Answer> {
        None
    }

    /// The body that such an answer has on the wire: its type and its fields, without ids.
    fn answer_body(call: &Self::Call, answer: &Self::Answer) -> impl Serialize;

    /// Whether an answer is what was asked for, and not one that lay in an error.
    fn is_success(_answer: &Self::Answer) -> bool {
        true
    }

    /// Says whether the answers are right.
    fn check(&self, history: &[Operation<Self::Call, Self::Answer>]) -> Verdict;
}

/// A client's turn to ask.
pub struct Turn<'a> {
    /// The client, by the number in its name, as the history has it.
    pub client: usize,
    /// Its place among those that work side by side. A client that stands in for another has that one's.
    pub place: usize,
    /// When it asks, since the start of the run.
    pub at: Duration,
    /// Where all chance comes from.
    pub random: &'a mut Random,
}

/// What every node is told before clients begin.
pub struct Introduction {
    /// The type of the message.
    pub kind: &'static str,
    /// Its one field.
    pub field: (&'static str, Value),
    /// The type of the answer.
    pub answer_kind: &'static str,
}

/// What a client asks because of an answer.
pub struct FollowUp<C> {
    /// What it asks.
    pub call: C,
    /// How long after the answer.
    pub after: Duration,
}

/// A node's reply to a client that is no error.
pub struct Reply<'a> {
    /// Its type.
    pub kind: &'a str,
    /// All of its body.
    pub body: &'a str,
}

/// A reply that says no more than that it was done.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {}

/// What may be null where it should not be there at all.
#[derive(Deserialize)]
struct ProtocolIds<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    msg_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    code: Option<&'a RawValue>,
}

impl<'a> Reply<'a> {
    /// Expects a reply of type `kind`.
    ///
    /// # Errors
    ///
    /// What is wrong, when it is of another type.
    pub fn check_kind(&self, kind: &str) -> Result<(), String> {
        if self.kind != kind {
            return Err(format!("its type is {:?}, not {kind:?}", self.kind));
        }
        Ok(())
    }

    /// The fields of a reply that is to be of type `kind`. Upstream checks replies against closed schemas: `F` is to
    /// deny fields that it doesn't know.
    ///
    /// # Errors
    ///
    /// What is wrong, when it is of another type, lacks a field or has one too many.
    pub fn fields<F: Deserialize<'a>>(&self, kind: &str) -> Result<F, String> {
        self.check_kind(kind)?;
        let body: Body<'a, F> =
            serde_json::from_str(self.body).map_err(|error| reply_error(&error, kind))?;
        // The only field that the protocol itself has for errors alone.
        if body.code.is_some() {
            return Err(undeclared("code", kind));
        }
        // A null is no number, and upstream takes it for none.
        if body.msg_id.is_none() && self.body.contains("null") {
            let ids: ProtocolIds<'_> =
                serde_json::from_str(self.body).map_err(|error| json_error(&error))?;
            if ids.code.is_some() {
                return Err(undeclared("code", kind));
            }
            if ids.msg_id.is_some() {
                return Err(format!(
                    "its msg_id is null, and Maelstrom refuses {kind} with one that is no whole number"
                ));
            }
        }
        Ok(body.fields)
    }

    /// Expects a reply of type `kind`, and gives `answer` for it.
    ///
    /// # Errors
    ///
    /// What is wrong, when it is of another type or has fields of its own.
    pub fn done<A>(&self, kind: &str, answer: A) -> Result<A, String> {
        self.fields(kind).map(|Done {}| answer)
    }
}

fn reply_error(error: &serde_json::Error, kind: &str) -> String {
    let what = json_error(error);
    let unknown = what.strip_prefix("unknown field `");
    match unknown.and_then(|rest| rest.split_once("`, ")) {
        Some((name, _)) => undeclared(name, kind),
        None => what,
    }
}

fn undeclared(name: &str, kind: &str) -> String {
    format!(
        "it has a field {name:?}, and Maelstrom refuses {kind} with fields that are not declared"
    )
}

/// What is wrong with JSON, for a person: without a place, which is one in a body that is shown, and without names of
/// types that are this program's own.
pub fn json_error(error: &serde_json::Error) -> String {
    let is_json = error.is_data();
    let error = error.to_string();
    let what = error.split(" at line ").next().unwrap_or_default();
    if !is_json {
        return format!("it is not JSON: {what}");
    }
    what.replace("expected i64", "expected a whole number")
        .replace("a sequence", "a list")
        .replace("a map", "an object")
}
