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

use super::rounds::Plan;

pub(super) const REGULAR: Plan = Plan {
    is_shared: false,
    reads_change: true,
};
