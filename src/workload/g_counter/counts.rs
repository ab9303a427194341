//! What the eventual level counts: a total for each incarnation of each node, merged by epoch.
//!
//! Only the incarnation itself changes its `[total, epoch]`, and each change counts the epoch up. So of two such pairs the
//! one with the higher epoch is the later, and merging is to keep it: in any order, as often as one likes. This is the
//! counter of Shapiro, Preguiça, Baquero and Zawirski ("A comprehensive study of convergent and commutative replicated
//! data types", 2011) with epochs in place of ever growing totals, so that totals may fall, too.
//!
//! An incarnation starts with nothing, and its peers send it what the ones before it had counted. If it went on counting
//! under their number, two different totals could have the same epoch, and one of them would be lost.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::operations::out_of_range;
use crate::gossip::Replica;
use crate::protocol::{Encode, Error, Name, Text};

/// The most incarnations that a node keeps the counts of: 4,096.
///
/// An incarnation that has added something is kept for ever, so this bounds how often the nodes of one counter may be
/// restarted, all together. A node that would need more refuses with error 11; what it knows stays right.
pub const INCARNATIONS_MAX: usize = 4096;

/// One incarnation of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Id {
    /// Index into the nodes.
    node: usize,
    incarnation: u64,
}

/// What one incarnation has counted, as far as this node knows.
#[derive(Clone, Copy, Debug)]
struct Count {
    id: Id,
    total: i64,
    epoch: u64,
    /// Its position among the entries of this [`Replica`].
    position: u64,
}

/// All that one node knows.
#[derive(Debug, Default)]
pub(super) struct Counts {
    decrements: bool,
    /// All nodes of the counter, in order.
    nodes: Vec<Name>,
    own: Id,
    /// In the order of their positions. The one that changed last is the last.
    counts: Vec<Count>,
    /// The counter's value, by all that is known: the sum of all totals.
    pub(super) value: i128,
    end: u64,
    /// Where a peer's counts are decoded, to be merged all or not at all.
    decoded: Vec<(Id, i64, u64)>,
}

impl Counts {
    /// Nothing has been counted yet.
    pub(super) fn new(decrements: bool) -> Self {
        Counts {
            decrements,
            ..Counts::default()
        }
    }

    /// This is incarnation number `incarnation`, which no other one has, of the node `node_id`.
    pub(super) fn init(&mut self, incarnation: u64, node_id: &str, peers: &[Name]) {
        let node = peers.partition_point(|peer| peer.as_str() < node_id);
        self.nodes = peers.to_vec();
        self.nodes.insert(node, node_id.into());
        self.own = Id { node, incarnation };
    }

    /// What `id` has counted, and its index. The search begins with the newest: those are the ones that change.
    fn find(&self, id: Id) -> Option<(usize, &Count)> {
        let mut counts = self.counts.iter().enumerate();
        counts.rfind(|(_, count)| count.id == id)
    }

    /// Counts `delta`. Fails when the own total or the sum of all that are known would leave the range of `i64`, or there
    /// is no capacity for another incarnation. Nothing has been added then.
    pub(super) fn add(&mut self, delta: i64) -> Result<(), Error> {
        if delta == 0 {
            return Ok(());
        }
        let own = self.find(self.own);
        let (total, epoch) = own.map_or((0, 0), |(_, own)| (own.total, own.epoch));
        if epoch == 0 && self.counts.len() == INCARNATIONS_MAX {
            return Err(too_many());
        }
        let total = total.checked_add(delta).ok_or_else(out_of_range)?;
        i64::try_from(self.value + i128::from(delta)).map_err(|_| out_of_range())?;
        self.keep(self.own, total, epoch + 1);
        Ok(())
    }

    /// Replaces what is known of `id`, and puts it at the end.
    fn keep(&mut self, id: Id, total: i64, epoch: u64) {
        if let Some((index, old)) = self.find(id) {
            self.value -= i128::from(old.total);
            self.counts.remove(index);
        }
        self.value += i128::from(total);
        self.counts.push(Count {
            id,
            total,
            epoch,
            position: self.end,
        });
        self.end += 1;
    }

