//! A log per key, in the manner of Kafka, that survives its nodes.
//!
//! `send{key, msg} → send_ok{offset}`, `poll{offsets} → poll_ok{msgs}`, `commit_offsets{offsets} → commit_offsets_ok`,
//! `list_committed_offsets{keys} → list_committed_offsets_ok{offsets}`. Any node serves any key. All that is
//! acknowledged is in `lin-kv`: the [logs](super::log) in chunks, the committed offsets in a register for each node,
//! since the highest of them is what counts. So a killed node loses nothing but answers, and a partition between nodes
//! changes nothing.
//!
//! - A send is acknowledged when it is in the store, and it is there once. Offsets have no gaps.
//! - A poll gives what comes next at each offset asked for, without holes, up to [`POLL_ENTRIES_MAX`] a key and about
//!   [`POLL_BYTES_MAX`] in all. It holds everything that was acknowledged [`Options::staleness`] before it, and what
//!   was sent through the same node at once.
//! - Committed offsets never go back. One that was acknowledged is listed by everyone after [`Options::staleness`].
//!
//! # Cost
//!
//! A send is one message to the store and one back, shared with all sends of that key that waited meanwhile; two more
//! pairs when another node appended to the same key. A poll costs nothing where there is something at hand, else one
//! read for each key, at most one in [`Options::staleness`] however many poll. A commit is a pair, shared with all
//! commits that waited, and nothing if the offsets are committed already.
//!
//! # Limits
//!
//! An entry has at most [`ENTRY_BYTES_MAX`](log::ENTRY_BYTES_MAX) bytes, a key [`KEY_BYTES_MAX`], a request
//! [`KEYS_MAX`] keys. A poll may name more, and is answered for [`POLL_KEYS`] of them, others each time; and where it
//! would have more logs looked up at once than a node keeps, it leaves some out. Nodes that send to the same key at the
//! same time get in each other's way: it costs messages, not answers. The register of committed offsets is sent whole,
//! which is why it holds at most [`COMMITTED_KEYS_MAX`] keys.

mod commits;
mod polls;
mod request;

use alloc::{borrow::Cow, collections::BTreeMap, collections::BTreeSet, string::String};
use core::time::Duration;

use super::log::{self, CHUNK_ENTRIES, Logs};
use crate::kv::Service;
use crate::node::{Outbox, Random, Workload};
use crate::protocol::{Error, ErrorCode, Message};

use commits::{Commits, Offsets};
use request::{Rider, Want};

pub use commits::COMMITTED_KEYS_MAX;
pub use request::Fields;

/// A poll gives at most so many entries of a key: 256.
pub const POLL_ENTRIES_MAX: usize = 256;

/// A poll gives no more entries once it has so many bytes: 256 KiB.
pub const POLL_BYTES_MAX: usize = 256 << 10;

/// A request is about at most so many keys: 1024. Clients that start a new log after every 16 messages, as Maelstrom's
/// do, and in the end poll all of them, name 650 after 20 s at 1000 operations a second, and 1900 after a minute.
pub const KEYS_MAX: usize = log::LOGS_MAX;

/// A poll of more keys than [`KEYS_MAX`] is answered for so many: 256, so that several such polls can be under way.
pub const POLL_KEYS: usize = KEYS_MAX / 4;

/// A key has at most so many bytes: 128.
pub const KEY_BYTES_MAX: usize = 128;

/// How the logs are kept, and their limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// How old what a poll or a list shows may be.
    pub staleness: Duration,
    /// The most operations that wait at once; one more is refused with error 11.
    pub pending_max: usize,
    /// How long the store may take before it is asked again. It grows on repeats.
    pub rpc_timeout: Duration,
    /// By then an operation is answered: with error 11 if it has certainly not happened, else with error 0.
    pub op_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            staleness: Duration::from_millis(100),
            pending_max: 10_000,
            rpc_timeout: Duration::from_secs(1),
            op_timeout: Duration::from_millis(4500),
        }
    }
}

