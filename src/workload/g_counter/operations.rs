//! The operations of clients that wait for an answer.

use alloc::{string::ToString, vec::Vec};
use core::time::Duration;

use super::{Fields, Options};
use crate::kv::Queue;
use crate::node::{Applied, LATE, Outbox, Random, Request, Requests};
use crate::protocol::{Error, ErrorCode, Message};

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Add(i64),
    Read,
}

impl Operation {
    /// What it adds.
    pub(super) fn delta(self) -> i64 {
        match self {
            Operation::Add(delta) => delta,
            Operation::Read => 0,
        }
    }

    /// Reads a request: `add{delta}` or `read`.
    ///
    /// # Errors
    ///
    /// When it is neither, or the delta is missing, or negative in a counter that only grows.
    pub(super) fn parse(
        request: &Message<'_, Fields<'_>>,
        decrements: bool,
    ) -> Result<Self, Error> {
        let body = &request.body;
        match &*body.kind {
            "add" => match body.fields.delta.ok_or_else(|| Error::missing("delta"))? {
                delta if delta < 0 && !decrements => Err(Error::new(
                    ErrorCode::MALFORMED_REQUEST,
                    alloc::format!("delta is {delta}; this counter only grows"),
                )),
                delta => Ok(Operation::Add(delta)),
            },
            "read" => Ok(Operation::Read),
            kind => Err(Error::not_supported(kind)),
        }
    }
}

/// The operations of one node that wait for an answer, each under the id of its request.
#[derive(Debug)]
pub(super) struct Operations {
    requests: Requests<Operation>,
    batch_max: usize,
    decrements: bool,
}

impl Operations {
    pub(super) fn new(options: &Options, random: &mut Random) -> Self {
        Operations {
            requests: Requests::new(&options.limits, random),
            batch_max: options.batch_max,
            decrements: options.decrements,
        }
    }

    /// Takes on what a client asks for.
    ///
    /// # Errors
    ///
    /// When the counter has no such operation, or too many wait already.
    pub(super) fn admit(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
    ) -> Result<(i64, Operation), Error> {
        let operation = Operation::parse(request, self.decrements)?;
        let id = self.requests.admit(request, operation, now)?;
        Ok((id, operation))
    }

    /// What is asked for under this id, unless it has been answered.
    pub(super) fn get(&self, id: i64) -> Option<Operation> {
        self.requests.get(id).copied()
    }

    /// Whether nothing waits for an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether a batch is in flight for which nobody waits any more: the time of all its operations was up.
    pub(super) fn are_gone<T>(&self, queue: &Queue<T>) -> bool {
        let is_gone = |id| self.requests.get(id).is_none();
        let mut batch = queue.requests_in_flight();
        batch.next().is_some_and(is_gone) && batch.all(is_gone)
    }

    /// Combines the oldest operations of a queue into the batch to be sent now, and gives the sum of their deltas. An add
    /// with which the sum would not fit is refused. None if there is nothing to send.
    pub(super) fn combine(
        &mut self,
        queue: &mut Queue<i64>,
        fits: impl Fn(i64) -> bool,
        outbox: &mut Outbox,
    ) -> Option<i64> {
        let mut sum = 0i64;
        queue.refuse(|id, _| {
            let delta = match self.requests.get(id) {
                Some(Operation::Add(delta)) => *delta,
                Some(Operation::Read) => return false,
                // Its time was up while it was in flight, in a batch that was lost.
                None => return true,
            };
            if let Some(more) = sum.checked_add(delta).filter(|more| fits(*more)) {
                sum = more;
                return false;
            }
            let request = self.requests.take(id).expect("it was there a moment ago");
            request.fail(&out_of_range(), outbox);
            true
        });
        if queue.is_empty() {
            return None;
        }
        queue.send(self.batch_max);
        Some(queue.in_flight().sum())
    }

    /// Makes the oldest operations of a queue the batch to be sent now.
    pub(super) fn send(&self, queue: &mut Queue<()>) {
        queue.send(self.batch_max);
    }

    /// Answers an operation, unless its time was up. `value` is the counter's, for a read.
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
        for (id, error) in queue.fail(why) {
            let Some(request) = self.requests.take(id) else {
                continue;
            };
            match request.operation {
                Operation::Add(_) => request.fail(&error, outbox),
                Operation::Read => request.fail(&Applied::Never.error(why.to_string()), outbox),
            }
        }
    }

    /// Takes out an operation whose time is up.
    pub(super) fn expired(&mut self, now: Duration) -> Option<(i64, Request<Operation>)> {
        self.requests.expired(now)
    }

    /// Takes out all that wait.
    pub(super) fn drain(&mut self) -> Vec<(i64, Request<Operation>)> {
        self.requests.drain()
    }

    /// When [`expired`](Self::expired) is wanted.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.requests.deadline()
    }
}

/// Answers an operation whose time is up: a read has never been applied, an add perhaps.
#[cold]
pub(super) fn answer_late(request: &Request<Operation>, applied: Applied, outbox: &mut Outbox) {
    let applied = match request.operation {
        Operation::Add(_) => applied,
        Operation::Read => Applied::Never,
    };
    request.give_up(applied, LATE, outbox);
}

/// The answer to an add that would take the counter where its numbers end.
pub(super) fn out_of_range() -> Error {
    Error::new(
        ErrorCode::ABORT,
        "the counter would leave the range of 64-bit integers; nothing was added",
    )
}