    /// Decodes a peer's counts into `decoded`, if all of them can be true.
    fn decode(&mut self, entries: &RawValue) -> Result<(), Error> {
        let Counts { nodes, decoded, .. } = self;
        decoded.clear();
        serde_json::Deserializer::from_str(entries.get())
            .deserialize_seq(Decoder(nodes, decoded))
            .map_err(|error| Error::malformed(alloc::format!("malformed counts: {error}")))?;
        let own_epoch = self.find(self.own).map_or(0, |(_, own)| own.epoch);
        let is_possible = |&(id, total, epoch): &(Id, i64, u64)| {
            let is_counted = id != self.own || epoch <= own_epoch;
            is_counted && epoch > 0 && (total >= 0 || self.decrements)
        };
        if !self.decoded.iter().all(is_possible) {
            return Err(Error::malformed("no node of this counter has counted that"));
        }
        let is_unknown = |(id, ..): &&(Id, i64, u64)| self.find(*id).is_none();
        let unknown = self.decoded.iter().filter(is_unknown).count();
        match self.counts.len() + unknown > INCARNATIONS_MAX {
            true => Err(too_many()),
            false => Ok(()),
        }
    }
}

impl Replica for Counts {
    const REPEATS_UNACKED: bool = true;

    fn end(&self) -> u64 {
        self.end
    }

    fn entries_from(&self, position: u64) -> impl Iterator<Item = (u64, impl Encode)> {
        let is_before = |count: &Count| count.position < position;
        let start = self.counts.partition_point(is_before);
        let counts = self.counts[start..].iter();
        counts.map(|count| (count.position, Entry(&self.nodes, count)))
    }

    /// All of them, or none if there is an error.
    fn merge(&mut self, entries: &RawValue, merged: &mut dyn FnMut(u64)) -> Result<(), Error> {
        self.decode(entries)?;
        for index in 0..self.decoded.len() {
            let (id, total, epoch) = self.decoded[index];
            match self.find(id) {
                Some((_, known)) if known.epoch > epoch => {}
                Some((_, known)) if known.epoch == epoch => merged(known.position),
                _ => {
                    self.keep(id, total, epoch);
                    merged(self.end - 1);
                }
            }
        }
        Ok(())
    }
}

fn too_many() -> Error {
    Error::unavailable(alloc::format!(
        "the nodes have been restarted too often: there is capacity for {INCARNATIONS_MAX} incarnations; nothing was added"
    ))
}

/// One count as it is sent: `"n0",8311,17,5`, which is node, incarnation, total and epoch.
///
/// A list of them is one flat list, for the same reason as a register of the levels with a store.
struct Entry<'a>(&'a [Name], &'a Count);

impl Encode for Entry<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let Entry(nodes, count) = self;
        nodes[count.id.node].encode(out);
        out.push(b',');
        count.id.incarnation.encode(out);
        out.push(b',');
        count.total.encode(out);
        out.push(b',');
        count.epoch.encode(out);
    }
}

/// By hand, so that decoding takes no memory for each message.
struct Decoder<'a>(&'a [Name], &'a mut Vec<(Id, i64, u64)>);

impl<'de> Visitor<'de> for Decoder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counts: node, incarnation, total and epoch of each")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Decoder(nodes, decoded) = self;
        while let Some(Text(node)) = seq.next_element()? {
            let missing = A::Error::missing_field;
            let incarnation = seq.next_element()?.ok_or_else(|| missing("incarnation"))?;
            let total = seq.next_element()?.ok_or_else(|| missing("total"))?;
            let epoch = seq.next_element()?.ok_or_else(|| missing("epoch"))?;
            let Ok(node) = nodes.binary_search_by(|other| other.as_str().cmp(&node)) else {
                return Err(A::Error::custom(format_args!("there is no node {node:?}")));
            };
            decoded.push((Id { node, incarnation }, total, epoch));
        }
        Ok(())
    }
}
