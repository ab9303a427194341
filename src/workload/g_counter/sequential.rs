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
use super::shared::{Shared, Step};
use crate::kv::{Register, Seen};
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

    const IS_SHARED: bool = true;

    const HANDS_OVER: bool = false;

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

    fn last_round(&self, known: &Shared) -> i64 {
        known.last_round(self.node.as_str())
    }

    fn change(&self, wanted: &mut Shared, step: Option<&Step>) {
        wanted.change(&self.node);
        if let Some(step) = step {
            wanted.take(&self.node, step);
        }
    }

    fn judge(&self, known: &Shared, step: &Step, _: (&Shared, &Shared)) -> Seen {
        known.judge(self.node.as_str(), step)
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
