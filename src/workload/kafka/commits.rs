use alloc::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::kv::{Event, Proof, Register, Registers, Service, check_version};
use crate::node::{Outbox, PENDING_MAX, Random};
use crate::protocol::{Encode, Message};

/// A node commits offsets of at most so many logs: 4096.
pub const COMMITTED_KEYS_MAX: usize = 4096;

/// `{"version": 42, "offsets": {"k1": 7}}`: the highest offsets that were committed at one node.
#[derive(Clone, Default)]
struct Committed {
    version: u64,
    offsets: BTreeMap<String, u64>,
}

impl Committed {
    fn covers(&self, key: &str, offset: u64) -> bool {
        self.offsets
            .get(key)
            .is_some_and(|committed| *committed >= offset)
    }

    fn raise(&mut self, key: &str, offset: u64) {
        match self.offsets.get_mut(key) {
            Some(committed) => *committed = offset.max(*committed),
            None => drop(self.offsets.insert(key.into(), offset)),
        }
    }
}

impl Register for Committed {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        #[derive(Deserialize)]
        struct Stored {
            version: u64,
            offsets: BTreeMap<String, u64>,
        }
        let Stored { version, offsets } = serde_json::from_str(json)?;
        let version = check_version(version)?;
        *self = Committed { version, offsets };
        Ok(())
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Proof for Committed {
    fn proves(&self, change: &Self) -> bool {
        self.version == change.version && self.offsets == change.offsets
    }
}

impl Encode for Committed {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"version\":");
        self.version.encode(out);
        out.extend_from_slice(b",\"offsets\":");
        Offsets(&self.offsets).encode(out);
        out.push(b'}');
    }
}

/// Offsets by key, as JSON.
pub(super) struct Offsets<'a, K>(pub(super) &'a BTreeMap<K, u64>);

impl<K: AsRef<str>> Encode for Offsets<'_, K> {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut separator = b'{';
        for (key, offset) in self.0 {
            out.push(separator);
            key.as_ref().encode(out);
            out.push(b':');
            offset.encode(out);
            separator = b',';
        }
        out.extend_from_slice(if self.0.is_empty() { b"{}" } else { b"}" });
    }
}

/// The committed offsets of all nodes: each node raises those in its own register, which no other node touches, and
/// what counts is the highest of all.
pub(super) struct Commits {
    registers: Registers<Committed, usize>,
    /// The copy of each node's register; the first is this node's own.
    copies: Vec<usize>,
    /// Who waits for the next change, and what it shall raise.
    waiting: Vec<Raise>,
    /// Who waits for the change under way.
    riders: Vec<Raise>,
    progress: VecDeque<Progress>,
}

struct Raise {
    rider: u64,
    offsets: Vec<(String, u64)>,
}

/// What has become of commits.
pub(super) enum Progress {
    /// The offsets are in the store.
    Committed { rider: u64 },
    /// There is no room for more keys; nothing was committed.
    Refused { rider: u64 },
    /// The store holds what is no register of offsets. They may have been committed.
    Foreign { rider: u64 },
    /// More is known of what is committed.
    Known,
}

impl Commits {
    pub(super) fn new(service: Service, rpc_timeout: Duration, random: &mut Random) -> Self {
        Commits {
            registers: Registers::new(service, rpc_timeout, random),
            copies: Vec::new(),
            waiting: Vec::new(),
            riders: Vec::new(),
            progress: VecDeque::new(),
        }
    }