/// The Kafka-style log.
pub struct Kafka {
    options: Options,
    logs: Logs,
    commits: Commits,
    /// By the order in which they came, which is also that of their deadlines.
    riders: BTreeMap<u64, Rider>,
    last_rider: u64,
    /// Which polls wait for which chunk: log, chunk, rider, and which of its keys.
    polls: BTreeSet<(usize, u64, u64, usize)>,
    lists: BTreeSet<u64>,
    random: Random,
}

impl Kafka {
    /// A node of the log. The seed has to be another at each start of a node: see [`Random`].
    pub fn new(options: Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let service = Service::new("lin-kv");
        Kafka {
            logs: Logs::new("kafka", service.clone(), options.rpc_timeout, &mut random),
            commits: Commits::new(service, options.rpc_timeout, &mut random),
            options,
            riders: BTreeMap::new(),
            last_rider: 0,
            polls: BTreeSet::new(),
            lists: BTreeSet::new(),
            random,
        }
    }

    fn open(&mut self, key: &str) -> Result<usize, Error> {
        let log = self.logs.open(key);
        log.ok_or_else(|| Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, FULL))
    }

    /// Starts what a rider wants, and answers it if that is all.
    fn start(
        &mut self,
        rider: u64,
        body: &Fields<'_>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let Rider { want, .. } = self.riders.get_mut(&rider).expect("it has just boarded");
        match want {
            Want::Send { key } => {
                let entry = body.msg.expect("a send without a msg is refused");
                let key = key.clone();
                let log = self.open(&key)?;
                self.logs.append(log, (rider, entry), now, outbox);
            }
            Want::Commit => {
                let offsets = body.offsets.iter().flatten();
                let offsets = offsets.map(|(key, offset)| (&**key, *offset));
                self.commits.commit(rider, offsets, now, outbox);
            }
            Want::List { .. } => {
                self.lists.insert(rider);
                self.list(rider, now, outbox);
            }
            Want::Poll { .. } => self.poll(rider, now, outbox)?,
        }
        Ok(())
    }

    fn list(&mut self, rider: u64, now: Duration, outbox: &mut Outbox) {
        let Rider {
            client,
            msg_id,
            want,
            ..
        } = &self.riders[&rider];
        let Want::List { keys, since } = want else {
            unreachable!("only lists are among the lists");
        };
        let keys = keys.iter().map(String::as_str);
        if let Some(offsets) = self.commits.list(keys, *since, now, outbox) {
            outbox
                .reply(client, *msg_id, "list_committed_offsets_ok")
                .field("offsets", Offsets(&offsets));
            self.lists.remove(&rider);
            self.riders.remove(&rider);
        }
    }

    fn fail(&mut self, rider: u64, error: &Error, outbox: &mut Outbox) {
        let Some(Rider {
            client,
            msg_id,
            want,
            ..
        }) = self.riders.remove(&rider)
        else {
            return;
        };
        outbox.error(&client, msg_id, error);
        self.lists.remove(&rider);
        if let Want::Poll { offsets, .. } = want {
            for (index, (key, offset)) in offsets.iter().enumerate() {
                if let Some(log) = self.logs.find(key) {
                    let chunk = offset / CHUNK_ENTRIES;
                    self.polls.remove(&(log, chunk, rider, index));
                }
            }
        }
    }

    /// Answers a rider whose time is up as truly as it can be.
    fn give_up(&mut self, rider: u64, why: &str, outbox: &mut Outbox) {
        let may_have_happened = match &self.riders[&rider].want {
            Want::Send { key } => {
                let log = self.logs.find(key);
                !log.is_some_and(|log| self.logs.withdraw(log, rider))
            }
            Want::Commit => !self.commits.withdraw(rider),
            Want::Poll { .. } | Want::List { .. } => false,
        };
        let error = match may_have_happened {
            true => {
                let text = alloc::format!("{why}; it may still happen, once");
                Error::new(ErrorCode::TIMEOUT, text)
            }
            false => Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, String::from(why)),
        };
        self.fail(rider, &error, outbox);
    }

    /// Answers those for whom something has happened.
    fn advance(&mut self, now: Duration, outbox: &mut Outbox) {
        loop {
            if let Some(progress) = self.logs.progress() {
                match progress {
                    log::Progress::Known { log, chunk } => self.known(log, chunk, now, outbox),
                    log::Progress::Foreign { rider } => self.fail(rider, &foreign(), outbox),
                    log::Progress::Appended { rider, offset } => {
                        if let Some(Rider { client, msg_id, .. }) = self.riders.remove(&rider) {
                            outbox
                                .reply(&client, msg_id, "send_ok")
                                .field("offset", offset);
                        }
                    }
                }
            } else if let Some(progress) = self.commits.progress() {
                match progress {
                    commits::Progress::Known => {
                        for rider in self.lists.clone() {
                            self.list(rider, now, outbox);
                        }
                    }
                    commits::Progress::Foreign { rider } => self.fail(rider, &foreign(), outbox),
                    commits::Progress::Refused { rider } => {
                        let text = alloc::format!(
                            "{COMMITTED_KEYS_MAX} keys have committed offsets here already"
                        );
                        let error = Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, text);
                        self.fail(rider, &error, outbox);
                    }
                    commits::Progress::Committed { rider } => {
                        if let Some(Rider { client, msg_id, .. }) = self.riders.remove(&rider) {
                            outbox.reply(&client, msg_id, "commit_offsets_ok");
                        }
                    }
                }
            } else {
                return;
            }
        }
    }
}

