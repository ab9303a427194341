//! The operations of clients that wait for an answer.

use core::time::Duration;

use super::{Options, Received};
use crate::kv::Queue;
use crate::node::{GivenUp, Outbox, Random, Request, Requests};
use crate::protocol::{Error, ErrorCode};

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Add(i64),
    Read,
}

impl Operation {
    /// Reads a client's request: `add{delta}` or `read`. None if it is neither. Fails when the delta is missing, or
    /// negative in a counter that only grows.
    pub(super) fn parse(request: &Received<'_>, decrements: bool) -> Result<Option<Self>, Error> {
        let delta = match &*request.body.kind {
            "add" => request.body.fields.delta,
            "read" => return Ok(Some(Operation::Read)),
            _ => return Ok(None),
        };
        match delta.ok_or_else(|| Error::missing("delta"))? {
            delta if delta < 0 && !decrements => Err(Error::malformed(alloc::format!(
                "delta is {delta}; this counter only grows"
            ))),
            delta => Ok(Some(Operation::Add(delta))),
        }
    }
}

/// The operations of one node that wait for an answer.
#[derive(Debug)]
pub(super) struct Operations {
    /// Each under the id by which the levels know it.
    pub(super) requests: Requests<Operation>,
    /// The most operations of a batch.
    pub(super) batch_max: usize,
}

impl Operations {
    pub(super) fn new(options: &Options, random: &mut Random) -> Self {
        Operations {
            requests: Requests::new(&options.limits, random),
            batch_max: options.batch_max.max(1),
        }
    }

    /// Adds the oldest operations that wait to the batch in flight, and gives the sum of their deltas. An add with which the
    /// sum would not fit is refused. None if there is nothing to send.
    pub(super) fn combine(
        &mut self,
        queue: &mut Queue<Operation>,
        fits: impl Fn(i64) -> bool,
        outbox: &mut Outbox,
    ) -> Option<i64> {
        let mut sum = 0i64;
        let is_ready = queue.extend_batch(self.batch_max, |id, operation| {
            let delta = match *operation {
                Operation::Add(delta) => delta,
                Operation::Read => 0,
            };
            let more = sum.checked_add(delta);
            let Some(more) = more.filter(|more| delta == 0 || fits(*more)) else {
                self.requests.fail(id, &out_of_range(), outbox);
                return false;
            };
            sum = more;
            true
        });
        is_ready.then_some(sum)
    }

    /// Until when no batch begins after one that has ended, whose requests are not answered yet. A client that waits for
    /// answers sends its next request when it gets one. Without a pause that request would just miss the next batch, and wait
    /// for the one after it. None if only one request waits, or if the pause is shorter than a millisecond: no driver wakes a
    /// node that soon.
    pub(super) fn paused_until(&self, pause: Duration, now: Duration) -> Option<Duration> {
        let is_long = pause >= Duration::from_millis(1);
        (is_long && self.requests.len() > 1).then(|| now.saturating_add(pause))
    }

    /// Answers an operation, unless it was given up. `value` is the counter's, for a read.
    pub(super) fn succeed(&mut self, id: i64, value: i128, outbox: &mut Outbox) {
        let Some(request) = self.requests.take(id) else {
            return;
        };
        match request.operation {
            Operation::Add(_) => drop(request.answer("add_ok", outbox)),
            Operation::Read => drop(request.answer("read_ok", outbox).field("value", value)),
        }
    }

    /// Answers all operations of a queue that they get no result, for the reason `why`.
    #[cold]
    pub(super) fn fail<T>(&mut self, queue: &mut Queue<T>, why: &str, outbox: &mut Outbox) {
        for (id, given_up) in queue.withdraw_all() {
            if let Some(request) = self.requests.take(id) {
                give_up(&request, given_up, why, outbox);
            }
        }
    }
}

/// Answers an operation that has no result, for the reason `why`. A read has never been applied, an add perhaps.
#[cold]
pub(super) fn give_up(
    request: &Request<Operation>,
    given_up: GivenUp,
    why: &str,
    outbox: &mut Outbox,
) {
    let given_up = match request.operation {
        Operation::Add(_) => given_up,
        Operation::Read => GivenUp::NotApplied,
    };
    request.fail(&given_up.error(why), outbox);
}

/// The answer to an add that would take the counter where its numbers end.
pub(super) fn out_of_range() -> Error {
    Error::new(
        ErrorCode::ABORT,
        "the counter would leave the range of 64-bit integers; nothing was added",
    )
}
