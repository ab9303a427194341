//! A key-value store that is the service's, asked through a node.
//!
//! `read{key} → read_ok{value}`, `write{key, value} → write_ok`, `cas{key, from, to, create_if_not_exists} → cas_ok`. Keys
//! and values are any JSON. Everything happens in the store, at a moment between the request and the answer, so the
//! whole is as linearizable as the store is. What the node adds:
//!
//! - **Combined reads.** One read of a key is under way at most; those that come meanwhile share the next. None rides
//!   on a read that was sent before it came, or it could miss what was acknowledged in between.
//! - **Deadlines.** By [`Options::op_timeout`] there is an answer. A read is asked for again as long as it may help.
//! - **True errors.** A write or a cas is sent once and never again: a second copy could overwrite what came after the
//!   first, and others would have seen all three. If no answer comes, the error is 0, not 11, for it may yet happen.
//!
//! # Limits
//!
//! A refused cas is passed on as refused. That is only true if the network does not double requests to the store: of
//! two copies of a cas the first may swap, and the answer to the second come first. Maelstrom's network doubles
//! nothing. A register that knows its own age ([`Register`](crate::kv::Register)) is safe from that, but then the store
//! would hold other values than clients wrote.

use alloc::{borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::{mem, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::canonical;
use crate::kv::{Answer, Patience, Service};
use crate::node::{Outbox, Pending, Random, Workload};
use crate::protocol::{Error, ErrorCode, Message, Name, present};

/// What is asked, and the limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node id of the key-value service.
    pub service: String,
    /// The most operations that wait at once; one more is refused with error 11.
    pub pending_max: usize,
    /// How long the store may take before a read is sent again. It grows on repeats.
    pub rpc_timeout: Duration,
    /// By then an operation is answered: with error 11 if it has certainly not happened, else with error 0.
    pub op_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            service: "lin-kv".into(),
            pending_max: 10_000,
            rpc_timeout: Duration::from_secs(1),
            op_timeout: Duration::from_millis(4500),
        }
    }
}

/// One client's operation, until it is answered.
struct Rider {
    client: Name,
    msg_id: Option<i64>,
    deadline: Duration,
    /// The write or cas that it waits for.
    change: Option<usize>,
}

/// A question to the store.
enum Question {
    Read(Read),
    Change { message_id: i64, rider: u64 },
}

struct Read {
    message_id: i64,
    key: Box<RawValue>,
    /// What the key says, however it is written.
    canonical_key: String,
    riders: Vec<u64>,
    /// Who came after the read was sent.
    waiting: Vec<u64>,
    attempts: u32,
}

/// The proxy.
pub struct LinKv {
    options: Options,
    service: Service,
    patience: Patience,
    questions: Pending<Question>,
    /// The read of each key that is under way.
    reads: BTreeMap<String, usize>,
    /// By the order in which they came, which is also that of their deadlines.
    riders: BTreeMap<u64, Rider>,
    last_rider: u64,
}

impl LinKv {
    /// A proxy. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(options: Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        LinKv {
            service: Service::new(&options.service),
            questions: Pending::new(&mut random),
            patience: Patience::new(options.rpc_timeout, random),
            options,
            reads: BTreeMap::new(),
            riders: BTreeMap::new(),
            last_rider: 0,
        }
    }

    fn board(
        &mut self,
        src: &str,
        msg_id: Option<i64>,
        change: Option<usize>,
        now: Duration,
    ) -> u64 {
        self.last_rider += 1;
        self.riders.insert(
            self.last_rider,
            Rider {
                client: src.into(),
                msg_id,
                deadline: now + self.options.op_timeout,
                change,
            },
        );
        self.last_rider
    }

    /// Adds a rider to the read of a key that is sent next.
    fn read(
        &mut self,
        rider: u64,
        key: &RawValue,
        canonical_key: String,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        if let Some(slot) = self.reads.get(&canonical_key) {
            let Question::Read(read) = self.questions.get(*slot) else {
                unreachable!("the reads are reads");
            };
            return read.waiting.push(rider);
        }
        let slot = self.questions.insert(Question::Read(Read {
            message_id: 0,
            key: key.to_owned(),
            canonical_key: canonical_key.clone(),
            riders: Vec::new(),
            waiting: alloc::vec![rider],
            attempts: 0,
        }));
        self.reads.insert(canonical_key, slot);
        self.next_read(slot, now, outbox);
    }

    /// Sends the read that those who wait share; if none does, the key is done with.
    fn next_read(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let message_id = self.questions.message_id(slot);
        let Question::Read(read) = self.questions.get(slot) else {
            unreachable!("the reads are reads");
        };
        read.riders = mem::take(&mut read.waiting);
        read.riders.retain(|rider| self.riders.contains_key(rider));
        if read.riders.is_empty() {
            self.reads.remove(&read.canonical_key);
            self.questions.remove(slot);
            return;
        }
        read.message_id = message_id;
        read.attempts = 0;
        self.send_read(slot, now, outbox);
    }

    /// Sends a read, for the first time or again: every copy is the same.
    fn send_read(&mut self, slot: usize, now: Duration, outbox: &mut Outbox) {
        let Question::Read(read) = self.questions.get(slot) else {
            unreachable!("the reads are reads");
        };
        let deadline = now + self.patience.wait(read.attempts);
        self.service.read(&*read.key, read.message_id, outbox);
        self.questions.set_deadline(slot, deadline);
    }

    fn answer_read(
        &mut self,
        slot: usize,
        answer: &Answer<'_>,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        let Question::Read(read) = self.questions.get(slot) else {
            unreachable!("the reads are reads");
        };
        if let Answer::Unclear(_) = answer {
            let pause = self.patience.pause(read.attempts);
            return self.questions.set_deadline(slot, now + pause);
        }
        for rider in mem::take(&mut read.riders) {
            // Those whose time was up have been answered.
            let Some(Rider { client, msg_id, .. }) = self.riders.remove(&rider) else {
                continue;
            };
            match answer {
                Answer::Value(value) => {
                    outbox
                        .reply(&client, msg_id, "read_ok")
                        .field("value", *value);
                }
                _ => outbox.error(&client, msg_id, &missing()),
            }
        }
        self.next_read(slot, now, outbox);
    }

    fn answer_change(&mut self, slot: usize, answer: &Answer<'_>, outbox: &mut Outbox) {
        let Question::Change { rider, .. } = self.questions.remove(slot) else {
            unreachable!("only a change is answered as one");
        };
        let Rider { client, msg_id, .. } = self
            .riders
            .remove(&rider)
            .expect("a change ends with its rider");
        let error = match answer {
            Answer::Written => return drop(outbox.reply(&client, msg_id, "write_ok")),
            Answer::Swapped => return drop(outbox.reply(&client, msg_id, "cas_ok")),
            Answer::Mismatch => Error::new(
                ErrorCode::PRECONDITION_FAILED,
                "the value is not what from says",
            ),
            Answer::Unclear(code) => Error::new(*code, "the store answers with an error"),
            Answer::Missing | Answer::Value(_) => missing(),
        };
        outbox.error(&client, msg_id, &error);
    }

    /// Answers a rider whose time is up as truly as it can be.
    fn give_up(&mut self, rider: u64, why: &str, outbox: &mut Outbox) {
        let Rider {
            client,
            msg_id,
            change,
            ..
        } = self.riders.remove(&rider).expect("it waits");
        let error = match change {
            Some(slot) => {
                self.questions.remove(slot);
                Error::new(
                    ErrorCode::TIMEOUT,
                    alloc::format!("{why}; it may still happen"),
                )
            }
            None => Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, String::from(why)),
        };
        outbox.error(&client, msg_id, &error);
    }
}