const FULL: &str = "too much is under way already; nothing was done";
const LATE: &str = "no answer from the store in time";
const ENDED: &str = "the node's input has ended, so no answer from the store can come";

fn foreign() -> Error {
    Error::new(
        ErrorCode::TIMEOUT,
        "the store holds something that this node would not have written; who else writes there?",
    )
}

impl Workload for Kafka {
    type Fields<'a> = Fields<'a>;

    fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.logs.init(node_id, node_ids);
        self.commits.init(node_id, node_ids);
    }

    fn request(
        &mut self,
        request: &Message<'_, Fields<'_>>,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let Message { src, body, .. } = request;
        let since = now.saturating_sub(self.options.staleness);
        let mut want = Want::of(&body.kind, &body.fields, since)?;
        if let Want::Poll { offsets, .. } = &mut want {
            self.choose(offsets);
        }
        if self.riders.len() >= self.options.pending_max || self.logs.room() < KEYS_MAX {
            return Err(Error::new(ErrorCode::TEMPORARILY_UNAVAILABLE, FULL));
        }
        self.last_rider += 1;
        let rider = self.last_rider;
        self.riders.insert(
            rider,
            Rider {
                client: (&**src).into(),
                msg_id: body.msg_id,
                deadline: now + self.options.op_timeout,
                want,
            },
        );
        if let Err(error) = self.start(rider, &body.fields, now, outbox) {
            self.fail(rider, &error, outbox);
        }
        self.advance(now, outbox);
        Ok(())
    }

    fn reply(&mut self, reply: &Message<'_, Fields<'_>>, now: Duration, outbox: &mut Outbox) {
        let value = reply.body.fields.value;
        self.logs.reply(reply, value, now, outbox);
        self.commits.reply(reply, value, now, outbox);
        self.advance(now, outbox);
    }

    fn deadline(&self) -> Option<Duration> {
        let first = self.riders.first_key_value();
        let deadlines = [
            first.map(|(_, rider)| rider.deadline),
            self.logs.deadline(),
            self.commits.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        while let Some((rider, Rider { deadline, .. })) = self.riders.first_key_value()
            && *deadline <= now
        {
            self.give_up(*rider, LATE, outbox);
        }
        self.logs.wake(now, outbox);
        self.commits.wake(now, outbox);
        self.advance(now, outbox);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        while let Some((rider, _)) = self.riders.first_key_value() {
            self.give_up(*rider, ENDED, outbox);
        }
    }
}
