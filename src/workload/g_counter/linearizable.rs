//! Adds and reads happen one after the other, each at a moment between its request and its answer, on **any**
//! sequentially consistent store.
//!
//! One register for all nodes: `[17, 42, "n1", "n0", 5120, "n1", 977]`, which is the total, the version, who wrote it,
//! and the id of each node's last round. A round is a step of one node: it adds up all waiting deltas and puts its own
//! id behind the node's name, in place of the id of the round before. A cas from the last known version to the next
//! makes the step, counts the version up and says who sent it. Reads ride on it like adds: a read is answered with a
//! value that the register had once it held the round, so reads cost a change too. When the cas fails, the node reads
//! the register and tries again, or hands its step to the node that came first, which takes it along on its own cas: see
//! `peers`.
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
//!    the successful cas form one chain, C1, C2, …, each replacing what the one before it installed. A node knows only
//!    states of the chain: what it has read, what a cas of its own that succeeded has installed, and what others, who
//!    know no more than that, have told it.
//! 3. A step is taken on a state in which its node's id is the one before it, and changes the id to its own. Ids are
//!    never used again, not even by a later life of the node, so each step is in the chain once or never, whichever node
//!    sends it and however often. An add takes effect where its step is. A read takes effect, after the adds of that
//!    version, at the version with whose value it is answered: that of its step or a later one which its node knew.
//! 4. Suppose operation A was answered before operation B was requested, and B took effect before A. A's node knew the
//!    state at which A took effect when it answered, so the cas that installed it, and all before it in the chain, had
//!    been sent by then. B takes effect at its step's place or later, so the cas with B's step was among them. But a
//!    step is only sent after all that it adds up was requested, because an operation rides only on a message sent after
//!    it arrived. So B had been requested before A was answered: a contradiction. The chain agrees with real time.
//! 5. Exactly once: the riders of a step are answered or set free only when it is certain what became of it, by the
//!    newest state that is known. If it shows the step's own id, the step was made. If it shows the id before, the step
//!    may still be made, and it alone may be tried again, with the same riders. If it shows any other, the id before is
//!    gone for good, and with it the step. A step whose delta no longer fits the value is made without it, under another
//!    id, so that it is gone too.
//! 6. It ends: a cas that fails because it knows an old version orders its node after the successor of that version
//!    (it can't be explained earlier), so a later read shows something newer, and every failure makes progress. That is
//!    so for versions that the store itself has told this node; a cas from a version that others have told may fail
//!    without any reason, and is then tried from what the store tells, old as it may be.
//!
//! A node may know a state that is old; that costs it another attempt and no one a wrong answer.

use super::rounds::Plan;

pub(super) const LINEARIZABLE: Plan = Plan {
    is_shared: true,
    reads_change: true,
};
