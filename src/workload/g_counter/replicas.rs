//! What the eventual level counts: a total for each replica, merged by epoch.
//!
//! A *replica* is one life of one node. Only that life changes its `[total, epoch]`, and each change counts the epoch
//! up, so of two states of a replica the one with the higher epoch is the later, and merging is to keep it: in any
//! order, as often as one likes. This is the counter of Shapiro, Preguiça, Baquero and Zawirski ("A comprehensive study
//! of convergent and commutative replicated data types", 2011) with epochs in place of ever growing totals, so that the
//! same code counts down as well. The counter's value is the sum of all totals.
//!
//! A node that is killed forgets what it counted, but peers may have heard of it. Under its old id it would count again
//! from nothing, with epochs that are known already; so its next life is another replica, with an id of its own: 53
//! random bits beside the node's id, no part of which is ever parsed.

use alloc::{borrow::Cow, collections::BTreeMap, vec::Vec};
use core::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::answers::out_of_range;
use super::others;
use crate::protocol::{Encode, Error, ErrorCode, Name, Text};

/// The most replicas that a node keeps: 4,096.
///
/// Each life of a node that has added something is one, for ever, so this bounds how often the nodes of one counter may
/// be restarted, all together. A node that would need more merges nothing further and says so with error 11; what it
/// knows stays right. A state with so many replicas is a line of at most 256 KiB.
pub const REPLICAS_MAX: usize = 4096;

/// One life of one node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id {
    /// Index into the nodes.
    pub(super) node: usize,
    pub(super) life: u64,
}

#[derive(Clone, Copy, Debug)]
struct Replica {
    total: i64,
    epoch: u64,
    /// Which change of this node's state brought it here.
    changed_at: u64,
    /// Who told of it; this life of this node for what was counted here.
    learnt_from: Id,
}

/// All that one node knows.
#[derive(Debug)]
pub(super) struct Replicas {
    decrements: bool,
    /// All nodes of the counter, in order.
    nodes: Vec<Name>,
    own: Id,
    replicas: BTreeMap<Id, Replica>,
    /// The sum of all totals.
    value: i128,
    /// How often this state has changed.
    changes: u64,
    /// Where a peer's replicas are decoded, to be merged all or not at all.
    heard: Vec<(Id, i64, u64)>,
}

impl Replicas {
    /// Nothing has been counted yet. `life` has to be another at each start of a node.
    pub(super) fn new(decrements: bool, life: u64) -> Self {
        Replicas {
            decrements,
            nodes: Vec::new(),
            own: Id { node: 0, life },
            replicas: BTreeMap::new(),
            value: 0,
            changes: 0,
            heard: Vec::new(),
        }
    }

