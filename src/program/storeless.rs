//! `echo` and `unique-ids`, whose nodes need neither a store nor each other.

use super::Program;
use crate::workload;

/// Sends back what it is sent.
#[derive(Clone, Copy, Default, Debug)]
pub struct Echo;

impl Program for Echo {
    type Workload = workload::Echo;

    const NAME: &'static str = "echo";
    const ABOUT: &'static str =
        "Sends back what it is sent, for Maelstrom: echo{echo} -> echo_ok{echo}.";

    fn workload(self, _seed: u64) -> workload::Echo {
        workload::Echo
    }
}

/// Gives out ids, none of them twice.
#[derive(Clone, Copy, Default, Debug)]
pub struct UniqueIds;

impl Program for UniqueIds {
    type Workload = workload::UniqueIds;

    const NAME: &'static str = "unique-ids";
    const ABOUT: &'static str = "\
Gives out ids that no other node and no other incarnation of this node gives out, for Maelstrom:
generate -> generate_ok{id}. Nodes need not hear of each other for it.";

    fn workload(self, seed: u64) -> workload::UniqueIds {
        workload::UniqueIds::new(seed)
    }
}
