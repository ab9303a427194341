use alloc::{string::String, vec::Vec};
use core::time::Duration;

use smallvec::SmallVec;

use super::{Outbox, Pending, Random};
use crate::protocol::{Error, ErrorCode, Message, MessageId, MessageWriter, Name};

/// How many bits of a request's id name its slot.
const SLOT_BITS: u32 = 20;

/// The most requests that can wait at once, whatever the limits say: 1,048,576.
pub const REQUESTS_MAX: usize = 1 << SLOT_BITS;

/// What a node allows its clients and its store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most requests of clients that wait at once, at most [`REQUESTS_MAX`]; one more is refused with error
    /// 11.
    pub pending_max: usize,
    /// By then a request is answered: with error 11 if it has certainly not been applied, else with error 0.
    pub op_timeout: Duration,
    /// How long a store or a peer may take at most before it is asked again, but for up to a quarter more by chance. A store
    /// is asked again sooner once its round trips have been measured.
    pub rpc_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pending_max: 10_000,
            op_timeout: Duration::from_millis(4500),
            rpc_timeout: Duration::from_secs(1),
        }
    }
}

/// The requests of clients that wait for their answers, each with what the workload has to know of it: `T`.
///
/// A request is admitted or refused when it comes, and taken out when it is answered, so it is answered once. Whoever
/// works on a request holds its id; if the id finds nothing, the request's time was up and it has been answered.
#[derive(Debug)]
pub struct Requests<T> {
    waiting: Pending<Request<T>, SLOT_BITS>,
    waiting_max: usize,
    timeout: Duration,
}

/// One request that waits for its answer.
#[derive(Debug)]
pub struct Request<T> {
    client: Name,
    /// As JSON; empty if the request had none.
    msg_id: SmallVec<[u8; 16]>,
    /// What the workload knows of it.
    pub operation: T,
}

/// What is known of an operation that is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GivenUp {
    /// It certainly was not applied, and never will be.
    NotApplied,
    /// It may have been applied, or may yet be.
    InDoubt,
}

impl GivenUp {
    /// The error for an operation that has no result, for the reason `why`: 11, or 0 if it may be applied.
    #[cold]
    pub fn error(self, why: &str) -> Error {
        match self {
            GivenUp::NotApplied => Error::unavailable(String::from(why)),
            GivenUp::InDoubt => Error::new(
                ErrorCode::TIMEOUT,
                alloc::format!("{why}; the operation may still be applied, once"),
            ),
        }
    }
}

impl<T> Requests<T> {
    /// None waits yet. `random` starts their ids.
    pub fn new(limits: &Limits, random: &mut Random) -> Self {
        Requests {
            waiting: Pending::new(random),
            waiting_max: limits.pending_max.min(REQUESTS_MAX),
            timeout: limits.op_timeout,
        }
    }

    /// Takes a request on, to be answered within the limits' `op_timeout`, and gives its id.
    ///
    /// # Errors
    ///
    /// Error 11 when too many wait already.
    pub fn admit<F>(
        &mut self,
        request: &Message<'_, F>,
        operation: T,
        now: Duration,
    ) -> Result<i64, Error> {
        if self.waiting.len() >= self.waiting_max {
            let text = "too many operations wait already; nothing was done";
            return Err(Error::unavailable(text));
        }
        let msg_id = request.body.msg_id.map(|id| id.0);
        let id = self.waiting.insert(Request {
            client: (&*request.src).into(),
            msg_id: SmallVec::from_slice(msg_id.unwrap_or_default()),
            operation,
        });
        let deadline = now.saturating_add(self.timeout);
        self.waiting.set_deadline(id, deadline);
        Ok(id)
    }

    /// The request with this id, if it has not been answered.
    pub fn get_mut(&mut self, id: i64) -> Option<&mut T> {
        let request = self.waiting.get_mut(id)?;
        Some(&mut request.operation)
    }

    /// Takes a request out, if it has not been answered. Whoever takes it answers it.
    pub fn take(&mut self, id: i64) -> Option<Request<T>> {
        self.waiting.remove(id)
    }

    /// Answers a request with an error, unless it has been answered: see [`Request::fail`].
    pub fn fail(&mut self, id: i64, error: &Error, outbox: &mut Outbox) {
        if let Some(request) = self.take(id) {
            request.fail(error, outbox);
        }
    }

    /// Takes out the requests whose time is up, each with its id, the oldest first: all of them at [`Duration::MAX`].
    pub fn expired(&mut self, now: Duration) -> Vec<(i64, Request<T>)> {
        let ids = self.waiting.expired(now).into_iter();
        ids.filter_map(|id| Some((id, self.waiting.remove(id)?)))
            .collect()
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When [`expired`](Self::expired) is to be called at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.deadline()
    }
}

impl<T> Request<T> {
    fn msg_id(&self) -> Option<MessageId<'_>> {
        (!self.msg_id.is_empty()).then_some(MessageId(&self.msg_id))
    }

    /// Begins the answer, a message of type `kind`.
    pub fn answer<'o>(&self, kind: &'static str, outbox: &'o mut Outbox) -> MessageWriter<'o> {
        outbox.answer(&self.client, self.msg_id(), kind)
    }

    /// Answers with an error, which must be true: no definite one if the operation may be applied.
    pub fn fail(&self, error: &Error, outbox: &mut Outbox) {
        outbox.error(self.client.as_str(), self.msg_id(), error);
    }
}
