//! `g-counter` and `pn-counter`, which share everything but their names.

use super::Program;
use super::limits::{self, LIMITS};
use super::{Flag, Wrong};
use crate::workload::{self, g_counter::Options};

const FLAGS: &str = "  --consistency LEVEL   which reads are right (default regular)
      regular           a read holds every add acknowledged before it began
      linearizable      as if everything happened one by one, in real time
      sequential        one by one, but a read may be of the past
      eventual          no store: the nodes tell each other, and answer in any partition; reads agree
                        once all have heard all. If a node is killed, what it has acknowledged and
                        no other node has heard is lost: mostly the last moments, in a partition
                        everything since the node was cut off
  --kv SERVICE          the store: seq-kv or lin-kv (default seq-kv)
  --max-batch N         operations that ride on one message to the store, or reads on one poll of
                        the other nodes (default 1024)
  --read-wait TIME      eventual: by then a read is answered with what is known (default 200ms)
  --start-wait TIME     how long after init a node begins to send if no message has come to it before
                        (default 10s: by then all nodes have joined Maelstrom's network)
";

fn set(flag: &mut Flag, options: &mut Options) -> Result<(), Wrong> {
    let Options {
        consistency,
        service,
        batch_max,
        limits,
        read_wait,
        start_wait,
        decrements: _,
    } = options;
    match flag.name {
        "--consistency" => flag.set(consistency),
        "--kv" => flag.set_one_of(service, &["seq-kv", "lin-kv"]),
        "--max-batch" => flag.set_count(batch_max, usize::MAX),
        "--read-wait" => flag.set_time(read_wait),
        "--start-wait" => flag.set_time(start_wait),
        _ => limits::set(flag, limits),
    }
}

/// A sum that grows.
#[derive(Clone, Default, Debug)]
pub struct GCounter(pub Options);

impl Program for GCounter {
    type Workload = workload::GCounter;

    const NAME: &'static str = "g-counter";
    const ABOUT: &'static str =
        "A grow-only counter for Maelstrom: add{delta} -> add_ok, read -> read_ok{value}.";
    const FLAGS: &'static [&'static str] = &[FLAGS, LIMITS];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        set(flag, &mut self.0)
    }

    fn workload(self, seed: u64) -> workload::GCounter {
        workload::GCounter::new(self.0, seed)
    }
}

/// A sum that rises and falls.
#[derive(Clone, Debug)]
pub struct PnCounter(Options);

impl Default for PnCounter {
    fn default() -> Self {
        PnCounter(Options {
            decrements: true,
            ..Options::default()
        })
    }
}

impl Program for PnCounter {
    type Workload = workload::GCounter;

    const NAME: &'static str = "pn-counter";
    const ABOUT: &'static str = "\
A counter that goes up and down, for Maelstrom: add{delta} -> add_ok, read -> read_ok{value},
where delta may be negative.";
    const FLAGS: &'static [&'static str] = &[FLAGS, LIMITS];

    fn set(&mut self, flag: &mut Flag) -> Result<(), Wrong> {
        set(flag, &mut self.0)
    }

    fn workload(self, seed: u64) -> workload::GCounter {
        workload::GCounter::new(self.0, seed)
    }
}
