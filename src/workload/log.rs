//! Logs in `lin-kv`: what was appended stays, at an offset that all nodes agree on, whichever of them die.
//!
//! A log is cut into [chunks](CHUNK_ENTRIES), each a register of its own, `PREFIX/NAME/0`, `PREFIX/NAME/1` and so on, so
//! that messages to the store don't grow with the log. Appends go to the last chunk until it is full, then to a new one.
//! So offsets have no gaps, the chunk of an offset is known without asking, and a full chunk is never read again.
//!
//! An append is a change of the last chunk, and takes effect once or never ([`kv`](crate::kv)). A node has at most one
//! append to a log in flight; entries that arrive meanwhile are combined into the next one. Alone, an append is one round
//! trip. When another node was faster it is three: refused, read, sent again.
//!
//! **Fairness.** After each append a node leaves the log alone for a random time, up to a round trip. Without that one
//! node could keep all others out (see [contention](crate::kv#contention)).
//!
//! A node that doesn't know a log yet finds its end by reading chunks further and further on, then in between. The number
//! of reads grows with the logarithm of the log's length.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::{mem, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use slab::Slab;

use crate::kv::{Outcome, Queue, Register, RegisterId, Registers};
use crate::node::{Context, GivenUp, ID_BITS, Limits, Random, Requests, earliest};
use crate::protocol::{Encode, Json, Message, Name};

/// The most entries under one key of the store: 64. The entry at an offset is in the chunk with number `offset / 64`.
pub const CHUNK_ENTRIES: u64 = 64;

/// The most bytes of an entry: 8 KiB, so that no chunk is longer than a line may be.
pub const ENTRY_BYTES_MAX: usize = 8 << 10;

/// The most logs that a node knows at once: 1024. For another one it forgets one that is not in use.
pub const LOGS_MAX: usize = 1024;

/// The most chunks of a log that a node keeps, unless more are being read: 64.
pub const CHUNKS_KEPT_MAX: usize = 64;

/// The longest fairness backoff, however long a round trip takes.
const BACKOFF_MAX: Duration = Duration::from_millis(100);

/// `{"entries": ["a", 7], "last_applied": {"n0": 5120}}`: a part of a log, which grows until it is full and never
/// changes again, and for each node that appended to it the id of its last append.
///
/// The id of an append is never used again, not even by a later incarnation of the node, so it shows that the append was
/// applied. Every append makes the number of entries higher, which is therefore the version.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Chunk {
    entries: Vec<Arc<RawValue>>,
    last_applied: BTreeMap<String, i64>,
    /// The node whose append leads to this value, in one that this node is to write. It is not stored.
    #[serde(skip)]
    writer: String,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.version() == CHUNK_ENTRIES
    }
}

impl Register for Chunk {
    const VERSION_MAX: u64 = CHUNK_ENTRIES;

    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        *self = serde_json::from_str(json)?;
        Ok(())
    }

    fn version(&self) -> u64 {
        self.entries.len() as u64
    }

    fn shows(&self, wanted: &Self) -> bool {
        let last_of_writer = |chunk: &Self| chunk.last_applied.get(&wanted.writer).copied();
        last_of_writer(self) == last_of_writer(wanted)
    }
}

impl Encode for Chunk {
    fn encode(&self, out: &mut Vec<u8>) {
        Json(self).encode(out);
    }
}

/// One chunk of one log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) log: usize,
    chunk: u64,
}

impl Place {
    /// Where the entry at an offset is.
    pub(super) fn of(log: usize, offset: u64) -> Self {
        Place {
            log,
            chunk: offset / CHUNK_ENTRIES,
        }
    }
}

/// The requests whose entries were appended, each behind its offset, or the reason why the chunk can't be read: it holds an
/// unexpected value.
pub(super) type Appended = Result<Vec<(u64, i64)>, String>;

/// What a node knows of a log.
#[derive(Default)]
struct Log {
    name: String,
    /// The chunks that are kept, by their numbers.
    chunks: BTreeMap<u64, RegisterId>,
    /// All chunks before this one are full.
    low: u64,
    /// This chunk was not there when it was read.
    high: Option<u64>,
    /// Where the search for the end began.
    start: u64,
    /// The entries to be appended.
    queue: Queue<Arc<RawValue>>,
    /// The offset of the first entry in flight.
    offset: u64,
    /// When the fairness backoff ends.
    resumes_at: Duration,
}

/// The logs of one node.
pub(super) struct Logs {
    /// How their keys in the store begin.
    prefix: &'static str,
    node: String,
    /// Whether other nodes append, too.
    has_rivals: bool,
    registers: Registers<Chunk, Place>,
    last_append_id: i64,
    random: Random,
    logs: Slab<Log>,
    by_name: BTreeMap<String, usize>,
    /// Where the search for a log to forget begins.
    next_forgotten: usize,
    /// The logs to be appended to when their backoff ends.
    backing_off: BTreeSet<(Duration, usize)>,
}

