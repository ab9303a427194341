//! Committed offsets: a register for each node in `lin-kv`.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Operation;
use crate::kv::{Outcome, Queue, Register, RegisterId, Registers};
use crate::node::{Context, Limits, Random, Requests};
use crate::protocol::{Encode, Error, Json, Message, Name};

/// The most keys for which a node commits offsets: 4096, as they are all in one register.
pub const COMMITTED_KEYS_MAX: usize = 4096;

/// `{"version": 42, "offsets": {"k1": 7}}`: the highest offsets that were committed at one node.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offsets {
    version: u64,
    offsets: BTreeMap<String, u64>,
}

impl Offsets {
    /// Raises these offsets, unless that makes more keys than there may be.
    fn raise(&mut self, offsets: &[(String, u64)]) -> bool {
        let is_new = |(key, _): &&(String, u64)| !self.offsets.contains_key(key);
        if self.offsets.len() + offsets.iter().filter(is_new).count() > COMMITTED_KEYS_MAX {
            return false;
        }
        for (key, offset) in offsets {
            let committed = self.offsets.entry(key.clone()).or_default();
            *committed = *offset.max(committed);
        }
        true
    }
}

impl Register for Offsets {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        *self = serde_json::from_str(json)?;
        Ok(())
    }

    fn version(&self) -> u64 {
        self.version
    }

    /// The next incarnation of the node may make the same change, which is as good.
    fn shows(&self, wanted: &Self) -> bool {
        self == wanted
    }
}

impl Encode for Offsets {
    fn encode(&self, out: &mut Vec<u8>) {
        Json(self).encode(out);
    }
}

/// The committed offsets of all nodes. Each node raises those in its own register, which no other node changes.
pub(super) struct Commits {
    pub(super) registers: Registers<Offsets, ()>,
    /// The register of each node; the first is this node's own.
    nodes: Vec<RegisterId>,
    /// The offsets to be raised.
    pub(super) queue: Queue<Vec<(String, u64)>>,
}

impl Commits {
    pub(super) fn new(limits: &Limits, random: &mut Random) -> Self {
        Commits {
            registers: Registers::new("lin-kv", limits, random),
            nodes: Vec::new(),
            queue: Queue::default(),
        }
    }

    pub(super) fn init(&mut self, node_id: &str, peers: &[Name]) {
        // Each register may be read, and this node's own may be changed at the same time.
        let peers = peers.iter().take(self.registers.capacity_left() - 2);
        for id in [node_id].into_iter().chain(peers.map(Name::as_str)) {
            let key = alloc::format!("kafka-commits/{id}");
            self.nodes.push(self.registers.open(&key, ()));
        }
    }

    /// Whether the offset of a key, or a higher one, is known to have been committed at this node.
    pub(super) fn is_committed(&self, key: &str, offset: u64) -> bool {
        let own = self.registers.known(self.nodes[0]);
        let committed = own.and_then(|own| own.offsets.get(key));
        committed.is_some_and(|committed| *committed >= offset)
    }

    /// Starts the next change, if there is something to commit and none is in flight.
    pub(super) fn advance(
        &mut self,
        requests: &mut Requests<Operation>,
        context: &mut Context<'_>,
    ) {
        let own = self.nodes[0];
        if !self.queue.is_ready() {
            return;
        }
        let Some(known) = self.registers.known(own) else {
            self.registers.read(own, context);
            return;
        };
        let mut raised = known.clone();
        raised.version += 1;
        let is_ready = self.queue.start_batch(usize::MAX, |id, offsets| {
            let is_raised = raised.raise(offsets);
            if !is_raised {
                let why = alloc::format!(
                    "offsets of {COMMITTED_KEYS_MAX} keys are committed here already"
                );
                requests.fail(id, &Error::unavailable(why), context.outbox);
            }
            is_raised
        });
        if is_ready {
            self.registers.change(own, |own| *own = raised, context);
        }
    }

    /// Whether the committed offsets are known as they were at a time since `since`. If not, they are read.
    pub(super) fn read(&mut self, since: Duration, context: &mut Context<'_>) -> bool {
        let mut is_known = true;
        for register in &self.nodes {
            // No other node changes this node's own.
            let is_own = *register == self.nodes[0];
            let known = self.registers.known(*register);
            let is_new = is_own || self.registers.known_at(*register) >= since;
            if known.is_none() || !is_new {
                is_known = false;
                self.registers.read(*register, context);
            }
        }
        is_known
    }

    /// The committed offset of a key, as far as is known.
    pub(super) fn offset(&self, key: &str) -> Option<u64> {
        let nodes = self.nodes.iter();
        let known = nodes.filter_map(|register| self.registers.known(*register));
        let committed = known.filter_map(|known| known.offsets.get(key).copied());
        committed.max()
    }

    /// Takes in a reply, if it is one of the store's to a question about these registers; `value` is its field of that
    /// name. The error says why the committed offsets can't be read: a register holds an unexpected value.
    pub(super) fn on_reply<F>(
        &mut self,
        reply: &Message<'_, F>,
        value: Option<&RawValue>,
        requests: &mut Requests<Operation>,
        context: &mut Context<'_>,
    ) -> Option<Result<(), String>> {
        let done = self.registers.on_reply(reply, value, context)?;
        let own = self.nodes[0];
        let mut readable = Ok(());
        match done.outcome {
            Outcome::Read => {}
            Outcome::Applied => {
                let done = self.queue.end_batch();
                for request in done.filter_map(|(id, _)| requests.take(id)) {
                    request.answer("commit_offsets_ok", context.outbox);
                }
            }
            Outcome::Lost => self.queue.return_batch(),
            Outcome::Unexpected => {
                let why = self.registers.unexpected_value(done.register);
                if done.register == own && !self.registers.is_changing(own) {
                    for (id, given_up) in self.queue.withdraw_all() {
                        requests.fail(id, &given_up.error(&why), context.outbox);
                    }
                }
                readable = Err(why);
            }
            Outcome::Refused(_) => unreachable!("no commit is sent once"),
        }
        self.advance(requests, context);
        Some(readable)
    }
}
