//! Operations of clients that wait, and their answers: each gets exactly one.

use alloc::{string::ToString, vec::Drain, vec::Vec};
use core::{mem, time::Duration};

use crate::node::Outbox;
use crate::protocol::{Error, ErrorCode, Name};

/// What a client wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    Add(i64),
    Read,
}

/// One client's operation, until it is answered.
#[derive(Debug)]
pub(super) struct Rider {
    client: Name,
    msg_id: Option<i64>,
    pub(super) want: Want,
    pub(super) deadline: Duration,
    /// It ran out of time while its delta was under way.
    pub(super) is_answered: bool,
}

/// Operations, oldest first.
pub(super) type Riders = Vec<Rider>;

/// Moves the oldest of those that wait to the empty `riders`, but no more than may ride together.
pub(super) fn take_batch(waiting: &mut Riders, batch_max: usize, riders: &mut Riders) {
    debug_assert!(riders.is_empty(), "nobody boards what is under way");
    if waiting.len() <= batch_max {
        mem::swap(waiting, riders);
    } else {
        riders.extend(waiting.drain(..batch_max));
    }
}

/// Takes the oldest operations out whose time is up.
pub(super) fn expired(riders: &mut Riders, now: Duration) -> Drain<'_, Rider> {
    let in_time = riders.iter().position(|rider| rider.deadline > now);
    riders.drain(..in_time.unwrap_or(riders.len()))
}

/// Answers clients, and counts the answers that are still missing.
#[derive(Debug)]
pub(super) struct Answers {
    missing: usize,
    missing_max: usize,
}

impl Answers {
    pub(super) fn new(missing_max: usize) -> Self {
        Answers {
            missing: 0,
            missing_max,
        }
    }

    /// Takes an operation on, to be answered by `deadline`.
    ///
    /// # Errors
    ///
    /// When too many wait already.
    pub(super) fn admit(
        &mut self,
        client: &str,
        msg_id: Option<i64>,
        want: Want,
        deadline: Duration,
    ) -> Result<Rider, Error> {
        if self.missing == self.missing_max {
            return Err(Error::new(
                ErrorCode::TEMPORARILY_UNAVAILABLE,
                "too many operations wait already; nothing was added",
            ));
        }
        self.missing += 1;
        Ok(Rider {
            client: client.into(),
            msg_id,
            want,
            deadline,
            is_answered: false,
        })
    }

    pub(super) fn ok(&mut self, rider: &Rider, value: i128, outbox: &mut Outbox) {
        self.missing -= 1;
        let client = &rider.client;
        match rider.want {
            Want::Add(_) => drop(outbox.reply(client, rider.msg_id, "add_ok")),
            Want::Read => {
                outbox
                    .reply(client, rider.msg_id, "read_ok")
                    .field("value", value);
            }
        }
    }

    #[cold]
    pub(super) fn error(&mut self, rider: &Rider, error: &Error, outbox: &mut Outbox) {
        self.missing -= 1;
        outbox.error(&rider.client, rider.msg_id, error);
    }

    /// Answers an operation that rides, or has ridden: if it is an add, its delta may be under way.
    #[cold]
    pub(super) fn give_up(&mut self, rider: &Rider, why: &str, outbox: &mut Outbox) {
        let error = match rider.want {
            Want::Add(_) => Error::new(
                ErrorCode::TIMEOUT,
                alloc::format!("{why}; the add may still count, once"),
            ),
            Want::Read => Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, why.to_string()),
        };
        self.error(rider, &error, outbox);
    }
}

/// The answer to an add that would take the counter where its numbers end.
pub(super) fn out_of_range() -> Error {
    Error::new(
        ErrorCode::ABORT,
        "the counter would leave the range of 64-bit integers; nothing was added",
    )
}
