//! A log per key, in the manner of Kafka, that survives its nodes.
//!
//! `send{key, msg} → send_ok{offset}`, `poll{offsets} → poll_ok{msgs}`, `commit_offsets{offsets} → commit_offsets_ok`,
//! `list_committed_offsets{keys} → list_committed_offsets_ok{offsets}`. Any node serves any key. Everything that is
//! acknowledged is in `lin-kv`: the [logs](super::log) in chunks, the committed offsets in a register for each node, of
//! which the highest counts. So a node that is killed takes nothing with it but answers, and a partition between nodes
//! changes nothing.
//!
//! - A send is acknowledged when its message is in the store, and it is there once.
//! - A poll gives the messages from each offset on, without gaps, up to [`POLL_ENTRIES_MAX`] a key and about
//!   [`POLL_BYTES_MAX`] in all. It holds everything that was acknowledged [`Options::staleness`] before it, and
//!   everything that the same node has acknowledged.
//! - Committed offsets never go back. One that was acknowledged is listed by every node after [`Options::staleness`].
//!
//! # Cost
//!
//! A send is an append to a [log](super::log). A poll costs nothing where a message is at hand, else one read for each key,
//! at most one in [`Options::staleness`] however many poll. A commit is one message to the store and one back, shared by
//! all commits that waited, and nothing if the offsets are committed already.
//!
//! # Limits
//!
//! A message has at most [`ENTRY_BYTES_MAX`] bytes, a key [`KEY_BYTES_MAX`], a request [`KEYS_MAX`] keys, but for a poll,
//! which is answered for [`POLL_KEYS`] of more. It leaves out keys when more logs would be in use than a node knows at once.

mod commits;
mod polls;

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::log::{Appended, ENTRY_BYTES_MAX, LOGS_MAX, Logs, Place};
use super::{at_most, required};
use crate::node::{Context, GivenUp, Limits, Outbox, Random, Requests, Workload, earliest};
use crate::protocol::{Error, Message, Name, Object, Text, present};

use commits::Commits;
use polls::Poll;

pub use commits::COMMITTED_KEYS_MAX;

/// The most messages of one key in the answer to a poll: 256.
pub const POLL_ENTRIES_MAX: usize = 256;

/// The answer to a poll gets no more messages once it has this many bytes of them: 256 KiB.
pub const POLL_BYTES_MAX: usize = 256 << 10;

/// The most keys of a request: 1024. In their last poll Maelstrom's clients name 650 after 20 s at 1000 operations a
/// second, and 1900 after a minute.
pub const KEYS_MAX: usize = LOGS_MAX;

/// How many keys a poll of more than [`KEYS_MAX`] is answered for: 256, so that several such polls can be under way.
pub const POLL_KEYS: usize = KEYS_MAX / 4;

/// The most bytes of a key: 128.
pub const KEY_BYTES_MAX: usize = 128;

/// How fresh polls and lists are, and the limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The maximum staleness of a poll or list.
    pub staleness: Duration,
    /// What the node allows its clients and its store.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            staleness: Duration::from_millis(100),
            limits: Limits::default(),
        }
    }
}

/// What a client wants.
enum Operation {
    /// To append to this log.
    Send(usize),
    Poll(Poll),
    Commit,
    /// To know the committed offsets of these keys.
    List(BTreeSet<String>),
}

/// The Kafka-style log.
pub struct Kafka {
    staleness: Duration,
    requests: Requests<Operation>,
    logs: Logs,
    commits: Commits,
    /// Which polls wait for which chunk, and from which offset on they read it.
    polls: BTreeSet<(Place, i64, u64)>,
    /// The lists that wait until the committed offsets are known as they were at that time or later.
    lists: BTreeMap<i64, Duration>,
}

