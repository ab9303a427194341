//! The workloads: what clients ask, what a good answer looks like, and who judges it.
//!
//! One module a workload. Requests and answers are those of upstream's `doc/workloads.md`, and so is the mix in which
//! they are asked.

mod echo;
mod g_counter;
mod unique_ids;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::body::BodyWriter;
use super::check::Judgement;
use super::history::Operation;
use super::random::Random;

pub use echo::Echo;
pub use g_counter::GCounter;
pub use unique_ids::UniqueIds;

/// A kind of test.
pub trait Workload {
    /// What a client asks.
    type Call: Debug;
    /// What a good answer holds.
    type Answer: Debug + Serialize;

    /// Its name on the command line.
    const NAME: &'static str;

    /// What the next client asks.
    fn next_call(&mut self, random: &mut Random) -> Self::Call;

    /// What every client asks last, after the faults have ended and the network has rested; `None` if there is no such
    /// phase.
    fn final_call(&self) -> Option<Self::Call>;

    /// The type of the request.
    fn request_kind(call: &Self::Call) -> &'static str;

    /// Writes the fields of the request.
    fn write_request<'o>(call: &Self::Call, body: BodyWriter<'o>) -> BodyWriter<'o>;

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// What is wrong with it, when it isn't the answer to this call.
    fn read_answer(call: &Self::Call, reply: &Reply<'_>) -> Result<Self::Answer, String>;

    /// Says whether the answers that `node_count` nodes gave are right.
    fn judge(history: &[Operation<Self::Call, Self::Answer>], node_count: usize) -> Judgement;
}

/// A node's reply to a client that is no error.
pub struct Reply<'a> {
    /// Its type.
    pub kind: &'a str,
    /// All of its body.
    pub body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The fields of a reply that is to be of type `kind`.
    ///
    /// # Errors
    ///
    /// What is wrong, when it is of another type or lacks a field.
    pub fn fields<F: Deserialize<'a>>(&self, kind: &str) -> Result<F, String> {
        if self.kind != kind {
            return Err(format!("its type is {:?}, not {kind:?}", self.kind));
        }
        serde_json::from_slice(self.body).map_err(|error| error.to_string())
    }
}
