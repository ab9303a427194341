//! `broadcast`, `g-set` and `txn-rw-register`, whose nodes tell each other.

use super::{Program, START_WAIT};
use crate::gossip::{Options, Topology};
use crate::stdio::arguments::{Flag, Wrong};
use crate::workload::{Broadcast, TxnRwRegister};

const STAR: (&str, Topology) = ("star", Topology::Star);
const TREE: (&str, Topology) = ("tree", Topology::Tree);
const OFFERED: (&str, Topology) = ("offered", Topology::Offered);

const TOPOLOGY: &str = "\
  --topology NAME       who tells whom (default star)
      star              everyone and the first node: fewest steps and messages
      tree              each node and up to four others: no one has many neighbours
";

const TOPOLOGY_OFFERED: &str = "      offered           what the topology message says; everyone and everyone until it comes\n";

const PACE: &str = "\
  --batch-ms TIME       a neighbour is told news at most once in this time (default 100)
  --retry-timeout TIME  how long to wait before telling again; over four times the latency (default 2s)
";

/// Sets how news spread; who tells whom is one of `topologies`.
fn set(
    options: &mut Options,
    flag: &mut Flag,
    topologies: &[(&str, Topology)],
) -> Result<(), Wrong> {
    match flag.name {
        "--topology" => flag.set_one_of(&mut options.topology, topologies),
        "--batch-ms" => flag.set_time(&mut options.batch),
        "--retry-timeout" => flag.set_time(&mut options.retry_timeout),
        "--start-wait" => flag.set_time(&mut options.start_wait),
        _ => flag.unknown(),
    }
}

/// Values that every node learns.
pub const BROADCAST: Program<Options, Broadcast> = Program {
    name: "broadcast",
    about: "\
Values that every node learns, for Maelstrom: broadcast{message} -> broadcast_ok, read -> read_ok{messages}.",
    flags: &[TOPOLOGY, TOPOLOGY_OFFERED, PACE, START_WAIT],
    defaults: Options::default,
    set: |options, flag| set(options, flag, &[STAR, TREE, OFFERED]),
    workload: Broadcast::new,
};

/// A set that only grows.
pub const G_SET: Program<Options, Broadcast> = Program {
    name: "g-set",
    about: "A set that only grows, for Maelstrom: add{element} -> add_ok, read -> read_ok{value}.",
    flags: &[TOPOLOGY, PACE, START_WAIT],
    defaults: Options::default,
    set: |options, flag| set(options, flag, &[STAR, TREE]),
    workload: Broadcast::g_set,
};

/// Transactions on registers.
pub const TXN_RW_REGISTER: Program<Options, TxnRwRegister> = Program {
    name: "txn-rw-register",
    about: "\
Transactions of reads and writes that are never held up, for Maelstrom: txn{txn} -> txn_ok{txn}. Read committed.",
    flags: &[TOPOLOGY, PACE, START_WAIT],
    defaults: Options::default,
    set: |options, flag| set(options, flag, &[STAR, TREE]),
    workload: TxnRwRegister::new,
};
