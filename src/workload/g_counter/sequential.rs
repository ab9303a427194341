//! The textbook solution: adds change one register, reads just read it.
//!
//! Adds are the rounds of the [linearizable](super::linearizable) level, exactly once. A read asks the store for the
//! register, one message, and the answer may be from the past. Adds and reads together are sequentially consistent,
//! which is all that the store promises: each client sees its own operations in order, and everyone the same order.
//! But nothing says how old that order's end may be, so **the final read may miss acknowledged adds** on every store
//! that is not linearizable. It is kept because it is worth seeing fail, and as it is in textbooks: where nodes fight over
//! the register, nothing keeps the one that wins from winning again.

use super::rounds::Plan;

pub(super) const SEQUENTIAL: Plan = Plan {
    is_shared: true,
    reads_change: false,
};
