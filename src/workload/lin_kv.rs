//! A key-value store that is a service's, asked through a node.
//!
//! `read{key} → read_ok{value}`, `write{key, value} → write_ok`, `cas{key, from, to, create_if_not_exists} → cas_ok`. Keys
//! and values are any JSON. Every operation takes effect in the store, between its request and its answer, so a node is
//! as linearizable as the store is. What the node adds:
//!
//! - **Deadlines.** Every request is answered within `op_timeout`. Until then a read is repeated.
//! - **True errors.** A write or a cas is sent once: a second copy could overwrite what came after the first, and others
//!   would have seen all three values. Without a reply the error is therefore 0, not 11: the operation may still be
//!   applied.
//!
//! # Limits
//!
//! A node has at most 4096 requests at the store at once; one more gets error 11.
//!
//! All this holds if the network does not double requests to the store or keep them for long, as Maelstrom's does not. A
//! second copy of a write that arrives late brings an old value back. And of two copies of a cas the first may be applied, and
//! the refusal of the second come first. A register with a version ([`Register`]) is safe from both, but then the store would
//! not hold the values that clients wrote.

use alloc::{borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::required;
use crate::kv::{Outcome, Register, RegisterId, Registers};
use crate::node::{Context, GivenUp, Limits, Outbox, Random, Requests, Workload, earliest};
use crate::protocol::{Encode, Error, ErrorCode, Message, present};

/// Which service is asked, and the limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node id of the key-value service.
    pub service: String,
    /// What the node allows its clients and its store.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            service: "lin-kv".into(),
            limits: Limits::default(),
        }
    }
}

/// What the store holds under a key, if the key is there. A value of a client has no version but that, and shows nothing, so
/// it is read, and changed by requests that are sent once.
#[derive(Clone, Default)]
struct Stored(Option<Box<RawValue>>);

impl Register for Stored {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        self.0 = Some(RawValue::from_string(json.to_owned())?);
        Ok(())
    }

    fn version(&self) -> u64 {
        self.0.is_some().into()
    }

    fn shows(&self, _wanted: &Self) -> bool {
        false
    }
}

impl Encode for Stored {
    fn encode(&self, _out: &mut Vec<u8>) {
        unreachable!("only what is sent once is written, and that is a client's");
    }
}

/// A node that asks the service.
pub struct LinKv {
    /// Each with the type of its answer.
    requests: Requests<&'static str>,
    /// One for each request, called by its id and open until it is answered.
    registers: Registers<Stored, i64>,
    opened: BTreeMap<i64, RegisterId>,
}

/// A message to this node.
type Received<'a> = Message<'a, Fields<'a>>;

impl LinKv {
    /// A node that has asked nothing yet. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(options: Options, seed: u64) -> Self {
        let Options { service, limits } = options;
        let mut random = Random::new(seed);
        LinKv {
            requests: Requests::new(&limits, &mut random),
            registers: Registers::new(&service, &limits, &mut random),
            opened: BTreeMap::new(),
        }
    }

    /// Opens the register of a request, whose answer will be of type `answer`.
    fn open(
        &mut self,
        request: &Received<'_>,
        answer: &'static str,
        now: Duration,
    ) -> Result<RegisterId, Error> {
        let key = required(request.body.fields.key, "key")?;
        if self.registers.capacity_left() == 0 {
            return Err(Error::unavailable("too many operations wait already"));
        }
        let id = self.requests.admit(request, answer, now)?;
        let register = self.registers.open(&key, id);
        self.opened.insert(id, register);
        Ok(register)
    }

    /// Asks the store no more for a request.
    fn close(&mut self, id: i64) {
        let register = self.opened.remove(&id).expect("it is open until then");
        self.registers.close(register);
    }
}

fn refusal(code: ErrorCode) -> Error {
    let text = match code {
        ErrorCode::KEY_DOES_NOT_EXIST => "the key is not in the store",
        ErrorCode::PRECONDITION_FAILED => "the value is not what from says",
        _ => "the store answers with an error",
    };
    Error::new(code, text)
}

/// What the messages of clients and the store's answers hold.
#[derive(Default, Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    key: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    from: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    to: Option<&'a RawValue>,
    #[serde(default)]
    create_if_not_exists: bool,
}

impl Workload for LinKv {
    type Fields<'a> = Fields<'a>;

    fn request(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        let (fields, now) = (&request.body.fields, context.now);
        match &*request.body.kind {
            "read" => {
                let register = self.open(request, "read_ok", now)?;
                self.registers.read(register, context);
            }
            "write" => {
                let value = required(fields.value, "value")?;
                let register = self.open(request, "write_ok", now)?;
                let write = self.registers.ask_once(register, "write", context);
                write.field("value", value);
            }
            "cas" => {
                let (from, to) = (required(fields.from, "from")?, required(fields.to, "to")?);
                let register = self.open(request, "cas_ok", now)?;
                let cas = self.registers.ask_once(register, "cas", context);
                let cas = cas.field("from", from).field("to", to);
                if fields.create_if_not_exists {
                    cas.field("create_if_not_exists", true);
                }
            }
            kind => return Err(Error::not_supported(kind)),
        }
        Ok(())
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        let Some(done) = self.registers.on_reply(reply, value, context) else {
            return;
        };
        let request = self.requests.take(done.name);
        let request = request.expect("a register is open as long as its request waits");
        let answer = request.operation;
        match (done.outcome, self.registers.known(done.register)) {
            (Outcome::Read, Some(Stored(Some(value)))) => {
                let answer = request.answer(answer, context.outbox);
                answer.field("value", &**value);
            }
            (Outcome::Read, _) => {
                request.fail(&refusal(ErrorCode::KEY_DOES_NOT_EXIST), context.outbox);
            }
            (Outcome::Refused(code), _) => request.fail(&refusal(code), context.outbox),
            _ => drop(request.answer(answer, context.outbox)),
        }
        self.close(done.name);
    }

    fn deadline(&self) -> Option<Duration> {
        earliest([self.requests.deadline(), self.registers.deadline()])
    }

    fn give_up(&mut self, now: Duration, why: &str, outbox: &mut Outbox) {
        for (id, request) in self.requests.expired(now) {
            let given_up = match request.operation {
                "read_ok" => GivenUp::NotApplied,
                _ => GivenUp::InDoubt,
            };
            request.fail(&given_up.error(why), outbox);
            self.close(id);
        }
    }

    fn wake(&mut self, context: &mut Context<'_>) {
        self.registers.wake(context);
    }
}