impl Kafka {
    /// A node of the log. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(options: Options, seed: u64) -> Self {
        let Options { staleness, limits } = options;
        let mut random = Random::new(seed);
        Kafka {
            staleness,
            requests: Requests::new(&limits, &mut random),
            logs: Logs::new("kafka", &limits, &mut random),
            commits: Commits::new(&limits, &mut random),
            polls: BTreeSet::new(),
            lists: BTreeMap::new(),
        }
    }

    fn send(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        let fields = &request.body.fields;
        let key = required(fields.key.as_ref(), "key")?;
        let message = required(fields.msg, "msg")?;
        at_most("msg has", message.get().len(), ENTRY_BYTES_MAX, "bytes")?;
        check_keys([key].into_iter())?;
        let log = self.logs.open(&key.0).ok_or_else(full)?;
        let operation = Operation::Send(log);
        let id = self.requests.admit(request, operation, context.now)?;
        self.logs
            .append(log, id, message.to_owned().into(), context);
        Ok(())
    }

    /// More is known of a chunk, or why it can't be read.
    fn on_logs(&mut self, place: Place, appended: Appended, context: &mut Context<'_>) {
        for (offset, id) in appended.iter().flatten() {
            if let Some(request) = self.requests.take(*id) {
                let answer = request.answer("send_ok", context.outbox);
                answer.field("offset", *offset);
            }
        }
        match appended {
            Ok(_) => self.on_chunk(place, context),
            Err(why) => self.fail_polls(place, &why, context.outbox),
        }
    }

    fn commit(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        let offsets = request.body.fields.offsets()?;
        at_most("the request has", offsets.len(), KEYS_MAX, "keys")?;
        let offsets = offsets.iter();
        let is_committed =
            |(Text(key), offset): (&Text<'_>, &u64)| self.commits.is_committed(key, *offset);
        if offsets.clone().all(is_committed) {
            context.outbox.reply(request, "commit_offsets_ok");
            return Ok(());
        }
        let operation = Operation::Commit;
        let id = self.requests.admit(request, operation, context.now)?;
        let offsets = offsets.map(|(Text(key), offset)| (String::from(&**key), *offset));
        self.commits.queue.push(id, offsets.collect());
        self.commits.advance(&mut self.requests, context);
        Ok(())
    }

    fn list(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        let keys = required(request.body.fields.keys.as_ref(), "keys")?;
        check_keys(keys.iter())?;
        at_most("the request has", keys.len(), KEYS_MAX, "keys")?;
        let keys = keys.iter().map(|Text(key)| String::from(&**key));
        let operation = Operation::List(keys.collect());
        let id = self.requests.admit(request, operation, context.now)?;
        let since = self.since(context.now);
        self.lists.insert(id, since);
        self.answer_list(id, since, context);
        Ok(())
    }

    /// Answers a list if enough is known.
    fn answer_list(&mut self, id: i64, since: Duration, context: &mut Context<'_>) {
        if self.commits.read(since, context)
            && let Some(request) = self.requests.take(id)
            && let Operation::List(keys) = &request.operation
        {
            self.lists.remove(&id);
            let offsets = keys
                .iter()
                .filter_map(|key| Some((key, self.commits.offset(key)?)));
            let answer = request.answer("list_committed_offsets_ok", context.outbox);
            answer.field("offsets", Object(offsets));
        }
    }

    /// More is known of the committed offsets, or why they can't be read.
    fn on_commits(&mut self, readable: Result<(), String>, context: &mut Context<'_>) {
        for (id, since) in self.lists.clone() {
            match &readable {
                Ok(()) => self.answer_list(id, since, context),
                Err(why) => self.fail(id, &Error::unavailable(why.clone()), context.outbox),
            }
        }
    }

    /// What was true at that time or later is fresh enough for a request that comes now.
    fn since(&self, now: Duration) -> Duration {
        now.saturating_sub(self.staleness)
    }

    /// Gives a request up and answers it with an error, unless it has been answered.
    fn fail(&mut self, id: i64, error: &Error, outbox: &mut Outbox) {
        if let Some(request) = self.requests.take(id) {
            self.withdraw(id, &request.operation);
            request.fail(error, outbox);
        }
    }

    /// Stops working on an operation.
    fn withdraw(&mut self, id: i64, operation: &Operation) -> GivenUp {
        match operation {
            Operation::Send(log) => return self.logs.withdraw(*log, id),
            Operation::Commit => return self.commits.queue.withdraw(id),
            Operation::Poll(poll) => self.forget_poll(id, poll),
            Operation::List(_) => drop(self.lists.remove(&id)),
        }
        GivenUp::NotApplied
    }
}

type Offsets<'a> = BTreeMap<Text<'a>, u64>;

/// What the messages of clients and the store's answers hold.
#[derive(Default, Deserialize)]
pub struct Fields<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    msg: Option<&'a RawValue>,
    #[serde(borrow)]
    offsets: Option<Offsets<'a>>,
    #[serde(borrow)]
    keys: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// The offsets that a poll or a commit must have.
    fn offsets(&self) -> Result<&Offsets<'a>, Error> {
        let offsets = required(self.offsets.as_ref(), "offsets")?;
        check_keys(offsets.keys())?;
        Ok(offsets)
    }
}

/// A message to this node.
type Received<'a> = Message<'a, Fields<'a>>;

/// Checks the length of each key.
fn check_keys<'a>(mut keys: impl Iterator<Item = &'a Text<'a>>) -> Result<(), Error> {
    keys.try_for_each(|Text(key)| at_most("a key has", key.len(), KEY_BYTES_MAX, "bytes"))
}

fn full() -> Error {
    Error::unavailable("too much is under way already; nothing was done")
}

impl Workload for Kafka {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, peers: &[Name]) {
        self.logs.init(node_id, peers);
        self.commits.init(node_id, peers);
    }

    fn request(&mut self, request: &Received<'_>, context: &mut Context<'_>) -> Result<(), Error> {
        match &*request.body.kind {
            "send" => self.send(request, context),
            "poll" => self.poll(request, context),
            "commit_offsets" => self.commit(request, context),
            "list_committed_offsets" => self.list(request, context),
            kind => Err(Error::not_supported(kind)),
        }
    }

    fn reply(&mut self, reply: &Received<'_>, context: &mut Context<'_>) {
        let value = reply.body.fields.value;
        let requests = &mut self.requests;
        if let Some((place, appended)) = self.logs.on_reply(reply, value, requests, context) {
            self.on_logs(place, appended, context);
        } else if let Some(readable) = self.commits.on_reply(reply, value, requests, context) {
            self.on_commits(readable, context);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let commits = self.commits.registers.deadline();
        earliest([self.requests.deadline(), self.logs.deadline(), commits])
    }

    fn give_up(&mut self, now: Duration, why: &str, outbox: &mut Outbox) {
        for (id, request) in self.requests.expired(now) {
            let given_up = self.withdraw(id, &request.operation);
            request.fail(&given_up.error(why), outbox);
        }
    }

    fn wake(&mut self, context: &mut Context<'_>) {
        self.logs.wake(context);
        self.commits.registers.wake(context);
    }
}
