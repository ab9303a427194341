//! The store's client: registers in a key-value service, and the slab of pending operations on them.
//!
//! [`Registers`] is the one engine of every workload that keeps something in a store. An operation is an entry of its
//! slab and a state machine, [`State`]:
//!
//! ```text
//! sent once  Casing ───▶ Done          a write or a compare-and-swap that is never sent again
//! a read     Reading ──▶ Done
//! a change   Casing ───▶ Done
//!             │  ▲
//!     refused │  │ may still be applied: sent again, unchanged
//! or no reply ▼  │
//!            Reading ──▶ Done          the value shows what became of the change, or its reply comes after all
//! ```
//!
//! # Exactly once
//!
//! A change is a compare-and-swap of a register's whole value, never a blind write. Its reply can be lost, late or
//! doubled, so a change without a reply is *in doubt*: it may have been applied, or may yet be. Four rules make it take
//! effect once or never:
//!
//! 1. **Values are unique.** Every change counts a version up and leaves a value that no other change leaves, but for one that
//!    is as good for everybody (see [`Register::shows`]). So the changes that were applied form one chain, in
//!    which each names its predecessor, and a value that has been replaced never comes back.
//! 2. **Doubt is resolved by reading**, or by the reply if it comes after all. A value that [shows](Register::shows) the
//!    change proves that it was applied. A higher version than the change started from, without it, proves that it was not
//!    and never will be: a value built on the change would still show it, and what it is to replace is gone for good.
//!    Anything else is an older state, or the state to be replaced, and says nothing.
//! 3. **A change in doubt is only sent again unchanged**, and only after a read that left it in doubt. A second copy with
//!    more in it, beside a late first one, would count twice.
//! 4. **A refusal says nothing** (errors 22 and 20): a copy that was sent before may have been the one that replaced the value.
//!
//! Message ids are not used again, not even by a later incarnation of the node ([`Pending`](crate::node::Pending)). An
//! incarnation knows nothing of the one before it, so it reads a register before it changes it, or
//! [takes it for missing](Registers::assume_missing).
//!
//! # Asking again
//!
//! A request is taken for lost when there is no reply for little longer than round trips have taken; with each copy that is
//! sent, that time doubles, up to the RPC timeout. What is sent then is a read, for a change as well (rule 3). Every copy has an
//! id of its own. So a reply shows to which copy it is, and how long it took. A store that replies that it can't serve a
//! request now is asked again after a pause.
//!
//! # Contention
//!
//! Of changes that several nodes send at a time, one is applied, and the others are [lost](Outcome::Lost) after two round
//! trips. The node that was first knows the newest value, so it tends to be first again. Instead of trying again at once, use a
//! register for each node (`regular` in [`g_counter`](crate::workload::g_counter)), pause for a random time after each change
//! (the logs of [`kafka`](crate::workload::kafka)), or let the node that was first make the changes of the others, too
//! ([`linearizable`](crate::workload::g_counter::linearizable)).

mod queue;
mod register;
mod registers;
mod retry;

pub use queue::Queue;
pub use register::Register;
pub use registers::{Done, Outcome, RegisterId, Registers, State};
