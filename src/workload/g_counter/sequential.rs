//! The textbook solution: adds change one register, reads just read it.
//!
//! Adds are the rounds of the [linearizable](super::linearizable) level, exactly once. A read asks the store for the
//! register, one message, and the answer may be from the past. Adds and reads together are sequentially consistent,
//! which is all that the store promises: each client sees its own operations in order, and everyone the same order.
//! But nothing says how old that order's end may be, so **the final read may miss acknowledged adds** on every store
//! that is not linearizable. It is kept because it is worth seeing fail.

use alloc::{borrow::Cow, string::String};
use core::mem;

use super::rounds::Guarantee;
use super::shared::Shared;
use crate::kv::Register;
use crate::protocol::Name;

#[derive(Default, Debug)]
pub(super) struct Sequential {
    node: Name,
    /// One for all nodes: the register's.
    keys: [String; 1],
    seen: Shared,
}

impl Guarantee for Sequential {
    type Register = Shared;

    const READS_CHANGE: bool = false;

    fn init(&mut self, counter: &str, node_id: &str, _node_ids: &[Cow<'_, str>]) {
        self.keys = [counter.into()];
        self.node = node_id.into();
    }

    fn key(&self) -> &str {
        &self.keys[0]
    }

    fn fits(&self, known: &Shared, delta: i64) -> bool {
        known.fits(delta)
    }

    fn change(&self, wanted: &mut Shared, delta: i64, round_id: i64) {
        wanted.change(delta, &self.node, round_id);
    }

    fn keys_to_look_up(&self) -> &[String] {
        &self.keys
    }

    fn learn(
        &mut self,
        _index: usize,
        json: &str,
        known: &mut Shared,
    ) -> Result<(), serde_json::Error> {
        self.seen.decode(json)?;
        if self.seen.version() > known.version() {
            mem::swap(&mut self.seen, known);
        }
        Ok(())
    }

    fn value(&self, known: &Shared) -> i128 {
        known.value()
    }
}
