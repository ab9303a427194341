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
//! even across restarts. Of two writes of a key the one with the higher stamp stays, on every node.
//!
//! - Only committed transactions are sent to other nodes: no aborted reads.
//! - A transaction is sent, merged and read as a whole, with the last of its writes of each key: no intermediate reads,
//!   and nobody sees one half of it without the other, unless something newer is in its place.
//! - What a transaction reads was stamped lower than what it writes, so no two can each depend on the other: no
//!   circular information flow. With the two above this is read committed (Adya, "Weak consistency", 1999, PL-2).
//! - Nodes that have received the same transactions have the same registers.
//!
//! Lost updates and write skew happen, as they must where no transaction waits. The writes of a transaction have at most
//! [`GOSSIP_BYTES_MAX`] bytes.

use alloc::{
    borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec,
};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{canonical, parse};
use super::transaction::{Operations, execute};
use super::{at_most, required};
use crate::gossip::{GOSSIP_BYTES_MAX, Gossip, Options, Replica};
use crate::node::{Context, ID_BITS, Outbox, Workload};
use crate::protocol::{Array, Encode, Error, Message, Name, Raw, to_raw_value};

/// There are at most so many keys: 1,048,576.
pub const REGISTERS_MAX: usize = 1 << 20;

/// The highest count in a stamp.
const COUNT_MAX: u64 = (1 << ID_BITS) - 1;

/// Which of two transactions is the later one: count, node, incarnation.
type Stamp = (u64, String, u64);

/// The writes of one transaction, as nodes send them to each other: `[[count, node, incarnation], [[key, value], …]]`.
#[derive(Deserialize)]
struct Writes<'a>(Stamp, #[serde(borrow)] Vec<(&'a RawValue, &'a RawValue)>);

struct Register {
    writer: Arc<Transaction>,
    value: Box<str>,
}

struct Transaction {
    stamp: Stamp,
    position: u64,
    /// What is sent to other nodes: [`Writes`].
    entry: Box<RawValue>,
}

/// All registers, and those transactions that a register has its value from, in the order in which they came.
#[derive(Default)]
struct Registers {
    registers: BTreeMap<String, Register>,
    transactions: BTreeMap<u64, Arc<Transaction>>,
    end: u64,
    count: u64,
}

impl Registers {
    fn value(&self, key: &str) -> &str {
        self.registers
            .get(key)
            .map_or("null", |register| &register.value)
    }

    /// Takes in what a transaction wrote, unless it is here already, and gives its position; none if all of it has been
    /// overwritten. Fails when these are no writes, or the memory for registers is full.
    fn add(&mut self, entry: &RawValue) -> Result<Option<u64>, Error> {
        let bytes = entry.get().len();
        at_most("the writes have", bytes, GOSSIP_BYTES_MAX, "bytes")?;
        let Writes(stamp, writes) = parse(entry, "the writes of a transaction")?;
        if stamp.0 > COUNT_MAX {
            let text = "the stamp is too high; nothing was written";
            return Err(Error::malformed(text));
        }
        let mut values = BTreeMap::new();
        for (key, value) in writes {
            values.insert(canonical(key)?, value);
        }
        let is_new = |key: &&String| !self.registers.contains_key(*key);
        if self.registers.len() + values.keys().filter(is_new).count() > REGISTERS_MAX {
            let text = "this node's memory for registers is full; nothing was written";
            return Err(Error::unavailable(text));
        }
        self.count = self.count.max(stamp.0);
        let last_writer = |key: &String| self.registers.get(key).map(|register| &register.writer);
        let mut writers = values.keys().filter_map(last_writer);
        if let Some(writer) = writers.find(|writer| writer.stamp == stamp) {
            return Ok(Some(writer.position));
        }
        values.retain(|key, _| last_writer(key).is_none_or(|writer| writer.stamp < stamp));
        if values.is_empty() {
            return Ok(None);
        }
        let position = self.end;
        self.end += 1;
        let writer = Arc::new(Transaction {
            stamp,
            position,
            entry: entry.to_owned(),
        });
        self.transactions.insert(position, writer.clone());
        for (key, value) in values {
            let (writer, value) = (writer.clone(), value.get().into());
            let old = self.registers.insert(key, Register { writer, value });
            // Only `old` and the list of transactions still hold it.
            if let Some(Register { writer, .. }) = old
                && Arc::strong_count(&writer) == 2
            {
                self.transactions.remove(&writer.position);
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
        for entry in parse::<Vec<&RawValue>>(entries, "a list")? {
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

    fn transact(&mut self, request: &Received<'_>, outbox: &mut Outbox) -> Result<(), Error> {
        let operations = required(request.body.fields.txn.as_ref(), "txn")?;
        let registers = &self.gossip.replica;
        let mut written: BTreeMap<String, &RawValue> = BTreeMap::new();
        let answer = execute(operations, "w", |key, value| match value {
            Some(value) => {
                written.insert(key, value);
                value.get()
            }
            None => match written.get(&key) {
                Some(own) => own.get(),
                None => registers.value(&key),
            },
        })?;
        if !written.is_empty() {
            let stamp = (registers.count + 1, &self.node, self.gossip.incarnation());
            let writes = written.iter().map(|(key, value)| (Raw(key), *value));
            let entry = to_raw_value(&(stamp, Array(writes)));
            self.gossip.replica.add(&entry)?;
        }
        outbox.reply(request, "txn_ok").field("txn", Raw(&answer));
        Ok(())
    }
}

/// What the messages of a transaction hold.
#[derive(Default, Deserialize)]
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

    fn request(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        if request.body.kind == "txn" {
            return self.transact(request, context.outbox);
        }
        let fields = &request.body.fields;
        self.gossip
            .on_message(request, fields.gossip, fields.entries, context)?;
        Ok(())
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let fields = &reply.body.fields;
        // Nobody is told what is wrong with a reply.
        let _ = self
            .gossip
            .on_message(reply, fields.gossip, fields.entries, context);
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
