//! The workloads: the requests of clients, how replies are read, and the checker of each.
//!
//! Each is a module, and the two counters share one. Requests and replies are those of upstream's `doc/workloads.md`, and
//! so is the mix of requests.

mod broadcast;
mod counter;
mod echo;
mod event;
mod g_set;
mod kafka;
mod keys;
mod lin_kv;
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
use super::client::CLIENT_TIMEOUT;
use super::history::Operation;
use super::random::Random;

pub use broadcast::Broadcast;
pub use counter::{GCounter, PnCounter};
pub use echo::Echo;
pub use event::{Event, Function, ValueIn, shortened, unexpected};
pub use g_set::GSet;
pub use kafka::Kafka;
pub use keys::KeyLimits;
pub use lin_kv::LinKv;
pub use reply::{Reply, json_error};
pub use topology::Topology;
pub use txn::{TxnLimits, TxnListAppend, TxnRwRegister};
pub use unique_ids::UniqueIds;

/// A workload: what clients ask of nodes, and how the replies are checked.
pub trait Workload: Sized {
    /// A request of a client.
    type Call: Debug + Sync;
    /// The contents of a successful reply.
    type Answer: Debug + Sync;

    /// The name on the command line.
    const NAME: &'static str;

    /// Whether clients send last requests after the faults have ended and the network has rested.
    const HAS_LAST_PHASE: bool;

    /// The types of request of which none need succeed, as upstream.
    const DISPENSABLE: &'static [&'static str] = &[];

    /// Whether a client that gave up on an answer stays in Maelstrom's network. The answer can come late then.
    const CLIENTS_STAY: bool = false;

    /// A reply to each type of request, without its ids, to show what one looks like. Its type is that of the request and
    /// `_ok`.
    const REPLIES: &'static [&'static str];

    /// The reply of [`REPLIES`](Self::REPLIES) to a type of request.
    fn example_reply(request_kind: &str) -> Option<&'static str> {
        let begin = format!(r#"{{"type":"{request_kind}_ok""#);
        let mut replies = Self::REPLIES.iter().copied();
        replies.find(|reply| reply.starts_with(&begin))
    }

    /// The functions of Jepsen's clients, if each of them is a request that has its arguments in one field. Other
    /// workloads implement [`read_invocation`](Self::read_invocation) and [`read_completion`](Self::read_completion).
    const FUNCTIONS: &'static [Function] = &[];

    /// How long a client waits for an answer, where messages take `latency` in the mean.
    fn client_timeout(_latency: Duration) -> Duration {
        CLIENT_TIMEOUT
    }

    /// A message that every node gets before clients begin; `None` if there is none.
    fn introduction(&self) -> Option<Introduction> {
        None
    }

    /// The next request of a client.
    fn next_call(&mut self, turn: Turn<'_>) -> Self::Call;

    /// The first request of a client in the last phase, if it has one.
    fn last_call(&mut self, _client: usize) -> Option<Self::Call> {
        None
    }

    /// A request that a client sends because of a reply, before any other and beyond the rate.
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

    /// Reads an invocation in one of Jepsen's histories; `None` if it sends no request to a node.
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

    /// Reads the successful completion of `call`.
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

    /// Reads a reply to `call`.
    ///
    /// # Errors
    ///
    /// When it is not a reply to this request: what is wrong with it.
    fn read_answer(&mut self, call: &Self::Call, reply: &Reply<'_>)
    -> Result<Self::Answer, String>;

    /// The answer that an error of this code is, if the code shows something about the nodes' contents.
    fn answer_in_error(_call: &Self::Call, _code: i64) -> Option<Self::Answer> {
        None
    }

    /// The body of an answer on the wire: its type and its fields, without ids.
    fn answer_body(call: &Self::Call, answer: &Self::Answer) -> impl Serialize;

    /// Whether an answer is a success, and not one in an error.
    fn is_success(_answer: &Self::Answer) -> bool {
        true
    }

    /// Checks the answers.
    fn check(&self, history: &[Operation<Self::Call, Self::Answer>]) -> Verdict;
}

/// A client that is free to send a request.
pub struct Turn<'a> {
    /// The client, by the number in its name, as in the history.
    pub client: usize,
    /// Its place among the clients that run at the same time. A client has the place of the one that it replaced.
    pub place: usize,
    /// The time since the start of the run.
    pub at: Duration,
    /// The source of all random choices.
    pub random: &'a mut Random,
}

/// A message that every node gets before clients begin.
pub struct Introduction {
    /// The type of the message.
    pub kind: &'static str,
    /// Its one field.
    pub field: (&'static str, Value),
    /// The type of the reply.
    pub answer_kind: &'static str,
}

/// A request that a client sends because of a reply.
pub struct FollowUp<C> {
    /// The request.
    pub call: C,
    /// The time between the reply and the request.
    pub after: Duration,
}
