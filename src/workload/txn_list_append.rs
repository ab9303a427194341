//! Transactions of reads and appends to lists, one after the other, as if on one machine: strict serializable.
//!
//! `txn{[["r", k, null], ["append", k, v], …]} → txn_ok{…}`. Keys and elements are any JSON. A transaction is an entry of
//! one [log](super::log) in `lin-kv`, and what it reads is what the entries before it have appended: every node replays
//! the log, and so comes to the same (Schneider, "Implementing fault-tolerant services using the state machine
//! approach", 1990). The log gives the one order, and the order agrees with time, because an entry is appended to what
//! `lin-kv` holds at a moment between request and answer. Nothing ever conflicts, so no transaction is given up for
//! another, and none is lost with its node.
//!
//! # Cost
//!
//! A round trip to the store, shared by all transactions that waited meanwhile; two more when another node was faster,
//! whose entries have to be read anyway.
//!
//! # Limits
//!
//! The appends of a transaction have at most [`ENTRY_BYTES_MAX`] bytes. All nodes append to one log, so they share the
//! pace of one register. Nothing is ever thrown away: a node holds all lists, the store the whole log, and who starts
//! replays it from its beginning.

use alloc::{
    borrow::Cow, borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, vec::Vec,
};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::canonical;
use super::log::{ENTRY_BYTES_MAX, Logs, Progress};
use super::transaction::{Done, Operations, Step, steps};
use crate::kv::Service;
use crate::node::{Outbox, Random, Workload};
use crate::protocol::{Encode, Error, ErrorCode, Message, Name, present};

/// The name of the log.
const LOG: &str = "all";

/// The limits of a node.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most transactions that wait at once; one more is refused with error 11.
    pub pending_max: usize,
    /// How long the store may take before it is asked again. It grows on repeats.
    pub rpc_timeout: Duration,
    /// By then a transaction is answered: with error 11 if it has certainly not happened, else with error 0.
    pub op_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            pending_max: 10_000,
            rpc_timeout: Duration::from_secs(1),
            op_timeout: Duration::from_millis(4500),
        }
    }
}

/// One client's transaction, until it is answered.
struct Rider {
    client: Name,
    msg_id: Option<i64>,
    deadline: Duration,
    txn: Box<RawValue>,
}

/// The lists as one node has replayed them.
pub struct TxnListAppend {
    options: Options,
    logs: Logs,
    log: usize,
    /// By the order in which they came, which is also that of their deadlines.
    riders: BTreeMap<u64, Rider>,
    last_rider: u64,
    /// Who waits for the replay to come to an offset.
    appended: BTreeMap<u64, u64>,
    /// All entries before this offset have been replayed.
    replayed: u64,
    /// Each list without its brackets, by its key as it is compared.
    lists: BTreeMap<String, String>,
}

impl TxnListAppend {
    /// A node that has replayed nothing. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(options: Options, seed: u64) -> Self {
        let service = Service::new("lin-kv");
        let mut random = Random::new(seed);
        let mut logs = Logs::new("txn-list-append", service, options.rpc_timeout, &mut random);
        TxnListAppend {
            log: logs.open(LOG).expect("there is room for one log"),
            logs,
            options,
            riders: BTreeMap::new(),
            last_rider: 0,
            appended: BTreeMap::new(),
            replayed: 0,
            lists: BTreeMap::new(),
        }
    }

    fn append(&mut self, key: String, element: &str) {
        let list = self.lists.entry(key).or_default();
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(element);
    }

    /// Replays what is at hand, and asks for what is missing before what somebody waits for.
    fn replay(&mut self, now: Duration, outbox: &mut Outbox) {
        while let Some((last, _)) = self.appended.last_key_value()
            && self.replayed <= *last
        {
            let mut entries = self.logs.entries_from(LOG, self.replayed);
            let Some(entry) = entries.next().map(|(_, entry)| String::from(entry)) else {
                drop(entries);
                // It is in the store, so no copy that lacks it is new enough.
                let since = Duration::MAX;
                self.logs
                    .look((self.log, self.replayed), since, now, outbox);
                return;
            };
            drop(entries);
            let rider = self.appended.remove(&self.replayed);
            self.replayed += 1;
            match rider.and_then(|rider| self.riders.remove(&rider)) {
                Some(rider) => self.answer(&rider, outbox),
                None => self.replay_entry(&entry),
            }
        }
    }

    /// What stands in the log has been looked at by the node that appended it. What hasn't changes nothing, anywhere.
    fn replay_entry(&mut self, entry: &str) {
        let Ok(appends) = serde_json::from_str::<Vec<(&RawValue, &RawValue)>>(entry) else {
            return;
        };
        for (key, element) in appends {
            if let Ok(key) = canonical(key) {
                self.append(key, element.get());
            }
        }
    }

    /// Does the transaction of a rider, whose place in the log has come.
    fn answer(&mut self, rider: &Rider, outbox: &mut Outbox) {
        let operations: Operations =
            serde_json::from_str(rider.txn.get()).expect("it has been read before");
        let steps = steps(&operations, "append").expect("they have been looked at before");
        let values: Vec<Cow<str>> = steps
            .into_iter()
            .map(|step| match step {
                Step::Read { key } => match self.lists.get(&key) {
                    Some(list) => Cow::Owned(alloc::format!("[{list}]")),
                    None => Cow::Borrowed("null"),
                },
                Step::Change { key, value } => {
                    self.append(key, value.get());
                    Cow::Borrowed(value.get())
                }
            })
            .collect();
        let values: Vec<&str> = values.iter().map(|value| &**value).collect();
        let done = Done {
            operations: &operations,
            values: &values,
        };
        outbox
            .reply(&rider.client, rider.msg_id, "txn_ok")
            .field("txn", done);
    }

    fn advance(&mut self, now: Duration, outbox: &mut Outbox) {
        while let Some(progress) = self.logs.progress() {
            match progress {
                Progress::Known { .. } => {}
                Progress::Appended { rider, offset } => drop(self.appended.insert(offset, rider)),
                Progress::Foreign { rider } => {
                    if let Some(Rider { client, msg_id, .. }) = self.riders.remove(&rider) {
                        let text = "the store holds something that this node would not have written; who else writes there?";
                        let error = Error::new(ErrorCode::TIMEOUT, text);
                        outbox.error(&client, msg_id, &error);
                    }
                }
            }
        }
        self.replay(now, outbox);
    }

    /// Answers a rider whose time is up as truly as it can be.
    fn give_up(&mut self, rider: u64, why: &str, outbox: &mut Outbox) {
        let Rider { client, msg_id, .. } = self.riders.remove(&rider).expect("it waits");
        let error = match self.logs.withdraw(self.log, rider) {
            true => Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, String::from(why)),
            false => {
                let text = alloc::format!("{why}; the transaction may still happen, once");
                Error::new(ErrorCode::TIMEOUT, text)
            }
        };
        outbox.error(&client, msg_id, &error);
    }
}

