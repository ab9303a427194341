//! Transactions of reads and writes that are answered at once in every partition.
//!
//! `txn{[["r", k, null], ["w", k, v], …]} → txn_ok{…}`. Keys and values are any JSON. Every node has all registers and
//! executes a transaction without asking other nodes: totally available. What a transaction wrote spreads by
//! [gossip](crate::gossip).
//!
//! # What a read may see
//!
//! A transaction has a stamp, *(count, node, incarnation)*, where the count is one above the highest that the node has seen
//! (Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978). No two transactions share one,
//! even across restarts, and of two writes of a key the one with the higher stamp stays: the last writer wins, by an
//! order that is the same everywhere and has no clock in it.
//!
//! - Only committed transactions are sent to other nodes: no aborted reads.
//! - A transaction is sent, merged and read as a whole, with the last of its writes of each key: no intermediate reads,
//!   and nobody sees one half of it without the other, unless something newer is in its place.
//! - What a transaction reads was stamped lower than what it writes, so no two can each depend on the other: no
//!   circular information flow. With the two above this is read committed (Adya, "Weak consistency", 1999, PL-2), and a
//!   little more.
//! - Nodes that have received the same transactions have the same registers: they converge once all partitions are over.
//!
//! # Limits
//!
//! Lost updates and write skew happen, as they must where no transaction waits. The writes of a transaction have at most
//! [`GOSSIP_BYTES_MAX`] bytes. A node keeps the newest value of each key and the transaction that wrote it, for up to
//! [`REGISTERS_MAX`] keys. When a node is killed, what no other node has received is lost.

use alloc::{borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{canonical, list};
use super::transaction::{Operations, Step, done, steps};
use crate::gossip::{GOSSIP_BYTES_MAX, Gossip, Options, Replica};
use crate::node::{Context, Outbox, Workload};
use crate::protocol::{Array, Encode, Error, ErrorCode, Message, Name, Raw, to_raw_value};

/// There are at most so many keys: 1,048,576.
pub const REGISTERS_MAX: usize = 1 << 20;

/// The highest count in a stamp, 2^53 - 1: a JSON number that every language reads exactly.
const COUNT_MAX: u64 = (1 << 53) - 1;

/// Which of two transactions is the later one: count, node, incarnation.
type Stamp = (u64, String, u64);

/// The writes of one transaction, as nodes send them to each other: `[[count, node, incarnation], [[key, value], …]]`.
#[derive(Deserialize)]
struct Writes<'a>(Stamp, #[serde(borrow)] Vec<(&'a RawValue, &'a RawValue)>);

struct Register {
    /// Which transaction wrote it.
    position: u64,
    value: Box<str>,
}

struct Transaction {
    stamp: Stamp,
    /// What is sent to other nodes: [`Writes`].
    entry: Box<RawValue>,
    /// How many registers have their value from it.
    registers: usize,
}

/// All registers, and those transactions that a register has its value from, in the order in which they came.
#[derive(Default)]
struct Registers {
    registers: BTreeMap<String, Register>,
    transactions: BTreeMap<u64, Transaction>,
    end: u64,
    count: u64,
}

impl Registers {
    fn value(&self, key: &str) -> &str {
        self.registers
            .get(key)
            .map_or("null", |register| &register.value)
    }

    /// The last transaction that wrote a register: its stamp and position.
    fn last_writer(&self, key: &str) -> Option<(&Stamp, u64)> {
        let position = self.registers.get(key)?.position;
        Some((&self.transactions[&position].stamp, position))
    }

    /// A register has a newer value: one less from the transaction at `position`.
    fn forget(&mut self, position: u64) {
        let transaction = self.transactions.get_mut(&position);
        let transaction = transaction.expect("a register has its value from it");
        transaction.registers -= 1;
        if transaction.registers == 0 {
            self.transactions.remove(&position);
        }
    }

    /// Takes in what a transaction wrote, unless it is here already, and gives its position; none if there is something
    /// newer in place of all of it.
    ///
    /// # Errors
    ///
    /// When these are no writes, or the memory for registers is full.
    fn add(&mut self, entry: &RawValue) -> Result<Option<u64>, Error> {
        if entry.get().len() > GOSSIP_BYTES_MAX {
            let text = alloc::format!("the writes have more than {GOSSIP_BYTES_MAX} bytes");
            return Err(Error::malformed(text));
        }
        let not_writes =
            |error| Error::malformed(alloc::format!("not the writes of a transaction: {error}"));
        let Writes(stamp, writes) = serde_json::from_str(entry.get()).map_err(not_writes)?;
        if stamp.0 > COUNT_MAX {
            return Err(Error::malformed("the stamp is too high"));
        }
        let mut values = BTreeMap::new();
        for (key, value) in writes {
            values.insert(canonical(key).map_err(not_writes)?, value);
        }
        let is_new = |key: &&String| !self.registers.contains_key(*key);
        if self.registers.len() + values.keys().filter(is_new).count() > REGISTERS_MAX {
            let text = "this node's memory for registers is full; nothing was written";
            return Err(Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text));
        }
        self.count = self.count.max(stamp.0);
        let mut writers = values.keys().filter_map(|key| self.last_writer(key));
        if let Some((_, position)) = writers.find(|(writer, _)| **writer == stamp) {
            return Ok(Some(position));
        }
        let is_latest = |(writer, _): (&Stamp, u64)| *writer < stamp;
        values.retain(|key, _| self.last_writer(key).is_none_or(is_latest));
        if values.is_empty() {
            return Ok(None);
        }
        let position = self.end;
        self.end += 1;
        let transaction = Transaction {
            stamp,
            entry: entry.to_owned(),
            registers: values.len(),
        };
        self.transactions.insert(position, transaction);
        for (key, value) in values {
            let value = value.get().into();
            let register = Register { position, value };
            if let Some(old) = self.registers.insert(key, register) {
                self.forget(old.position);
            }
        }
        Ok(Some(position))
    }
}

