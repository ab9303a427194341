//! `echo` and `unique-ids`, whose nodes need neither a store nor each other.

use super::Program;
use crate::workload::{Echo, UniqueIds};

/// Sends back what it is sent.
pub const ECHO: Program<(), Echo> = Program {
    name: "echo",
    about: "Sends back what it is sent, for Maelstrom: echo{echo} -> echo_ok{echo}.",
    flags: &[],
    defaults: || (),
    set: |(), flag| flag.unknown(),
    workload: |(), _| Echo,
};

/// Gives out ids, none of them twice.
pub const UNIQUE_IDS: Program<(), UniqueIds> = Program {
    name: "unique-ids",
    about: "\
Gives out ids that no other node and no other incarnation of this node gives out, for Maelstrom:
generate -> generate_ok{id}. Nodes need not hear of each other for it.",
    flags: &[],
    defaults: || (),
    set: |(), flag| flag.unknown(),
    workload: |(), seed| UniqueIds::new(seed),
};
