//! The workloads: what clients ask, what a good answer looks like, and who checks it.
//!
//! One module a workload. Requests and answers are those of upstream's `doc/workloads.md`, and so is the mix in which
//! they are asked.

mod broadcast;
mod echo;
mod event;
mod g_counter;
mod g_set;
mod kafka;
mod keys;
mod lin_kv;
mod pn_counter;
mod reply;
#[cfg(test)]
mod tests;
mod topology;
mod txn;
mod unique_ids;

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::body::BodyWriter;
use super::check::Verdict;
use super::history::Operation;
use super::random::Random;

pub use broadcast::Broadcast;
pub use echo::Echo;
pub use event::{Event, Function, ValueIn, shortened, unexpected};
pub use g_counter::GCounter;
pub use g_set::GSet;
pub use kafka::Kafka;
pub use keys::KeyLimits;
pub use lin_kv::LinKv;
pub use pn_counter::PnCounter;
pub use reply::{Reply, json_error};
pub use topology::Topology;
pub use txn::{TxnLimits, TxnListAppend, TxnRwRegister};
pub use unique_ids::UniqueIds;

/// A kind of test.
pub trait Workload: Sized {
    /// What a client asks.
    type Call: Debug + Sync;
    /// What a good answer holds.
    type Answer: Debug + Sync;

    /// Its name on the command line.
    const NAME: &'static str;

    /// Whether clients ask a last time after the faults have ended and the network has rested.
    const HAS_LAST_PHASE: bool;

    /// The functions of Jepsen's clients, if each of them is a request whose arguments are one of its fields. Other
    /// workloads read events themselves.
    const FUNCTIONS: &'static [Function] = &[];

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

    /// Reads the body of a request of type `kind`, as [`write_request`](Self::write_request) writes it.
    ///
    /// # Errors
    ///
    /// What is wrong with the request.
    fn read_request(kind: &str, body: &str) -> Result<Self::Call, String>;

    /// Reads an invocation in one of Jepsen's histories; `None` if nodes are not asked anything.
    ///
    /// # Errors
    ///
    /// What is wrong with the event.
    fn read_invocation(&mut self, event: &mut Event<'_>) -> Result<Option<Self::Call>, String> {
        let Function { name, request, .. } = Function::of::<Self>(event)?;
        let call = Self::read_request(name, &request.body(name, event.value));
        call.map(Some)
            .map_err(|why| unexpected("value", event.value, &why))
    }

    /// Reads the completion of that call, if it was successful.
    ///
    /// # Errors
    ///
    /// What is wrong with the event.
    fn read_completion(
        &mut self,
        call: &Self::Call,
        event: &Event<'_>,
    ) -> Result<Self::Answer, String> {
        let Function { name, reply, .. } = Function::of::<Self>(event)?;
        let body = reply.body(&format!("{name}_ok"), event.value);
        let reply = Reply::read(&body).map_err(|error| json_error(&error));
        reply
            .and_then(|reply| self.read_answer(call, &reply))
            .map_err(|why| unexpected("value", event.value, &why))
    }

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
