//! `broadcast`, `g-set` and `txn-rw-register`, whose nodes send each other what they have.

use super::Program;
use crate::gossip::Options;
use crate::stdio::arguments::{Flag, Wrong};
use crate::workload;

const TOPOLOGY: &str = "\
  --topology NAME       which nodes are neighbours (default star)
      star              the first node and every other: fewest steps and messages
      tree              each node and up to five others: no node has many neighbours
";

const OFFERED: &str =
    "      offered           those that the topology message names; all nodes until it comes\n";

const PACE: &str = "\
  --batch-ms TIME       a neighbour is sent new entries at most once in this time (default 100)
  --retry-timeout TIME  how long to wait before sending again; over four times the latency (default 2s)
  --start-wait TIME     how long after init a node begins to send if no message has come to it before
                        (default 10s: by then all nodes have joined Maelstrom's network)
";

/// Sets how entries spread. The topology is one of `topologies`.
fn set(flag: &mut Flag, options: &mut Options, topologies: &[&str]) -> Result<(), Wrong> {
    match flag.name {
        "--topology" => flag.set_one_of(&mut options.topology, topologies),
        "--batch-ms" => flag.set_time(&mut options.batch),
        "--retry-timeout" => flag.set_time(&mut options.retry_timeout),
        "--start-wait" => flag.set_time(&mut options.start_wait),
        _ => flag.unknown(),
    }
}

/// Values that every node learns.
#[derive(Clone, Default, Debug)]
pub struct Broadcast(Options);

impl Program for Broadcast {
    type Workload = workload::Broadcast;

    const NAME: &'static str = "broadcast";
    const ABOUT: &'static str = "\
Values that every node learns, for Maelstrom: broadcast{message} -> broadcast_ok, read -> read_ok{messages}.";
    const FLAGS: &'static [&'static str] = &[TOPOLOGY, OFFERED, PACE];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        set(flag, &mut self.0, &["star", "tree", "offered"])
    }

    fn workload(self, seed: u64) -> workload::Broadcast {
        workload::Broadcast::new(self.0, seed)
    }
}

/// A set that only grows.
#[derive(Clone, Default, Debug)]
pub struct GSet(Options);

impl Program for GSet {
    type Workload = workload::GSet;

    const NAME: &'static str = "g-set";
    const ABOUT: &'static str =
        "A set that only grows, for Maelstrom: add{element} -> add_ok, read -> read_ok{value}.";
    const FLAGS: &'static [&'static str] = &[TOPOLOGY, PACE];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        set(flag, &mut self.0, &["star", "tree"])
    }

    fn workload(self, seed: u64) -> workload::GSet {
        workload::GSet::new(self.0, seed)
    }
}

/// Transactions on registers.
#[derive(Clone, Default, Debug)]
pub struct TxnRwRegister(Options);

impl Program for TxnRwRegister {
    type Workload = workload::TxnRwRegister;

    const NAME: &'static str = "txn-rw-register";
    const ABOUT: &'static str = "\
Transactions of reads and writes that are never held up, for Maelstrom: txn{txn} -> txn_ok{txn}. Read committed.";
    const FLAGS: &'static [&'static str] = &[TOPOLOGY, PACE];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        set(flag, &mut self.0, &["star", "tree"])
    }

    fn workload(self, seed: u64) -> workload::TxnRwRegister {
        workload::TxnRwRegister::new(self.0, seed)
    }
}