    pub(super) fn init(&mut self, node_id: &str, node_ids: &[Cow<'_, str>]) {
        self.nodes = others(node_id, node_ids);
        self.own.node = self.nodes.partition_point(|other| other.as_str() < node_id);
        self.nodes.insert(self.own.node, node_id.into());
    }

    /// All nodes, in the same order everywhere.
    pub(super) fn nodes(&self) -> &[Name] {
        &self.nodes
    }

    /// The index of the node with this id, if there is one.
    pub(super) fn node(&self, node_id: &str) -> Option<usize> {
        let nodes = &self.nodes;
        let found = nodes.binary_search_by(|node| node.as_str().cmp(node_id));
        found.ok()
    }

    /// This life of this node.
    pub(super) fn own(&self) -> Id {
        self.own
    }

    /// How often this state has changed in this life.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The counter's value, by all that is known.
    pub(super) fn value(&self) -> i128 {
        self.value
    }

    /// Counts `delta`.
    ///
    /// # Errors
    ///
    /// When the own total or the sum of all that are known would leave the range of `i64`, or there is no room for
    /// another replica. Nothing has been added then.
    pub(super) fn add(&mut self, delta: i64) -> Result<(), Error> {
        if delta == 0 {
            return Ok(());
        }
        let own = self.replicas.get(&self.own);
        let (total, epoch) = own.map_or((0, 0), |own| (own.total, own.epoch));
        if own.is_none() && self.replicas.len() == REPLICAS_MAX {
            return Err(too_many());
        }
        let total = total.checked_add(delta).ok_or_else(out_of_range)?;
        i64::try_from(self.value + i128::from(delta)).map_err(|_| out_of_range())?;
        self.keep(self.own, total, epoch + 1, self.own);
        Ok(())
    }

    /// Takes in what another node knows, as far as it is newer: all of it, or nothing if there is an error.
    ///
    /// # Errors
    ///
    /// When it is nothing that a node of this counter could know, or there is no room for so many replicas.
    pub(super) fn merge(&mut self, counts: &RawValue, from: Id) -> Result<(), Error> {
        let mut heard = core::mem::take(&mut self.heard);
        heard.clear();
        let result = serde_json::Deserializer::from_str(counts.get())
            .deserialize_seq(Heard {
                replicas: self,
                heard: &mut heard,
            })
            .map_err(|error| {
                let text = alloc::format!("malformed counts: {error}");
                Error::new(ErrorCode::MALFORMED_REQUEST, text)
            })
            .and_then(|()| self.make_room(&heard));
        if result.is_ok() {
            for &(id, total, epoch) in &heard {
                let known = self.replicas.get(&id);
                if known.is_none_or(|known| known.epoch < epoch) {
                    self.keep(id, total, epoch, from);
                }
            }
        }
        self.heard = heard;
        result
    }

    fn make_room(&self, heard: &[(Id, i64, u64)]) -> Result<(), Error> {
        let unknown = heard
            .iter()
            .filter(|(id, ..)| !self.replicas.contains_key(id));
        match self.replicas.len() + unknown.count() > REPLICAS_MAX {
            true => Err(too_many()),
            false => Ok(()),
        }
    }

    fn keep(&mut self, id: Id, total: i64, epoch: u64, learnt_from: Id) {
        self.changes += 1;
        let changed_at = self.changes;
        let before = self.replicas.insert(
            id,
            Replica {
                total,
                epoch,
                changed_at,
                learnt_from,
            },
        );
        self.value += i128::from(total) - before.map_or(0, |before| i128::from(before.total));
    }

    /// What a node that has all changes up to `since` lacks, without what that life of it told itself.
    pub(super) fn counts(&self, since: u64, reader: Option<Id>) -> Counts<'_> {
        Counts {
            replicas: self,
            since,
            reader,
        }
    }
}

fn too_many() -> Error {
    Error::new(
        ErrorCode::TEMPORARILY_UNAVAILABLE,
        alloc::format!(
            "the nodes have been restarted too often: there is room for {REPLICAS_MAX} lives; nothing was added"
        ),
    )
}

/// Some replicas: `["n0", 8311, 17, 5, ...]`, which is node, life, total and epoch of each.
///
/// It is one flat list, for the same reason as a [`Tally`](super::tally::Tally).
pub(super) struct Counts<'a> {
    replicas: &'a Replicas,
    since: u64,
    reader: Option<Id>,
}

impl Encode for Counts<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let news = self.replicas.replicas.iter().filter(|(_, replica)| {
            replica.changed_at > self.since && Some(replica.learnt_from) != self.reader
        });
        out.push(b'[');
        for (index, (id, replica)) in news.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.replicas.nodes[id.node].encode(out);
            out.push(b',');
            id.life.encode(out);
            out.push(b',');
            replica.total.encode(out);
            out.push(b',');
            replica.epoch.encode(out);
        }
        out.push(b']');
    }
}

/// Where a peer's replicas go. By hand, so that decoding takes no memory for each message.
struct Heard<'a> {
    replicas: &'a Replicas,
    heard: &'a mut Vec<(Id, i64, u64)>,
}

impl<'de> Visitor<'de> for Heard<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("replicas: node, life, total and epoch of each")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Text(node)) = seq.next_element()? {
            let missing = A::Error::missing_field;
            let life = seq.next_element()?.ok_or_else(|| missing("life"))?;
            let total = seq.next_element()?.ok_or_else(|| missing("total"))?;
            let epoch = seq.next_element()?.ok_or_else(|| missing("epoch"))?;
            let Some(node) = self.replicas.node(&node) else {
                return Err(A::Error::custom(format_args!("there is no node {node:?}")));
            };
            let id = Id { node, life };
            let own = self.replicas.own;
            let own_epoch = self.replicas.replicas.get(&own).map_or(0, |own| own.epoch);
            if id == own && epoch > own_epoch {
                return Err(A::Error::custom("more than this node itself has counted"));
            }
            if epoch == 0 {
                return Err(A::Error::custom("an epoch of 0 has counted nothing"));
            }
            if total < 0 && !self.replicas.decrements {
                return Err(A::Error::custom("a total below 0 in a counter that grows"));
            }
            self.heard.push((id, total, epoch));
        }
        Ok(())
    }
}