impl Replica for Registers {
    fn end(&self) -> u64 {
        self.end
    }

    fn entries_from(&self, position: u64) -> impl Iterator<Item = (u64, impl Encode)> {
        let transactions = self.transactions.range(position..);
        transactions.map(|(position, transaction)| (*position, &*transaction.entry))
    }

    fn merge(&mut self, entries: &RawValue, merged: &mut dyn FnMut(u64)) -> Result<(), Error> {
        for entry in list(entries)? {
            if let Some(position) = self.add(entry)? {
                merged(position);
            }
        }
        Ok(())
    }
}

/// One node of the transactional registers.
pub struct TxnRwRegister {
    node: Name,
    gossip: Gossip<Registers>,
}

impl TxnRwRegister {
    /// No register has been written. The seed has to be another at each start of a node: see
    /// [`Random`](crate::node::Random).
    pub fn new(options: Options, seed: u64) -> Self {
        TxnRwRegister {
            node: Name::default(),
            gossip: Gossip::new(Registers::default(), options, seed),
        }
    }

    /// What is sent to other nodes of a transaction that writes `values`.
    fn entry(&self, values: &BTreeMap<&str, (&RawValue, &str)>) -> Result<Box<RawValue>, Error> {
        let count = self.gossip.replica().count + 1;
        if count > COUNT_MAX {
            let text = "the stamps have run out; nothing was written";
            return Err(Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text));
        }
        let stamp = (count, &self.node, self.gossip.incarnation());
        let writes = values.values().map(|(key, value)| (*key, Raw(value)));
        Ok(to_raw_value(&(stamp, Array(writes))))
    }

    fn transact(&mut self, request: &Received<'_>, outbox: &mut Outbox) -> Result<(), Error> {
        let operations = request.body.fields.txn.as_ref();
        let operations = operations.ok_or_else(|| Error::missing("txn"))?;
        let steps = steps(operations, "w")?;
        let mut written: BTreeMap<&str, (&RawValue, &str)> = BTreeMap::new();
        let mut values = Vec::with_capacity(steps.len());
        for (step, (_, key, _)) in steps.iter().zip(operations) {
            values.push(match step {
                Step::Read { key } => {
                    let own = written.get(key.as_str()).map(|(_, value)| *value);
                    own.unwrap_or_else(|| self.gossip.replica().value(key))
                }
                Step::Change {
                    key: canonical,
                    value,
                } => {
                    written.insert(canonical, (*key, value.get()));
                    value.get()
                }
            });
        }
        let entry = match written.is_empty() {
            true => None,
            false => Some(self.entry(&written)?),
        };
        // The answer is written while what was read still stands, and taken back if the writes are refused.
        let answer = to_raw_value(&done(operations, &values));
        if let Some(entry) = entry {
            self.gossip.replica_mut().add(&entry)?;
        }
        outbox.reply(request, "txn_ok").field("txn", &*answer);
        Ok(())
    }
}

/// What the messages of a transaction hold.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow)]
    txn: Option<Operations<'a>>,
    #[serde(borrow)]
    gossip: Option<&'a RawValue>,
    #[serde(borrow)]
    entries: Option<&'a RawValue>,
}

/// A message to this node.
type Received<'a> = Message<'a, Fields<'a>>;

impl Workload for TxnRwRegister {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, peers: &[Name]) {
        self.node = node_id.into();
        self.gossip.init(node_id, peers);
    }

    fn start_wait(&self) -> Duration {
        self.gossip.start_wait()
    }

    fn request(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        match &*request.body.kind {
            "txn" => self.transact(request, context.outbox),
            "gossip" => {
                let Fields {
                    gossip, entries, ..
                } = request.body.fields;
                self.gossip.on_gossip(request, gossip, entries, context)
            }
            kind => Err(Error::not_supported(kind)),
        }
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let Fields {
            gossip, entries, ..
        } = reply.body.fields;
        self.gossip.on_reply(reply, gossip, entries, context.now);
    }

    fn deadline(&self) -> Option<Duration> {
        self.gossip.deadline()
    }

    fn wake(&mut self, context: &mut Context<'_>) {
        self.gossip.wake(context);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        self.gossip.finish(outbox);
    }
}
