//! A key-value store that is a service's, asked through a node.
//!
//! `read{key} → read_ok{value}`, `write{key, value} → write_ok`, `cas{key, from, to, create_if_not_exists} → cas_ok`. Keys
//! and values are any JSON. Every operation takes effect in the store, between its request and its answer, so a node is
//! as linearizable as the store is. What the node adds:
//!
//! - **Combined reads.** At most one read of a key is in flight; requests that arrive meanwhile share the next one. None
//!   joins a read that was sent before it arrived, because it could miss what was acknowledged in between.
//! - **Deadlines.** Every request is answered within `op_timeout`. Until then its read is repeated.
//! - **True errors.** A write or a cas is sent once: a second copy could overwrite what came after the first, and others
//!   would have seen all three values. Without a reply the error is therefore 0, not 11: the operation may still be
//!   applied.
//!
//! # Limits
//!
//! All this holds if the network does not double requests to the store or keep them for long, as Maelstrom's does not. A
//! second copy of a write that arrives late brings an old value back. And of two copies of a cas the first may be applied, and
//! the refusal of the second come first. A register with a version ([`Register`]) is safe from both, but then the store would
//! not hold the values that clients wrote.

use alloc::{
    borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec,
};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::canonical;
use super::required;
use crate::kv::{Outcome, Queue, Register, RegisterId, Registers};
use crate::node::{
    Context, GivenUp, INPUT_ENDED, LATE, Limits, Outbox, Random, Requests, Workload,
};
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

/// What the store holds under a key, if the key is there. A value of a client has no version and shows nothing, so it is
/// read, and changed by requests that are sent once.
#[derive(Clone, Default)]
struct Stored(Option<Box<RawValue>>);

impl Register for Stored {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        self.0 = Some(RawValue::from_string(json.to_owned())?);
        Ok(())
    }

    fn version(&self) -> u64 {
        0
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

/// What a register is used for: each is opened when it is needed and closed after that.
#[derive(Clone)]
enum Use {
    /// The reads of this key, in its canonical form.
    Reads(Arc<str>),
    /// The write or cas of this request.
    Change(i64),
}

/// The reads of one key. Those in flight wait for the read of the register.
struct Reads {
    register: RegisterId,
    queue: Queue<()>,
}

/// A node that asks the service.
pub struct LinKv {
    /// Each with the type of its answer.
    requests: Requests<&'static str>,
    registers: Registers<Stored, Use>,
    reads: BTreeMap<Arc<str>, Reads>,
    /// The register of each write and cas in flight.
    changes: BTreeMap<i64, RegisterId>,
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
            reads: BTreeMap::new(),
            changes: BTreeMap::new(),
        }
    }

    fn read(
        &mut self,
        request: &Received<'_>,
        key: &RawValue,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let canonical: Arc<str> = canonical(key)?.into();
        let id = self.requests.admit(request, "read_ok", context.now)?;
        let reads = self.reads.entry(canonical.clone());
        let reads = reads.or_insert_with_key(|canonical| Reads {
            register: self.registers.open(&key, Use::Reads(canonical.clone())),
            queue: Queue::default(),
        });
        reads.queue.push(id, ());
        self.advance(&canonical, context);
        Ok(())
    }

    /// Reads a key for those that wait for it, unless it is being read. If nobody waits, the key is forgotten.
    fn advance(&mut self, key: &str, context: &mut Context<'_>) {
        let reads = self.reads.get_mut(key).expect(KEPT);
        if reads.queue.is_ready() {
            reads.queue.start_batch(usize::MAX, |_, ()| true);
            self.registers.read(reads.register, context);
        } else if reads.queue.is_empty() {
            self.registers.close(reads.register);
            self.reads.remove(key);
        }
    }

    /// Answers the requests that share a read.
    fn on_read(&mut self, key: &str, context: &mut Context<'_>) {
        let reads = self.reads.get_mut(key).expect(KEPT);
        let (stored, _) = self.registers.known(reads.register).expect("it was read");
        let waiting = reads.queue.end_batch();
        for request in waiting.filter_map(|(id, ())| self.requests.take(id)) {
            match &stored.0 {
                Some(value) => {
                    let answer = request.answer(request.operation, context.outbox);
                    answer.field("value", &**value);
                }
                None => request.fail(&refusal(ErrorCode::KEY_DOES_NOT_EXIST), context.outbox),
            }
        }
        self.advance(key, context);
    }

    /// Starts a write or cas of a register, whose answer will be of type `answer`.
    fn change(
        &mut self,
        request: &Received<'_>,
        key: &RawValue,
        answer: &'static str,
        now: Duration,
    ) -> Result<RegisterId, Error> {
        let id = self.requests.admit(request, answer, now)?;
        let register = self.registers.open(&key, Use::Change(id));
        self.changes.insert(id, register);
        Ok(register)
    }

    fn on_change(&mut self, id: i64, outcome: Outcome, outbox: &mut Outbox) {
        self.withdraw(id);
        let request = self.requests.take(id);
        let request = request.expect("a change ends with its request");
        match outcome {
            Outcome::Refused(code) => request.fail(&refusal(code), outbox),
            _ => drop(request.answer(request.operation, outbox)),
        }
    }

    /// Waits no longer for the write or cas of a request, if it is one.
    fn withdraw(&mut self, id: i64) -> GivenUp {
        let Some(register) = self.changes.remove(&id) else {
            return GivenUp::NotApplied;
        };
        self.registers.close(register);
        GivenUp::InDoubt
    }

    /// Ends the reads for which nobody waits any more.
    fn stop_reading(&mut self) {
        self.reads.retain(|_, reads| {
            let mut waiting = reads.queue.requests();
            let is_wanted = waiting.any(|id| self.requests.get_mut(id).is_some());
            if !is_wanted {
                self.registers.close(reads.register);
            }
            is_wanted
        });
    }
}

const KEPT: &str = "a key is kept while it is read";

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
        let kind = &*request.body.kind;
        if !matches!(kind, "read" | "write" | "cas") {
            return Err(Error::not_supported(kind));
        }
        let fields = &request.body.fields;
        let key = required(fields.key, "key")?;
        if self.registers.capacity_left() == 0 {
            return Err(GivenUp::NotApplied.error("too many operations wait already"));
        }
        match kind {
            "read" => self.read(request, key, context)?,
            "write" => {
                let value = required(fields.value, "value")?;
                let register = self.change(request, key, "write_ok", context.now)?;
                self.registers.write_once(register, &value, context);
            }
            _ => {
                let (from, to) = (required(fields.from, "from")?, required(fields.to, "to")?);
                let register = self.change(request, key, "cas_ok", context.now)?;
                let create = fields.create_if_not_exists;
                self.registers
                    .cas_once(register, (&from, &to), create, context);
            }
        }
        Ok(())
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        let Some(done) = self.registers.on_reply(reply, value, context) else {
            return;
        };
        match done.name {
            Use::Reads(key) => self.on_read(&key, context),
            Use::Change(id) => self.on_change(id, done.outcome, context.outbox),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let deadlines = [self.requests.deadline(), self.registers.deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn wake(&mut self, context: &mut Context<'_>) {
        let mut is_any_late = false;
        while let Some((id, request)) = self.requests.expired(context.now) {
            request.give_up(self.withdraw(id), LATE, context.outbox);
            is_any_late = true;
        }
        if is_any_late {
            self.stop_reading();
        }
        self.registers.wake(context);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        while let Some((id, request)) = self.requests.expired(Duration::MAX) {
            request.give_up(self.withdraw(id), INPUT_ENDED, outbox);
        }
    }
}