const LATE: &str = "no answer from the store in time";
const ENDED: &str = "the node's input has ended, so no answer from the store can come";

/// The appends of a transaction as they stand in the log: `[[key, element], …]`.
fn entry(operations: &Operations<'_>) -> Result<Box<RawValue>, Error> {
    let appends = operations
        .iter()
        .filter(|(function, ..)| function.0 == "append");
    let mut entry = Vec::new();
    entry.push(b'[');
    for (index, (_, key, element)) in appends.enumerate() {
        if index > 0 {
            entry.push(b',');
        }
        [*key, *element].encode(&mut entry);
    }
    entry.push(b']');
    if entry.len() > ENTRY_BYTES_MAX {
        let text = alloc::format!("the appends have more than {ENTRY_BYTES_MAX} bytes");
        return Err(Error::new(ErrorCode::MALFORMED_REQUEST, text));
    }
    let entry = String::from_utf8(entry).expect("made of strings");
    Ok(RawValue::from_string(entry).expect("made of JSON"))
}

/// What the messages of a transaction and the store's answers hold.
#[derive(Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow)]
    txn: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
}

impl Workload for TxnListAppend {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.logs.init(node_id, node_ids);
    }

    fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let Message { src, body, .. } = request;
        if body.kind != "txn" {
            return Err(Error::not_supported(&body.kind));
        }
        let txn = body.fields.txn.ok_or_else(|| Error::missing("txn"))?;
        let operations: Operations = serde_json::from_str(txn.get()).map_err(|error| {
            Error::new(ErrorCode::MALFORMED_REQUEST, alloc::format!("txn: {error}"))
        })?;
        steps(&operations, "append")?;
        let entry = entry(&operations)?;
        if self.riders.len() >= self.options.pending_max {
            let text = "too many transactions wait already; nothing was done";
            return Err(Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text));
        }
        self.last_rider += 1;
        self.riders.insert(
            self.last_rider,
            Rider {
                client: (&**src).into(),
                msg_id: body.msg_id,
                deadline: now + self.options.op_timeout,
                txn: txn.to_owned(),
            },
        );
        self.logs
            .append(self.log, (self.last_rider, &entry), now, outbox);
        Ok(())
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        self.logs.reply(reply, reply.body.fields.value, now, outbox);
        self.advance(now, outbox);
    }

    fn deadline(&self) -> Option<Duration> {
        let first = self.riders.first_key_value();
        let first = first.map(|(_, rider)| rider.deadline);
        first.into_iter().chain(self.logs.deadline()).min()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        while let Some((rider, Rider { deadline, .. })) = self.riders.first_key_value()
            && *deadline <= now
        {
            self.give_up(*rider, LATE, outbox);
        }
        self.logs.wake(now, outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        while let Some((rider, _)) = self.riders.first_key_value() {
            self.give_up(*rider, ENDED, outbox);
        }
    }
}
