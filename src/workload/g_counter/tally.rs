//! What a counter's register in the store holds.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::kv::{Proof, Register, Seen, check_version};
use crate::protocol::{Encode, Name, Text};

/// `[17, 42]` in a register that only one node changes: its total, and how many changes led there. In one that all
/// nodes change, who made the last change follows, and for each node the id of its last round that was applied:
/// `[17, 42, "n1", "n0", 5120, "n1", 977]`.
///
/// A round id is used once, by any life of any node, so finding it here proves that the round was applied.
///
/// It is one flat list, because serde_json takes memory to pass over JSON in JSON in JSON, as a reply's value is.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Tally {
    total: i64,
    version: u64,
    /// Empty in a register that only one node changes.
    by: Name,
    rounds: Vec<(Name, i64)>,
}

/// What a node adds in one round, in a form that any node can put into a shared register.
///
/// It takes the id of the node's round from `after` to `round_id` and is taken on a state in which it is `after`. Ids
/// are never used again, so it is taken once or never, whoever takes it and however often it is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// The id of the node's round before, 0 if there was none.
    pub(super) after: i64,
    pub(super) round_id: i64,
    pub(super) delta: i64,
}

impl Step {
    /// Whether a node could have made it: its id is new, and so is what takes its place if the delta does not fit.
    pub(super) fn is_possible(&self) -> bool {
        self.round_id > 0 && self.after.unsigned_abs() != self.round_id.unsigned_abs()
    }
}

impl Tally {
    /// What has been counted.
    pub(super) fn total(&self) -> i64 {
        self.total
    }

    /// Whether it says who changed it, as it does where all nodes do.
    pub(super) fn is_shared(&self) -> bool {
        !self.by.as_str().is_empty()
    }

    /// The node that made the last change of a shared register.
    pub(super) fn author(&self) -> &str {
        self.by.as_str()
    }

    /// The id of `node`'s last round, 0 if there is none.
    pub(super) fn last_round(&self, node: &str) -> i64 {
        let round = self.rounds.iter().find(|(name, _)| name == node);
        round.map_or(0, |&(_, round_id)| round_id)
    }

    /// How many nodes but `node` have made a round since the state `before`.
    pub(super) fn others_since(&self, before: &Tally, node: &str) -> usize {
        let others = self.rounds.iter().filter(|(name, _)| name != node);
        let have_moved =
            |(name, round_id): &&(Name, i64)| before.last_round(name.as_str()) != *round_id;
        others.filter(have_moved).count()
    }

    /// Makes this the next state of a register that only one node changes.
    pub(super) fn add(&mut self, delta: i64) {
        self.version += 1;
        self.total += delta;
    }

    /// Makes this the next state of a shared register, written by `node`, but for the steps that it takes.
    pub(super) fn sign(&mut self, node: &Name) {
        self.version += 1;
        self.by.clone_from(node);
    }

    /// Takes a step of `node`, if it follows on this state. One that would take the total out of its range is made
    /// without its delta, under the negative of its id: it can't be taken any more after that.
    pub(super) fn take(&mut self, node: &Name, step: &Step) {
        if self.last_round(node.as_str()) != step.after {
            return;
        }
        let round_id = match self.total.checked_add(step.delta) {
            Some(total) => {
                self.total = total;
                step.round_id
            }
            None => -step.round_id,
        };
        match self.rounds.iter_mut().find(|(name, _)| name == node) {
            Some((_, last)) => *last = round_id,
            None => self.rounds.push((node.clone(), round_id)),
        }
    }

    /// What became of a step of `node`, if this is the newest state of a shared register that is known.
    pub(super) fn judge(&self, node: &str, step: &Step) -> Seen {
        match self.last_round(node) {
            last if last == step.round_id => Seen::Applied,
            last if last == step.after => Seen::Open,
            _ => Seen::Lost,
        }
    }
}

// By hand, because a derived `clone_from` would not reuse the memory of the state before.
impl Clone for Tally {
    fn clone(&self) -> Self {
        let mut clone = Tally::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, source: &Self) {
        let Tally {
            total,
            version,
            by,
            rounds,
        } = source;
        (self.total, self.version) = (*total, *version);
        self.by.clone_from(by);
        self.rounds.clone_from(rounds);
    }
}

impl Register for Tally {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        serde_json::Deserializer::from_str(json).deserialize_seq(self)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// In a register that only one node changes. Its next life may make the same change, which is as good.
impl Proof for Tally {
    fn proves(&self, change: &Self) -> bool {
        self == change
    }
}

impl Encode for Tally {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        self.total.encode(out);
        out.push(b',');
        self.version.encode(out);
        if self.is_shared() {
            out.push(b',');
            self.author().encode(out);
        }
        for (name, round_id) in &self.rounds {
            out.push(b',');
            name.encode(out);
            out.push(b',');
            round_id.encode(out);
        }
        out.push(b']');
    }
}

// By hand, so that decoding reuses the memory of the state before.
impl<'de> Visitor<'de> for &mut Tally {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a counter's register: total, version, author and rounds")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let missing = A::Error::missing_field;
        self.total = seq.next_element()?.ok_or_else(|| missing("total"))?;
        let version = seq.next_element()?.ok_or_else(|| missing("version"))?;
        self.version = check_version(version)?;
        self.by = Name::default();
        self.rounds.clear();
        if let Some(Text(author)) = seq.next_element()? {
            if author.is_empty() {
                return Err(A::Error::custom("the author is empty"));
            }
            self.by = Name::from(&*author);
        }
        while let Some(Text(name)) = seq.next_element()? {
            let round_id = seq.next_element()?.ok_or_else(|| missing("round id"))?;
            self.rounds.push((Name::from(&*name), round_id));
        }
        Ok(())
    }
}
