//! Every read holds all adds that were acknowledged before it began, and a node never goes back to an older state.
//!
//! A register per node: node `n0` keeps its own total under its own key, as `[total, epoch]`, and counts the epoch up
//! with each change. An add is a cas of the own key, which no other node touches: one round trip, whatever the number
//! of nodes. A read is a change of the own key as well (it may carry adds along), then reads of the other keys side by
//! side; the answer is the sum of the newest totals known, newest by epoch.
//!
//! Why change one's own key to read the others'? `seq-kv` may answer a plain read from the past, for ever. But **a
//! change brings its client up to date**: it is made on the newest state, and what the client reads afterwards is no
//! older. So the reads that follow see every add that was acknowledged before the change was sent. Maelstrom's store
//! does this (upstream's service tests rely on it) and `lin-kv` does anyway; sequential consistency alone does not ask
//! for it, so the laziest legal store breaks this level. The linearizable level needs no such promise.
//!
//! What is given up: two reads may disagree on the order of two concurrent adds.
//!
//! Exactly once: a change is a cas from one `[total, epoch]` to the next, never a blind write, so a delayed message of
//! a dead life of the node can't roll the total back. If its outcome is unknown the key is read: exactly the wanted
//! `[total, epoch]` means applied; a higher epoch, or the same with another total (a late cas of a dead life), means
//! that it never will be; else it is repeated unchanged. After a restart the own key is read first.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::rounds::Guarantee;
use super::shared::Step;
use crate::kv::{Proof, Register, Seen, check_version};
use crate::protocol::Encode;

/// What one node has counted: `[total, epoch]`.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct Own {
    total: i64,
    epoch: u64,
}

impl Register for Own {
    fn decode(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let (total, epoch) = serde_json::from_str(json)?;
        *self = Own {
            total,
            epoch: check_version(epoch)?,
        };
        Ok(())
    }

    fn version(&self) -> u64 {
        self.epoch
    }
}

impl Proof for Own {
    fn proves(&self, change: &Self) -> bool {
        self == change
    }
}

impl Encode for Own {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        self.total.encode(out);
        out.push(b',');
        self.epoch.encode(out);
        out.push(b']');
    }
}

#[derive(Default, Debug)]
pub(super) struct Regular {
    key: String,
    others: Vec<Own>,
    others_keys: Vec<String>,
}

impl Guarantee for Regular {
    type Register = Own;

    const IS_SHARED: bool = false;

    const HANDS_OVER: bool = false;

    const READS_CHANGE: bool = true;

    fn init(&mut self, counter: &str, node_id: &str, node_ids: &[Cow<'_, str>]) {
        let key_of = |node_id: &str| alloc::format!("{counter}/{node_id}");
        self.key = key_of(node_id);
        let others = node_ids.iter().filter(|other| **other != node_id);
        self.others_keys = others.map(|other| key_of(other)).collect();
        // A node that is named twice counts once.
        self.others_keys.sort_unstable();
        self.others_keys.dedup();
        self.others = alloc::vec![Own::default(); self.others_keys.len()];
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn fits(&self, known: &Own, delta: i64) -> bool {
        known.total.checked_add(delta).is_some()
            && i64::try_from(self.value(known) + i128::from(delta)).is_ok()
    }

    fn change(&self, wanted: &mut Own, step: Option<&Step>) {
        wanted.total += step.map_or(0, |step| step.delta);
        wanted.epoch += 1;
    }

    fn judge(&self, known: &Own, _: &Step, (from, wanted): (&Own, &Own)) -> Seen {
        Seen::judge(known, from, wanted)
    }

    fn keys_to_look_up(&self) -> &[String] {
        &self.others_keys
    }

    fn learn(
        &mut self,
        index: usize,
        json: &str,
        _known: &mut Own,
    ) -> Result<(), serde_json::Error> {
        let mut seen = Own::default();
        seen.decode(json)?;
        if seen.epoch > self.others[index].epoch {
            self.others[index] = seen;
        }
        Ok(())
    }

    fn value(&self, known: &Own) -> i128 {
        let others = self.others.iter().map(|other| i128::from(other.total));
        i128::from(known.total) + others.sum::<i128>()
    }
}