const LATE: &str = "no answer from the store in time";
const ENDED: &str = "the node's input has ended, so no answer from the store can come";

fn missing() -> Error {
    Error::new(ErrorCode::KEY_DOES_NOT_EXIST, "the key is not in the store")
}

/// What the messages of clients and the store's answers hold.
#[derive(Deserialize)]
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

    fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let Message { src, body, .. } = request;
        let Fields {
            key,
            value,
            from,
            to,
            create_if_not_exists: create,
        } = body.fields;
        let kind = &*body.kind;
        if !matches!(kind, "read" | "write" | "cas") {
            return Err(Error::not_supported(kind));
        }
        let key = key.ok_or_else(|| Error::missing("key"))?;
        if self.riders.len() >= self.options.pending_max || self.questions.is_full() {
            let text = "too many operations wait already; nothing was done";
            return Err(Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text));
        }
        if kind == "read" {
            let canonical_key = canonical(key).map_err(|error| {
                Error::new(ErrorCode::MALFORMED_REQUEST, alloc::format!("key: {error}"))
            })?;
            let rider = self.board(src, body.msg_id, None, now);
            self.read(rider, key, canonical_key, now, outbox);
            return Ok(());
        }
        let (first, second) = match kind {
            "write" => (value.ok_or_else(|| Error::missing("value"))?, None),
            _ => {
                let to = to.ok_or_else(|| Error::missing("to"))?;
                (from.ok_or_else(|| Error::missing("from"))?, Some(to))
            }
        };
        let rider = self.last_rider + 1;
        let slot = self.questions.insert(Question::Change {
            message_id: 0,
            rider,
        });
        let id = self.questions.message_id(slot);
        if let Question::Change { message_id, .. } = self.questions.get(slot) {
            *message_id = id;
        }
        self.board(src, body.msg_id, Some(slot), now);
        match second {
            None => self.service.write(key, first, id, outbox),
            Some(to) => self.service.cas(key, (first, to), create, id, outbox),
        }
        Ok(())
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        let body = &reply.body;
        let (Some(id), Some(answer)) = (
            body.in_reply_to,
            self.service.answer(reply, body.fields.value),
        ) else {
            return;
        };
        match self.questions.find(id) {
            Some((slot, Question::Read(read)))
                if read.message_id == id
                    && matches!(
                        answer,
                        Answer::Value(_) | Answer::Missing | Answer::Unclear(_)
                    ) =>
            {
                self.answer_read(slot, &answer, now, outbox);
            }
            Some((slot, Question::Change { message_id, .. })) if *message_id == id => {
                self.answer_change(slot, &answer, outbox);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let first = self.riders.first_key_value();
        let first = first.map(|(_, rider)| rider.deadline);
        first.into_iter().chain(self.questions.deadline()).min()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        while let Some((rider, Rider { deadline, .. })) = self.riders.first_key_value()
            && *deadline <= now
        {
            self.give_up(*rider, LATE, outbox);
        }
        while let Some(slot) = self.questions.expired(now) {
            let Question::Read(read) = self.questions.get(slot) else {
                unreachable!("only reads have deadlines");
            };
            read.attempts += 1;
            read.riders.retain(|rider| self.riders.contains_key(rider));
            match read.riders.is_empty() {
                true => self.next_read(slot, now, outbox),
                false => self.send_read(slot, now, outbox),
            }
        }
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        while let Some((rider, _)) = self.riders.first_key_value() {
            self.give_up(*rider, ENDED, outbox);
        }
    }
}
