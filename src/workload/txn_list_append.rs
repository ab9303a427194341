//! Transactions of reads and appends to lists, one after the other, as if on one machine: strict serializable.
//!
//! `txn{[["r", k, null], ["append", k, v], …]} → txn_ok{…}`. Keys and elements are any JSON. A transaction is an entry of
//! one [log](super::log) in `lin-kv`, and what it reads is what the entries before it have appended. Every node replays
//! the log, so all nodes agree on the lists (Schneider, "Implementing fault-tolerant services using the state machine
//! approach", 1990). The log's order agrees with time, because an entry is appended to what `lin-kv` holds at a moment
//! between request and answer. Transactions never conflict, so none is aborted, and none is lost with its node.
//!
//! # Cost and limits
//!
//! A transaction is one append, and the entries of a node that was faster have to be read anyway. The appends of a
//! transaction have at most [`ENTRY_BYTES_MAX`] bytes. All nodes append to one log, so together they are as fast as one
//! register. A node holds all lists, the store holds the whole log, and a node that starts replays it from its beginning.

use alloc::{borrow::ToOwned, boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{canonical, parse};
use super::log::{ENTRY_BYTES_MAX, Logs};
use super::transaction::{Operations, execute};
use super::{at_most, required};
use crate::node::{Context, Limits, Outbox, Random, Request, Requests, Workload, earliest};
use crate::protocol::{Array, Error, Message, Name, Raw, present, to_raw_value};

/// The name of the log.
const LOG: &str = "all";

/// The lists as one node has replayed them.
pub struct TxnListAppend {
    /// Each with its transaction.
    requests: Requests<Box<RawValue>>,
    logs: Logs,
    log: usize,
    /// The requests whose entries are in the log and have not been replayed, by their offsets.
    appended: BTreeMap<u64, i64>,
    /// All entries before this offset have been replayed.
    replayed: u64,
    /// Each list without its brackets, by the canonical form of its key.
    lists: BTreeMap<String, String>,
}

impl TxnListAppend {
    /// A node that has replayed nothing. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(limits: Limits, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut logs = Logs::new("txn-list-append", &limits, &mut random);
        TxnListAppend {
            requests: Requests::new(&limits, &mut random),
            log: logs.open(LOG).expect("one log can always be opened"),
            logs,
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

    /// Replays the log up to the last entry that a request waits for, as far as it is known, and reads what is missing.
    fn replay(&mut self, context: &mut Context<'_>) {
        while let Some((last, _)) = self.appended.last_key_value()
            && self.replayed <= *last
        {
            let Some((_, entry)) = self.logs.entries(self.log, self.replayed).next() else {
                // It is in the store, so a copy without it is too old, whenever it was read.
                let since = Duration::MAX;
                self.logs.read((self.log, self.replayed), since, context);
                return;
            };
            let entry = entry.clone();
            let id = self.appended.remove(&self.replayed);
            self.replayed += 1;
            match id.and_then(|id| self.requests.take(id)) {
                Some(request) => self.answer(&request, context.outbox),
                None => self.replay_entry(&entry),
            }
        }
    }

    /// Replays an entry `[[key, element], …]` that no request of this node waits for. Whoever appended it has checked it;
    /// one that is malformed nevertheless changes nothing, on any node.
    fn replay_entry(&mut self, entry: &RawValue) {
        let Ok(appends) = serde_json::from_str::<Vec<(&RawValue, &RawValue)>>(entry.get()) else {
            return;
        };
        for (key, element) in appends {
            if let Ok(key) = canonical(key) {
                self.append(key, element.get());
            }
        }
    }

    /// Does the transaction of a request, whose turn in the log has come.
    fn answer(&mut self, request: &Request<Box<RawValue>>, outbox: &mut Outbox) {
        let operations =
            parse(&request.operation, "a transaction").expect("it has been parsed before");
        let answer = execute(&operations, "append", |key, element| match element {
            Some(element) => {
                self.append(key, element.get());
                element.get().into()
            }
            None => match self.lists.get(&key) {
                Some(list) => alloc::format!("[{list}]"),
                None => "null".into(),
            },
        });
        let answer = answer.expect("it has been checked before");
        let reply = request.answer("txn_ok", outbox);
        reply.field("txn", Raw(&answer));
    }
}

/// What the messages of a transaction and the store's answers hold.
#[derive(Default, Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow)]
    txn: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
}

/// A message to this node.
type Received<'a> = Message<'a, Fields<'a>>;

impl Workload for TxnListAppend {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, peers: &[Name]) {
        self.logs.init(node_id, peers);
    }

    fn request(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        let body = &request.body;
        if body.kind != "txn" {
            return Err(Error::not_supported(&body.kind));
        }
        let txn = required(body.fields.txn, "txn")?;
        let operations: Operations = parse(txn, "a transaction")?;
        let mut appends = Vec::new();
        execute(&operations, "append", |key, element| {
            appends.extend(element.map(|element| (key, element)));
            ""
        })?;
        let appends = appends.iter().map(|(key, element)| (Raw(key), *element));
        let entry = to_raw_value(&Array(appends));
        let bytes = entry.get().len();
        at_most("the appends have", bytes, ENTRY_BYTES_MAX, "bytes")?;
        let id = self.requests.admit(request, txn.to_owned(), context.now)?;
        self.logs.append(self.log, id, entry.into(), context);
        Ok(())
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        let requests = &mut self.requests;
        if let Some((_, Ok(appended))) = self.logs.on_reply(reply, value, requests, context) {
            self.appended.extend(appended);
            self.replay(context);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        earliest([self.requests.deadline(), self.logs.deadline()])
    }

    fn give_up(&mut self, now: Duration, why: &str, outbox: &mut Outbox) {
        for (id, request) in self.requests.expired(now) {
            let given_up = self.logs.withdraw(self.log, id);
            request.fail(&given_up.error(why), outbox);
        }
    }

    fn wake(&mut self, context: &mut Context<'_>) {
        self.logs.wake(context);
    }
}
