//! A client of Maelstrom's key-value services: `read`, `write` and `cas`, their answers, and how long to wait for one.
//!
//! No answer means ambiguity: the request may have been lost, or its answer, or either may be late. A read is simply
//! repeated. A compare-and-swap of unknown outcome is *unsettled*: whoever sent it finds out by reading, and repeats
//! it only unchanged. [`Register`] is what a value needs to have for that, and [`Registers`] does it.

mod register;
mod registers;

use core::time::Duration;

use serde_json::value::RawValue;

pub use register::{Proof, Register, Seen, VERSION_MAX, check_version};
pub use registers::{Event, Registers};

use crate::node::{Outbox, Random};
use crate::protocol::{Encode, ErrorCode, Message, Name};

/// A key-value service: `seq-kv`, `lin-kv` or another that speaks the same messages.
#[derive(Clone, Debug)]
pub struct Service {
    name: Name,
}

/// What a service answered.
#[derive(Debug)]
pub enum Answer<'a> {
    /// The value of the key that was read.
    Value(&'a RawValue),
    /// The key that was read is not there, or the one to be swapped.
    Missing,
    /// The swap was made.
    Swapped,
    /// The key was written.
    Written,
    /// The swap was not made by this copy of the request: the value was another.
    Mismatch,
    /// Any other error; it says nothing of what happened.
    Unclear(ErrorCode),
}

impl Service {
    /// The service with this node id.
    pub fn new(name: &str) -> Self {
        Service { name: name.into() }
    }

    /// The node id of the service.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Asks for the value of `key`.
    pub fn read<K: Encode + ?Sized>(&self, key: &K, message_id: i64, outbox: &mut Outbox) {
        outbox
            .send(&self.name, "read")
            .field("key", key)
            .field("msg_id", message_id);
    }

    /// Asks to set `key` to `value`, whatever it is.
    ///
    /// It can't be told from its answers whether a write that is repeated came first or last, so repeat none.
    pub fn write<K: Encode + ?Sized, T: Encode + ?Sized>(
        &self,
        key: &K,
        value: &T,
        message_id: i64,
        outbox: &mut Outbox,
    ) {
        outbox
            .send(&self.name, "write")
            .field("key", key)
            .field("value", value)
            .field("msg_id", message_id);
    }

    /// Asks to set `key` to `to` if it is `from`, or, with `create`, if it isn't there.
    pub fn cas<K: Encode + ?Sized, T: Encode + ?Sized>(
        &self,
        key: &K,
        (from, to): (&T, &T),
        create: bool,
        message_id: i64,
        outbox: &mut Outbox,
    ) {
        let request = outbox
            .send(&self.name, "cas")
            .field("key", key)
            .field("from", from)
            .field("to", to);
        let request = match create {
            true => request.field("create_if_not_exists", true),
            false => request,
        };
        request.field("msg_id", message_id);
    }

    /// Reads an answer, if this is one and comes from this service. `value` is its field of that name.
    pub fn answer<'a, F>(
        &self,
        reply: &Message<'_, F>,
        value: Option<&'a RawValue>,
    ) -> Option<Answer<'a>> {
        if self.name != *reply.src {
            return None;
        }
        Some(match (&*reply.body.kind, value) {
            ("read_ok", Some(value)) => Answer::Value(value),
            ("cas_ok", _) => Answer::Swapped,
            ("write_ok", _) => Answer::Written,
            ("error", _) => match ErrorCode(reply.body.code?) {
                ErrorCode::KEY_DOES_NOT_EXIST => Answer::Missing,
                ErrorCode::PRECONDITION_FAILED => Answer::Mismatch,
                code => Answer::Unclear(code),
            },
            _ => return None,
        })
    }
}

/// How long to wait for an answer before asking again.
#[derive(Clone, Debug)]
pub struct Patience {
    rpc_timeout: Duration,
    wait_max: Duration,
    random: Random,
}

impl Patience {
    /// The wait doubles up to this often.
    const DOUBLINGS_MAX: u32 = 3;

    /// Waits `rpc_timeout` at first, at least a millisecond.
    pub fn new(rpc_timeout: Duration, random: Random) -> Self {
        Patience {
            rpc_timeout: rpc_timeout.max(Duration::from_millis(1)),
            wait_max: Duration::MAX,
            random,
        }
    }

    /// Lets no wait grow beyond half of `op_timeout`: when the store can be reached again, what waits for it is to be
    /// answered in time.
    pub fn within(self, op_timeout: Duration) -> Self {
        Patience {
            wait_max: self.rpc_timeout.max(op_timeout / 2),
            ..self
        }
    }

    /// The wait after `attempts` tries without an answer: twice as long each time, up to eight times or to the limit,
    /// with up to a quarter more by chance, so that nodes that failed together don't try again together.
    pub fn wait(&mut self, attempts: u32) -> Duration {
        let doublings = attempts.min(Self::DOUBLINGS_MAX);
        let wait = self.rpc_timeout.saturating_mul(1 << doublings);
        let wait = wait.min(self.wait_max);
        wait.saturating_add(wait / 1024 * self.random.below(256) as u32)
    }

    /// The wait after a service has refused: a tenth of the time, since an answer did come.
    pub fn pause(&mut self, attempts: u32) -> Duration {
        self.wait(attempts) / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_grows_to_half_of_what_an_operation_may_take_and_no_further() {
        let (second, op_timeout) = (Duration::from_secs(1), Duration::from_millis(4500));
        for seed in 0..100 {
            let mut patience = Patience::new(second, Random::new(seed)).within(op_timeout);
            let waits = [0, 1, 2, 100].map(|attempts| patience.wait(attempts));
            for (wait, least_ms) in waits.into_iter().zip([1000, 2000, 2250, 2250]) {
                let least = Duration::from_millis(least_ms);
                assert!((least..least * 5 / 4).contains(&wait), "{wait:?}");
            }
        }
    }
}
