//! What a counter's registers in the store hold.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::kv::{Register, Registers};
use crate::protocol::{Encode, Name, Text};

/// The value of a register that only one node changes: `[17, 42, 5120]`. That is its total, its epoch, which counts the
/// changes, and the incarnation of the node that made the last one.
///
/// Without the incarnation, a node that was started again could take a change that it made before for the same one that it
/// makes now, for operations that have come since.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct OwnRegister {
    pub(super) total: i64,
    epoch: u64,
    incarnation: i64,
}

impl OwnRegister {
    /// Makes this the next value.
    pub(super) fn add(&mut self, delta: i64, incarnation: i64) {
        self.total += delta;
        self.epoch += 1;
        self.incarnation = incarnation;
    }
}

impl Register for OwnRegister {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        (self.total, self.epoch, self.incarnation) = serde_json::from_str(json)?;
        Ok(())
    }

    fn version(&self) -> u64 {
        self.epoch
    }

    fn shows(&self, wanted: &Self) -> bool {
        self == wanted
    }
}

impl Encode for OwnRegister {
    fn encode(&self, out: &mut Vec<u8>) {
        [self.total, self.epoch as i64, self.incarnation].encode(out);
    }
}

/// The value of a register that all nodes change: `[17, 42, "n1", "n0", 5120, "n1", 977]`. That is the total, the
/// version, which node wrote it, and the last-applied table: for each node the id of its last proposal that was applied.
///
/// It is one flat list, because serde_json takes memory to pass over JSON in JSON in JSON, as a reply's value is.
///
/// A register in which one node announces its proposal for others to apply is of the same form: `[9, 3, "n1", "n1", 5121, "n1",
/// 5120]`. Its total is the delta, and its table the id and the previous id of the proposal.
#[derive(Default, PartialEq, Debug)]
pub(super) struct SharedRegister {
    total: i64,
    version: u64,
    /// The node that made the last change.
    pub(super) writer: Name,
    last_applied: Vec<(Name, i64)>,
}

/// What a node adds in one batch, in a form that any node can apply to the register: it takes the node's entry of the
/// last-applied table from `previous` to `id`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Proposal {
    /// The id of the node's proposal before, 0 if there was none.
    pub(super) previous: i64,
    pub(super) id: i64,
    pub(super) delta: i64,
}

/// What one node needs to know of a register value. In messages it is `[17, 42, 5120]`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct View {
    pub(super) total: i64,
    pub(super) version: u64,
    /// The id of the last proposal of that node that was applied, 0 if there is none.
    pub(super) last_applied: i64,
}

impl Proposal {
    /// Whether it may yet be applied, by what its node knows of the newest value. If not, it was applied if that shows its
    /// id, and otherwise it never will be: the previous id is gone.
    pub(super) fn is_open(&self, newest: &View) -> bool {
        newest.last_applied == self.previous
    }
}

impl View {
    /// What a peer has told, unless it knew no value or that is none.
    pub(super) fn decode(json: &str) -> Option<Self> {
        let (total, version, last_applied) = serde_json::from_str(json).ok()?;
        let is_known = (1..=SharedRegister::VERSION_MAX).contains(&version);
        is_known.then_some(View {
            total,
            version,
            last_applied,
        })
    }
}

impl Encode for View {
    fn encode(&self, out: &mut Vec<u8>) {
        [self.total, self.version as i64, self.last_applied].encode(out);
    }
}

impl SharedRegister {
    /// What `node` needs to know of it.
    pub(super) fn view(&self, node: &str) -> View {
        let entry = self.last_applied.iter().find(|(name, _)| name == node);
        View {
            total: self.total,
            version: self.version,
            last_applied: entry.map_or(0, |&(_, id)| id),
        }
    }

    /// Makes this the next value, written by `node`, but for the proposals that are applied.
    pub(super) fn advance(&mut self, node: &Name) {
        self.version += 1;
        self.writer.clone_from(node);
    }

    /// Applies a proposal of `node`, if it follows on this value. If the total would leave its range, the proposal is
    /// applied without its delta, under the negative of its id: then it is lost.
    pub(super) fn apply(&mut self, node: &Name, proposal: &Proposal) {
        if self.view(node.as_str()).last_applied != proposal.previous {
            return;
        }
        let id = match self.total.checked_add(proposal.delta) {
            Some(total) => {
                self.total = total;
                proposal.id
            }
            None => -proposal.id,
        };
        match self.last_applied.iter_mut().find(|(name, _)| name == node) {
            Some((_, last)) => *last = id,
            None => self.last_applied.push((node.clone(), id)),
        }
    }

    /// Makes this the next value of the register in which `node` announces its proposals.
    pub(super) fn announce(&mut self, node: &Name, proposal: &Proposal) {
        self.advance(node);
        self.total = proposal.delta;
        let ids = [proposal.id, proposal.previous];
        self.last_applied.clear();
        self.last_applied.extend(ids.map(|id| (node.clone(), id)));
    }

    /// The proposal that is announced here.
    pub(super) fn announced(&self) -> Option<Proposal> {
        let [(_, id), (_, previous)] = self.last_applied[..] else {
            return None;
        };
        Some(Proposal {
            previous,
            id,
            delta: self.total,
        })
    }
}

/// The registers that a node shares with others.
pub(super) type SharedRegisters = Registers<SharedRegister, ()>;

// By hand, because a derived `clone_from` would not reuse the memory of the value before.
impl Clone for SharedRegister {
    fn clone(&self) -> Self {
        let mut clone = SharedRegister::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, source: &Self) {
        (self.total, self.version) = (source.total, source.version);
        self.writer.clone_from(&source.writer);
        self.last_applied.clone_from(&source.last_applied);
    }
}

impl Register for SharedRegister {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        serde_json::Deserializer::from_str(json).deserialize_seq(self)
    }

    fn version(&self) -> u64 {
        self.version
    }

    /// Every change gives its writer a new entry in the last-applied table. A peer that has applied the writer's proposal
    /// leaves the same entry. Then that is what was applied, and not this change; those whose proposals went with it see by
    /// their own entries.
    fn shows(&self, wanted: &Self) -> bool {
        let writer = wanted.writer.as_str();
        self.view(writer).last_applied == wanted.view(writer).last_applied
    }
}

impl Encode for SharedRegister {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        self.total.encode(out);
        out.push(b',');
        self.version.encode(out);
        out.push(b',');
        self.writer.encode(out);
        for (name, id) in &self.last_applied {
            out.push(b',');
            name.encode(out);
            out.push(b',');
            id.encode(out);
        }
        out.push(b']');
    }
}

// By hand, so that decoding reuses the memory of the value before.
impl<'de> Visitor<'de> for &mut SharedRegister {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a counter's register: total, version, writer and last-applied table")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let missing = A::Error::missing_field;
        self.total = seq.next_element()?.ok_or_else(|| missing("total"))?;
        self.version = seq.next_element()?.ok_or_else(|| missing("version"))?;
        let Text(writer) = seq.next_element()?.ok_or_else(|| missing("writer"))?;
        if writer.is_empty() {
            return Err(A::Error::custom("the writer is empty"));
        }
        self.writer = Name::from(&*writer);
        self.last_applied.clear();
        while let Some(Text(name)) = seq.next_element()? {
            let id = seq.next_element()?.ok_or_else(|| missing("id"))?;
            self.last_applied.push((Name::from(&*name), id));
        }
        Ok(())
    }
}
