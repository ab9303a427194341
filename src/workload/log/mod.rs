//! Logs in a store: what was appended stays, at an offset that everyone agrees on, whoever dies.
//!
//! A log is cut into [chunks](CHUNK_ENTRIES), each a register of its own, `PREFIX/NAME/0`, `PREFIX/NAME/1` and so on, so
//! that no message to the store grows with the log. A chunk grows until it is full, then the next one begins. So
//! offsets have no gaps, where an offset stands is known without asking, and a full chunk never has to be read again.
//!
//! An append is a compare-and-swap of the last chunk, exactly once, whatever is lost, late or doubled ([`Registers`]).
//! What waits is *combined*: a node has at most one append to a log under way, and whatever waits when it returns rides
//! on the next. Alone, an append is one round trip. When another node was faster it is three: refused, read, again;
//! every refusal means that someone got on.
//!
//! Between two appends of its own to one log a node *rests* for a random time, up to a round trip. Without it one node
//! could keep all others out: who was refused needs a round trip from reading the new end to appending behind it, and in
//! just that time the one who refused him has appended again.
//!
//! Who has never seen a log finds its end by asking for chunks further and further on, then in between: a number of
//! reads that grows with the logarithm of its length.

mod chunk;

use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use serde_json::value::RawValue;
use slab::Slab;

use crate::kv::{Event, Register, Registers, Service};
use crate::node::{Outbox, Random};
use crate::protocol::{Message, Name};

use chunk::Chunk;

pub use chunk::CHUNK_ENTRIES;

/// An entry has at most this many bytes, so that no chunk is longer than a line may be: 8 KiB.
pub const ENTRY_BYTES_MAX: usize = 8 << 10;

/// A node keeps copies of so many logs at once, and forgets idle ones: 1024.
pub const LOGS_MAX: usize = 1024;

/// A node keeps so many chunks of a log at hand, unless more are being read: 64.
pub const CHUNKS_KEPT_MAX: usize = 64;

/// However long a round trip takes, nobody rests for longer than this.
const REST_MAX: Duration = Duration::from_millis(100);

/// What has become of the logs.
pub(super) enum Progress {
    /// What was appended as `rider` is at `offset`.
    Appended { rider: u64, offset: u64 },
    /// More is known of a chunk.
    Known { log: usize, chunk: u64 },
    /// The store holds what is no chunk of a log, where this was to be appended. It may have been.
    Foreign { rider: u64 },
}

#[derive(Clone, Copy)]
struct Place {
    log: usize,
    chunk: u64,
}

struct Log {
    name: String,
    /// The chunks at hand, by their numbers.
    chunks: BTreeMap<u64, usize>,
    /// All chunks before this one are full.
    low: u64,
    /// This one was not there when it was looked for.
    high: Option<u64>,
    /// How far behind `low` the end is looked for.
    step: u64,
    /// Entries that wait for the next append, oldest first, each with who waits for it.
    waiting: VecDeque<(u64, Arc<str>)>,
    /// Those that ride on the append under way, and the offset that it gives the first of them.
    riders: Vec<(u64, Arc<str>)>,
    riders_offset: u64,
    /// When the append under way was first sent.
    sent_at: Duration,
    /// The next append is not sent before this.
    rests_until: Duration,
}

/// All logs of a store, as one node sees them.
pub(super) struct Logs {
    /// What the keys in the store begin with.
    prefix: &'static str,
    node: Name,
    /// Whether other nodes append, too.
    has_rivals: bool,
    registers: Registers<Chunk, Place>,
    last_round_id: i64,
    random: Random,
    logs: Slab<Log>,
    names: BTreeMap<String, usize>,
    /// Where the search for a log to forget begins.
    next_forgotten: usize,
    /// Which logs wait until their rest is over.
    resting: BTreeSet<(Duration, usize)>,
    progress: VecDeque<Progress>,
}

impl Logs {
    pub(super) fn new(
        prefix: &'static str,
        service: Service,
        rpc_timeout: Duration,
        random: &mut Random,
    ) -> Self {
        Logs {
            prefix,
            node: Name::default(),
            has_rivals: false,
            registers: Registers::new(service, rpc_timeout, random),
            last_round_id: random.sequence_start(53) as i64,
            random: Random::new(random.next_u64()),
            logs: Slab::new(),
            names: BTreeMap::new(),
            next_forgotten: 0,
            resting: BTreeSet::new(),
            progress: VecDeque::new(),
        }
    }