impl Logs {
    pub(super) fn new(prefix: &'static str, limits: &Limits, random: &mut Random) -> Self {
        Logs {
            prefix,
            node: String::new(),
            has_rivals: false,
            registers: Registers::new("lin-kv", limits, random),
            last_append_id: random.sequence_start(ID_BITS) as i64,
            random: Random::new(random.next_u64()),
            logs: Slab::new(),
            by_name: BTreeMap::new(),
            next_forgotten: 0,
            backing_off: BTreeSet::new(),
        }
    }

    pub(super) fn init(&mut self, node_id: &str, peers: &[Name]) {
        self.node = node_id.into();
        self.has_rivals = !peers.is_empty();
    }

    /// How many more chunks can be read. The operations that appends may need, two for each log, are kept back.
    pub(super) fn capacity_left(&self) -> usize {
        self.registers.capacity_left().saturating_sub(2 * LOGS_MAX)
    }

    /// The log with this name; `None` if as many as can be known are in use.
    pub(super) fn open(&mut self, name: &str) -> Option<usize> {
        if let Some(log) = self.find(name) {
            return Some(log);
        }
        if self.logs.len() >= LOGS_MAX {
            // One after the other, so the oldest: the newest are most likely in use.
            let mut logs = (self.next_forgotten..LOGS_MAX).chain(0..self.next_forgotten);
            let idle = logs.find(|log| {
                let Log { queue, chunks, .. } = &self.logs[*log];
                let is_idle = |register: &RegisterId| self.registers.is_idle(*register);
                queue.is_empty() && chunks.values().all(is_idle)
            })?;
            self.next_forgotten = (idle + 1) % LOGS_MAX;
            let Log { name, chunks, .. } = self.logs.remove(idle);
            self.by_name.remove(&name);
            for register in chunks.into_values() {
                self.registers.close(register);
            }
        }
        let log = self.logs.insert(Log {
            name: name.into(),
            ..Log::default()
        });
        self.by_name.insert(name.into(), log);
        Some(log)
    }

    /// The log with this name, if the node knows it.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Appends the entry of a request. [`on_reply`](Self::on_reply) says when that has ended.
    pub(super) fn append(
        &mut self,
        log: usize,
        request: i64,
        entry: Arc<RawValue>,
        context: &mut Context<'_>,
    ) {
        self.logs[log].queue.push(request, entry);
        self.advance(log, context);
    }

    /// Gives an append up. If its entry has not been sent yet, it never will be.
    pub(super) fn withdraw(&mut self, log: usize, request: i64) -> GivenUp {
        self.logs[log].queue.withdraw(request)
    }

    /// Whether it is known what a reader at `offset` gets: there is an entry, or there was none at a time since `since`.
    /// If not, the chunk is read, for which there must be [capacity](Self::capacity_left).
    pub(super) fn read(
        &mut self,
        (log, offset): (usize, u64),
        since: Duration,
        context: &mut Context<'_>,
    ) -> bool {
        let register = self.register(Place::of(log, offset));
        let known = self.registers.known(register);
        let is_new = self.registers.known_at(register) >= since;
        let is_known =
            known.is_some_and(|chunk| is_new || chunk.version() > offset % CHUNK_ENTRIES);
        if !is_known {
            self.registers.read(register, context);
        }
        is_known
    }

    /// The entries from an offset on, each with its offset, up to the first one that is not known.
    pub(super) fn entries(
        &self,
        log: usize,
        offset: u64,
    ) -> impl Iterator<Item = (u64, &Arc<RawValue>)> + Clone {
        let chunks = &self.logs[log].chunks;
        let (mut first, mut is_full) = ((offset % CHUNK_ENTRIES) as usize, true);
        let known = (offset / CHUNK_ENTRIES..).map_while(move |number| {
            // The copy of a chunk may be older than that of the next one, and not full.
            let register = chunks.get(&number).filter(|_| is_full)?;
            let chunk = self.registers.known(*register)?;
            is_full = chunk.is_full();
            chunk.entries.get(mem::take(&mut first)..)
        });
        (offset..).zip(known.flatten())
    }

    /// The register of a chunk. If too many are kept, others that are idle are forgotten.
    fn register(&mut self, place: Place) -> RegisterId {
        let log = &mut self.logs[place.log];
        if let Some(register) = log.chunks.get(&place.chunk) {
            return *register;
        }
        if log.chunks.len() >= CHUNKS_KEPT_MAX {
            let registers = &mut self.registers;
            log.chunks.retain(|chunk, register| {
                let is_kept = *chunk == log.low || !registers.is_idle(*register);
                if !is_kept {
                    registers.close(*register);
                }
                is_kept
            });
        }
        let key = alloc::format!("{}/{}/{}", self.prefix, log.name, place.chunk);
        let register = self.registers.open(&key, place);
        log.chunks.insert(place.chunk, register);
        register
    }