    pub(super) fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        let others = node_ids.iter().map(|id| &**id).filter(|id| *id != node_id);
        // Each needs a request at most, and this node's own one more.
        let others = others.take(PENDING_MAX - 2);
        for (index, id) in [node_id].into_iter().chain(others).enumerate() {
            let key = alloc::format!("kafka-commits/{id}");
            self.copies.push(self.registers.open(key, index));
        }
    }

    /// Commits offsets; `rider` is named when that is done.
    pub(super) fn commit<'a>(
        &mut self,
        rider: u64,
        offsets: impl Iterator<Item = (&'a str, u64)> + Clone,
        now: Duration,
        outbox: &mut Outbox,
    ) {
        if let Some((own, _)) = self.registers.known(self.copies[0])
            && offsets.clone().all(|(key, offset)| own.covers(key, offset))
        {
            return self.progress.push_back(Progress::Committed { rider });
        }
        let offsets = offsets.map(|(key, offset)| (key.into(), offset));
        self.waiting.push(Raise {
            rider,
            offsets: offsets.collect(),
        });
        self.advance(now, outbox);
    }

    /// Takes back a commit that is on no message to the store yet. The answer is whether it was so.
    pub(super) fn withdraw(&mut self, rider: u64) -> bool {
        let found = self.waiting.iter().position(|raise| raise.rider == rider);
        found.map(|index| self.waiting.remove(index)).is_some()
    }

    fn advance(&mut self, now: Duration, outbox: &mut Outbox) {
        let own = self.copies[0];
        if self.waiting.is_empty() || !self.riders.is_empty() {
            return;
        }
        let Some((known, _)) = self.registers.known(own) else {
            return self.registers.read(own, now, outbox);
        };
        // Copied once there is something to change.
        let mut wanted = Cow::Borrowed(known);
        for raise in self.waiting.drain(..) {
            let is_new = |(key, _): &&(String, u64)| !wanted.offsets.contains_key(key);
            let new_keys = raise.offsets.iter().filter(is_new).count();
            let rider = raise.rider;
            if wanted.offsets.len() + new_keys > COMMITTED_KEYS_MAX {
                self.progress.push_back(Progress::Refused { rider });
                continue;
            }
            for (key, offset) in &raise.offsets {
                wanted.to_mut().raise(key, *offset);
            }
            self.riders.push(raise);
        }
        if !self.riders.is_empty() {
            let mut wanted = wanted.into_owned();
            wanted.version += 1;
            self.registers.change(own, wanted, now, outbox);
        }
    }

    /// The committed offsets of those keys that have any, as they are known at a time since `since`; if they aren't,
    /// they are being found out.
    pub(super) fn list<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a str>,
        since: Duration,
        now: Duration,
        outbox: &mut Outbox,
    ) -> Option<BTreeMap<&'a str, u64>> {
        let mut is_known = true;
        for (index, copy) in self.copies.iter().enumerate() {
            // Nobody else changes this node's own.
            let is_own = index == 0;
            let known = self.registers.known(*copy);
            if known.is_none_or(|(_, known_at)| !is_own && known_at < since) {
                is_known = false;
                self.registers.read(*copy, now, outbox);
            }
        }
        if !is_known {
            return None;
        }
        let all = || {
            self.copies
                .iter()
                .filter_map(|copy| self.registers.known(*copy))
        };
        let committed = keys.filter_map(|key| {
            let offsets = all().filter_map(|(known, _)| known.offsets.get(key));
            offsets.max().map(|offset| (key, *offset))
        });
        Some(committed.collect())
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
            match event {
                Event::Known(_) => self.progress.push_back(Progress::Known),
                Event::Applied(_) => {
                    let riders = self.riders.drain(..).map(|raise| raise.rider);
                    let committed = riders.map(|rider| Progress::Committed { rider });
                    self.progress.extend(committed);
                }
                Event::Lost(_) => self.waiting.append(&mut self.riders),
                Event::Foreign(_) => {
                    let riders = self.riders.drain(..).chain(self.waiting.drain(..));
                    let foreign = riders.map(|Raise { rider, .. }| Progress::Foreign { rider });
                    self.progress.extend(foreign);
                }
            }
            self.advance(now, outbox);
        }
    }

    /// What has happened, oldest first.
    pub(super) fn progress(&mut self) -> Option<Progress> {
        self.progress.pop_front()
    }

    /// When [`wake`](Self::wake) is wanted.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.registers.deadline()
    }

    /// Asks the store again where it has not answered.
    pub(super) fn wake(&mut self, now: Duration, outbox: &mut Outbox) {
        self.registers.wake(now, outbox);
    }
}
