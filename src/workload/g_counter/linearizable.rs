//! Adds and reads happen one after the other, each at a moment between its request and its answer, on **any**
//! sequentially consistent store.
//!
//! One register for all nodes: `{"version": 42, "value": 17, "rounds": {"n0": 5120, "n1": 977}}`. A round is one cas from the last known version to the next: it adds all
//! waiting deltas, counts the version up and puts its own id under the node's name. Reads ride on it like adds: a read
//! is answered with the value that a successful cas installed, so reads cost a change too. When the cas fails, the
//! node reads the register and tries again.
//!
//! # Why this is linearizable
//!
//! It is often said that a sequentially consistent store can't give the right final read. With plain reads and writes
//! it can't: Attiya and Welch ("Sequential consistency versus linearizability", 1994) show what such reads miss. But
//! compare-and-swap is stronger than reads and writes (Herlihy, "Wait-free synchronization", 1991), and here every
//! operation, reads included, takes part in it.
//!
//! 1. The store is sequentially consistent: there is one order of all its operations that explains all its answers
//!    and keeps each node's own order. That order need not agree with real time.
//! 2. Each successful cas names the whole state before it, and a version counts up by one. So versions are unique, and
//!    the successful cas form one chain, C1, C2, …, each replacing what the one before it installed. Operations of
//!    clients take effect in the order of the chain, those of one cas in the order in which they boarded, reads after
//!    the adds.
//! 3. Suppose operation A was answered before operation B was requested, and B's cas stood before A's in the chain.
//!    A's cas then descends from the state that B's installed, so whoever *sent* A's cas had seen a state at or after
//!    B's. A was answered, so its cas had been sent, at a time when B was not yet requested. But B's cas is only made
//!    after B was requested, because an operation rides only on a message sent after it arrived. So A's node saw a
//!    state that no one had made yet: a contradiction. The chain agrees with real time.
//! 4. Exactly once: the riders of an unsettled cas are answered or set free only when it is certain what became of it.
//!    If the register, in any state read afterwards, holds the round's id under the node's name, the cas was applied.
//!    If it stands at a version above the one that the cas replaces, and doesn't, then the chain has gone on without
//!    it: what it replaces is gone, so it never will be applied. Else it is repeated unchanged. The id must never be
//!    used again, not even by a later life of the node, or a late cas of a dead life could pass for the new one's.
//! 5. It ends: a cas that fails because it knows an old version orders its node after the successor of that version
//!    (it can't be explained earlier), so a later read shows something newer, and every failure makes progress.
//!
//! A node may read a state that is old; that costs it another attempt and no one a wrong answer.

use alloc::{borrow::Cow, string::String};

use super::rounds::Guarantee;
use super::shared::Shared;
use crate::protocol::Name;

#[derive(Default, Debug)]
pub(super) struct Linearizable {
    key: String,
    node: Name,
}

impl Guarantee for Linearizable {
    type Register = Shared;

    const READS_CHANGE: bool = true;

    fn init(&mut self, counter: &str, node_id: &str, _node_ids: &[Cow<'_, str>]) {
        self.key = counter.into();
        self.node = node_id.into();
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn fits(&self, known: &Shared, delta: i64) -> bool {
        known.fits(delta)
    }

    fn change(&self, wanted: &mut Shared, delta: i64, round_id: i64) {
        wanted.change(delta, &self.node, round_id);
    }

    fn keys_to_look_up(&self) -> &[String] {
        &[]
    }

    fn learn(&mut self, _: usize, _: &str, _: &mut Shared) -> Result<(), serde_json::Error> {
        Ok(())
    }

    fn value(&self, known: &Shared) -> i128 {
        known.value()
    }
}