    /// The last chunk and the number of its entries, if they are known; else the end is searched for.
    fn end(&mut self, index: usize, context: &mut Context<'_>) -> Option<(RegisterId, u64)> {
        loop {
            let Log {
                low, high, start, ..
            } = self.logs[index];
            // 0, 1, 3, 7 and so on behind the start, until one is not there.
            let further = low + (low - start).saturating_sub(1);
            let chunk = high.map_or(further, |high| low.midpoint(high));
            let register = self.register(Place { log: index, chunk });
            let Some(known) = self.registers.known(register) else {
                self.registers.read(register, context);
                return None;
            };
            let log = &mut self.logs[index];
            if known.is_full() {
                log.low = chunk + 1;
                log.high = high.filter(|high| *high > log.low);
            } else if known.version() > 0 || chunk == low {
                (log.low, log.high, log.start) = (chunk, None, chunk);
                return Some((register, known.version()));
            } else {
                log.high = Some(chunk);
            }
        }
    }

    /// Starts the next append, if there is something to append and none is in flight.
    fn advance(&mut self, index: usize, context: &mut Context<'_>) {
        let log = &self.logs[index];
        if !log.queue.is_ready() {
            return;
        }
        if context.now < log.resumes_at {
            self.backing_off.insert((log.resumes_at, index));
            return;
        }
        let Some((register, entries)) = self.end(index, context) else {
            return;
        };
        let log = &mut self.logs[index];
        log.offset = log.low * CHUNK_ENTRIES + entries;
        self.last_append_id += 1;
        let (node, append_id) = (&self.node, self.last_append_id);
        let append = |chunk: &mut Chunk| {
            let free = (CHUNK_ENTRIES - entries) as usize;
            log.queue.start_batch(free, |_, entry| {
                chunk.entries.push(entry.clone());
                true
            });
            chunk.last_applied.insert(node.clone(), append_id);
            chunk.writer.clone_from(node);
        };
        self.registers.change(register, append, context);
    }

    /// Takes in a reply, if it is one of the store's to a question about these logs; `value` is its field of that name. Gives
    /// the chunk of which more is known. Requests whose entries can't be appended are answered.
    pub(super) fn on_reply<F, T>(
        &mut self,
        reply: &Message<'_, F>,
        value: Option<&RawValue>,
        requests: &mut Requests<T>,
        context: &mut Context<'_>,
    ) -> Option<(Place, Appended)> {
        let done = self.registers.on_reply(reply, value, context)?;
        let log = &mut self.logs[done.name.log];
        let mut appended = Ok(Vec::new());
        match done.outcome {
            Outcome::Read => {}
            Outcome::Applied => {
                if self.has_rivals {
                    let round_trip = self.registers.round_trip().min(BACKOFF_MAX);
                    let backoff = self.random.below(round_trip.as_nanos() as u64 + 1);
                    log.resumes_at = context.now + Duration::from_nanos(backoff);
                }
                let ended = (log.offset..).zip(log.queue.end_batch());
                appended = Ok(ended.map(|(offset, (id, _))| (offset, id)).collect());
            }
            Outcome::Lost => log.queue.return_batch(),
            Outcome::Unexpected => {
                let why = self.registers.unexpected_value(done.register);
                // Nothing can be appended, unless an append to another chunk is in flight.
                let mut chunks = log.chunks.values();
                if !chunks.any(|register| self.registers.is_changing(*register)) {
                    for (id, given_up) in log.queue.withdraw_all() {
                        requests.fail(id, &given_up.error(&why), context.outbox);
                    }
                }
                appended = Err(why);
            }
            Outcome::Refused(_) => unreachable!("no append is sent once"),
        }
        self.advance(done.name.log, context);
        Some((done.name, appended))
    }

    /// When [`wake`](Self::wake) is wanted.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let resumes_at = self.backing_off.first().map(|(resumes_at, _)| *resumes_at);
        earliest([resumes_at, self.registers.deadline()])
    }

    /// Asks the store again where it has not replied in time, and appends where the backoff has ended.
    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        self.registers.wake(context);
        while let Some((resumes_at, log)) = self.backing_off.first().copied()
            && resumes_at <= context.now
        {
            self.backing_off.pop_first();
            // The requests may have been given up, and the log may have been forgotten since.
            if self.logs.contains(log) {
                self.advance(log, context);
            }
        }
    }
}