    pub(super) fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.node = node_id.into();
        self.has_rivals = node_ids.iter().any(|other| other != node_id);
    }

    /// How many more chunks may be looked at. What appends need of requests to the store, two for each log, is kept
    /// back.
    pub(super) fn room(&self) -> usize {
        self.registers.room().saturating_sub(2 * LOGS_MAX)
    }

    /// The log of this name, or none if there are too many in use.
    pub(super) fn open(&mut self, name: &str) -> Option<usize> {
        if let Some(log) = self.find(name) {
            return Some(log);
        }
        if self.logs.len() >= LOGS_MAX {
            // All in turn, so the oldest: the newest are most likely in use.
            let mut turns = (self.next_forgotten..LOGS_MAX).chain(0..self.next_forgotten);
            let idle = turns.find(|log| self.is_idle(&self.logs[*log]))?;
            self.next_forgotten = (idle + 1) % LOGS_MAX;
            let Log { name, chunks, .. } = self.logs.remove(idle);
            self.names.remove(&name);
            chunks.values().for_each(|copy| self.registers.close(*copy));
        }
        let log = self.logs.insert(Log {
            name: name.into(),
            chunks: BTreeMap::new(),
            low: 0,
            high: None,
            step: 0,
            waiting: VecDeque::new(),
            riders: Vec::new(),
            riders_offset: 0,
            sent_at: Duration::ZERO,
            rests_until: Duration::ZERO,
        });
        self.names.insert(name.into(), log);
        Some(log)
    }

    /// The log of this name, if it is open.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    fn is_idle(&self, log: &Log) -> bool {
        let mut copies = log.chunks.values();
        log.waiting.is_empty() && copies.all(|copy| self.registers.is_idle(*copy))
    }

    /// Appends an entry; `rider` is named when it is done.
    pub(super) fn append(
        &mut self,
        log: usize,
        (rider, entry): (u64, &RawValue),
        now: Duration,
        outbox: &mut Outbox,
    ) {
        self.logs[log]
            .waiting
            .push_back((rider, entry.get().into()));
        self.advance(log, now, outbox);
    }

    /// Takes back an entry that is on no message to the store yet. The answer is whether it was so.
    pub(super) fn withdraw(&mut self, log: usize, rider: u64) -> bool {
        let waiting = &mut self.logs[log].waiting;
        let found = waiting.iter().position(|(waiting, _)| *waiting == rider);
        found.and_then(|index| waiting.remove(index)).is_some()
    }

    /// Whether there is an entry at `offset`, as far as is known at a time since `since`; if nothing is, it is found
    /// out. There must be [room](Self::room).
    pub(super) fn look(
        &mut self,
        (log, offset): (usize, u64),
        since: Duration,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Option<bool> {
        let chunk = offset / CHUNK_ENTRIES;
        let copy = self.copy(Place { log, chunk });
        if let Some((known, known_at)) = self.registers.known(copy) {
            let is_there = known.version() > offset % CHUNK_ENTRIES;
            if is_there || known_at >= since {
                return Some(is_there);
            }
        }
        self.registers.read(copy, now, outbox);
        None
    }

    /// The entries of a log from `offset` on that are at hand.
    pub(super) fn entries_from(
        &self,
        name: &str,
        offset: u64,
    ) -> impl Iterator<Item = (u64, &str)> {
        let log = self.names.get(name).map(|log| &self.logs[*log]);
        (offset..).map_while(move |offset| {
            let copy = *log?.chunks.get(&(offset / CHUNK_ENTRIES))?;
            let (chunk, _) = self.registers.known(copy)?;
            let entry = chunk.entries.get((offset % CHUNK_ENTRIES) as usize)?;
            Some((offset, &**entry))
        })
    }

    /// The copy of a chunk. If there are too many, others that are idle are forgotten.
    fn copy(&mut self, place: Place) -> usize {
        let log = &mut self.logs[place.log];
        if let Some(copy) = log.chunks.get(&place.chunk) {
            return *copy;
        }
        if log.chunks.len() >= CHUNKS_KEPT_MAX {
            let low = log.low;
            let registers = &mut self.registers;
            log.chunks.retain(|chunk, copy| {
                let is_kept = *chunk == low || !registers.is_idle(*copy);
                if !is_kept {
                    registers.close(*copy);
                }
                is_kept
            });
        }
        let key = alloc::format!("{}/{}/{}", self.prefix, log.name, place.chunk);
        let copy = self.registers.open(key, place);
        log.chunks.insert(place.chunk, copy);
        copy
    }

    /// The chunk to append to, if it is known; else it is being looked for.
    fn last_chunk(&mut self, index: usize, now: Duration, outbox: &mut Outbox) -> Option<usize> {
        loop {
            let Log {
                low, high, step, ..
            } = self.logs[index];
            let chunk = high.map_or(low + step, |high| low.midpoint(high));
            let copy = self.copy(Place { log: index, chunk });
            let Some((known, _)) = self.registers.known(copy) else {
                self.registers.read(copy, now, outbox);
                return None;
            };
            let log = &mut self.logs[index];
            if known.is_full() {
                log.low = chunk + 1;
                log.step = 2 * step + 1;
                log.high = high.filter(|high| *high > log.low);
            } else if known.version() > 0 || chunk == low {
                (log.low, log.high, log.step) = (chunk, None, 0);
                return Some(copy);
            } else {
                log.high = Some(chunk);
            }
        }
    }

    /// Starts the next append, if there is something to append and none is under way.
    fn advance(&mut self, index: usize, now: Duration, outbox: &mut Outbox) {
        let log = &self.logs[index];
        if log.waiting.is_empty() || !log.riders.is_empty() {
            return;
        }
        if now < log.rests_until {
            self.resting.insert((log.rests_until, index));
            return;
        }
        let Some(copy) = self.last_chunk(index, now, outbox) else {
            return;
        };
        let (known, _) = self.registers.known(copy).expect("the last chunk is known");
        let mut wanted = known.clone();
        let space = (CHUNK_ENTRIES - known.version()) as usize;
        let log = &mut self.logs[index];
        log.riders_offset = log.low * CHUNK_ENTRIES + known.version();
        let boarding = log.waiting.len().min(space);
        log.riders.extend(log.waiting.drain(..boarding));
        log.sent_at = now;
        self.last_round_id += 1;
        let entries = log.riders.iter().map(|(_, entry)| entry.clone());
        wanted.append(entries, &self.node, self.last_round_id);
        self.registers.change(copy, wanted, now, outbox);
    }

    /// A reply has come, perhaps from the store; `value` is its field of that name.
    pub(super) fn reply<F>(
        &mut self,
        reply: &Message<'_, F>,
        value: Option<&RawValue>,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        self.registers.reply(reply, value, now, outbox);
        while let Some(event) = self.registers.event() {
            let (Event::Known(place)
            | Event::Applied(place)
            | Event::Lost(place)
            | Event::Foreign(place)) = event;
            match event {
                Event::Known(Place { log, chunk }) => {
                    self.progress.push_back(Progress::Known { log, chunk });
                }
                Event::Applied(_) => self.applied(place, now),
                Event::Lost(_) => self.lost(place),
                Event::Foreign(_) => self.foreign(place),
            }
            self.advance(place.log, now, outbox);
        }
    }

    fn applied(&mut self, place: Place, now: Duration) {
        let log = &mut self.logs[place.log];
        if self.has_rivals {
            let round_trip = (now - log.sent_at).min(REST_MAX);
            let rest = self.random.below(round_trip.as_nanos() as u64 + 1);
            log.rests_until = now + Duration::from_nanos(rest);
        }
        for (offset, (rider, _)) in (log.riders_offset..).zip(log.riders.drain(..)) {
            self.progress
                .push_back(Progress::Appended { rider, offset });
        }
        let (known, _) = self
            .registers
            .known(log.chunks[&place.chunk])
            .expect("it was changed");
        if known.is_full() {
            // Whoever fills a chunk is likely to begin the next one.
            let next = self.copy(Place {
                chunk: place.chunk + 1,
                ..place
            });
            self.registers.assume_missing(next);
        }
        let Place { log, chunk } = place;
        self.progress.push_back(Progress::Known { log, chunk });
    }

    /// The riders board the next append, in their old order and before what came later.
    fn lost(&mut self, place: Place) {
        let log = &mut self.logs[place.log];
        for rider in log.riders.drain(..).rev() {
            log.waiting.push_front(rider);
        }
    }

    fn foreign(&mut self, place: Place) {
        let log = &mut self.logs[place.log];
        let riders = log.riders.drain(..).chain(log.waiting.drain(..));
        let foreign = riders.map(|(rider, _)| Progress::Foreign { rider });
        self.progress.extend(foreign);
    }

    /// What has happened, oldest first.
    pub(super) fn progress(&mut self) -> Option<Progress> {
        self.progress.pop_front()
    }

    /// When [`wake`](Self::wake) is wanted.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let rested = self.resting.first().map(|(rested_at, _)| *rested_at);
        rested.into_iter().chain(self.registers.deadline()).min()
    }

    /// Asks the store again where it has not answered, and appends where there was rest enough.
    pub(super) fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        self.registers.wake(now, outbox);
        while let Some((rested_at, log)) = self.resting.first().copied()
            && rested_at <= now
        {
            self.resting.pop_first();
            // Those who waited may have given up, and the log may have been forgotten since.
            if self.logs.contains(log) {
                self.advance(log, now, outbox);
            }
        }
    }
}
